"""Boxes of tables: wildlife/lists/table_source.py and select.py, by whole runs of make_lists."""

import json

import pytest

from tests.wildlife.lists.samples import fails, photo_rows, run, save, table_rows, write_csv


@pytest.mark.parametrize('spread', [False, True])
def test_a_german_spreadsheet(tmp_path, spread):
    rows = []
    for number in range(12):
        save(tmp_path / f'{number}.png', size=(40, 30))
        box = [
            '10,5',
            '5,25',
            '1,250' if number == 3 else '20,0',
            '15,0',
        ]  # the others tell what that comma is
        rows.append(
            {'path': f'{number}.png', 'identity': f'n{number // 3}'}
            | (dict(zip(('x', 'y', 'width', 'height'), box)) if spread else {'bbox': ';'.join(box)})
        )
    message = fails(write_csv(tmp_path / 'm.csv', rows, sign=';'), tmp_path / 'out')
    assert (
        'm.csv:5' in message
        and 'the box [10.5, 5.25, 1.25, 15] has a side of less than 2 pixels' in message
    )
    run(tmp_path / 'm.csv', tmp_path / 'out', '--skip-bad', '--margin', 0)
    assert {row['box'] for row in photo_rows(tmp_path / 'out') if row['listed']} == {
        '10.5 5.25 20 15'
    }


def test_theta_that_is_none_or_without_a_box(tmp_path):
    rows = [
        {'path': row['path'], 'identity': row['identity'], 'bbox': '1 1 9 9', 'theta': '0,25'}
        for row in table_rows(tmp_path)
    ]
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert {row['box'] for row in photo_rows(tmp_path / 'out')} == {'1 1 9 9 0.25'}
    for text, said in (
        ('45', 'is not an angle in radians'),
        ('north', 'is not an angle in radians'),
        ('inf', 'is not an angle'),
    ):
        rows[3]['theta'] = text
        message = fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'none', '--skip-bad')
        assert 'm.csv:5' in message and said in message and '--column theta=' in message
    rows[3] |= {'theta': '-1', 'bbox': ''}
    assert 'm.csv:5: theta -1 turns a box, but the row has no box' in fails(
        write_csv(tmp_path / 'm.csv', rows), tmp_path / 'none'
    )
    rows[3] |= {'theta': 'NA'}
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'na')
    rows = [row | {'rotation': 12.5} for row in rows]
    for row in rows:
        del row['theta']
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'degrees')
    assert any("column 'rotation' ('12.5' 48) was not read" in note for note in facts['notes'])


def test_columns_of_corners_and_shares(tmp_path):
    rows = []
    for number in range(12):
        save(tmp_path / f'{number}.png', size=(40, 20))
        rows.append(
            {
                'file': f'{number}.png',
                'name': f'n{number // 3}',
                'xmin': 0.25,
                'ymin': 0.5,
                'xmax': 0.75,
                'ymax': 1,
            }
        )
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out', '--margin', 0)
    made = sorted((tmp_path / 'out' / 'photos').glob('*.png'))
    assert len(made) == 12 and all(path.name.endswith('__10_10_20_10.png') for path in made)


def test_shares_that_reach_a_hair_beyond_the_photo(tmp_path):
    rows, images, annotations = [], [], []
    for number in range(12):
        save(tmp_path / f'{number}.png', size=(40, 20))
        box = [0.25, -0.002, 0.5, 1.0001] if number == 5 else [0.25, 0.5, 0.5, 0.5]
        rows.append({'path': f'{number}.png', 'identity': f'n{number // 3}', 'bbox': box})
        images.append({'id': number, 'file_name': f'{number}.png'})
        annotations.append({'image_id': number, 'individual': f'n{number // 3}', 'bbox': box})
    write_csv(tmp_path / 'm.csv', rows)
    (tmp_path / 'm.json').write_text(json.dumps({'images': images, 'annotations': annotations}))
    for table in ('m.csv', 'm.json'):
        facts = run(tmp_path / table, tmp_path / f'{table}.out', '--margin', 0)
        made = {path.name for path in (tmp_path / f'{table}.out' / 'photos').glob('*.png')}
        assert made == {
            f'{number}__10_0_20_20.png' if number == 5 else f'{number}__10_10_20_10.png'
            for number in range(12)
        }
        assert not any('outside the photo' in note for note in facts['notes'])


def test_boxes_that_are_corners(tmp_path):
    rows = []
    for number in range(12):
        save(tmp_path / f'{number}.png', size=(40, 20))
        rows.append(
            {'path': f'{number}.png', 'identity': f'n{number // 3}', 'bbox': '[20, 5, 40, 15]'}
        )
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert any('12 of 12 boxes' in note and '--box-format xyxy' in note for note in facts['notes'])
    facts = run(tmp_path / 'm.csv', tmp_path / 'out2', '--box-format', 'xyxy', '--margin', 0)
    assert not any('beyond' in note for note in facts['notes'])
    assert {
        path.name.partition('__')[2] for path in (tmp_path / 'out2' / 'photos').glob('*.png')
    } == {'20_5_20_10.png'}
    rows = [
        {'path': row['path'], 'identity': row['identity'], 'x1': 1, 'y1': 2, 'x2': 30, 'y2': 18}
        for row in rows
    ]
    run(
        write_csv(tmp_path / 'n.csv', rows),
        tmp_path / 'out3',
        '--box-format',
        'xywh',
        '--margin',
        0,
    )
    assert {
        path.name.partition('__')[2] for path in (tmp_path / 'out3' / 'photos').glob('*.png')
    } == {'1_2_30_18.png'}


def test_impossible_boxes(tmp_path):
    rows = []
    for number in range(12):
        save(tmp_path / f'{number}.png')
        rows.append(
            {'path': f'{number}.png', 'identity': f'n{number // 3}', 'bbox': '[0, 0, 20, 10]'}
        )
    for box, reason in (
        ('[24, 0, 5, 5]', 'outside the photo of 24 x 16'),
        ('[5, 5, 0, 4]', 'has no area'),
        ('[-9, 2, 9, 3]', 'outside'),
        ('[3, 3, 0.5, 0.5]', 'less than 2 pixels'),
        ('[3, 3, 9]', 'four numbers'),
    ):
        rows[4]['bbox'] = box
        message = fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
        assert 'm.csv:6' in message and reason in message and '--skip-bad' in message
        assert not (tmp_path / 'out').exists()
    assert run(tmp_path / 'm.csv', tmp_path / 'out', '--skip-bad')['left_out'] == {
        'impossible box': 1
    }
