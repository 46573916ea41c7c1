"""The official archives of the three species: fabricated in their layout, and with the published
lists' names where at hand.
"""

import io
import json
import os
import random
import shlex
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from configs import load_cfg
from datasets.animal import load_test, load_train
from datasets.records import read_list
from tests.helpers import ROOT
from tools import prepare_atrw, prepare_elephant, prepare_yak
from utils.errors import InputError
from wildlife.releases import archives
from wildlife.releases.arrange import nonblank
from wildlife.releases.release import Release, copy_files

LISTS = ROOT.parent / 'shared' / 'datalist'
published = pytest.mark.skipif(not LISTS.is_dir(), reason='the published lists are not here')

ENTITIES = {0: 3, 4: 4, 13: 2, 21: 5}  # entity: photos
TRUTH = [
    {'imgid': 4, 'entityid': 7, 'query': 'sing', 'frame': [1, 2, 3]},
    {'imgid': 0, 'entityid': 9, 'query': 'multi', 'frame': [1, 2, 90]},
    {'imgid': 12, 'entityid': 7, 'query': 'sing', 'frame': [2, 2, 3]},
]


def photo(name):
    """No picture, as the tools do not look inside; another size for each name."""
    return f'photo {name} '.encode() * (1 + sum(name.encode()) % 50)


def write_tar(path, files):
    with tarfile.open(path, 'w:gz', compresslevel=1) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def write_zip(path, files):
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def write_folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def atrw_files(entities=None, truth=TRUTH):
    """archive: its files."""
    if entities is None:
        entities, number = {}, 100
        for entity, photos in ENTITIES.items():
            for _ in range(photos):
                number += 7
                entities[f'{number:06d}.jpg'] = entity
    table = ''.join(f'{entity},{name}\n' for name, entity in entities.items())
    return {
        'atrw_reid_train.tar.gz': {f'train/{name}': photo(name) for name in entities},
        'atrw_anno_reid_train.tar.gz': {
            'reid_list_train.csv': table.encode(),
            'reid_keypoints_train.json': b'{}',
        },
        'atrw_reid_test.tar.gz': {
            f'test/{entry["imgid"]:06d}.jpg': photo(str(entry['imgid'])) for entry in truth
        },
        'gt_test_plain.json': json.dumps(truth).encode(),
    }


def write_atrw(folder, files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            write_tar(folder / name, content)
    return folder


def run(tool, release, folder, *options):
    releases = release if isinstance(release, list) else [release]
    return tool.main(
        [
            *map(str, releases),
            '--out',
            str(folder / 'data'),
            '--lists',
            str(folder / 'lists'),
            *map(str, options),
        ]
    )


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def listed(folder, *names):
    """Base name: (folder, label, side) of the photos of training lists."""
    return {
        Path(path).name: (Path(path).parent.name, *rest)
        for name in names
        for path, *rest in (
            line.split() for line in (folder / name).read_text().splitlines() if line.strip()
        )
    }


def cfg_of(species, folder, *opts):
    roots = {'tiger': 'tiger/test_original', 'yak': 'val', 'elephant': 'elephant'}
    return load_cfg(
        ROOT / f'configs/{species}/cnn_clipreid_ori.yml',
        [
            'DATASETS.ROOT_DIR',
            str(folder / 'data'),
            'DATASETS.TEST_ROOT_DIR',
            str(folder / 'data' / roots[species]),
            'DATASETS.LIST_DIR',
            str(folder / 'lists'),
            *opts,
        ],
    )


# --- ATRW ---


@pytest.fixture
def atrw(tmp_path):
    return write_atrw(tmp_path / 'release', atrw_files())


def test_atrw(atrw, tmp_path, capsys):
    before = tree(atrw)
    result = run(prepare_atrw, atrw, tmp_path)
    assert tree(atrw) == before
    assert result.written == 14 + 3 and result.kept == 0
    train, val, test = (
        read_list(tmp_path / 'lists' / name) for name in ('mytrain.txt', 'myval.txt', 'mytest.txt')
    )
    assert Counter(record.pid for record in train) == {0: 2, 1: 3, 2: 2, 3: 4}
    assert Counter(record.pid for record in val) == {0: 1, 1: 1, 3: 1}  # two photos are too few
    assert [(record.path, record.pid) for record in test] == [
        ('000004.jpg', 7),
        ('000000.jpg', 9),
        ('000012.jpg', 7),
    ]
    sides = {record.path.split('/')[1]: record.viewid for record in train + val}
    assert sides == {'0': 0, '4': 1, '13': 1, '21': 0}
    files = tree(tmp_path / 'data')
    assert set(files) == {
        *(f'Animal-2/{record.path}' for record in train + val),
        *(f'tiger/test_original/{record.path}' for record in test),
    }
    assert all(
        content == photo(Path(name).name)
        for name, content in files.items()
        if name.startswith('Animal-2')
    )
    assert '14 training photos instead of 1887' in capsys.readouterr().err
    cfg = cfg_of('tiger', tmp_path)
    assert len(load_train(cfg).train) == 11 and len(load_test(cfg).query) == 3


def test_archives_and_the_folders_they_unpack_to_are_the_same(atrw, tmp_path):
    unpacked = tmp_path / 'unpacked'
    for files in atrw_files().values():
        if isinstance(files, dict):
            write_folder(unpacked, files)
    one, two, three = (tmp_path / name for name in 'abc')
    assert (
        run(prepare_atrw, atrw, one).lists
        == run(prepare_atrw, [*sorted(atrw.iterdir())], two).lists
    )
    parts = [
        unpacked / 'train',
        unpacked / 'test',
        unpacked / 'reid_list_train.csv',
        atrw / 'gt_test_plain.json',
    ]
    run(prepare_atrw, parts, three)
    assert tree(one / 'data') == tree(two / 'data') == tree(three / 'data')


def test_a_photo_unpacked_beside_its_archive_counts_once(atrw, tmp_path):
    write_folder(atrw, atrw_files()['atrw_reid_train.tar.gz'])
    assert run(prepare_atrw, atrw, tmp_path).written == 17
    (atrw / 'train/000107.jpg').write_bytes(b'another')
    with pytest.raises(InputError, match='same name, but'):
        run(prepare_atrw, atrw, tmp_path / 'again')


def test_the_seed_draws_validation_photos_and_nothing_else(tmp_path):
    release = write_atrw(
        tmp_path / 'release', atrw_files({f'{n:06d}.jpg': n % 10 for n in range(200)})
    )
    results = [
        run(prepare_atrw, release, tmp_path / str(n), '--seed', seed).lists
        for n, seed in enumerate((1, 1, 2))
    ]
    assert results[0] == results[1] != results[2]
    assert (
        len(
            {
                tuple(sorted(line.split('/')[1] for line in result['myval.txt']))
                for result in results
            }
        )
        == 1
    )


def test_what_is_there_is_kept_and_what_was_cut_off_is_written_again(atrw, tmp_path):
    run(prepare_atrw, atrw, tmp_path)
    before = tree(tmp_path / 'data')
    paths = sorted((tmp_path / 'data').rglob('*.jpg'))
    paths[0].unlink()
    paths[5].write_bytes(b'half')
    paths[7].write_bytes(bytes(paths[7].stat().st_size))
    stamp = paths[6].stat().st_mtime_ns
    result = run(prepare_atrw, atrw, tmp_path)
    assert (result.written, result.kept) == (3, 14)
    assert tree(tmp_path / 'data') == before and paths[6].stat().st_mtime_ns == stamp


def test_a_stopped_copy_goes_on(atrw, tmp_path, monkeypatch):
    replace, calls = os.replace, []

    def stop(source, target):
        calls.append(target)
        if len(calls) == 6:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(archives.os, 'replace', stop)
    with pytest.raises(KeyboardInterrupt):
        run(prepare_atrw, atrw, tmp_path)
    assert not (tmp_path / 'lists').exists()
    assert len(tree(tmp_path / 'data')) == 5  # and nothing under a temporary name
    monkeypatch.undo()
    result = run(prepare_atrw, atrw, tmp_path)
    assert (result.written, result.kept) == (12, 5)


@pytest.mark.parametrize('part', atrw_files())
def test_a_missing_part_is_named_with_its_source(atrw, tmp_path, part):
    (atrw / part).unlink()
    with pytest.raises(InputError, match=f'missing: {part}.* from https://') as error:
        run(prepare_atrw, atrw, tmp_path)
    assert str(error.value).count('https://') == 1
    assert not (tmp_path / 'data').exists() and not (tmp_path / 'lists').exists()


def test_the_ground_truth_may_lie_with_the_lists(atrw, tmp_path):
    (tmp_path / 'lists').mkdir()
    (atrw / 'gt_test_plain.json').rename(tmp_path / 'lists' / 'gt_test_plain.json')
    assert len(run(prepare_atrw, atrw, tmp_path).lists['mytest.txt']) == 3


@pytest.mark.parametrize(
    ('table', 'message'),
    [
        (
            '0,000107.jpg\n0,nowhere.jpg\n',
            r'1 of its 2 photos are not in the release \(nowhere.jpg\)',
        ),
        ('0,000107.jpg\n4,000107.jpg\n', ':2: 000107.jpg is entity 4 here, 0 before'),
        ('identity,file\n0,000107.jpg\n', ":1: expected 'entity,file name' with a whole number"),
        ('0,000107.jpg,x\n', ':1: expected'),
        ('\n', 'the list is empty'),
        (
            '0,"000107.jpg\n0,000114.jpg\n',
            r'1 of its 2 photos are not in the release \("000107.jpg\)',
        ),  # ends with its line
        (f'"{"a" * 200_000}\n', ':1: expected .{,200}$'),
        (f'0,{"a" * 200_000}\n', r'1 of its 1 photos are not in the release \(a{100}…\)'),
    ],
)
def test_a_bad_table(atrw, tmp_path, table, message):
    write_tar(atrw / 'atrw_anno_reid_train.tar.gz', {'reid_list_train.csv': table.encode()})
    with pytest.raises(InputError, match=f'reid_list_train.csv:? ?{message}'):
        run(prepare_atrw, atrw, tmp_path)
    assert not (tmp_path / 'data').exists()


def test_a_repeated_row_counts_once_and_unlisted_photos_are_told(atrw, tmp_path, capsys):
    rows = '0,000107.jpg\n1,000114.jpg\n0,000121.jpg\n'
    write_tar(atrw / 'atrw_anno_reid_train.tar.gz', {'reid_list_train.csv': (rows + rows).encode()})
    assert run(prepare_atrw, atrw, tmp_path).written == 3 + 3
    assert '11 photos in train/ are not in reid_list_train.csv' in capsys.readouterr().err


def test_a_test_photo_that_is_missing(atrw, tmp_path):
    write_tar(atrw / 'atrw_reid_test.tar.gz', {'test/000004.jpg': b'x'})
    with pytest.raises(
        InputError, match='gt_test_plain.json: 2 of its 3 photos are not in the release'
    ):
        run(prepare_atrw, atrw, tmp_path)


def test_lists_that_say_otherwise_are_not_overwritten(atrw, tmp_path):
    (tmp_path / 'lists').mkdir()
    (tmp_path / 'lists' / 'mytrain.txt').write_text('train/0/000107.jpg 0\n')
    with pytest.raises(InputError, match='mytrain.txt is there and says otherwise; add --like'):
        run(prepare_atrw, atrw, tmp_path)
    assert (
        tree(tmp_path / 'lists') == {'mytrain.txt': b'train/0/000107.jpg 0\n'}
        and not (tmp_path / 'data').exists()
    )


def test_like(atrw, tmp_path):
    like = tmp_path / 'published'
    write_folder(
        like,
        {
            'mytrain.txt': b'train/0/000107.jpg 0 0\ntrain/4/000128.jpg 1 1\n\n',
            'myval.txt': b'val/4/000142.jpg 1 1',
        },
    )
    result = run(prepare_atrw, atrw, tmp_path, '--like', like)
    assert result.written == 3 + 3 and (
        tmp_path / 'data/Animal-2/val/4/000142.jpg'
    ).read_bytes() == photo('000142.jpg')
    assert (
        tmp_path / 'lists/mytrain.txt'
    ).read_text() == 'train/0/000107.jpg 0 0\ntrain/4/000128.jpg 1 1\n'
    assert run(prepare_atrw, atrw, tmp_path, '--like', tmp_path / 'lists').kept == 6


@pytest.mark.parametrize(
    ('files', 'message'),
    [
        ({'mytrain.txt': b'train/0/000107.jpg 0\n'}, 'myval.txt is not there'),
        (
            {'mytrain.txt': b'train/0/000001.jpg 0\n', 'myval.txt': b'val/0/000107.jpg 0\n'},
            'mytrain.txt: 1 of its 1 photos',
        ),
        (
            {'mytrain.txt': b'train/4/000107.jpg 0\n', 'myval.txt': b'val/0/000114.jpg 0\n'},
            'is entity 0 in the release',
        ),
        (
            {'mytrain.txt': b'../4/000107.jpg 0\n', 'myval.txt': b'val/0/000114.jpg 0\n'},
            'leads out of',
        ),
    ],
)
def test_like_of_another_release(atrw, tmp_path, files, message):
    write_folder(tmp_path / 'published', files)
    with pytest.raises(InputError, match=message):
        run(prepare_atrw, atrw, tmp_path, '--like', tmp_path / 'published')
    assert not (tmp_path / 'data').exists() and not (tmp_path / 'lists').exists()


def test_from_the_command_line(atrw, tmp_path):
    (atrw / 'atrw_reid_test.tar.gz').unlink()
    command = [
        sys.executable,
        '-m',
        'tools.prepare_atrw',
        str(atrw),
        '--out',
        str(tmp_path / 'data'),
        '--lists',
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert (
        done.stderr.startswith('error: of ATRW is missing: atrw_reid_test.tar.gz')
        and done.stderr.count('\n') == 1
    )


@pytest.mark.parametrize(
    'lists',
    [
        b'photo.jpg 0\n',
        b'images/photo.jpg 0\n',
        b'train/500/ph\xe4.jpg 0\n',
        b'x\n',
        b'',
        b'train/13/photo.jpg 0\n',
    ],
)
def test_own_lists_of_other_species_stop_nothing(atrw, tmp_path, capsys, lists):
    names = ('yak_mytrain_aligned.txt', 'yak_myval_aligned.txt', 'ele_train.txt', 'ele_val.txt')
    write_folder(tmp_path / 'lists', dict.fromkeys(names, lists))
    run(prepare_atrw, atrw, tmp_path)
    assert names_in(tmp_path / 'lists') == {
        *names,
        'mytrain.txt',
        'myval.txt',
        'mytest.txt',
        'gt_test_plain.json',
    }
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f'warning: {tmp_path}/lists/') and said.endswith(
        'so all_train_aligned.txt and all_val_aligned.txt, of all species, are not made'
    )


@pytest.mark.parametrize('content', [b'train/\xe4.jpg 0\n', None])
def test_something_else_under_a_lists_name(atrw, tmp_path, content):
    path = tmp_path / 'lists' / 'mytrain.txt'
    path.mkdir(parents=True) if content is None else write_folder(path.parent, {path.name: content})
    with pytest.raises(
        InputError,
        match='mytrain.txt is there and says otherwise|the list cannot be read .a folder',
    ):
        run(prepare_atrw, atrw, tmp_path)
    assert not (tmp_path / 'data').exists()


def test_the_next_command_can_be_pasted(atrw, tmp_path, capsys):
    (folder := tmp_path / 'a folder; of mine').mkdir()
    run(prepare_atrw, atrw, folder)
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert words[-6:] == [
        'DATASETS.LIST_DIR',
        f'{folder}/lists',
        'DATASETS.ROOT_DIR',
        f'{folder}/data',
        'DATASETS.TEST_ROOT_DIR',
        f'{folder}/data/tiger/test_original',
    ]


# --- archives ---


@pytest.mark.parametrize('share', [0.0, 0.3, 0.9])
def test_a_truncated_archive_writes_nothing(atrw, tmp_path, share):
    path = atrw / 'atrw_reid_train.tar.gz'
    files = {f'train/{n:06d}.jpg': os.urandom(3000) for n in range(20)}
    write_tar(path, files)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(
        InputError,
        match='atrw_reid_train.tar.gz: the archive is cut off or damaged .*download it again',
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
        InputError, match='atrw_reid_train.tar.gz: the archive is cut off or damaged .CRC'
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
        'atrw_more.rar is of a kind that is not read here; unpack it beside'
        in capsys.readouterr().err
    )
    with pytest.raises(InputError, match='atrw_more.rar: this kind of archive is not read'):
        run(prepare_atrw, atrw / 'atrw_more.rar', tmp_path)


@pytest.mark.parametrize('damage', ['cut', 'bytes'])
def test_a_damaged_zip(tmp_path, damage):
    path = tmp_path / 'a.zip'
    write_zip(path, {'images/1_a.jpg': bytes(1000), 'train.txt': b'1\t1_a.jpg\n'})
    content = path.read_bytes()
    path.write_bytes(content[:600] if damage == 'cut' else content[:200] + b'x' + content[201:])
    with pytest.raises(InputError, match='cut off or damaged'):
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
    with pytest.raises(InputError, match='more than a photo has'):
        copy_files({release.files[0]: [tmp_path / 'out' / '1.jpg']})
    with pytest.raises(InputError, match='is it the right file'):
        release.text(release.files[0])


def test_too_small_a_disk(tmp_path, monkeypatch):
    write_zip(tmp_path / 'a.zip', {'train/1.jpg': bytes(50)})
    monkeypatch.setattr('wildlife.releases.release.free_bytes', lambda folder: 40)
    with pytest.raises(InputError, match='make space there'):
        copy_files(
            {file: [tmp_path / 'out' / '1.jpg'] for file in Release([tmp_path / 'a.zip'], '').files}
        )
    assert not (tmp_path / 'out').exists()


def test_only_archives_of_the_right_name_are_looked_into(tmp_path):
    write_folder(
        tmp_path / 'downloads',
        dict.fromkeys(['holiday.zip', 'ATRW_more.tar.gz', '.hidden', '__MACOSX/1.jpg'], b''),
    )
    with pytest.raises(InputError, match='ATRW_more.tar.gz: the archive is cut off or damaged'):
        Release([tmp_path / 'downloads'], 'atrw_')
    (tmp_path / 'downloads' / 'ATRW_more.tar.gz').unlink()
    assert Release([tmp_path / 'downloads'], 'atrw_').files == []


def test_no_such_release(tmp_path):
    with pytest.raises(InputError, match='no such archive or folder'):
        run(prepare_yak, tmp_path / 'gone', tmp_path)


# --- yak ---


def yak_files(yaks=(2, 85, 90, 160), test=((1, 4), (5, 3))):
    """test: (yak, photos); so few are the hard test."""
    files = {}
    for yak in yaks:
        for number in range(1, 2 + yak % 4):
            files[f'IJCB 2021/train/{yak}/{183 if yak == 90 else yak:05d}_{number:03d}.jpg'] = None
    for yak, photos in test:
        for number in range(1, 1 + photos):
            files[f'IJCB 2021/hard-test/val/{yak}/{yak:05d}_{number:03d}.jpg'] = None
    return {name: photo(name) for name in files}


@pytest.mark.parametrize('write', [write_zip, write_folder])
def test_yak(tmp_path, write, capsys):
    release = tmp_path / ('IJCB.zip' if write is write_zip else 'release')
    write(release, yak_files(test=[(1, 217), (5, 218)]))
    result = run(prepare_yak, release if write is write_zip else release / 'IJCB 2021', tmp_path)
    assert result.written == 3 + 2 + 3 + 1 + 435
    assert listed(tmp_path / 'lists', 'yak_mytrain_aligned.txt', 'yak_myval_aligned.txt') == {
        '00002_001.jpg': ('302', '0', '1'),
        '00002_002.jpg': ('302', '0', '1'),
        '00002_003.jpg': ('302', '0', '1'),
        '00085_001.jpg': ('385', '1', '0'),
        '00085_002.jpg': ('385', '1', '0'),
        '00183_001.jpg': ('390', '2', '0'),
        '00183_002.jpg': ('390', '2', '0'),
        '00183_003.jpg': ('390', '2', '0'),
        '00160_001.jpg': ('460', '3', '0'),
    }
    query, gallery = (
        read_list(tmp_path / 'lists' / f'yak_{name}_simple.txt') for name in ('probe', 'gallery')
    )
    assert Counter(record.pid for record in query) == {
        5: 108,
        6: 109,
    }  # the smaller half of an odd number
    assert Counter(record.pid for record in gallery) == {5: 109, 6: 109}
    assert not {record.path for record in query} & {record.path for record in gallery}
    said = capsys.readouterr().err
    assert (
        'what makes a photo hard is not known' in said and '435 test photos instead of 843' in said
    )
    assert not list((tmp_path / 'lists').glob('*hard*'))
    assert len(load_test(cfg_of('yak', tmp_path, 'DATASETS.SPECIES', 's_yak')).gallery) == 218
    again = run(
        prepare_yak, tmp_path, tmp_path, '--like', tmp_path / 'lists'
    )  # data/ is below the release: not taken
    assert again.lists == result.lists and (again.written, again.kept) == (0, result.written)
    assert 'no yak_probe_hard.txt and yak_gallery_hard.txt in' in capsys.readouterr().err


def test_a_release_of_the_hard_test_alone_gets_no_simple_lists(tmp_path, capsys):
    write_folder(tmp_path / 'release', yak_files())
    result = run(prepare_yak, tmp_path / 'release', tmp_path)
    assert [len(result.lists[f'yak_{name}_hard.txt']) for name in ('probe', 'gallery')] == [
        2 + 1,
        2 + 2,
    ]
    said = capsys.readouterr().err
    assert (
        '7 test photos are at most the 433 of the hard test' in said
        and '7 test photos instead of 433' in said
    )
    assert not list((tmp_path / 'lists').glob('*simple*'))
    assert len(load_test(cfg_of('yak', tmp_path)).gallery) == 4  # the ymls' own test

    hard = {name: '\n'.join(lines) for name, lines in result.lists.items()}
    simple = {
        name.replace('hard', 'simple'): text + '\n9/00009_001.jpg 7'
        for name, text in hard.items()
        if 'hard' in name
    }
    write_folder(
        tmp_path / 'published', {name: text.encode() for name, text in (hard | simple).items()}
    )
    again = run(prepare_yak, tmp_path / 'release', tmp_path, '--like', tmp_path / 'published')
    assert again.kept == 9 + 7 and again.lists == result.lists


def test_yak_90_in_the_folder_of_its_photos_names(tmp_path):
    files = {name.replace('/90/', '/183/'): content for name, content in yak_files().items()}
    write_folder(tmp_path / 'release', files)
    run(prepare_yak, tmp_path / 'release', tmp_path)
    assert {
        line.split('/')[1]
        for line in (tmp_path / 'lists/yak_mytrain_aligned.txt').read_text().splitlines()
    } == {'302', '385', '390', '460'}


def test_photos_of_one_name_are_not_one_photo(tmp_path):
    write_folder(
        tmp_path / 'release',
        {f'{split}/{yak}/1.jpg': b'same' for split in ('train', 'val') for yak in (1, 2)},
    )
    with pytest.raises(
        InputError,
        match='train/1/1.jpg and .*train/2/1.jpg have the same name in different folders',
    ):
        run(prepare_yak, tmp_path / 'release', tmp_path)


def test_photos_of_other_species_below_out_are_not_taken(tmp_path):
    write_zip(tmp_path / 'a.zip', elephant_files())
    run(prepare_elephant, tmp_path / 'a.zip', tmp_path)
    write_folder(tmp_path / 'data', yak_files())
    result = run(prepare_yak, tmp_path / 'data', tmp_path)
    assert (
        len(result.lists['yak_mytrain_aligned.txt'] + result.lists['yak_myval_aligned.txt'])
        == 3 + 2 + 3 + 1
    )


def test_yaks_with_a_single_test_photo(tmp_path, capsys):
    write_folder(tmp_path / 'release', yak_files(test=[(1, 1), (5, 1)]))
    assert 'yak_probe_hard.txt' not in run(prepare_yak, tmp_path / 'release', tmp_path).lists
    assert (
        'too few photos an individual: nothing for yak_probe_hard.txt, not written'
        in capsys.readouterr().err
    )
    assert not (tmp_path / 'lists' / 'yak_probe_hard.txt').exists()


def test_yak_without_its_test(tmp_path):
    write_zip(tmp_path / 'a.zip', yak_files(test=()))
    with pytest.raises(InputError, match='missing: photos of hard-test/val; .*ask the authors'):
        run(prepare_yak, tmp_path / 'a.zip', tmp_path)


def test_a_yak_without_a_number(tmp_path):
    write_zip(tmp_path / 'a.zip', yak_files() | {'IJCB 2021/train/odd.jpg': b'x'})
    with pytest.raises(InputError, match='in no numbered folder'):
        run(prepare_yak, tmp_path / 'a.zip', tmp_path)


# --- elephant ---

IMAGES = 'ELPephant (elephant ID system)-selected/images'
TRAIN = ['7_left_1998.jpg', '7_Mai2001.jpg', '12_right.jpg', '12_b right side.jpg']
VAL = ['12_Öhr.jpg', '30_x.jpg']


def elephant_files(**changes):
    files = {f'{IMAGES}/{name}': photo(name) for name in [*TRAIN, *VAL]}
    files |= {f'__MACOSX/{IMAGES}/._{name}': b'mac' for name in TRAIN}
    for split, names in (('train', TRAIN), ('val', VAL)):
        table = changes.get(split, ''.join(f'{name[:2]}\t{name}\tmore\n' for name in names))
        files[f'{IMAGES[:-7]}/{split}.txt'] = table.encode('cp1252')
    return files


def test_elephant(tmp_path, capsys):
    write_zip(tmp_path / 'ELPephant.zip', elephant_files())
    result = run(prepare_elephant, tmp_path, tmp_path)
    assert result.written == 2 * 6
    assert result.lists == {
        'ele_train.txt': [
            'train/507/7_Mai2001.jpg 0',
            'train/507/7_left_1998.jpg 0 0',
            'train/512/12_b right side.jpg 1 1',
            'train/512/12_right.jpg 1 1',
        ],
        'ele_val.txt': ['val/512/12_Öhr.jpg 1'],
        'ele_new_test_probe.txt': ['12_Öhr.jpg 1', '30_x.jpg 2'],
        'ele_new_test_gallery.txt': [
            '7_Mai2001.jpg 0',
            '7_left_1998.jpg 0 0',
            '12_b right side.jpg 1 1',
            '12_right.jpg 1 1',
            '12_Öhr.jpg 1',
            '30_x.jpg 2',
        ],
    }
    said = capsys.readouterr().err
    assert (
        '1 photos of val.txt show elephants that are not in train.txt' in said
        and '6 photos instead of 2078' in said
    )
    cfg = cfg_of('elephant', tmp_path)
    assert len(load_train(cfg).train) == 4 and len(load_test(cfg).gallery) == 6


def test_names_are_compared_as_they_read(tmp_path):
    """A disk of macOS has NFD, the lists NFC; and endings in capitals."""
    write_folder(
        tmp_path / 'release',
        {
            unicodedata.normalize('NFD', name).replace('.jpg', '.JPG'): content
            for name, content in elephant_files().items()
            if 'MAC' not in name
        },
    )
    assert run(prepare_elephant, tmp_path / 'release', tmp_path).written == 2 * 6
    assert (tmp_path / 'data/elephant/12_Öhr.jpg').read_bytes() == photo('12_Öhr.jpg')
    assert (
        archives.plain(unicodedata.normalize('NFD', '12_Öhr.JPG')) == '12_Öhr.jpg'
    )  # as a list of one's own may have it


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            {'train': '7\tgone.jpg\n'},
            r'train.txt: 1 of its 1 photos are not in the release \(gone.jpg\)',
        ),
        ({'train': '7_left_1998.jpg\n'}, 'train.txt:1: expected columns with tabs'),
        ({'train': '7\t7_left_1998.jpg\n' * 2}, 'train.txt: 7_left_1998.jpg is listed twice'),
        ({'val': '7\t7_left_1998.jpg\n'}, '1 photos are in train.txt and in val.txt'),
        ({'val': ''}, 'val.txt: the list is empty'),
    ],
)
def test_bad_elephant_lists(tmp_path, changes, message):
    write_zip(tmp_path / 'a.zip', elephant_files(**changes))
    with pytest.raises(InputError, match=message):
        run(prepare_elephant, tmp_path / 'a.zip', tmp_path)
    assert not (tmp_path / 'data').exists() and not (tmp_path / 'lists').exists()


@pytest.mark.parametrize('part', ['train.txt', 'val.txt'])
def test_elephants_without_a_list(tmp_path, part):
    write_zip(
        tmp_path / 'a.zip',
        {name: content for name, content in elephant_files().items() if not name.endswith(part)},
    )
    with pytest.raises(
        InputError, match=f'of ELPephants is missing: {part}; download it from https://inf-cv'
    ):
        run(prepare_elephant, tmp_path / 'a.zip', tmp_path)


def test_a_name_without_the_elephants_number(tmp_path):
    files = elephant_files(train='7\tjumbo.jpg\n') | {f'{IMAGES}/jumbo.jpg': b'x'}
    write_zip(tmp_path / 'a.zip', files)
    with pytest.raises(
        InputError, match="jumbo.jpg: the name does not begin with the elephant's number"
    ):
        run(prepare_elephant, tmp_path / 'a.zip', tmp_path)


def test_published_elephant_lists_need_the_crops(tmp_path):
    write_zip(tmp_path / 'a.zip', elephant_files())
    with pytest.raises(InputError, match='name crops 0.jpg …, which the release does not hold'):
        run(prepare_elephant, tmp_path / 'a.zip', tmp_path, '--like', tmp_path)


# --- the three together, and the published lists ---


def test_the_lists_of_all_species(tmp_path):
    run(prepare_atrw, write_atrw(tmp_path / 'atrw', atrw_files()), tmp_path)
    write_folder(tmp_path / 'yak', yak_files())
    run(prepare_yak, tmp_path / 'yak', tmp_path)
    assert not (tmp_path / 'lists/all_train_aligned.txt').exists()
    write_zip(tmp_path / 'a.zip', elephant_files())
    run(prepare_elephant, tmp_path / 'a.zip', tmp_path)
    train = (tmp_path / 'lists/all_train_aligned.txt').read_text().splitlines()
    assert [line for line in train if 'side' in line] == ['train/512/12_b right side.jpg 9 1']
    assert len(load_train(cfg_of('tiger', tmp_path, 'DATASETS.SPECIES', 'all')).train) == len(train)
    assert len(set(listed(tmp_path / 'lists', 'all_val_aligned.txt'))) == 3 + 2 + 1


@pytest.fixture(scope='module')
def as_published(tmp_path_factory):
    """The three releases under the names of the published lists, and what --like makes of them."""
    folder = tmp_path_factory.mktemp('published')

    def names(*lists):
        return sorted({record.path for name in lists for record in read_list(LISTS / name)})

    entities = {
        Path(path).name: int(path.split('/')[1]) for path in names('mytrain.txt', 'myval.txt')
    }
    write_atrw(
        folder / 'tiger',
        atrw_files(entities, json.loads((LISTS / 'gt_test_plain.json').read_text())),
    )
    train = names('yak_mytrain_aligned.txt', 'yak_myval_aligned.txt')
    write_zip(
        folder / 'yak.zip',
        {
            **{
                f'IJCB 2021/train/{int(path.split("/")[1]) - 300}/{Path(path).name}': photo(path)
                for path in train
            },
            **{
                f'IJCB 2021/hard-test/val/{path}': photo(path)
                for path in names(
                    'yak_probe_hard.txt',
                    'yak_gallery_hard.txt',
                    'yak_probe_simple.txt',
                    'yak_gallery_simple.txt',
                )
            },
        },
    )
    write_zip(
        folder / 'crops.zip',
        {f'crops/{path}': photo(path) for path in names('ele_new_test_gallery.txt')},
    )
    releases = {
        prepare_atrw: folder / 'tiger',
        prepare_yak: folder / 'yak.zip',
        prepare_elephant: folder / 'crops.zip',
    }
    for tool, release in releases.items():
        run(tool, release, folder / 'like', '--like', LISTS)
    return folder, releases


@published
def test_the_published_lists_work_as_they_are(as_published):
    folder = as_published[0] / 'like'
    assert (
        len({path.name for path in (folder / 'lists').iterdir()}) == 15 + 1
    )  # lists and the ground truth
    for path in (folder / 'lists').glob('*.txt'):
        ours, theirs = map(nonblank, (path, LISTS / path.name))
        if (
            path.name == 'all_train_aligned.txt'
        ):  # there the order differs from that of the three lists, in eight lines
            ours, theirs = sorted(ours), sorted(theirs)
        assert ours == theirs, path.name
    for species in ('tiger', 'yak', 'elephant'):  # every photo is where the ymls look for it
        load_train(cfg_of(species, folder))
        load_test(cfg_of(species, folder))
    load_test(cfg_of('yak', folder, 'DATASETS.SPECIES', 's_yak'))
    load_train(cfg_of('tiger', folder, 'DATASETS.SPECIES', 'all'))


@published
def test_made_lists_are_the_published_ones_up_to_the_draw(as_published, tmp_path):
    """Same photos, folders, labels, sides; validation photos of the same individuals; the tiger
    test the same line by line.
    """
    folder, releases = as_published
    made = tmp_path / 'lists'
    for tool in (prepare_atrw, prepare_yak):  # most photos are there by now
        tool.main(
            [str(releases[tool]), '--out', str(folder / 'like' / 'data'), '--lists', str(made)]
        )
    assert read_list(made / 'mytest.txt') == read_list(LISTS / 'mytest.txt')
    for train, val in (
        ('mytrain.txt', 'myval.txt'),
        ('yak_mytrain_aligned.txt', 'yak_myval_aligned.txt'),
    ):
        assert listed(made, train, val) == listed(LISTS, train, val)
        assert Counter(row[0] for row in listed(made, val).values()) == Counter(
            row[0] for row in listed(LISTS, val).values()
        )
    sizes = []
    for folder in (made, LISTS):
        split = [read_list(folder / f'yak_{name}_simple.txt') for name in ('probe', 'gallery')]
        sizes.append(
            [
                sorted((record.path, record.pid) for records in split for record in records),
                *(Counter(record.pid for record in records) for records in split),
            ]
        )
    assert sizes[0] == sizes[1]
