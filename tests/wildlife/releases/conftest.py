"""A fabricated release of ATRW."""

import pytest

from tests.wildlife.releases.world import atrw_files, write_atrw


@pytest.fixture
def atrw(tmp_path):
    return write_atrw(tmp_path / 'release', atrw_files())
