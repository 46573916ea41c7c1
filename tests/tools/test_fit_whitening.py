"""fit_whitening, and TEST.WHITENING and TEST.PRECISION in tests, rank_photos and features."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import test_clipreid
from tests.tools.feature_worlds import options, untrained_world
from tools import evaluate_features, extract_features, fit_whitening, rank_photos
from utils import device
from utils.errors import InputError
from utils.files import sha256_file
from utils.whitening import DIMENSION, SHRINKAGE
from utils.whitening import fit_whitening as fit
from wildlife.features.files import read_features

pytestmark = pytest.mark.usefixtures('no_pictures')


@pytest.fixture(scope='module')
def world(tmp_path_factory, toy_weights):
    return untrained_world(tmp_path_factory.mktemp('whitening'), toy_weights)


@pytest.fixture(scope='module')
def features(world):
    return extract_features.main(options(world, '--out', world.folder / 'plain.npz'))


@pytest.fixture(scope='module')
def whitening(world):
    return fit_whitening.main(options(world, '--dimension', 12))


def by_hand(features):
    """Whitened, normalised features of all photos, by path; fitted on the train photos."""
    table = read_features(features)
    rows = [row for row, path in enumerate(table.paths) if '/train/' in path]
    classes = [(table.columns['individual'][row], table.columns['side'][row]) for row in rows]
    x = torch.from_numpy(table.features)
    whitened = F.normalize(fit(x[rows], classes, 12, 0.3)(x)).numpy()
    return dict(zip(table.paths, whitened, strict=True))


def nearest(folder):
    """(query, nearest photo, distance) by the last test in the folder."""
    table = np.genfromtxt(
        folder / 'ranked_lists.csv', delimiter=',', names=True, dtype=None, encoding='utf-8'
    )
    return [(row['query'], row['photo'], row['distance']) for row in table if row['rank'] == 1]


def test_a_test_with_whitening(world, whitening, features, tmp_path, capsys):
    assert whitening == world.folder / 'toy_whitening.safetensors'
    metrics = test_clipreid.main(
        options(world, 'TEST.WHITENING', whitening, 'OUTPUT_DIR', tmp_path)
    )
    rows = by_hand(features)
    for query, photo, distance in nearest(tmp_path):
        a, b = (rows[path.removeprefix(f'{world.folder}/')] for path in (query, photo))
        assert 1 - a @ b == pytest.approx(distance, abs=1e-4)
    found = json.loads((tmp_path / 'results.json').read_text())
    assert found['whitening']['sha256'] == sha256_file(whitening)
    text = '-> 12 dimensions, fitted on 24 train photos of 6 individuals, shrinkage 0.3'
    assert text in capsys.readouterr().out and found['metrics'] == metrics
    plain = test_clipreid.main(options(world, 'OUTPUT_DIR', tmp_path / 'plain'))
    assert plain != metrics
    card = json.loads((world.folder / 'card.json').read_text())
    assert [test['whitening'] for test in card['tests']] == [sha256_file(whitening), None]
    assert 'whitened' in (world.folder / 'card.md').read_text()


def test_features_and_ranks_are_whitened_too(world, whitening, features, tmp_path):
    words = ('TEST.WHITENING', whitening, '--out', tmp_path / 'x.npz')
    path = extract_features.main(options(world, *words))
    table, rows = read_features(path), by_hand(features)
    assert table.features.shape[1] == 12
    normal = table.features / np.linalg.norm(table.features, axis=1, keepdims=True)
    np.testing.assert_allclose(normal, [rows[each] for each in table.paths], atol=1e-4)
    with pytest.raises(InputError, match='these features are whitened already'):
        evaluate_features.main([str(path), *options(world, *words[:2], 'OUTPUT_DIR', tmp_path)])
    photo = world.folder / 'test/7/0.png'
    out = ('--photos', photo, '--out', tmp_path, 'TEST.WHITENING', whitening)
    first = rank_photos.main(options(world, *out))[1]
    a, b = rows['test/7/0.png'], rows[first['known_photo'].removeprefix(f'{world.folder}/')]
    assert 1 - a @ b == pytest.approx(float(first['distance']), abs=1e-4)


def test_of_features_from_a_file(world, features, whitening, tmp_path):
    words = ('--features', features, '--dimension', 12, '--out', tmp_path / 'w.safetensors')
    path = fit_whitening.main(options(world, *words))
    both = []
    for each in (path, whitening):
        out = ('TEST.WHITENING', each, 'OUTPUT_DIR', tmp_path / 'out')
        both.append(evaluate_features.main([str(features), *options(world, *out)]))
    assert both[0] == both[1] == test_clipreid.main(options(world, *out))


def test_rejected(world, whitening, features, tmp_path, monkeypatch):
    words = ('TEST.WHITENING', whitening, 'OUTPUT_DIR', tmp_path)
    with pytest.raises(InputError, match="its neck_feat is 'before', here it is 'after'"):
        test_clipreid.main(options(world, *words, 'TEST.NECK_FEAT', 'after'))
    with pytest.raises(InputError, match=r'its pixel_mean is .* here it is \[0.5, 0.5, 0.5\]'):
        test_clipreid.main(options(world, *words, 'INPUT.PIXEL_MEAN', '[0.5, 0.5, 0.5]'))
    other = tmp_path / 'other.pth'
    other.write_bytes(world.weight.read_bytes() + b'\0')
    with pytest.raises(InputError, match='belongs to another model or other settings: its model'):
        extract_features.main(options(world, *words, 'TEST.WEIGHT', other))
    table = read_features(features)
    np.savez(tmp_path / 'x.npz', path=table.paths, features=table.features)
    with pytest.raises(InputError, match='belongs to another model .* here it is None'):
        evaluate_features.main([str(tmp_path / 'x.npz'), *options(world, *words)])
    with pytest.raises(InputError, match='must end in .safetensors'):
        fit_whitening.main(options(world, '--out', tmp_path / 'w.npz'))
    monkeypatch.setattr('wildlife.features.whitening.load_train', None)  # nothing is read before
    with pytest.raises(InputError, match=f'there is no folder {tmp_path / "gone"}; create it'):
        fit_whitening.main(options(world, '--out', tmp_path / 'gone/w.safetensors'))
    for wrong in (('--dimension', 0), ('--shrinkage', 1.5)):
        with pytest.raises(SystemExit):
            fit_whitening.main(options(world, *wrong))
    assert not (tmp_path / 'results.json').exists()


def test_bf16_states_the_change(world, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, '_is_avx512_bf16_supported', lambda: True)
    monkeypatch.setattr(torch.cpu, '_is_amx_tile_supported', lambda: False)
    plain = test_clipreid.main(options(world, 'OUTPUT_DIR', tmp_path / 'plain'))
    out = ('OUTPUT_DIR', tmp_path / 'bf16', 'TEST.PRECISION', 'bf16', 'TEST.REPORT', True)
    metrics = test_clipreid.main(options(world, *out))
    found = json.loads((tmp_path / 'bf16/results.json').read_text())
    assert found['metrics_in_fp32'] == plain and found['metrics'] == metrics
    low, full = 100 * metrics['mAP'], 100 * plain['mAP']
    line = f'bf16: mAP {low:.2f}%, in fp32 {full:.2f}%, change {low - full:+.2f} points'
    log = (tmp_path / 'bf16/test_log.txt').read_text()
    assert 'features in bf16;' in (tmp_path / 'bf16/report.html').read_text()
    assert line in log and 'AVX512_BF16 but no AMX, so it may be slower than fp32' in log
    distances = [
        np.array([row[2] for row in nearest(tmp_path / name)]) for name in ('plain', 'bf16')
    ]
    assert 0 < np.abs(distances[0] - distances[1]).max() < 0.02


def test_bf16_without_the_instructions(world, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, '_is_avx512_bf16_supported', lambda: False)
    monkeypatch.setattr(torch.cpu, '_is_amx_tile_supported', lambda: False)
    with pytest.raises(InputError, match='this processor has neither AMX nor AVX512_BF16; set it'):
        test_clipreid.main(options(world, 'OUTPUT_DIR', tmp_path, 'TEST.PRECISION', 'bf16'))
    assert not (tmp_path / 'results.json').exists()
    with pytest.raises(InputError, match='the device is mps'):
        device.feature_autocast(torch.device('mps'), 'bf16')
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda **_: False)
    with pytest.raises(InputError, match='this GPU has no bf16'):
        device.feature_autocast(torch.device('cuda'), 'bf16')


def test_the_command_has_the_defaults_of_the_library():
    """They stand twice, so that --help need not wait for torch."""
    args = fit_whitening.parse(['--config_file', 'a.yml'])
    assert (args.dimension, args.shrinkage) == (DIMENSION, SHRINKAGE)
