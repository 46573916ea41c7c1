"""Pictures: where the marks are."""

import numpy as np
from PIL import Image

from utils.plots import (
    GAP,
    MARGIN,
    OTHER,
    PANEL,
    ROW,
    TOP,
    WIDE,
    Bar,
    interval_bars,
    reliability_diagram,
)


def columns_of(picture, row, colour):
    """The columns of a row in which the picture has a colour."""
    rows = picture[TOP + row * ROW : TOP + (row + 1) * ROW]
    return np.flatnonzero((rows == colour).all(axis=2).any(axis=0))


def test_marks_are_at_their_numbers(tmp_path):
    path = tmp_path / 'bars.png'
    bars = [Bar(0), Bar(5, wide=(2.5, 7.5), dots=[4, 6]), None, Bar(10, thin=(9, 10))]
    interval_bars(path, ['a', 'b', 'nothing', 'd'], [('numbers', bars)], 'title')
    with Image.open(path) as image:
        picture = np.asarray(image.convert('RGB'))
    first, middle, nothing, last = (columns_of(picture, row, OTHER) for row in range(4))
    span = PANEL - 2 * GAP
    assert not len(nothing)
    assert abs((last.mean() - first.mean()) - span) <= 1
    assert abs((middle.mean() - first.mean()) - span / 2) <= 1
    wide = columns_of(picture, 1, WIDE)
    assert abs((wide.max() - wide.min()) - span / 2) <= 1


def test_a_single_number_can_be_drawn_and_names_with_line_breaks(tmp_path):
    interval_bars(tmp_path / 'one.png', ['a\nb'], [('x', [Bar(3)]), ('y', [None])], 'two\nlines')
    with Image.open(tmp_path / 'one.png') as image:
        assert 2 * PANEL < image.width < 3 * PANEL


def test_a_long_title_is_not_cut(tmp_path):
    path = tmp_path / 'long.png'
    interval_bars(path, ['a'], [('x', [Bar(3)])], 'Does it help? ' * 20 + '|')
    with Image.open(path) as image:
        ink = np.asarray(image.convert('L'))[:30] < 128
    columns = np.flatnonzero(ink.any(axis=0))
    assert MARGIN // 2 < ink.shape[1] - columns.max() < 2 * MARGIN  # the bar at the end is there


def test_the_picture_of_right_probabilities_is_the_diagonal(tmp_path):
    path = tmp_path / 'r.png'
    values = np.linspace(0, 1, 11)
    reliability_diagram(path, values, values, np.full(11, 5), 'title')
    with Image.open(path) as image:
        red = (np.asarray(image.convert('RGB')) == OTHER).all(axis=2)
    rows, columns = np.nonzero(red)
    assert np.corrcoef(rows, columns)[0, 1] < -0.99
    reliability_diagram(path, values, np.full(11, 0.5), np.full(11, 5), 'title')
    with Image.open(path) as image:
        red = (np.asarray(image.convert('RGB')) == OTHER).all(axis=2)
    assert np.ptp(np.nonzero(red)[0]) < 20
