"""wildlife/words.py, by whole runs of make_lists and by its functions."""

from utils.words import first_few, shortened
from wildlife.words import counted


def test_words():
    for number, noun, words in (
        (1, 'individual', '1 individual'),
        (2, 'photo', '2 photos'),
        (1, 'query', '1 query'),
        (0, 'query', '0 queries'),
        (7, 'day', '7 days'),
        (3, 'box', '3 boxes'),
        (2, 'batch', '2 batches'),
    ):
        assert counted(number, noun) == words


def test_the_first_few_and_shortened():
    assert first_few(['a', 'b', 'c']) == 'a, b, c' and first_few('abcd') == 'a, b, c …'
    assert first_few('abcd', 2) == 'a, b …' and first_few([]) == ''
    assert shortened('abc', 3) == 'abc' and shortened('abcd', 3) == 'abc…'
