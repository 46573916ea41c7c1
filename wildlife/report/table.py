"""Many results as one Markdown, LaTeX or CSV table; runs of several seeds share a row.

:func:`table_of` makes it as a pandas DataFrame of numbers, :func:`write` turns it into text.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import pandas as pd

from utils.words import first_few
from wildlife.report.comparable import MISSING, differing_settings, test_identity
from wildlife.report.results import TestResult
from wildlife.report.seeds import SeedGroup, seed_of, settings_key

KINDS = ('markdown', 'latex', 'csv')
METRICS = ('mAP', 'rank1', 'rank5', 'mINP')  # columns by default
TESTS = 'test'  # the column that tells which rows can be compared


def table_of(groups: Sequence[SeedGroup], metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Return one row per group, with numbers.

    Columns: 'runs', folders below the folder that all share; 'seeds', their number; 'test', equal
    letters for rows that can be compared, only if there are several; each config key that differs;
    'checkpoint', 'protocol', 're-ranking'; for each metric four columns of fractions: 'mAP', the
    mean over seeds, 'mAP sd', the standard deviation over seeds, 'mAP low' and 'mAP high', the
    95 % interval over individuals.

    Args:
        groups: One or more; see ``seeds.group_by_seed``.
        metrics: Names in ``TestResult.metrics``; NaN for groups that do not have one.
    """
    firsts = [group.first for group in groups]
    frame = pd.DataFrame({'runs': _names(groups), 'seeds': [len(g.results) for g in groups]})
    letters = test_letters(firsts)
    if len(set(letters)) > 1:
        frame[TESTS] = letters
    for key, values in differing_settings(firsts).items():
        frame[key] = [_value_text(value) for value in values]
    frame['checkpoint'] = [first.checkpoint_name for first in firsts]
    frame['protocol'] = [first.facts['protocol'] for first in firsts]
    frame['re-ranking'] = ['yes' if first.facts['re_ranking'] else 'no' for first in firsts]
    intervals = [group.intervals() for group in groups]
    for metric in metrics:
        frame[metric] = [group.mean(metric) for group in groups]
        frame[f'{metric} sd'] = [group.sd(metric) for group in groups]
        pairs = [of_group.get(metric) or (np.nan, np.nan) for of_group in intervals]
        frame[[f'{metric} low', f'{metric} high']] = pairs
    return frame


def _names(groups: Sequence[SeedGroup]) -> list[str]:
    """Return the folders of each group, as short as the folders of all allow."""
    parents = [result.folder.resolve().parts[:-1] for result in _results_of(groups)]
    shared = len(os.path.commonprefix(parents))
    return [_name(group, shared) for group in groups]


def _name(group: SeedGroup, shared: int) -> str:
    """Return the folders of a group without their first ``shared`` parts."""
    parts = [result.folder.resolve().parts[shared:] for result in group.results]
    return first_few([os.path.join(*each) for each in parts])


def _results_of(groups: Sequence[SeedGroup]) -> Iterator[TestResult]:
    return chain.from_iterable(group.results for group in groups)


def _value_text(value: object) -> str:
    return 'none' if value is MISSING else str(value)


def test_letters(results: Sequence[TestResult]) -> list[str]:
    """Return 'A' for the photos and protocol of the first result, 'B' for the next others …"""
    kinds = [repr(test_identity(result)) for result in results]
    order = list(dict.fromkeys(kinds))
    return [_letter(order.index(kind)) for kind in kinds]


def _letter(number: int) -> str:
    """Return A … Z, then AA …, as spreadsheets count columns."""
    rest, last = divmod(number, 26)
    return (_letter(rest - 1) if rest else '') + chr(ord('A') + last)


def notes_of(groups: Sequence[SeedGroup]) -> list[str]:
    """Return the sentences that a reader of the table needs."""
    firsts = [group.first for group in groups]
    notes = []
    if any(len(group.results) > 1 for group in groups):
        notes.append('±: standard deviation over the seeds.')
    reasons = dict.fromkeys(group.no_interval_reason for group in groups)
    if '' in reasons:
        notes.append(
            '[ ]: 95 % interval over individuals, by a bootstrap of the query individuals; the '
            'gallery is fixed.'
        )
    notes += [f'No interval: {reason}.' for reason in reasons if reason]
    letters = test_letters(firsts)
    if len(set(letters)) > 1:
        notes.append(
            f'Rows with different letters in column {TESTS} cannot be compared: their photos or '
            'protocols differ.'
        )
    return [*notes, *_repeated_seeds(groups)]


def _repeated_seeds(groups: Sequence[SeedGroup]) -> list[str]:
    """Return a note for each result whose settings and seed an earlier group has too."""
    earlier: dict[tuple[str, int], TestResult] = {}
    notes = []
    for result in _results_of(groups):
        first = earlier.setdefault((settings_key(result), seed_of(result)), result)
        if first is not result:
            notes.append(
                f'{result.folder} has the settings and the seed ({seed_of(result)}) of '
                f'{first.folder}, so it has a row of its own; if they were trained with different '
                'seeds, test each with the SOLVER.SEED of its training.'
            )
    return notes


def in_words(frame: pd.DataFrame, metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """Return the table as text: metrics in percent, mean ± sd, and a column of intervals.

    Args:
        frame: From :func:`table_of`; further columns stay as they are.
        metrics: Its metrics.
    """
    words = frame.copy()
    for metric in metrics:
        means, spreads = frame[metric], frame[f'{metric} sd']
        pairs = zip(frame[f'{metric} low'], frame[f'{metric} high'])
        words[metric] = [mean_text(mean, sd) for mean, sd in zip(means, spreads)]
        words[f'{metric} low'] = [interval_text(pair) for pair in pairs]
        words = words.drop(columns=[f'{metric} sd', f'{metric} high'])
        words = words.rename(columns={f'{metric} low': f'{metric} 95 %'})
    return words.astype(str).map(_one_line, na_action='ignore')


def _one_line(text: str) -> str:
    """Join the lines of a text: names of folders may have line breaks."""
    return ' '.join(text.splitlines())


def mean_text(mean: float, sd: float) -> str:
    """Return '67.9 ± 1.2' for fractions, '67.9' without a standard deviation, '' for NaN."""
    if np.isnan(mean):
        return ''
    return f'{100 * mean:.1f}' + ('' if np.isnan(sd) else f' ± {100 * sd:.1f}')


def interval_text(pair: Sequence[float] | None) -> str:
    """Return '[58.6, 77.4]' for two fractions, '' for none or NaN."""
    if not pair or np.isnan(pair[0]):
        return ''
    low, high = pair
    return f'[{100 * low:.1f}, {100 * high:.1f}]'


def markdown(frame: pd.DataFrame) -> str:
    """Return a table of text as Markdown."""
    escaped = frame.astype(str).map(lambda cell: cell.replace('|', r'\|'))
    lines = [list(map(str, frame.columns)), ['---'] * frame.shape[1], *escaped.to_numpy().tolist()]
    return ''.join(f'| {" | ".join(cells)} |\n' for cells in lines)


def latex(frame: pd.DataFrame) -> str:
    """Return a table of text as LaTeX, for the package booktabs."""
    text = frame.to_latex(index=False, escape=True).replace('±', r'$\pm$')
    return text.replace('\n[', '\n{[}')  # after the end of a row, LaTeX reads [ as an option


def write(frame: pd.DataFrame, metrics: Sequence[str], kind: str, notes: Sequence[str] = ()) -> str:
    """Return a table of :func:`table_of` in one of :data:`KINDS`.

    Markdown and LaTeX are text for people, with the notes; CSV has the numbers, without notes.
    """
    if kind == 'csv':
        return frame.to_csv(index=False, lineterminator='\n')
    words, notes = in_words(frame, metrics), [_one_line(note) for note in notes]
    if kind == 'latex':
        comments = ['Needs \\usepackage{booktabs}.', *notes]
        return ''.join(f'% {comment}\n' for comment in comments) + latex(words)
    return markdown(words) + ''.join(f'\n{note}\n' for note in notes)
