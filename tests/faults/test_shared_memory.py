"""A small /dev/shm, as Docker gives it (64 MB): fewer workers or none, and no loop that waits for
ever.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LIMIT = 100  # seconds after which a run is taken to hang
PROGRAMS = """
import sys
sys.path.insert(0, sys.argv[1])
import test_clipreid, train_clipreid
from tools import rank_photos
train_clipreid.main(sys.argv[3:])
common = [*sys.argv[3:], 'TEST.WEIGHT', f'{sys.argv[2]}/output/RN50_2.pth']
test_clipreid.main(common)
rank_photos.main(['--photos', f'{sys.argv[2]}/test/7', *common])
"""
LOADER = """
import sys
sys.path.insert(0, sys.argv[1])
from datasets.dataset import ImageDataset
from datasets.records import Record
from datasets.transforms import make_test_transform
from datasets.workers import ImageLoader
from utils.errors import exit_code

def main():
    transform = make_test_transform((256, 128), [0.5] * 3, [0.5] * 3)
    dataset = ImageDataset([Record(sys.argv[2], 0)] * 64, transform)
    for batch in ImageLoader(dataset, batch_size=8, num_workers=2):
        pass

sys.exit(exit_code(main))
"""


def run(size, script, *arguments):
    """The script in a mount namespace of its own, whose /dev/shm is of ``size``."""
    mount = f'mount -t tmpfs -o size={size} tmpfs /dev/shm'
    unshare = ['unshare', '-m', 'bash', '-c']
    if (
        not hasattr(os, 'geteuid')
        or os.geteuid()
        or not shutil.which('unshare')
        or subprocess.run([*unshare, mount], capture_output=True).returncode
    ):
        pytest.skip('cannot mount a small /dev/shm: not root, or no unshare')
    return subprocess.run(
        [
            *unshare,
            f'{mount} && exec "$@"',
            'bash',
            sys.executable,
            '-c',
            script,
            str(ROOT),
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env=os.environ | {'OMP_NUM_THREADS': '1'},
    )


@pytest.mark.parametrize(('size', 'used'), [('64k', '0'), ('1m', '[1-7]')])
def test_all_programs_run_with_fewer_workers(world, size, used):
    done = run(size, PROGRAMS, world.folder, *world.args('DATALOADER.NUM_WORKERS', 8))
    assert done.returncode == 0, done.stderr
    warnings = re.findall(
        rf'WARNING: /dev/shm has .* the run uses {used} workers.*--shm-size', done.stdout
    )
    assert len(warnings) == 3


@pytest.mark.parametrize('size', ['1m', '64k'])
def test_a_shared_memory_that_fills_up_later_ends_the_loop(world, size):
    """Nobody has looked at it before: the workers are as many as asked for."""
    done = run(size, LOADER, world.folder / 'test/7/1.png')
    assert done.returncode == 2, done.stderr
    assert 'No space left on device' in done.stderr and 'DATALOADER.NUM_WORKERS 0' in done.stderr
