"""wildlife/catalogue/{journal,replay,verify}.py: whatever is done, the journal explains it."""

import random
import sqlite3
from pathlib import Path

import pytest

from tests.wildlife.catalogue.worlds import ANNA, Encoder, assert_clean, content, make, photos
from utils.errors import InputError
from wildlife.catalogue import edit, schema
from wildlife.catalogue.add import add_photos
from wildlife.catalogue.database import FILE
from wildlife.catalogue.decisions import Answer, decide
from wildlife.catalogue.store import open_catalogue
from wildlife.catalogue.verify import Findings, verify


def random_edit(catalogue, rng, number):
    """One of the edits, with what is there; perhaps it is not possible."""
    names = [each.name for each in catalogue.individuals()] or ['nobody']
    known = [photo.id for photo in catalogue.photos()] or [1]
    one, other = rng.choice(names), rng.choice(names)
    some = rng.sample(known, min(len(known), rng.randint(1, 3)))
    new = f'new {number}'
    edits = [
        lambda: edit.rename(catalogue, ANNA, one, new),
        lambda: edit.merge(catalogue, ANNA, one, other),
        lambda: edit.split(catalogue, ANNA, one, new, some),
        lambda: edit.remove_individual(catalogue, ANNA, one, rng.random() < 0.3),
        lambda: edit.remove_photos(catalogue, ANNA, some),
        lambda: edit.set_individual(catalogue, ANNA, one, {'notes': new}, rng.choice(['', new])),
        lambda: edit.set_photos(catalogue, ANNA, some, {'side': rng.choice([0, 1, None])}),
        lambda: decide(catalogue, ANNA, [Answer(some[0], 'known', one), Answer(some[-1], 'none')]),
        lambda: decide(catalogue, ANNA, [Answer(photo, 'new', new) for photo in some]),
        lambda: edit.undo(catalogue, ANNA, rng.randint(3, number + 3)),
    ]
    rng.choice(edits)()


@pytest.mark.parametrize('seed', range(4))
def test_random_edits_and_their_undoing(tmp_path, seed):
    catalogue, rng = make(tmp_path, ('A', 'B', 'C')), random.Random(seed)
    start = content(catalogue)
    done = 0
    for number in range(20):
        before = content(catalogue)
        try:
            random_edit(catalogue, rng, number)
            done += 1
        except InputError:
            assert content(catalogue) == before
    assert done > 8
    assert_clean(catalogue)
    for entry in catalogue.journal()[:1:-1]:
        if not entry.undone and not entry.undoes:
            edit.undo(catalogue, ANNA, entry.id)
    assert content(catalogue) == start
    assert_clean(catalogue)


def test_ids_are_never_used_again(tmp_path):
    catalogue = make(tmp_path)
    edit.remove_photos(catalogue, ANNA, [6])
    add_photos(catalogue, ANNA, photos(tmp_path / 'p', ['Kito'], 1), Encoder())
    assert [photo.id for photo in catalogue.photos()] == [1, 2, 3, 4, 5, 7]


DAMAGE = {
    'UPDATE photos SET side = 1 WHERE id = 3': (
        'photos 3: side is 1, but None according to the journal'
    ),
    'DELETE FROM decisions WHERE id = 2': 'decisions 2: is missing, but exists according to',
    "INSERT INTO individuals VALUES (9, 'Ghost', '', '')": (
        'individuals 9: exists, but not according to the journal'
    ),
    'UPDATE photos SET individual_id = 77 WHERE id = 1': (
        'photos 1: individual_id 77 does not exist'
    ),
    'UPDATE photos SET individual_id = 2 WHERE id = 1': (
        'photos 1: individual_id is 2, but 1 according to its last decision'
    ),
    'UPDATE features SET "row" = 6 WHERE photo_id = 5': (
        'features 5: 1-aaaaaaaaaaaa.npy has no row 6'
    ),
    "UPDATE changes SET before = '{}' WHERE id = 9": (
        'journal: change 9 of entry 2 does not fit the earlier changes of'
    ),
    "UPDATE changes SET table_name = 'x' WHERE id = 9": 'is of an unknown table',
    "INSERT INTO aliases VALUES (1, 'Nala', 2)": (
        'aliases: Nala would be the name of one individual and an alias of another'
    ),
}


@pytest.mark.parametrize('statement', DAMAGE)
def test_verify_names_damaged_rows(tmp_path, statement):
    catalogue = make(tmp_path)
    with sqlite3.connect(catalogue.folder / FILE) as file:
        file.execute(statement)
    assert any(DAMAGE[statement] in line for line in verify(catalogue).damage)


def test_verify_names_damaged_features(tmp_path, monkeypatch):
    catalogue = make(tmp_path)
    monkeypatch.setattr('wildlife.catalogue.verify.AT_ONCE', 4)
    assert verify(catalogue) == Findings()
    path = catalogue.path_of(catalogue.model())
    content = bytearray(path.read_bytes())
    content[128 + 4 * 8 * 4 + 3] ^= 1  # a bit of the fifth row
    path.write_bytes(content)
    assert verify(catalogue).damage == [
        'features 5: row 4 of 1-aaaaaaaaaaaa.npy (photo 5) is damaged'
    ]
    path.write_bytes(content[:200])
    assert 'too few for 6 rows' in verify(catalogue).damage[0]


@pytest.mark.parametrize(
    ('statement', 'named'),
    [
        ("UPDATE photos SET date = 'soon' WHERE id = 3", 'photos 3: it has a value that cannot be'),
        ("UPDATE photos SET box = 'a b' WHERE id = 4", "photos 4: box is 'a b', but"),
        ("UPDATE settings SET value = 'x' WHERE name = 'model'", "settings 4: value is 'x', but"),
        ("UPDATE models SET config = '{'", 'models 1: its config is damaged; restore a backup'),
        ("UPDATE changes SET after = '{' WHERE row_id = 5 AND table_name = 'photos'", 'photos 5: '),
    ],
)
def test_verify_names_rows_with_values_that_cannot_be_read(tmp_path, statement, named):
    catalogue = make(tmp_path)
    with sqlite3.connect(catalogue.folder / FILE) as file:
        file.execute(statement)
    assert any(line.startswith(named) for line in verify(catalogue).damage)


def test_undo_of_a_row_that_the_journal_does_not_explain(tmp_path):
    catalogue = make(tmp_path)
    with sqlite3.connect(catalogue.folder / FILE) as file:
        file.execute('UPDATE photos SET individual_id = 2 WHERE id = 1')
    with pytest.raises(InputError, match='has changed photos 1 too; undo that'):  # no entry
        edit.undo(catalogue, ANNA)
    edit.rename(catalogue, ANNA, 'Nala', 'Asha')
    edit.undo(catalogue, ANNA)  # which has nothing to do with it
    assert catalogue.individual('Nala').aliases == ()


def test_a_value_that_cannot_be_read(tmp_path):
    catalogue = make(tmp_path)
    with sqlite3.connect(catalogue.folder / FILE) as file:
        file.execute("UPDATE photos SET date = 'soon'")
        file.execute("UPDATE settings SET value = 'x' WHERE name = 'margin'")
    for read in (catalogue.photos, catalogue.margin):
        with pytest.raises(InputError, match='a value is damaged .* verify names the row'):
            read()


def test_verify_of_a_file_with_damaged_pages(tmp_path):
    catalogue = make(tmp_path)
    path = catalogue.folder / FILE
    content = bytearray(path.read_bytes())
    content[4096 * 2 :: 3] = bytes(len(content[4096 * 2 :: 3]))
    path.write_bytes(content)
    assert verify(catalogue).damage
    with pytest.raises(InputError, match='damaged'):
        open_catalogue(catalogue.folder).photos()


def test_verify_of_a_file_that_sqlite_finds_damaged(tmp_path):
    """Though all rows can be read: the header counts free pages that are not there."""
    catalogue = make(tmp_path)
    with open(catalogue.folder / FILE, 'r+b') as file:
        file.seek(36)
        file.write((7).to_bytes(4, 'big'))
    (said,) = verify(catalogue).damage
    assert 'reelist' in said


def test_verify_notes_what_is_no_damage(tmp_path):
    catalogue = make(tmp_path)
    first, second, third, *_ = [photo.path for photo in catalogue.photos()]
    (tmp_path / 'photos' / first).unlink()
    with open(second, 'ab') as file:
        file.write(b'more')
    Path(third).write_bytes(Path(third).read_bytes()[:-1] + b'x')
    edit.remove_photos(catalogue, ANNA, [6])
    (catalogue.folder / 'features' / 'x.part').touch()
    found = verify(catalogue)
    assert not found.damage
    assert [note.partition(':')[0] for note in found.notes[:1]] == ['1-aaaaaaaaaaaa.npy']
    text = '\n'.join(found.notes)
    assert '1 row that no photo uses' in text and '1 file of interrupted programs (x.part)' in text
    assert f'1 photo missing, such as {first}' in text
    assert f'1 photo changed since added: {second}' in text and third not in text
    assert f'2 photos changed since added: {second}, {third}' in '\n'.join(
        verify(catalogue, hashes=True).notes
    )


def test_an_entry_that_changes_a_row_twice_is_undone(tmp_path):
    catalogue = make(tmp_path)
    before = content(catalogue)
    with catalogue.writing(ANNA, 'set the side twice') as change:
        for side in (0, 1):
            change.update(schema.photos, {1: {'side': side}})
    edit.undo(catalogue, ANNA)
    assert content(catalogue) == before
    assert_clean(catalogue)
