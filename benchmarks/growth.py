"""How cost grows: re-ranking with the photos, evaluation with the gallery, a stage-1 epoch with the
individuals.
"""

import functools
import statistics

from benchmarks.cases import evaluate_market, rerank
from benchmarks.core import in_fresh_process, seconds_of, use_threads
from benchmarks.models import growth_stage1
from utils.logger import progress

PHOTOS = (
    1000,
    2000,
    5000,
    10_000,
    20_000,
    50_000,
)  # query and gallery together, a fifth of them queries
PLAIN_PHOTOS = 10_000  # the plain way up to here: its time and memory grow with the square
GALLERY, QUERIES = (1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000), 200
INDIVIDUALS = (100, 200, 500, 1000, 2000, 5000, 10_000)
QUICK = 2000  # nothing larger with --quick


def measure(settings):
    """At one thread: {'rerank': [...], 'evaluation': [...], 'stage1': [...]}, an entry for each
    size.
    """
    with use_threads(1):
        return {
            'rerank': [
                _rerank(photos, settings) for photos in _sizes(PHOTOS, settings, 're-ranking')
            ],
            'evaluation': [
                _evaluation(gallery, settings)
                for gallery in _sizes(GALLERY, settings, 'evaluation')
            ],
            'stage1': [
                {'individuals': count, **growth_stage1(count, settings)}
                for count in _sizes(INDIVIDUALS, settings, 'stage 1')
            ],
        }


def _sizes(sizes, settings, text):
    return progress([size for size in sizes if size <= QUICK or not settings.quick], text)


def _rerank(photos, settings):
    """One call in a fresh process, as a test does it: seconds and memory of each way."""
    queries = photos // 5
    ways = functools.partial(rerank, settings, queries, photos - queries)
    names = ['ours', 'plain'] if photos <= PLAIN_PHOTOS else ['ours']
    accelerator = {'ours': settings.device if settings.device.type != 'cpu' else None}
    return {
        'photos': photos,
        **{name: in_fresh_process(ways, name, 1, accelerator.get(name)) for name in names},
    }


def _evaluation(gallery, settings):
    """Median of 3, warm."""
    with evaluate_market(settings, QUERIES, gallery) as ways:
        ways.ours(), ways.plain()
        return {
            'gallery': gallery,
            'queries': QUERIES,
            **{
                name: {
                    'seconds': statistics.median(seconds_of(getattr(ways, name)) for _ in range(3))
                }
                for name in ('ours', 'plain')
            },
        }
