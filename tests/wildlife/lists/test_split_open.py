"""make_lists --protocol open: which animals are enrolled, which encounters are asked about."""

import random

import pytest

from datasets.records import read_list
from tests.wildlife.lists.samples import fails, lists, photo_rows, run, save, table_rows, write_csv
from utils.errors import InputError
from wildlife.lists.encounters import make_photos
from wildlife.lists.sightings import Sighting
from wildlife.lists.split_open import REASON, split_open
from wildlife.lists.splits import Split


@pytest.fixture
def table(tmp_path):
    return write_csv(tmp_path / 'm.csv', table_rows(tmp_path, individuals=12, encounters=4))


def test_half_of_the_encounters_of_half_of_the_animals_are_the_gallery(table, tmp_path):
    facts = run(table, tmp_path / 'out', '--protocol', 'open', '--test-share', 0.7)
    made = lists(tmp_path / 'out')
    assert {'train', 'query', 'gallery'} <= set(made)
    gallery = {record.pid for record in made['gallery']}
    query = {record.pid for record in made['query']}
    assert (len(gallery), len(query)) == (4, 8) and gallery < query
    assert {record.encounter for record in made['gallery']}.isdisjoint(
        record.encounter for record in made['query']
    )
    for label in query:
        asked = {record.encounter for record in made['query'] if record.pid == label}
        assert len(asked) == (2 if label in gallery else 4)
    (note,) = [note for note in facts['notes'] if note.startswith('open set: ')]
    assert '4 of 8 test animals are enrolled' in note and 'of the 4 others' in note
    assert not any('compared with all others' in note for note in facts['notes'])
    assert any('with no match in the gallery' in note for note in facts['notes'])
    assert any(command.startswith('python -m tools.open_set ') for command in facts['commands'])
    assert facts['protocol']['test'] == 'cross-encounter'


def test_all_animals_can_be_tested_without_training(table, tmp_path):
    run(table, tmp_path / 'out', '--protocol', 'open', '--test-share', 1, '--known-share', 0.25)
    made = lists(tmp_path / 'out')
    assert set(made) == {'query', 'gallery'}
    assert len({record.pid for record in made['gallery']}) == 3
    assert len({record.pid for record in made['query']}) == 12


def test_the_order_of_rows_does_not_matter_but_the_seed_does(tmp_path):
    rows = table_rows(tmp_path, individuals=12, encounters=4)
    made = []
    for number, seed in enumerate((1, 1, 2)):
        table = write_csv(tmp_path / f'{number}.csv', rows[:: -1 if number else 1])
        out = tmp_path / f'out{number}'
        run(table, out, '--protocol', 'open', '--seed', seed, '--test-share', 0.7)
        made.append(sorted(record.path for record in read_list(out / 'gallery.txt')))
    assert made[0] == made[1] != made[2]


def test_animals_with_a_single_encounter_stay_unknown(tmp_path):
    rows = table_rows(tmp_path, individuals=8, encounters=2)
    for number in range(8):
        save(tmp_path / f'photos/s{number}.png', colour=(9, 9, number))
        rows.append(
            rows[0]
            | {'path': f'photos/s{number}.png', 'identity': f's{number}', 'encounter': f'x{number}'}
        )
    table = write_csv(tmp_path / 'm.csv', rows)
    run(table, tmp_path / 'out', '--protocol', 'open', '--test-share', 1, '--known-share', 0.9)
    enrolled = {
        row['identity'] for row in photo_rows(tmp_path / 'out') if 'gallery' in row['split']
    }
    assert enrolled == {f'ind {number}' for number in range(8)}


def met(*animals, encounter):
    return [Sighting(f'{name}/{encounter}', '', name, encounter=encounter) for name in animals]


def test_photos_of_others_in_an_encounter_of_the_gallery_are_left_out():
    """They would have the gallery's background."""
    sightings = met('a', 'b', 'c', encounter='1') + met('a', 'b', encounter='2')
    sightings += met('c', encounter='3') + met('d', encounter='4') + met('d', encounter='5')
    photos = make_photos(sightings, [sighting.path for sighting in sightings])
    seen = set()
    for seed in range(30):
        split = Split([], [], photos, photos)
        split_open(split, 0.5, random.Random(seed))
        enrolled = {photo.unit for photo in split.gallery}
        assert enrolled.isdisjoint(photo.unit for photo in split.query)
        left = {photo.path for photo, reason in split.left_out if reason == REASON}
        kept = {photo.path for photo in [*split.query, *split.gallery]}
        assert left | kept == {photo.path for photo in photos} and not left & kept
        seen.add(bool(left))
    assert seen == {True, False}


def test_too_few(tmp_path):
    single = [sighting for name in 'abcd' for sighting in met(name, encounter=f'e{name}')]
    photos = make_photos(single, [sighting.path for sighting in single])
    with pytest.raises(InputError, match='0 of 4 test animals have two encounters'):
        split_open(Split([], [], photos, photos), 0.5, random.Random(0))
    two = met('a', encounter='1') + met('a', encounter='2') + met('b', encounter='3')
    photos = make_photos(two, [sighting.path for sighting in two])
    with pytest.raises(InputError, match='1 of 2 test animals'):
        split_open(Split([], [], photos, photos), 0.5, random.Random(0))


@pytest.mark.parametrize('share, said', [(0, 'to enrol'), (1, 'unknown'), (1.5, 'between 0 and 1')])
def test_impossible_shares(table, tmp_path, share, said):
    message = fails(table, tmp_path / 'out', '--protocol', 'open', '--known-share', share)
    assert '--known-share' in message and said in message
    assert not (tmp_path / 'out').exists()
