"""What is done of a plan, and what is left: the notes beside the runs."""

import functools
import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from configs.defaults import RULES
from configs.rules import AUTO, NumberOrAuto
from model.names import is_timm
from utils.errors import InputError
from utils.files import sha256_file, write_json
from utils.words import first_few
from wildlife.experiments.plan import Run, Training, decisive, difference
from wildlife.report.results import read_result

NOTE = 'experiment.json'  # in the folder of each run
NOTED: dict[str, type] = {'seconds': float, 'finished': bool, 'config': dict}  # its content


def read_note(run: Run) -> dict[str, Any]:
    """Return what is known of a run: 'seconds', 'finished', 'config'; empty if it never started.

    Raises:
        InputError: The note cannot be read.
    """
    path = run.folder / NOTE
    try:
        note = json.loads(path.read_text(encoding='utf-8'))
        if not isinstance(note, dict) or not all(
            isinstance(note.get(name), kind) for name, kind in NOTED.items()
        ):
            raise ValueError(f'{", ".join(NOTED)} expected')
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f'{path}: cannot be read ({error}); delete it') from error
    return note


def add_note(run: Run, seconds: float, finished: bool) -> None:
    """Note that a run took ``seconds`` more, and whether it is finished."""
    total = read_note(run).get('seconds', 0.0) + seconds
    note = {'seconds': round(total, 1), 'finished': finished, 'config': run.values}
    write_json(run.folder / NOTE, note)


def check_folder(run: Run) -> None:
    """Check that the folder of a training holds no other run.

    Raises:
        InputError: It does; the message names the keys.
    """
    earlier = read_note(run).get('config', {})
    here = _plain({key: value for key, value in run.values.items() if key in earlier})
    changed = difference({key: earlier[key] for key in here}, here)
    if changed:
        listed = [f'{key} {value!r} (was {earlier[key]!r})' for key, value in changed.items()]
        raise InputError(
            f'{run.folder} holds a run with other settings: {first_few(listed)}; choose another '
            '--out, delete that folder, or restore the settings'
        )


def is_trained(training: Training) -> bool:
    """Return whether a training is finished and its model is there."""
    run = training.run
    return bool(read_note(run).get('finished')) and run.checkpoint.is_file()


def is_tested(test: Run) -> bool:
    """Return whether the result of a test is there: of the same settings and the same model."""
    try:
        result = read_result(test.folder)
        same_model = result.facts['checkpoint_sha256'] == checkpoint_sha256(test.checkpoint)
    except (InputError, OSError, KeyError):
        return False
    planned, found = _plain(test.values), decisive(result.config)
    if is_timm(planned['MODEL.NAME']):  # results have timm's numbers for what nothing sets
        for key, rule in RULES.items():
            if isinstance(rule, NumberOrAuto) and planned[key] == AUTO:
                planned[key] = found.get(key)
    return same_model and found == planned


def tests_left(training: Training) -> list[Run]:
    """Return the tests of a training that have no result."""
    return [test for test in training.tests if not is_tested(test)]


def checkpoint_sha256(path: Path) -> str:
    """Return the checksum of a model; it is computed again only if the file has changed."""
    state = path.stat()
    return _sha256(path, state.st_mtime_ns, state.st_size)


@functools.cache
def _sha256(path: Path, _mtime: int, _size: int) -> str:
    return sha256_file(path)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as JSON holds them: lists instead of tuples."""
    return json.loads(json.dumps(values))


def epochs_of(training: Training) -> int:
    """Return the number of epochs of both stages."""
    values = training.run.values
    return values['SOLVER.STAGE1.MAX_EPOCHS'] + values['SOLVER.STAGE2.MAX_EPOCHS']


def seconds_per_run(runs: Sequence[Run]) -> float | None:
    """Return the mean time of the finished ones among ``runs``; None if there are none."""
    notes = [read_note(run) for run in runs]
    seconds = [note['seconds'] for note in notes if note.get('finished')]
    return sum(seconds) / len(seconds) if seconds else None


def seconds_left(trainings: Sequence[Training], jobs: int) -> float | None:
    """Return about how long the rest of the runs takes; None if it cannot be known yet.

    Args:
        trainings: All trainings with their tests.
        jobs: How many runs there are at once.
    """
    to_train = [training for training in trainings if not is_trained(training)]
    to_test = list(chain.from_iterable(map(tests_left, trainings)))
    of_training = seconds_per_run([training.run for training in trainings])
    of_test = seconds_per_run(list(chain.from_iterable(each.tests for each in trainings)))
    if (to_train and of_training is None) or (to_test and of_test is None):
        return None
    return (len(to_train) * (of_training or 0) + len(to_test) * (of_test or 0)) / jobs
