"""The model against numbers of the original implementation (tests/golden/README.md): building,
outputs, first steps.
"""

import functools
import json
from unittest import mock

import numpy as np
import pytest
import torch

from configs import load_cfg
from loss.make_loss import make_loss
from loss.supcontrast import SupConLoss
from model.clip.open_clip import Activation
from model.make_model_clipreid import make_model
from model.prompt import find_slots, sentence_for
from solver.lr_scheduler import make_scheduler_1stage, make_scheduler_2stage
from solver.make_optimizer_prompt import make_optimizer_1stage, make_optimizer_2stage
from tests.golden import fab
from tests.helpers import GOLDEN, ROOT

YML = {'rn50': 'cnn', 'vit': 'vit', 'vit_sie': 'vit'}
CLASSES = 5
OPENAI = Activation('quickgelu', 'a test', True)


@functools.cache
def fabricated(name, shape):
    """A tensor of the golden README; the models share the text encoder's."""
    return torch.from_numpy(np.asarray(fab.tensor(name, shape)))


def fabricated_state(file):
    shapes = json.loads((GOLDEN / file).read_text())
    return {name: fabricated(name, tuple(shape)) for name, shape in shapes.items()}


@pytest.fixture(scope='module', params=list(YML))
def case(request):
    """(kind, cfg, model built from fabricated CLIP weights, the fabricated trained state, norm and
    sum as built)
    """
    kind = request.param
    sie = ['MODEL.SIE_CAMERA', 'True'] if kind == 'vit_sie' else []
    cfg = load_cfg(ROOT / f'configs/tiger/{YML[kind]}_clipreid.yml', sie)
    clip = fabricated_state(f'clip_shapes_{kind.split("_")[0]}.json')
    with mock.patch('model.make_model_clipreid.load_clip', lambda *_: (clip, OPENAI)):
        model = make_model(cfg, CLASSES, camera_num=3 if sie else 0)
    built = {n: t.clone() for n, t in model.state_dict().items()}
    yield kind, cfg, model, fabricated_state(f'state_dict_{kind}.json'), built


def test_names_shapes_and_order(case):
    kind, _, model, _, _ = case
    expected = json.loads((GOLDEN / f'state_dict_{kind}.json').read_text())
    assert [(n, list(t.shape)) for n, t in model.state_dict().items()] == list(expected.items())
    assert all(t.dtype == torch.float32 for t in model.parameters())


def test_building(case):
    kind, cfg, model, _, built = case
    if kind == 'vit_sie':
        pytest.skip('built as vit')
    golden = np.load(GOLDEN / f'build_{kind}.npz')
    arrays = [n for n in golden.files if n in built]
    assert len(arrays) == 3
    for name in arrays:
        np.testing.assert_allclose(built[name].numpy(), golden[name], atol=1e-6)
    tokens, _ = find_slots(sentence_for(cfg.DATASETS.NAMES))
    assert tokens.tolist() == golden['tokenized_prompts'].tolist()
    for name, total, norm in zip(golden['names'], golden['sums'], golden['norms'], strict=True):
        tensor = built[str(name)].double()
        assert float(tensor.norm()) == pytest.approx(norm, rel=1e-6, abs=1e-9), name
        assert float(tensor.sum()) == pytest.approx(total, abs=1e-4), name


def close(ours, golden, tolerance):
    """Largest difference over the largest value, the measure of the golden README."""
    ours, golden = np.asarray(ours, np.float64), np.asarray(golden, np.float64)
    assert ours.shape == golden.shape
    assert np.abs(ours - golden).max() <= tolerance * np.abs(golden).max()


def test_outputs(case):
    kind, _, model, state, _ = case
    golden = np.load(GOLDEN / f'model_{kind}.npz')
    images = torch.from_numpy(fab.images(4, 256, 128, 0))
    cameras = torch.tensor([0, 1, 2, 1]) if kind == 'vit_sie' else None
    model.load_state_dict(state)
    model.eval()
    with torch.no_grad():
        for neck in ('before', 'after'):
            model.neck_feat = neck
            close(model(images, cam_label=cameras), golden[f'feat_{neck}'], 1e-5)
        close(model(images, get_image=True, cam_label=cameras), golden['get_image'], 1e-5)
        close(model(label=torch.arange(CLASSES), get_text=True), golden['text'], 1e-5)
        if cameras is not None:
            model.neck_feat = 'before'
            close(model(images), golden['feat_before_no_camera'], 1e-5)
        model.train()
        scores, features, projected = model(images, cam_label=cameras)
    assert projected is features[2]
    resnet = kind == 'rn50'
    for name, value in zip(('score0', 'score1'), scores, strict=True):
        close(value, golden[name], 1e-3 if resnet else 1e-4)
    for name, value in zip(('f_last', 'f', 'f_proj'), features, strict=True):
        close(value, golden[name], 1e-3 if resnet else 1e-5)
    for name in golden.files:
        if name.startswith('after_train.'):
            close(
                model.state_dict()[name.removeprefix('after_train.')],
                golden[name],
                1e-3 if resnet else 1e-5,
            )


def test_stage1_steps(case):
    kind, cfg, model, state, _ = case
    if kind == 'vit_sie':
        pytest.skip('the text side is that of vit')
    golden = json.loads((GOLDEN / f'steps_{kind}.json').read_text())['stage1']
    model.load_state_dict(state)
    model.eval()
    features = 0.3 * torch.from_numpy(
        fab.tensor('stage1_features', (12, golden['feature_dim']), 0, 'normal')
    )
    labels, contrast = torch.tensor(golden['labels']), SupConLoss()
    optimizer = make_optimizer_1stage(cfg, model)
    scheduler = make_scheduler_1stage(cfg, optimizer)
    step = 0
    for epoch in (1, 2):
        scheduler.step(epoch)
        for chosen in torch.arange(12).split(4):
            target = labels[chosen]
            individuals, which = target.unique(return_inverse=True)
            text = model(label=individuals, get_text=True)[which]
            i2t, t2i = (
                contrast(*pair, target, target)
                for pair in ((features[chosen], text), (text, features[chosen]))
            )
            optimizer.zero_grad()
            (i2t + t2i).backward()
            optimizer.step()
            assert optimizer.param_groups[0]['lr'] == pytest.approx(golden['lr'][step], rel=1e-9)
            for value, name in ((i2t + t2i, 'loss'), (i2t, 'loss_i2t'), (t2i, 'loss_t2i')):
                assert value.item() == pytest.approx(golden[name][step], rel=1e-4), (step, name)
            prompts = model.state_dict()['prompt_learner.cls_ctx']
            assert float(prompts.double().norm()) == pytest.approx(
                golden['cls_ctx_norm'][step], rel=1e-5
            )
            assert float(prompts.double().sum()) == pytest.approx(
                golden['cls_ctx_sum'][step], abs=1e-3
            )
            step += 1


# tolerances of the golden README: (loss, parts, gradient norm) of steps 1, 2, 3; then norms,
# changes, features, their norms
TOLERANCES = {
    'vit': ([(1e-4, 1e-4, 1e-3)] * 3, 1e-6, 1e-3, 1e-4, 1e-4),
    'rn50': ([(1e-4, 1e-4, 3e-3), (1e-2, 2e-2, 5e-2), (3e-2, 0.1, 0.1)], 1e-4, 3e-2, 5e-2, 5e-3),
    'rn50_float64': ([(1e-5, 1e-5, 1e-5)] * 3, 1e-5, 1e-5, 1e-5, 1e-5),
}


@pytest.mark.parametrize('precision', ['float32', 'float64'])
def test_stage2_steps(case, precision):
    kind, cfg, model, state, _ = case
    if kind == 'vit_sie' or (kind, precision) == ('vit', 'float64'):
        pytest.skip('not measured on the original')
    if precision == 'float64':
        golden, tolerances = (
            json.loads((GOLDEN / 'steps_rn50_float64.json').read_text()),
            TOLERANCES['rn50_float64'],
        )
        model.double()
    else:
        golden, tolerances = (
            json.loads((GOLDEN / f'steps_{kind}.json').read_text())['stage2'],
            TOLERANCES[kind],
        )
    try:
        _stage2_steps(golden, tolerances, cfg, model, state)
    finally:
        model.float()


def _stage2_steps(golden, tolerances, cfg, model, state):
    per_step, *after_tolerances = tolerances
    dtype = model.classifier.weight.dtype
    model.load_state_dict(state)
    target = torch.tensor(golden['labels'])
    with torch.no_grad():
        texts = model(label=torch.arange(CLASSES), get_text=True)
    criterion = make_loss(cfg, CLASSES)
    optimizer = make_optimizer_2stage(cfg, model)
    scheduler = make_scheduler_2stage(cfg, optimizer)
    trained = [p for group in optimizer.param_groups for p in group['params']]
    for step in range(3):
        loss_tolerance, part_tolerance, gradient_tolerance = per_step[step]
        scheduler.step(step + 1)
        model.train()
        images = torch.from_numpy(fab.images(8, 256, 128, 0 + step + 1)).to(dtype)
        scores, features, projected = model(images)
        logits = projected @ texts.T
        terms = criterion(scores, features, target, logits)
        loss = sum(terms.values())
        optimizer.zero_grad()
        loss.backward()
        gradient = torch.stack(
            [p.grad.double().norm() for p in trained if p.grad is not None]
        ).norm()
        assert float(loss.detach()) == pytest.approx(golden['loss'][step], rel=loss_tolerance)
        weights = {'id': cfg.MODEL.ID_LOSS_WEIGHT, 'triplet': 1, 'i2t': 1}
        parts = {
            'id': golden['id0'][step] + golden['id1'][step],
            'i2t': golden['i2t'][step],
            'triplet': sum(golden[f'tri_{part}'][step] for part in ('last', 'f', 'proj')),
        }
        for name, part in parts.items():
            assert float(terms[name].detach()) / weights[name] == pytest.approx(
                part, rel=part_tolerance
            ), (step, name)
        assert float(gradient) == pytest.approx(golden['grad_norm'][step], rel=gradient_tolerance)
        assert (logits.argmax(1) == target).double().mean().item() == golden['acc'][step]
        rates = [g['lr'] for g in optimizer.param_groups]
        assert min(rates) == pytest.approx(golden['lr_weight'][step], rel=1e-9)
        assert max(rates) == pytest.approx(golden['lr_bias'][step], rel=1e-9)
        optimizer.step()
    _check_after_steps(golden, after_tolerances, model, state)


def _check_after_steps(golden, tolerances, model, state):
    norm_tolerance, change_tolerance, feature_tolerance, feature_norm_tolerance = tolerances
    dtype = model.classifier.weight.dtype
    after = model.state_dict()
    for name, norm in golden['norms_after'].items():
        assert float(after[name].double().norm()) == pytest.approx(norm, rel=norm_tolerance), name
    for name, norm in golden['change_norms'].items():
        assert float((after[name].double() - state[name].double()).norm()) == pytest.approx(
            norm, rel=change_tolerance
        ), name
    for name in after:
        if name in golden['unchanged'] or name.startswith(('text_encoder.', 'prompt_learner.')):
            assert torch.equal(after[name], state[name].to(after[name].dtype)), name
    model.eval()
    model.neck_feat = 'before'
    with torch.no_grad():
        features = model(torch.from_numpy(fab.images(4, 256, 128, 0)).to(dtype))
    close(features[:, :16], golden['feat_before_first16'], feature_tolerance)
    np.testing.assert_allclose(
        features.norm(dim=1), golden['feat_before_norm'], rtol=feature_norm_tolerance
    )
