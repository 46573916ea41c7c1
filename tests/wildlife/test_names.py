"""Names of individuals: from photos.csv, else from their labels."""

import pytest

from datasets.records import NOBODY, Record
from wildlife.names import names_of_labels

RECORDS = [Record('photos/a/1.png', 3), Record('photos/a/2.png', 3), Record('photos/b/1.png', 5)]


def names(folder, kind='animals', records=RECORDS):
    config = {'DATASETS.NAMES': kind, 'DATASETS.LIST_DIR': str(folder)}
    return names_of_labels(records, config | {'DATASETS.TEST_ROOT_DIR': 'photos'})


@pytest.mark.parametrize(
    ('rows', 'expected'),
    [
        ('a/2.png,Nala\nb/1.png,Kovu\n', {3: 'Nala', 5: 'Kovu'}),
        ('a/1.png,Nala\n', {3: 'Nala', 5: 'individual 5'}),
        ('a/2.png,Nala\n,Kovu\n', {3: 'Nala', 5: 'individual 5'}),
        ('a/2.png,Nala\nb/1.png,Nala\n', {3: 'Nala (label 3)', 5: 'Nala (label 5)'}),
    ],
)
def test_names_of_photos_csv(tmp_path, rows, expected):
    (tmp_path / 'photos.csv').write_text(f'listed,identity\n{rows}')
    assert names(tmp_path) == expected
    assert names(tmp_path, 'veri') == {3: 'individual 3', 5: 'individual 5'}


def test_a_photos_csv_of_others_is_reported(tmp_path, caplog):
    (tmp_path / 'photos.csv').write_text('path\na/1.png\n')
    with caplog.at_level('WARNING', 'transreid'):
        assert names(tmp_path) == {3: 'individual 3', 5: 'individual 5'}
    assert 'called by their labels' in caplog.text and 'photos.csv' in caplog.text


def test_distractors_have_no_name(tmp_path):
    found = names(tmp_path, records=[*RECORDS, Record('photos/c.png', NOBODY)])
    assert found[NOBODY] == 'none of the individuals'
