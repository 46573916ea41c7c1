"""Which runs a grid needs, and in which folders.

    <out>/runs/<config>/<what the training sets>/seed1/              OUTPUT_DIR of a training
    <out>/runs/<config>/<what the training sets>/seed1/test_<what>/  OUTPUT_DIR of a test

A folder is named by the settings that differ from the yml, so grids with the same ``out`` share
the trainings that they have in common.
"""

import hashlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs import ConfigError, check_together, ignored_keys, read_file, with_defaults
from model.names import file_stem
from wildlife.experiments.grid import OWN, WITHOUT_EFFECT, Grid, Values, combinations

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = 'default'  # the name of no settings
LONGEST = 100  # characters of a folder's name


@dataclass(frozen=True)
class Run:
    """A call of train_clipreid.py or of test_clipreid.py.

    Attributes:
        folder: Its OUTPUT_DIR.
        config_file: Its yml.
        changes: What it sets besides the yml, with the seed.
        values: The config that decides the result: key -> value.
        checkpoint: The model that a training writes, or that a test reads.
        is_test: Whether it is a test.
    """

    folder: Path
    config_file: str
    changes: Values
    values: Values
    checkpoint: Path
    is_test: bool

    @property
    def words(self) -> list[str]:
        """KEY VALUE pairs, without those of folders."""
        pairs = [(key, _as_word(value)) for key, value in self.changes.items()]
        return [word for pair in pairs for word in pair]

    @property
    def command(self) -> list[str]:
        """The command with its arguments."""
        program = 'test_clipreid.py' if self.is_test else 'train_clipreid.py'
        command = [sys.executable, str(ROOT / program), '--config_file', self.config_file]
        command += [*self.words, 'OUTPUT_DIR', _as_word(str(self.folder))]
        if self.is_test:
            return [*command, 'TEST.WEIGHT', _as_word(str(self.checkpoint))]
        return [*command, '--resume']


@dataclass(frozen=True)
class Training:
    """A training and the tests of its model."""

    run: Run
    tests: tuple[Run, ...]


@dataclass(frozen=True)
class Cell:
    """A combination of settings.

    Attributes:
        labels: Axis -> name of its value.
        changes: What it sets besides the yml, without the seed.
        tests: One test for each seed.
    """

    labels: dict[str, str]
    changes: Values
    tests: tuple[Run, ...]

    @property
    def name(self) -> str:
        """The names of its values."""
        return name_of(self.labels)


@dataclass(frozen=True)
class Plan:
    """The cells of a grid in their order, and the trainings that they need, seed by seed."""

    cells: tuple[Cell, ...]
    trainings: tuple[Training, ...]


def make_plan(grid: Grid, out: Path) -> Plan:
    """Return the runs of a grid.

    Args:
        grid: The grid.
        out: The folder for all runs.

    Raises:
        ConfigError: Settings do not fit together, or two cells would be the same runs.
    """
    of_file = read_file(grid.config)
    base = of_file | grid.overrides
    folder = out / 'runs' / _config_name(grid.config, _changes(of_file, with_defaults(base)))
    tests: dict[tuple[int, int], list[Run]] = {}
    trainings = []
    for seed in grid.seeds:
        for row, (_, settings) in enumerate(combinations(grid.train)):
            training = _make_training(grid, folder, of_file, base, settings | {'SOLVER.SEED': seed})
            trainings.append(training)
            for column, test in enumerate(training.tests):
                tests.setdefault((row, column), []).append(test)
    cells = _make_cells(grid, tests)
    _check_folders(grid, cells)
    return Plan(cells, tuple(trainings))


def _make_training(
    grid: Grid, folder: Path, of_file: Values, base: Values, settings: Values
) -> Training:
    values = with_defaults(base | settings)
    _check(values, grid, settings)
    own = folder / folder_name(_changes(base, values)) / f'seed{values["SOLVER.SEED"]}'
    stem = f'{file_stem(values["MODEL.NAME"])}_{values["SOLVER.STAGE2.MAX_EPOCHS"]}'
    checkpoint = own / f'{stem}.{values["SOLVER.CHECKPOINT_FORMAT"]}'
    tests = []
    for _, changed in combinations(grid.test):
        of_test = values | changed
        _check(of_test, grid, settings | changed)
        name = f'test_{folder_name(difference(values, of_test))}'
        tests.append(_make_run(grid, own / name, of_file, of_test, checkpoint, True))
    return Training(_make_run(grid, own, of_file, values, checkpoint, False), tuple(tests))


def _make_run(
    grid: Grid, folder: Path, of_file: Values, values: Values, checkpoint: Path, is_test: bool
) -> Run:
    changes = _changes(of_file, values) | {'SOLVER.SEED': values['SOLVER.SEED']}
    return Run(folder, grid.config, changes, decisive(values), checkpoint, is_test)


def _check(values: Values, grid: Grid, settings: Values) -> None:
    try:
        check_together(values)
    except ConfigError as error:
        raise ConfigError(f'{grid.path}: with {folder_name(settings)}: {error}') from None
    if not values['SOLVER.STAGE2.MAX_EPOCHS']:
        raise ConfigError(
            f'{grid.path}: SOLVER.STAGE2.MAX_EPOCHS is 0 with {folder_name(settings)}: there would '
            'be no model to test; set it to 1 or more'
        )


def _make_cells(grid: Grid, tests: Mapping[tuple[int, int], list[Run]]) -> tuple[Cell, ...]:
    cells = []
    for row, (of_training, _) in enumerate(combinations(grid.train)):
        for column, (of_test, _) in enumerate(combinations(grid.test)):
            runs = tests[row, column]
            changes = {key: v for key, v in runs[0].changes.items() if key != 'SOLVER.SEED'}
            cells.append(Cell(of_training | of_test, changes, tuple(runs)))
    return tuple(cells)


def _check_folders(grid: Grid, cells: tuple[Cell, ...]) -> None:
    seen: dict[Path, Cell] = {}
    for cell in cells:
        earlier = seen.setdefault(cell.tests[0].folder, cell)
        if earlier is not cell:
            raise ConfigError(
                f'{grid.path}: {earlier.name!r} and {cell.name!r} are the same runs, in one '
                f'folder ({cell.tests[0].folder}); delete one of them, or change what it sets'
            )


def name_of(labels: Mapping[str, str]) -> str:
    """Return the names of the values of a cell as one name."""
    return ', '.join(labels.values()) or 'all runs'


def decisive(values: Mapping[str, Any]) -> Values:
    """Return the values that decide the result of a run, without those that say where it is."""
    left_out = WITHOUT_EFFECT | ignored_keys() | (OWN.keys() - {'SOLVER.SEED'})
    return {key: value for key, value in values.items() if key not in left_out}


def difference(before: Values, after: Values) -> Values:
    """Return the values of ``after`` that differ from ``before``."""
    return {key: value for key, value in after.items() if value != before[key]}


def _changes(given: Values, values: Values) -> Values:
    """Return what must be set besides ``given`` to get ``values``.

    Defaults that depend on the network are those of the network of ``values``.
    """
    name = 'MODEL.NAME'
    plain = with_defaults(given | {name: values[name]}) | {name: with_defaults(given)[name]}
    return difference(plain, values)


def folder_name(settings: Mapping[str, Any]) -> str:
    """Return settings as the name of a folder, without the seed; 'default' for none.

    Long names are cut, and letters that a folder's name cannot have replaced; a checksum then
    tells such names apart.
    """
    named = sorted(decisive(settings).items())
    pairs = [f'{key}={value}' for key, value in named if key != 'SOLVER.SEED']
    whole = ','.join(pairs) or DEFAULT
    plain = re.sub(r'[^\w.,=+-]+', '_', whole)[:LONGEST]
    return plain if plain == whole else f'{plain}-{_checksum(whole)}'


def _config_name(config: str, common: Values) -> str:
    """Return the folder's name for all runs of a yml with the overrides that they share."""
    path = Path(config)
    name, settings = f'{path.parent.name}-{path.stem}'.lstrip('-'), folder_name(common)
    return name if settings == DEFAULT else f'{name}-{_checksum(settings)}'


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _as_word(value: object) -> str:
    """Return a value as a word of the command line; quoted text is read as it is."""
    return repr(value)
