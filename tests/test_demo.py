"""The demo's data: the same for the same seed, lists that fit, individuals apart, no way out by the mean colour."""
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from configs import load_cfg
from datasets.records import read_list
from model.make_model_clipreid import make_model
from tools.make_demo import draw, make_demo


@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp('demo')
    make_demo(folder, seed=3, train_individuals=4, test_individuals=5)
    return folder


def test_same_seed_same_photos():
    a, b, c = (np.asarray(draw(seed, 2, 1)[0]) for seed in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_photos_of_an_individual_differ():
    photos = [np.asarray(p, dtype=float) for p in draw(1, 0, 4)]
    assert min(np.abs(photos[0] - other).mean() for other in photos[1:]) > 10


def test_lists(demo):
    lists = {name: read_list(demo / f'{name}.txt') for name in ('train', 'val', 'query', 'gallery')}
    assert {r.pid for r in lists['train']} == {r.pid for r in lists['val']} == set(range(4))
    assert {r.pid for r in lists['query']} == {r.pid for r in lists['gallery']}
    assert not {r.path for r in lists['query']} & {r.path for r in lists['gallery']}
    for name, records in lists.items():
        for record in records:
            with Image.open(demo / ('photos' if name in ('train', 'val') else 'test') / record.path) as image:
                image.load()


def test_mean_colour_does_not_solve_it(demo):
    query, gallery = (read_list(demo / f'{name}.txt') for name in ('query', 'gallery'))
    colour = [np.array([np.asarray(Image.open(demo / 'test' / r.path)).mean((0, 1)) for r in part])
              for part in (query, gallery)]
    nearest = np.linalg.norm(colour[0][:, None] - colour[1][None], axis=2).argmin(1)
    assert np.mean([query[i].pid == gallery[n].pid for i, n in enumerate(nearest)]) < 0.6  # chance: 0.2


@pytest.mark.parametrize('kind', ['cnn', 'vit'])
def test_weights_fit_the_yml(demo, kind):
    cfg = load_cfg(ROOT / f'configs/demo/{kind}_clipreid.yml')
    path = demo / cfg.MODEL.PRETRAIN_PATH.rsplit('/', 1)[-1]
    cfg = load_cfg(ROOT / f'configs/demo/{kind}_clipreid.yml', ['MODEL.PRETRAIN_PATH', str(path)])
    assert make_model(cfg, 4).num_class == 4
