"""The checkpoints of a folder: which files they are, and their checksums."""

import hashlib

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
