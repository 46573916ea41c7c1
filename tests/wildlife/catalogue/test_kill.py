"""A catalogue whose program is killed: nothing is half there. More kills: tests/faults."""

import pytest

from tests.wildlife.catalogue.kills import kill_often
from tests.wildlife.catalogue.worlds import ANNA, Encoder, check_features, make, photos
from wildlife.catalogue.add import add_photos
from wildlife.catalogue.edit import merge
from wildlife.catalogue.store import open_catalogue


def add(catalogue):
    folder = catalogue.folder.parent.parent / 'more'
    add_photos(catalogue, ANNA, photos(folder, ['Nala', 'Kito'], 2), Encoder())
    check_features(catalogue, Encoder())


def merge_two(catalogue):
    merge(catalogue, ANNA, 'Nala', 'Zuri')


@pytest.mark.parametrize('change', [add, merge_two])
def test_kills(tmp_path, change):
    folder = make(tmp_path).folder
    photos(tmp_path / 'more', ['Nala', 'Kito'], 2)
    (tmp_path / 'copies').mkdir()
    assert kill_often(folder, tmp_path / 'copies', change, 3) == 3
    assert len(open_catalogue(folder).photos()) == 6
