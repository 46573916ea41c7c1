"""Results of training runs, compared bit for bit."""

import json
import re

import torch

MEASURED = {'time', 'seconds'}  # of metrics.jsonl: what differs from run to run


def state_of(path):
    return torch.load(path, map_location='cpu', weights_only=True)


def same_tensors(a, b):
    """Names whose tensors differ in a single bit, shape or type."""
    a, b = state_of(a), state_of(b)
    if a.keys() != b.keys():
        return sorted(a.keys() ^ b.keys())
    return [
        name for name in a if a[name].dtype != b[name].dtype or not torch.equal(a[name], b[name])
    ]


def lines_of(path):
    """metrics.jsonl without what is measured."""
    return [
        {key: value for key, value in json.loads(line).items() if not is_measured(key)}
        for line in path.read_text().splitlines()
    ]


def is_measured(key):
    return key in MEASURED or re.search(r'second|memory|wait|eta|photos_per', key) is not None


def differences(folder, reference):
    """What of a run's results is not bit-identical with an uninterrupted run's; [] = nothing."""
    found = []
    names = {p.name for p in reference.glob('*.pth')} - {'resume.pth'}
    assert len(names) >= 2
    missing = names - {p.name for p in folder.iterdir()}
    found += [f'{name} is missing' for name in sorted(missing)]
    for name in sorted(names - missing):
        different = same_tensors(folder / name, reference / name)
        if different:
            found.append(f'{name}: {len(different)} tensors differ, {different[:3]}')
    here, there = lines_of(folder / 'metrics.jsonl'), lines_of(reference / 'metrics.jsonl')
    if here != there:
        first = next(
            (i for i, (a, b) in enumerate(zip(here, there)) if a != b), min(len(here), len(there))
        )
        found.append(
            f'metrics.jsonl: {len(here)} and {len(there)} lines, line {first + 1}: '
            f'{here[first : first + 1]} instead of {there[first : first + 1]}'
        )
    if checkpoints_of(folder) != checkpoints_of(reference):
        found.append(f'card.json lists {checkpoints_of(folder)}')
    found += [f'{p.name} is left' for p in folder.iterdir() if p.name.startswith('.')]
    return found


def checkpoints_of(folder):
    """What the card of a run says about its checkpoints."""
    names = ('file', 'stage', 'epoch', 'validation_mAP', 'this_run')
    listed = json.loads((folder / 'card.json').read_text())['checkpoints']
    return [[each[name] for name in names] for each in listed]


def epochs(stage1, stage2):
    """KEY VALUE words for so many epochs of both stages, with two workers."""
    one, two = ('SOLVER.STAGE1.MAX_EPOCHS', stage1), ('SOLVER.STAGE2.MAX_EPOCHS', stage2)
    return (*one, *two, 'DATALOADER.NUM_WORKERS', 2)


EVERY_EPOCH = ('SOLVER.STAGE1.CHECKPOINT_PERIOD', 1, 'SOLVER.STAGE2.CHECKPOINT_PERIOD', 1)
