"""What is written where: lists that are there, --like, the next command."""

import shlex

import pytest

from datasets.animal import load_train
from tests.wildlife.releases.world import (
    atrw_files,
    cfg_of,
    elephant_files,
    listed,
    names_in,
    photo,
    run,
    tree,
    write_atrw,
    write_folder,
    write_zip,
    yak_files,
)
from tools import prepare_atrw, prepare_elephant, prepare_yak
from utils.errors import InputError


def test_lists_that_say_otherwise_are_not_overwritten(atrw, tmp_path):
    (tmp_path / 'lists').mkdir()
    (tmp_path / 'lists' / 'mytrain.txt').write_text('train/0/000107.jpg 0\n')
    with pytest.raises(InputError, match='mytrain.txt exists with other lines; add --like'):
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
        ({'mytrain.txt': b'train/0/000107.jpg 0\n'}, 'missing myval.txt; give'),
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


def test_from_the_command_line(atrw, tmp_path, zygote):
    (atrw / 'atrw_reid_test.tar.gz').unlink()
    words = (atrw, '--out', tmp_path / 'data', '--lists', tmp_path)
    done = zygote.finish('-m', 'tools.prepare_atrw', *words)
    assert done.returncode == 2
    assert (
        done.stderr.startswith(
            'error: parts of ATRW are missing; download and add: atrw_reid_test.tar.gz'
        )
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
        'so the joint lists all_train_aligned.txt and all_val_aligned.txt are not made'
    )


@pytest.mark.parametrize('content', [b'train/\xe4.jpg 0\n', None])
def test_something_else_under_a_lists_name(atrw, tmp_path, content):
    path = tmp_path / 'lists' / 'mytrain.txt'
    path.mkdir(parents=True) if content is None else write_folder(path.parent, {path.name: content})
    with pytest.raises(
        InputError,
        match='mytrain.txt exists with other lines|the list cannot be read: a folder',
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
