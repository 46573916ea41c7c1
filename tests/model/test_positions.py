"""Position embeddings are interpolated for other photo sizes."""

import math

import pytest
import torch

from model.clip.architecture import (
    resize_positions,
)
from model.make_model_clipreid import make_model
from utils.checkpoint import load_state


def bilinear(square, rows, columns):
    """By hand: half-pixel centres, the border repeated. square: nested lists [side][side] of
    vectors.
    """
    side = len(square)

    def neighbours(i, count):
        place = max((i + 0.5) * side / count - 0.5, 0)
        low = math.floor(place)
        return low, min(low + 1, side - 1), place - low

    result = []
    for row in range(rows):
        top, bottom, down = neighbours(row, rows)
        for column in range(columns):
            left, right, across = neighbours(column, columns)
            result.append(
                [
                    (a * (1 - across) + b * across) * (1 - down)
                    + (c * (1 - across) + d * across) * down
                    for a, b, c, d in zip(
                        square[top][left],
                        square[top][right],
                        square[bottom][left],
                        square[bottom][right],
                    )
                ]
            )
    return result


@pytest.mark.parametrize(
    'side, grid', [(3, (5, 4)), (7, (16, 8)), (7, (3, 9)), (2, (2, 1)), (4, (4, 4))]
)
def test_positions_are_interpolated(side, grid):
    embedding = torch.randn(
        1 + side * side, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    resized = resize_positions(embedding, grid)
    expected = bilinear(embedding[1:].reshape(side, side, 3).tolist(), *grid)
    assert resized.shape == (1 + grid[0] * grid[1], 3)
    assert torch.equal(resized[0], embedding[0])
    assert torch.allclose(resized[1:], torch.tensor(expected, dtype=torch.float64), atol=1e-12)


def test_positions_for_other_photos(config, toy_weights):
    cfg = config('ViT-B-16')
    cfg.INPUT.SIZE_TRAIN = cfg.INPUT.SIZE_TEST = [64, 32]
    model = make_model(cfg, 3)
    embedding = load_state(toy_weights['ViT-B-16'])['visual.positional_embedding']
    assert torch.equal(
        model.image_encoder.positional_embedding, resize_positions(embedding, (4, 2))
    )
