"""Whitening of features by the scatter within individuals: fit, apply, file.

Hatch, Kajarekar, Stolcke, "Within-class covariance normalization for SVM-based speaker
recognition", Interspeech 2006, after a principal component analysis. Directions in which photos of
the same animal differ, such as light and pose, count less; no gradient is needed.
"""

import json
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.checkpoint import load_checkpoint, save_state
from utils.errors import InputError

KEY = 'TEST.WHITENING'
NOTE = 'whitening'  # name of the facts in the header of the file
DIMENSION = 256  # most principal components that are kept
SHRINKAGE = 0.3  # weight of a multiple of the identity in the scatter
LEAST = 1e-10  # share of the largest eigenvalue below which a direction counts as empty
ROUNDING = 1e-13  # variance of normalised features below which they differ by float32's rounding


@dataclass(frozen=True)
class Whitening:
    """A linear map of L2-normalised features.

    Attributes:
        mean: (D,) float32, of the normalised features that it was fitted on.
        matrix: (D, K) float32.
        facts: What it was fitted on, for its file; see :func:`check_facts`.
    """

    mean: Tensor
    matrix: Tensor
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, features: Tensor) -> Tensor:
        """Return (N, K) float32 for features (N, D); they are not normalised again.

        Raises:
            InputError: The features have another length.
        """
        if features.shape[1:] != self.mean.shape:
            raise InputError(
                f'{KEY}: the whitening is for features of length {len(self.mean)}, but these have '
                f'length {features.shape[-1]}; fit one for this model (python -m '
                'tools.fit_whitening)'
            )
        return self.of_normalised(F.normalize(features.float()))

    def of_normalised(self, features: Tensor) -> Tensor:
        """Return (N, K) for L2-normalised features (N, D) float32."""
        mean, matrix = self.mean.to(features.device), self.matrix.to(features.device)
        return (features - mean) @ matrix


def fit_whitening(
    features: Tensor,
    classes: Sequence[Hashable],
    dimension: int = DIMENSION,
    shrinkage: float = SHRINKAGE,
) -> Whitening:
    """Fit a whitening, in float64 on the CPU.

    The L2-normalised features are centred and projected onto K principal components. With the
    pooled covariance W (K, K) within classes, the projection is multiplied by C^(-1/2), where C =
    (1 - s) W + s tr(W) / K · I. The paper adds s · I; here its size follows that of W.

    Args:
        features: (N, D) of the train photos.
        classes: (N,), equal for photos of the same side of the same individual.
        dimension: The largest K. K is smaller for fewer features (D) or photos (N - 1), or if all
            photos lie in fewer directions.
        shrinkage: s, 0 … 1.

    Raises:
        InputError: No class has two photos, or W is singular and the shrinkage is 0.
    """
    x = F.normalize(features.double().cpu())
    numbers = class_numbers(classes)
    free = len(x) - int(numbers.max()) - 1  # degrees of freedom of W
    if free < 1:
        raise InputError(
            'a whitening needs two photos of the same side of an individual, but the train list '
            'has only one of each; list more photos'
        )
    mean = x.mean(0)
    projection = principal_components(x - mean, dimension)
    if not projection.numel():
        raise InputError('a whitening needs different features, but those of all photos are equal')
    within = deviations((x - mean) @ projection, numbers)
    covariance = within.T @ within / free
    size = covariance.trace() / len(covariance)
    shrunk = (1 - shrinkage) * covariance + shrinkage * size * torch.eye(len(covariance))
    values, vectors = torch.linalg.eigh(shrunk)
    if not values[0] > LEAST * values[-1]:
        raise InputError(
            f'the scatter within individuals is singular: {free} differences between photos for '
            f'{len(covariance)} dimensions; choose a shrinkage above {shrinkage:g}, or fewer '
            'dimensions'
        )
    matrix = projection @ (vectors * values.rsqrt()) @ vectors.T
    facts = {'photos': len(x), 'classes': int(numbers.max()) + 1, 'shrinkage': shrinkage}
    return Whitening(mean.float(), matrix.float(), facts)


def class_numbers(classes: Iterable[Hashable]) -> Tensor:
    """Return the number (N,) of each class, counted from 0 in the order of appearance."""
    number: dict[Hashable, int] = {}
    return torch.tensor([number.setdefault(each, len(number)) for each in classes])


def principal_components(centred: Tensor, dimension: int) -> Tensor:
    """Return the first principal components as orthonormal columns (D, K), K <= ``dimension``.

    Directions without variance are left out; no column is left if all rows are equal.

    Args:
        centred: (N, D) float64, of mean 0.
        dimension: The largest K.
    """
    photos, length = centred.shape
    wide = photos < length  # then the N x N matrix of products is smaller, with equal eigenvalues
    values, vectors = torch.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    empty = max(LEAST * float(values[-1]), ROUNDING * photos)
    count = min(dimension, photos - 1, int((values > empty).sum()))
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    return centred.T @ vectors / values.sqrt() if wide else vectors


def deviations(rows: Tensor, numbers: Tensor) -> Tensor:
    """Return the rows (N, K) minus the mean of their class; ``numbers`` (N,) are the classes."""
    sums = rows.new_zeros(int(numbers.max()) + 1, rows.shape[1]).index_add_(0, numbers, rows)
    return rows - (sums / torch.bincount(numbers)[:, None])[numbers]


# ------------------------------------------------------------------------------------------- file


def save_whitening(whitening: Whitening, path: str | Path) -> None:
    """Write a whitening as safetensors, with its facts in the header."""
    tensors = {'mean': whitening.mean, 'matrix': whitening.matrix}
    save_state(tensors, path, {NOTE: json.dumps(dict(whitening.facts))})


def load_whitening(path: str, expected: Mapping[str, Any]) -> Whitening:
    """Read the whitening that TEST.WHITENING names.

    Args:
        path: The file.
        expected: Facts of the features that it will be applied to; see :func:`check_facts`.

    Raises:
        InputError: The file is no whitening, or is damaged, or does not belong to these features.
    """
    found = load_checkpoint(path, KEY)
    state = found.state
    try:
        facts = json.loads(found.about[NOTE])
        mean, matrix = state['mean'], state['matrix']
        if mean.ndim != 1 or matrix.ndim != 2 or len(mean) != len(matrix) or not matrix.numel():
            raise ValueError('shapes')
        if not (mean.isfinite().all() and matrix.isfinite().all() and isinstance(facts, dict)):
            raise ValueError('numbers')
    except (LookupError, ValueError, RecursionError):
        raise InputError(
            f'{KEY}: {path} is not a whitening, or is damaged; make one with python -m '
            'tools.fit_whitening'
        ) from None
    check_facts(path, facts, expected)
    return Whitening(mean.float(), matrix.float(), facts)


def check_facts(path: str, facts: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Check that a whitening belongs to the features that it will be applied to.

    Args:
        path: The file of the whitening.
        facts: Its facts.
        expected: Names -> values that the facts must have.

    Raises:
        InputError: A value differs; the message names it.
    """
    for name, value in expected.items():
        if facts.get(name) != value:
            raise InputError(
                f'{KEY}: {path} belongs to another model or other settings: its {name} is '
                f'{facts.get(name)!r:.80}, here it is {value!r:.80}; fit one for this model '
                '(python -m tools.fit_whitening)'
            )


def whitening_text(whitening: Whitening) -> str:
    """Describe a whitening in words, for the log."""
    facts = whitening.facts
    kept, length = whitening.matrix.shape[1], len(whitening.mean)
    shrinkage = facts.get('shrinkage', math.nan)
    return (
        f'{length} -> {kept} dimensions, fitted on {facts.get("photos")} train photos of '
        f'{facts.get("individuals", "?")} individuals, shrinkage {shrinkage}'
    )
