"""The rules of ATRW: photos, entities, ground truth, lists."""

import os
from collections import Counter
from pathlib import Path

import pytest

from datasets.animal import load_test, load_train
from datasets.records import read_list
from tests.wildlife.releases.world import (
    atrw_files,
    cfg_of,
    photo,
    run,
    tree,
    write_atrw,
    write_folder,
    write_tar,
)
from tools import prepare_atrw
from utils.errors import InputError
from wildlife.releases import archives


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
    with pytest.raises(
        InputError, match=f'parts of ATRW are missing; download and add: {part}.* from https://'
    ) as error:
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
        (
            '0,000107.jpg\n4,000107.jpg\n',
            ':2: 000107.jpg is entity 4 here, but 0 in an earlier line',
        ),
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
