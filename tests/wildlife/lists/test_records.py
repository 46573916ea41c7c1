"""wildlife/lists/records.py, by whole runs of make_lists and by its functions."""

import pytest

from configs import load_cfg
from datasets.make_dataloader_clipreid import make_dataloader, make_test_dataloader
from tests.wildlife.lists.samples import fails, lists, run, table_rows, write_csv, write_folder
from utils.metrics import count_positives


def test_cameras_are_numbered_and_unknown_ones_are_zero(tmp_path):
    rows = [row | {'camera': f'c{number % 2}'} for number, row in enumerate(table_rows(tmp_path))]
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert {record.camid for record in lists(tmp_path / 'out')['train']} == {0, 1}
    rows[0]['camera'] = ''
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out2')
    made = lists(tmp_path / 'out2')
    cameras = {record.path: record.camid for split in made.values() for record in split}
    assert cameras.pop(rows[0]['path']) == 0 and set(cameras.values()) == {1, 2}
    lines = [
        line.split()
        for path in (tmp_path / 'out2').glob('*.txt')
        for line in path.read_text().splitlines()
    ]
    assert {line[3] for line in lines if line[0] == rows[0]['path']} == {'-'}


def test_across_cameras(tmp_path):
    rows = [row | {'camera': f'c{number % 2}'} for number, row in enumerate(table_rows(tmp_path))]
    facts = run(
        write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out', '--test-protocol', 'cross-camera'
    )
    assert (
        facts['protocol']['test'] == 'cross-camera'
        and facts['protocol']['queries_with_positive']['cross-camera'] > 0
    )
    test = make_test_dataloader(
        load_cfg(tmp_path / 'out' / 'cnn_clipreid.yml', ['DATALOADER.NUM_WORKERS', '0'])
    )
    found = count_positives(test.query, test.gallery, test.protocol)
    assert (found > 0).sum() == facts['protocol']['queries_with_positive']['cross-camera']
    for row in rows:
        row['camera'] = 'c0'
    assert 'do not tell two cameras apart' in fails(
        write_csv(tmp_path / 'm.csv', rows), tmp_path / 'other', '--test-protocol', 'cross-camera'
    )


def test_validation_of_animals_does_not_look_at_cameras(tmp_path):
    rows = [row | {'camera': row['identity']} for row in table_rows(tmp_path, encounters=4)]
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    loaders = make_dataloader(
        load_cfg(tmp_path / 'out' / 'cnn_clipreid.yml', ['DATALOADER.NUM_WORKERS', '0'])
    )
    assert loaders.validation.protocol.ignore == '' and loaders.camera_num > 1


def test_a_test_without_any_right_answer_says_what_would_work(tmp_path):
    rows = table_rows(tmp_path, encounters=1, photos=4)
    table = write_csv(tmp_path / 'm.csv', rows)
    message = fails(table, tmp_path / 'out', '--test-protocol', 'cross-encounter')
    assert "none of 8 queries has a match in the gallery under 'cross-encounter'" in message
    assert 'choose another --test-protocol (queries with a match: all 8, cross-side 8)' in message
    facts = run(table, tmp_path / 'out')
    assert facts['protocol']['test'] == 'all' and any(
        'in another encounter, so photos' in note for note in facts['notes']
    )
    assert facts['protocol']['queries_with_positive'] == {
        'all': 8,
        'cross-encounter': 0,
        'cross-camera': 0,
        'cross-side': 8,
    }


@pytest.mark.parametrize('fact', ['encounter', 'camera', 'side'])
def test_a_test_across_what_nobody_knows_is_refused(tmp_path, fact):
    message = fails(
        write_folder(tmp_path / 's'), tmp_path / 'out', '--test-protocol', f'cross-{fact}'
    )
    assert (
        f'--test-protocol cross-{fact}: ' in message and f'do not tell two {fact}s apart' in message
    )
    assert '--name-pattern' in message
    assert not (tmp_path / 'out').exists()
