"""Lists, records, their counts, and the search for the photos."""
import hashlib
import json
from pathlib import Path

import pytest

from datasets.records import Counts, Record, check_contiguous, count, counts_table, locate, read_list
from utils.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
DATALIST = ROOT / '../shared/datalist'
GOLDEN = json.loads((ROOT / 'tests/golden/data.json').read_text())


def write(tmp_path, content, name='list.txt'):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def fields(records):
    return [(record.path, record.pid, record.viewid) for record in records]


@pytest.mark.skipif(not DATALIST.exists(), reason='the published lists are not here')
@pytest.mark.parametrize('name', GOLDEN['lists'])
def test_published_lists(name):
    expected, records = GOLDEN['lists'][name], read_list(DATALIST / name)
    labels = [record.pid for record in records]
    assert len(records) == expected['photos']
    assert len(set(labels)) == expected['labels']
    assert [[record.path, record.pid] for record in records[:3]] == expected['first']
    assert [[record.path, record.pid] for record in records[-3:]] == expected['last']
    assert hashlib.sha256(' '.join(map(str, labels)).encode()).hexdigest() == expected['labels_sha256']
    assert {record.camid for record in records} == {0}
    for side, times in expected.get('side_column_counts', {}).items():
        assert [record.viewid for record in records].count(int(side)) == times


def test_list_with_sides_blank_lines_and_trailing_blanks(tmp_path):
    path = write(tmp_path, 'train/0/a.jpg 0 0\n\nb.jpg\t1   1  \n   \n  c.jpg 2')
    assert fields(read_list(path)) == [('train/0/a.jpg', 0, 0), ('b.jpg', 1, 1), ('c.jpg', 2, 0)]


def test_list_from_windows(tmp_path):
    path = write(tmp_path, b'\xef\xbb\xbfa.jpg 0 1\r\n\r\nb\xc3\xa9.jpg 1 0\r\n')
    assert fields(read_list(path)) == [('a.jpg', 0, 1), ('bé.jpg', 1, 0)]


@pytest.mark.parametrize(('line', 'expected'), [
    ('my photos/img 3.jpg 5', ('my photos/img 3.jpg', 5, 0)),
    ('my photos/img 3.jpg 5 1', ('my photos/img 3.jpg', 5, 1)),
    ('two  blanks.v2.png 5', ('two  blanks.v2.png', 5, 0)),
    ('12 5 1', ('12', 5, 1)),
    ('a.jpg +7', ('a.jpg', 7, 0)),
])
def test_paths(tmp_path, line, expected):
    assert fields(read_list(write(tmp_path, line))) == [expected]


@pytest.mark.parametrize(('line', 'complaint'), [
    ('a.jpg', 'expected'),
    ('a.jpg,3', 'expected'),
    ('a.jpg 1 0 4', 'expected'),
    ('a.jpg zebra', "label 'zebra' is no integer"),
    ('a.jpg zebra 1', "label 'zebra' is no integer"),
    ('a.jpg 3.0', "label '3.0' is no integer"),
    ('a.jpg 3.0 1', "label '3.0' is no integer"),
    ('a.jpg 1_0', "label '1_0' is no integer"),
    ('a.jpg -1', "label '-1' is negative"),
    ('a.jpg 1 2', "side '2'"),
    ('a.jpg 1 left', "side 'left'"),
])
def test_malformed_line_is_named(tmp_path, line, complaint):
    path = write(tmp_path, f'ok.jpg 0\n\n{line}\n')
    with pytest.raises(InputError, match='list.txt:3: ') as caught:
        read_list(path)
    assert complaint in str(caught.value)
    assert '\n' not in str(caught.value)


def test_bad_list_files(tmp_path):
    with pytest.raises(InputError, match='nowhere.txt: no such list; check DATASETS.LIST_DIR'):
        read_list(str(tmp_path / 'nowhere.txt'))
    with pytest.raises(InputError, match='cannot be read'):
        read_list(str(tmp_path))
    for content in ('', ' \n\n'):
        with pytest.raises(InputError, match='list.txt: the list is empty'):
            read_list(write(tmp_path, content))
    with pytest.raises(InputError, match='list.txt:2: not UTF-8'):
        read_list(write(tmp_path, b'a.jpg 0\nb\xe9.jpg 1\n'))


def records_of(*pids):
    return [Record(path=f'{index}.jpg', pid=pid) for index, pid in enumerate(pids)]


def test_training_labels_are_contiguous():
    check_contiguous(records_of(1, 0, 2, 1), 'train.txt')
    with pytest.raises(InputError, match=r'train.txt: .* of 0 … 3 1 do not occur \(2\)'):
        check_contiguous(records_of(0, 1, 3), 'train.txt')
    with pytest.raises(InputError, match=r'\(0, 1, 2 …\)'):
        check_contiguous(records_of(10 ** 12), 'train.txt')  # and quickly
    with pytest.raises(InputError, match='single individual'):
        check_contiguous(records_of(0, 0), 'train.txt')


def test_locate(tmp_path, caplog):
    for name in ('0.jpg', '2.jpg'):
        (tmp_path / name).touch()
    options = {'root': str(tmp_path), 'what': 'my.txt', 'key': 'DATASETS.TEST_ROOT_DIR'}
    located = locate([Record('0.jpg', 4, viewid=1)], skip_missing=False, **options)
    assert located == [Record(str(tmp_path / '0.jpg'), 4, viewid=1)]

    listed = records_of(0, 1, 2, 3, 4, 5)
    with pytest.raises(InputError) as caught:
        locate(listed, skip_missing=False, **options)
    message = str(caught.value)
    assert 'my.txt: 4 of 6 photos are missing' in message
    assert '(1.jpg, 3.jpg, 4.jpg …)' in message
    assert str(tmp_path) in message
    assert 'DATASETS.SKIP_MISSING True' in message

    assert [record.pid for record in locate(listed, skip_missing=True, **options)] == [0, 2]
    assert '4 of 6 photos are missing' in caplog.text
    assert '4 individuals have no photo left' in caplog.text
    with pytest.raises(InputError, match='nothing is left'):
        locate([Record('9.jpg', 0)], skip_missing=True, **options)


def test_locate_without_the_folder(tmp_path):
    with pytest.raises(InputError, match="DATASETS.TEST_ROOT_DIR: there is no folder '.*gone'"):
        locate(records_of(0), root=str(tmp_path / 'gone'), skip_missing=True, what='my.txt',
               key='DATASETS.TEST_ROOT_DIR')


def test_counts_and_table():
    records = [Record('a', 0), Record('b', 0, viewid=1), Record('c', 3, camid=2), Record('d', 0), Record('e', 3)]
    assert count(records) == Counts(ids=2, images=5, cameras=3, views=2)
    assert count([]) == Counts(ids=0, images=0, cameras=1, views=1)
    lines = counts_table({'train': records, 'empty': []}).splitlines()
    assert lines[1].split() == ['train', '5', '2', '2', '2.5', '3']
    assert lines[2].split() == ['empty', '0', '0', '0', '0', '0']
    assert len({len(line) for line in lines}) == 1  # aligned
