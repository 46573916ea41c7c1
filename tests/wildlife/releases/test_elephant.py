"""The rules of ELPephants."""

import unicodedata

import pytest

from datasets.animal import load_test, load_train
from tests.wildlife.releases.world import (
    IMAGES,
    cfg_of,
    elephant_files,
    photo,
    run,
    write_folder,
    write_zip,
)
from tools import prepare_elephant
from utils.errors import InputError
from wildlife.releases import archives


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
        ({'train': '7_left_1998.jpg\n'}, 'train.txt:1: expected columns separated by tabs'),
        ({'train': '7\t7_left_1998.jpg\n' * 2}, 'train.txt: 7_left_1998.jpg is listed twice'),
        ({'val': '7\t7_left_1998.jpg\n'}, '1 photos are in both train.txt and val.txt'),
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
        InputError, match=f'{part} of ELPephants is missing; download it from https://inf-cv'
    ):
        run(prepare_elephant, tmp_path / 'a.zip', tmp_path)


def test_a_name_without_the_elephants_number(tmp_path):
    files = elephant_files(train='7\tjumbo.jpg\n') | {f'{IMAGES}/jumbo.jpg': b'x'}
    write_zip(tmp_path / 'a.zip', files)
    with pytest.raises(
        InputError, match="jumbo.jpg: the name does not start with the elephant's number"
    ):
        run(prepare_elephant, tmp_path / 'a.zip', tmp_path)


def test_published_elephant_lists_need_the_crops(tmp_path):
    write_zip(tmp_path / 'a.zip', elephant_files())
    with pytest.raises(InputError, match='name crops 0.jpg …, but the release contains'):
        run(prepare_elephant, tmp_path / 'a.zip', tmp_path, '--like', tmp_path)
