"""The checkpoints of a folder: which files they are, and their checksums."""

import hashlib
import json
import os

import pytest

from wildlife.report import checkpoints
from wildlife.report.checkpoints import list_checkpoints, position_of

SCORES = {10: 0.5, 20: 0.7, 30: 0.7}


@pytest.mark.parametrize(
    ('name', 'position'),
    [
        ('RN50_stage1_60.pth', (1, 60)),
        ('RN50_80.safetensors', (2, 80)),
        ('RN50_best.pth', (2, 20)),
        ('RN50_best.1.pth', None),  # of an earlier run
        ('RN50_stage1_best.pth', None),
        ('RN50x4_80.pth', None),
        ('resume.pth', None),
        ('RN50_80.txt', None),
        ('XRN50_80.pth', None),
    ],
)
def test_names(name, position):
    assert position_of(name, 'RN50', SCORES) == position


def test_other_spellings_of_the_model():
    assert position_of('ViT-L-14-336px_best.pth', 'ViT-L/14@336px', {}) == (2, None)


def test_unchanged_files_are_not_read_again(tmp_path, monkeypatch):
    for name in ('RN50_1.pth', 'RN50_2.pth', 'theirs.pth', 'other.pth'):
        (tmp_path / name).write_text(name)
    tests = [{'checkpoint': 'theirs.pth'}]
    first = list_checkpoints(tmp_path, 'RN50', tests)
    assert [(each['file'], each['stage'], each['epoch']) for each in first] == [
        ('RN50_1.pth', 2, 1),
        ('RN50_2.pth', 2, 2),
        ('theirs.pth', None, None),
    ]
    assert [each['sha256'] for each in first] == [
        hashlib.sha256(each['file'].encode()).hexdigest() for each in first
    ]
    read = []
    monkeypatch.setattr(checkpoints, 'sha256_file', lambda path: read.append(path.name) or 'new')
    (tmp_path / 'RN50_2.pth').write_text('other weights')
    again = list_checkpoints(tmp_path, 'RN50', tests, first)
    assert read == ['RN50_2.pth'] and again[1]['sha256'] == 'new'
    assert again[0] == first[0] and again[2] == first[2]


def test_files_of_an_earlier_run_have_no_validation(tmp_path):
    """Those of this run are not older than its first event, but for the clock of the disk."""
    start = 1_000_000_000
    events = [
        {'event': 'stage1', 'time': start},
        *({'event': 'validation', 'time': start + n, 'epoch': n, 'mAP': n / 100} for n in (9, 10)),
    ]
    (tmp_path / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, events)))
    ages = {'RN50_10.pth': -1, 'RN50_9.pth': -60, 'RN50_stage1_9.pth': 5, 'RN50_best.pth': 10}
    for name, age in ages.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (start + age, start + age))
    keys = ('file', 'this_run', 'validation_mAP')
    found = list_checkpoints(tmp_path, 'RN50', [])
    assert [tuple(each[key] for key in keys) for each in found] == [
        ('RN50_stage1_9.pth', True, None),
        ('RN50_9.pth', False, None),
        ('RN50_10.pth', True, 0.1),
        ('RN50_best.pth', True, 0.1),
    ]
