"""A run that was interrupted."""

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
