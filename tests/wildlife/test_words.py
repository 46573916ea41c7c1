"""wildlife/words.py, by whole runs of make_lists and by its functions."""

from wildlife.words import counted


def test_words():
    for number, noun, words in (
        (1, 'individual', '1 individual'),
        (2, 'photo', '2 photos'),
        (1, 'query', '1 query'),
        (0, 'query', '0 queries'),
        (3, 'box', '3 boxes'),
        (2, 'batch', '2 batches'),
    ):
        assert counted(number, noun) == words
