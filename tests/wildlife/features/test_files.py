"""Files of features: written and read again, and what is rejected."""

import io
import json
import sys
import zipfile

import numpy as np
import pytest

from utils.errors import InputError
from wildlife.features.files import FeatureTable, check_path, read_features, write_features


def table():
    features = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    columns = {
        'individual': ['Łucja', '', 'b'],
        'side': [0, None, 1],
        'camera': [None, None, 7],
        'encounter': [12, None, 10**14],
        'bytes': [10, 20, 30],
    }
    return FeatureTable(features, ['a/x.png', 'a b/虎.jpg', 'c.jpg'], columns, {'size': [32, 32]})


@pytest.mark.parametrize('suffix', ['npz', 'parquet'])
def test_written_and_read(tmp_path, suffix):
    if suffix == 'parquet':
        pytest.importorskip('pyarrow')
    path = tmp_path / f'x.{suffix}'
    write_features(table(), path)
    found = read_features(path)
    np.testing.assert_array_equal(found.features, table().features)
    assert found.features.dtype == np.float32 and found.paths == table().paths
    assert found.about == {'size': [32, 32]} and found.columns['bytes'] == [10, 20, 30]
    assert found.columns['individual'] == ['Łucja', '', 'b']
    sides = found.columns['side']
    assert sides == ['0', '', '1'] if suffix == 'npz' else (sides[0] == 0 and sides[1] != sides[1])


def test_numpy_alone_reads_it(tmp_path):
    write_features(table(), tmp_path / 'x.npz')
    with np.load(tmp_path / 'x.npz', allow_pickle=False) as file:
        assert set(file.files) == {'path', 'features', 'about', *table().columns}
        assert file['encounter'].tolist() == ['12', '', '100000000000000']
        assert json.loads(str(file['about'])) == {'size': [32, 32]}


@pytest.mark.parametrize('kind', [np.float64, np.float16, np.int64])
def test_numbers_of_other_programs(tmp_path, kind):
    features = np.arange(6).reshape(2, 3).astype(kind)
    np.savez(tmp_path / 'x.npz', path=np.array([b'a.jpg', b'b.jpg']), features=features)
    found = read_features(tmp_path / 'x.npz')
    assert found.paths == ['a.jpg', 'b.jpg'] and found.about == {}
    np.testing.assert_array_equal(found.features, features)


@pytest.mark.parametrize(
    ('sizes', 'expected'),
    [(['7', ''], [7, None]), ([np.nan, 9.0], [None, 9]), ([np.inf, 1], [None, 1]), ([5], None)],
)
def test_sizes_of_other_programs(tmp_path, sizes, expected):
    """Sizes that are unknown are not compared; a column of another length is none."""
    np.savez(tmp_path / 'x.npz', path=['a', 'b'], features=np.ones((2, 3)), bytes=sizes)
    assert read_features(tmp_path / 'x.npz').columns.get('bytes') == expected


BAD = {
    'no path': {'features': np.ones((2, 3))},
    'no features': {'path': ['a', 'b']},
    'paths are numbers': {'path': [1, 2], 'features': np.ones((2, 3))},
    'features are text': {'path': ['a', 'b'], 'features': [['x'], ['y']]},
    'objects': {'path': np.array(['a', None]), 'features': np.ones((2, 3))},
    'features are dates': {'path': ['a'], 'features': np.ones((1, 3), 'M8[s]')},
    'complex': {'path': ['a'], 'features': np.ones((1, 3), complex)},
    'about is nested': {'path': ['a'], 'features': np.ones((1, 3)), 'about': '[' * 100_000},
    'about is no JSON': {'path': ['a'], 'features': np.ones((1, 3)), 'about': '{'},
}


@pytest.mark.parametrize('name', BAD)
def test_files_without_what_is_needed(tmp_path, name):
    np.savez(tmp_path / 'x.npz', **BAD[name])
    with pytest.raises(InputError, match='x.npz: not a file of features: it needs the columns'):
        read_features(tmp_path / 'x.npz')


def test_damaged_files(tmp_path):
    write_features(table(), tmp_path / 'x.npz')
    whole = (tmp_path / 'x.npz').read_bytes()
    array = io.BytesIO()
    np.save(array, table().features)
    for content in (whole[:200], whole[:-50], b'', b'rubbish', array.getvalue()):
        (tmp_path / 'x.npz').write_bytes(content)
        with pytest.raises(InputError, match='x.npz: not a file of features'):
            read_features(tmp_path / 'x.npz')
    header = io.BytesIO()
    claim = {'descr': '<f4', 'fortran_order': False, 'shape': (10**9, 10**6)}
    np.lib.format.write_array_header_1_0(header, claim)
    with zipfile.ZipFile(tmp_path / 'x.npz', 'w') as archive:
        archive.writestr('features.npy', header.getvalue())
        archive.writestr('path.npy', header.getvalue())
    with pytest.raises(InputError, match='x.npz: not a file of features'):
        read_features(tmp_path / 'x.npz')


def test_numbers_that_are_none(tmp_path):
    features = np.ones((3, 2))
    for bad in (np.nan, np.inf, 1e300):
        features[1] = bad
        np.savez(tmp_path / 'x.npz', path=['a.png', 'b.png', 'c.png'], features=features)
        with pytest.raises(InputError, match='1 photos contain NaN or infinity, .* b.png'):
            read_features(tmp_path / 'x.npz')


@pytest.mark.parametrize('shape', [(2,), (4, 2), (3, 0), (3, 2, 2)])
def test_shapes(tmp_path, shape):
    np.savez(tmp_path / 'x.npz', path=['a', 'b', 'c'], features=np.ones(shape))
    with pytest.raises(InputError, match='3 paths and the features have the shape'):
        read_features(tmp_path / 'x.npz')


def test_parquet_of_other_programs(tmp_path):
    arrow = pytest.importorskip('pyarrow')
    import pyarrow.parquet  # the module does not come with pyarrow itself

    def write(features):
        content = arrow.table({'path': ['a', 'b'], 'features': features})
        pyarrow.parquet.write_table(content, tmp_path / 'x.parquet')

    write([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(read_features(tmp_path / 'x.parquet').features, [[1, 2], [3, 4]])
    for bad in ([[1.0], [2.0, 3.0]], [None, [1.0]], ['x', 'y']):
        write(bad)
        with pytest.raises(InputError, match='x.parquet: not a file of features'):
            read_features(tmp_path / 'x.parquet')
    (tmp_path / 'x.parquet').write_bytes(b'rubbish')
    with pytest.raises(InputError, match='x.parquet: not a file of features'):
        read_features(tmp_path / 'x.parquet')


def test_paths_to_write_and_to_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    monkeypatch.setitem(sys.modules, 'pyarrow.parquet', None)
    assert check_path(tmp_path / 'x.npz') == tmp_path / 'x.npz'
    with pytest.raises(InputError, match='needs the package pyarrow: pip install pyarrow, or use'):
        check_path(tmp_path / 'x.parquet')
    (tmp_path / 'folder.npz').mkdir()
    for name in ('x.csv', 'x', 'folder.npz'):
        with pytest.raises(InputError, match='must end in .npz or .parquet'):
            check_path(tmp_path / name)
    for name in ('missing.npz', 'folder.npz', 'x.csv'):
        with pytest.raises(InputError, match='no such file of features'):
            read_features(tmp_path / name)
