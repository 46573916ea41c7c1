"""How much each place of two photos contributes to their similarity.

Pooled maps (convolutions): gradient × activation of the product of both features, with their
lengths held constant (Stylianou, Souvenir, Pless, "Visualizing Deep Similarity Networks", WACV
2019). Where the feature is the mean over the map, the contributions add up to the cosine.
Transformers: gradient × activation of the similarity itself, at the tokens before the last block.
Each is the variant that lost most in the deletion test (docs/outputs.md).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.dataset import ImageDataset
from datasets.records import Record
from datasets.transforms import Transform
from model.places import recorded_places
from model.reid_model import ReIDModel
from processor.encoder import Encoder, check_finite
from utils.errors import InputError
from utils.photo_distances import Metric

BATCH = 8  # pairs per forward pass


@dataclass(frozen=True)
class Similarity:
    """How a test compares features.

    Attributes:
        normalise: Whether features are L2-normalised.
        metric: 'cosine' or 'euclidean' (squared).
    """

    normalise: bool
    metric: Metric

    @property
    def text(self) -> str:
        """Its name for people."""
        if self.metric == 'cosine':
            return 'cosine similarity'
        kind = 'normalised' if self.normalise else 'not normalised'
        return f'negative squared Euclidean distance (features {kind})'

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the similarities (B,) of features (B, D)."""
        if self.normalise:
            first, second = F.normalize(first), F.normalize(second)
        if self.metric == 'cosine':
            return (first * second).sum(1)
        return -(first - second).square().sum(1)


@dataclass(frozen=True)
class Pair:
    """Two photos, explained.

    Attributes:
        first: A photo.
        second: Another one.
        similarity: Of their features, in float32.
        maps: The contributions of the places of each photo, float32 (h, w); negative = against.
    """

    first: Record
    second: Record
    similarity: float
    maps: tuple[np.ndarray, np.ndarray]


class Explainer:
    """Explains pairs of photos.

    Args:
        encoder: The encoder of the test; it is used in full precision.
        similarity: How the test compares features.
        transform: The transform of the test.
    """

    def __init__(self, encoder: Encoder, similarity: Similarity, transform: Transform):
        assert isinstance(encoder.model, ReIDModel)
        self.model, self.encoder = encoder.model, encoder.in_fp32().eval()
        self.similarity, self.transform = similarity, transform
        self.device = next(encoder.model.parameters()).device

    def read(self, photos: Sequence[Record]) -> tuple[Tensor, Tensor, Tensor]:
        """Return images (N, 3, H, W), cameras (N,) and views (N,).

        Raises:
            InputError: A photo cannot be read.
        """
        dataset = ImageDataset(photos, self.transform)
        images = torch.stack([dataset[index][0] for index in range(len(photos))])
        cameras = torch.tensor([photo.camid for photo in photos], device=self.device)
        views = torch.tensor([photo.viewid for photo in photos], device=self.device)
        return images.to(self.device), cameras, views

    def similarities(self, images: Tensor, cameras: Tensor, views: Tensor) -> Tensor:
        """Return the similarities (B,) of the first B of 2 B photos with the others."""
        with torch.inference_mode():
            return self.similarity(*self._encode(images, cameras, views).chunk(2))

    def contributions(
        self, images: Tensor, cameras: Tensor, views: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the similarities (B,) and the maps (2 B, h, w) of pairs; see ``similarities``.

        Raises:
            InputError: The encoder's last activations have no positions, or only one.
        """
        with torch.enable_grad(), recorded_places(self.model) as places:
            raw = self.model(images, cam_label=cameras, view_label=views).float()
            similarity = self.similarity(*self._finish(raw).chunk(2))
            scores = self._products(raw) if places.is_pooled else similarity
            maps = places.contributions(scores)
        if maps[0].numel() < 2:
            height, width = images.shape[2:]
            raise InputError(
                f'the last map has a single place for photos of {height} x {width} pixels, so '
                'where the model looks cannot be shown; set a larger INPUT.SIZE_TEST'
            )
        return similarity.detach(), maps

    def explain(self, pairs: Sequence[tuple[Record, Record]]) -> Iterator[Pair]:
        """Yield the pairs with their maps.

        Raises:
            InputError: As ``read`` and ``contributions``; or a similarity is not finite.
        """
        for start in range(0, len(pairs), BATCH):
            batch = pairs[start : start + BATCH]
            firsts, seconds = zip(*batch, strict=True)
            similarities, maps = self.contributions(*self.read([*firsts, *seconds]))
            check_finite(similarities[:, None], firsts)
            both = maps.cpu().numpy()
            for index, (first, second) in enumerate(batch):
                of_pair = (both[index], both[len(batch) + index])
                yield Pair(first, second, float(similarities[index]), of_pair)

    def _encode(self, images: Tensor, cameras: Tensor, views: Tensor) -> Tensor:
        return self.encoder(images, cam_label=cameras, view_label=views)

    def _finish(self, raw: Tensor) -> Tensor:
        """Return the features that are compared, from those of the model."""
        return self.encoder.whitening(raw) if self.encoder.whitening else raw

    def _products(self, raw: Tensor) -> Tensor:
        """Return the products (B,) of both features; their lengths are constants."""
        if self.encoder.whitening:
            raw = self.encoder.whitening.of_normalised(_over_constant_length(raw))
        if self.similarity.normalise:
            raw = _over_constant_length(raw)
        first, second = raw.chunk(2)
        return (first * second).sum(1)


def _over_constant_length(features: Tensor) -> Tensor:
    return features / features.detach().norm(dim=1, keepdim=True).clamp(min=1e-12)


def shares(contributions: np.ndarray) -> np.ndarray:
    """Return the share of each place in what speaks for the similarity: (h, w), >= 0, sum 1.

    All shares are 0 if no place speaks for it.
    """
    positive = np.maximum(contributions, 0)
    total = positive.sum()
    return positive / total if total > 0 else positive


def most_important(contributions: np.ndarray) -> np.ndarray:
    """Return the tenth of the places, rounded up, that contribute most: (h, w) bool."""
    count = -(-contributions.size // 10)
    chosen = np.zeros(contributions.size, dtype=bool)
    chosen[np.argsort(-contributions, axis=None, kind='stable')[:count]] = True
    return chosen.reshape(contributions.shape)
