"""Charts as SVG."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from wildlife.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, WIDTH, Chart, Line


def draw(*lines, **options):
    texts = {'title': 'A & B', 'summary': '<s>', 'x_title': 'x', 'y_title': 'y'}
    return ElementTree.fromstring(Chart(lines=list(lines), **texts, **options).draw())


def points(drawing):
    """The points of the first line."""
    text = drawing.find('svg/polyline').get('points')
    return np.array([pair.split(',') for pair in text.split()], dtype=float)


def labels(drawing):
    return [text.text for text in drawing.findall('svg/text') if not text.get('class')]


def test_a_line_runs_from_corner_to_corner():
    drawing = draw(Line('one', [1, 2, 3], [0.0, 0.5, 1.0], 'first'), percent=True)
    x, y = points(drawing).T
    assert x[1] - x[0] == x[2] - x[1] > 0 and y[0] - y[1] == y[1] - y[2] > 0
    assert labels(drawing) == [*(f'{share} %' for share in range(0, 101, 20)), '1', '2', '3']
    assert drawing.find('h3').text == 'A & B' and drawing.find('figcaption').text == '<s>'
    assert [item.find('svg').tail.strip() for item in drawing.find('ul')] == ['one']


def test_a_band_surrounds_the_line():
    band = np.array([0.1, 0.2]), np.array([0.3, 0.6])
    drawing = draw(Line('one', [1, 2], [0.2, 0.4], 'first', band=band), y_limits=(0.0, 1.0))
    corners = re.findall(r'([\d.]+),([\d.]+)', drawing.find('svg/polygon').get('points'))
    heights = [float(y) for _, y in corners]  # high from left to right, then low back
    (_, first), (_, last) = points(drawing)
    assert len(heights) == 4
    assert heights[3] > first > heights[0] and heights[2] > last > heights[1]


def test_a_filled_area_goes_back_along_zero():
    drawing = draw(Line('one', [1, 2], [2.0, 4.0], 'first', filled=True))
    area = drawing.find('svg/polygon').get('points').split()
    (left, _), (right, _) = points(drawing)
    back = [tuple(map(float, pair.split(','))) for pair in area[2:]]
    assert back == [(right, HEIGHT - BOTTOM), (left, HEIGHT - BOTTOM)]
    assert labels(drawing)[:5] == ['0', '1', '2', '3', '4']


@pytest.mark.parametrize('y', [[0.0], [2.5], [-1.0]])
def test_a_single_point_is_a_spot(y):
    drawing = draw(Line('one', [15], y, 'first'))
    assert drawing.find('svg/circle') is not None and drawing.find('svg/polyline') is None
    assert float(drawing.find('svg/circle').get('cx')) == (LEFT + WIDTH - RIGHT) / 2
    assert '15' in labels(drawing) and not [text for text in labels(drawing) if '15.' in text]
