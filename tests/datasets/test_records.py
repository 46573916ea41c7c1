"""Lists, records and their counts."""

import hashlib
import json
import os

import pytest

from datasets.records import Record, check_contiguous, counts_table, individuals, read_list
from tests.helpers import PUBLISHED_LISTS, ROOT, needs_published_lists
from utils.errors import InputError

GOLDEN = json.loads((ROOT / 'tests/golden/data.json').read_text())


def write(tmp_path, content, name='list.txt'):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def fields(records):
    return [(record.path, record.pid, record.viewid) for record in records]


@needs_published_lists
@pytest.mark.parametrize('name', GOLDEN['lists'])
def test_published_lists(name):
    expected, records = GOLDEN['lists'][name], read_list(PUBLISHED_LISTS / name)
    labels = [record.pid for record in records]
    assert len(records) == expected['photos']
    assert len(set(labels)) == expected['labels']
    assert [[record.path, record.pid] for record in records[:3]] == expected['first']
    assert [[record.path, record.pid] for record in records[-3:]] == expected['last']
    assert (
        hashlib.sha256(' '.join(map(str, labels)).encode()).hexdigest() == expected['labels_sha256']
    )
    assert {record.camid for record in records} == {0}
    for side, times in expected.get('side_column_counts', {}).items():
        assert [record.viewid for record in records].count(int(side)) == times


def test_list_with_sides_blank_lines_and_trailing_blanks(tmp_path):
    path = write(tmp_path, 'train/0/a.jpg 0 0\n\nb.jpg\t1   1  \n   \n  c.jpg 2')
    assert fields(read_list(path)) == [('train/0/a.jpg', 0, 0), ('b.jpg', 1, 1), ('c.jpg', 2, 0)]


def test_list_from_windows(tmp_path):
    path = write(tmp_path, b'\xef\xbb\xbfa.jpg 0 1\r\n\r\nb\xc3\xa9.jpg 1 0\r\n')
    assert fields(read_list(path)) == [('a.jpg', 0, 1), ('bé.jpg', 1, 0)]


@pytest.mark.parametrize(
    ('line', 'expected'),
    [
        ('my photos/img 3.jpg 5', ('my photos/img 3.jpg', 5, 0)),
        ('my photos/img 3.jpg 5 1', ('my photos/img 3.jpg', 5, 1)),
        ('two  blanks.v2.png 5', ('two  blanks.v2.png', 5, 0)),
        ('12 5 1', ('12', 5, 1)),
        ('a.jpg +7', ('a.jpg', 7, 0)),
    ],
)
def test_paths(tmp_path, line, expected):
    assert fields(read_list(write(tmp_path, line))) == [expected]


@pytest.mark.parametrize(
    ('line', 'complaint'),
    [
        ('a.jpg', 'expected'),
        ('a.jpg,3', 'expected'),
        ('a.jpg 1 0 4 7 9', 'expected'),
        ('a.jpg 1 0 a', "camera 'a' is not a whole number"),
        ('a.jpg 1 0 -1', "camera '-1' is not a whole number"),
        ('a.jpg 1 0 1000000', 'at most 6 digits'),
        ('a.jpg 1 0 4 x', "encounter 'x' is not a whole number"),
        ('a.jpg 1 0 4 1000000000000000', 'at most 15 digits'),
        ('a.jpg - 0 4', "label '-' is not a whole number"),
        ('a.jpg zebra', "label 'zebra' is not a whole number"),
        ('a.jpg zebra 1', "label 'zebra' is not a whole number"),
        ('a.jpg 3.0', "label '3.0' is not a whole number"),
        ('a.jpg 3.0 1', "label '3.0' is not a whole number"),
        ('a.jpg 1_0', "label '1_0' is not a whole number"),
        (
            'a.jpg -1',
            "label '-1' is not a whole number >= 0 with at most 18 digits; only a separate",
        ),
        ('a.jpg 1 2', "side '2'"),
        ('a.jpg 1 left', "side 'left'"),
        ('a.jpg ' + '9' * 5000, 'expected'),
        ('a.jpg ' + '9' * 19, 'at most 18 digits'),  # more than 64 bits
        ('a.jpg \N{ARABIC-INDIC DIGIT THREE}', 'not a whole number'),
        ('a/b\0.jpg 1', r"path 'a/b\x00.jpg' contains a control character"),
        ('a/\x1b[31m.jpg 1', r"path 'a/\x1b[31m.jpg' contains a control character"),
        ('a\tb.jpg 1', 'control character'),
        ('a\u2028b.jpg 1', 'control character'),
        (r'train\0\a.jpg 1', "separate folders with '/'"),
        ('../a.jpg 1', "path '../a.jpg' leads out of the photo folder"),
        ('..', 'expected'),
        ('.. 1', 'leads out'),
        ('train/../../photos/a.jpg 1', 'leads out'),
        ('/etc/shadow.jpg 1', 'DATASETS.ALLOW_OUTSIDE True'),
    ],
)
def test_malformed_line_is_named(tmp_path, line, complaint):
    path = write(tmp_path, f'ok.jpg 0\n\n{line}\n')
    with pytest.raises(InputError, match='list.txt:3: ') as caught:
        read_list(path)
    assert complaint in str(caught.value)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


def test_cameras_and_encounters(tmp_path):
    records = read_list(
        write(tmp_path, 'a.jpg 1 1 4 7\nb.jpg 1 - - 7\nc d.jpg 2 0 3\ne.jpg 3 1\nf.jpg 4 - 0 -\n')
    )
    assert records == [
        Record('a.jpg', 1, camid=4, viewid=1, side=1, encounter=7, camera=4),
        Record('b.jpg', 1, encounter=7),
        Record('c d.jpg', 2, camid=3, side=0, camera=3),
        Record('e.jpg', 3, viewid=1, side=1),
        Record('f.jpg', 4, camera=0),
    ]


def test_paths_outside_where_they_are_allowed(tmp_path):
    path = write(tmp_path, '/abs/a.jpg 0\n../b.jpg 1\nin/../c.jpg 1\n')
    assert fields(read_list(path, allow_outside=True)) == [
        ('/abs/a.jpg', 0, 0),
        ('../b.jpg', 1, 0),
        ('in/../c.jpg', 1, 0),
    ]
    path = write(tmp_path, 'in/../c.jpg 1\n..hidden/d.jpg 0')
    assert fields(read_list(path)) == [('in/../c.jpg', 1, 0), ('..hidden/d.jpg', 0, 0)]


def test_bad_list_files(tmp_path):
    with pytest.raises(InputError, match='nowhere.txt: no such list; check DATASETS.LIST_DIR'):
        read_list(str(tmp_path / 'nowhere.txt'))
    os.mkfifo(tmp_path / 'pipe.txt')  # nobody writes to it
    for path in (tmp_path, tmp_path / 'pipe.txt', '/dev/zero', tmp_path / 'list.txt' / 'in a file'):
        write(tmp_path, 'a.jpg 0')
        with pytest.raises(InputError, match='cannot be read'):
            read_list(str(path))
    for content in ('', ' \n\n'):
        with pytest.raises(InputError, match='list.txt: the list is empty'):
            read_list(write(tmp_path, content))
    with pytest.raises(InputError, match='list.txt:2: not UTF-8'):
        read_list(write(tmp_path, b'a.jpg 0\nb\xe9.jpg 1\n'))
    with pytest.raises(InputError, match='list.txt:1: expected .path label'):
        read_list(write(tmp_path, b'a.jpg 0 ' * 1_250_001))
    with pytest.raises(InputError, match='list.txt:2: not UTF-8'):
        read_list(write(tmp_path, bytes(range(256)) * 40_000))
    with pytest.raises(InputError, match='list.txt:1: expected .path label'):
        read_list(write(tmp_path, bytes(1000)))


def test_a_list_of_gigabytes_is_not_read(tmp_path):
    path = tmp_path / 'list.txt'
    path.touch()
    os.truncate(path, 10**9)
    with pytest.raises(InputError, match='larger than 100 MB'):
        read_list(path)


def test_a_gallery_may_show_nobody(tmp_path):
    path = write(tmp_path, 'a.jpg 3\nb.jpg -1 - 2\n')
    assert [(record.pid, record.camera) for record in read_list(path, is_gallery=True)] == [
        (3, None),
        (-1, 2),
    ]
    with pytest.raises(InputError, match="list.txt:2: label '-1' is not a .*DATASETS.GALLERY_LIST"):
        read_list(path)
    with pytest.raises(InputError, match="list.txt:1: label '-2' is not a whole number"):
        read_list(write(tmp_path, 'a.jpg -2'), is_gallery=True)


def records_of(*pids):
    return [Record(path=f'{index}.jpg', pid=pid) for index, pid in enumerate(pids)]


def test_training_labels_are_contiguous():
    check_contiguous(records_of(1, 0, 2, 1), 'train.txt')
    with pytest.raises(InputError, match=r'train.txt: .* of 0 … 3 are missing \(2\)'):
        check_contiguous(records_of(0, 1, 3), 'train.txt')
    with pytest.raises(InputError, match=r'\(0, 1, 2 …\)'):
        check_contiguous(records_of(10**12), 'train.txt')  # and quickly
    with pytest.raises(InputError, match='single individual'):
        check_contiguous(records_of(0, 0), 'train.txt')


def test_counts_and_table():
    records = [
        Record('a', 0),
        Record('b', 0, viewid=1),
        Record('c', 3, camid=2),
        Record('d', 0),
        Record('e', 3),
    ]
    assert individuals(records) == 2
    assert individuals([]) == 0
    assert individuals([*records, Record('f', -1)]) == 2  # a distractor is nobody
    lines = counts_table(
        {'train': records, 'empty': [], 'gallery': [*records, *[Record('f', -1)] * 9]}
    ).splitlines()
    assert lines.pop().split() == ['gallery', '14', '2', '2', '2.5', '3']
    assert lines[1].split() == ['train', '5', '2', '2', '2.5', '3']
    assert lines[2].split() == ['empty', '0', '0', '0', '0', '0']
    assert len({len(line) for line in lines}) == 1  # aligned
