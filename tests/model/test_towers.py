"""Shortcuts of the towers compared with oracles/towers.py: values and gradients in float64."""

import copy
import shutil

import pytest
import torch

from configs import load_cfg
from loss.supcontrast import SupConLoss
from model.clip.open_clip import Activation
from model.make_model_clipreid import make_model
from tests.helpers import toy_clip_state
from tests.oracles import towers as oracle_towers

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
    quick = {'compile_threads': 1, 'cpp.vec_isa_ok': False}  # a quarter of the compiler's time
    model = toy_model(monkeypatch, 'ViT-B-16').float()
    torch.manual_seed(0)
    compiled = toy_model(monkeypatch, 'ViT-B-16', 'MODEL.COMPILE', 'True').float()
    compiled.load_state_dict(model.state_dict())
    images = torch.randn(3, 3, 64, 32)
    with torch.no_grad(), torch._inductor.config.patch(quick):
        torch.testing.assert_close(
            compiled.eval()(images), model.eval()(images), rtol=1e-4, atol=1e-4
        )
    assert compiled.image_encoder._compiled_call_impl is not None
