"""Which pairs are explained."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from datasets.protocols import PROTOCOLS
from datasets.records import Record
from utils.errors import InputError
from utils.metrics import rank_queries
from wildlife.explain.pairs import hardest_pairs, pairs_for_check, pairs_of_files

NAMES = {0: 'Ann', 1: 'Bob', 2: 'Cleo', 3: 'Dan'}


def a_test(protocol='all', per_individual=3):
    """Every photo is query and gallery; individual 3 has a single photo."""
    counts = (per_individual, per_individual, per_individual, 1)
    records = [
        Record(f'{pid}/{number}.png', pid, encounter=number)
        for pid, count in enumerate(counts)
        for number in range(count)
    ]
    return SimpleNamespace(query=records, gallery=records, protocol=PROTOCOLS[protocol])


def test_the_hardest_queries_come_with_their_nearest_wrong_photo():
    test = a_test()
    draw = np.random.default_rng(4)
    distance = draw.random((10, 10)).astype(np.float32)
    ranking = rank_queries(distance, test.query, test.gallery, test.protocol)
    result = SimpleNamespace(distance=distance, rankings=[ranking])
    pairs = hardest_pairs(test, result, NAMES, 4)
    assert len(pairs) == 4
    order = sorted(range(9), key=lambda query: ranking.ap[query])  # the tenth has no match
    for query, pair in zip(order, pairs, strict=False):
        asked = test.query[query]
        wrong = [i for i in range(10) if test.gallery[i].pid != asked.pid]
        nearest = min(wrong, key=lambda i: distance[query, i])
        assert (pair.first, pair.second) == (asked, test.gallery[nearest])
        assert pair.title == f'Query {query + 1}: {NAMES[asked.pid]}'
        assert pair.text.startswith(f'AP {100 * ranking.ap[query]:.1f} %, first match at rank ')
        assert f'shows {NAMES[test.gallery[nearest].pid]} ' in pair.text
    assert len(hardest_pairs(test, result, NAMES, 99)) == 9


def test_pairs_for_the_check_are_matches_that_the_protocol_compares():
    test = a_test('cross-encounter')
    pairs = pairs_for_check(test, 6)
    assert len({pair.first.path for pair in pairs}) == 6
    assert {pair.first.pid for pair in pairs} == {0, 1, 2}
    for pair in pairs:
        assert pair.first.pid == pair.second.pid
        assert pair.first.encounter != pair.second.encounter
    assert pairs == pairs_for_check(test, 6)
    assert len(pairs_for_check(test, 100)) == 9


def test_a_check_without_matches_is_rejected():
    with pytest.raises(InputError, match='no query has a match by the protocol cross-encounter'):
        pairs_for_check(a_test('cross-encounter', 1), 5)


def test_pairs_of_files(tmp_path):
    for name in 'ab':
        Image.new('RGB', (8, 8)).save(tmp_path / f'{name}.png')
    a, b, gone = (str(tmp_path / f'{name}.png') for name in ('a', 'b', 'gone'))
    (pair,) = pairs_of_files([[a, b]])
    assert (pair.first.path, pair.second.path) == (a, b)
    with pytest.raises(InputError, match='compared with itself; name two different photos'):
        pairs_of_files([[a, b], [a, a]])
    with pytest.raises(InputError, match=r'--pair: .*gone\.png: .*(no such|missing|not)'):
        pairs_of_files([[a, gone]])
