"""Numbers of an epoch, fetched now and then."""

import pytest
import torch

from utils.meter import EpochMeter


def test_means_by_photos():
    meter = EpochMeter()
    assert meter.means() == {} and meter.fetch() == []
    meter.add(4, 'a', loss=torch.tensor(1.0, requires_grad=True) * 2, acc=torch.tensor(0.5))
    meter.add(1, 'b', loss=torch.tensor(7.0, dtype=torch.float64), acc=torch.tensor(1.0))
    assert meter.means() == meter.last == {}  # nothing was measured
    assert meter.fetch() == [('a', {'loss': 2.0, 'acc': 0.5}), ('b', {'loss': 7.0, 'acc': 1.0})]
    assert meter.means()['loss'] == pytest.approx((4 * 2 + 7) / 5)
    assert meter.means()['acc'] == pytest.approx((4 * 0.5 + 1) / 5)
    assert meter.last == {'loss': 7.0, 'acc': 1.0}
    assert meter.fetch() == []
    meter.add(5, 'c', loss=torch.tensor(float('nan')), acc=torch.tensor(0.0))
    ((note, numbers),) = meter.fetch()
    assert note == 'c' and numbers['loss'] != numbers['loss']
    assert meter.means()['acc'] == pytest.approx((4 * 0.5 + 1) / 10)


def test_no_graph_is_kept():
    meter, x = EpochMeter(), torch.ones(3, requires_grad=True)
    meter.add(1, None, loss=x.sum())
    assert not meter._pending[0][-1].requires_grad


def test_constant_names():
    meter = EpochMeter()
    for value in (1.0, 2.0):
        meter.add(1, None, same=torch.tensor(3.0), other=torch.tensor(value))
    meter.fetch()
    assert meter.constant == []
    meter.add(1, None, same=torch.tensor(3.0), other=torch.tensor(1.0))
    meter.fetch()
    assert meter.constant == ['same']


def test_a_meter_resumes():
    whole, first, second = EpochMeter(), EpochMeter(), EpochMeter()
    for meter, numbers in ((whole, (1.0, 5.0, 2.0)), (first, (1.0, 5.0))):
        for number in numbers:
            meter.add(2, None, loss=torch.tensor(number))
        meter.fetch()
    second.load_state_dict(first.state_dict())
    second.add(2, None, loss=torch.tensor(2.0))
    second.fetch()
    assert second.state_dict() == whole.state_dict() and second.means() == {
        'loss': pytest.approx(8 / 3)
    }
