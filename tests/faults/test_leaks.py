"""Fifty epochs: what a process holds of the system does not grow."""

import logging
import multiprocessing
import os
import threading
from pathlib import Path

import pytest

import train_clipreid

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path('/proc/self/fd').exists(), reason='no /proc'),
]


class Watch(logging.Handler):
    """Counts at the end of every epoch of stage 2."""

    def __init__(self):
        super().__init__()
        self.counts = []

    def emit(self, record):
        if 'done. Time per batch' in record.getMessage():
            maps = Path('/proc/self/maps').read_text().splitlines()
            family = {os.getpid(), *(child.pid for child in multiprocessing.active_children())}
            shared = [
                name.split('_')[1] for name in os.listdir('/dev/shm') if name.startswith('torch_')
            ]
            self.counts.append(
                {
                    'handles': len(os.listdir('/proc/self/fd')),
                    'shared memory files': sum(
                        pid.isdigit() and int(pid) in family for pid in shared
                    ),
                    'shared mappings': sum(line.split()[1].endswith('s') for line in maps),
                    'children': len(multiprocessing.active_children()),
                    'threads': threading.active_count(),
                }
            )


@pytest.mark.parametrize('cache', [1, 0])
def test_fifty_epochs_hold_no_more_than_five(world, cache):
    watch = Watch()
    logger = logging.getLogger('transreid.train')
    logger.addHandler(watch)
    try:
        train_clipreid.main(
            world.args(
                'SOLVER.STAGE1.MAX_EPOCHS',
                1,
                'SOLVER.STAGE2.MAX_EPOCHS',
                50,
                'SOLVER.STAGE2.CHECKPOINT_PERIOD',
                50,
                'DATALOADER.NUM_WORKERS',
                2,
                'DATALOADER.CACHE_GB',
                cache,
            )
        )
    finally:
        logger.removeHandler(watch)
    assert len(watch.counts) == 50
    early, late = watch.counts[4:10], watch.counts[-6:]
    grown = {
        what: (max(c[what] for c in early), max(c[what] for c in late))
        for what in early[0]
        if max(c[what] for c in late) > max(c[what] for c in early)
    }
    assert not grown
    assert late[-1]['children'] >= 2  # the workers: had none been there, nothing was tested
