"""Measure how cost grows with the size of the input.

The cost of re-ranking grows with the photos, of evaluation with the gallery, and of stage 1 with
the individuals.
"""

import functools
import statistics
from collections.abc import Iterable, Sequence

from benchmarks.core import Facts, Settings, seconds_of, use_threads
from benchmarks.memory import in_fresh_process
from benchmarks.ranking import evaluate_market, rerank
from benchmarks.stage1 import growth as grow_stage1
from utils.logger import progress

# Photos in query and gallery together; a fifth of them are queries.
PHOTOS = (1000, 2000, 5000, 10_000, 20_000, 50_000)
PLAIN_PHOTOS = 10_000  # largest size of the plain way, whose time and memory grow quadratically
GALLERY, QUERIES = (1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000), 200
INDIVIDUALS = (100, 200, 500, 1000, 2000, 5000, 10_000)
QUICK = 2000  # largest size with --quick


def measure(settings: Settings) -> dict[str, list[Facts]]:
    """Measure with one thread.

    Returns:
        'rerank', 'evaluation' and 'stage1' -> one entry per size.
    """
    found: dict[str, list[Facts]] = {'rerank': [], 'evaluation': [], 'stage1': []}
    with use_threads(1):
        for photos in _sizes(PHOTOS, settings, 're-ranking'):
            found['rerank'].append(_rerank(photos, settings))
        for gallery in _sizes(GALLERY, settings, 'evaluation'):
            found['evaluation'].append(_evaluation(gallery, settings))
        for count in _sizes(INDIVIDUALS, settings, 'stage 1'):
            stage1 = grow_stage1(count, settings)
            found['stage1'].append({'individuals': count, **stage1})
    return found


def _sizes(sizes: Sequence[int], settings: Settings, text: str) -> Iterable[int]:
    return progress([size for size in sizes if size <= QUICK or not settings.quick], text)


def _rerank(photos: int, settings: Settings) -> Facts:
    """Measure seconds and memory of each way for one call in a new process, as in a test."""
    queries = photos // 5
    ways = functools.partial(rerank, settings, queries, photos - queries)
    accelerator = None if settings.on_cpu else settings.device
    facts: Facts = {'photos': photos, 'ours': in_fresh_process(ways, 'ours', 1, accelerator)}
    if photos <= PLAIN_PHOTOS:
        facts['plain'] = in_fresh_process(ways, 'plain', 1)
    return facts


def _evaluation(gallery: int, settings: Settings) -> Facts:
    """Return the median seconds of three calls of each way after a warm-up."""
    facts: Facts = {'gallery': gallery, 'queries': QUERIES}
    with evaluate_market(settings, QUERIES, gallery) as ways:
        for name, call in ways.by_name().items():
            call()
            seconds = statistics.median(seconds_of(call) for _ in range(3))
            facts[name] = {'seconds': seconds}
    return facts
