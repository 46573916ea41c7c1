"""wildlife/lists/cells.py, by whole runs of make_lists and by its functions."""

import pytest

from utils.errors import InputError
from wildlife.lists.cells import known_text, read_box, read_side, read_sides
from wildlife.lists.dates import read_dates


def test_cells():
    words = ('left', 'R', 'right_side', 'frontleft', 'front', '', 'left/right')
    assert [read_side(text) for text in words] == [0, 1, 1, 0, None, None, None]
    assert read_box('[1, 2, 3, 4]', False, 'x') == read_box('1 2 4 6', True, 'x') == (1, 2, 3, 4)
    assert read_box('', False, 'x') is read_box('nan', False, 'x') is None
    assert read_sides(['0', '1', 'NA', '1.0']) == [0, 1, None, 1]  # as in the lists
    assert (
        read_sides(['0', '1', '90']) == read_sides(['0', '1', 'left'])[:2] + [None] == [None] * 3
    )  # degrees, or who knows
    for nothing in ('', 'NA', 'nan', '<NA>', 'n/a', 'None', 'NULL', '-', '____', 'Unknown'):
        assert (
            known_text(nothing) == ''
            and read_box(f'[{nothing}, {nothing}]', False, 'x') is read_side(nothing) is None
        )
        assert read_dates([nothing]) == ([None], [])
    for text in ('[1, 2, 3]', '[1, 2, 3, inf]', "__import__('os')", '1,2,3,x'):
        with pytest.raises(InputError, match='m.csv:3'):
            read_box(text, False, 'm.csv:3')


@pytest.mark.parametrize(
    ('text', 'box'),
    [
        ('10,5;5,25;30,0;20,0', (10.5, 5.25, 30, 20)),
        ('10,5; 5; 30; 20', (10.5, 5, 30, 20)),
        ('[10,5, 5,25, 30,0, 20,0]', (10.5, 5.25, 30, 20)),
        ('10,5 5 30 20', (10.5, 5, 30, 20)),
        ('0,125;0,25;0,5;0,5', (0.125, 0.25, 0.5, 0.5)),
        ('1,250;10,5;3;4', (1.25, 10.5, 3, 4)),
        ('-0,5;5;30;20', (-0.5, 5, 30, 20)),
        ('1234,5;5;30;20', (1234.5, 5, 30, 20)),
        ('1,2;3,4', (1, 2, 3, 4)),
        ('1.5, 2; 3.25, 4', (1.5, 2, 3.25, 4)),
        ('1,2,3,4', (1, 2, 3, 4)),
    ],
)
def test_boxes_with_decimal_commas(text, box):
    assert read_box(text, False, 'x') == box


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        (
            '10,5,5,25,30,0,20,0',
            'has 8 numbers, or uses commas both as decimal marks and between numbers',
        ),
        ('1250;1,100;100;200', '1,100 in the box .* can mean 1100 or 1.100; write'),
        ('1.250,5;10,5;3;4', 'is not four numbers'),
    ],
)
def test_boxes_whose_commas_are_not_clear(text, said):
    with pytest.raises(InputError, match=said):
        read_box(text, False, 'x')
