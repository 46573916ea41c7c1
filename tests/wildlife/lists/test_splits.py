"""wildlife/lists/splits.py, by whole runs of make_lists and by its functions."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wildlife.lists.samples import run, table_rows, write_csv
from utils.errors import InputError
from wildlife.lists.encounters import make_photos
from wildlife.lists.sightings import Sighting
from wildlife.lists.split_random import split_closed, split_disjoint
from wildlife.lists.splits import add_validation, hold_out


@st.composite
def photo_sets(draw):
    """Photos of 6 to 12 animals, each in some encounters; few encounters are shared."""
    sightings = []
    for animal in range(draw(st.integers(6, 12))):
        for number in range(draw(st.integers(1, 7))):
            encounter = draw(
                st.sampled_from(
                    ['', f'{animal}', f'{animal}b', f'{animal // 2} shared', f'{animal}c']
                )
            )
            sightings.append(
                Sighting(
                    f'{animal}/{number}',
                    f'row {animal} {number}',
                    f'{animal}',
                    side=draw(st.integers(0, 1)),
                    encounter=encounter,
                )
            )
    return make_photos(
        sightings,
        [sighting.path for sighting in sightings],
        draw(st.sampled_from(['together', 'separate'])),
        draw(st.sampled_from(['shared', 'own'])),
    )


@settings(max_examples=60, deadline=None)
@given(photo_sets(), st.integers(0, 9), st.sampled_from([0.2, 0.5]))
def test_no_split_cuts_an_encounter_or_loses_a_photo(photos, seed, share):
    for make in (split_disjoint, split_closed):
        try:
            split = make(photos, share, random.Random(seed))
        except InputError:
            continue
        before = len(split.train)
        add_validation(split, 0.2, random.Random(seed))
        tested = set(split.query)
        assert before == len(split.train) + len(split.val)
        assert len(tested) + before + len(split.left_out) == len(photos)
        units = [{photo.unit for photo in part} for part in (split.train, split.val, tested)]
        assert not units[0] & units[1] and not units[0] & units[2] and not units[1] & units[2]
        train = {photo.identity for photo in split.train}
        assert {photo.identity for photo in split.val} <= train
        for identity in {photo.identity for photo in split.val}:
            assert len({photo.unit for photo in split.train if photo.identity == identity}) >= 2
        if make is split_disjoint:
            assert split.query is split.gallery
            assert not {photo.animal for photo in tested} & {photo.animal for photo in split.train}
        else:
            assert {photo.identity for photo in tested} <= train
            assert set(split.gallery) == set(split.train) | set(split.val)


def test_hold_out_leaves_every_identity_what_it_keeps():
    sightings = [
        Sighting(f'{animal}/{number}', '', f'{animal}')
        for animal in range(5)
        for number in range(animal + 1)
    ]
    photos = make_photos(sightings, [sighting.path for sighting in sightings])
    held = hold_out(photos, 0.5, keep=2, rng=random.Random(0))
    left = {
        animal: sum(photo.animal == animal for photo in photos if photo not in held)
        for animal in '01234'
    }
    assert left == {'0': 1, '1': 2, '2': 2, '3': 2, '4': 3}
    assert len(hold_out(photos, 0.5, keep=2, rng=random.Random(0), limit=3)) == 3


def test_validation_is_no_larger_than_asked_where_a_smaller_encounter_is_there():
    sightings = [
        Sighting(f'{animal}/{encounter}{number}', '', f'{animal}', encounter=f'{animal}{encounter}')
        for animal in range(4)
        for encounter, size in (('a', 40), ('b', 5), ('c', 3))
        for number in range(size)
    ]
    photos = make_photos(sightings, [sighting.path for sighting in sightings])
    for seed in range(10):
        assert 3 <= len(hold_out(photos, 0.1, keep=2, rng=random.Random(seed), limit=19)) <= 19
        assert (
            len(hold_out(photos, 0.1, keep=2, rng=random.Random(seed), limit=2)) == 3
        )  # the smallest there is


@pytest.mark.parametrize('protocol', ['disjoint', 'closed'])
def test_the_same_lists_whatever_the_order_and_others_for_another_seed(tmp_path, protocol):
    rows = table_rows(tmp_path, encounters=4)
    made = []
    for number in range(3):
        random.Random(number).shuffle(rows)
        run(write_csv(tmp_path / 'm.csv', rows), tmp_path / f'out{number}', '--protocol', protocol)
        made.append(
            [
                (tmp_path / f'out{number}' / f'{name}.txt').read_bytes()
                for name in ('train', 'val', 'query', 'gallery')
            ]
        )
    assert made[0] == made[1] == made[2]
    run(tmp_path / 'm.csv', tmp_path / 'seed', '--protocol', protocol, '--seed', 5)
    assert (tmp_path / 'seed' / 'query.txt').read_bytes() != made[0][2]
