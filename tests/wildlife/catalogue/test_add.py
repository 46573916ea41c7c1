"""wildlife/catalogue/add.py, write_features.py."""

import shutil
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from tests.wildlife.catalogue.worlds import (
    ANNA,
    Encoder,
    assert_clean,
    check_features,
    content,
    make,
    photos,
    write,
)
from utils.errors import InputError
from wildlife.catalogue.add import add_photos, encode_photos
from wildlife.catalogue.decisions import Answer, decide
from wildlife.catalogue.edit import undo
from wildlife.catalogue.new_photos import NewPhoto, NewPhotos
from wildlife.catalogue.store import open_catalogue
from wildlife.catalogue.verify import verify


def new(*some):
    return NewPhotos(list(some), 'a table', [], [])


def test_photos_are_added_once(tmp_path):
    catalogue, encoder = make(tmp_path), Encoder()
    before = content(catalogue)
    done = add_photos(catalogue, ANNA, photos(tmp_path / 'photos', ['Nala', 'Zuri']), encoder)
    assert (done.photos, done.known, done.completed, done.features, done.entry) == (0, 6, 0, 0, 0)
    assert encoder.encoded == [] and content(catalogue) == before
    assert len(catalogue.journal()) == 2
    done = add_photos(catalogue, ANNA, photos(tmp_path / 'photos', ['Nala', 'Asha'], 4), encoder)
    assert (done.photos, done.known, done.individuals, done.features) == (5, 3, ['Asha'], 5)
    assert done.entry == 3 and len(encoder.encoded) == 5 and done.named == 0
    check_features(catalogue, encoder)
    assert_clean(catalogue)


def test_several_animals_of_a_photo(tmp_path):
    catalogue, encoder = make(tmp_path, ()), Encoder()
    path = write(tmp_path, 'herd')
    left, right = (0.1, 0.2, 0.3, 0.4), (0.5, 0.2, 0.25, 0.5, -0.3)
    done = add_photos(
        catalogue, ANNA, new(NewPhoto(path, left), NewPhoto(path, right), NewPhoto(path)), encoder
    )
    assert (done.photos, done.otherwise) == (3, 0)
    assert [photo.box for photo in catalogue.photos()] == [left, right, None]
    check_features(catalogue, encoder)
    again = add_photos(catalogue, ANNA, new(NewPhoto(path, right), NewPhoto(path, left)), encoder)
    assert (again.photos, again.known) == (0, 2)
    other = add_photos(catalogue, ANNA, new(NewPhoto(path, (0, 0, 1, 0.5))), encoder)
    assert (other.photos, other.otherwise) == (1, 1)


def test_what_was_unknown_is_completed(tmp_path):
    catalogue, encoder = make(tmp_path, ()), Encoder()
    paths = [write(tmp_path / 'a', number) for number in range(3)]
    first = [NewPhoto(path, camera='C1') for path in paths]
    add_photos(catalogue, ANNA, new(*first), encoder)
    shutil.copytree(tmp_path / 'a', tmp_path / 'b')
    moved = [path.replace('/a/', '/b/') for path in paths]
    (tmp_path / 'a' / '1.png').unlink()
    date = datetime(2026, 5, 1, 12, 30)
    facts = {'side': 0, 'camera': 'C2', 'date': date, 'encounter': 'E', 'place': 'river'}
    second = [NewPhoto(path, individual='Nala', **facts) for path in moved[:2]]
    done = add_photos(catalogue, ANNA, new(*second, NewPhoto(moved[2])), encoder)
    assert (done.photos, done.known, done.completed, done.named) == (0, 3, 2, 2)
    one, two, three = catalogue.photos()
    assert (one.side, one.camera, one.date, one.encounter) == (0, 'C1', date, 'E')
    assert (one.path, two.path, three.path) == (paths[0], moved[1], paths[2])
    assert [each.individual for each in (one, two, three)] == ['Nala', 'Nala', '']
    nala = catalogue.individual('Nala')
    assert (nala.photos, nala.encounters, nala.first_seen, nala.last_seen) == (2, 1, date, date)
    undo(catalogue, ANNA)
    assert not catalogue.individuals() and catalogue.photos()[0].date is None
    assert_clean(catalogue)


def test_contradictions_change_nothing(tmp_path):
    catalogue, encoder = make(tmp_path), Encoder()
    path = catalogue.photos()[0].path
    before = content(catalogue)
    fresh = NewPhoto(write(tmp_path, 'x'), individual='Kito')
    with pytest.raises(
        InputError,
        match=r"shows 'Kito' according to a table, but 'Nala' in the catalogue "
        r'\(photo 1\); rename or merge them',
    ):
        add_photos(catalogue, ANNA, new(fresh, NewPhoto(path, individual='Kito')), encoder)
    copy = str(shutil.copy(fresh.path, tmp_path / 'y.png'))
    with pytest.raises(InputError, match="the same bytes, but show 'Asha' and 'Kito'; correct one"):
        both = new(NewPhoto(copy), fresh, NewPhoto(copy, individual='Asha'))
        add_photos(catalogue, ANNA, both, encoder)
    with pytest.raises(InputError, match='cannot be read .*is its disk mounted'):
        add_photos(catalogue, ANNA, new(NewPhoto(str(tmp_path / 'gone.png'))), encoder)
    (tmp_path / 'z.txt').write_text('z')
    with pytest.raises(InputError, match='not a photo'):
        add_photos(catalogue, ANNA, new(fresh, NewPhoto(str(tmp_path / 'z.txt'))), encoder)
    with pytest.raises(InputError, match='there are no photos to add'):
        add_photos(catalogue, ANNA, new(), encoder)
    with pytest.raises(InputError, match='so photos are added with the model in use'):
        add_photos(catalogue, ANNA, new(fresh), None)
    with pytest.raises(InputError, match='name .* must have 1 to 200 characters'):
        add_photos(catalogue, ANNA, new(replace(fresh, individual=' ')), encoder)
    assert content(catalogue) == before
    assert_clean(catalogue)


def test_an_alias_is_the_same_individual(tmp_path):
    from wildlife.catalogue.edit import rename

    catalogue, encoder = make(tmp_path), Encoder()
    rename(catalogue, ANNA, 'Nala', 'Asha')
    done = add_photos(catalogue, ANNA, photos(tmp_path / 'photos', ['Nala'], 4), encoder)
    assert (done.photos, done.individuals) == (1, [])
    assert catalogue.individual('Asha').photos == 4


def test_another_model(tmp_path):
    """Features are made anew, decisions stay."""
    catalogue, first, second = make(tmp_path), Encoder(), Encoder('b', 5)
    more = photos(tmp_path / 'more', ['Kito'])
    before = content(catalogue)
    with pytest.raises(
        InputError,
        match='features are those of another model: its model_sha256 is '
        r"'a', here it is 'b'; use that model \(a.pth\), or recompute all features",
    ):
        add_photos(catalogue, ANNA, more, second)
    assert content(catalogue) == before
    decisions = catalogue.decisions()
    assert encode_photos(catalogue, ANNA, second) == 6
    assert catalogue.decisions() == decisions and catalogue.model().length == 5
    check_features(catalogue, second)
    with pytest.raises(InputError, match='another model'):
        add_photos(catalogue, ANNA, more, first)
    add_photos(catalogue, ANNA, more, second)
    assert len(catalogue.models()) == 2
    assert len(catalogue.features(catalogue.models()[0]).photos) == 6
    assert encode_photos(catalogue, ANNA, first) == 3  # only those that it lacks
    check_features(catalogue, first)
    undo(catalogue, ANNA)
    check_features(catalogue, second)
    assert_clean(catalogue)


def test_rows_are_not_used_again_after_an_undo(tmp_path):
    """A memory map of a reader stays true, and the undo can be undone."""
    catalogue, encoder = make(tmp_path), Encoder()
    add_photos(catalogue, ANNA, photos(tmp_path / 'p', ['Kito'], 2), encoder)
    features = catalogue.features()
    kept = np.array(features.matrix)
    undo(catalogue, ANNA)
    add_photos(catalogue, ANNA, photos(tmp_path / 'q', ['Asha'], 2), encoder)
    assert (features.matrix == kept).all()
    assert catalogue.model().rows == 10
    assert catalogue.features().owner.tolist() == [0, 1, 2, 3, 4, 5, -1, -1, 6, 7]
    undo(catalogue, ANNA)
    undo(catalogue, ANNA, 4)
    check_features(catalogue, encoder)
    assert_clean(catalogue)


def test_photos_before_the_first_model(tmp_path):
    catalogue = make(tmp_path, ())
    done = add_photos(catalogue, ANNA, photos(tmp_path / 'p', ['Nala']), None)
    assert (done.photos, done.features) == (3, 0) and catalogue.model() is None
    with pytest.raises(InputError, match='has no features yet; compute them'):
        catalogue.features()
    encoder = Encoder()
    (tmp_path / 'p').rename(tmp_path / 'moved')  # features are made from where photos are now
    there = [NewPhoto(str(path)) for path in sorted((tmp_path / 'moved').iterdir())]
    zuri = photos(tmp_path / 'p', ['Zuri'], 1).photos
    done = add_photos(catalogue, ANNA, new(*there, *zuri), encoder)
    assert (done.photos, done.completed, done.features) == (1, 3, 4)
    check_features(catalogue, encoder)
    (tmp_path / 'e').mkdir()
    with pytest.raises(InputError, match='there are no photos yet'):
        encode_photos(make(tmp_path / 'e', ()), ANNA, encoder)


def test_photos_that_are_gone(tmp_path):
    catalogue = make(tmp_path)
    shutil.rmtree(tmp_path / 'photos')
    gone = 'has 6 photos without features of this model whose file is missing .*add such'
    with pytest.raises(InputError, match=gone):
        encode_photos(catalogue, ANNA, Encoder('b'))
    assert_clean(catalogue)


def test_features_are_made_again(tmp_path):
    catalogue, encoder = make(tmp_path), Encoder()
    catalogue.path_of(catalogue.model()).write_bytes(b'damaged')
    assert encode_photos(catalogue, ANNA, encoder, again=True) == 6
    check_features(catalogue, encoder)
    add_photos(catalogue, ANNA, photos(tmp_path / 'p', ['Kito']), encoder)
    check_features(catalogue, encoder)
    assert len(catalogue.models()) == 2
    assert_clean(catalogue)  # the damaged file does not matter any more


def test_features_made_again_are_undone(tmp_path):
    """The damaged features are back; making them anew is possible, and nothing else."""
    catalogue, encoder = make(tmp_path), Encoder()
    damaged = catalogue.path_of(catalogue.model())
    encode_photos(catalogue, ANNA, encoder, again=True)
    undo(catalogue, ANNA)
    assert catalogue.path_of(catalogue.model()) == damaged
    notes = verify(catalogue).notes  # of the features that were made again, no photo uses any
    assert [note.partition(': ')[2] for note in notes] == ['6 rows that no photo uses']
    with pytest.raises(InputError, match='--again, which was undone; recompute them'):
        add_photos(catalogue, ANNA, photos(tmp_path / 'p', ['Kito']), encoder)
    assert encode_photos(catalogue, ANNA, encoder) == 6
    check_features(catalogue, encoder)
    assert_clean(catalogue)


def test_two_programs_add_at_once(tmp_path):
    """One adds while the other computes features; both photos' sets are there."""
    catalogue = make(tmp_path)
    other = open_catalogue(catalogue.folder)

    class Slow(Encoder):
        def __call__(self, *arguments):
            add_photos(other, ANNA, photos(tmp_path / 'p', ['Kito', 'Asha'], 2), Encoder())
            decide(other, ANNA, [Answer(1, 'known', 'Zuri')])
            return super().__call__(*arguments)

    own = photos(tmp_path / 'q', ['Simba', 'Asha'], 2)
    both = [*own.photos, *photos(tmp_path / 'p', ['Kito'], 2).photos]  # the other adds these too
    done = add_photos(catalogue, ANNA, new(*both), Slow())
    assert (done.photos, done.known, done.features) == (4, 2, 4)
    assert done.individuals == ['Simba']  # Asha was added by the other
    assert {each.name: each.photos for each in catalogue.individuals()} == {
        'Asha': 4,
        'Kito': 2,
        'Nala': 2,
        'Simba': 2,
        'Zuri': 4,
    }
    check_features(catalogue, Encoder())
    assert_clean(catalogue)


def test_another_program_changes_the_model(tmp_path):
    catalogue = make(tmp_path)

    class Slow(Encoder):
        def __call__(self, *arguments):
            encode_photos(open_catalogue(catalogue.folder), ANNA, Encoder('b'))
            return super().__call__(*arguments)

    with pytest.raises(InputError, match="its model_sha256 is 'b', here it is 'a'"):
        add_photos(catalogue, ANNA, photos(tmp_path / 'q', ['Simba']), Slow())
    assert len(catalogue.photos()) == 6
    assert_clean(catalogue)


def test_a_full_disk_changes_nothing(tmp_path, monkeypatch):
    catalogue = make(tmp_path)
    before = content(catalogue)

    def full(handle):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('wildlife.catalogue.vectors.os.fsync', full)
    with pytest.raises(InputError, match='No space left on device; make space there'):
        add_photos(catalogue, ANNA, photos(tmp_path / 'q', ['Simba']), Encoder())
    monkeypatch.undo()
    assert content(catalogue) == before
    add_photos(catalogue, ANNA, photos(tmp_path / 'r', ['Kito']), Encoder())
    check_features(catalogue, Encoder())
    assert_clean(catalogue)
