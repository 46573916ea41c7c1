"""Fixtures of the tests beside."""

import sys
import types

import pytest
from PIL import Image

from tests.wildlife.background.world import NAMES, left_half, picture, save


@pytest.fixture
def src(tmp_path):
    for number, name in enumerate(NAMES):
        save(picture(number), tmp_path / 'src' / name, quality=95)
        save(left_half(), (tmp_path / 'masks' / name).with_suffix('.png'))
    return tmp_path / 'src'


@pytest.fixture
def rembg(monkeypatch):
    """A stand-in with rembg's signatures; ``calls`` holds what it was given."""
    module = types.ModuleType('rembg')
    module.calls, module.session = [], types.SimpleNamespace(is_local=lambda: True)

    def new_session(model_name='bria-rmbg', *args, sess_opts=None, **kwargs):
        module.model = model_name
        return module.session

    def remove(data, *args, session=None, only_mask=False, **kwargs):
        assert session is module.session and only_mask
        module.calls.append(data)
        return Image.fromarray(left_half(data.size))

    module.new_session, module.remove = new_session, remove
    monkeypatch.setitem(sys.modules, 'rembg', module)
    return module
