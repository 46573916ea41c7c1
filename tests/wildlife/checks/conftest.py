"""Fixtures of the tests beside."""

import pytest

from tests.wildlife.checks.herd import Herd


@pytest.fixture
def herd(tmp_path):
    return Herd(tmp_path)
