"""Ranks from the lists of a config: against a plain loop, and interrupted calls."""

import shutil

import numpy as np
import pytest

from configs import load_cfg
from tests.helpers import write_photo
from tests.wildlife.catalogue.worlds import Encoder
from wildlife.identify import from_lists
from wildlife.identify.from_lists import match_rows, rank_photos


@pytest.fixture
def encoder(world, monkeypatch):
    """Features of photos by their paths; three new photos, one of which is listed, too."""
    made = Encoder()
    monkeypatch.setattr(from_lists, 'ModelEncoder', lambda cfg: made)
    for name in ('a', 'b'):
        write_photo(world.folder / f'new/{name}.png', 2, 20)
    shutil.copy(world.folder / 'test/7/1.png', world.folder / 'new/c.png')
    return made


def rank(world, *opts):
    out = world.output / 'matches'
    cfg = load_cfg(world.yml(), opts)
    return rank_photos(cfg, f'{world.folder}/new', str(out), 4, ['my.yml'])


def test_against_a_plain_loop(world, encoder):
    rows = match_rows(rank(world))
    roots = {'train': 'photos', 'val': 'photos', 'query': 'test', 'gallery': 'test'}
    known = {}  # individual -> its photos
    for split, root in roots.items():
        for line in (world.folder / f'lists/{split}.txt').read_text().splitlines():
            path, label, *_ = line.split()
            name = f'{"train" if root == "photos" else "test"} {label}'
            known.setdefault(name, []).append(str(world.folder / root / path))
    for photo in ('a', 'b', 'c'):
        path = str(world.folder / f'new/{photo}.png')
        vector = encoder.vector(path, None)
        nearest = []
        for name, photos in known.items():
            distances = [1 - float(vector @ encoder.vector(each, None)) for each in photos]
            nearest.append((min(distances), name, photos[int(np.argmin(distances))]))
        mine = [row for row in rows if row['photo'] == path]
        assert [row['rank'] for row in mine] == [1, 2, 3, 4]
        for row, (distance, name, photo) in zip(mine, sorted(nearest)):
            assert (row['individual'], row['known_photo']) == (name, photo)
            assert float(row['distance']) == pytest.approx(distance, rel=0.006, abs=1e-6)


def test_a_file_that_two_lists_name_is_one_photo(world, encoder):
    """It is called as in the first list, however the other spells its path."""
    with (world.folder / 'lists/gallery.txt').open('a') as file:
        file.write('../photos/train/0/0.png 0\n')
    gallery = rank(world, 'DATASETS.ALLOW_OUTSIDE', 'True').gallery
    assert 'train 0' in gallery.names and 'test 0' not in gallery.names
    assert gallery.counts.sum() == 6 * 5 + 4 * 4


def test_an_interrupted_call_continues(world, encoder, monkeypatch):
    """Its features are kept until the answers are written; a changed photo is computed again."""
    with monkeypatch.context() as patch:
        patch.setattr(from_lists, 'answer_question', lambda *_: 1 / 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                rank(world)
    made = len(encoder.encoded)
    assert list((world.output / 'matches').glob('*.part'))
    rank(world)
    assert len(encoder.encoded) == made and not list((world.output / 'matches').glob('*.part'))
    with monkeypatch.context() as patch:
        patch.setattr(from_lists, 'answer_question', lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            rank(world)
    write_photo(world.folder / 'new/a.png', 2, 21)
    rank(world)
    assert len(encoder.encoded) == 2 * made + 1
    assert not list((world.output / 'matches').glob('*.part'))
