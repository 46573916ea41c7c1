"""Losses compared with golden numbers."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from loss.center_loss import CenterLoss
from loss.make_loss import make_loss
from loss.supcontrast import SupConLoss
from loss.triplet_loss import TripletLoss, hardest_pairs
from tests.helpers import GOLDEN
from tests.loss.golden_losses import config

JSON = json.loads((GOLDEN / 'losses.json').read_text())
CASES = JSON['cases']
ARRAYS = np.load(GOLDEN / 'losses.npz')


def arrays(case, dtype):
    """The stored arrays of a case as tensors; the inputs that have a gradient in ``dtype``."""
    names = [name.split('/')[1] for name in ARRAYS.files if name.startswith(f'{case}/')]
    tensors = {name: torch.from_numpy(ARRAYS[f'{case}/{name}']) for name in names}
    for name in CASES[case]['grad_wrt']:
        tensors[name] = tensors[name].to(dtype).requires_grad_()
    return tensors


def whole_loss(case, x):
    facts = CASES[case]
    weights = tuple(facts['weights'][name] for name in ('id', 'triplet', 'i2t'))
    criterion = make_loss(
        config(
            smooth=facts['labelsmooth'],
            no_margin=facts['no_margin'],
            margin=facts['margin'],
            weights=weights,
        ),
        facts['num_classes'],
    )
    return criterion(
        [x['score0'], x['score1']], [x['feat0'], x['feat1'], x['feat2']], x['t'], x.get('i2tscore')
    )


def golden_loss(case, x):
    if case == 'supcon_rectangular':
        return SupConLoss()(x['a'], x['b'], x['ta'], x['tb'])
    if case.startswith('supcon'):
        i2t = SupConLoss()(x['image'], x['text'], x['t'], x['t'])
        t2i = SupConLoss()(x['text'], x['image'], x['t'], x['t'])
        return {'i2t': i2t, 't2i': t2i, 'sum': i2t + t2i}[case.rsplit('_', 1)[1]]
    if case.startswith('triplet'):
        return TripletLoss(CASES[case]['margin'])(x['x'], x['t'])
    if case.startswith('ce_'):
        return F.cross_entropy(x['score'], x['t'], label_smoothing=0.1 if 'smooth' in case else 0.0)
    if case.startswith('center'):
        criterion = CenterLoss(*x['centers'].shape)
        del criterion.centers
        criterion.centers = x['centers']
        return criterion(x['x'], x['t'])
    return sum(whole_loss(case, x).values())


@pytest.mark.parametrize('suffix', ['', '_float64'])
@pytest.mark.parametrize('case', CASES)
def test_golden_value_and_gradients(case, suffix):
    x, facts = arrays(case, torch.float64 if suffix else torch.float32), CASES[case]
    value = golden_loss(case, x)
    duplicates = 'duplicates' in case
    assert value.item() == pytest.approx(
        facts[f'value{suffix}'], rel=1e-5, abs=1e-3 if duplicates else 1e-6
    )
    value.backward()
    if not duplicates:
        norms = [x[name].grad.norm().item() for name in facts['grad_wrt']]
        assert norms == pytest.approx(facts[f'grad_norms{suffix}'], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize('case', [case for case in CASES if f'{case}/dist_ap' in ARRAYS.files])
def test_golden_hardest_pairs(case):
    x = arrays(case, torch.float32)
    d_ap, d_an = hardest_pairs(x['x'], x['t'])
    torch.testing.assert_close(d_ap, x['dist_ap'], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(d_an, x['dist_an'], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('case', [case for case in CASES if case.startswith('make_loss')])
def test_golden_terms(case):
    terms, facts = whole_loss(case, arrays(case, torch.float32)), CASES[case]
    expected = {
        name: value * facts['weights'][name]
        for name, value in facts['unweighted_terms'].items()
        if value is not None
    }
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('index', range(len(JSON['triplet_unbalanced'])))
def test_golden_unbalanced_triplet(index):
    facts = JSON['triplet_unbalanced'][index]
    x = torch.from_numpy(ARRAYS[f'triplet_unbalanced_{index}/x']).requires_grad_()
    value = TripletLoss(0.3)(x, torch.tensor(facts['labels']))
    assert value.item() == pytest.approx(facts['value_by_definition'], rel=1e-5)
    value.backward()
    assert x.grad.isfinite().all()
