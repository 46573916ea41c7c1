"""Contributions of places, against the change of a score when one place is scaled a little."""

from types import SimpleNamespace

import pytest
import timm
import torch

from model.clip.resnet import ModifiedResNet
from model.clip.towers import TransformerSettings, VisionTransformer
from model.places import recorded_places
from model.timm_model import TimmEncoder
from utils.errors import InputError

NETWORKS = {  # name -> (height and width in pixels, the activations' shape)
    'test_byobnet': ((64, 96), (2, 256, 2, 3)),  # a map, channels first
    'test_mambaout': ((64, 96), (2, 2, 3, 64)),  # a map, channels last
    'test_vit': ((160, 160), (2, 101, 64)),  # tokens
    'RN50': ((32, 48), (2, 512, 2, 3)),
    'ViT-B-16': ((32, 48), (2, 7, 64)),
}


def make(name, size):
    """A tiny model in float64."""
    torch.manual_seed(1)
    grid = (size[0] // 16, size[1] // 16)
    if name == 'RN50':
        encoder = ModifiedResNet((1, 1, 1, 1), 16, 64, grid)
    elif name == 'ViT-B-16':
        encoder = VisionTransformer(16, (16, 16), grid, TransformerSettings(64, 3, 32))
    else:
        encoder = TimmEncoder(timm.create_model(name, num_classes=0))
    model = SimpleNamespace(image_encoder=encoder.double().eval())
    model.settings = SimpleNamespace(grid=grid)
    return model


def score(model, images):
    """A scalar of each photo's features, the last ones of CLIP's and the only one of timm's."""
    features = torch.cat(model.image_encoder(images)[-2:], dim=1)
    return (features * torch.linspace(-1, 1, features.shape[1])).sum(1)


@pytest.mark.parametrize('name', NETWORKS)
def test_contributions_are_the_slopes_of_scaling_a_place(name, monkeypatch):
    size, shape = NETWORKS[name]
    model = make(name, size)
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    with recorded_places(model) as places:
        before = score(model, images)
        found = places.contributions(before)
        assert tuple(places.activations.shape) == shape
        assert places.is_pooled == (name not in ('test_vit', 'ViT-B-16'))
        row, column = 1, found.shape[2] - 1
        record = places.record

        def scaled(factor):
            monkeypatch.setattr(
                places, 'record', lambda x: record(scale(x, row, column, found.shape[1:], factor))
            )
            return score(model, images).detach()

        slopes = (scaled(1 + 1e-5) - scaled(1 - 1e-5)) / 2e-5
    torch.testing.assert_close(slopes, found[:, row, column].double(), rtol=1e-4, atol=1e-7)


def scale(x, row, column, grid, factor):
    """Multiply the activations (B, …) of one place."""
    x = x.detach().clone()
    if x.dim() == 3:
        x[:, x.shape[1] - grid[0] * grid[1] + row * grid[1] + column] *= factor
    elif x.shape[1:3] == grid:
        x[:, row, column] *= factor
    else:
        x[:, :, row, column] *= factor
    return x


@pytest.mark.parametrize('name', NETWORKS)
def test_nothing_stays_in_the_model(name):
    size, _ = NETWORKS[name]
    model = make(name, size)
    images = torch.randn(1, 3, *size, dtype=torch.float64)
    before = score(model, images)
    with recorded_places(model) as places:
        inside = score(model, images)
    assert torch.equal(before, inside)
    places.activations = None
    assert torch.equal(score(model, images), before) and places.activations is None


@pytest.mark.parametrize('values', [torch.ones(1, 8), [torch.ones(1, 8)]])
def test_networks_without_positions_are_named(values):
    class Flat(torch.nn.Module):
        num_features = 8

        def forward_features(self, x):
            return values

        def forward(self, x):
            features = self.forward_features(x)
            return features if isinstance(features, torch.Tensor) else features[0]

    model = SimpleNamespace(image_encoder=TimmEncoder(Flat()))
    with (
        pytest.raises(InputError, match='Flat: its last activations have no positions'),
        recorded_places(model) as places,
    ):
        places.contributions(model.image_encoder(torch.ones(1))[0].sum(1))
