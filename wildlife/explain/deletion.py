"""Are the maps faithful? The deletion test: without the most important places, what is left?

After Petsiuk, Das, Saenko, "RISE", BMVC 2018, for pairs: the most important tenth of the places of
one photo is replaced by the photo's mean colour, and the similarity to the other, unchanged photo
is measured again. A random tenth is the yardstick. Both photos of a pair have their turn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.records import Record
from processor.encoder import check_finite
from utils.intervals import LEVEL, Average, interval, no_interval_reason, resample
from utils.logger import progress
from wildlife.explain.maps import BATCH, Explainer, most_important

DRAWS = 1000  # of the bootstrap
RANDOM = 5  # random tenths per photo
SEED = 0


@dataclass(frozen=True)
class Losses:
    """What N pairs lose, as arrays (N,), means over both photos.

    Attributes:
        similarity: Of the whole photos.
        important: Loss of similarity without the most important tenth of the places.
        random: The same without a random tenth, mean of ``RANDOM``.
    """

    similarity: np.ndarray
    important: np.ndarray
    random: np.ndarray


def deletion_losses(explainer: Explainer, pairs: Sequence[tuple[Record, Record]]) -> Losses:
    """Delete places of the photos of N pairs; this shows a progress bar.

    Raises:
        InputError: A photo cannot be read, a similarity is not finite, or the encoder has no
            places.
    """
    draw = np.random.default_rng(SEED)
    batches = [pairs[start : start + BATCH] for start in range(0, len(pairs), BATCH)]
    rows = [_batch_losses(explainer, batch, draw) for batch in progress(batches, 'deletion test')]
    return Losses(*np.concatenate(rows, axis=1))


def _batch_losses(
    explainer: Explainer, pairs: Sequence[tuple[Record, Record]], draw: np.random.Generator
) -> np.ndarray:
    """Return the fields of ``Losses`` as (3, N)."""
    firsts, seconds = zip(*pairs, strict=True)
    images, *sides = explainer.read([*firsts, *seconds])
    whole, maps = explainer.contributions(images, *sides)
    check_finite(whole[:, None], firsts)
    places = maps.cpu().numpy()

    def loss(choose: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        chosen = np.stack([most_important(choose(each)) for each in places])
        cut = without(images, torch.from_numpy(chosen).to(images.device))
        left = [explainer.similarities(part, *sides) for part in _one_cut(images, cut)]
        return (whole - torch.stack(left).mean(0)).cpu().numpy()

    by_chance = [loss(lambda each: draw.random(each.shape)) for _ in range(RANDOM)]
    return np.stack([whole.cpu().numpy(), loss(lambda each: each), np.mean(by_chance, axis=0)])


def _one_cut(images: Tensor, cut: Tensor) -> list[Tensor]:
    """Return the pairs with the first photos cut, and with the second photos cut."""
    half = len(images) // 2
    return [torch.cat([cut[:half], images[half:]]), torch.cat([images[:half], cut[half:]])]


def without(images: Tensor, places: Tensor) -> Tensor:
    """Replace places of images (B, C, H, W) by the image's mean; ``places``: (B, h, w) bool."""
    size = (images.shape[2], images.shape[3])
    deleted = F.interpolate(places[:, None].float(), size, mode='nearest') > 0
    return torch.where(deleted, images.mean((2, 3), keepdim=True), images)


def summarize_losses(losses: Losses, individuals: Sequence[int]) -> dict[str, Any]:
    """Return the means, and an interval of the difference by a bootstrap over individuals.

    Args:
        losses: Those of N pairs.
        individuals: (N,), the individual of each pair.

    Returns:
        'pairs', 'individuals', 'similarity', 'loss_important', 'loss_random', 'difference',
        'interval' (low and high, or None), 'level', 'share_of_pairs' that lose more without the
        important places than without random ones, 'reason' why there is no interval, else ''.
    """
    difference = losses.important - losses.random
    count = len(set(individuals))
    reason = no_interval_reason(DRAWS, count)
    average = Average(difference, np.ones(len(difference)))
    drawn = {} if reason else resample({'difference': average}, individuals, DRAWS, SEED)
    return {
        'pairs': len(difference),
        'individuals': count,
        'similarity': float(losses.similarity.mean()),
        'loss_important': float(losses.important.mean()),
        'loss_random': float(losses.random.mean()),
        'difference': average.mean(),
        'interval': interval(drawn['difference']) if drawn else None,
        'level': LEVEL,
        'share_of_pairs': float((difference > 0).mean()),
        'reason': reason,
    }
