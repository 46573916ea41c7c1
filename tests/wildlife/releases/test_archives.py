"""Archives: damaged, hostile, in links, and what counts as a photo."""

import io
import os
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.wildlife.releases.world import (
    atrw_files,
    run,
    tree,
    write_folder,
    write_tar,
    write_zip,
)
from tools import prepare_atrw, prepare_yak
from utils.errors import InputError
from wildlife.releases.release import Release, copy_files


@pytest.mark.parametrize('share', [0.0, 0.3, 0.9])
def test_a_truncated_archive_writes_nothing(atrw, tmp_path, share):
    path = atrw / 'atrw_reid_train.tar.gz'
    files = {f'train/{n:06d}.jpg': os.urandom(3000) for n in range(20)}
    write_tar(path, files)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(
        InputError,
        match='atrw_reid_train.tar.gz: the archive is truncated or damaged .*download it again',
    ):
        run(prepare_atrw, atrw, tmp_path)
    assert not (tmp_path / 'data').exists()


def test_a_changed_bit_in_a_compressed_archive_writes_nothing(atrw, tmp_path):
    path = atrw / 'atrw_reid_train.tar.gz'
    write_tar(
        path, {name: random.Random(name).randbytes(20_000) for name in atrw_files()[path.name]}
    )
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # within a photo: only the checksum at the end tells
    path.write_bytes(content)
    with pytest.raises(
        InputError, match='atrw_reid_train.tar.gz: the archive is truncated or damaged .CRC'
    ):
        run(prepare_atrw, atrw, tmp_path)
    assert not (tmp_path / 'data').exists()


def test_archives_by_the_name_of_a_link(atrw, tmp_path):
    (tmp_path / 'blobs').mkdir()
    for number, path in enumerate(sorted(atrw.iterdir())):
        path.rename(tmp_path / 'blobs' / str(number))
        path.symlink_to(tmp_path / 'blobs' / str(number))
    assert run(prepare_atrw, sorted(atrw.iterdir()), tmp_path).written == 17


def test_links_to_folders_are_followed_but_not_in_circles(atrw, tmp_path):
    path = atrw / 'atrw_reid_train.tar.gz'
    path.unlink()
    write_folder(
        tmp_path / 'elsewhere',
        {Path(name).name: content for name, content in atrw_files()[path.name].items()},
    )
    (atrw / 'train').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'elsewhere' / 'again').symlink_to(atrw)
    assert run(prepare_atrw, atrw, tmp_path).written == 17


def test_archives_of_a_kind_that_is_not_read(atrw, tmp_path, capsys):
    (atrw / 'atrw_more.rar').write_bytes(b'Rar!')
    assert run(prepare_atrw, atrw, tmp_path).written == 17
    assert (
        'atrw_more.rar: unsupported kind of archive, skipped; unpack it in this folder'
        in capsys.readouterr().err
    )
    with pytest.raises(InputError, match='atrw_more.rar: unsupported kind of archive'):
        run(prepare_atrw, atrw / 'atrw_more.rar', tmp_path)


@pytest.mark.parametrize('damage', ['cut', 'bytes'])
def test_a_damaged_zip(tmp_path, damage):
    path = tmp_path / 'a.zip'
    write_zip(path, {'images/1_a.jpg': bytes(1000), 'train.txt': b'1\t1_a.jpg\n'})
    content = path.read_bytes()
    path.write_bytes(content[:600] if damage == 'cut' else content[:200] + b'x' + content[201:])
    with pytest.raises(InputError, match='truncated or damaged'):
        copy_files({file: [tmp_path / 'out' / file.base] for file in Release([path], '').files})
    assert not tree(tmp_path / 'out')


@pytest.mark.parametrize(
    'name', ['../evil.jpg', 'train/../../evil.jpg', '/evil.jpg', 'C:/evil.jpg', 'train\\evil.jpg']
)
@pytest.mark.parametrize('write', [write_tar, write_zip])
def test_a_name_that_leads_out(tmp_path, write, name):
    path = tmp_path / ('a.zip' if write is write_zip else 'a.tar.gz')
    write(path, {'train/000001.jpg': b'x', name: b'evil'})
    with pytest.raises(InputError, match='leads out of the archive'):
        Release([path], '')


def test_what_counts_as_a_photo(tmp_path):
    write_zip(
        tmp_path / 'a.zip',
        dict.fromkeys(['a/1.JPG', 'a/2.png', 'a/3.webp', 'a/4.txt', 'a/jpg', 'a/5.jpg.part'], b'x'),
    )
    names = {file.base for file in Release([tmp_path / 'a.zip'], '').photos().values()}
    assert names == {'1.JPG', '2.png', '3.webp'}


def test_links_in_an_archive_are_left_out(tmp_path):
    secret = tmp_path / 'secret.jpg'
    secret.write_bytes(b'secret')
    with tarfile.open(tmp_path / 'a.tar', 'w') as tar:
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(f'train/{number}.jpg')
            member.type, member.linkname = kind, str(secret)
            tar.addfile(member)
        member = tarfile.TarInfo('train/4.jpg')
        member.size = 1
        tar.addfile(member, io.BytesIO(b'x'))
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        link = zipfile.ZipInfo('train/1.jpg')
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(secret))
        archive.writestr('train/5.jpg', b'xx')
    assert [file.base for file in Release([tmp_path / 'a.tar', tmp_path / 'a.zip'], '').files] == [
        '4.jpg',
        '5.jpg',
    ]


def test_an_encrypted_zip(tmp_path):
    path = tmp_path / 'a.zip'
    write_zip(path, {'images/1_a.jpg': b'x'})
    content = bytearray(path.read_bytes())
    content[content.index(b'PK\x01\x02') + 8] |= 1  # the flag in the central directory
    path.write_bytes(content)
    with pytest.raises(InputError, match='encrypted; unpack it with its password'):
        Release([path], '')


def test_a_file_of_more_than_a_photo(tmp_path, monkeypatch):
    write_zip(tmp_path / 'a.zip', {'train/1.jpg': bytes(50)})
    monkeypatch.setattr('wildlife.releases.release.LARGEST', 49)
    release = Release([tmp_path / 'a.zip'], '')
    with pytest.raises(InputError, match='too large for a photo'):
        copy_files({release.files[0]: [tmp_path / 'out' / '1.jpg']})
    with pytest.raises(InputError, match='check that this is the right file'):
        release.text(release.files[0])


def test_too_small_a_disk(tmp_path, monkeypatch):
    write_zip(tmp_path / 'a.zip', {'train/1.jpg': bytes(50)})
    monkeypatch.setattr('wildlife.releases.release.free_bytes', lambda folder: 40)
    with pytest.raises(InputError, match='free up space'):
        copy_files(
            {file: [tmp_path / 'out' / '1.jpg'] for file in Release([tmp_path / 'a.zip'], '').files}
        )
    assert not (tmp_path / 'out').exists()


def test_only_archives_of_the_right_name_are_looked_into(tmp_path):
    write_folder(
        tmp_path / 'downloads',
        dict.fromkeys(['holiday.zip', 'ATRW_more.tar.gz', '.hidden', '__MACOSX/1.jpg'], b''),
    )
    with pytest.raises(InputError, match='ATRW_more.tar.gz: the archive is truncated or damaged'):
        Release([tmp_path / 'downloads'], 'atrw_')
    (tmp_path / 'downloads' / 'ATRW_more.tar.gz').unlink()
    assert Release([tmp_path / 'downloads'], 'atrw_').files == []


def test_no_such_release(tmp_path):
    with pytest.raises(InputError, match='no such archive or folder'):
        run(prepare_yak, tmp_path / 'gone', tmp_path)
