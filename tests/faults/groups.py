"""Groups of processes under torchrun, and comparison of their outputs."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from tests.forked import LIMIT
from tests.helpers import ROOT

from .harness import is_measured

TORCHRUN = [sys.executable, '-m', 'torch.distributed.run']

SEVERAL = ['MODEL.DIST_TRAIN', True]

BATCH = 12  # photos: of 24, and to be shared by 2 and 3

SETTINGS = {
    'ViT-B-16': ['MODEL.METRIC_LOSS_TYPE', 'triplet_center'],
}


class Group:
    """A script under torchrun, with its output in a file.

    A variable in their environment identifies its processes.
    """

    def __init__(
        self,
        folder,
        processes,
        *arguments,
        script='train_clipreid.py',
        start=(*TORCHRUN, '--standalone'),
        before=(),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._mark = folder, f'FAULTS_GROUP={uuid.uuid4()}'
        command = [*before, *start, '--nproc_per_node', processes, script, *arguments]
        with open(folder / 'log', 'wb') as log:
            self.process = subprocess.Popen(
                list(map(str, command)),
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | dict([self._mark.split('=')], OMP_NUM_THREADS='1'),
            )

    @property
    def log(self):
        """Output of all processes and of torchrun."""
        return (self.folder / 'log').read_text(errors='replace')

    def members(self):
        """{process ID: its environment} of the running processes, torchrun among them."""
        found = {}
        for name in filter(str.isdigit, os.listdir('/proc')):
            with contextlib.suppress(OSError):
                variables = (
                    Path('/proc', name, 'environ').read_text(errors='replace').split('\0')
                )  # empty for a zombie
                if self._mark in variables:
                    found[int(name)] = variables
        return found

    def pid_of(self, rank):
        """ID of the script's process of this rank, not of its children."""
        return min(pid for pid, variables in self.members().items() if f'RANK={rank}' in variables)

    def wait(self, limit=LIMIT):
        """Return torchrun's exit code, 0 if all returned 0; check that no process is left."""
        try:
            code = self.process.wait(limit)
            until = (
                time.monotonic() + 20
            )  # loader processes check for their parent every few seconds
            while (left := self.members()) and time.monotonic() < until:
                time.sleep(0.1)
            assert not left, f'left behind: {left}\n{self.log[-3000:]}'
            return code
        finally:
            for pid in self.members():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def wait_for(self, text):
        """Wait until metrics.jsonl or the log contains ``text``."""
        until, metrics = time.monotonic() + LIMIT, self.folder / 'metrics.jsonl'
        while text not in (metrics.read_text() if metrics.exists() else '') + self.log:
            assert self.process.poll() is None and time.monotonic() < until, (
                f'no {text}:\n{self.log[-3000:]}'
            )
            time.sleep(0.02)

    @property
    def errors(self):
        """The distinct lines 'error: …'."""
        return sorted({line for line in self.log.splitlines() if line.startswith('error: ')})


def options(folder, *more):
    return [
        'OUTPUT_DIR',
        folder,
        'SOLVER.STAGE1.IMS_PER_BATCH',
        BATCH,
        'SOLVER.STAGE2.IMS_PER_BATCH',
        BATCH,
        'TEST.IMS_PER_BATCH',
        4,
        *more,
    ]


def alone(*arguments, script='train_clipreid.py'):
    """Run the script in one process; return (exit code, output)."""
    done = subprocess.run(
        list(map(str, [sys.executable, script, *arguments])),
        cwd=ROOT,
        text=True,
        timeout=LIMIT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {'OMP_NUM_THREADS': '1'},
    )
    return done.returncode, done.stdout


def lines_of(folder):
    return [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]


def largest_difference(folder, other):
    """Largest relative difference of the numbers in metrics.jsonl, except measured ones."""
    lines, others = lines_of(folder), lines_of(other)
    assert [(line['event'], line.get('epoch')) for line in lines] == [
        (line['event'], line.get('epoch')) for line in others
    ]
    return max(
        abs(line[key] - another[key]) / max(abs(another[key]), 1e-3)
        for line, another in zip(lines, others, strict=True)
        for key in another.keys() | line.keys()
        if not is_measured(key) and isinstance(another[key], float)
    )
