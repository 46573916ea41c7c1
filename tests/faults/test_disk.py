"""Full and read-only disks, deleted folders, two runs in one folder: one line, nothing lost."""

import contextlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.helpers import World

from .harness import EVERY_EPOCH, differences, epochs, state_of

pytestmark = pytest.mark.slow

STAGE_1, STAGE_2, BATCHES = 2, 3, 3
SHAPE = (*epochs(STAGE_1, STAGE_2), *EVERY_EPOCH)
STEP = 'torch.amp.GradScaler.step'
MID_STAGE_2 = {'call': STEP, 'number': STAGE_1 * BATCHES + BATCHES + 2}


def arguments(world, out, *opts, resume=True):
    config, yml, *rest = world.args('OUTPUT_DIR', out, *SHAPE, *opts)
    return [config, yml, *(['--resume'] if resume else []), *rest]


def finish(zygote, folder, world, out, reference, *opts):
    run = zygote.start(folder, *arguments(world, out, *opts))
    assert run.wait() == 0, run.err
    assert not differences(out, reference)
    return run


@pytest.fixture(scope='module')
def reference(zygote, faults_world, tmp_path_factory):
    """OUTPUT_DIR of an uninterrupted run."""
    folder = tmp_path_factory.mktemp('reference')
    run = zygote.start(folder / 'run', *arguments(faults_world, folder / 'out'))
    assert run.wait() == 0, run.err
    return folder / 'out'


@pytest.fixture
def disk(tmp_path):
    """A separate disk of 1 GB; remounted, of any size."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    if (
        not hasattr(os, 'geteuid')
        or os.geteuid()
        or subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', 'size=1g', 'faults', folder], capture_output=True
        ).returncode
    ):
        pytest.skip('cannot mount a small disk: not root')
    yield Disk(folder)
    subprocess.run(['umount', '-l', folder], check=True)


class Disk:
    """A small file system that can be filled."""

    def __init__(self, folder):
        self.folder, self.out, self._filler = folder, folder / 'out', folder / 'filler'

    def leave(self, free):
        """Fill it until ``free`` bytes are left."""
        with open(self._filler, 'wb') as file:
            while (size := shutil.disk_usage(self.folder).free - free) > 0:
                with contextlib.suppress(OSError):  # the run takes space at the same time
                    os.posix_fallocate(file.fileno(), 0, size)
                    break

    def make_space(self):
        self._filler.unlink()

    def remount(self, how):
        subprocess.run(['mount', '-o', f'remount,{how}', self.folder], check=True)


@pytest.mark.parametrize('free', [0, 8192, 1_000_000])
def test_a_disk_that_is_full_at_the_start(zygote, faults_world, reference, disk, tmp_path, free):
    disk.leave(free)
    run = zygote.start(tmp_path / 'first', *arguments(faults_world, disk.out))
    assert run.wait() == 2, run.out[-1000:]
    assert str(disk.out) in run.error and 'space' in run.error
    assert not disk.out.exists() or not list(disk.out.iterdir())
    disk.make_space()
    finish(zygote, tmp_path / 'last', faults_world, disk.out, reference)


FULL = {  # the call from which on the disk is full
    'before the first state': {'call': STEP, 'number': 1},
    'an iteration of stage 1': {'call': STEP, 'number': BATCHES + 2},
    'an iteration of stage 2': MID_STAGE_2,
    'a state just written': {
        'call': 'os.replace',
        'about': 'resume.pth',
        'number': STAGE_1 + 3,
        'after': True,
    },
    'half a state': {
        'call': 'os.fsync',
        'about': 'resume.pth',
        'number': STAGE_1 + 3,
        'after': True,
    },
    'validation': {'call': 'processor.inference.extract_features', 'number': 1},
    'a line of the log': {'call': 'utils.logger.MetricsFile.write', 'number': 12},
}


@pytest.mark.parametrize('free', [0, 100_000])
@pytest.mark.parametrize('place', FULL)
def test_a_disk_that_fills_up(zygote, faults_world, reference, disk, tmp_path, place, free):
    """Nothing is half-written, the last state stays, and the run resumes once there is space."""
    run = zygote.start(
        tmp_path / 'first', *arguments(faults_world, disk.out), fault=FULL[place] | {'pause': True}
    )
    run.wait_until_reached()
    before = {p.name for p in disk.out.iterdir()}
    disk.leave(free)
    run.go_on()
    assert run.wait() == 2, (run.out[-1000:], run.err)
    assert 'No space left on device' in run.error and str(disk.out) in run.error
    for path in disk.out.glob('*.pth'):
        state_of(path)
    assert 'resume.pth' not in before or (disk.out / 'resume.pth').exists()
    assert not [p.name for p in disk.out.iterdir() if p.name.startswith('.')]
    disk.make_space()
    finish(zygote, tmp_path / 'last', faults_world, disk.out, reference)


def test_a_disk_that_stays_full_and_is_tried_again(zygote, faults_world, reference, disk, tmp_path):
    run = zygote.start(
        tmp_path / 'first', *arguments(faults_world, disk.out), fault=MID_STAGE_2 | {'pause': True}
    )
    run.wait_until_reached()
    disk.leave(0)
    run.go_on()
    assert run.wait() == 2
    state = (disk.out / 'resume.pth').read_bytes()
    for attempt in range(2):
        run = zygote.start(tmp_path / str(attempt), *arguments(faults_world, disk.out))
        assert run.wait() == 2
        assert 'space' in run.error
    assert (disk.out / 'resume.pth').read_bytes() == state
    disk.make_space()
    finish(zygote, tmp_path / 'last', faults_world, disk.out, reference)


def test_a_read_only_folder(zygote, faults_world, reference, disk, tmp_path):
    disk.remount('ro')
    run = zygote.start(tmp_path / 'first', *arguments(faults_world, disk.out))
    assert run.wait() == 2
    assert 'Read-only file system' in run.error and str(disk.out) in run.error
    disk.remount('rw')
    fault = MID_STAGE_2 | {'signal': 15}
    assert (
        zygote.start(tmp_path / 'second', *arguments(faults_world, disk.out), fault=fault).wait()
        == 143
    )
    before = sorted(p.name for p in disk.out.iterdir())
    disk.remount('ro')
    run = zygote.start(tmp_path / 'third', *arguments(faults_world, disk.out))
    assert run.wait() == 2
    assert 'Read-only file system' in run.error
    assert sorted(p.name for p in disk.out.iterdir()) == before
    disk.remount('rw')
    finish(zygote, tmp_path / 'last', faults_world, disk.out, reference)


def test_the_output_folder_is_deleted_while_running(zygote, faults_world, reference, tmp_path):
    out = tmp_path / 'out'
    run = zygote.start(
        tmp_path / 'first', *arguments(faults_world, out), fault=MID_STAGE_2 | {'pause': True}
    )
    run.wait_until_reached()
    shutil.rmtree(out)
    run.go_on()
    assert run.wait() == 2, (run.out[-1000:], run.err)
    assert str(out) in run.error and 'does not exist' in run.error
    finish(zygote, tmp_path / 'last', faults_world, out, reference)


@pytest.fixture(scope='module')
def larger(tmp_path_factory, toy_weights, zygote):
    """(a world with epochs longer than what workers read ahead, OUTPUT_DIR of an uninterrupted
    run)
    """
    world = World(tmp_path_factory.mktemp('larger'), toy_weights)
    run = zygote.start(world.folder / 'run', *arguments(world, world.output, *LARGER))
    assert run.wait() == 0, run.err
    return world, world.output


LARGER = (
    'SOLVER.STAGE2.IMS_PER_BATCH',
    4,
    'SOLVER.STAGE1.IMS_PER_BATCH',
    4,
    'DATALOADER.CACHE_GB',
    0,
)
LARGER_BATCHES = 6


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('place', ['features of stage 1', 'an epoch of stage 2', 'validation'])
def test_the_photos_vanish_and_come_back(zygote, larger, tmp_path, place, workers):
    world, reference = larger
    out, photos, away = tmp_path / 'out', world.folder / 'photos', world.folder / 'away'
    fault = {
        'features of stage 1': {
            'call': 'processor.processor_clipreid_stage1.photo_features',
            'number': 1,
        },
        'an epoch of stage 2': {
            'call': STEP,
            'number': STAGE_1 * LARGER_BATCHES + LARGER_BATCHES + 1,
        },
        'validation': {'call': 'processor.inference.extract_features', 'number': 2},
    }[place]
    opts = (*LARGER, 'DATALOADER.NUM_WORKERS', workers)
    run = zygote.start(
        tmp_path / 'first', *arguments(world, out, *opts), fault=fault | {'pause': True}
    )
    run.wait_until_reached()
    photos.rename(away)
    try:
        run.go_on()
        assert run.wait() == 2, (run.out[-1000:], run.err)
        assert str(photos) in run.error
        run = zygote.start(tmp_path / 'second', *arguments(world, out, *opts))  # still away
        assert run.wait() == 2
        assert str(photos) in run.error
    finally:
        away.rename(photos)
    finish(zygote, tmp_path / 'last', world, out, reference, *opts)


def test_two_runs_in_one_folder(zygote, faults_world, reference, tmp_path):
    """The second names the holder and leaves the first alone; a test of a checkpoint may run."""
    out = tmp_path / 'out'
    first = zygote.start(
        tmp_path / 'first', *arguments(faults_world, out), fault=MID_STAGE_2 | {'pause': True}
    )
    first.wait_until_reached()
    for number, resume in enumerate((True, False)):
        second = zygote.start(
            tmp_path / f'second{number}', *arguments(faults_world, out, resume=resume)
        )
        assert second.wait() == 2
        assert f'process {first.pid} on host {socket.gethostname()} since 2' in second.error
    test = zygote.start(
        tmp_path / 'test',
        *faults_world.args('OUTPUT_DIR', out, 'TEST.WEIGHT', out / 'RN50_1.pth'),
        script='test_clipreid.py',
    )
    assert test.wait() == 0, test.err
    first.go_on()
    assert first.wait() == 0, first.err
    assert not differences(out, reference)


def test_a_killed_run_holds_its_folder_no_more(zygote, faults_world, reference, tmp_path):
    """At once, even while its loader's workers still run."""
    out = tmp_path / 'out'
    run = zygote.start(
        tmp_path / 'first', *arguments(faults_world, out), fault=MID_STAGE_2 | {'pause': True}
    )
    run.wait_until_reached()
    run.kill()
    assert run.wait() == -9
    assert workers_of(run) and (out / '.train.lock').exists()
    finish(zygote, tmp_path / 'last', faults_world, out, reference)


def workers_of(run):
    """Running processes of a run's session."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):
            state, _, _, session = stat.read_text().rsplit(')', 1)[1].split()[:4]
            if int(session) == run.pid and state != 'Z':
                found.append(stat.parent.name)
    return found
