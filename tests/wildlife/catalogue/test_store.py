"""wildlife/catalogue/create.py, store.py, database.py."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from tests.wildlife.catalogue.worlds import ANNA, Encoder, assert_clean, check_features, make
from utils.errors import InputError
from wildlife.catalogue import database
from wildlife.catalogue.calibrations import save_calibration
from wildlife.catalogue.create import check_new_folder, create_catalogue, making
from wildlife.catalogue.database import FILE
from wildlife.catalogue.store import open_catalogue


def test_what_is_written_is_read(tmp_path):
    catalogue, encoder = make(tmp_path), Encoder()
    assert catalogue.settings() == {
        'format': '1',
        'margin': '0.05',
        'species': 'lion',
        'model': '1',
    }
    nala, zuri = catalogue.individuals()
    assert (nala.name, nala.photos, nala.encounters, nala.first_seen) == ('Nala', 3, 0, None)
    assert zuri.name == 'Zuri' and catalogue.individual('Zuri') == zuri
    assert [photo.individual for photo in catalogue.photos()] == ['Nala'] * 3 + ['Zuri'] * 3
    assert catalogue.model().length == 8 and catalogue.model().rows == 6
    check_features(catalogue, encoder)
    assert [entry.action for entry in catalogue.journal()] == [
        'create',
        'add 6 photos from a folder',
    ]
    assert {decision.note for decision in catalogue.decisions()} == {'from a folder'}
    assert_clean(catalogue)


def test_features_are_a_memory_map_that_changes_no_file(tmp_path):
    catalogue = make(tmp_path)
    features = catalogue.features()
    assert isinstance(features.matrix, np.memmap) and features.matrix.flags.writeable
    path, shown = catalogue.path_of(catalogue.model()), catalogue.photos()
    before = path.read_bytes()
    features.matrix[:] = 0
    assert path.read_bytes() == before
    assert np.load(path).shape == (6, 8)  # any program can read it
    chosen = [shown[4], shown[0]]
    assert (catalogue.features().of(chosen) == np.load(path)[[4, 0]]).all()
    assert type(catalogue.features().of(chosen)) is np.ndarray


def test_photos_without_features_are_named(tmp_path):
    catalogue = make(tmp_path)
    (tmp_path / 'b').mkdir()
    others = make(tmp_path / 'b', ['Simba', 'Kito', 'Amani'])
    with pytest.raises(InputError, match='^1 photo without features of this model, such as'):
        catalogue.features().of(others.photos()[-1:])


def test_a_calibration_belongs_to_its_model(tmp_path):
    catalogue = make(tmp_path)
    assert catalogue.calibration() is None
    for number in (1, 2):
        save_calibration(catalogue, ANNA, {'number': number, 'curve': [0.5, 1]})
    found = catalogue.calibration()
    assert found.content == {'number': 2, 'curve': [0.5, 1]} and found.by == 'anna'
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='a calibration needs a model'):
        save_calibration(make(tmp_path / 'empty', ()), ANNA, {})


def test_folders_that_cannot_become_a_catalogue(tmp_path, monkeypatch):
    catalogue = make(tmp_path)
    with pytest.raises(InputError, match='is a catalogue already; add photos to it'):
        check_new_folder(catalogue.folder)
    with pytest.raises(InputError, match=r'is not empty \(it has c\)|\(it has photos\)'):
        check_new_folder(tmp_path)
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match='is a file; name a new folder'):
        check_new_folder(tmp_path / 'file')
    (tmp_path / 'empty').mkdir()
    monkeypatch.chdir(tmp_path / 'empty')
    with pytest.raises(InputError, match='name a new folder for the catalogue, such as'):
        check_new_folder(Path('.'))


def test_a_failed_making_leaves_nothing_but_parts(tmp_path):
    with pytest.raises(InputError, match='no'), making(tmp_path / 'c') as folder:
        folder.mkdir()
        create_catalogue(folder, ANNA, '', 0.1)
        raise InputError('no')
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError), making(tmp_path / 'c') as folder:
        (folder / 'features').mkdir(parents=True)
        (folder / 'features' / 'x.part').touch()
        raise InputError('no')
    assert (tmp_path / 'c.new' / 'features' / 'x.part').is_file()
    with making(tmp_path / 'c') as folder:
        create_catalogue(folder, ANNA, '', 0.1)
    assert open_catalogue(tmp_path / 'c').settings()['margin'] == '0.1'
    assert [path.name for path in tmp_path.iterdir()] == ['c']


def test_what_is_no_catalogue(tmp_path):
    with pytest.raises(InputError, match='there is no catalogue .* create'):
        open_catalogue(tmp_path)
    file = tmp_path / FILE
    file.touch()
    with pytest.raises(InputError, match='is empty or was made by another program'):
        open_catalogue(tmp_path)
    with sqlite3.connect(file) as other:
        other.execute('CREATE TABLE tracks (id)')
    with pytest.raises(InputError, match='was made by another program; restore a backup'):
        open_catalogue(tmp_path)
    file.write_bytes(b'no database at all ' * 100)
    with pytest.raises(InputError, match='not a catalogue, or it is damaged; restore a backup'):
        open_catalogue(tmp_path)


def test_another_format(tmp_path):
    catalogue = make(tmp_path, ())
    with sqlite3.connect(catalogue.folder / FILE) as file:
        file.execute("UPDATE settings SET value = '7' WHERE name = 'format'")
    with pytest.raises(InputError, match="has format '7', but this version reads format 1"):
        open_catalogue(catalogue.folder)


def test_a_locked_catalogue(tmp_path):
    folder = make(tmp_path).folder
    other = sqlite3.connect(folder / FILE, isolation_level=None)
    other.execute('BEGIN EXCLUSIVE')
    with pytest.raises(InputError, match='another program is writing to it; try again'):
        open_catalogue(folder, wait=0.01)
    other.rollback()
    assert open_catalogue(folder, wait=0.01).photos()


def test_a_catalogue_that_can_only_be_read(tmp_path, monkeypatch):
    catalogue = make(tmp_path)
    with sqlite3.connect(catalogue.folder / FILE) as file:
        file.execute('PRAGMA user_version = 1')  # the file itself is fine

    def read_only(connection, _):
        connection.isolation_level = None
        connection.execute('PRAGMA query_only = ON')

    monkeypatch.setattr(database, '_set_up', read_only)
    again = open_catalogue(catalogue.folder)
    assert len(again.photos()) == 6
    with pytest.raises(InputError, match='it is read-only; change the permissions'):
        save_calibration(again, ANNA, {})


def test_a_damaged_file_of_features(tmp_path):
    catalogue = make(tmp_path)
    path = catalogue.path_of(catalogue.model())
    content = path.read_bytes()
    path.write_bytes(content[:-4])
    with pytest.raises(InputError, match=r'too few for 6 rows\); restore a backup, or recompute'):
        catalogue.features()
    path.unlink()
    with pytest.raises(InputError, match='missing or damaged'):
        catalogue.features()
