"""Maps of pairs, against a plain formulation; shares and most important places."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from configs import load_cfg
from datasets.records import Record
from model.make_model_clipreid import make_test_model
from processor.encoder import Encoder
from tests.helpers import write_photo
from tests.timm_worlds import BYOB, VIT, pairs
from utils.errors import InputError
from utils.whitening import Whitening
from wildlife.explain.deletion import deletion_losses
from wildlife.explain.maps import Similarity, most_important, shares
from wildlife.explain.run import make_explainer

SIZES = ('INPUT.SIZE_TRAIN', '[160, 160]', 'INPUT.SIZE_TEST', '[160, 160]')


@pytest.fixture
def photos(tmp_path):
    files = [tmp_path / f'{number}.png' for number in range(3)]
    for number, file in enumerate(files):
        write_photo(file, number, number)
    return [Record(str(file), number) for number, file in enumerate(files)]


def explainer(name, *options, whitening=None):
    torch.manual_seed(0)
    words = ('MODEL.PRETRAIN_CHOICE', 'random', 'TEST.WEIGHT', 'start', 'MODEL.DEVICE', 'cpu')
    words += ('DATASETS.NAMES', 'animals', 'TEST.NECK_FEAT', 'before', *SIZES, *options)
    cfg = load_cfg('', pairs(name, '', *words))
    cfg.defrost()
    cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD = [0.5] * 3, [0.5] * 3
    return make_explainer(cfg, Encoder(make_test_model(cfg), whitening=whitening))


def test_contributions_of_a_mean_over_the_map_add_up_to_the_cosine(photos):
    explain = explainer(BYOB)
    (first, second) = explain.explain([(photos[0], photos[1]), (photos[2], photos[0])])
    assert (first.first, first.second) == (photos[0], photos[1])
    for pair in (first, second):
        images = explain.read([pair.first, pair.second])[0]
        with torch.no_grad():
            maps = explain.model.image_encoder.network.forward_features(images)
        features = F.normalize(maps.mean((2, 3)))
        assert pair.similarity == pytest.approx(float(features[0] @ features[1]), abs=1e-5)
        for here, other, found in zip(maps, features.flip(0), pair.maps, strict=True):
            places = (here * other[:, None, None]).sum(0) / here.mean((1, 2)).norm()
            plain = places.numpy() / found.size
            np.testing.assert_allclose(found, plain, atol=1e-5)
            assert found.sum() == pytest.approx(pair.similarity, abs=1e-4)


def test_whitened_contributions_are_those_of_the_whitened_product(photos):
    torch.manual_seed(3)
    whitening = Whitening(torch.randn(256) * 0.01, torch.randn(256, 5))
    explain = explainer(BYOB, whitening=whitening)
    (pair,) = explain.explain([(photos[0], photos[1])])
    images = explain.read(photos[:2])[0]
    with torch.no_grad():
        maps = explain.model.image_encoder.network.forward_features(images).double()
    mean, matrix = whitening.mean.double(), whitening.matrix.double()
    raw = maps.mean((2, 3))
    white = (F.normalize(raw) - mean) @ matrix
    assert pair.similarity == pytest.approx(float(F.cosine_similarity(*white, dim=0)), abs=1e-5)
    part = maps[0].flatten(1).T / raw[0].norm() / pair.maps[0].size @ matrix  # (places, 5)
    plain = part @ white[1] / white[0].norm() / white[1].norm()
    np.testing.assert_allclose(pair.maps[0].ravel(), plain.numpy(), atol=1e-5)


def test_a_transformer_explains_the_gradient_of_the_cosine(photos):
    explain = explainer(VIT)
    (pair,) = explain.explain([(photos[0], photos[1])])
    network, (images, *_) = explain.model.image_encoder.network, explain.read(photos[:2])
    with torch.no_grad():
        tokens = network.norm_pre(network.pos_drop(network._pos_embed(network.patch_embed(images))))
        for block in network.blocks[:-1]:
            tokens = block(tokens)
    tokens.requires_grad_()
    features = network.forward_head(network.norm(network.blocks[-1](tokens)))
    F.cosine_similarity(*features, dim=0).backward()
    plain = (tokens.grad * tokens).sum(2)[:, 1:].detach().numpy()
    np.testing.assert_allclose(np.stack(pair.maps).reshape(2, -1), plain, atol=1e-6)


def test_the_distance_of_normalised_features_has_the_map_of_the_cosine(photos):
    names = ('DATASETS.NAMES', 'market1501')
    (cosine,) = explainer(BYOB).explain([(photos[0], photos[1])])
    (distance,) = explainer(BYOB, *names).explain([(photos[0], photos[1])])
    assert distance.similarity == pytest.approx(2 * cosine.similarity - 2, abs=1e-5)
    np.testing.assert_allclose(distance.maps[0], cosine.maps[0], atol=1e-6)
    assert 'not normalised' in explainer(BYOB, *names, 'TEST.FEAT_NORM', 'no').similarity.text


def test_similarities_are_those_of_tests():
    first, second = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0]])
    assert Similarity(True, 'cosine')(first, second) == pytest.approx(0.8)
    assert Similarity(False, 'euclidean')(first, second) == -13
    assert Similarity(True, 'euclidean')(first, second) == pytest.approx(-0.4)


def test_a_map_of_one_place_is_rejected(photos):
    small = ('INPUT.SIZE_TRAIN', '[32, 32]', 'INPUT.SIZE_TEST', '[32, 32]')
    with pytest.raises(InputError, match='single place for photos of 32 x 32'):
        list(explainer(BYOB, *small).explain([(photos[0], photos[1])]))


def test_shares_are_those_of_what_speaks_for_the_similarity():
    assert shares(np.array([[3.0, -4.0], [1.0, 0.0]])).tolist() == [[0.75, 0], [0.25, 0]]
    assert shares(np.array([[-1.0, 0.0]])).tolist() == [[0, 0]]


def test_the_most_important_tenth_is_rounded_up():
    values = np.arange(12.0).reshape(3, 4)
    assert np.argwhere(most_important(values)).tolist() == [[2, 2], [2, 3]]
    assert most_important(values[:, :3]).sum() == 1


def test_features_that_are_not_finite_are_rejected(photos):
    explain = explainer(BYOB)
    next(explain.model.image_encoder.parameters()).data[:] = torch.nan
    with pytest.raises(InputError, match=r'the features of .*0\.png contain NaN or infinity'):
        list(explain.explain([(photos[0], photos[1])]))
    with pytest.raises(InputError, match=r'the features of .*0\.png contain NaN or infinity'):
        deletion_losses(explain, [(photos[0], photos[1])])
