"""An interrupted run resumes with the same result."""

import multiprocessing
import signal

import pytest
import torch

import train_clipreid
from tests.utils.run.interrupted import assert_same_run, stop_after
from utils.checkpoint import load_tree
from utils.device import random_states, set_random_states
from utils.errors import InputError, Stopped
from utils.run.journal import Journal

CENTER = ('MODEL.IF_WITH_CENTER', 'yes')


# stage 1 has 2 × 3 iterations, stage 2 two or three in each of two epochs
@pytest.mark.parametrize(
    'name, opts, counts',
    [
        ('RN50', (), (1, 3, 4, 7, 10)),
        ('ViT-B-16', CENTER, (5, 9)),
        ('RN50', ('SOLVER.STAGE2.OPTIMIZER_NAME', 'SGD'), (9,)),
        ('RN50', ('SOLVER.AMP', 'bf16', 'DATALOADER.NUM_WORKERS', 2), (9,)),
        ('RN50', ('DATALOADER.SAMPLER', 'softmax'), (8,)),
    ],
)
def test_a_run_interrupted_anywhere_resumes_bit_for_bit(world, monkeypatch, name, opts, counts):
    whole = world.folder / 'whole'
    best = train_clipreid.main(world.args(*opts, 'OUTPUT_DIR', whole, name=name))
    for count in counts:
        out = world.folder / f'stopped{count}'
        with monkeypatch.context() as patch:
            stop_after(patch, count)
            with pytest.raises(Stopped) as stopped:
                train_clipreid.main(world.args(*opts, 'OUTPUT_DIR', out, name=name))
            assert stopped.value.code == 143 and '--resume' in str(stopped.value)
        assert not multiprocessing.active_children(), 'workers are left'
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert not list(out.glob('.*')), 'the lock is left'
        assert (
            train_clipreid.main(world.args('--resume', *opts, 'OUTPUT_DIR', out, name=name)) == best
        )
        assert_same_run(whole, out, name)


def test_killed_and_resumed_by_time_within_an_epoch(world, monkeypatch):
    whole, out = world.folder / 'whole', world.folder / 'killed'
    train_clipreid.main(world.args('OUTPUT_DIR', whole))
    places, save = [], Journal.save

    def dies(self):
        save(self)
        places.append((self.stage, self.epoch, self.iteration))
        if len(places) == 13:
            raise MemoryError  # like a kill: the run writes nothing afterwards

    monkeypatch.setattr(Journal, 'save', dies)
    with pytest.raises(InputError):
        train_clipreid.main(world.args('OUTPUT_DIR', out, 'SOLVER.CHECKPOINT_MINUTES', 1e-9))
    assert (1, 1, 1) in places and (2, 1, 1) in places
    assert load_tree(out / 'resume.pth', 'x')['iteration'] == places[-1][2] > 0
    monkeypatch.undo()
    train_clipreid.main(world.args('--resume', 'OUTPUT_DIR', out))
    assert_same_run(whole, out)


def test_random_states_resume():
    states = random_states(torch.device('cpu'))
    first = torch.rand(1)
    set_random_states(states, torch.device('cpu'))
    assert first == torch.rand(1)
