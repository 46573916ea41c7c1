"""Features and whitening of starting weights (TEST.WEIGHT start) of networks of timm."""

import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import test_clipreid
from tests.timm_worlds import BYOB, VIT, pairs, save_network
from tests.tools.feature_worlds import options, untrained_world
from tools import evaluate_features, extract_features, fit_whitening
from utils.errors import InputError
from utils.files import sha256_file
from utils.whitening import load_whitening
from wildlife.features.files import read_features

pytestmark = pytest.mark.usefixtures('no_pictures')


@pytest.fixture(scope='module')
def world(tmp_path_factory, toy_weights):
    world = untrained_world(tmp_path_factory.mktemp('start'), toy_weights)
    for name in (BYOB, VIT):
        save_network(world.folder / f'{name}.pth', name)
    return world


def start(world, name, *words):
    """A command line for the starting weights of a tiny network; mean and std are timm's."""
    own = pairs(name, world.folder / f'{name}.pth', 'TEST.WEIGHT', 'start')
    return options(world, *own, *words)


def ten_lines(folder, name, weights, path):
    """Features of a folder of photos by timm alone."""
    overlay = {'file': str(weights), 'custom_load': False}
    size = {'img_size': 32} if name == VIT else {}
    network = timm.create_model(
        name, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=0, **size
    ).eval()
    data = timm.data.resolve_data_config(model=network)
    data |= {'input_size': (3, 32, 32), 'interpolation': 'bilinear'}
    transform = timm.data.create_transform(**data | {'crop_pct': 1, 'crop_mode': 'squash'})
    paths = sorted(folder.rglob('*.png'))
    photos = torch.stack([transform(Image.open(each).convert('RGB')) for each in paths])
    with torch.no_grad():
        features = network(photos).numpy()
    np.savez(path, path=[str(each.relative_to(folder)) for each in paths], features=features)


def normalised(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def distances(folder):
    names = {'delimiter': ',', 'names': True, 'dtype': None, 'encoding': 'utf-8'}
    table = np.genfromtxt(folder / 'ranked_lists.csv', **names)
    return table['distance'], table['photo'].tolist()


@pytest.mark.parametrize('name', [BYOB, VIT])
def test_features_of_timm_alone_equal_our_own_path(world, tmp_path, name):
    ten_lines(world.folder / 'test', name, world.folder / f'{name}.pth', tmp_path / 'timm.npz')
    one, other = tmp_path / 'timm', tmp_path / 'own'
    evaluate_features.main([str(tmp_path / 'timm.npz'), *start(world, name, 'OUTPUT_DIR', one)])
    test_clipreid.main(start(world, name, 'OUTPUT_DIR', other))
    found, expected = (json.loads((each / 'results.json').read_text()) for each in (one, other))
    assert found['metrics'] == pytest.approx(expected['metrics'], abs=1e-6)
    assert found['data'] == expected['data'] and 0.05 < found['metrics']['mAP'] < 0.95
    for values in zip(
        found['measures']['intervals'].values(),
        expected['measures']['intervals'].values(),
        strict=True,
    ):
        assert values[0] == pytest.approx(values[1], abs=1e-6)
    (theirs, photos), (ours, same) = distances(one), distances(other)
    assert photos == same
    np.testing.assert_allclose(theirs, ours, atol=1e-6)

    words = ('--out', tmp_path / 'own.npz', '--splits', 'query', 'gallery')
    own = read_features(extract_features.main(start(world, name, *words)))
    assert own.about['model'] == str(world.folder / f'{name}.pth')
    assert own.about['model_sha256'] == sha256_file(own.about['model'])
    table = read_features(tmp_path / 'timm.npz')
    rows = [table.paths.index(path) for path in own.paths]
    ours, theirs = map(normalised, (own.features, table.features[rows]))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_whitened_starting_weights(world, tmp_path):
    """The whitening is in OUTPUT_DIR, and belongs to the file of these weights."""
    path = fit_whitening.main(start(world, BYOB, 'OUTPUT_DIR', tmp_path, '--dimension', 12))
    assert path == tmp_path / 'start_whitening.safetensors'
    sha256 = sha256_file(world.folder / f'{BYOB}.pth')
    facts = load_whitening(str(path), {'model_sha256': sha256}).facts
    assert facts['pixel_mean'] == [0.485, 0.456, 0.406] and facts['photos'] == 24
    words = ('OUTPUT_DIR', tmp_path, 'TEST.WHITENING', path)
    metrics = test_clipreid.main(start(world, BYOB, *words))
    out = ('--out', tmp_path / 'plain.npz', *words, 'TEST.WHITENING', '')
    plain = extract_features.main(start(world, BYOB, *out))
    assert metrics == pytest.approx(
        evaluate_features.main([str(plain), *start(world, BYOB, *words)]), abs=1e-6
    )
    assert metrics != test_clipreid.main(start(world, BYOB, *out[2:]))
    text = (tmp_path / 'card.md').read_text()
    assert 'the starting weights, untrained' in text and 'whitened' in text
    with pytest.raises(InputError, match='belongs to another model or other settings: its model'):
        test_clipreid.main(start(world, VIT, *words))
    with pytest.raises(InputError, match='belongs to another model or other settings: its model'):
        test_clipreid.main(options(world, *words))


def test_random_weights_have_no_whitening(world, tmp_path):
    words = ('MODEL.PRETRAIN_CHOICE', 'random', 'OUTPUT_DIR', tmp_path / 'out')
    with pytest.raises(InputError, match='these features are those of random weights; set'):
        fit_whitening.main(start(world, BYOB, *words))
    assert not list((tmp_path / 'out').glob('*.safetensors'))
