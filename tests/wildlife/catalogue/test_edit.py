"""wildlife/catalogue/edit.py, decisions.py, names.py."""

import pytest

from tests.wildlife.catalogue.worlds import ANNA, assert_clean, content, make
from utils.errors import InputError
from wildlife.catalogue.decisions import Answer, decide
from wildlife.catalogue.edit import (
    merge,
    remove_individual,
    remove_photos,
    rename,
    set_individual,
    set_photos,
    split,
    undo,
)
from wildlife.catalogue.journal import Author


@pytest.fixture
def catalogue(tmp_path):
    return make(tmp_path)


def shown(catalogue):
    """Photo number -> individual."""
    return {photo.id: photo.individual for photo in catalogue.photos()}


def names(catalogue):
    return {each.name: each.aliases for each in catalogue.individuals()}


def rejected(catalogue, match, function, *arguments):
    before, entries = content(catalogue), catalogue.journal()
    with pytest.raises(InputError, match=match):
        function(catalogue, ANNA, *arguments)
    assert content(catalogue) == before and catalogue.journal() == entries


def test_rename(catalogue):
    rename(catalogue, ANNA, 'Nala', 'Asha')
    assert names(catalogue) == {'Asha': ('Nala',), 'Zuri': ()}
    rename(catalogue, ANNA, 'Nala', 'Kito')  # an alias is enough
    assert names(catalogue) == {'Kito': ('Asha', 'Nala'), 'Zuri': ()}
    rename(catalogue, ANNA, 'Kito', 'Nala')  # back to an own alias
    assert names(catalogue) == {'Nala': ('Asha', 'Kito'), 'Zuri': ()}
    assert shown(catalogue) == {1: 'Nala', 2: 'Nala', 3: 'Nala', 4: 'Zuri', 5: 'Zuri', 6: 'Zuri'}
    rejected(catalogue, "the name 'Zuri' exists; choose another, or merge", rename, 'Nala', 'Zuri')
    rejected(catalogue, "the name 'Asha' is an alias of 'Nala'", rename, 'Zuri', 'Asha')
    rejected(catalogue, "the name 'Nala' exists", rename, 'Nala', 'Nala')
    rejected(catalogue, "no individual is called 'nala'; did you mean Nala", rename, 'nala', 'X')
    for name in ('', ' x', 'x\ny', 'x' * 201):
        rejected(catalogue, 'must have 1 to 200 characters in one line', rename, 'Nala', name)
    assert_clean(catalogue)


def test_merge(catalogue):
    set_individual(catalogue, ANNA, 'Nala', {'sex': 'female', 'notes': 'torn ear'}, 'N1')
    set_individual(catalogue, ANNA, 'Zuri', {'notes': 'shy'})
    merge(catalogue, ANNA, 'N1', 'Zuri')
    (only,) = catalogue.individuals()
    assert (only.name, only.aliases, only.photos) == ('Zuri', ('N1', 'Nala'), 6)
    assert (only.sex, only.notes) == ('female', 'shy\ntorn ear')
    assert [each.said for each in catalogue.decisions()] == ['Nala'] * 3 + ['Zuri'] * 3
    assert {each.individual_id for each in catalogue.decisions()} == {only.id}
    assert_clean(catalogue)


def test_merges_that_make_no_sense(catalogue):
    same = 'are the same individual; name two'
    rejected(catalogue, same, merge, 'Nala', 'Nala')
    set_individual(catalogue, ANNA, 'Nala', {'sex': 'female'}, 'N1')
    rejected(catalogue, same, merge, 'N1', 'Nala')
    set_individual(catalogue, ANNA, 'Zuri', {'sex': 'male'})
    rejected(catalogue, "'Nala' is female, but 'Zuri' is male; correct one", merge, 'Nala', 'Zuri')


def test_split(catalogue):
    split(catalogue, ANNA, 'Nala', 'Asha', [3, 1, 3])
    assert shown(catalogue) == {1: 'Asha', 2: 'Nala', 3: 'Asha', 4: 'Zuri', 5: 'Zuri', 6: 'Zuri'}
    assert_clean(catalogue)
    rejected(
        catalogue,
        'photos 1, 4 are not of .Nala., whose photos are 2',
        split,
        'Nala',
        'X',
        [1, 2, 4],
    )
    rejected(catalogue, r'photos \(none\) are not of', split, 'Nala', 'X', [])
    rejected(
        catalogue, "these are all photos of 'Nala'; keep at least one", split, 'Nala', 'X', [2]
    )
    rejected(catalogue, "the name 'Asha' exists", split, 'Zuri', 'Asha', [4])


def test_remove(catalogue):
    set_individual(catalogue, ANNA, 'Nala', {}, 'N1')
    remove_individual(catalogue, ANNA, 'N1')
    assert shown(catalogue) == {1: '', 2: '', 3: '', 4: 'Zuri', 5: 'Zuri', 6: 'Zuri'}
    assert names(catalogue) == {'Zuri': ()} and len(catalogue.features().photos) == 6
    remove_individual(catalogue, ANNA, 'Zuri', with_photos=True)
    assert shown(catalogue) == {1: '', 2: '', 3: ''} and len(catalogue.features().photos) == 3
    remove_photos(catalogue, ANNA, [2, 2])
    assert list(shown(catalogue)) == [1, 3]
    assert_clean(catalogue)
    rejected(catalogue, 'the catalogue has no photo 2', remove_photos, [1, 2])
    rejected(catalogue, "no individual is called 'Nala'", remove_individual, 'Nala')


def test_decisions(catalogue):
    me = Author('juma', 'tools.identify')
    decide(
        catalogue,
        me,
        [
            Answer(1, 'known', 'Zuri', 'machine', 0.75, 'photo 5'),
            Answer(2, 'new', 'Asha'),
            Answer(3, 'known', 'Asha'),
            Answer(4, 'none', probability=1.0),
            Answer(5, 'unsure', probability=0.0),
        ],
    )
    assert shown(catalogue) == {1: 'Zuri', 2: 'Asha', 3: 'Asha', 4: '', 5: 'Zuri', 6: 'Zuri'}
    first = catalogue.decisions()[6]
    assert (first.photo_id, first.answer, first.said, first.method) == (
        1,
        'known',
        'Zuri',
        'machine',
    )
    assert (first.probability, first.note, first.by) == (0.75, 'photo 5', 'juma')
    assert (first.program, first.individual_id) == ('tools.identify', 2)
    assert [each.answer for each in catalogue.decisions()[-2:]] == ['none', 'unsure']
    assert catalogue.journal()[-1].action == 'decide on 5 photos'
    assert_clean(catalogue)
    for match, answers in (
        ('no decisions given', []),
        ('has no photo 9, 7', [Answer(9, 'unsure'), Answer(7, 'unsure')]),
        ("no individual is called 'Ashe'; did you mean Asha", [Answer(1, 'known', 'Ashe')]),
        ("the name 'Zuri' exists", [Answer(6, 'unsure'), Answer(1, 'new', 'Zuri')]),
        ("photo 1: the decision 'known' by 'human'", [Answer(1, 'known')]),
        ("photo 1: the decision 'perhaps' by 'human'", [Answer(1, 'perhaps')]),
        ("photo 1: the decision 'none' by 'dog'", [Answer(1, 'none', method='dog')]),
        ('the probability must be between 0 and 1', [Answer(1, 'none', probability=1.5)]),
    ):
        rejected(catalogue, match, decide, answers)


def test_facts_of_photos(catalogue):
    set_photos(catalogue, ANNA, [1, 2], {'side': 1, 'encounter': 'E1', 'place': 'river'})
    set_photos(catalogue, ANNA, [3], {'encounter': 'E2'})
    first = catalogue.photos()[0]
    assert (first.side, first.encounter, first.place, first.camera) == (1, 'E1', 'river', '')
    assert catalogue.individual('Nala').encounters == 2
    rejected(catalogue, 'no photo 8', set_photos, [1, 8], {'side': 0})
    rejected(
        catalogue,
        "the sex 'hen' must be one of female, male",
        set_individual,
        'Nala',
        {'sex': 'hen'},
    )
    rejected(catalogue, "the name 'Zuri' exists", set_individual, 'Nala', {}, 'Zuri')


def test_an_edit_that_changes_nothing_is_no_entry(catalogue):
    entries = catalogue.journal()
    set_photos(catalogue, ANNA, [1], {'place': ''})
    assert catalogue.journal() == entries


def test_undo_one_after_the_other(catalogue):
    states = [content(catalogue)]
    for edit in (
        lambda: rename(catalogue, ANNA, 'Nala', 'Asha'),
        lambda: split(catalogue, ANNA, 'Asha', 'Kito', [2]),
        lambda: merge(catalogue, ANNA, 'Kito', 'Zuri'),
        lambda: set_photos(catalogue, ANNA, [1, 5], {'side': 0}),
        lambda: remove_individual(catalogue, ANNA, 'Zuri', True),
        lambda: decide(catalogue, ANNA, [Answer(1, 'new', 'Simba')]),
    ):
        edit()
        states.append(content(catalogue))
    for state in states[-2::-1]:
        undo(catalogue, ANNA)
        assert content(catalogue) == state
    assert_clean(catalogue)
    undo(catalogue, ANNA)  # the addition
    assert not catalogue.photos() and not catalogue.individuals() and catalogue.model() is None
    with pytest.raises(InputError, match='the first entry of the journal created the catalogue'):
        undo(catalogue, ANNA)
    assert [entry.undone for entry in catalogue.journal()] == [False] + [True] * 7 + [False] * 7


def test_an_undo_can_be_undone(catalogue):
    number = rename(catalogue, ANNA, 'Nala', 'Asha')
    renamed = content(catalogue)
    assert undo(catalogue, ANNA) == number
    undo(catalogue, ANNA, number + 1)
    assert content(catalogue) == renamed
    undo(catalogue, ANNA)
    assert names(catalogue) == {'Nala': (), 'Zuri': ()}
    assert_clean(catalogue)


def test_undo_of_an_earlier_entry(catalogue):
    first = rename(catalogue, ANNA, 'Nala', 'Asha')
    second = set_individual(catalogue, ANNA, 'Zuri', {'notes': 'shy'})
    third = set_individual(catalogue, ANNA, 'Asha', {'notes': 'bold'})
    undo(catalogue, ANNA, second)  # nothing else depends on it
    assert catalogue.individual('Zuri').notes == ''
    rejected(
        catalogue,
        f'{first} cannot be undone: a later entry has changed individuals 1 too '
        rf'\(entry {third}\); undo that one first',
        undo,
        first,
    )
    rejected(catalogue, f'entry {second} of the journal is undone already', undo, second)
    rejected(catalogue, 'entry 99 of the journal does not exist; the last is', undo, 99)
    rejected(
        catalogue, 'later entries depend on its photos; undo them first|later entry has', undo, 2
    )
    undo(catalogue, ANNA, third)
    undo(catalogue, ANNA, first)
    assert names(catalogue) == {'Nala': (), 'Zuri': ()}
    assert_clean(catalogue)


@pytest.mark.parametrize('answer', [('known', 'Zuri'), ('none', '')])
def test_undo_of_a_decision_that_a_later_one_repeats(catalogue, answer):
    first = decide(catalogue, ANNA, [Answer(1, *answer)])
    second = decide(catalogue, ANNA, [Answer(1, *answer), Answer(2, 'unsure')])
    said = f'entry {first} cannot be undone: a later decision on photo 1 says the same; undo that'
    rejected(catalogue, said, undo, first)
    undo(catalogue, ANNA, second)
    undo(catalogue, ANNA, first)
    assert shown(catalogue)[1] == 'Nala'
    assert_clean(catalogue)


def test_texts_that_no_database_holds(catalogue):
    for values in ({'camera': 'x' * 201}, {'encounter': 'a\nb'}, {'place': 'a\udcff'}):
        rejected(catalogue, 'must be one line of UTF-8 text of at most', set_photos, [1], values)
    rejected(catalogue, 'is not UTF-8 text', set_individual, 'Nala', {'notes': 'a\udcff'})
    with pytest.raises(InputError, match='is not UTF-8 text; write it with other letters'):
        rename(catalogue, Author('\udcff', 'tests'), 'Nala', 'Asha')


def test_photos_are_counted_once(catalogue):
    set_photos(catalogue, ANNA, [1, 2, 1], {'side': 0})
    assert catalogue.journal()[-1].action == 'set side of 2 photos'


def test_undo_would_give_a_name_twice(catalogue):
    number = remove_individual(catalogue, ANNA, 'Nala')
    set_individual(catalogue, ANNA, 'Zuri', {}, 'Nala')
    rejected(
        catalogue, 'Nala would be the name of one individual and an alias of another', undo, number
    )
