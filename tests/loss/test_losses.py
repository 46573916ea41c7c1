"""Losses compared with loops written from the definitions, and edge cases."""

import copy
import math

import pytest
import torch

from loss.center_loss import CenterLoss
from loss.make_loss import make_loss
from loss.supcontrast import SupConLoss
from loss.triplet_loss import TripletLoss, hardest_pairs
from tests.loss.golden_losses import config


def dot_product(a, b):
    return sum(u * v for u, v in zip(a, b))


def supcon_by_hand(a, b, ta, tb):
    total = 0.0
    for row, label in zip(a.tolist(), ta.tolist()):
        logits = [dot_product(row, other) for other in b.tolist()]
        log_sum = math.log(sum(math.exp(logit) for logit in logits))
        logs = [logit - log_sum for logit, other in zip(logits, tb.tolist()) if other == label]
        total -= sum(logs) / len(logs)
    return total / len(a)


def triplet_by_hand(x, labels, margin):
    """Squared distances are clamped before the root, so the distance to itself is 1e-6."""
    x, labels, total = x.tolist(), labels.tolist(), 0.0
    for row, label in zip(x, labels):
        positive = max(
            max(math.dist(row, other), 1e-6) for other, also in zip(x, labels) if also == label
        )
        negative = min(math.dist(row, other) for other, also in zip(x, labels) if also != label)
        gap = positive - negative
        total += math.log1p(math.exp(gap)) if margin is None else max(0.0, gap + margin)
    return total / len(x)


def cross_entropy_by_hand(score, labels, epsilon):
    total = 0.0
    for row, label in zip(score.tolist(), labels.tolist()):
        log_sum = math.log(sum(math.exp(logit) for logit in row))
        for index, logit in enumerate(row):
            target = (1 - epsilon) * (index == label) + epsilon / len(row)
            total -= target * (logit - log_sum)
    return total / len(score)


def batch(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_supcon_equals_a_plain_loop():
    a, b = batch(0, 5, 4), batch(1, 7, 4)
    ta, tb = torch.tensor([0, 1, 2, 0, 3]), torch.tensor([3, 2, 0, 0, 1, 1, 0])
    assert SupConLoss()(a, b, ta, tb).item() == pytest.approx(
        supcon_by_hand(a, b, ta, tb), rel=1e-12
    )
    assert SupConLoss()(b, a, tb, ta).item() == pytest.approx(
        supcon_by_hand(b, a, tb, ta), rel=1e-12
    )


@pytest.mark.parametrize('margin', [None, 0.0, 0.3, 2.0])
@pytest.mark.parametrize(
    'labels', [[0, 0, 1, 1, 2, 2], [3, 0, 0, 0, 0, 7], [4, 3, 2, 1, 0, 5], [1, 0, 0, 0, 0, 0]]
)
def test_triplet_equals_a_plain_loop(labels, margin):
    x, labels = batch(2, 6, 5), torch.tensor(labels)
    value = TripletLoss(margin)(x, labels).item()
    assert value == pytest.approx(triplet_by_hand(x, labels, margin), rel=1e-9)


def test_triplet_typed_by_hand():
    x, labels = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
    # d_ap = 1, 1, 0 (itself); d_an = 3, 2, 2
    assert TripletLoss(1.5)(x, labels).item() == pytest.approx((0 + 0.5 + 0) / 3, abs=1e-6)


def cosine_by_hand(a, b):
    return dot_product(a, b) / math.sqrt(dot_product(a, a) * dot_product(b, b))


@pytest.mark.parametrize('margin', [None, 0.3])
def test_triplet_of_cosines_equals_a_plain_loop(margin):
    x, labels, total = batch(2, 6, 5), torch.tensor([0, 0, 1, 1, 2, 0]), 0.0
    rows = list(zip(x.tolist(), labels.tolist()))
    for row, label in rows:
        positive = max(1 - cosine_by_hand(row, other) for other, also in rows if also == label)
        negative = min(1 - cosine_by_hand(row, other) for other, also in rows if also != label)
        gap = positive - negative
        total += math.log1p(math.exp(gap)) if margin is None else max(0.0, gap + margin)
    criterion = TripletLoss(margin, cosine=True)
    assert criterion(x, labels).item() == pytest.approx(total / 6, rel=1e-9)
    lengths = torch.tensor([1.0, 5, 0.1, 20, 3, 7])[:, None]
    assert criterion(x * lengths, labels).item() == pytest.approx(total / 6, rel=1e-9)


def test_cosface_equals_a_plain_loop():
    cosines, labels = batch(4, 6, 3).tanh(), torch.tensor([0, 0, 1, 1, 2, 2])
    logits = [
        [16 * (cosine - 0.4 * (index == label)) for index, cosine in enumerate(row)]
        for row, label in zip(cosines.tolist(), labels.tolist())
    ]
    for smooth, epsilon in (('on', 0.1), ('off', 0.0)):
        criterion = make_loss(config(id_loss='cosface', smooth=smooth), num_classes=3)
        terms = criterion([cosines], [batch(6, 6, 4)], labels)
        expected = cross_entropy_by_hand(torch.tensor(logits), labels, epsilon)
        assert terms['id'].item() == pytest.approx(expected, rel=1e-6)


def test_the_config_chooses_the_distance():
    x, labels = batch(6, 6, 4), torch.tensor([0, 0, 1, 1, 2, 2])
    for distance in ('euclidean', 'cosine'):
        terms = make_loss(config(distance=distance), 3)([batch(4, 6, 3)], [x], labels)
        expected = TripletLoss(0.3, distance == 'cosine')(x, labels).item()
        assert terms['triplet'].item() == pytest.approx(expected, rel=1e-12)


def test_center_equals_a_plain_loop():
    criterion, x, labels = CenterLoss(3, 4), batch(3, 5, 4).float(), torch.tensor([0, 2, 2, 1, 0])
    centers = criterion.centers.tolist()
    expected = (
        sum(math.dist(row, centers[label]) ** 2 for row, label in zip(x.tolist(), labels.tolist()))
        / 5
    )
    assert criterion(x, labels).item() == pytest.approx(expected, rel=1e-6)


def test_whole_loss_equals_a_plain_loop():
    score, feat = [batch(4, 6, 3), batch(5, 6, 3)], [batch(6, 6, 4), batch(7, 6, 5), batch(8, 6, 2)]
    i2t, labels = batch(9, 6, 3), torch.tensor([0, 0, 1, 1, 2, 2])
    criterion = make_loss(
        config(metric='triplet_center', weights=(0.25, 2.0, 3.0)), num_classes=3, feat_dim=5
    )
    centers = criterion.center.centers.tolist()
    spread = (
        sum(
            math.dist(row, centers[label]) ** 2
            for row, label in zip(feat[1].tolist(), labels.tolist())
        )
        / 6
    )
    expected = {
        'id': 0.25 * sum(cross_entropy_by_hand(one, labels, 0.1) for one in score),
        'triplet': 2.0 * sum(triplet_by_hand(one, labels, 0.3) for one in feat),
        'i2t': 3.0 * cross_entropy_by_hand(i2t, labels, 0.1),
        'center': 5e-4 * spread,
    }
    terms = criterion(score, feat, labels, i2t)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-6)


def test_softmax_sampler_has_no_triplet_and_no_smoothing():
    score, feat, i2t = [batch(4, 3, 5), batch(5, 3, 5)], [batch(6, 3, 4)] * 3, batch(9, 3, 5)
    labels = torch.tensor([4, 4, 4])  # one identity: there is no triplet
    terms = make_loss(config(sampler='softmax', weights=(0.25, 1.0, 2.0)), num_classes=5)(
        score, feat, labels, i2t
    )
    expected = {
        'id': 0.25 * sum(cross_entropy_by_hand(one, labels, 0.0) for one in score),
        'i2t': 2.0 * cross_entropy_by_hand(i2t, labels, 0.1),
    }
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(
    'metric, center, sampler, terms',
    [
        ('triplet', 'no', 'softmax_triplet', {'id', 'triplet'}),
        ('triplet', 'yes', 'softmax_triplet', {'id', 'triplet', 'center'}),
        ('triplet_center', 'no', 'softmax_triplet', {'id', 'triplet', 'center'}),
        ('center', 'no', 'softmax_triplet', {'id', 'center'}),
        ('triplet', 'no', 'softmax', {'id'}),
        ('center', 'yes', 'softmax', {'id', 'center'}),
    ],
)
def test_terms_by_config(metric, center, sampler, terms):
    criterion = make_loss(
        config(metric=metric, center=center, sampler=sampler), num_classes=3, feat_dim=5
    )
    score, feat = [batch(4, 4, 3)] * 2, [batch(6, 4, 5)] * 3
    assert set(criterion(score, feat, torch.tensor([0, 0, 1, 1]))) == terms
    assert (criterion.center is not None) == ('center' in terms)


def test_the_weight_applies_to_features_and_not_to_centres():
    x, labels = batch(3, 4, 5).float().requires_grad_(), torch.tensor([0, 0, 1, 2])
    criterion = make_loss(config(metric='center', center_weight=1e-3), num_classes=3, feat_dim=5)
    alone = copy.deepcopy(criterion.center)
    criterion([batch(4, 4, 3)], [None, x, None], labels)['center'].backward()
    of_features, x.grad = x.grad, None
    alone(x, labels).backward()
    torch.testing.assert_close(criterion.center.centers.grad, alone.centers.grad)
    torch.testing.assert_close(of_features, 1e-3 * x.grad)


def test_without_a_positive_or_a_negative_the_loss_is_nan():
    """The training loop then ends the run; the labels need no check in every iteration."""
    x = batch(0, 3, 4)
    assert SupConLoss()(x, x, torch.tensor([0, 5, 1]), torch.tensor([0, 1, 1])).isnan()
    assert TripletLoss(0.3)(x, torch.tensor([2, 2, 2])).isnan()


@pytest.mark.parametrize('margin', [None, 0.3])
@pytest.mark.parametrize('cosine', [False, True])
def test_triplet_gradient_is_finite_where_photos_coincide(margin, cosine):
    x = torch.ones(6, 8, requires_grad=True)
    TripletLoss(margin, cosine)(x, torch.tensor([0, 0, 1, 1, 2, 3])).backward()
    assert x.grad.isfinite().all()


def test_an_identity_with_one_photo_is_its_own_positive_without_a_gradient():
    x = (100 * batch(1, 3, 512)).float().requires_grad_()
    d_ap, _ = hardest_pairs(x, torch.tensor([0, 1, 2]))
    d_ap.sum().backward()
    assert d_ap.tolist() == pytest.approx([1e-6] * 3)
    assert not x.grad.any()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    labels = torch.tensor([0, 0, 1, 1])
    x, score = (30 * batch(0, 4, 64)).to(dtype), batch(1, 4, 3).to(dtype)
    criterion = make_loss(config(metric='triplet_center'), num_classes=3, feat_dim=64)

    def losses(x, score):
        return [
            SupConLoss()(x, x, labels, labels),
            *criterion([score] * 2, [x] * 3, labels, score).values(),
        ]

    expected = losses(x.float(), score.float())
    with torch.autocast('cpu', dtype=torch.bfloat16):
        under_autocast = losses(x.float(), score.float())
    for got in (losses(x, score), under_autocast):
        assert all(value.dtype == torch.float32 for value in got)
        assert [value.item() for value in got] == [value.item() for value in expected]
