"""Where the photos of a list are, and the fingerprint of a split."""

import hashlib
import os
from dataclasses import replace

import pytest
from PIL import Image

from datasets import folders
from datasets.folders import PhotoFolder, fingerprint
from datasets.images import find_unreadable
from datasets.records import Record
from utils.errors import InputError


def records_of(*pids):
    return [Record(f'{index}.jpg', pid) for index, pid in enumerate(pids)]


def locate(records, root, what, key, **options):
    return folders.locate(records, PhotoFolder(root, key, **options), what)


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
    with pytest.raises(InputError, match='no photo is left'):
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
        'my.txt: 2 of 3 photos cannot be read; they are skipped, and 2 individuals have no '
        'photo left'
    ) in caplog.text
    with pytest.raises(InputError, match='my.txt: 2 of 2 photos cannot be read; no photo is left'):
        locate(listed[1:], skip_broken=True, **options)
    assert locate([], skip_broken=True, **options) == []


def test_a_photo_that_goes_while_all_are_decoded_is_not_skipped(tmp_path, monkeypatch):
    """The disk was pulled out: without the photos on it the run would be another one."""

    def pull_out(paths):
        (tmp_path / 'b.png').unlink()
        return find_unreadable(paths)

    for name in ('a.png', 'b.png'):
        Image.new('RGB', (4, 4)).save(tmp_path / name)
    monkeypatch.setattr('datasets.folders.find_unreadable', pull_out)
    with pytest.raises(InputError, match='b.png: .* cannot be read .*; bring it back'):
        locate(
            [Record('a.png', 0), Record('b.png', 1)],
            tmp_path,
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
    for word in ('my.txt', path, f'resolves to {real}', 'DATASETS.ALLOW_OUTSIDE True'):
        assert word in str(caught.value)
    assert os.path.samefile(find(path, linked, allow_outside=True), real)


def test_all_photos_behind_links(linked):
    """They are named once, and are found where they really are."""
    root = linked.parent / 'links'
    listed = [Record(name, 0) for name in ('in/b.jpg', 'in/c.jpg', 'd.jpg')]
    for record in listed:
        real, link = linked.parent / 'disk/photos' / record.path, root / record.path
        real.touch()
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(real)
    options = {'skip_missing': False, 'what': 'my.txt', 'key': 'KEY'}
    with pytest.raises(
        InputError, match="my.txt: 3 of 3 photos are outside '.*; set KEY to the folder"
    ):
        locate(listed, str(root), **options)
    assert len(locate(listed, str(linked.parent / 'disk/photos'), **options)) == 3


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
    assert len(asked) == 2  # the root, and in


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
