"""The rules of YakReID-103."""

from collections import Counter

import pytest

from datasets.animal import load_test
from datasets.records import read_list
from tests.wildlife.releases.world import (
    cfg_of,
    elephant_files,
    listed,
    run,
    write_folder,
    write_zip,
    yak_files,
)
from tools import prepare_elephant, prepare_yak
from utils.errors import InputError


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
    assert 'unknown what makes a photo hard' in said and '435 test photos instead of 843' in said
    assert not list((tmp_path / 'lists').glob('*hard*'))
    assert len(load_test(cfg_of('yak', tmp_path, 'DATASETS.SPECIES', 's_yak')).gallery) == 218
    again = run(
        prepare_yak, tmp_path, tmp_path, '--like', tmp_path / 'lists'
    )  # data/ is below the release: not taken
    assert again.lists == result.lists and (again.written, again.kept) == (0, result.written)
    assert 'has no yak_probe_hard.txt and yak_gallery_hard.txt;' in capsys.readouterr().err


def test_a_release_of_the_hard_test_alone_gets_no_simple_lists(tmp_path, capsys):
    write_folder(tmp_path / 'release', yak_files())
    result = run(prepare_yak, tmp_path / 'release', tmp_path)
    assert [len(result.lists[f'yak_{name}_hard.txt']) for name in ('probe', 'gallery')] == [
        2 + 1,
        2 + 2,
    ]
    said = capsys.readouterr().err
    assert (
        'they are taken for the hard test (433 photos)' in said
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
        'too few photos per individual: yak_probe_hard.txt would be empty, not written'
        in capsys.readouterr().err
    )
    assert not (tmp_path / 'lists' / 'yak_probe_hard.txt').exists()


def test_yak_without_its_test(tmp_path):
    write_zip(tmp_path / 'a.zip', yak_files(test=()))
    with pytest.raises(
        InputError, match='photos of hard-test/val in YakReID-103 are missing; .*ask the authors'
    ):
        run(prepare_yak, tmp_path / 'a.zip', tmp_path)


def test_a_yak_without_a_number(tmp_path):
    write_zip(tmp_path / 'a.zip', yak_files() | {'IJCB 2021/train/odd.jpg': b'x'})
    with pytest.raises(InputError, match='is not in a numbered folder'):
        run(prepare_yak, tmp_path / 'a.zip', tmp_path)
