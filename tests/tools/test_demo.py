"""The demo's data: the same for the same seed, and not solved by the mean colour; its driver."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from configs import load_cfg
from datasets.records import read_list
from model.make_model_clipreid import make_model
from tests.helpers import ROOT
from tools.demo import __main__ as run_demo
from tools.demo import data
from tools.demo.animals import make_individual, take_photo
from tools.demo.data import draw, make_demo
from utils.errors import InputError


@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp('demo')
    make_demo(folder, seed=3, train_individuals=4, test_individuals=5)
    return folder


def test_same_seed_same_photos():
    a, b, c = (np.asarray(draw(seed, 2, 1)[0][0]) for seed in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_photos_of_an_individual_differ():
    photos = [np.asarray(photo, dtype=float) for photo, _ in draw(1, 0, 4)]
    assert min(np.abs(photos[0] - other).mean() for other in photos[1:]) > 10


def test_masks_show_where_the_animal_is():
    """Two individuals in the same pose and scene: their photos differ within the mask only."""
    animals = [make_individual(np.random.default_rng(seed)) for seed in (3, 4)]
    (a, mask), (b, other) = (take_photo(each, np.random.default_rng(5)) for each in animals)
    assert np.array_equal(mask, other)
    near = np.asarray(mask.filter(ImageFilter.MaxFilter(7))) > 0  # blur reaches beyond the edge
    differs = np.abs(np.asarray(a, dtype=float) - np.asarray(b)).max(axis=2) > 30
    assert not differs[~near].any()
    inside = np.asarray(mask) == 255
    assert 0.1 < inside.mean() < 0.6 and differs[inside].mean() > 0.3


def test_lists(demo):
    lists = {name: read_list(demo / f'{name}.txt') for name in ('train', 'val', 'query', 'gallery')}
    assert {r.pid for r in lists['train']} == {r.pid for r in lists['val']} == set(range(4))
    assert {r.pid for r in lists['query']} == {r.pid for r in lists['gallery']}
    assert not {r.path for r in lists['query']} & {r.path for r in lists['gallery']}
    for name, records in lists.items():
        root = demo / ('photos' if name in ('train', 'val') else 'test')
        for record in records:
            with Image.open(root / record.path) as image:
                image.load()
    tested = {record.path for name in ('query', 'gallery') for record in lists[name]}
    masks = {path.with_suffix('.jpg').name for path in (demo / 'masks').iterdir()}
    assert masks == tested


def mean_colours(folder, records):
    return np.array([np.asarray(Image.open(folder / r.path)).mean((0, 1)) for r in records])


def test_mean_colour_does_not_solve_it(demo):
    query, gallery = (read_list(demo / f'{name}.txt') for name in ('query', 'gallery'))
    colours = mean_colours(demo / 'test', query), mean_colours(demo / 'test', gallery)
    nearest = np.linalg.norm(colours[0][:, None] - colours[1][None], axis=2).argmin(1)
    same = [query[i].pid == gallery[n].pid for i, n in enumerate(nearest)]
    assert np.mean(same) < 0.6  # chance: 0.2


def test_the_command_draws_as_many_as_asked(tmp_path):
    data.main(['--out', str(tmp_path), '--individuals', '3', '2'])
    assert len(read_list(tmp_path / 'train.txt')) == 3 * 8
    assert len(read_list(tmp_path / 'query.txt')) == 2 * 3
    with pytest.raises(InputError, match='--individuals 3 1: give at least 2'):
        data.main(['--out', str(tmp_path), '--individuals', '3', '1'])


@pytest.mark.parametrize('kind', ['cnn', 'vit'])
def test_weights_fit_the_yml(demo, kind):
    cfg = load_cfg(ROOT / f'configs/demo/{kind}_clipreid.yml')
    path = demo / cfg.MODEL.PRETRAIN_PATH.rsplit('/', 1)[-1]
    cfg = load_cfg(ROOT / f'configs/demo/{kind}_clipreid.yml', ['MODEL.PRETRAIN_PATH', str(path)])
    assert make_model(cfg, 4).num_class == 4


@pytest.mark.parametrize(('after', 'code'), [(0.35, None), (0.29, 1)])
def test_too_small_a_gain_fails(monkeypatch, tmp_path, capsys, after, code):
    """The driver alone: its scripts are replaced, the untrained encoder scores 0.10."""
    written = {}

    def test(argv):
        opts = dict(zip(argv[2::2], argv[3::2]))
        found = {'mAP': 0.10 if opts['TEST.WEIGHT'] == 'start' else after, 'rank1': 0.5}
        written[opts['OUTPUT_DIR']] = found
        return found

    def read(folder):
        intervals = {'mAP': (0.2, 0.4)}
        measures = {'values': written[str(folder)], 'intervals': intervals, 'reason': ''}
        return SimpleNamespace(measures=measures)

    monkeypatch.setattr(run_demo, 'make_demo', lambda folder, seed: None)
    monkeypatch.setattr(run_demo.train_clipreid, 'main', lambda argv: None)
    monkeypatch.setattr(run_demo.test_clipreid, 'main', test)
    monkeypatch.setattr(run_demo.test_rerank_clipreid, 'main', test)
    monkeypatch.setattr(run_demo, 'read_result', read)
    if code:
        with pytest.raises(SystemExit) as stopped:
            run_demo.main(['--data', str(tmp_path)])
        assert stopped.value.code == code
    else:
        assert run_demo.main(['--data', str(tmp_path)])['after']['mAP'] == after
    assert len(written) == 3  # nothing is overwritten
    shown = capsys.readouterr().out
    assert 'ranked_lists.png' in shown and 'report.html' in shown
    assert f'{after:.3f} [0.200, 0.400]    0.500' in shown


@pytest.mark.slow
def test_the_demo_is_calm(tmp_path, monkeypatch, capsys):
    """A short run prints at most 40 lines; its log files hold everything."""
    monkeypatch.setattr(run_demo, 'make_demo', lambda folder, seed: make_demo(folder, seed, 8, 5))
    short = ('SOLVER.STAGE1.MAX_EPOCHS', '1', 'SOLVER.STAGE2.MAX_EPOCHS', '1')
    output = tmp_path / 'output'
    with contextlib.suppress(SystemExit):  # one epoch gains too little
        run_demo.main(['--data', str(tmp_path / 'data'), *short, 'OUTPUT_DIR', str(output)])
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) <= 40
    assert 'after re-ranking' in shown and 'Running with config' not in shown
    assert '10 query individuals, but the test has 5' in shown
    assert (output / 'report.html').is_file()
    for log in ('train_log.txt', 'test_log.txt', 'rerank/test_rerank_log.txt'):
        assert 'Running with config' in (output / log).read_text()
