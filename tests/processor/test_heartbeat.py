"""The reports of a long run: time left, numbers of each epoch, warnings."""

import logging
from types import SimpleNamespace

import pytest
import torch

from processor import steps as module
from processor.steps import Heartbeat
from utils.device import make_runtime
from utils.meter import EpochMeter, Stopwatch, TimedLoader


class Clock:
    """time.monotonic, moved by hand."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr('utils.meter.time.monotonic', lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def journal(clock):
    lines = []
    return SimpleNamespace(
        epoch_watch=SimpleNamespace(seconds=10.0),
        lines=lines,
        write=lambda event, **facts: lines.append((event, facts)),
    )


def settled(**numbers):
    """A meter with iterations of four photos; name -> one number per iteration."""
    meter = EpochMeter()
    for values in zip(*numbers.values(), strict=True):
        meter.add(
            4,
            None,
            **{name: torch.tensor(value) for name, value in zip(numbers, values, strict=True)},
        )
    meter.fetch()
    return meter


GOOD = {'loss': (3.0, 2.0, 1.0), 'acc': (0.25, 0.5, 0.75), 'id': (1.0, 2.0, 3.0)}


def test_the_line_of_an_epoch(journal):
    Heartbeat(2, 5, make_runtime('cpu'), journal).beat(3, settled(**GOOD), 0.01, waited=2.5)
    ((event, facts),) = journal.lines
    assert event == 'stage2_epoch' and 0.1 < facts.pop('memory_gb') < 100
    assert facts == {
        'epoch': 3,
        'loss': 2.0,
        'acc': 0.5,
        'id_loss': 2.0,
        'lr': 0.01,
        'seconds': 10.0,
        'photos_per_second': 1.2,
        'data_wait_share': 0.25,
    }


def test_time_left(journal, clock, caplog):
    caplog.set_level(logging.INFO, logger='transreid')
    heart = Heartbeat(1, 10, make_runtime('cpu'), journal)
    assert heart.text(3) == 'stage 1, epoch 3/10'  # resumed at epoch 3: nothing is known yet
    for epoch in (3, 4, 5, 6):
        clock.now += 20
        heart.beat(epoch, settled(**GOOD), 0.1, waited=0.0)
    assert heart.text(7) == 'stage 1, epoch 7/10, ETA 0:01:20'
    # after 20 s, not after 40, after 60
    assert [record.getMessage() for record in caplog.records] == [
        'ETA 0:02:20: stage 1, 3 of 10 epochs done',
        'ETA 0:01:40: stage 1, 5 of 10 epochs done',
    ]
    clock.now += 80
    heart.beat(10, settled(**GOOD), 0.1, waited=0.0)
    assert len(caplog.records) == 2  # nothing is left


def test_the_loader_is_the_bottleneck(journal, caplog):
    heart = Heartbeat(2, 9, make_runtime('cpu'), journal)
    heart.beat(1, settled(**GOOD), 0.1, waited=9.0)  # decodes for the others
    heart.beat(2, settled(**GOOD), 0.1, waited=4.9)
    assert not caplog.records
    heart.beat(3, settled(**GOOD), 0.1, waited=6.0)
    heart.beat(4, settled(**GOOD), 0.1, waited=6.0)
    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == 'WARNING')
    assert '60 % of epoch 3' in warning and 'DATALOADER.NUM_WORKERS' in warning


def test_short_waits_are_nothing_to_warn_of(journal, caplog):
    journal.epoch_watch.seconds = 2.0
    heart = Heartbeat(2, 9, make_runtime('cpu'), journal)
    for epoch in (1, 2):
        heart.beat(epoch, settled(**GOOD), 0.1, waited=1.9)
    assert not [record for record in caplog.records if record.levelname == 'WARNING']


def test_a_constant_term(journal, caplog):
    heart = Heartbeat(2, 9, make_runtime('cpu'), journal, unused=['i2t'])
    flat = GOOD | {'triplet': (0.3, 0.3, 0.3), 'i2t': (0.0, 0.0, 0.0)}
    heart.beat(
        1, settled(**{name: values[:2] for name, values in flat.items()}), 0.1, waited=0.0
    )  # two: chance
    assert not caplog.records
    heart.beat(2, settled(**flat), 0.1, waited=0.0)
    heart.beat(3, settled(**flat), 0.1, waited=0.0)
    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == 'WARNING')
    assert warning.startswith('the triplet term of the loss was 0.3 in every iteration of epoch 2')


def test_waiting_counts_the_loader_and_not_the_loop(clock):
    def slow():
        for item in 'ab':
            clock.now += 3
            yield item
        clock.now += 1

    waiting = TimedLoader(slow())
    for _ in waiting:
        clock.now += 100
    assert waiting.seconds == 7 and len(TimedLoader([1, 2])) == 2
    assert Stopwatch(5).seconds == 5 and module.WAITING < 1
