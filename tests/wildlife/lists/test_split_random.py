"""wildlife/lists/split_random.py, by whole runs of make_lists and by its functions."""

import random

import pytest

from tests.wildlife.lists.samples import (
    fails,
    lists,
    run,
    save,
    table_rows,
    write_csv,
    write_folder,
)
from wildlife.lists.encounters import make_photos
from wildlife.lists.sightings import Sighting
from wildlife.lists.split_random import split_disjoint


def test_disjoint_when_encounters_tie_everybody(tmp_path):
    rows = table_rows(tmp_path)
    for row in rows:
        row['encounter'] = row['encounter'][-1]
    table = write_csv(tmp_path / 'm.csv', rows)
    message = fails(table, tmp_path / 'out')
    assert 'connect 8 of 8 individuals' in message and '--encounters own' in message
    assert not (tmp_path / 'out').exists()
    facts = run(table, tmp_path / 'out', '--encounters', 'own')
    assert facts['splits']['query']['encounters'] == 6


def test_single_photos_go_to_the_test_alone(tmp_path):
    source = write_folder(tmp_path / 's')
    for number in range(3):
        save(source / f'single{number}' / 'x.png')
    facts = run(source, tmp_path / 'out')
    assert {f'single{number}' for number in range(3)} < set(facts['labels']['test'])
    assert not any(name.startswith('single') for name in facts['labels']['train'])
    assert any(
        note.startswith('3 of 11 queries with no match in the gallery') for note in facts['notes']
    )
    assert any(
        note.startswith('5 of 11 individuals are only in the test')
        and note.endswith(
            '2 picked at random from the 8 with at least two photos, and 3 with fewer'
        )
        for note in facts['notes']
    )
    facts = run(source, tmp_path / 'out2', '--min-photos', 2)
    assert facts['left_out'] == {'individual with fewer than 2 photos': 3}


def test_single_photos_tied_to_training_are_left_out():
    sightings = [
        Sighting(f'{animal}/{number}', '', f'{animal}')
        for animal in range(6)
        for number in range(4)
    ]
    sightings += [
        Sighting(f'{animal}/with', '', f'{animal} mate', encounter=f'{animal}')
        for animal in range(6)
    ]
    sightings += [
        Sighting(f'{animal}/here', '', f'{animal}', encounter=f'{animal}') for animal in range(6)
    ]
    split = split_disjoint(
        make_photos(sightings, [sighting.path for sighting in sightings]), 0.4, random.Random(0)
    )
    assert (
        len({photo.animal for photo in split.train}) == 4
        and len({photo.animal for photo in split.query}) == 4
    )
    assert sorted(photo.animal for photo, _ in split.left_out) == sorted(
        {f'{photo.animal} mate' for photo in split.train}
    )


def test_closed_tests_other_encounters_of_the_same_animals(tmp_path):
    rows = table_rows(tmp_path, encounters=4)
    rows = [row for row in rows if row['identity'] != 'ind 0' or row['encounter'] == '0.1']
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out', '--protocol', 'closed')
    made = lists(tmp_path / 'out')
    assert {record.path for record in made['gallery']} == {
        record.path for record in made['train'] + made['val']
    }
    assert {record.encounter for record in made['query']}.isdisjoint(
        record.encounter for record in made['gallery']
    )
    assert (
        facts['labels']['train']
        == facts['labels']['test']
        == [f'ind {number}' for number in range(8)]
    )
    assert len({record.pid for record in made['query']}) == 7
    assert any('1 of 8 individuals are only in training' in note for note in facts['notes'])
    single = write_csv(
        tmp_path / 'one.csv', [row for row in rows if row['encounter'].endswith('.1')]
    )
    assert 'none of 8 individuals has two encounters' in fails(
        single, tmp_path / 'out2', '--protocol', 'closed'
    )


@pytest.mark.parametrize(('share', 'tested'), [(0.2, 4), (0.3, 6), (0.5, 10), (0.95, 18)])
def test_the_share_for_the_test(tmp_path, share, tested):
    source = write_folder(tmp_path / 's', 20, 10)
    assert (
        run(source, tmp_path / 'out', '--test-share', share)['splits']['query']['individuals']
        == tested
    )
    facts = run(source, tmp_path / 'closed', '--protocol', 'closed', '--test-share', share)
    assert facts['splits']['query']['photos'] == min(round(share * 10), 9) * 20


def test_all_are_tested_and_none_is_trained_on(tmp_path):
    rows = [*table_rows(tmp_path), {'path': 'photos/x.png', 'identity': 'single'}]
    save(tmp_path / 'photos/x.png')
    table, out = write_csv(tmp_path / 'm.csv', rows, list(rows[0])), tmp_path / 'out'
    run(table, out)
    facts = run(table, out, '--force', '--test-share', 1)
    made = lists(out)
    assert set(made) == {'query', 'gallery'}  # the earlier lists for training are gone
    assert made['query'] == made['gallery'] and len(made['query']) == len(rows)
    assert facts['labels'] == {
        'train': [],
        'test': [*(f'ind {number}' for number in range(8)), 'single'],
    }
    notes = ' '.join(facts['notes'])
    assert '9 individuals are all in the test' in notes and '1 individual in the test' in notes
    assert not any(word in notes for word in ('validation', 'batch', 'for training,'))
    one = write_csv(tmp_path / 'one.csv', [*rows[:6], rows[-1]], list(rows[0]))
    message = fails(one, tmp_path / 'out1', '--test-share', 1, '--min-photos', 2)
    assert 'a test needs two individuals' in message
    assert not (tmp_path / 'out1').exists()


def test_flanks_in_a_test_without_training(tmp_path):
    table = write_csv(tmp_path / 'm.csv', table_rows(tmp_path))
    facts = run(table, tmp_path / 'out', '--test-share', 1, '--sides', 'separate')
    assert len(facts['labels']['test']) == 16
    assert any('8 animals are all in the test' in note for note in facts['notes'])
    assert any('16 flanks of 8 animals' in note for note in facts['notes'])


def test_advice_works_or_is_not_given(tmp_path):
    ways = ('--protocol', '--encounter-minutes', '--encounters')
    single = write_folder(tmp_path / 'single', 5, 1)
    for protocol in ('disjoint', 'closed'):
        message = fails(single, tmp_path / 'out', '--protocol', protocol)
        assert not any(
            way in message.partition(';')[2].replace('--protocol disjoint needs', '')
            for way in ways
        )
    rows = table_rows(tmp_path)
    for row in rows:  # all were at the same day and place
        row |= {'encounter': '', 'camera': 'c', 'date': f'2020-01-01 1{row["encounter"][-1]}:00'}
    table = write_csv(tmp_path / 'm.csv', rows)
    message = fails(table, tmp_path / 'out')
    assert (
        '--encounters own' in message
        and '--encounter-minutes' in message
        and '--protocol closed' not in message
    )
    run(table, tmp_path / 'own', '--encounters', 'own')
    message = fails(table, tmp_path / 'out', '--encounter-minutes', 15)
    assert '--protocol closed' in message
    run(table, tmp_path / 'closed', '--encounter-minutes', 15, '--protocol', 'closed')
    for row in rows:
        row['encounter'] = 'all'
    message = fails(
        write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out'
    )  # given: minutes do not matter
    assert '--encounters own' in message and '--encounter-minutes' not in message
    boxed = [
        {'path': row['path'], 'identity': row['identity'], 'bbox': '[0, 0, 9, 9]'}
        for row in table_rows(tmp_path)
    ]
    boxed += [
        row | {'identity': f'ind {(number // 6 + 1) % 8}', 'bbox': '[9, 0, 9, 9]'}
        for number, row in enumerate(boxed)
    ]
    message = fails(
        write_csv(tmp_path / 'm.csv', boxed), tmp_path / 'out'
    )  # two animals on every photo, and no encounters
    assert 'connect 8 of 8' in message and '--encounter' not in message
