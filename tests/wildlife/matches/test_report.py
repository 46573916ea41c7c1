"""The page of matches."""

from wildlife.matches.report import SHOWN, make_page


def test_the_page_is_not_endless():
    rows = [
        {
            'photo': f'{n}.jpg',
            'rank': 1,
            'individual': 'a',
            'distance': '0',
            'known_photo': 'gone.jpg',
            'problem': '',
        }
        for n in range(SHOWN + 3)
    ]
    assert '… and 3 more photos' in make_page(rows) and make_page(rows).count('<tr>') == SHOWN
