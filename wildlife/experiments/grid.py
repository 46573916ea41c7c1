"""Reads a grid: the settings to compare, and the seeds of each.

    question: Does the text side help?
    config: configs/demo/cnn_clipreid.yml     # relative to the folder in which the command runs
    seeds: [1, 2, 3, 4, 5]
    overrides: {DATALOADER.NUM_WORKERS: 0}    # in every run
    train:                                    # axes whose values need a training of their own
      text:
        learned: {}
        none: {SOLVER.STAGE1.MAX_EPOCHS: 0, MODEL.I2T_LOSS_WEIGHT: 0}
    test:                                     # axes that only change the test of a model
      neck:
        before: {TEST.NECK_FEAT: before}
        after: {TEST.NECK_FEAT: after}

The grid has a cell for each combination of the axes' values.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs import ConfigError, flatten, read_pairs, read_values, read_yml
from configs.rules import expand_home, shown
from utils.words import did_you_mean, first_few, one_line, shortened

Values = dict[str, Any]  # key of the config -> value
Axes = dict[str, dict[str, Values]]  # axis -> name of a value -> what it sets

WORDS = ('question', 'config', 'seeds', 'overrides', 'train', 'test')
# Keys that the grid sets itself.
OWN = {
    'SOLVER.SEED': 'list the seeds under seeds',
    'SOLVER.RESUME': 'interrupted trainings resume in any case',
    'OUTPUT_DIR': 'each run has its own folder; --out says where',
    'TEST.WEIGHT': 'each test reads the model of its training',
}
# Keys that do not change a result: no folder is named by them, and a resumed run may change them.
WITHOUT_EFFECT = {
    'DATALOADER.NUM_WORKERS',
    'DATALOADER.CACHE_GB',
    'SOLVER.RESUME_PERIOD',
    'SOLVER.CHECKPOINT_MINUTES',
    'SOLVER.STAGE1.LOG_PERIOD',
    'SOLVER.STAGE2.LOG_PERIOD',
    'SOLVER.STAGE1.CHECKPOINT_PERIOD',
    'SOLVER.STAGE2.CHECKPOINT_PERIOD',
    'TEST.REPORT',
    'TEST.EXPLAIN',
    'TEST.BASELINES',
}
TEST_SECTIONS = ('TEST.', 'DATASETS.')  # what an axis of tests may set


@dataclass(frozen=True)
class Grid:
    """The content of a grid file.

    Attributes:
        path: The file.
        question: What the grid is to answer; '' if the file does not say.
        config: The yml of all runs.
        seeds: One or more.
        overrides: What all runs set.
        train: The axes that need trainings of their own.
        test: The axes that only change the test.
    """

    path: Path
    question: str
    config: str
    seeds: tuple[int, ...]
    overrides: Values
    train: Axes
    test: Axes


def combinations(axes: Axes) -> list[tuple[dict[str, str], Values]]:
    """Return each combination of the axes' values: (axis -> name of its value, what it sets)."""
    found = []
    for names in itertools.product(*axes.values()):
        labels = dict(zip(axes, names, strict=True))
        settings: Values = {}
        for axis, name in labels.items():
            settings |= axes[axis][name]
        found.append((labels, settings))
    return found


def read_grid(path: Path, config: str = '', opts: Sequence[str] = ()) -> Grid:
    """Read and check a grid file.

    Args:
        path: The file.
        config: A yml that replaces the one that the file names, '' = none.
        opts: ``KEY, VALUE, KEY, VALUE …`` of the command line: further overrides of all runs.

    Raises:
        ConfigError: The file cannot be used; the message is one line.
    """
    tree = read_yml(path)
    for word in tree:
        if word not in WORDS:
            hint = did_you_mean(str(word), WORDS) or f'; choose from {", ".join(WORDS)}'
            raise ConfigError(f'{path}: unknown key {shortened(str(word))!r}{hint}')
    grid = Grid(
        path=path,
        question=one_line(_text(tree, 'question', path)),  # a title
        config=config or _config(tree, path),
        seeds=_seeds(tree.get('seeds'), path),
        overrides=_settings(tree.get('overrides'), f'{path}: overrides')
        | _without_own(read_pairs(opts), 'command line'),
        train=_axes(tree, 'train', path),
        test=_axes(tree, 'test', path),
    )
    if not grid.config:
        raise ConfigError(f'{path}: config is missing; name the yml of the runs, or --config_file')
    _check_axes(grid)
    return grid


def _text(tree: Mapping[Any, Any], word: str, path: Path) -> str:
    text = tree.get(word, '')
    if not isinstance(text, str):
        raise ConfigError(f'{path}: {word} must be text, got {shown(text)}')
    return text


def _config(tree: Mapping[Any, Any], path: Path) -> str:
    try:
        return expand_home(_text(tree, 'config', path))
    except ValueError as error:
        raise ConfigError(f'{path}: config {error}') from None


def _seeds(seeds: object, path: Path) -> tuple[int, ...]:
    if not isinstance(seeds, list) or not seeds:
        raise ConfigError(f'{path}: seeds must be a list of whole numbers, such as [1, 2, 3, 4, 5]')
    read = [read_values([('SOLVER.SEED', seed)], f'{path}: seeds') for seed in seeds]
    found = tuple(values['SOLVER.SEED'] for values in read)
    if len(set(found)) < len(found):
        raise ConfigError(
            f'{path}: a seed is given twice in seeds: {seeds}; it would run only once'
        )
    return found


def _settings(tree: object, where: str) -> Values:
    """Check what a value of an axis sets. None stands for nothing."""
    if not isinstance(tree, Mapping | None):
        raise ConfigError(
            f'{where} must be settings such as {{MODEL.PROMPT_START: number}}, or {{}} for none, '
            f'got {shown(tree)}'
        )
    return _without_own(read_values(flatten(tree or {}).items(), where), where)


def _without_own(settings: Values, where: str) -> Values:
    """Return settings; raise ``ConfigError`` for a key that the grid sets itself."""
    for key, reason in OWN.items():
        if key in settings:
            raise ConfigError(f'{where}: {key} cannot be set in a grid: {reason}')
    return settings


def _axes(tree: Mapping[Any, Any], word: str, path: Path) -> Axes:
    axes: Axes = {}
    for axis, values in _section(tree.get(word, {}), f'{path}: {word}').items():
        where = f'{path}: {word}: {axis}'
        axes[str(axis)] = {
            str(name): _settings(settings, f'{where}: {name}')
            for name, settings in _section(values, where).items()
        }
        if not axes[str(axis)]:
            raise ConfigError(
                f'{where} is an empty axis; give it values, such as {{off: {{}}, on: '
                '{TEST.RE_RANKING: True}}, or delete it'
            )
    return axes


def _section(tree: object, where: str) -> Mapping[Any, Any]:
    if not isinstance(tree, Mapping | None):
        raise ConfigError(f'{where} must have names with values, got {shown(tree)}')
    return tree or {}


def _check_axes(grid: Grid) -> None:
    """Check that no axis repeats another, and that axes of tests set nothing of a training."""
    if both := grid.train.keys() & grid.test.keys():
        raise ConfigError(f'{grid.path}: the axis {both.pop()} is both under train and under test')
    owners: dict[str, str] = {}
    for axis, values in (grid.train | grid.test).items():
        keys = {key for settings in values.values() for key in settings}
        for key in sorted(keys):
            if key in owners:
                raise ConfigError(
                    f'{grid.path}: {key} is set by two axes, {owners[key]} and {axis}; a key '
                    'belongs to one axis'
                )
            owners[key] = axis
        wrong = sorted(key for key in keys if not key.startswith(TEST_SECTIONS))
        if axis in grid.test and wrong:
            raise ConfigError(
                f'{grid.path}: test: {axis} sets {first_few(wrong)}, but a test of a trained model '
                f'can only change {" and ".join(TEST_SECTIONS)}*; move the axis to train'
            )
