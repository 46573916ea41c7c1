"""Whole scripts under torchrun: same results as one process, one end for all, two machines."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from functools import cache
from pathlib import Path

import pytest

from tests.helpers import ROOT
from utils.run.lock import output_lock

from .harness import LIMIT, differences, is_measured

pytestmark = pytest.mark.slow

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


@pytest.fixture(scope='module')
def trained(faults_world):
    """(name, processes) -> OUTPUT_DIR of a whole run"""

    @cache
    def run(name, processes):
        folder = faults_world.folder / f'{name}-{processes}'
        arguments = faults_world.args(*options(folder), *SETTINGS[name], name=name)
        if processes == 1:
            code, log = alone(*arguments)
        else:
            group = Group(folder, processes, *arguments, *SEVERAL)
            code, log = group.wait(), group.log
        assert code == 0, log[-3000:]
        return folder

    return run


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


def names(folder):
    """Files of OUTPUT_DIR except those that this module puts there."""
    return {path.name for path in folder.iterdir()} - {'log'}


@pytest.mark.parametrize('name, processes', [('ViT-B-16', 2), ('ViT-B-16', 3)])
def test_several_processes_train_as_one(name, processes, trained):
    """Losses, accuracies and validation agree up to rounding; the files are written once."""
    one, several = trained(name, 1), trained(name, processes)
    assert largest_difference(several, one) < 1e-3
    assert names(several) == names(one)
    log = (several / 'log').read_text()
    assert log.count('Validation Results - Epoch: 1') == 1
    assert (
        'destroy_process_group' not in log and 'terminate' not in log
    )  # torch's messages after an unclean end


@pytest.mark.parametrize(
    'script, processes', [('test_clipreid.py', 3), ('test_rerank_clipreid.py', 2)]
)
def test_several_processes_test_as_one(script, processes, trained, faults_world, tmp_path):
    """The numbers are identical, since the batches are."""
    weight = trained('ViT-B-16', 1) / 'ViT-B-16_2.pth'
    metrics = {}
    for count in (1, processes):
        folder = tmp_path / str(count)
        arguments = faults_world.args(*options(folder, 'TEST.WEIGHT', weight), name='ViT-B-16')
        if count == 1:
            code, log = alone(*arguments, script=script)
        else:
            group = Group(folder, count, *arguments, *SEVERAL, script=script)
            code, log = group.wait(), group.log
        assert code == 0, log[-3000:]
        metrics[count] = json.loads((folder / 'results.json').read_text())['metrics']
    assert metrics[processes] == metrics[1]
    assert names(folder) == names(tmp_path / '1')


# -------------------------------------------------------------------------- interrupted and resumed

LONG = [
    'SOLVER.STAGE2.MAX_EPOCHS',
    12,
    'SOLVER.STAGE2.EVAL_PERIOD',
    4,
    'SOLVER.STAGE2.CHECKPOINT_PERIOD',
    4,
]


@pytest.fixture(scope='module')
def long_run(faults_world):
    """OUTPUT_DIR of an uninterrupted run of two processes with LONG."""
    folder = faults_world.folder / 'long'
    group = Group(folder, 2, *faults_world.args(*options(folder, *LONG), name='ViT-B-16'), *SEVERAL)
    assert group.wait() == 0, group.log[-3000:]
    return folder


@pytest.mark.parametrize('how', [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_resumes(how, long_run, faults_world, tmp_path):
    """Bit-identical with two processes; with three or one (tried after SIGTERM) up to rounding."""
    folder = tmp_path / 'run'
    arguments = faults_world.args(*options(folder, *LONG), name='ViT-B-16')
    group = Group(folder, 2, *arguments, *SEVERAL)
    group.wait_for('"event": "stage2_epoch"')
    if how == signal.SIGKILL:
        os.kill(group.pid_of(1), how)
    else:  # to torchrun, which passes it on
        group.process.send_signal(how)
    started = time.monotonic()
    assert group.wait() != 0
    assert time.monotonic() - started < 60
    if how == signal.SIGKILL:
        assert (
            any('rank 0: another process ended without a message' in line for line in group.errors)
            or 'stopped by SIGTERM' in group.log
        ), group.log  # torchrun's signal may come first
    else:
        assert group.log.count(f'stopped by {how.name}; ') == 2, group.log
        assert not group.errors, group.log
    assert len(lines_of(folder)) < len(lines_of(long_run))
    others = ('three', 'one') if how == signal.SIGTERM else ()
    for name in others:
        shutil.copytree(folder, tmp_path / name)

    group = Group(folder, 2, '--resume', *arguments, *SEVERAL)
    assert group.wait() == 0, group.log[-3000:]
    assert 'Resumed: stage 2' in group.log
    assert differences(folder, long_run) == []

    if not others:
        return
    group = Group(
        tmp_path / 'three',
        3,
        '--resume',
        *faults_world.args(*options(tmp_path / 'three', *LONG), name='ViT-B-16'),
        *SEVERAL,
    )
    assert group.wait() == 0, group.log[-3000:]
    code, log = alone(
        '--resume', *faults_world.args(*options(tmp_path / 'one', *LONG), name='ViT-B-16')
    )
    assert code == 0, log[-3000:]
    for name in others:
        assert largest_difference(tmp_path / name, long_run) < 1e-2


def test_all_end_when_torchrun_is_killed(faults_world, tmp_path):
    """Their common store ends with it."""
    endless = options(tmp_path, *LONG, 'SOLVER.STAGE2.MAX_EPOCHS', 10000)
    group = Group(tmp_path, 2, *faults_world.args(*endless, name='ViT-B-16'), *SEVERAL)
    group.wait_for('"event": "stage2_epoch"')
    group.process.kill()
    assert group.wait() == -signal.SIGKILL  # and no process is left
    assert (
        'error: another process failed: torchrun or rank 0 ended without a message' in group.errors
    )


# ------------------------------------------------------------------------------- one of them fails


def test_shared_batch_norms_on_the_cpu_are_rejected_before_anything_starts(faults_world, tmp_path):
    arguments = faults_world.args(*options(tmp_path / 'run', 'MODEL.SYNC_BN', True), name='RN50')
    group = Group(tmp_path / 'log', 2, *arguments, *SEVERAL)
    assert group.wait() == 1  # torchrun's exit code
    assert 'MODEL.SYNC_BN is True with 2 processes on the CPU' in group.errors[0]
    assert 'set MODEL.SYNC_BN False' in group.errors[0]
    assert not (tmp_path / 'run' / 'metrics.jsonl').exists()


def test_a_photo_that_one_process_cannot_read_ends_all(faults_world, tmp_path):
    photos = shutil.copytree(faults_world.folder / 'photos', tmp_path / 'photos')
    last = (
        (faults_world.folder / 'lists' / 'train.txt').read_text().splitlines()[-1].split()[0]
    )  # in rank 1's shard
    (photos / last).write_bytes((photos / last).read_bytes()[:200])
    folder = tmp_path / 'run'
    group = Group(
        folder,
        2,
        *faults_world.args(*options(folder, 'DATASETS.ROOT_DIR', tmp_path), name='ViT-B-16'),
        *SEVERAL,
    )
    group.wait_for('error: ')
    started = time.monotonic()
    assert group.wait() == 1
    assert time.monotonic() - started < 30
    assert any(line.startswith('error: rank 1: ') and last in line for line in group.errors), (
        group.log
    )
    assert all(last in line for line in group.errors)
    assert 'rank0]: Traceback' not in group.log


def test_a_folder_in_use_ends_all(faults_world, tmp_path):
    """The first process fails before the others have done anything."""
    with output_lock(tmp_path):
        group = Group(
            tmp_path / 'log', 2, *faults_world.args(*options(tmp_path), name='ViT-B-16'), *SEVERAL
        )
        assert group.wait() == 1
    assert any(
        line.startswith(f'error: rank 0: OUTPUT_DIR {tmp_path} is in use by process {os.getpid()} ')
        for line in group.errors
    ), group.log
    assert not (tmp_path / 'metrics.jsonl').exists()


@pytest.mark.parametrize('several', [True, False])
def test_torchrun_and_config_contradict_each_other(several, faults_world, tmp_path):
    arguments = faults_world.args(*options(tmp_path / 'run'), name='ViT-B-16')
    if several:
        group = Group(tmp_path / 'log', 2, *arguments)
        assert group.wait() == 1
        assert 'set MODEL.DIST_TRAIN True' in group.errors[0]
    else:
        code, log = alone(*arguments, *SEVERAL)
        assert code == 2 and 'torchrun --nproc_per_node 2' in log and log.count('error: ') == 1
    assert not (tmp_path / 'run').exists()


# ------------------------------------------------------------------------------------ two machines


@pytest.fixture
def two_hosts():
    """[(name, address)] of two network namespaces that are connected only to each other."""
    hosts = [(f'reid-{os.getpid()}-{side}', f'10.99.7.{side}') for side in (1, 2)]

    def ip(*words):
        return subprocess.run(['ip', *words], capture_output=True, text=True)

    if not shutil.which('ip') or ip('netns', 'add', hosts[0][0]).returncode:
        pytest.skip('no network namespaces: they need root, Linux and the command ip')
    try:
        (first, _), (second, _) = hosts
        assert not ip('netns', 'add', second).returncode
        made = ip(
            'link',
            'add',
            'wire',
            'netns',
            first,
            'type',
            'veth',
            'peer',
            'name',
            'wire',
            'netns',
            second,
        )
        if made.returncode:
            pytest.skip(f'no veth pair: {made.stderr.strip()}')
        for name, address in hosts:
            for words in (
                ['addr', 'add', f'{address}/24', 'dev', 'wire'],
                ['link', 'set', 'wire', 'up'],
                ['link', 'set', 'lo', 'up'],
            ):
                done = ip('-n', name, *words)
                assert not done.returncode, done.stderr
        yield hosts
    finally:
        for name, _ in hosts:
            ip('netns', 'del', name)


def test_two_machines(two_hosts, trained, faults_world, tmp_path, monkeypatch):
    """Two torchruns in two network namespaces, one process each, with a shared disk."""
    monkeypatch.setenv('GLOO_SOCKET_IFNAME', 'wire')  # the host name cannot be resolved here
    folder = tmp_path / 'run'
    arguments = faults_world.args(*options(folder), *SETTINGS['ViT-B-16'], name='ViT-B-16')
    groups = []
    for number, (name, _) in enumerate(two_hosts):
        start = [
            *TORCHRUN,
            '--nnodes',
            2,
            '--node_rank',
            number,
            '--master_addr',
            two_hosts[0][1],
            '--master_port',
            29511,
        ]
        groups.append(
            Group(
                tmp_path / f'log{number}',
                1,
                *arguments,
                *SEVERAL,
                start=start,
                before=['ip', 'netns', 'exec', name],
            )
        )
    codes = [group.wait() for group in groups]
    assert codes == [0, 0], [group.log[-2000:] for group in groups]
    assert largest_difference(folder, trained('ViT-B-16', 1)) < 1e-3
    assert 'Validation Results' in groups[0].log and 'Validation Results' not in groups[1].log
