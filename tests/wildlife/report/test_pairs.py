"""Histograms of the pairs, against a plain loop over all pairs."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.wildlife.report.small_tests import small_test
from wildlife.report import pairs
from wildlife.report.pairs import BINS, PairDistances, pair_distances


def compared(test, distance):
    """Distances of the pairs of the same and of different individuals, by 'cross-encounter'."""
    same, different = [], []
    for row, query in enumerate(test.query):
        for column, photo in enumerate(test.gallery):
            if query.pid != photo.pid:
                different.append(distance[row, column])
            elif query.encounter != photo.encounter:
                same.append(distance[row, column])
    return same, different


@pytest.mark.parametrize('block', [1, 300, 2**20])
def test_pairs_are_those_of_the_protocol(monkeypatch, tmp_path, block):
    monkeypatch.setattr(pairs, 'BLOCK', block)
    test, result, _ = small_test(tmp_path)
    same, different = compared(test, result.distance)
    found = pair_distances(result.distance, test)
    limits = result.distance.min(), result.distance.max()
    assert found.same.tolist() == np.histogram(same, BINS, limits)[0].tolist()
    assert found.different.tolist() == np.histogram(different, BINS, limits)[0].tolist()
    area = roc_auc_score([1] * len(same) + [0] * len(different), -np.array(same + different))
    assert found.separation() == pytest.approx(area, abs=0.005)


def test_a_dropped_photo_is_not_a_pair(tmp_path):
    test, result, _ = small_test(tmp_path, 'query_in_gallery')
    found = pair_distances(result.distance, test)
    photos = len(test.query)
    assert found.same.sum() + found.different.sum() == photos * (photos - 1)


def test_without_a_pair_of_one_kind_nothing_is_said():
    empty, full = np.zeros(BINS, dtype=int), np.ones(BINS, dtype=int)
    assert np.isnan(PairDistances(np.arange(BINS + 1), empty, full).separation())
    assert PairDistances(np.arange(BINS + 1), full, full).separation() == 0.5
