"""Training runs that are started, struck and looked at."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from tests.helpers import ROOT

LIMIT = 120  # seconds after which a run is taken to hang
MEASURED = {'time', 'seconds'}  # of metrics.jsonl: what differs from run to run


class Zygote:
    """Starts runs from a process that has PyTorch loaded; see zygote.py."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name('zygote.py'))],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {'OMP_NUM_THREADS': '1'},
        )
        self._runs = []

    def ask(self, **request):
        self._process.stdin.write(json.dumps(request) + '\n')
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], LIMIT)
        assert ready, 'the zygote does not answer'
        return json.loads(self._process.stdout.readline())

    def start(self, folder, *arguments, fault=None, script='train_clipreid.py'):
        """Run ``python script arguments…`` with its output, and what is to happen in it, in
        ``folder``.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name in ('reached', 'go', 'out', 'err', 'stack'):
            (folder / name).unlink(missing_ok=True)
        pid = self.ask(run=[script, *map(str, arguments)], folder=str(folder), fault=fault)
        run = Run(self, pid, folder)
        self._runs.append(run)
        return run

    def end_runs(self):
        """Whatever is left of the runs so far, their workers too."""
        for run in self._runs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
        self._runs = []

    def close(self):
        self.end_runs()
        self._process.communicate()


class Run:
    """A run under way. ``out`` and ``err``: what it has said."""

    def __init__(self, zygote, pid, folder):
        self.zygote, self.pid, self.folder = zygote, pid, folder

    def poll(self):
        return self.zygote.ask(poll=self.pid)

    def wait(self, limit=LIMIT):
        """The exit code; negative: the number of the signal that ended it."""
        until = time.monotonic() + limit
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                self.dump()
                raise AssertionError(
                    f'the run hangs:\n{self.stack}\n{self.out[-2000:]}\n{self.err[-2000:]}'
                )
            time.sleep(0.01)
        return code

    def reaches(self):
        """Wait until its fault strikes; False where the run ends without."""
        until = time.monotonic() + LIMIT
        while not (self.folder / 'reached').exists():
            if self.poll() is not None:
                return (self.folder / 'reached').exists()
            assert time.monotonic() < until, (
                f'the run hangs:\n{self.out[-2000:]}\n{self.err[-2000:]}'
            )
            time.sleep(0.005)
        return True

    def wait_until_reached(self):
        assert self.reaches(), f'not reached:\n{self.out[-2000:]}\n{self.err[-2000:]}'

    def go_on(self):
        (self.folder / 'go').touch()

    def dump(self):
        """Have the run say where it is, in ``stack``; False where it ends before that."""
        (self.folder / 'stack').write_text('')
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)
        until = time.monotonic() + 2
        while not re.search(
            r'zygote\.py", line \d+ in <module>\n$|\.\.\.\n$', self.stack
        ):  # the main thread comes last
            if self.poll() is not None or time.monotonic() > until:
                return False
            time.sleep(0.001)
        return True

    def kill(self, number=signal.SIGKILL):
        os.kill(self.pid, number)

    @property
    def out(self):
        return self._read('out')

    @property
    def err(self):
        return self._read('err')

    @property
    def stack(self):
        return self._read('stack')

    @property
    def error(self):
        """The one line of a refusal; everything else on stderr makes it fail."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert len(lines) == 1 and lines[0].startswith('error: '), self.err
        return lines[0]

    def _read(self, name):
        path = self.folder / name
        return path.read_text(errors='replace') if path.exists() else ''

    @property
    def where(self):
        """What the run was at when ``stack`` was written, for people; writing comes first, as it
        goes on beside the rest.
        """
        functions = re.findall(r'line \d+ in (\S+)', self.stack)
        for words, names in PLACES:
            if any(re.fullmatch(names, function) for function in functions):
                return words
        return 'start or end'


PLACES = [  # the first that fits: words, functions on the stack
    ('writing a state', r'save_tree'),
    ('writing a checkpoint', r'save_checkpoint|save_state'),
    ('writing another file', r'atomic_write|_sync_folder|write_json'),
    ('photo features', r'photo_features'),
    ('validation', r'_?validate|extract_features'),
    ('stage 1', r'do_train_stage1'),
    ('stage 2', r'do_train_stage2'),
]


def state_of(path):
    return torch.load(path, map_location='cpu', weights_only=True)


def same_tensors(a, b):
    """Names whose tensors differ in a single bit, shape or type."""
    a, b = state_of(a), state_of(b)
    if a.keys() != b.keys():
        return sorted(a.keys() ^ b.keys())
    return [
        name for name in a if a[name].dtype != b[name].dtype or not torch.equal(a[name], b[name])
    ]


def lines_of(path):
    """metrics.jsonl without what is measured."""
    return [
        {key: value for key, value in json.loads(line).items() if not is_measured(key)}
        for line in path.read_text().splitlines()
    ]


def is_measured(key):
    return key in MEASURED or re.search(r'second|memory|wait|eta|photos_per', key) is not None


def differences(folder, reference):
    """What of a run's results is not bit-identical with an uninterrupted run's; [] = nothing."""
    found = []
    names = {p.name for p in reference.glob('*.pth')} - {'resume.pth'}
    assert len(names) >= 2
    missing = names - {p.name for p in folder.iterdir()}
    found += [f'{name} is missing' for name in sorted(missing)]
    for name in sorted(names - missing):
        different = same_tensors(folder / name, reference / name)
        if different:
            found.append(f'{name}: {len(different)} tensors differ, {different[:3]}')
    here, there = lines_of(folder / 'metrics.jsonl'), lines_of(reference / 'metrics.jsonl')
    if here != there:
        first = next(
            (i for i, (a, b) in enumerate(zip(here, there)) if a != b), min(len(here), len(there))
        )
        found.append(
            f'metrics.jsonl: {len(here)} and {len(there)} lines, line {first + 1}: '
            f'{here[first : first + 1]} instead of {there[first : first + 1]}'
        )
    if checkpoints_of(folder) != checkpoints_of(reference):
        found.append(f'card.json lists {checkpoints_of(folder)}')
    found += [f'{p.name} is left' for p in folder.iterdir() if p.name.startswith('.')]
    return found


def checkpoints_of(folder):
    """What the card of a run says about its checkpoints."""
    names = ('file', 'stage', 'epoch', 'validation_mAP', 'this_run')
    listed = json.loads((folder / 'card.json').read_text())['checkpoints']
    return [[each[name] for name in names] for each in listed]


def epochs(stage1, stage2):
    """KEY VALUE words for so many epochs of both stages, with two workers."""
    one, two = ('SOLVER.STAGE1.MAX_EPOCHS', stage1), ('SOLVER.STAGE2.MAX_EPOCHS', stage2)
    return (*one, *two, 'DATALOADER.NUM_WORKERS', 2)


EVERY_EPOCH = ('SOLVER.STAGE1.CHECKPOINT_PERIOD', 1, 'SOLVER.STAGE2.CHECKPOINT_PERIOD', 1)
