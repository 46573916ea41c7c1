"""A run that was interrupted."""

import signal

import pytest

import train_clipreid
from tests.utils.run.interrupted import stop_after
from utils.errors import Stopped


@pytest.fixture
def stopped(world, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        with pytest.raises(Stopped):
            train_clipreid.main(world.args())
    return world


@pytest.fixture(autouse=True)
def _signals_arrive():
    """Tests that run in the background or under nohup may have inherited ignored signals."""
    earlier = {
        number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    earlier[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in earlier.items():
        signal.signal(number, handler)
