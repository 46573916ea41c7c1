"""Which row of a file belongs to which photo."""

import os

import pytest

from utils.errors import InputError
from wildlife.features.evaluate import match_rows

PHOTOS = ['root/photos/6/0.png', 'root/photos/6/1.png', 'root/photos/7/0.png']


def rows(paths, photos=PHOTOS):
    return match_rows(paths, photos, 'x.npz')


@pytest.mark.parametrize('base', ['root/photos/', 'root/', '', './', '<absolute>', '<linked>'])
def test_relative_to_any_folder_that_contains_them(tmp_path, monkeypatch, base):
    for photo in PHOTOS:
        (tmp_path / photo).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / photo).touch()
    (tmp_path / 'link').symlink_to(tmp_path / 'root')
    monkeypatch.chdir(tmp_path)
    if base == '<absolute>':
        paths = [str(tmp_path / photo) for photo in PHOTOS]
    elif base == '<linked>':  # the config names the link, the file the folder itself
        paths = [os.path.realpath(photo) for photo in PHOTOS]
    else:
        paths = [base + photo.removeprefix(base) for photo in PHOTOS]
    photos = [photo.replace('root', 'link') for photo in PHOTOS] if base == '<linked>' else PHOTOS
    assert rows(paths[::-1], photos) == [2, 1, 0]
    assert rows(['8/0.png', *paths], photos) == [1, 2, 3]  # others do no harm


def test_windows_separators():
    assert rows([r'photos\6\0.png', r'photos\7\0.png', 'photos/6/1.png']) == [0, 2, 1]


def test_names_alone_are_not_enough():
    """0.png could be 6/0.png or 7/0.png."""
    with pytest.raises(InputError, match='x.npz: 3 of 3 photos of the lists have no features'):
        rows(['0.png', '1.png', '2.png'])


def test_missing_and_repeated():
    with pytest.raises(InputError, match=r"1 of 3 .*root/photos/7/0.png\); its 2 .*'6/0.png'"):
        rows(['6/0.png', '6/1.png'])
    with pytest.raises(InputError, match='6/1.png has several rows'):
        rows(['6/1.png', '6/0.png', './6/1.png'.removeprefix('./')])
    with pytest.raises(InputError, match='several rows'):
        rows(['6/1.png', '6/../6/1.png'])
