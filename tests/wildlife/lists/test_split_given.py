"""wildlife/lists/split_given.py, by whole runs of make_lists and by its functions."""

from tests.wildlife.lists.samples import fails, lists, run, table_rows, write_csv


def test_split_by_date(tmp_path):
    rows = []
    for row in table_rows(tmp_path, encounters=4):
        individual, encounter = row['encounter'].split('.')
        if individual != '7' or encounter == '3':
            rows.append(row | {'date': f'202{encounter}-06-01'})
    rows[-1]['date'] = ''  # its encounter began in 2023
    rows[-3]['date'] = '2022-12-31'  # and the other photo of its encounter is of 2023
    rows[0] |= {'date': '', 'encounter': ''}
    table = write_csv(tmp_path / 'm.csv', rows)
    facts = run(table, tmp_path / 'out', '--split-date', '2023-01-01', '--val-share', 0)
    made = lists(tmp_path / 'out')
    assert facts['protocol']['split'] == 'date' and 'val' not in made
    assert {record.path for record in made['query']} == {
        f'photos/{animal}_3_{number}.png' for animal in range(6) for number in (0, 1)
    }
    assert made['gallery'] == made['train'] and len(made['train']) == 7 * 6 - 1 + 2
    assert facts['left_out'] == {
        'individual first seen on or after 2023-01-01': 2,
        'without date': 1,
    }
    message = fails(table, tmp_path / 'out2', '--split-date', '2030-01-01')
    assert 'choose a date between 2020-06-01 and 2023-06-01' in message
    assert 'is not a date' in fails(table, tmp_path / 'out2', '--split-date', '1.1.2023')
    assert 'contradict' in fails(
        table, tmp_path / 'out2', '--split-date', '2023-01-01', '--protocol', 'closed'
    )
    assert 'needs a date' in fails(table, tmp_path / 'out2', '--protocol', 'date')
    plain = write_csv(
        tmp_path / 'n.csv', [{'path': row['path'], 'identity': row['identity']} for row in rows]
    )
    assert 'no photo has a date' in fails(plain, tmp_path / 'out2', '--split-date', '2023-01-01')


def test_given_splits(tmp_path):
    rows = table_rows(tmp_path, encounters=4)
    for row in rows:
        row['split'] = ('train', 'train', 'val', 'test')[int(row['encounter'][-1])]
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'closed', '--protocol', 'given')
    made = lists(tmp_path / 'closed')
    assert facts['labels']['train'] == facts['labels']['test']
    assert {
        name: {record.path.split('_')[1] for record in split} for name, split in made.items()
    } == {'train': {'0', '1'}, 'val': {'2'}, 'query': {'3'}, 'gallery': {'0', '1', '2'}}

    for row in rows:
        row['split'] = (
            ('query' if row['encounter'].endswith('0') else 'gallery')
            if row['identity'] > 'ind 5'
            else 'Training'
        )
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'apart', '--protocol', 'given')
    made = lists(tmp_path / 'apart')
    assert (
        len(made['query']) == 4
        and len(made['gallery']) == 12
        and len(made['train']) + len(made['val']) == 48
    )

    rows[0]['split'] = (
        # one animal of the train list: the labels are that list's, and others are numbered on
        'gallery'
    )
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'mixed', '--protocol', 'given')
    assert facts['labels']['test'] == [f'ind {number}' for number in range(8)]
    assert {record.pid for record in lists(tmp_path / 'mixed')['gallery']} == {0, 6, 7}

    rows[0]['split'] = 'holdout'
    table = write_csv(tmp_path / 'm.csv', rows)
    assert "m.csv:2: the split 'holdout' is not one of train" in fails(
        table, tmp_path / 'bad', '--protocol', 'given'
    )
    run(table, tmp_path / 'other', '--protocol', 'disjoint')  # is not looked at
    write_csv(tmp_path / 'm.csv', [row | {'split': 'train'} for row in rows])
    assert 'the source has train 64' in fails(
        tmp_path / 'm.csv', tmp_path / 'bad', '--protocol', 'given'
    )
