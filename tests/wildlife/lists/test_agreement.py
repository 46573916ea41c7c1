"""wildlife/lists/agreement.py, by whole runs of make_lists and by its functions."""

import json
from collections import Counter

import pytest

from datasets import photos
from tests.wildlife.lists.samples import (
    copy_of,
    fails,
    lists,
    photo_rows,
    run,
    save,
    table_rows,
    write_csv,
    write_folder,
)
from tools import check_data


def test_names_that_are_nearly_the_same_are_told(tmp_path):
    rows = table_rows(tmp_path)
    names = iter(['Zo\u00e9', 'Zoe\u0301', 'Ann  1', 'ann_1', '7', '7.0', '07', '70'])
    for row in rows[::6]:
        row['identity'] = next(names)
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    note = next(note for note in facts['notes'] if 'count as different individuals' in note)
    assert (
        note.partition('individuals: ')[2] == '07 / 7 / 7.0, Ann  1 / ann_1, Zoe\u0301 / Zo\u00e9'
    )


def test_one_individual_alone_names_its_column(tmp_path):
    images, annotations = [], []
    for number in range(8):
        save(tmp_path / f'{number}.png')
        images.append({'id': number, 'file_name': f'{number}.png'})
        annotations.append({'image_id': number, 'category_id': 1, 'zebra': f'z{number // 4}'})
    tree = {
        'images': images,
        'annotations': annotations,
        'categories': [{'id': 1, 'name': 'zebra'}],
    }
    (tmp_path / 'm.json').write_text(json.dumps(tree))
    for protocol in ('disjoint', 'closed'):
        message = fails(tmp_path / 'm.json', tmp_path / 'out', '--protocol', protocol)
        assert "8 photos, all of one individual, 'zebra' (read from category)" in message
        assert '--column identity=' in message and 'not used: zebra' in message
    run(tmp_path / 'm.json', tmp_path / 'out', '--column', 'identity=zebra', '--protocol', 'closed')


@pytest.mark.parametrize('options', [(), ('--protocol', 'closed')])
def test_copies_of_a_photo_count_once(tmp_path, capsys, options):
    """As file managers name them; the original is the one that stays. check_data finds nothing
    wrong with the lists.
    """
    source = write_folder(tmp_path / 'species')
    for individual in range(8):
        for name in ('0 (1).png', 'copies/Copy of 0.png'):
            copy_of(source / f'a{individual:02d}' / '0.png', name)
    facts = run(source, tmp_path / 'out', *options, '--identity-level', '1')
    assert facts['left_out'] == {'copy of another photo, byte for byte': 16}
    assert (
        '16 photos with the same bytes as another photo; each counts once: '
        "'a00/0 (1).png' = 'a00/0.png', " in capsys.readouterr().out
    )
    listed = {record.path for records in lists(tmp_path / 'out').values() for record in records}
    assert listed == {
        f'a{individual:02d}/{number}.png' for individual in range(8) for number in range(4)
    }
    assert (
        Counter(row['left_out'] for row in photo_rows(tmp_path / 'out'))[
            'copy of another photo, byte for byte'
        ]
        == 16
    )
    report = check_data.main(
        [
            '--config_file',
            str(tmp_path / 'out/cnn_clipreid.yml'),
            '--out',
            str(tmp_path / 'check'),
            '--near',
            '0',
        ]
    )
    assert report['fit'], report['findings']


def test_two_individuals_that_claim_one_photo(tmp_path):
    """Nobody knows whose it is, so neither has it."""
    source = write_folder(tmp_path / 'species')
    copy_of(source / 'a03/1.png', '../a05/IMG (1).png')
    message = fails(source, tmp_path / 'out')
    for words in (
        'a05/IMG (1).png (the same bytes as a03/1.png) and a03/1.png',
        '(a03, a05)',
        'photo of two individuals',
        '--skip-bad',
    ):
        assert words in message
    facts = run(source, tmp_path / 'skip', '--skip-bad')
    assert facts['left_out'] == {'photo of two individuals, but no boxes show which is which': 2}
    listed = {record.path for records in lists(tmp_path / 'skip').values() for record in records}
    assert len(listed) == 31 and not listed & {'a03/1.png', 'a05/IMG (1).png'}


def test_empty_files_are_no_copies_of_each_other(tmp_path):
    source = write_folder(tmp_path / 'species')
    for individual in ('a03', 'a05'):
        (source / individual / 'x.png').write_bytes(b'')
    assert 'a03/x.png: the photo is an empty file' in fails(source, tmp_path / 'out')
    assert run(source, tmp_path / 'skip', '--skip-bad')['left_out'] == {'broken photo': 2}


def test_boxes_of_copies_are_boxes_of_one_photo(tmp_path):
    """What rows of two copies say alike counts once; another animal on the copy is an animal of the
    photo.
    """
    rows = [row | {'bbox': '[1, 1, 9, 9]'} for row in table_rows(tmp_path)]
    for number in (0, 1):
        copy = copy_of(tmp_path / rows[number]['path'], f'again {number}.png')
        rows.append(rows[number] | {'path': f'photos/{copy.name}'})
    rows[-1] |= {'identity': 'ind 7', 'bbox': '[5, 5, 9, 9]'}
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert facts['left_out'] == {'copy of another photo, byte for byte': 1}
    assert {
        row['listed'] for row in photo_rows(tmp_path / 'out') if row['source'] == rows[1]['path']
    } == {'photos/0_0_1__0_0_11_11.png', 'photos/0_0_1__4_4_11_11.png'}


def test_only_files_of_equal_size_are_read_for_copies(tmp_path, monkeypatch):
    source, read = write_folder(tmp_path / 'species', photos=2), []
    for number, path in enumerate(sorted(source.rglob('*.png'))):
        path.write_bytes(path.read_bytes() + bytes(number))
    monkeypatch.setattr(photos, '_digest', lambda path, length=-1: read.append(path))
    run(source, tmp_path / 'out')
    assert not read


def test_rows_that_contradict(tmp_path):
    rows = table_rows(tmp_path)
    both = [*rows, rows[0]]
    assert run(write_csv(tmp_path / 'm.csv', both), tmp_path / 'same')['left_out'] == {
        'row that repeats another': 1
    }
    both[-1] = rows[0] | {'identity': 'another'}
    message = fails(write_csv(tmp_path / 'm.csv', both), tmp_path / 'out')
    assert 'm.csv:2' in message and 'm.csv:50' in message and 'photo of two individuals' in message
    facts = run(tmp_path / 'm.csv', tmp_path / 'skip', '--skip-bad')
    assert list(facts['left_out'].values()) == [2]
    both[-1] = rows[0] | {'side': 'right'}
    assert 'two rows that contradict' in fails(
        write_csv(tmp_path / 'm.csv', both), tmp_path / 'out'
    )
    boxed = [row | {'bbox': '[1, 1, 9, 9]'} for row in both]
    boxed[-1] |= {'identity': 'another'}
    assert 'the same box' in fails(write_csv(tmp_path / 'm.csv', boxed), tmp_path / 'out')
    boxed[-1] |= {'identity': boxed[0]['identity'], 'bbox': '[2, 2, 9, 9]'}
    assert 'the same individual in two boxes' in fails(
        write_csv(tmp_path / 'm.csv', boxed), tmp_path / 'out'
    )
