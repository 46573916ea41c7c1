"""TorchScript archives: the same tensors as torch.jit.load."""

import re
import zipfile

import pytest
import torch

from model.clip.archive import archive_state
from tests.model.archives import KEY, archive, by_torch, rewrite
from tests.model.weight_files import refused, same
from utils.checkpoint import load_state, load_tree
from utils.weights_files import is_torchscript


@pytest.mark.parametrize('half', [False, True], ids=['float', 'half'])
@pytest.mark.parametrize('kind', ['script', 'trace'])
def test_same_tensors_as_torch(kind, half, tmp_path):
    path = archive(tmp_path / 'a.pt', kind, half)
    ours, theirs = archive_state(path, KEY), by_torch(path)
    assert list(ours) == list(theirs) and same(ours, theirs)
    assert all(ours[n].stride() == theirs[n].stride() for n in ours)
    assert {'resblocks.1.mask', 'same.1.running_var', 'context_length', 'view', 'tied'} <= set(ours)
    assert not {'resblocks.0.attn_mask', 'resblocks.0.bias'} & set(ours)
    assert ours['visual.0.weight'].dtype == (torch.float16 if half else torch.float32)
    tied = [ours[n].data_ptr() for n in ('tied', 'resblocks.0.mlp.0.weight')]
    assert tied[0] == tied[1] != ours['resblocks.1.mlp.0.weight'].data_ptr()


@pytest.mark.parametrize('line', ['__buffers__', '__parameters__'])
def test_older_archives_without_one_of_the_lists(line, whole, tmp_path):
    def without(code):
        assert line.encode() in code
        return re.sub(rf'  {line} = .*\n'.encode(), b'', code)

    with zipfile.ZipFile(whole) as old:
        code = [
            n.split('/', 1)[1]
            for n in old.namelist()
            if n.endswith('.py') and line.encode() in old.read(n)
        ]
    path = rewrite(whole, tmp_path / 'old.pt', dict.fromkeys(code, without))
    ours, theirs = archive_state(path, KEY), by_torch(path)
    assert (
        list(ours) == list(theirs)
        and same(ours, theirs)
        and 0 < len(ours) < len(archive_state(whole, KEY))
    )


@pytest.mark.parametrize('load', [load_state, load_tree])
def test_archives_are_accepted_only_as_pretrained_weights(load, whole):
    refused(
        lambda: load(whole, 'TEST.WEIGHT'),
        'TEST.WEIGHT',
        whole,
        'TorchScript',
        'MODEL.PRETRAIN_PATH',
    )


def test_is_torchscript(whole, tmp_path):
    torch.save({'a': torch.ones(2)}, tmp_path / 'a.pth')
    (tmp_path / 'cut.pt').write_bytes(whole.read_bytes()[:500])
    assert is_torchscript(whole)
    assert not any(is_torchscript(tmp_path / name) for name in ('a.pth', 'cut.pt', 'missing.pt'))
