"""Lists, records, their counts, and the search for the photos."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from datasets.images import find_unreadable
from datasets.records import (
    Counts,
    Record,
    check_contiguous,
    count,
    counts_table,
    fingerprint,
    locate,
    read_list,
)
from utils.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
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
        ('a.jpg 1 0 a', "camera 'a' is no whole number"),
        ('a.jpg 1 0 -1', "camera '-1' is no whole number"),
        ('a.jpg 1 0 1000000', 'up to 6 digits'),
        ('a.jpg 1 0 4 x', "encounter 'x' is no whole number"),
        ('a.jpg 1 0 4 1000000000000000', 'up to 15 digits'),
        ('a.jpg - 0 4', "label '-' is no integer"),
        ('a.jpg zebra', "label 'zebra' is no integer"),
        ('a.jpg zebra 1', "label 'zebra' is no integer"),
        ('a.jpg 3.0', "label '3.0' is no integer"),
        ('a.jpg 3.0 1', "label '3.0' is no integer"),
        ('a.jpg 1_0', "label '1_0' is no integer"),
        (
            'a.jpg -1',
            (
                "label '-1' is negative; labels are whole numbers from 0. Only a gallery list that "
                'is not the query'
            ),
        ),
        ('a.jpg 1 2', "side '2'"),
        ('a.jpg 1 left', "side 'left'"),
        ('a.jpg ' + '9' * 5000, 'a line of 5006 characters'),
        ('a.jpg ' + '9' * 19, 'up to 18 digits'),  # more than 64 bits
        ('a.jpg \N{ARABIC-INDIC DIGIT THREE}', 'no integer'),
        ('a/b\0.jpg 1', r"path 'a/b\x00.jpg' holds a control character"),
        ('a/\x1b[31m.jpg 1', r"path 'a/\x1b[31m.jpg' holds a control character"),
        ('a\tb.jpg 1', 'control character'),
        ('a\u2028b.jpg 1', 'control character'),
        (r'train\0\a.jpg 1', "write folders with '/'"),
        ('../a.jpg 1', "path '../a.jpg' leads out of the photos' folder"),
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
    with pytest.raises(
        InputError, match='list.txt:1: a line of 10000007 characters; write one photo a line'
    ):
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
    with pytest.raises(
        InputError, match="list.txt:2: label '-1' is negative; .* name it in DATASETS.GALLERY_LIST"
    ):
        read_list(path)
    with pytest.raises(InputError, match="list.txt:1: label '-2' is negative"):
        read_list(write(tmp_path, 'a.jpg -2'), is_gallery=True)


def records_of(*pids):
    return [Record(path=f'{index}.jpg', pid=pid) for index, pid in enumerate(pids)]


def test_training_labels_are_contiguous():
    check_contiguous(records_of(1, 0, 2, 1), 'train.txt')
    with pytest.raises(InputError, match=r'train.txt: .* of 0 … 3 1 do not occur \(2\)'):
        check_contiguous(records_of(0, 1, 3), 'train.txt')
    with pytest.raises(InputError, match=r'\(0, 1, 2 …\)'):
        check_contiguous(records_of(10**12), 'train.txt')  # and quickly
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


def test_locate_without_broken_photos(tmp_path, caplog):
    """Decoded only where that is asked for, and once each."""
    Image.new('L', (4, 4)).save(tmp_path / '0.png')
    (tmp_path / '1.png').write_bytes(b'rubbish')
    options = {
        'root': str(tmp_path),
        'skip_missing': False,
        'what': 'my.txt',
        'key': 'DATASETS.TEST_ROOT_DIR',
    }
    listed = [Record('0.png', 0), Record('1.png', 1), Record('1.png', 2)]
    assert len(locate(listed, **options)) == 3 and not caplog.text
    assert [record.pid for record in locate(listed, skip_broken=True, **options)] == [0]
    assert caplog.text.count(f'skipped: {tmp_path / "1.png"}: not a picture') == 1
    assert (
        'my.txt: 2 of 3 photos cannot be read; going on without them, 2 individuals have no '
        'photo left'
    ) in caplog.text
    with pytest.raises(InputError, match='my.txt: 2 of 2 photos cannot be read; nothing is left'):
        locate(listed[1:], skip_broken=True, **options)
    assert locate([], skip_broken=True, **options) == []


def test_a_photo_that_goes_while_all_are_decoded_is_not_skipped(tmp_path, monkeypatch):
    """The disk was pulled out: without the photos on it the run would be another one."""

    def pull_out(paths):
        (tmp_path / 'b.png').unlink()
        return find_unreadable(paths)

    for name in ('a.png', 'b.png'):
        Image.new('RGB', (4, 4)).save(tmp_path / name)
    monkeypatch.setattr('datasets.records.find_unreadable', pull_out)
    with pytest.raises(InputError, match='b.png: .* it has gone; bring it back'):
        locate(
            [Record('a.png', 0), Record('b.png', 1)],
            tmp_path,
            False,
            'my.txt',
            'ROOT',
            skip_broken=True,
        )


def test_locate_without_the_folder(tmp_path):
    with pytest.raises(InputError, match="DATASETS.TEST_ROOT_DIR: there is no folder '.*gone'"):
        locate(
            records_of(0),
            root=str(tmp_path / 'gone'),
            skip_missing=True,
            what='my.txt',
            key='DATASETS.TEST_ROOT_DIR',
        )


@pytest.fixture
def linked(tmp_path):
    """photos -> disk/photos, with a.jpg in it, links of all kinds, and a secret beside it."""
    photos = tmp_path / 'disk' / 'photos'
    (photos / 'in').mkdir(parents=True)
    (tmp_path / 'secret').mkdir()
    for path in (
        photos / 'a.jpg',
        photos / 'in' / 'b.jpg',
        tmp_path / 'secret' / 's.jpg',
        tmp_path / 'disk' / 'photos2.jpg',
    ):
        path.touch()
    os.symlink('disk/photos', tmp_path / 'photos')
    os.symlink('../a.jpg', photos / 'in' / 'to_a.jpg')
    os.symlink('in', photos / 'to_in')
    os.symlink(tmp_path / 'secret' / 's.jpg', photos / 'in' / 'file.jpg')
    os.symlink(tmp_path / 'secret', photos / 'in' / 'folder')
    os.symlink('../photos2.jpg', photos / 'beside.jpg')
    os.symlink('loop.jpg', photos / 'loop.jpg')
    return tmp_path / 'photos'


def find(path, root, **options):
    (record,) = locate(
        [Record(path, 0)], str(root), skip_missing=False, what='my.txt', key='KEY', **options
    )
    return record.path


@pytest.mark.parametrize(
    'path', ['a.jpg', 'in/b.jpg', 'in/to_a.jpg', 'to_in/b.jpg', 'to_in/../a.jpg']
)
def test_links_within_the_root_are_fine(linked, path):
    assert find(path, linked) == f'{linked}/{path}'
    assert find(path, os.path.relpath(linked)) == f'{os.path.relpath(linked)}/{path}'


@pytest.mark.parametrize(
    ('path', 'real'),
    [
        ('in/file.jpg', 'secret/s.jpg'),
        ('in/folder/s.jpg', 'secret/s.jpg'),
        ('beside.jpg', 'disk/photos2.jpg'),
        ('in/folder/../secret/s.jpg', 'secret/s.jpg'),
        ('../photos2.jpg', 'disk/photos2.jpg'),
        ('{}/secret/s.jpg', 'secret/s.jpg'),
    ],
)
def test_photos_that_are_elsewhere(linked, path, real):
    path, real = path.format(linked.parent), f'{linked.parent}/{real}'
    with pytest.raises(InputError) as caught:
        find(path, linked)
    for word in ('my.txt', path, f'really is {real}', 'DATASETS.ALLOW_OUTSIDE True'):
        assert word in str(caught.value)
    assert os.path.samefile(find(path, linked, allow_outside=True), real)


@pytest.mark.parametrize(
    ('target', 'advice'),
    [
        ('photos/{}', "set KEY to '{}/disk/photos', or DATASETS.ALLOW_OUTSIDE to True"),
        ('others/{}', 'keep photos below their folder, or set DATASETS.ALLOW_OUTSIDE True'),
    ],
)
def test_all_photos_behind_links(linked, target, advice):
    """Told once, with the folder that would be right where there is one."""
    root = linked.parent / 'links'
    for name in ('in/b.jpg', 'in/c.jpg', 'd.jpg'):
        real, link = linked.parent / 'disk' / target.format(name), root / name
        for path in (real, link):
            path.parent.mkdir(parents=True, exist_ok=True)
        real.touch()
        link.symlink_to(real)
    if 'others' in target:  # not so for all
        (root / 'd.jpg').unlink()
        (root / 'd.jpg').symlink_to(linked / 'a.jpg')
    listed = [Record(name, 0) for name in ('in/b.jpg', 'in/c.jpg', 'd.jpg')]
    with pytest.raises(InputError) as caught:
        locate(listed, str(root), skip_missing=False, what='my.txt', key='KEY')
    assert (
        f"outside '{root}', and so are 2 more of 3 photos; {advice.format(linked.parent)}"
        in str(caught.value)
    )
    if 'photos' in target:
        assert (
            len(
                locate(
                    listed,
                    str(linked.parent / 'disk/photos'),
                    skip_missing=False,
                    what='my.txt',
                    key='KEY',
                )
            )
            == 3
        )


def test_a_link_to_itself_is_missing(linked):
    with pytest.raises(InputError, match='1 of 1 photos are missing'):
        find('loop.jpg', linked)


def test_each_folder_is_looked_up_once(linked, monkeypatch):
    asked = []
    monkeypatch.setattr(
        os.path, 'realpath', lambda path, real=os.path.realpath: asked.append(path) or real(path)
    )
    locate(
        [Record('in/b.jpg', 0), Record('a.jpg', 0)] * 100,
        str(linked),
        skip_missing=False,
        what='my.txt',
        key='KEY',
    )
    assert len(asked) == 3  # root, in, and the root as a folder


def test_fingerprint(tmp_path):
    def make(root, content=b'12345', **changes):
        (root / 'in').mkdir(parents=True, exist_ok=True)
        (root / 'in' / 'a.jpg').write_bytes(content)
        (root / 'b.jpg').write_bytes(b'')
        records = [Record('in/a.jpg', 3, camid=1, viewid=0), Record('b.jpg', 0)]
        records[0] = replace(records[0], **changes)
        return fingerprint(
            locate(records, str(root), skip_missing=False, what='my.txt', key='KEY'), str(root)
        )

    first = make(tmp_path / 'one')
    assert first['photos'] == 2
    assert first == make(tmp_path / 'two' / 'deep')  # wherever it lies
    lines = b'["in/a.jpg", 5, 3, 1, 0]["b.jpg", 0, 0, 0, 0]'
    assert first['sha256'] == hashlib.sha256(lines).hexdigest()
    others = [
        make(tmp_path / 'one', content=b'1'),
        *(
            make(tmp_path / 'one', **change)
            for change in ({'pid': 4}, {'camid': 0}, {'viewid': 1}, {'path': 'b.jpg'})
        ),
    ]
    assert len({other['sha256'] for other in [first, *others]}) == 6
    assert fingerprint([], str(tmp_path))['photos'] == 0
    with pytest.raises(InputError, match='gone.jpg: the photo was there a moment ago'):
        fingerprint([Record(str(tmp_path / 'gone.jpg'), 0)], str(tmp_path))


def test_counts_and_table():
    records = [
        Record('a', 0),
        Record('b', 0, viewid=1),
        Record('c', 3, camid=2),
        Record('d', 0),
        Record('e', 3),
    ]
    assert count(records) == Counts(ids=2, images=5, cameras=3, views=2)
    assert count([]) == Counts(ids=0, images=0, cameras=1, views=1)
    assert count([*records, Record('f', -1)]) == Counts(
        ids=2, images=6, cameras=3, views=2
    )  # a distractor is nobody
    lines = counts_table(
        {'train': records, 'empty': [], 'gallery': [*records, *[Record('f', -1)] * 9]}
    ).splitlines()
    assert lines.pop().split() == ['gallery', '14', '2', '2', '2.5', '3']
    assert lines[1].split() == ['train', '5', '2', '2', '2.5', '3']
    assert lines[2].split() == ['empty', '0', '0', '0', '0', '0']
    assert len({len(line) for line in lines}) == 1  # aligned
