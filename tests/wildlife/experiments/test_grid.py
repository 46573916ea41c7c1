"""Reading grids, and grids that cannot be used."""

import pytest

from configs import ConfigError
from tests.helpers import ROOT
from wildlife.experiments.grid import combinations, read_grid


def test_a_grid_is_read(grid_file, world):
    grid = read_grid(grid_file(train={'a': {'x': None, 'y': {'MODEL': {'PROMPT': 'X X X X'}}}}))
    assert grid.seeds == (1, 2) and grid.question == 'Does the text help?'
    assert grid.overrides == {'SOLVER.STAGE2.MAX_EPOCHS': 1, 'TEST.REPORT': False}
    assert grid.train == {'a': {'x': {}, 'y': {'MODEL.PROMPT': 'X X X X'}}}
    assert grid.test == {}
    folded = read_grid(grid_file(question='Does it\n  help?\n'))
    assert folded.question == 'Does it help?'  # it is the title of the picture


def test_the_command_line_overrides_the_file(grid_file):
    opts = ['SOLVER.STAGE2.MAX_EPOCHS', '3', 'MODEL.DEVICE', 'cpu']
    grid = read_grid(grid_file(config='missing.yml'), 'other.yml', opts)
    assert grid.config == 'other.yml'
    assert grid.overrides['SOLVER.STAGE2.MAX_EPOCHS'] == 3
    assert grid.overrides['MODEL.DEVICE'] == 'cpu'
    for opts, complaint in (
        (['MODEL.DEVICE'], 'command line: overrides come in pairs'),
        (['OUTPUT_DIR', 'x'], 'command line: OUTPUT_DIR cannot be set in a grid'),
    ):
        with pytest.raises(ConfigError, match=complaint):
            read_grid(grid_file(), '', opts)


def test_cells_are_all_combinations():
    axes = {'a': {'1': {'x': 1}, '2': {'x': 2}}, 'b': {'3': {'y': 3}, '4': {}}}
    assert combinations(axes) == [
        ({'a': '1', 'b': '3'}, {'x': 1, 'y': 3}),
        ({'a': '1', 'b': '4'}, {'x': 1}),
        ({'a': '2', 'b': '3'}, {'x': 2, 'y': 3}),
        ({'a': '2', 'b': '4'}, {'x': 2}),
    ]
    assert combinations({}) == [({}, {})]


NECK = {'before': {'TEST.NECK_FEAT': 'before'}, 'after': {'TEST.NECK_FEAT': 'after'}}


@pytest.mark.parametrize(
    'words, complaint',
    [
        ({'seed': [1]}, "unknown key 'seed'; did you mean seeds?"),
        ({'xyzzy': 1}, "unknown key 'xyzzy'; choose from question, config"),
        ({'train': {'text': {}}}, 'train: text is an empty axis; give it values'),
        ({'test': {'neck': None}}, 'test: neck is an empty axis'),
        ({'train': {'text': [1]}}, 'train: text must have names with values, got [1]'),
        ({'train': {'text': {'a': 3}}}, 'train: text: a must be settings such as'),
        (
            {'train': {'text': {'a': {'MODEL.PROMT': 'x'}}}},
            'train: text: a: unknown key MODEL.PROMT; did you mean MODEL.PROMPT?',
        ),
        (
            {'train': {'w': {'a': {'MODEL.I2T_LOSS_WEIGHT': -1}}}},
            'train: w: a: MODEL.I2T_LOSS_WEIGHT must not be negative, got -1',
        ),
        ({'overrides': {'SOLVER.SEED': 3}}, 'SOLVER.SEED cannot be set in a grid: list the seeds'),
        ({'overrides': {'OUTPUT_DIR': 'x'}}, 'OUTPUT_DIR cannot be set in a grid: each run has'),
        ({'seeds': []}, 'seeds must be a list of whole numbers'),
        ({'seeds': 5}, 'seeds must be a list of whole numbers'),
        ({'seeds': [1, -1]}, 'seeds: SOLVER.SEED must be between 0'),
        ({'seeds': [1, 2, 1]}, 'a seed is given twice'),
        ({'config': ''}, 'config is missing'),
        ({'config': 3}, 'config must be text, got 3'),
        ({'train': {'neck': NECK}, 'test': {'neck': NECK}}, 'neck is both under train and under'),
        (
            {'train': {'a': NECK}, 'test': {'b': NECK}},
            'TEST.NECK_FEAT is set by two axes, a and b',
        ),
        (
            {'test': {'margin': {'small': {'SOLVER.MARGIN': 0.1}}}},
            'test: margin sets SOLVER.MARGIN, but a test of a trained model can only change',
        ),
    ],
)
def test_a_grid_that_cannot_be_used(grid_file, words, complaint):
    path = grid_file(**words)
    with pytest.raises(ConfigError) as caught:
        read_grid(path)
    line = str(caught.value)
    assert complaint in line and str(path) in line and '\n' not in line


def test_a_broken_yml(tmp_path):
    path = tmp_path / 'grid.yml'
    for text, complaint in (
        ('seeds: [1, 2', 'not a readable YAML file'),
        ('- 1', 'expected sections'),
        ('seeds: [1]\nseeds: [2]', 'seeds is given twice'),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=complaint):
            read_grid(path)
    with pytest.raises(ConfigError, match='does not exist'):
        read_grid(tmp_path / 'missing.yml')


@pytest.mark.parametrize('path', sorted((ROOT / 'configs/experiments').glob('*.yml')))
def test_shipped_grids(path):
    grid = read_grid(path)
    assert len(grid.seeds) >= 5 and grid.question
    assert (ROOT / grid.config).is_file()
