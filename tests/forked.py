"""Our programs as processes of their own, forked from one that has PyTorch loaded."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.helpers import ROOT

LIMIT = 120  # seconds after which a run is taken to hang


class Zygote:
    """Starts our programs from a process that has PyTorch loaded; see zygote.py."""

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
        assert self._process.stdout.readline(), 'the zygote has ended'  # else it is ready

    def ask(self, **request):
        self._process.stdin.write(json.dumps(request) + '\n')
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], LIMIT)
        assert ready, 'the zygote does not answer'
        return json.loads(self._process.stdout.readline())

    def start(
        self, folder, *arguments, fault=None, script='train_clipreid.py', cwd=ROOT, environment=()
    ):
        """Run ``python script arguments…`` with its output, and what is to happen in it, in
        ``folder``; ``script`` may be ``-m``. ``environment``: variables besides ours of now.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name in ('reached', 'go', 'out', 'err', 'stack'):
            (folder / name).unlink(missing_ok=True)
        pid = self.ask(
            run=[str(script), *map(str, arguments)],
            folder=str(folder),
            fault=fault,
            cwd=str(cwd),
            environment=os.environ | dict(environment),
        )
        run = Run(self, pid, folder)
        self._runs.append(run)
        return run

    def finish(self, *words, **options):
        """Run ``python words…`` to its end, as ``subprocess.run`` does."""
        with tempfile.TemporaryDirectory() as folder:
            script, *arguments = words
            run = self.start(Path(folder), *arguments, script=script, **options)
            return subprocess.CompletedProcess(words, run.wait(), run.out, run.err)

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


def start_group(zygote, world_size, folder, script, *arguments):
    """Start ``python script arguments…`` once for each rank, with the variables that torchrun sets;
    rank r has its output in ``folder``/process_r.
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    size = str(world_size)
    group = {'WORLD_SIZE': size, 'LOCAL_WORLD_SIZE': size}
    group |= {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port)}
    runs = []
    for rank in map(str, range(world_size)):
        variables = {**group, 'RANK': rank, 'LOCAL_RANK': rank}
        place = folder / f'process_{rank}'
        runs.append(zygote.start(place, *arguments, script=script, environment=variables))
    return runs


PLACES = [  # the first that fits: words, functions on the stack
    ('writing a state', r'save_tree'),
    ('writing a checkpoint', r'save_checkpoint|save_state'),
    ('writing another file', r'atomic_write|_sync_folder|write_json'),
    ('photo features', r'photo_features'),
    ('validation', r'_?validate|extract_features'),
    ('stage 1', r'do_train_stage1'),
    ('stage 2', r'do_train_stage2'),
]
