"""Numbers of an epoch, fetched now and then."""

import pytest
import torch

from utils.meter import EpochMeter


def test_means_by_photos():
    tally = EpochMeter()
    assert tally.means() == {} and tally.settle() == []
    tally.add(4, 'a', loss=torch.tensor(1.0, requires_grad=True) * 2, acc=torch.tensor(0.5))
    tally.add(1, 'b', loss=torch.tensor(7.0, dtype=torch.float64), acc=torch.tensor(1.0))
    assert tally.means() == tally.last == {}  # nothing was looked at
    assert tally.settle() == [('a', {'loss': 2.0, 'acc': 0.5}), ('b', {'loss': 7.0, 'acc': 1.0})]
    assert tally.means()['loss'] == pytest.approx((4 * 2 + 7) / 5)
    assert tally.means()['acc'] == pytest.approx((4 * 0.5 + 1) / 5)
    assert tally.last == {'loss': 7.0, 'acc': 1.0}
    assert tally.settle() == []
    tally.add(5, 'c', loss=torch.tensor(float('nan')), acc=torch.tensor(0.0))
    ((note, numbers),) = tally.settle()
    assert note == 'c' and numbers['loss'] != numbers['loss']
    assert tally.means()['acc'] == pytest.approx((4 * 0.5 + 1) / 10)


def test_no_graph_is_kept():
    tally, x = EpochMeter(), torch.ones(3, requires_grad=True)
    tally.add(1, None, loss=x.sum())
    assert not tally._pending[0][-1].requires_grad


def test_constant_names():
    tally = EpochMeter()
    for value in (1.0, 2.0):
        tally.add(1, None, same=torch.tensor(3.0), other=torch.tensor(value))
    tally.settle()
    assert tally.constant == []
    tally.add(1, None, same=torch.tensor(3.0), other=torch.tensor(1.0))
    tally.settle()
    assert tally.constant == ['same']


def test_a_tally_goes_on():
    whole, first, second = EpochMeter(), EpochMeter(), EpochMeter()
    for tally, numbers in ((whole, (1.0, 5.0, 2.0)), (first, (1.0, 5.0))):
        for number in numbers:
            tally.add(2, None, loss=torch.tensor(number))
        tally.settle()
    second.load_state_dict(first.state_dict())
    second.add(2, None, loss=torch.tensor(2.0))
    second.settle()
    assert second.state_dict() == whole.state_dict() and second.means() == {
        'loss': pytest.approx(8 / 3)
    }
