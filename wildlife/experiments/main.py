"""A grid from the command line to the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from configs import load_cfg
from datasets.sources import load_test, load_train
from utils.files import make_output_dir
from utils.run.lock import output_lock
from wildlife.experiments.grid import Grid, read_grid
from wildlife.experiments.plan import Plan, Training, make_plan
from wildlife.experiments.progress import (
    check_folder,
    epochs_of,
    is_trained,
    read_note,
    seconds_left,
    tests_left,
)
from wildlife.experiments.runs import Queue, Say, time_text
from wildlife.experiments.write import write_table
from wildlife.words import counted


@dataclass(frozen=True)
class Experiment:
    """A grid, its runs and where they are.

    Attributes:
        grid: The grid.
        plan: Its runs.
        out: The folder of all runs and tables.
        photos: The number of training photos, of the first training.
    """

    grid: Grid
    plan: Plan
    out: Path
    photos: int

    @property
    def folder(self) -> Path:
        """The folder of the table."""
        return self.out / self.grid.path.stem

    def states(self) -> str:
        """Return a line for each training: whether it is done, and its folder."""
        return '\n'.join(map(_state_line, self.plan.trainings))

    def cost(self, jobs: int) -> str:
        """Return how many runs there are, how many of them are done, and what the others cost."""
        trainings = self.plan.trainings
        left = [training for training in trainings if not is_trained(training)]
        epochs = sum(map(epochs_of, left))
        tests = sum(len(training.tests) for training in trainings)
        to_test = sum(len(tests_left(training)) for training in trainings)
        runs = (
            f'{counted(len(self.plan.cells), "cell")} x {counted(len(self.grid.seeds), "seed")}: '
            f'{counted(len(trainings), "training")} ({len(trainings) - len(left)} done), '
            f'{counted(tests, "test")} ({tests - to_test} done)'
        )
        if not left and not to_test:
            return f'{runs}\nto do: nothing'
        return (
            f'{runs}\nto do: {counted(len(left), "training")}, together {epochs} epochs x '
            f'{counted(self.photos, "photo")}, and {counted(to_test, "test")}; '
            f'{self._time(jobs)}'
        )

    def _time(self, jobs: int) -> str:
        seconds = seconds_left(self.plan.trainings, jobs)
        if seconds is None:
            return 'the time is unknown until a training and a test have finished'
        jobs_text = counted(jobs, 'job')
        return f'about {time_text(seconds)} with {jobs_text}, judging by the finished runs'


def _state_line(training: Training) -> str:
    if is_trained(training):
        missing = len(tests_left(training))
        state = f'{counted(missing, "test")} to do' if missing else 'done'
    else:
        state = 'to resume' if read_note(training.run) else 'to do'
    return f'{state:12} {training.run.folder}'


def prepare(file: Path, config: str, opts: Sequence[str], out: Path) -> Experiment:
    """Read the grid and check everything; nothing is written.

    Args:
        file: The grid file.
        config: A yml instead of the one that the file names, or ''.
        opts: ``KEY, VALUE, KEY, VALUE …`` of the command line.
        out: The folder for runs and tables.

    Raises:
        ConfigError, InputError: The grid, its settings, lists or folders cannot be used.
    """
    grid = read_grid(file, config, opts)
    plan = make_plan(grid, out)
    for training in plan.trainings:
        check_folder(training.run)
    _check_lists(plan)
    first = plan.trainings[0].run
    photos = load_train(load_cfg(grid.config, first.words)).train
    return Experiment(grid, plan, out, len(photos))


def _check_lists(plan: Plan) -> None:
    """Read the lists of all runs, each once, so that no run fails hours later."""
    known = set()
    for run in chain.from_iterable((each.run, *each.tests) for each in plan.trainings):
        lists = {key: value for key, value in run.values.items() if key.startswith('DATASETS.')}
        if (run.is_test, repr(lists)) not in known:
            known.add((run.is_test, repr(lists)))
            load = load_test if run.is_test else load_train
            load(load_cfg(run.config_file, run.words))


def run(experiment: Experiment, jobs: int, say: Say) -> list[Path]:
    """Do all runs that are left, and write the table.

    Args:
        experiment: From :func:`prepare`.
        jobs: How many runs there are at once.
        say: Is called with each line for the screen.

    Returns:
        The folders of the runs that have failed.

    Raises:
        InputError: Another command uses the folder, or it cannot be written.
        Stopped: A signal has ended the runs.
    """
    with output_lock(make_output_dir(experiment.out), 'experiments'):
        queue = Queue(experiment.plan.trainings, jobs, say)
        queue.run_all()
        text = write_table(experiment.folder, experiment.grid, experiment.plan.cells)
    if text:
        say(f'\n{text}\nThe table: {experiment.folder / "table.md"}, .csv, .json and .png')
    return queue.failed
