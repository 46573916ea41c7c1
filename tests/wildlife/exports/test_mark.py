"""MARK, RMark and BaSTA: read back by small parsers of the formats' rules."""

import re
from dataclasses import replace
from datetime import datetime

import pytest

from tests.wildlife.exports.worlds import ROWS, export_world, make_world, read_table
from utils.errors import InputError

# By hand from ROWS: weeks from 1, 8 and 15 May.
WEEKS = {'Nala': '110', "Zuri d'Or, jr": '101', 'Ñandú': '001', '虎': '100'}
NAMES = ['Nala', "Zuri d'Or, jr", 'Ñandú', '虎']


def read_inp(text):
    """Histories of an .inp: comments between /* and */, records of history and frequency that end
    with a semicolon, all histories of one length and none of zeros only.
    """
    records = re.sub(r'/\*.*?\*/', '', text, flags=re.S).split(';')
    assert records.pop().strip() == ''
    found = [record.split() for record in records]
    assert all(re.fullmatch('[01]*1[01]*', history) and int(count) for history, count in found)
    assert len({len(history) for history, _ in found}) == 1
    return [history for history, _ in found]


def test_mark(tmp_path):
    folder, lines = export_world(tmp_path, 'mark', occasions=['week'])
    text = (folder / 'histories.inp').read_text(encoding='utf-8')
    assert text.isascii()
    assert read_inp(text) == list(WEEKS.values())
    assert '/*Zuri.d.Or.jr*/ 101 1;' in text  # convert.inp would keep blanks
    assert [row['name'] for row in read_table(folder / 'identifiers.csv')] == NAMES
    assert read_table(folder / 'occasions.csv')[1] == {
        'occasion': '2',
        'first_day': '2023-05-08',
        'last_day': '2023-05-14',
    }
    assert 'Occasions: 3 weeks, 2023-05-01 to 2023-05-21' in lines
    assert '2 photos skipped: no individual, which MARK needs' in lines
    assert '1 photo skipped: no date, which MARK needs' in lines
    assert '3 names changed to what MARK accepts: see identifiers.csv' in lines
    assert 'Not in MARK: sexes (2 individuals)' in lines


def test_occasions_by_day(tmp_path):
    folder, _ = export_world(tmp_path, 'mark')
    histories = read_inp((folder / 'histories.inp').read_text(encoding='utf-8'))
    days = {name: {row[2] for row in ROWS if row[0] == name} - {0} for name in NAMES}
    assert histories == [''.join('01'[day in days[name]] for day in range(1, 17)) for name in NAMES]


def test_given_occasions_leave_out_what_is_outside(tmp_path):
    dates = ['2023-05-02', '2023-05-04', '2023-05-10']
    folder, lines = export_world(tmp_path, 'mark', occasions=dates)
    assert read_inp((folder / 'histories.inp').read_text(encoding='utf-8')) == ['01', '11']
    assert '5 photos skipped: outside the occasions' in lines
    assert '2 individuals skipped: never seen in the occasions' in lines


def read_rmark(path):
    """Rows of a table for import.chdata: fields without blanks between tabs, ch first."""
    header, *rows = [line.split('\t') for line in path.read_text(encoding='utf-8').splitlines()]
    assert header[:2] == ['ch', 'freq']
    for row in rows:
        assert len(row) == len(header) and all(re.fullmatch(r'\S+', cell) for cell in row)
        assert re.fullmatch('[01]+', row[0]) and row[1] == '1'
    return [dict(zip(header, row)) for row in rows]


def test_rmark(tmp_path):
    folder, lines = export_world(tmp_path, 'rmark', occasions=['week'])
    rows = read_rmark(folder / 'histories.txt')
    assert [row['ch'] for row in rows] == list(WEEKS.values())
    assert [row['sex'] for row in rows] == ['female', 'male', 'unknown', 'unknown']
    assert [row['name'] for row in read_table(folder / 'identifiers.csv')] == NAMES
    assert not any('sexes' in line for line in lines)


def test_rmark_without_sexes_has_two_columns(tmp_path):
    world = make_world()
    world.names = [replace(one, sex='') for one in world.names]
    folder, _ = export_world(tmp_path, 'rmark', world)
    assert (folder / 'histories.txt').read_text(encoding='utf-8').startswith('ch\tfreq\n')


def test_basta(tmp_path):
    world = make_world()
    world.photo_rows[4] = replace(world.photo_rows[4], date=datetime(2020, 12, 31, 23, 59))
    folder, lines = export_world(tmp_path, 'basta', world)
    rows = read_table(folder / 'basta.csv')
    assert list(rows[0]) == ['ID', 'birth', 'death', '2020', '2021', '2022', '2023']
    assert [list(row.values()) for row in rows] == [
        ['Nala', '0', '0', '0', '0', '0', '1'],
        ['Zuri.d.Or.jr', '0', '0', '1', '0', '0', '1'],
        ['Nandu', '0', '0', '0', '0', '0', '1'],
        ['animal', '0', '0', '0', '0', '0', '1'],
    ]
    assert [tuple(row.values()) for row in read_table(folder / 'census.csv')] == [
        ('Nala', '2023-05-01', '2023'),
        ('Nala', '2023-05-09', '2023'),
        ('Zuri.d.Or.jr', '2020-12-31', '2020'),
        ('Zuri.d.Or.jr', '2023-05-01', '2023'),
        ('Nandu', '2023-05-16', '2023'),
        ('animal', '2023-05-03', '2023'),
        ('animal', '2023-05-04', '2023'),
    ]
    assert 'Years of birth and death: unknown (0), since the catalogue has none' in lines


@pytest.mark.parametrize('name', ['mark', 'rmark', 'basta'])
def test_nothing_to_export(tmp_path, name):
    world = make_world([('', 'cam 1', 1, '', {}), ('Nala', 'cam 1', 0, '', {})])
    with pytest.raises(InputError, match=r'none of the 3 photos has that \(no date\)'):
        export_world(tmp_path, name, world)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    'words, message',
    [
        (['month'], "'month' is neither day nor week nor a date"),
        (['day', 'week'], '--occasions day week: write day, or week, or'),
        (['2023-05-01'], 'write day, or week, or two or more dates'),
        (['2023-05-08', '2023-05-01'], 'in ascending order'),
        (['2023-05-01', '2023-05-01'], 'in ascending order'),
        (['2024-01-01', '2024-02-01'], 'none of the photos is in the 1 occasion'),
    ],
)
def test_occasions_that_are_wrong(tmp_path, words, message):
    with pytest.raises(InputError) as error:
        export_world(tmp_path, 'mark', occasions=words)
    assert message in str(error.value)
    assert list(tmp_path.iterdir()) == []
