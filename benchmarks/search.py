"""Rows about the search of a catalogue, on generated features in a memory-mapped file."""

import contextlib
import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.core import Case, Settings, Ways
from benchmarks.inputs import DIMENSIONS
from tests.oracles.search import best_individuals_plain
from wildlife.identify.gallery import Gallery
from wildlife.identify.search import Asked, individual_scores

TOP = 20  # individuals
PART = 100_000  # rows that are generated; more are these, with their numbers moved
PHOTOS_EACH = 50  # photos of an individual
LIMITS = {(100_000, 1): 0.06, (100_000, 256): 0.7, (1_000_000, 1): 0.5}  # seconds


def search_cases(settings: Settings) -> list[Case]:
    """Return rows for one photo and for many, in catalogues of increasing size."""
    sizes = [(20_000, 32)] if settings.quick else list(LIMITS)
    return [
        Case(
            f'search-{photos}x{queries}',
            f'search of {photos:,} photos, {queries:,} asked for',
            functools.partial(search, settings, photos, queries),
            tolerance=1e-5,
            limit=LIMITS.get((photos, queries)),
            threaded=False,
            memory=not settings.quick,
        )
        for photos, queries in sizes
    ]


@contextlib.contextmanager
def search(settings: Settings, photos: int, queries: int) -> Iterator[Ways]:
    """Find the best individuals for photos."""
    rng = np.random.default_rng(settings.seed)
    with tempfile.TemporaryDirectory() as folder:
        features = _mapped_features(Path(folder, 'features.npy'), photos, rng)
        individuals = rng.integers(photos // PHOTOS_EACH, size=photos)
        names = [str(number) for number in range(photos // PHOTOS_EACH)]
        gallery = Gallery(features, names, individuals, np.full(photos, -1, np.int8), {})
        asked = rng.normal(size=(queries, DIMENSIONS)).astype(np.float32)
        asked /= np.linalg.norm(asked, axis=1, keepdims=True)

        def ours() -> np.ndarray:
            scores = individual_scores(gallery, Asked(asked, [np.empty(0, int)] * queries))
            return -np.sort(np.partition(-scores, TOP, axis=1)[:, :TOP], axis=1)

        yield Ways(
            ours=ours,
            plain=lambda: best_individuals_plain(features, asked, individuals, TOP),
            flops=lambda: 2.0 * photos * queries * DIMENSIONS,
        )


def _mapped_features(path: Path, photos: int, rng: np.random.Generator) -> np.ndarray:
    """Write L2-normalised features (photos, DIMENSIONS) to a file, and return its memory map."""
    part = rng.standard_normal((min(PART, photos), DIMENSIONS), dtype=np.float32)
    part /= np.linalg.norm(part, axis=1, keepdims=True)
    with open(path, 'wb') as file:
        for number in range(-(-photos // len(part))):
            file.write(np.roll(part, number, axis=1).tobytes())
    return np.memmap(path, np.float32, 'c', shape=(photos, DIMENSIONS))
