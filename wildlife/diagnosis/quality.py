"""Size, brightness, contrast and blur of photos, against being found."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
from PIL import Image
from skimage.color import rgb2gray
from skimage.measure import blur_effect

from datasets.images import THREADS, read_header
from datasets.transforms import Reading
from utils.intervals import Average
from utils.logger import progress
from wildlife.diagnosis.figures import Bootstrap, Figure, average

PROPERTIES = ('size', 'brightness', 'contrast', 'blur')
QUARTERS = 4


def photo_properties(path: str, size: tuple[int, int]) -> tuple[float, ...]:
    """Return the properties of a photo, in the order of ``PROPERTIES``.

    Size is that of the file: the square root of its number of pixels. The others are those of the
    grey photo (luminance, 0 … 1) as the model sees it, resized: mean, standard deviation, and blur
    by Crete et al., "The blur effect", 2007 (0 = sharp, 1 = blurred; NaN if nothing is on it).

    Args:
        path: The path of the photo.
        size: INPUT.SIZE_TEST, (height, width) in pixels.

    Raises:
        UnreadablePhoto: It cannot be read.
    """
    width, height = read_header(path).size
    grey = rgb2gray(Reading(size, Image.Resampling.BILINEAR)(path))
    with np.errstate(invalid='ignore', divide='ignore'):
        blur = float(blur_effect(grey)) if np.ptp(grey) else np.nan
    return float((width * height) ** 0.5), float(grey.mean()), float(grey.std()), blur


def measure_photos(paths: Sequence[str], size: Sequence[int]) -> pd.DataFrame:
    """Return the properties of photos, a row for each; this shows a progress bar."""
    height, width = size
    once = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(THREADS) as pool:
        measured = pool.map(partial(photo_properties, size=(height, width)), once)
        rows = list(progress(measured, 'properties of photos', total=len(once)))
    return pd.DataFrame(rows, index=once, columns=list(PROPERTIES)).loc[list(paths)]


def dense_ranks(values: np.ndarray) -> np.ndarray:
    """Return the place (N,) of each value among the different values, from 0."""
    return pd.Series(values).rank(method='dense').to_numpy(dtype=int) - 1


def spearman(x: np.ndarray, y: np.ndarray, times: np.ndarray) -> float:
    """Return Spearman's rank correlation of a sample that has each of N pairs several times.

    Args:
        x: (N,), :func:`dense_ranks` of the first values.
        y: (N,), those of the second values.
        times: (N,), how often each pair counts.

    Returns:
        -1 … 1; NaN if one of the two is constant.
    """
    a, b = (_centred_ranks(places, times) for places in (x, y))
    size = float((a * a) @ times) * float((b * b) @ times)
    return float((a * b) @ times) / size**0.5 if size else float('nan')


def _centred_ranks(places: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return mean ranks minus their mean; equal values share a rank."""
    count = np.bincount(places, weights=times)
    rank = (count.cumsum() - count / 2)[places]
    return rank - rank @ times / times.sum()


def property_figures(
    values: np.ndarray, ap: np.ndarray, counted: np.ndarray, bootstrap: Bootstrap
) -> tuple[Figure, list[dict[str, object]]]:
    """Compare a property of the queries with their average precision.

    Args:
        values: (Q,), the property; NaN = unknown.
        ap: (Q,), average precision.
        counted: (Q,) bool, the queries that count.
        bootstrap: The draws.

    Returns:
        correlation: Spearman's rank correlation; NaN if the property has one value only.
        quarters: Of the photos with the lowest quarter of values to those with the highest: 'low'
            and 'high' (limits), 'photos', 'mAP'. Fewer if many values are equal.
    """
    known = counted & np.isfinite(values)
    if len(np.unique(values[known])) < 2:
        return Figure(float('nan')), []
    x, y = dense_ranks(values[known]), dense_ranks(ap[known])
    correlation = bootstrap.figure_of(lambda times: spearman(x, y, times[known]), known)
    quarter = np.full(len(values), -1)
    quarter[known] = pd.qcut(values[known], QUARTERS, labels=False, duplicates='drop')
    numbers = np.unique(quarter[known]).tolist()
    averages: dict[str, Average] = {
        str(number): average(ap, quarter == number) for number in numbers
    }
    figures = bootstrap.figures(averages)
    return correlation, [
        {
            'low': float(values[quarter == number].min()),
            'high': float(values[quarter == number].max()),
            'photos': int((quarter == number).sum()),
            'mAP': figures[str(number)],
        }
        for number in numbers
    ]
