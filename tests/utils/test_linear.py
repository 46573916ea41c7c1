"""Linear layers through oneDNN equal those of torch."""

import copy

import pytest
import torch
import torch.nn.functional as F

from utils import linear as linear_module
from utils.linear import Linear, linear


@pytest.fixture(params=[True, False], ids=['oneDNN', 'torch'])
def library(request, monkeypatch):
    """Both libraries of matrix products, whatever the processor."""
    if request.param and not linear_module._has_onednn():
        pytest.skip('this torch has no product of oneDNN')
    monkeypatch.setattr(linear_module, 'uses_onednn', lambda: request.param)


@pytest.mark.parametrize('shape', [(700, 96), (4, 175, 96), (1, 1, 96), (2048, 96)])
@pytest.mark.parametrize('bias', [True, False])
def test_linear_equals_torchs(library, shape, bias):
    torch.manual_seed(0)
    ours = Linear(96, 200, bias=bias)
    theirs = copy.deepcopy(ours)
    x = torch.randn(shape)
    x, y = x.clone().requires_grad_(), x.clone().requires_grad_()
    results = ours(x), F.linear(y, theirs.weight, theirs.bias)
    torch.testing.assert_close(*results)
    gradient = torch.randn_like(results[0])
    for result in results:
        result.backward(gradient)
    torch.testing.assert_close(x.grad, y.grad)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-4)


def test_linear_takes_tensors_with_gaps(library):
    """Rows of a larger tensor, a transposed weight, and a gradient expanded from one number."""
    x, weight = (
        torch.randn(300, 5, 128)[:, 2].requires_grad_(),
        torch.randn(128, 64).t().requires_grad_(),
    )
    y = linear(x, weight)
    torch.testing.assert_close(y, x @ weight.t())
    y.sum().backward()
    torch.testing.assert_close(weight.grad, x.detach().sum(0).expand(64, -1), rtol=1e-4, atol=1e-4)


def test_linear_of_a_single_vector_and_of_wrong_shapes(library):
    x, weight = torch.randn(2048, requires_grad=True), torch.randn(1024, 2048)
    linear(x, weight).sum().backward()
    torch.testing.assert_close(x.grad, weight.sum(0), rtol=1e-4, atol=1e-4)
    with pytest.raises(RuntimeError, match='cannot be multiplied'):
        linear(torch.randn(64, 2047), weight)


def test_linear_falls_back_to_torch(monkeypatch):
    x, weight = torch.randn(300, 128), torch.randn(64, 128)
    expected = F.linear(x, weight)

    def forbidden(*_):
        raise AssertionError('oneDNN was asked')

    monkeypatch.setattr(linear_module, '_product', forbidden)
    monkeypatch.setattr(linear_module, 'uses_onednn', lambda: True)
    with pytest.raises(AssertionError):
        linear(x, weight)
    assert linear(x.double(), weight.double()).dtype == torch.float64
    assert torch.equal(linear(x[:2], weight), F.linear(x[:2], weight))  # small
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert linear(x, weight).dtype == torch.bfloat16
    monkeypatch.setattr(torch.backends.mkldnn, 'enabled', False)
    assert torch.equal(linear(x, weight), expected)
    monkeypatch.setattr(torch.backends.mkldnn, 'enabled', True)
    monkeypatch.setattr(linear_module, 'uses_onednn', lambda: False)
    assert torch.equal(linear(x, weight), expected)


LINUX, ELSEWHERE = 'processor\t: 0\nvendor_id\t: {}\nmodel name\t: X\n', None  # /proc/cpuinfo


@pytest.mark.parametrize(
    ('cpuinfo', 'processor', 'onednn', 'text'),
    [
        (LINUX.format('GenuineIntel'), '', False, "torch's own (processor: GenuineIntel)"),
        (LINUX.format('AuthenticAMD'), '', True, "oneDNN's (processor: AuthenticAMD)"),
        ('CPU implementer\t: 0x41\n', 'x', True, "oneDNN's (processor: unknown)"),  # ARM
        (ELSEWHERE, '', True, "oneDNN's (processor: unknown)"),
        (
            ELSEWHERE,
            'Intel64 Family 6 Model 143 Stepping 8, GenuineIntel',
            False,
            "torch's own (processor: Intel64 Family 6 Model 143 Stepping 8, GenuineIntel)",
        ),
        (
            ELSEWHERE,
            'AMD64 Family 25 Model 97 Stepping 2, AuthenticAMD',
            True,
            "oneDNN's (processor: AMD64 Family 25 Model 97 Stepping 2, AuthenticAMD)",
        ),
        (ELSEWHERE, 'i386', False, "torch's own (processor: i386)"),
        (ELSEWHERE, 'arm', True, "oneDNN's (processor: arm)"),
    ],
)
def test_the_processor_decides_the_library_of_products(
    monkeypatch, tmp_path, cpuinfo, processor, onednn, text
):
    monkeypatch.setattr(linear_module, 'CPUINFO', tmp_path / 'cpuinfo')
    if cpuinfo:
        (tmp_path / 'cpuinfo').write_text(cpuinfo)
    monkeypatch.setattr('platform.processor', lambda: processor)
    monkeypatch.setattr(torch.backends.mkl, 'is_available', lambda: True)
    monkeypatch.setattr(linear_module, '_product', lambda x, weight, bias: x @ weight.t() + bias)
    monkeypatch.setattr(
        linear_module, 'uses_onednn', linear_module.uses_onednn.__wrapped__
    )  # not what was found before
    assert (linear_module.uses_onednn(), linear_module.products_text()) == (onednn, text)
    monkeypatch.setattr(
        torch.backends.mkl, 'is_available', lambda: False
    )  # another library makes torch's own
    assert linear_module.uses_onednn()


def test_a_missing_operator_of_onednn_is_noticed(monkeypatch):
    """The operator belongs to torch's compiler, so a later torch may lack it."""

    def gone(*_):
        raise AttributeError('_linear_pointwise')

    monkeypatch.setattr(linear_module, '_product', gone)
    assert not linear_module._has_onednn()


@pytest.mark.filterwarnings('ignore::DeprecationWarning')  # torch's exporter
def test_linear_in_an_exported_graph_takes_any_number_of_rows(library):
    """Small and large products: neither may become a rule of the graph."""
    layer, rows = Linear(1024, 64, bias=False), {0: torch.export.Dim('rows', min=1)}
    program = torch.export.export(layer, (torch.zeros(2, 1024),), dynamic_shapes=(rows,)).module()
    for count in (1, 15, 64):  # 2^20 multiply-adds are 16 rows
        x = torch.randn(count, 1024)
        torch.testing.assert_close(program(x), F.linear(x, layer.weight))
