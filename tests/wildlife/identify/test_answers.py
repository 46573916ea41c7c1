"""Similarities of individuals, and best answers, against loops over the photos."""

import numpy as np
import pytest
import torch

from datasets.loaders import Trial
from datasets.protocols import PROTOCOLS
from datasets.records import NOBODY, Record
from tests.wildlife.identify.worlds import random_table, table_of
from utils import ranking
from wildlife.identify import answers
from wildlife.identify.answers import (
    REMOVED,
    best_answers,
    joined,
    similarities,
    without_unclear,
)


def a_trial(protocol='cross-encounter'):
    rng = np.random.default_rng(0)
    gallery = [
        Record(f'g{n}', int(pid), encounter=int(e))
        for n, (pid, e) in enumerate(zip(rng.integers(-1, 4, 40), rng.integers(0, 6, 40)))
    ]
    query = [
        Record(f'q{n}', int(pid), encounter=int(e))
        for n, (pid, e) in enumerate(zip(rng.integers(0, 7, 25), rng.integers(0, 6, 25)))
    ]
    query += gallery[:5] if gallery[0].pid >= 0 else [r for r in gallery[:8] if r.pid >= 0]
    trial = Trial(query, gallery, torch.arange(0), torch.arange(0))
    return trial, rng.random((len(query), 40)).astype(np.float32)


@pytest.mark.parametrize('block', [2**20, 100])
def test_similarities_equal_loops(monkeypatch, block):
    monkeypatch.setattr(ranking, 'BLOCK', block)
    monkeypatch.setattr(answers, 'BLOCK', block)
    trial, distance = a_trial()
    table = similarities(distance, trial, PROTOCOLS['cross-encounter'])
    labels = sorted({record.pid for record in trial.gallery} - {NOBODY})
    assert table.labels.tolist() == labels
    for row, query in enumerate(trial.query):
        for column, label in enumerate(labels):
            compared = [
                1 - distance[row, n]
                for n, photo in enumerate(trial.gallery)
                if photo.pid == label
                and photo.path != query.path
                and not (photo.pid == query.pid and photo.encounter == query.encounter)
            ]
            assert table.scores[row, column] == pytest.approx(max(compared, default=REMOVED))
    counts = [sum(photo.pid == label for photo in trial.gallery) for label in labels]
    assert table.photos.tolist() == counts


def test_answers_equal_loops():
    table = random_table(unknown=4)
    found = best_answers(table)
    for row, scores in enumerate(table.scores):
        order = sorted(range(len(scores)), key=lambda column: (-scores[column], column))
        assert found.best[row] == order[0]
        assert found.score[row] == pytest.approx(scores[order[0]])
        assert found.gap[row] == pytest.approx(scores[order[0]] - scores[order[1]], abs=1e-7)
        own = table.individuals[row]
        assert found.rank[row] == (order.index(own) + 1 if own < 12 else 0)
        assert found.known[row] == (own < 12)
        assert found.right[row] == (order[0] == own)
        assert found.photos[row] == table.photos[order[0]]
    assert set(found.catalogue) == {12}


def test_of_equal_scores_the_lower_label_is_first():
    scores = np.array([[0.5, 0.5, 0.1], [0.5, 0.5, 0.1]], dtype=np.float32)
    table = table_of(scores, np.arange(3), [1, 0])
    found = best_answers(table)
    assert (found.best.tolist(), found.rank.tolist()) == ([0, 0], [2, 1])
    assert found.gap.tolist() == [0, 0]


def test_as_new_the_own_individual_is_gone():
    table = random_table()
    new = table.as_new()
    assert not new.known.any() and table.known.all()
    assert (new.scores[new.truth] == REMOVED).all()
    assert (new.scores[~new.truth] == table.scores[~table.truth]).all()
    found = best_answers(new)
    assert set(found.catalogue) == {11} and set(found.rank) == {0}


def test_queries_that_are_neither_known_nor_new_are_left_out():
    scores = np.array([[0.1, 0.2], [REMOVED, 0.3], [REMOVED] * 2, [0.1, 0.1]], dtype=np.float32)
    table = table_of(scores, np.array([7, 8]), [7, 7, 9, 9])
    kept = without_unclear(table)
    assert kept.queries.tolist() == [0, 3]
    assert kept.known.tolist() == [True, False]


def test_one_individual_has_no_gap():
    table = random_table().compared(np.arange(12) == 3)
    found = best_answers(table)
    assert set(found.best) == {3} and set(found.gap) == {0.0} and set(found.catalogue) == {1}


def test_joined_tables_keep_their_queries():
    table = random_table()
    both = joined([table.take(np.arange(3)), table.as_new()])
    assert both.queries.tolist() == [0, 1, 2, *range(60)]
    assert both.known.tolist() == [True] * 3 + [False] * 60
