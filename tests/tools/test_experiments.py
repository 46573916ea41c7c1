"""A whole grid: run, interrupted, repeated; its table."""

# ruff: noqa: F401, F811  two fixtures are those of another folder

import json
import re
import statistics
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from configs import ConfigError
from tests.helpers import write_world
from tests.utils.run.interrupted import assert_same_run, stop_after
from tests.wildlife.experiments.conftest import grid_file, in_process  # noqa: F401 fixtures
from tools import experiments
from utils.errors import InputError, exit_code
from utils.files import make_output_dir
from utils.run.lock import output_lock


def run(path, out, *options):
    """Return the exit code of the command."""
    try:
        return exit_code(
            lambda: experiments.main([str(path), f'--out={out}', *options]), ConfigError
        )
    except SystemExit as end:
        return end.code


def results(out, name):
    paths = sorted(Path(out).rglob(f'{name}/*/test_default/results.json'))
    return [json.loads(path.read_text()) for path in paths]


def test_a_grid_gives_a_table(grid_file, world, in_process, tmp_path, capsys):
    write_world(world.folder, test=12)  # enough individuals for intervals
    out, path = tmp_path / 'out', grid_file()
    assert run(path, out, '--dry-run') == 0 and not out.exists() and not in_process
    text = capsys.readouterr().out
    assert '2 cells x 2 seeds: 4 trainings (0 done), 4 tests (0 done)' in text
    # stage 1 has 2 epochs or none, stage 2 has one; 6 individuals with 4 photos each
    assert '4 trainings, together 8 epochs x 24 photos, and 4 tests; the time is unknown' in text

    assert run(path, out) == 0
    assert len(in_process) == 8
    screen = capsys.readouterr().out
    finished = re.findall(r'^mAP \d+\.\d%, rank-1 \d+\.\d%  .*/test_default', screen, re.M)
    assert len(finished) == 4
    table = pd.read_csv(out / 'grid/table.csv').set_index(['text', 'metric'])
    none = 'MODEL.I2T_LOSS_WEIGHT=0.0,SOLVER.STAGE1.MAX_EPOCHS=0'
    for name, folder in (('learned', 'default'), ('none', none)):
        for metric in ('mAP', 'rank1'):
            values = [each['metrics'][metric] for each in results(out, folder)]
            row = table.loc[(name, metric)]
            assert len(values) == row['seeds'] == 2
            assert row['mean'] == pytest.approx(statistics.mean(values))
            assert row['sd'] == pytest.approx(statistics.stdev(values))
            assert row['low'] <= row['mean'] <= row['high']
    first, second = table.loc[('learned', 'mAP')], table.loc[('none', 'mAP')]
    assert second['difference'] == pytest.approx(second['mean'] - first['mean'])
    assert second['individuals low'] <= second['difference'] <= second['individuals high']
    assert pd.isna(first['difference']) and 0 < second['seeds p'] <= 1

    content = json.loads((out / 'grid/table.json').read_text())
    assert content['question'] == 'Does the text help?' and len(content['rows']) == 4
    assert all(Path(folder).is_dir() for cell in content['cells'] for folder in cell['folders'])
    markdown = (out / 'grid/table.md').read_text()
    assert markdown in screen and '| learned | 2 |' in markdown
    assert f'{100 * second["difference"]:+.1f}' in markdown
    with Image.open(out / 'grid/table.png') as picture:
        assert picture.width > 600

    in_process.clear()
    assert run(path, out) == 0 and not in_process  # all is done
    assert '4 trainings (4 done), 4 tests (4 done)\nto do: nothing\n' in capsys.readouterr().out


def test_an_interrupted_grid_continues_bit_for_bit(
    grid_file, in_process, tmp_path, monkeypatch, capsys
):
    path = grid_file(seeds=[7], train={})
    assert run(path, tmp_path / 'whole') == 0
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        assert run(path, tmp_path / 'out') == 1
    assert 'failed (exit code 143)' in capsys.readouterr().out
    assert run(path, tmp_path / 'out', '--dry-run') == 0
    assert 'to resume ' in capsys.readouterr().out
    assert run(path, tmp_path / 'out') == 0
    whole, resumed = (next((tmp_path / n).rglob('seed7')) for n in ('whole', 'out'))
    assert_same_run(whole, resumed)
    assert 'Resumed: ' in (resumed / 'train_log.txt').read_text()


def test_a_model_or_a_setting_that_has_changed_is_tested_again(
    grid_file, in_process, tmp_path, capsys
):
    out = tmp_path / 'out'
    assert run(grid_file(seeds=[7], train={}), out) == 0
    neck = {'neck': {'before': {}, 'after': {'TEST.NECK_FEAT': 'after'}}}
    in_process.clear()
    assert run(grid_file(seeds=[7], train={}, test=neck), out) == 0
    assert [folder.name for folder in in_process] == ['test_TEST.NECK_FEAT=after']
    model = next(out.rglob('RN50_1.pth'))
    model.write_bytes(next(out.rglob('RN50_stage1_2.pth')).read_bytes())
    in_process.clear()
    assert run(grid_file(seeds=[7], train={}), out) == 0
    assert [folder.name for folder in in_process] == ['test_default']
    assert 'an interval needs at least 10 query individuals' in capsys.readouterr().out


@pytest.mark.parametrize('order', [('good', 'bad'), ('bad', 'good')])
def test_a_failed_run_leaves_a_table_of_the_others(grid_file, in_process, tmp_path, capsys, order):
    values = {'good': {}, 'bad': {'MODEL.PRETRAIN_PATH': str(tmp_path / 'missing.pth')}}
    path = grid_file(seeds=[1], train={'start': {name: values[name] for name in order}})
    assert run(path, tmp_path / 'out') == 1
    found = capsys.readouterr()
    assert '1 run failed: ' in found.err and 'missing.pth' in found.out
    text = (tmp_path / 'out/grid/table.md').read_text()
    assert '| good | 1 |' in text and 'bad: 1 of 1 runs failed.' in text
    assert ('No differences: bad, the first of the grid, has failed.' in text) == (
        order[0] == 'bad'
    )


@pytest.mark.parametrize(
    'words, complaint',
    [
        ({'train': {'text': {}}}, 'train: text is an empty axis'),
        ({'seeds': [1, 1]}, 'a seed is given twice'),
        ({'overides': {}}, 'did you mean overrides?'),
        ({'overrides': {'TEST.NECK': 'after'}}, 'did you mean'),
        ({'overrides': {'DATASETS.TRAIN_LIST': 'missing.txt'}}, 'missing.txt'),
        ({'overrides': {'DATASETS.QUERY_LIST': 'missing.txt'}}, 'missing.txt'),
        (
            {'train': {'list': {'own': {}, 'other': {'DATASETS.TRAIN_LIST': 'missing.txt'}}}},
            'missing.txt',
        ),
        (
            {'test': {'list': {'own': {}, 'other': {'DATASETS.QUERY_LIST': 'missing.txt'}}}},
            'missing.txt',
        ),
    ],
)
def test_bad_input_writes_nothing(grid_file, tmp_path, capsys, words, complaint):
    assert run(grid_file(**words), tmp_path / 'out') == 2
    line = capsys.readouterr().err
    assert line.startswith('error: ') and complaint in line and line.count('\n') == 1
    assert not (tmp_path / 'out').exists()


def test_two_runs_in_one_folder(grid_file, world, in_process, tmp_path, capsys):
    out = tmp_path / 'out'
    with output_lock(make_output_dir(out), 'experiments'):
        assert run(grid_file(), out) == 2
    assert not in_process and 'process ' in capsys.readouterr().err
    assert run(grid_file(seeds=[1], train={}), out) == 0
    config = Path(world.yml())
    config.write_text(config.read_text().replace('PADDING: 2', 'PADDING: 3'))
    path = tmp_path / 'again.yml'
    path.write_text((tmp_path / 'grid.yml').read_text())
    with pytest.raises(InputError, match=r'other settings: INPUT.PADDING 3 \(was 2\); choose an'):
        experiments.main([str(path), f'--out={out}'])
