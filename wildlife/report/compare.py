"""Compares two results of the same photos and protocol: metrics, and queries that changed."""

import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from processor.results import SEED, SHOWN
from utils.errors import InputError
from utils.intervals import LEVEL
from wildlife.report.comparable import differing_settings
from wildlife.report.results import TestResult, file_name
from wildlife.report.seeds import Difference, SeedGroup, difference_over_individuals
from wildlife.report.table import interval_text


@dataclass(frozen=True)
class Comparison:
    """The comparison of two results.

    Attributes:
        a: The result to compare with.
        b: The result of interest.
        draws: The number of draws of the bootstrap.
        differences: Metric -> B - A; the headline comes first.
        changed: The queries that changed at rank 1, see :func:`changed_queries`.
    """

    a: TestResult
    b: TestResult
    draws: int
    differences: dict[str, Difference]
    changed: pd.DataFrame

    @property
    def headline(self) -> str:
        """The metric of the sentence: mmAP if the test has it, else mAP."""
        return next(iter(self.differences))

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of queries that are 'won', 'lost' and 'unchanged' at rank 1."""
        won, lost = ((self.changed['change'] == change).sum() for change in ('won', 'lost'))
        return {'won': int(won), 'lost': int(lost), 'unchanged': self.queries - int(won + lost)}

    @property
    def queries(self) -> int:
        """The number of queries."""
        return len(self.b.queries)

    @property
    def settings(self) -> dict[str, list[Any]]:
        """Key -> [value in A, value in B] for the settings that differ."""
        return differing_settings([self.a, self.b])


def compare(a: TestResult, b: TestResult, draws: int) -> Comparison:
    """Compare two results.

    Args:
        a: The result to compare with.
        b: The result of interest.
        draws: The number of draws of the bootstrap over individuals.

    Raises:
        InputError: They are the same result, their photos or protocols differ, there are several
            trials or too few individuals, or a table of a result cannot be read.
    """
    if a.folder.resolve() == b.folder.resolve():
        raise InputError(f'{a.folder}: A and B are the same folder; name the folders of two tests')
    differences = difference_over_individuals(SeedGroup((a,)), SeedGroup((b,)), draws)
    _check_queries(a, b)
    if not differences:
        raise InputError(f'{a.folder} and {b.folder} have no metric in common; test both again')
    return Comparison(a, b, draws, differences, changed_queries(a, b))


def _check_queries(a: TestResult, b: TestResult) -> None:
    """Check that the tables list the same queries in the same order: rows are compared as pairs."""
    first, second = (_query_names(result) for result in (a, b))
    if first != second:
        raise InputError(
            f'{a.folder / "queries.csv"} and {b.folder / "queries.csv"} do not list the same '
            'queries in the same order; restore the files as their tests wrote them, or test again'
        )


def _query_names(result: TestResult) -> list[tuple[str, int]]:
    """Return (file name, label) of each query; folders may differ between machines."""
    names = [file_name(path) for path in result.queries['query']]
    return list(zip(names, result.identities.tolist(), strict=True))


def changed_queries(a: TestResult, b: TestResult) -> pd.DataFrame:
    """Return the queries whose nearest photo is a match in only one of two results.

    Returns:
        Indexed by the number of the query, the largest change of average precision first. Columns:
        query, query_label, group; change ('won': a match is first in B only; 'lost': in A only);
        first_hit_a, first_hit_b, rank of the first match; ap_a, ap_b; nearest_a, nearest_b, the
        photos at rank 1.
    """
    first, second = a.queries, b.queries
    table = second[['query', 'query_label', 'group']].copy()
    won = (first['first_hit'] != 1) & (second['first_hit'] == 1)
    lost = (first['first_hit'] == 1) & (second['first_hit'] != 1)
    table['change'] = np.select([won, lost], ['won', 'lost'], '')
    for name in ('first_hit', 'ap'):
        table[f'{name}_a'], table[f'{name}_b'] = first[name], second[name]
    for name, result in (('a', a), ('b', b)):
        nearest = result.ranked_lists.drop_duplicates('query').set_index('query')['photo']
        table[f'nearest_{name}'] = result.queries['query'].map(nearest)
    changed = table[won | lost]
    order = (changed['ap_b'] - changed['ap_a']).abs().sort_values(ascending=False, kind='stable')
    return changed.loc[order.index]


def sentence(comparison: Comparison) -> str:
    """Return the comparison of the headline metric in plain words."""
    found = comparison.differences[comparison.headline]
    name = SHOWN[comparison.headline]
    p = f'p = {p_text(found.p)}'.replace('= <', '< ')
    if found.p >= 1 - LEVEL:
        return (
            f"No difference beyond chance was found: B's {name} minus A's is "
            f'{100 * found.difference:+.1f} points {interval_text(found.interval)}, {p}.'
        )
    word, sign = ('higher', 1) if found.difference > 0 else ('lower', -1)
    size = sorted(sign * bound for bound in found.interval or ())
    return (
        f"B's {name} is {word} by {100 * sign * found.difference:.1f} points "
        f'{interval_text(size)}, {p}.'
    )


def p_text(p: float) -> str:
    """Return p with two or three decimals, '<0.001' if it is smaller."""
    if p < 0.001:
        return '<0.001'
    return f'{p:.3f}' if p < 0.1 else f'{p:.2f}'


def metrics_frame(comparison: Comparison) -> pd.DataFrame:
    """Return the content of compare.csv: metric, a, b, difference, low, high, p, as fractions."""
    rows = []
    for name, found in comparison.differences.items():
        low, high = found.interval or (None, None)
        rows.append((name, found.a, found.b, found.difference, low, high, found.p))
    columns = ['metric', 'a', 'b', 'difference', 'low', 'high', 'p']
    return pd.DataFrame(rows, columns=columns)


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return the content of compare.json."""
    facts = comparison.b.facts
    return {
        'a': _about(comparison.a),
        'b': _about(comparison.b),
        'protocol': facts['protocol'],
        'protocol_text': facts['protocol_text'],
        'data': facts['data'],
        'queries': comparison.queries,
        'individuals': comparison.b.measures['individuals'],
        'draws': comparison.draws,
        'seed': SEED,
        'level': LEVEL,
        'settings': comparison.settings,
        'metrics': {
            name: asdict(found) | {'difference': found.difference}
            for name, found in comparison.differences.items()
        },
        'rank1': comparison.counts,
        'sentence': sentence(comparison),
    }


def _about(result: TestResult) -> dict[str, Any]:
    names = ('checkpoint', 'checkpoint_sha256', 're_ranking', 'seed', 'version', 'git')
    facts = {name: result.facts.get(name) for name in names}
    return {'folder': os.fspath(result.folder)} | facts
