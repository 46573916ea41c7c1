"""The CMC curve and its band; curves of metrics.jsonl."""

import json
import math

import numpy as np
import pytest

from tests.wildlife.report.small_tests import small_test
from utils.ranking import Ranking
from wildlife.report.curves import cmc_curve, training_curves


def test_the_curve_is_the_metric_at_each_rank(tmp_path):
    test, result, facts = small_test(tmp_path)
    labels = np.array([record.pid for record in test.query])
    curve = cmc_curve(result.rankings[0], labels, 200, 0)
    for rank in (1, 5, 10):
        assert curve.share[rank - 1] == pytest.approx(result.metrics[f'rank{rank}'])
        interval = [limits[rank - 1] for limits in curve.band]
        assert interval == pytest.approx(facts['measures']['intervals'][f'rank{rank}'])
    assert len(curve.share) == 50 and (np.diff(curve.share) >= 0).all()


def test_chance_counts_the_draws_without_a_match(tmp_path):
    test, result, _ = small_test(tmp_path)
    ranking = result.rankings[0]
    labels = np.array([record.pid for record in test.query])
    curve = cmc_curve(ranking, labels, 0, 0)
    assert curve.band is None
    for k in (1, 7, 50):
        counted = ranking.counted
        numbers = zip(ranking.compared[counted].tolist(), ranking.positives[counted].tolist())
        shares = [1 - math.comb(n - p, k) / math.comb(n, k) for n, p in numbers]
        assert curve.chance[k - 1] == pytest.approx(np.mean(shares))


def test_chance_finds_nothing_for_a_query_without_a_match():
    """It counts as 0 in some protocols, also beyond the end of its short gallery."""
    first, positives, compared = np.array([[2, 0], [1, 0], [6, 3]])
    ap, counted = np.array([0.5, 0.0]), np.ones(2, dtype=bool)
    curve = cmc_curve(Ranking(ap, first, first, positives, compared, counted), np.arange(2), 0, 0)
    assert curve.chance == pytest.approx([k / 6 / 2 for k in range(1, 7)])
    assert curve.share.tolist() == [0, 0.5, 0.5, 0.5, 0.5, 0.5]


def test_a_short_gallery_ends_the_curve(tmp_path):
    test, result, _ = small_test(tmp_path, 'all', individuals=2, photos=3)
    labels = np.array([record.pid for record in test.query])
    curve = cmc_curve(result.rankings[0], labels, 0, 0)
    assert len(curve.share) == 5 and curve.share[-1] == 1 and curve.chance[-1] == 1


def test_curves_of_a_training(tmp_path):
    lines = [
        {'event': 'stage1_epoch', 'epoch': 1, 'loss': 3.0, 'i2t_loss': 2.0, 'lr': 1.0},
        {'event': 'stage2', 'epoch': 1, 'loss': 99.0},
        {'event': 'stage2_epoch', 'epoch': 1, 'loss': 5.0, 'acc': 0.5},
        {'event': 'stage2_epoch', 'epoch': 2, 'loss': math.nan},
        {'event': 'validation', 'epoch': 2, 'mAP': 0.25, 'rank1': 0.5},
    ]
    text = '\n'.join(json.dumps(line | {'time': 1.0}) for line in lines)
    (tmp_path / 'metrics.jsonl').write_text(f'[]\n{text}\n{{"event": "validation", "epo')
    assert training_curves(tmp_path) == {
        'Stage 1': {'loss': [(1, 3.0)], 'i2t_loss': [(1, 2.0)]},
        'Stage 2': {'loss': [(1, 5.0)]},
        'Validation': {'mAP': [(2, 0.25)]},
    }
    assert training_curves(tmp_path / 'no training') == {}
