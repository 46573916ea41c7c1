"""Features out and in: extract_features and evaluate_features against the test itself."""

import json
import os

import numpy as np
import pytest
import torch
from PIL.Image import Resampling
from torchvision.transforms import v2

import test_clipreid
from configs import load_cfg
from datasets.images import read_image
from tests.helpers import write_photo
from tests.timm_worlds import BYOB, pairs
from tests.tools.feature_worlds import options, untrained_world
from tools import evaluate_features, extract_features
from utils.distributed import Processes
from utils.errors import InputError, Stopped
from utils.files import sha256_file
from utils.run.session import evaluation_session
from wildlife.features import extract, parts
from wildlife.features.files import read_features
from wildlife.features.photos import photos_of_lists

pytestmark = pytest.mark.usefixtures('no_pictures')


@pytest.fixture(scope='module')
def world(tmp_path_factory, toy_weights):
    return untrained_world(tmp_path_factory.mktemp('features'), toy_weights)


@pytest.fixture(scope='module')
def extracted(world):
    """The file with the features of all splits."""
    return extract_features.main(options(world, '--out', world.folder / 'all.npz'))


@pytest.fixture(scope='module')
def tested(world):
    """results.json of test_clipreid, and its ranked lists."""
    out = world.folder / 'tested'
    test_clipreid.main(options(world, 'OUTPUT_DIR', out))
    return json.loads((out / 'results.json').read_text()), out


def evaluate(world, file, out, *words):
    evaluate_features.main([str(file), *options(world, 'OUTPUT_DIR', out, *words)])
    return json.loads((out / 'results.json').read_text())


def distances(folder):
    table = np.genfromtxt(folder / 'ranked_lists.csv', delimiter=',', names=True, dtype=None)
    return table['distance'], table['photo'].tolist()


def assert_same_test(found, expected):
    names = ('metrics', 'protocol', 'counts', 'data', 'copies_in_gallery')
    assert {name: found[name] for name in names} == {name: expected[name] for name in names}
    assert found['measures']['values'] == pytest.approx(expected['measures']['values'], abs=1e-6)
    for name, pair in expected['measures']['intervals'].items():
        assert found['measures']['intervals'][name] == pytest.approx(pair, abs=1e-6)


def test_the_file(world, extracted):
    table = read_features(extracted)
    assert len(table.paths) == 6 * 5 + 12 * 4 and table.features.dtype == np.float32
    for path, size in zip(table.paths, table.columns['bytes'], strict=True):
        assert os.path.getsize(world.folder / path) == size
    rows = {path: row for row, path in enumerate(table.paths)}
    columns = {name: table.columns[name] for name in ('individual', 'side', 'camera', 'encounter')}
    row = rows['photos/train/3/1.png']
    assert [values[row] for values in columns.values()] == ['train 3', '1', '', '']
    row = rows['test/9/2.png']
    assert [values[row] for values in columns.values()] == ['test 9', '', '', '']
    about = table.about
    assert about['model_sha256'] == sha256_file(world.weight) and about['neck_feat'] == 'before'
    assert (about['size'], about['pixel_mean'][0]) == ([32, 32], 0.485)
    assert about['precision'] == 'fp32' and about['whitening'] is None
    assert set(about['photos']) == {'train', 'val', 'query', 'gallery'}
    assert not list(world.folder.glob('*.parts'))


def test_our_own_features_equal_the_test(world, extracted, tested, tmp_path):
    expected, folder = tested
    found = evaluate(world, extracted, tmp_path)
    assert_same_test(found, expected)
    ours, photos = distances(tmp_path)
    theirs, same = distances(folder)
    assert photos == same
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert found['checkpoint'] == str(extracted)
    assert found['checkpoint_sha256'] == expected['checkpoint_sha256']
    assert found['features']['sha256'] == sha256_file(extracted)
    assert found['data']['query'] == found['features']['about']['photos']['query']


def test_report_and_re_ranking(world, extracted, tmp_path):
    words = ('OUTPUT_DIR', tmp_path, 'TEST.REPORT', True, '--rerank')
    metrics = evaluate_features.main([str(extracted), *options(world, *words)])
    assert f'Features from {extracted};' in (tmp_path / 'report.html').read_text()
    found = json.loads((tmp_path / 'results.json').read_text())
    assert found['re_ranking']['k1'] == 5 and found['metrics'] == metrics
    assert (tmp_path / 'queries.csv').exists() and (tmp_path / 'test_log.txt').exists()


def test_parquet_gives_the_same(world, extracted, tmp_path):
    pytest.importorskip('pyarrow')
    words = ('--out', tmp_path / 'x.parquet', '--splits', 'gallery', 'query')
    path = extract_features.main(options(world, *words))
    table, expected = read_features(path), read_features(extracted)
    assert len(table.paths) == 48 and '6/1.png' in table.paths
    rows = [expected.paths.index(f'test/{path}') for path in table.paths]
    np.testing.assert_allclose(table.features, expected.features[rows], atol=1e-5)
    assert table.about['photos'].keys() == {'query', 'gallery'}


class Tiny(torch.nn.Module):
    """Stands for a network of another library."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(3, 16, 8, stride=8)

    def forward(self, images, **_):
        return self.layer(images).relu().mean((2, 3))


def ten_lines(folder, network, path):
    """Features of a folder of photos by torchvision and a network: none of our code but the
    reading of a photo.
    """
    mean, std = load_cfg().INPUT.PIXEL_MEAN, load_cfg().INPUT.PIXEL_STD
    steps = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
    transform = v2.Compose(steps)
    paths = sorted(folder.rglob('*.png'))
    images = [read_image(str(path)).resize((32, 32), Resampling.BILINEAR) for path in paths]
    with torch.no_grad():
        features = network.eval()(torch.stack([transform(image) for image in images])).numpy()
    np.savez(path, path=[str(path.relative_to(folder)) for path in paths], features=features)


def test_features_of_other_programs_equal_our_own_path(world, tmp_path, monkeypatch):
    ten_lines(world.folder / 'test', Tiny(), tmp_path / 'x.npz')
    found = evaluate(world, tmp_path / 'x.npz', tmp_path / 'foreign')
    model = (Tiny(), {'checkpoint': str(world.weight), 'checkpoint_sha256': ''})
    monkeypatch.setattr('processor.encoder.load_model', lambda *_: model)
    test_clipreid.main(options(world, 'OUTPUT_DIR', tmp_path / 'own'))
    expected = json.loads((tmp_path / 'own/results.json').read_text())
    assert_same_test(found, expected)
    ours, photos = distances(tmp_path / 'foreign')
    theirs, same = distances(tmp_path / 'own')
    assert photos == same and 0.05 < found['metrics']['mAP'] < 0.95
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert found['checkpoint_sha256'] == ''


def test_a_killed_extraction_continues(world, extracted, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, 'PHOTOS', 20)
    batches, encode = [], extract.encode_batches

    def killed(*arguments):
        for batch in encode(*arguments):
            batches.append(len(batch))
            if sum(batches) == 48:
                raise Stopped(15)
            yield batch

    words = options(world, '--out', tmp_path / 'x.npz')
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(extract, 'encode_batches', killed)
        extract_features.main(words)
    assert not (tmp_path / 'x.npz').exists()
    names = sorted(path.name for path in (tmp_path / 'x.npz.parts').glob('*.npy'))
    assert names == ['000000000-000000020.npy', '000000020-000000040.npy']
    with pytest.raises(InputError, match=r'other features \(neck_feat differ\); delete this'):
        extract_features.main([*words, 'TEST.NECK_FEAT', 'after'])
    done = []
    monkeypatch.setattr(
        extract, 'encode_batches', lambda *a: (done.append(len(b)) or b for b in encode(*a))
    )
    extract_features.main(words)
    assert sum(done) == 38 and not (tmp_path / 'x.npz.parts').exists()
    table, whole = read_features(tmp_path / 'x.npz'), read_features(extracted)
    assert table.paths == whole.paths and table.about == whole.about
    np.testing.assert_allclose(table.features, whole.features, atol=1e-5)


def test_parts_of_random_weights_or_another_order_are_not_mixed(world, tmp_path, monkeypatch):
    monkeypatch.setattr(extract, '_join', lambda folder, *_: None)  # as if killed before it
    random = pairs(BYOB, '', 'MODEL.PRETRAIN_CHOICE', 'random', 'TEST.WEIGHT', 'start')
    words = options(world, '--out', tmp_path / 'x.npz', *random)
    extract_features.main([*words, '--splits', 'query', 'gallery'])
    before = np.load(next((tmp_path / 'x.npz.parts').glob('*.npy')))
    with pytest.raises(InputError, match=r'other features \(random_sha256 differ\)'):
        extract_features.main([*words, 'SOLVER.SEED', '77', '--splits', 'query', 'gallery'])
    monkeypatch.undo()
    extract_features.main([*words, '--splits', 'gallery', 'query'])  # in the same order
    table = read_features(tmp_path / 'x.npz')
    np.testing.assert_array_equal(table.features, before)
    assert table.paths == photos_of_lists(load_cfg(world.yml()), ['query', 'gallery']).paths


def test_several_processes_share_the_parts(world, extracted, tmp_path, monkeypatch):
    """Process 1 works while process 0 waits for it."""
    monkeypatch.setattr(parts, 'PHOTOS', 20)
    written, make_loader = {}, extract.make_photo_loader

    def counted(cfg, records, runtime, upright, batches):
        written[runtime.processes.rank] = sum(map(len, batches))
        return make_loader(cfg, records, runtime, upright, batches)

    monkeypatch.setattr(extract, 'make_photo_loader', counted)
    cfg = load_cfg(world.yml(), list(map(str, options(world)[2:])))
    states = []

    class Two(Processes):
        def broadcast(self, value):
            states.append(value)
            return states[0]

        def barrier(self):
            if self.main:
                run(Two(1, 2, 1, 2))

    def run(processes):
        runtime = session.runtime._replace(processes=processes)
        shared = type(session)(cfg, session.folder, runtime, session.cleanup)
        return extract.extract_to_file(shared, photos, tmp_path / 'x.npz')

    with evaluation_session(cfg, 'features') as session:
        photos = photos_of_lists(cfg)
        table = run(Two(0, 2, 0, 2))
    assert written == {0: 40, 1: 38}
    np.testing.assert_allclose(table.features, read_features(extracted).features, atol=1e-5)


def test_a_folder_of_photos(world, extracted, tmp_path):
    new = tmp_path / 'new'
    for number in range(3):
        write_photo(new / f'deep/{number}.png', 2, 20 + number)
    (new / 'broken.png').write_bytes(b'rubbish')
    (new / 'known.png').write_bytes((world.folder / 'test/7/1.png').read_bytes())
    words = ('--photos', new, '--out', tmp_path / 'x.npz')
    table = read_features(extract_features.main(options(world, *words)))
    assert table.paths == ['deep/0.png', 'deep/1.png', 'deep/2.png', 'known.png']
    assert set(table.columns['individual']) == set(table.columns['side']) == {''}
    whole = read_features(extracted)
    row = whole.paths.index('test/7/1.png')
    np.testing.assert_allclose(table.features[3], whole.features[row], atol=1e-5)
    assert table.about['upright'] and table.about['photos']['photos']['photos'] == 4


def test_an_earlier_file_is_kept(world, tmp_path):
    words = options(world, '--out', tmp_path / 'x.npz', '--splits', 'query')
    extract_features.main(words)
    before = (tmp_path / 'x.npz').read_bytes()
    extract_features.main(words)
    assert (tmp_path / 'x.1.npz').read_bytes() == before


def test_rejected(world, extracted, tmp_path, capsys):
    with pytest.raises(InputError, match='the config has no list of val; it has train, query'):
        extract_features.main(options(world, 'DATASETS.VAL_LIST', '', '--splits', 'val'))
    with pytest.raises(InputError, match='must end in .npz or .parquet'):
        extract_features.main(options(world, '--out', tmp_path / 'x.csv'))
    with pytest.raises(InputError, match='the camera or side of a photo, which is unknown'):
        words = ('--photos', world.folder / 'test', 'MODEL.SIE_VIEW', True)
        extract_features.main(options(world, *words))
    wrong = {
        "'vale' is none of train, val": ('--splits', 'vale', 'OUTPUT_DIR', 'x'),
        'exclude each other': ('--photos', 'x', '--splits', 'val'),
    }
    for text, words in wrong.items():
        with pytest.raises(SystemExit):
            extract_features.main(options(world, *words))
        assert text in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_features_of_other_photos_are_rejected(world, tmp_path):
    out = tmp_path / 'out'
    table = extract_features.main(options(world, '--out', tmp_path / 'x.npz', '--splits', 'train'))
    with pytest.raises(InputError, match='48 of 48 photos of the lists have no features'):
        evaluate(world, table, out)
    path = extract_features.main(
        options(world, '--out', tmp_path / 'y.npz', '--splits', 'query', 'gallery')
    )
    photo = world.folder / 'test/8/1.png'
    before = photo.read_bytes()
    try:
        photo.write_bytes(before + b'\0')
        with pytest.raises(InputError, match=r'y.npz: 1 of 48 photos have changed .*8/1.png'):
            evaluate(world, path, out)
    finally:
        photo.write_bytes(before)
    assert not (out / 'results.json').exists() and not (out / 'test_log.txt').exists()
