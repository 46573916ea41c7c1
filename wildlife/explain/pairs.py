"""Which pairs of photos are explained: given files, hard queries, or many for the deletion test."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from datasets.images import find_unreadable
from datasets.loaders import TestSet
from datasets.records import Record
from processor.inference import Result
from utils.errors import InputError
from utils.metrics import distance_text
from utils.ranking import masked_rows
from utils.relevance import relevance_of

SEED = 0  # of the choice of matches for the deletion test


@dataclass(frozen=True)
class ChosenPair:
    """A pair of photos and, in words, why it was chosen.

    Attributes:
        first: A photo, such as a query.
        second: Another one.
        title: A heading.
        text: What is known about it.
    """

    first: Record
    second: Record
    title: str = ''
    text: str = ''


def pairs_of_files(pairs: Sequence[Sequence[str]]) -> list[ChosenPair]:
    """Return pairs of photos named on a command line.

    Raises:
        InputError: A photo cannot be read, or would be compared with itself.
    """
    for path, problem in find_unreadable(sorted({path for pair in pairs for path in pair})).items():
        raise InputError(f'--pair: {path}: {problem}')
    chosen = []
    for number, (first, second) in enumerate(pairs, start=1):
        if os.path.samefile(first, second):
            raise InputError(
                f'--pair: {first} would be compared with itself; name two different photos'
            )
        text = f'{os.path.basename(first)} and {os.path.basename(second)}'
        chosen.append(ChosenPair(Record(first, 0), Record(second, 0), f'Pair {number}', text))
    return chosen


def hardest_pairs(
    test: TestSet, result: Result, names: Mapping[int, str], most: int
) -> list[ChosenPair]:
    """Return the hardest queries (lowest average precision), each with its first wrong photo.

    Queries that have no match, or no wrong photo to be compared with, are skipped.

    Args:
        test: The test set.
        result: Its result; of several trials the first one is used.
        names: Label -> name of the individual.
        most: The largest number of pairs.
    """
    ranking = result.rankings[0]
    queries = np.argsort(ranking.ap, kind='stable')
    queries = queries[ranking.positives[queries] > 0].tolist()
    relevance = relevance_of(test.query, test.gallery, test.protocol)
    chosen: list[ChosenPair] = []
    for query in queries:
        if len(chosen) == most:
            break
        row = slice(query, query + 1)
        ranked, _, matches = masked_rows(
            result.distance, relevance, row, test.protocol.drop_nearest
        )
        ranked[0, matches] = np.inf
        wrong = int(ranked[0].argmin())
        if not np.isfinite(ranked[0, wrong]):
            continue
        asked, found = test.query[query], test.gallery[wrong]
        text = (
            f'AP {100 * ranking.ap[query]:.1f} %, first match at rank '
            f'{ranking.first_hit[query]}; the nearest wrong photo shows {names[found.pid]} '
            f'(distance {distance_text(ranked[0, wrong])})'
        )
        chosen.append(ChosenPair(asked, found, f'Query {query + 1}: {names[asked.pid]}', text))
    return chosen


def pairs_for_check(test: TestSet, most: int) -> list[ChosenPair]:
    """Return pairs of the same individual for the deletion test.

    The queries are spread evenly over the list; each gets one of the matches that the protocol
    compares, at random, the same ones each time.

    Raises:
        InputError: No query has a match.
    """
    relevance = relevance_of(test.query, test.gallery, test.protocol)
    query, match, ignored, itself = relevance.pairs(slice(0, len(test.query)))
    pairs = np.stack([query, match], axis=1)[~(ignored | itself)]
    if not len(pairs):
        raise InputError(
            f'--check: no query has a match by the protocol {test.protocol.name}, and pairs of the '
            'same individual are needed; choose another DATASETS.PROTOCOL or other lists'
        )
    match_of = dict(np.random.default_rng(SEED).permutation(pairs).tolist())
    queries = sorted(match_of)
    count = min(most, len(queries))
    chosen = [queries[number * len(queries) // count] for number in range(count)]
    return [ChosenPair(test.query[each], test.gallery[match_of[each]]) for each in chosen]
