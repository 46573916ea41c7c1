"""One photo that the lists name several times: spellings, links, repeated lines, files with the
same bytes.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from datasets import photos
from datasets.folders import fingerprint
from datasets.photos import as_photos, one_spelling, same_photos
from datasets.records import Record

SPELLINGS = ['./{}', 'in/../{}', './/{}', 'symbolic.jpg', 'hard.jpg', 'folder/{}']


@pytest.fixture
def root(tmp_path):
    """A folder with a.jpg and b.jpg, links to a.jpg, and a linked folder."""
    (tmp_path / 'in').mkdir()
    for name in 'ab':
        (tmp_path / f'{name}.jpg').write_text(name)
    (tmp_path / 'symbolic.jpg').symlink_to('a.jpg')
    (tmp_path / 'hard.jpg').hardlink_to(tmp_path / 'a.jpg')
    (tmp_path / 'folder').symlink_to('.')
    return tmp_path


def records(root, *names, **facts):
    return [Record(os.path.join(root, name), 0, **facts) for name in names]


@pytest.mark.parametrize('spelling', SPELLINGS)
def test_a_file_has_one_spelling_in_all_lists(root, spelling, caplog):
    other = spelling.format('a.jpg')
    query, gallery = one_spelling(
        ('q.txt', records(root, 'a.jpg')), ('g.txt', records(root, 'b.jpg', other))
    )
    assert query == records(root, 'a.jpg') and gallery == records(root, 'b.jpg', 'a.jpg')
    query, gallery = one_spelling(
        ('q.txt', records(root, other)), ('g.txt', records(root, 'a.jpg', 'b.jpg'))
    )
    assert query == records(root, other) and gallery == records(
        root, other, 'b.jpg'
    )  # the first one
    assert not caplog.text


def test_a_disk_that_ignores_case(root, monkeypatch):
    stat = os.stat
    with monkeypatch.context() as patch:
        patch.setattr(
            os, 'stat', lambda path: stat(os.path.join(root, os.path.basename(path).lower()))
        )
        (photos,) = one_spelling(('g.txt', records(root, 'A.JPG', 'b.jpg', 'a.jpg', 'B.jpg')))
    assert photos == records(root, 'A.JPG', 'b.jpg')


def test_a_disk_without_numbers_of_files(root, monkeypatch):
    """Some network disks give 0 for all."""
    with monkeypatch.context() as patch:
        patch.setattr(
            os,
            'stat',
            lambda path, stat=os.stat: os.stat_result((*stat(path)[:1], 0, 0, 1, 0, 0, 1, 0, 0, 0)),
        )
        (photos,) = one_spelling(
            ('g.txt', records(root, 'a.jpg', 'b.jpg', './a.jpg', 'symbolic.jpg'))
        )
    assert photos == records(root, 'a.jpg', 'b.jpg')


def test_a_repeated_line_counts_once(root, caplog):
    """A line with other facts is another line."""
    listed = records(root, 'a.jpg', 'b.jpg', 'in/../a.jpg', 'a.jpg') + records(
        root, 'a.jpg', encounter=3
    )
    (photos,) = one_spelling(('g.txt', listed))
    assert photos == records(root, 'a.jpg', 'b.jpg') + records(root, 'a.jpg', encounter=3)
    assert caplog.messages == [
        f'g.txt: 2 of 5 lines repeat an earlier line and are skipped, for example {root}/a.jpg'
    ]


def test_ordinary_lists_stay_as_they_are(root, caplog):
    listed = [records(root, 'a.jpg', 'b.jpg'), records(root, 'b.jpg')]
    assert as_photos(('q.txt', listed[0]), ('g.txt', listed[1])) == listed
    assert fingerprint(as_photos(('q.txt', listed[0]))[0], root) == fingerprint(listed[0], root)
    assert not caplog.text


def test_copies_are_marked(root):
    (root / 'c.jpg').write_text('a')
    (root / 'd.jpg').write_text('a')
    first, second = as_photos(
        ('q.txt', records(root, 'd.jpg', 'b.jpg')), ('g.txt', records(root, 'a.jpg', 'c.jpg'))
    )
    assert [record.photo for record in first + second] == [
        str(root / f'{name}.jpg') for name in 'abaa'
    ]
    assert [record.path for record in first + second] == [
        str(root / f'{name}.jpg') for name in 'dbac'
    ]


def test_a_photo_that_has_vanished_is_left_to_the_loader(root):
    listed = records(root, 'gone.jpg', 'a.jpg')
    assert as_photos(('q.txt', listed)) == [listed]


def test_only_photos_of_equal_size_are_opened_and_each_is_read_once(tmp_path, monkeypatch):
    read = Counter()

    def recorded(path, *arguments, plain=open):
        read.update([Path(path).name])
        return plain(path, *arguments)

    monkeypatch.setattr('builtins.open', recorded)
    long = 'x' * photos.HEAD
    contents = {
        'alone': 'a',
        'short 1': 'bb',
        'short 2': 'cc',
        'long 1': long + 'd',
        'long 2': long + 'e',
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    paths = {str(tmp_path / name) for name in contents}
    for _ in range(2):
        assert same_photos(paths) == {path: path for path in paths}
    assert read == {'short 1': 1, 'short 2': 1, 'long 1': 2, 'long 2': 2}  # the head, then all


def test_a_photo_that_is_replaced_is_read_again(tmp_path):
    one, other = (str(tmp_path / name) for name in 'ab')
    Path(one).write_text('1')
    Path(other).write_text('2')
    os.utime(other, (0, 0))
    assert same_photos([one, other]) == {one: one, other: other}
    Path(other).write_text('1')
    assert same_photos([one, other]) == {one: one, other: one}
