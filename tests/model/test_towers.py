"""The towers' shortcuts against the plain formulation (oracles/towers.py): values and gradients in
float64.
"""

import copy
import shutil

import pytest
import torch
import torch.nn.functional as F

from configs import load_cfg
from loss.supcontrast import SupConLoss
from model.clip.open_clip import Activation
from model.make_model_clipreid import make_model
from tests.helpers import toy_clip_state
from tests.oracles import towers as oracle_towers
from utils import linear as linear_module
from utils.linear import Linear, linear

CLASSES = 6
OPENAI = Activation('quickgelu', 'a test', True)


def toy_model(monkeypatch, name, *opts):
    state = toy_clip_state(name)
    monkeypatch.setattr('model.make_model_clipreid.load_clip', lambda *_: (state, OPENAI))
    cfg = load_cfg(
        '',
        ['MODEL.NAME', name, 'INPUT.SIZE_TRAIN', '[64, 32]', 'INPUT.SIZE_TEST', '[64, 32]', *opts],
    )
    model = make_model(cfg, CLASSES, camera_num=3, view_num=2)
    for parameter in model.parameters():  # biases and norms away from 0 and 1
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.double()


def gradients(model, loss):
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def same(ours, plain, tolerance=1e-10):
    """Compare nested tensors; ``tolerance`` is relative to the largest value."""
    if isinstance(ours, (list, tuple)):
        for pair in zip(ours, plain, strict=True):
            same(*pair, tolerance)
    else:
        torch.testing.assert_close(
            ours, plain, rtol=0, atol=tolerance * max(1e-3, plain.abs().max().item())
        )


# Text


@pytest.mark.parametrize(
    'prompt',
    [
        '',
        'X X X X',
        'A photo of a X X X X tiger.',
        'A photo of the rather shy X X X X leopard in the high mountains of Asia.',
        'X X X X ' + ' '.join(['tiger'] * 71),
    ],
)
@pytest.mark.parametrize('labels', [[2], [0, 1, 2, 3, 4, 5], [3, 3, 3, 1, 1, 5], [4, 4]])
def test_text_features(monkeypatch, prompt, labels):
    model = toy_model(monkeypatch, 'ViT-B-16', 'MODEL.PROMPT', prompt)
    labels = torch.tensor(labels)
    weight = torch.randn(len(labels), 64, dtype=torch.float64)
    individuals, which = labels.unique(return_inverse=True)
    ours = model.sentence_encoder()(individuals)[which]
    plain = oracle_towers.text_features(model, labels)
    same(ours, plain)
    ours, plain = (gradients(model, (text * weight).sum()) for text in (ours, plain))
    assert list(ours) == list(plain) == ['prompt_learner.cls_ctx']  # frozen weights get no gradient
    same(ours['prompt_learner.cls_ctx'], plain['prompt_learner.cls_ctx'])


def test_a_sentence_of_77_words_is_read_to_its_end(monkeypatch):
    model = toy_model(
        monkeypatch, 'ViT-B-16', 'MODEL.PROMPT', 'X X X X ' + ' '.join(['tiger'] * 71)
    )
    assert model.end == 76


def test_text_features_follow_the_weights(monkeypatch):
    """``get_text`` uses the current weights, also after others were loaded."""
    model = toy_model(monkeypatch, 'ViT-B-16')
    labels = torch.arange(CLASSES)
    with torch.no_grad():
        before, encode = model(label=labels, get_text=True), model.sentence_encoder()
        same(encode(labels), before)
        for parameter in model.text_encoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        after = model(label=labels, get_text=True)
        assert (after - before).abs().max() > 1e-3
        same(after, oracle_towers.text_features(model, labels))


def test_a_stage_1_step(monkeypatch):
    """Encoding each individual once gives the prompts the same gradient as encoding every photo's
    sentence, in both directions of the contrast.
    """
    model = toy_model(monkeypatch, 'ViT-B-16')
    labels = torch.tensor([5, 0, 0, 3, 5, 5, 1])
    images, contrast = torch.randn(len(labels), 64, dtype=torch.float64), SupConLoss()
    individuals, which = labels.unique(return_inverse=True)
    found = []
    for text in (
        model.sentence_encoder()(individuals)[which],
        oracle_towers.text_features(model, labels),
    ):
        loss = contrast(images, text, labels, labels) + contrast(text, images, labels, labels)
        found.append((loss.detach(), gradients(model, loss)['prompt_learner.cls_ctx']))
    same(*found)
    assert not found[0][1][[2, 4]].any()  # individuals that are not in the batch


# Photos


@pytest.mark.parametrize(
    'name, opts',
    [
        ('RN50', ()),
        ('ViT-B-16', ()),
        ('ViT-B-16', ('MODEL.STRIDE_SIZE', '[8, 12]')),
        ('ViT-B-16', ('MODEL.SIE_CAMERA', 'True', 'MODEL.SIE_VIEW', 'True')),
    ],
)
@pytest.mark.parametrize('photos', [2, 5])
def test_image_features(monkeypatch, name, opts, photos):
    model = toy_model(monkeypatch, name, *opts).train()
    plain_model = copy.deepcopy(model)
    images = torch.randn(photos, 3, 64, 32, dtype=torch.float64)
    side = (
        {'cam_label': torch.arange(photos) % 3, 'view_label': torch.arange(photos) % 2}
        if 'MODEL.SIE_VIEW' in opts
        else {}
    )
    ours, plain = model(images, **side), oracle_towers.forward(plain_model, images, **side)
    same(ours, plain)
    scores, features, _ = ours
    weights = [torch.randn_like(tensor) for tensor in (*scores, *features)]
    found = []
    for each, (scores, features, _) in ((model, ours), (plain_model, plain)):
        found.append(
            gradients(
                each, sum((w * t).sum() for w, t in zip(weights, (*scores, *features), strict=True))
            )
        )
    assert found[0].keys() == found[1].keys()
    assert 'image_encoder.attnpool.k_proj.bias' in found[0] or name != 'RN50'
    for parameter in found[0]:
        same(found[0][parameter], found[1][parameter], 1e-9)
    for a, b in zip(model.buffers(), plain_model.buffers(), strict=True):
        same(a.double(), b.double())

    model.eval(), plain_model.eval()
    with torch.inference_mode():
        model.neck_feat = 'before'
        same(model(images), oracle_towers.test_features(plain_model, images))
        same(model(images, get_image=True), oracle_towers.image_features(plain_model, images)[2])


@pytest.mark.parametrize('name', ['RN50', 'ViT-B-16'])
def test_half_precision(monkeypatch, name):
    """The shortcuts under autocast, the closest to a GPU's precision that a CPU can test."""
    model = toy_model(monkeypatch, name).float().train()
    plain_model = copy.deepcopy(model)
    images, labels = torch.randn(4, 3, 64, 32), torch.arange(CLASSES)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        ours, plain = model(images), oracle_towers.forward(plain_model, images)
        texts = model.sentence_encoder()(labels), oracle_towers.text_features(plain_model, labels)
    same(tuple(t.float() for t in ours[1]), tuple(t.float() for t in plain[1]), 5e-2)
    same(*(text.float() for text in texts), 5e-2)
    sum(feature.float().square().sum() for feature in ours[1]).backward()
    texts[0].float().square().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert model.prompt_learner.cls_ctx.grad.abs().max() > 0


@pytest.mark.skipif(
    not any(map(shutil.which, ('c++', 'g++', 'clang++'))), reason='needs a C++ compiler'
)
def test_compiled_encoder(monkeypatch):
    """A compiled encoder has the same state dict and the same features."""
    model = toy_model(monkeypatch, 'ViT-B-16').float()
    torch.manual_seed(0)
    compiled = toy_model(monkeypatch, 'ViT-B-16', 'MODEL.COMPILE', 'True').float()
    compiled.load_state_dict(model.state_dict())
    images = torch.randn(3, 3, 64, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            compiled.eval()(images), model.eval()(images), rtol=1e-4, atol=1e-4
        )
    assert compiled.image_encoder._compiled_call_impl is not None


# Products


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
