"""wildlife/lists/table_source.py, by whole runs of make_lists and by its functions."""

import random

from tests.wildlife.lists.samples import fails, lists, photo_rows, run, save, table_rows, write_csv


def test_csv_of_wildlife_datasets(tmp_path):
    rows = table_rows(tmp_path)
    for number, row in enumerate(rows):
        row['orientation'] = row.pop('side')
        row['image_id'] = number
        row['original_split'] = 'train'
        row['date'] = '2021-05-01'
    rows.append(
        rows[0] | {'identity': 'unknown', 'path': rows[-1]['path'].replace('.png', 'x.png')}
    )
    rows.append(rows[0] | {'identity': '____', 'path': rows[-1]['path']})
    save(tmp_path / rows[-1]['path'])
    facts = run(write_csv(tmp_path / 'metadata.csv', rows), tmp_path / 'out')
    assert facts['source']['columns'] == {
        'identity': 'identity',
        'path': 'path',
        'side': 'orientation',
        'date': 'date',
        'encounter': 'encounter',
        'split': 'original_split',
    }
    assert facts['source']['unused_columns'] == ['image_id']
    assert facts['left_out'] == {"unidentified ('unknown')": 1, "unidentified ('____')": 1}
    assert any('the splits of the source' in note for note in facts['notes'])
    made = lists(tmp_path / 'out')
    assert facts['protocol']['test'] == 'cross-encounter'
    for record in made['train'] + made['query']:
        assert record.side == int(record.path[-5]) % 2
    numbers = {
        record.path.rpartition('_')[0]: record.encounter
        for record in made['train'] + made['val'] + made['query']
    }
    assert len(set(numbers.values())) == len(numbers) == 24


def test_words_for_unknown_in_every_column(tmp_path):
    """R writes NA where nothing is known."""
    rows = table_rows(
        tmp_path, camera='c', date='2020-05-01', bbox='[1, 1, 9, 9]', split='train', species='nyala'
    )
    for row in rows[:12]:
        row |= dict.fromkeys(
            ('encounter', 'side', 'camera', 'date', 'bbox', 'split', 'species'), 'NA'
        )
    rows[-1]['identity'] = 'NA'
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert facts['left_out'] == {"unidentified ('NA')": 1}
    assert any("names that mean unknown: 'NA' 1" in note for note in facts['notes'])
    assert not any(
        word in note
        for note in facts['notes']
        for word in ('not dates', 'neither left', 'several species')
    )
    made = {row['source']: row for row in photo_rows(tmp_path / 'out')}
    for row in rows[:12]:
        assert all(
            made[row['path']][fact] == '' for fact in ('encounter', 'side', 'camera', 'date', 'box')
        )


def test_dates_in_parts_need_all_three(tmp_path):
    rows = []
    for number, row in enumerate(table_rows(tmp_path)):
        rows.append(
            {
                'path': row['path'],
                'identity': row['identity'],
                'year': 2020,
                'month': ('', 'NA', '3.0')[number % 3],
                'day': 7,
                'minute': 5,
                'hour': ('', '9')[number % 2],
            }
        )
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert {row['date'] for row in photo_rows(tmp_path / 'out')} == {
        '',
        '2020-03-07 00:00:00',
        '2020-03-07 09:05:00',
    }
    assert any(note.startswith('date: 32 cells are not dates') for note in facts['notes'])
    for row in rows:
        del row['hour']
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out2')
    assert {row['date'] for row in photo_rows(tmp_path / 'out2')} == {
        '',
        '2020-03-07 00:00:00',
    }  # a minute alone is no time


def test_tables_as_spreadsheets_write_them(tmp_path):
    rows = table_rows(tmp_path)
    lines = [f'{row["path"]};{row["identity"]};{row["encounter"]}' for row in rows]
    lines[3] = lines[3].rpartition(';')[0]  # empty cells at the end are left out
    lines[4] += ';;'
    text = '\r\n'.join(['sep=;', 'path;identity;encounter;note', *lines, ''])
    (tmp_path / 'm.csv').write_text(text, encoding='utf-8-sig', newline='')
    facts = run(tmp_path / 'm.csv', tmp_path / 'out')
    assert facts['source']['photos'] == 48 and facts['source']['individuals'] == 8
    made = {row['source']: row for row in photo_rows(tmp_path / 'out')}
    assert [made[rows[number]['path']]['encounter'] == '' for number in (2, 3, 4)] == [
        False,
        True,
        False,
    ]
    assert made[rows[3]['path']]['row'].endswith(':6')
    both = [
        {'path': row['path'], 'identity': row['identity'], 'Identity': row['identity']}
        for row in rows
    ]
    assert any(
        "not 'Identity'" in note
        for note in run(write_csv(tmp_path / 'm.csv', both), tmp_path / 'same')['notes']
    )
    both[4]['Identity'] = 'x'
    message = fails(write_csv(tmp_path / 'm.csv', both), tmp_path / 'out2')
    assert (
        'm.csv:6' in message and "'identity' and 'Identity' could both be the identity" in message
    )
    numbered = [
        {'path': row['path'], 'identity': row['identity'], 'side': number % 2}
        for number, row in enumerate(rows)
    ]
    facts = run(write_csv(tmp_path / 'm.csv', numbered), tmp_path / 'sides')
    assert facts['splits']['train']['left'] and facts['splits']['train']['right']
    assert any(note.startswith('side: 0 was read as left') for note in facts['notes'])


def test_other_columns_signs_and_folders_by_option(tmp_path):
    rows = [
        {
            'Who': row['identity'],
            'Where': row['path'].removeprefix('photos/'),
            'Trap': 'B',
            'Flank': row['side'][0].upper(),
            'When': '13.05.2021 10:00',
        }
        for row in table_rows(tmp_path)
    ]
    (tmp_path / 'tables').mkdir()
    table = write_csv(tmp_path / 'tables' / 'my.csv', rows, sign=';')
    message = fails(table, tmp_path / 'out')
    assert (
        'no column gives the individual' in message
        and '--column identity=' in message
        and 'Who, Where' in message
    )
    facts = run(
        table,
        tmp_path / 'out',
        '--photos',
        tmp_path / 'photos',
        '--column',
        'identity=Who',
        '--column',
        'path=Where',
        '--column',
        'date=When',
        '--column',
        'camera=Trap',
        '--encounters',
        'own',
    )
    assert facts['splits']['train']['left'] > 0 and facts['splits']['train']['cameras'] == 1
    assert (
        facts['splits']['query']['encounters'] == 2
    )  # own, and all of them on one day at one camera


def test_wildbook_rows_are_encounters_of_several_photos(tmp_path):
    rows = []
    for individual in range(6):
        for encounter in range(3):
            names = [f'{individual}{encounter}{number}.png' for number in range(2)]
            for name in names:
                save(tmp_path / name)
            rows.append(
                {
                    'Encounter.mediaAsset0': names[0],
                    'Encounter.mediaAsset1': names[1],
                    'Encounter.year': 2020,
                    'Encounter.month': 3,
                    'Encounter.day': 1 + encounter,
                    'Encounter.locationID': 'bay',
                    'MarkedIndividual.individualID': f'w{individual}',
                    'Encounter.individualID': f'w{individual}',
                }
            )
    facts = run(write_csv(tmp_path / 'bulk.csv', rows), tmp_path / 'out')
    assert facts['source']['photos'] == 36 and facts['source']['individuals'] == 6
    assert (
        facts['splits']['query']['encounters'] == 6
    )  # of two animals: rows, although the day and place are the others' too
    assert photo_rows(tmp_path / 'out')[0]['date'] == '2020-03-01 00:00:00'
    made = []
    for number in range(2):  # that an encounter is a row makes the rows' order no matter
        run(
            write_csv(tmp_path / 'bulk.csv', rows),
            tmp_path / f'closed{number}',
            '--protocol',
            'closed',
        )
        made.append(
            {path.name: path.read_bytes() for path in (tmp_path / f'closed{number}').glob('*.txt')}
        )
        random.Random(0).shuffle(rows)
    assert made[0] == made[1]
    rows[0]['Encounter.individualID'] = 'w9'
    message = fails(write_csv(tmp_path / 'bulk.csv', rows), tmp_path / 'out2')
    assert (
        'bulk.csv:2' in message
        and 'MarkedIndividual.individualID' in message
        and '--column identity=' in message
    )
