"""Whole scripts under torchrun: an error in one process ends all."""

import os
import shutil
import time

import pytest

from tests.faults.groups import SEVERAL, Group, alone, options
from utils.run.lock import output_lock

pytestmark = pytest.mark.slow


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
