"""Split lists, the photos that they mean, and ground truths."""

import json
import os

from hypothesis import strategies as st

from tests.faults.made_up.basics import (
    ENTRY,
    JSON,
    dicts,
    encoded,
    integers,
    lists,
    one_of,
    pieces,
    sampled,
    text,
)

PHOTOS = [
    'a.jpg',
    'in/b.jpg',
    'é.jpg',
    'my photos/c d.jpg',
    './a.jpg',
    'in//b.jpg',
    'in/../a.jpg',
    'in/to_a.jpg',
    'to_in/b.jpg',
]
OTHERS = [
    'in',
    'pipe.jpg',
    'loop.jpg',
    'out/s.jpg',
    'in/s.jpg',
    '../outside/s.jpg',
    'in/../../outside/s.jpg',
    '{outside}/s.jpg',
    '..',
    '/',
]


def make_photos(root, outside):
    """The folder that these paths mean: photos, links of all kinds, and a secret outside."""
    for folder in (outside, root / 'in', root / 'my photos'):
        folder.mkdir(parents=True)
    for path in ('a.jpg', 'in/b.jpg', 'my photos/c d.jpg', 'é.jpg'):
        (root / path).touch()
    (outside / 's.jpg').touch()
    links = {
        'in/to_a.jpg': '../a.jpg',
        'to_in': 'in',
        'out': outside,
        'in/s.jpg': outside / 's.jpg',
        'loop.jpg': 'loop.jpg',
    }
    for link, target in links.items():
        (root / link).symlink_to(target)
    os.mkfifo(root / 'pipe.jpg')


_PATHS = one_of(
    sampled(PHOTOS),
    sampled(PHOTOS + OTHERS),
    text('ab./\\ \t\0é\u2028\x1b', max_size=30),
    text(max_size=20),
)
_LABELS = one_of(
    integers(0, 3).map(str),
    integers(-3, 5).map(str),
    text(max_size=5),
    sampled(['9' * 18, '9' * 19, '1' * 5000, '1.0', '1e3', '0x1', '٣', '²', '+1', '']),
)
_LINES = one_of(
    st.tuples(_PATHS, _LABELS).map(' '.join),
    text(max_size=40),
    st.tuples(_PATHS, _LABELS, sampled(['0', '1', '2', 'left'])).map(' '.join),
)
_ENDS = sampled(['\n', '\r\n', '\r', '\x0b', '\u2028'])
LISTS = encoded(
    st.tuples(sampled(['', '\ufeff']), _ENDS, lists(_LINES, max_size=6)).map(
        lambda drawn: drawn[0] + drawn[1].join(drawn[2])
    )
)
RAW_LISTS = one_of(
    st.binary(max_size=200),
    pieces(
        b'a.jpg 0\n',
        b'in/b.jpg 1 1\n',
        b'a.jpg',
        b' ',
        b'\t',
        b'0',
        b'1',
        b'\n',
        b'\r',
        b'\0',
        b'\xff\xfe',
        b'\xef\xbb\xbf',
        b'\xe9',
        b'.',
        b'/',
        b'..',
        b'-',
        b'a' * 5000,
    ),
)

_ENTRIES = lists(
    one_of(
        integers().map(lambda imgid: ENTRY | {'imgid': imgid}),
        dicts(sampled([*ENTRY]), JSON).map(lambda changes: ENTRY | changes),
    ),
    max_size=4,
)
GROUND_TRUTHS = one_of(
    encoded(one_of(_ENTRIES, JSON).map(json.dumps)),
    st.binary(max_size=60),
    encoded(text('[]{}:,"0-9ue+. \n\0', max_size=60)),
    sampled([b'[', b'{"a":', b'[{']).map(lambda part: part * 50_000),
)
