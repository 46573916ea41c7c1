"""Runs trainings and tests as processes of the published programs, several at once."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from utils.errors import Stopped, first_line
from utils.files import writing
from utils.run.signals import StopRequest
from wildlife.experiments.plan import Run, Training
from wildlife.experiments.progress import add_note, is_trained, seconds_left, tests_left
from wildlife.report.results import read_result
from wildlife.words import counted

OUTPUT = 'output.txt'  # in the folder of each run: what it has printed
PAUSE = 0.1  # seconds between two looks at the processes
GRACE = 120.0  # seconds that an interrupted training has to save its state
LAST_LINES = 5  # of a failed run
PR_SET_PDEATHSIG = 1  # of linux/prctl.h

Say = Callable[[str], object]


@dataclass
class Started:
    """A run whose process is at work."""

    run: Run
    process: subprocess.Popen
    since: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self.since


class Queue:
    """The runs of a plan that are not done: trainings, each followed by the tests of its model.

    Args:
        trainings: All trainings with their tests.
        jobs: How many runs there are at once.
        say: Is called with each line about the progress.

    Attributes:
        failed: The folders of the runs that have failed.
    """

    def __init__(self, trainings: Sequence[Training], jobs: int, say: Say):
        self.trainings, self.jobs, self.say = trainings, jobs, say
        self.failed: list[Path] = []
        self._waiting: deque[Run] = deque()
        self._running: list[Started] = []
        self._training_in = {training.run.folder: training for training in trainings}
        for training in trainings:
            done = is_trained(training)
            self._waiting += tests_left(training) if done else [training.run]

    def run_all(self) -> None:
        """Run everything that is left.

        Raises:
            Stopped: A signal has ended it; the processes have ended too.
        """
        with StopRequest().listening():
            try:
                while self._waiting or self._running:
                    self._start_some()
                    time.sleep(PAUSE)
                    self._collect()
            finally:
                self._end()

    def _start_some(self) -> None:
        while self._waiting and len(self._running) < self.jobs:
            run = self._waiting.popleft()
            self._running.append(Started(run, start(run, self.jobs)))

    def _collect(self) -> None:
        for started in [each for each in self._running if each.process.poll() is not None]:
            self._running.remove(started)
            self._finish(started, started.process.returncode)

    def _finish(self, started: Started, code: int) -> None:
        run = started.run
        add_note(run, started.seconds, finished=code == 0)
        if code:
            self.failed.append(run.folder)
            self.say(f'failed (exit code {code}): {run.folder}\n{_last_lines(run.folder)}')
        elif run.is_test:
            self.say(f'{_scores(run)}  {run.folder}{self._left()}')
        else:
            self.say(f'trained in {started.seconds:.0f} s  {run.folder}{self._left()}')
            self._waiting.extendleft(reversed(tests_left(self._training_in[run.folder])))

    def _left(self) -> str:
        runs = len(self._waiting) + len(self._running)
        seconds = seconds_left(self.trainings, self.jobs)
        return f'  ({time_text(seconds)} left)' if runs and seconds else ''

    def _end(self) -> None:
        """End the processes that still run; trainings save their state first."""
        for started in self._running:
            started.process.terminate()
        try:
            for started in self._running:
                started.process.wait(GRACE)
        except (Stopped, subprocess.TimeoutExpired):
            for started in self._running:
                started.process.kill()
        for started in self._running:
            started.process.wait()
            add_note(started.run, started.seconds, finished=False)


def start(run: Run, jobs: int) -> subprocess.Popen:
    """Start the process of a run; it prints into ``OUTPUT`` in its folder.

    Args:
        run: The run.
        jobs: How many runs there are at once; they share the processor's cores.
    """
    environment = dict(os.environ)
    if jobs > 1:  # more threads than cores would make all of them slow
        threads = max(1, (os.cpu_count() or 1) // jobs)
        environment.setdefault('OMP_NUM_THREADS', str(threads))
    path = run.folder / OUTPUT
    with writing(path):
        run.folder.mkdir(parents=True, exist_ok=True)
        with open(path, 'ab') as output:
            return subprocess.Popen(
                run.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                preexec_fn=_end_with_parent if sys.platform == 'linux' else None,
            )


def _end_with_parent() -> None:
    """Let Linux send SIGTERM to this process when its parent ends, however that happens.

    Otherwise a killed command would leave a training behind that nobody waits for.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _last_lines(folder: Path) -> str:
    """Return the error of a failed run: its own line about bad input, else its last lines."""
    text = (folder / OUTPUT).read_text(encoding='utf-8', errors='replace')
    lines = [first_line(line, 300) for line in text.splitlines() if line.strip()]
    number = 1 if lines and lines[-1].startswith('error: ') else LAST_LINES
    return '\n'.join(f'    {line}' for line in lines[-number:])


def _scores(run: Run) -> str:
    metrics = read_result(run.folder).metrics
    return f'mAP {metrics["mAP"]:.1%}, rank-1 {metrics["rank1"]:.1%}'


def time_text(seconds: float) -> str:
    """Return a duration in words: '40 seconds', '12 minutes', '3.5 hours'."""
    if seconds < 90:
        return counted(round(seconds), 'second')
    if seconds < 5400:
        return counted(round(seconds / 60), 'minute')
    return f'{seconds / 3600:.1f} hours'
