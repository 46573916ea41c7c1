"""TorchScript archives: none of their code is run."""

import struct
import zipfile

import pytest

from model.clip.archive import archive_state
from tests.model.archives import KEY, by_torch, evil_pickles, rewrite, run
from tests.model.weight_files import refused, same
from utils.weights_files import is_torchscript

EVIL = list(evil_pickles('x'))


@pytest.mark.parametrize('name', EVIL)
def test_evil_pickle_in_an_archive(name, whole, tmp_path):
    victim = tmp_path / 'victim'
    evil = evil_pickles(victim)[name]
    run(evil)
    assert victim.exists()  # it really is evil
    victim.unlink()
    path = rewrite(whole, tmp_path / 'evil.pt', {'data.pkl': evil})
    assert is_torchscript(path)
    refused(lambda: archive_state(path, KEY), KEY, path, 'no code in it was run')
    assert not victim.exists()


def test_evil_call_within_an_intact_module(whole, tmp_path):
    """Calls next to the weights are not made, so the state does not contain their results."""
    victim = tmp_path / 'victim'
    text = f'touch {victim}'.encode()
    call = b'X\x04\0\0\0evilcposix\nsystem\n(X' + struct.pack('<I', len(text)) + text + b'tR'
    rebuild = b'ctorch._utils\n_rebuild_tensor_v2\n'
    path = rewrite(
        whole,
        tmp_path / 'evil.pt',
        {'data.pkl': lambda data: data.replace(b'(X', b'(' + call + b'X', 1)},
    )
    assert same(archive_state(path, KEY), by_torch(whole))
    path = rewrite(
        whole,
        tmp_path / 'evil.pt',
        {'data.pkl': lambda data: data.replace(rebuild, b'cposix\nsystem\n')},
    )
    refused(lambda: archive_state(path, KEY), 'is not a dense tensor')
    assert not victim.exists()


@pytest.mark.parametrize(
    'code',
    ['{text}\nopen({victim!r}, "w")\n', 'import os; os.system("touch {victim}")\n{text}', '{evil}'],
)
def test_evil_code(code, whole, tmp_path):
    victim = tmp_path / 'victim'

    def change(data):
        text = data.decode()
        evil = text.replace(
            '__parameters__ = [', f'__parameters__ = [open({str(victim)!r}, "w"), ', 1
        )
        return code.format(text=text, victim=str(victim), evil=evil).encode()

    with zipfile.ZipFile(whole) as old:
        member = next(
            n.split('/', 1)[1]
            for n in old.namelist()
            if n.endswith('.py') and b'class Clip(' in old.read(n)
        )
    path = rewrite(whole, tmp_path / 'evil.pt', {member: change})
    if 'evil' in code:
        refused(lambda: archive_state(path, KEY), '__parameters__ is not a list of names')
    else:
        assert same(archive_state(path, KEY), by_torch(whole))
    assert not victim.exists()
