"""What the tests of bad input share."""

import pickle
import zipfile

import pytest
import torch
from PIL import Image

from configs import ConfigError
from utils.errors import InputError

NO_STAGE1 = ('SOLVER.STAGE1.MAX_EPOCHS', 0)
ONE_EPOCH = (*NO_STAGE1, 'SOLVER.STAGE2.MAX_EPOCHS', 1)


def refused(main, args, *words):
    """Run a script that must refuse its input in one line holding ``words``; return the line."""
    with pytest.raises((InputError, ConfigError)) as caught:
        main(args)
    line = str(caught.value)
    assert '\n' not in line
    for word in words:
        assert str(word) in line, line
    return line


def nothing_written(world):
    """No checkpoint, no result, no unfinished file."""
    names = [
        p.name for p in world.folder.rglob('*') if p.suffix == '.pth' and p.parent == world.output
    ]
    names += [p.name for p in world.folder.rglob('.tmp-*')]
    names += [p.name for p in world.output.glob('results*.json')] + [
        p.name for p in world.output.glob('*.png')
    ]
    assert names == []


def break_photo(path, how):
    data = path.read_bytes()
    if how == 'long':
        return Image.new('L', (1, 1000)).save(path)
    path.write_bytes(
        {
            'truncated': data[: len(data) // 2],
            'empty': b'',
            'no picture': b'a letter, no picture' * 50,
        }[how]
    )


class Evil:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, 'w')


def write_evil(path, how, victim):
    if how == 'pickle':
        path.write_bytes(pickle.dumps(Evil(victim)))
    else:
        torch.save(
            {'visual.proj': torch.zeros(2), 'evil': Evil(victim)},
            path,
            pickle_protocol=2,
            _use_new_zipfile_serialization=how != 'legacy',
        )
    if how == 'torchscript':  # what marks a TorchScript archive
        with zipfile.ZipFile(path, 'a') as archive:
            folder = archive.namelist()[0].split('/')[0]
            archive.writestr(f'{folder}/constants.pkl', pickle.dumps((), protocol=2))
