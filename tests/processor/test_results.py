"""The log lines of a test."""

import json
import logging

from processor.results import report
from tests.helpers import GOLDEN
from tests.utils.metric_sets import ATRW_NAMES


def test_the_lines_of_atrw_are_the_published_ones(caplog):
    facts = json.loads((GOLDEN / 'eval.json').read_text())['tiger']['A']
    metrics = {'mAP': 0.5}
    for split, prefix in (('private_split', ''), ('public_split', 'public/')):
        metrics |= {prefix + ours: facts[split][old] for old, ours in ATRW_NAMES.items()}
    with caplog.at_level('INFO', 'transreid'):
        report(metrics, logging.getLogger('transreid'))
    public, private = facts['printed']
    assert caplog.messages == [
        f'public_split: {public["public_split"]}',
        f'private_split: {private["private_split"]}',
    ]


def test_a_test_of_one_kind_of_atrw_queries(caplog):
    with caplog.at_level('INFO', 'transreid'):
        report({'mmAP': 0.5, 'sing/mAP': 0.5, 'mAP': 0.5}, logging.getLogger('transreid'))
    assert 'mAP(single_cam): 50.0%' in caplog.text and 'mAP(cross_cam): 0.0%' in caplog.text


def test_both_conventions_are_reported(caplog):
    left_out = {'mAP': 0.5, 'rank1': 0.6, 'rank5': 0.7, 'rank10': 0.8}
    without_positive = {
        'queries': 4,
        'as_zero': {name: value / 2 for name, value in left_out.items()},
        'left_out': left_out,
    }
    with caplog.at_level('INFO', 'transreid'):
        report(left_out, logging.getLogger('transreid'), without_positive)
    assert (
        'Queries with no match in the gallery: 4. Counted as 0: mAP 25.0%, Rank-1 30.0%, '
        'Rank-5 35.0%, Rank-10 40.0%; '
        'left out: mAP 50.0%, Rank-1 60.0%, Rank-5 70.0%, Rank-10 80.0%'
    ) in caplog.text
    caplog.clear()
    report(left_out, logging.getLogger('transreid'), without_positive | {'queries': 0})
    assert 'with no match' not in caplog.text
