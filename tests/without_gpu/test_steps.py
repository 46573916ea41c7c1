"""The steps of training on a device: precision and gradients, with torch's fake tensors."""

import pytest
import torch

from configs import load_cfg
from loss.make_loss import make_loss
from loss.supcontrast import SupConLoss
from model.make_model_clipreid import make_model
from solver.make_optimizer_prompt import (
    make_optimizer_1stage,
    make_optimizer_2stage,
    make_optimizer_center,
)
from tests.fake_cuda import CUDA
from tests.without_gpu.overrides import BASE, CENTER
from utils.device import make_runtime

SIE = ('MODEL.SIE_CAMERA', True, 'MODEL.SIE_VIEW', True)
DTYPES = {'off': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
VARIANTS = {
    'RN50': ('RN50',),
    'ViT with SIE': ('ViT-B-16', *SIE),
    'RN50 base': ('RN50', *BASE),
    'ViT base': ('ViT-B-16', *BASE),
    'RN50 center': ('RN50', *CENTER),
    'ViT center alone': ('ViT-B-16', 'MODEL.METRIC_LOSS_TYPE', 'center'),
    'RN50 margin, no smoothing': ('RN50', 'MODEL.NO_MARGIN', False, 'MODEL.IF_LABELSMOOTH', 'off'),
    'ViT softmax sampler': ('ViT-B-16', 'DATALOADER.SAMPLER', 'softmax'),
}

CAMERAS, VIEWS, INDIVIDUALS, PHOTOS = 3, 2, 6, 8


def config(world, name, *opts):
    return load_cfg(world.yml(name), [str(word) for word in opts])


def toy_model(cfg):
    torch.manual_seed(0)
    return make_model(cfg, INDIVIDUALS, CAMERAS, VIEWS)


def toy_batch(device):
    """(images, target, cameras, views) of three individuals."""
    images = torch.randn(PHOTOS, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    numbers = torch.arange(PHOTOS)
    return tuple(t.to(device) for t in (images, numbers // 3, numbers % CAMERAS, numbers % VIEWS))


def stage2_terms(model, criterion, texts, runtime):
    """What stage 2 does in an iteration, up to the loss."""
    images, target, cameras, views = toy_batch(runtime.device)
    with runtime.autocast():
        score, feature, projected = model(images, cam_label=cameras, view_label=views)
    logits = None if texts is None else projected.to(texts.dtype) @ texts.T
    return criterion(score, feature, target, logits), feature


def all_texts(model, runtime):
    if not model.has_prompts:
        return None
    with torch.no_grad(), runtime.autocast():
        return model.sentence_encoder()(torch.arange(INDIVIDUALS, device=runtime.device)).float()


def stage1_loss(model, runtime):
    images, target, *_ = toy_batch(runtime.device)
    with torch.no_grad(), runtime.autocast():
        image = model(images, get_image=True).float()
    with runtime.autocast():
        text = model.sentence_encoder()(target)
    assert text.dtype == DTYPES.get(runtime.precision, torch.float32)
    contrast = SupConLoss()
    return contrast(image, text.float(), target, target) + contrast(
        text.float(), image, target, target
    )


@pytest.mark.parametrize('amp', DTYPES)
@pytest.mark.parametrize('variant', VARIANTS)
def test_terms_of_the_loss_are_float32_on_the_device(cuda, world, variant, amp):
    """With the casts that CUDA's autocast makes, which are others than the CPU's."""
    cfg, runtime = config(world, *VARIANTS[variant]), make_runtime('cuda', amp)
    model = toy_model(cfg)
    criterion = make_loss(cfg, INDIVIDUALS, model.feature_dim)
    with cuda, torch.no_grad():
        model.to(runtime.device), criterion.to(runtime.device)
        terms, feature = stage2_terms(model.train(), criterion, all_texts(model, runtime), runtime)
        if model.has_prompts:
            terms['stage 1'] = stage1_loss(model.eval(), runtime)
        test_features = model.eval()(toy_batch('cuda')[0])
    assert {
        term: (value.device, value.dtype, value.shape) for term, value in terms.items()
    } == dict.fromkeys(terms, (CUDA, torch.float32, ()))
    assert feature[2].dtype == DTYPES[amp]  # half precision has reached the end of the tower
    assert (test_features.device, test_features.dtype) == (CUDA, torch.float32)


@pytest.mark.parametrize('amp', DTYPES)
@pytest.mark.parametrize('name', ['RN50', 'ViT-B-16'])
def test_optimizers_step_on_the_device(cuda, world, name, amp):
    cfg, runtime = config(world, name, *CENTER), make_runtime('cuda', amp)
    model = toy_model(cfg)
    criterion = make_loss(cfg, INDIVIDUALS, model.feature_dim)
    with cuda:
        model.to(runtime.device), criterion.to(runtime.device)
        for optimizer in (
            make_optimizer_1stage(cfg, model),
            make_optimizer_2stage(cfg, model),
            make_optimizer_center(cfg, criterion),
        ):
            parameters = [
                parameter for group in optimizer.param_groups for parameter in group['params']
            ]
            for parameter in parameters:
                parameter.grad = torch.zeros_like(parameter)
            assert runtime.scaler.scale(torch.zeros((), device='cuda')).device == CUDA
            if isinstance(
                optimizer, torch.optim.SGD
            ):  # not fused: the scaler looks at a number, which a fake has not
                optimizer.step()
            else:
                assert optimizer.defaults['fused']
                runtime.scaler.step(optimizer)
                moments = [
                    tensor for state in optimizer.state.values() for tensor in state.values()
                ]
                assert moments and {tensor.device for tensor in moments} == {CUDA}


@pytest.mark.parametrize('variant', VARIANTS)
def test_every_trained_parameter_gets_a_gradient_in_half_precision(world, variant):
    cfg, runtime = config(world, *VARIANTS[variant]), make_runtime('cpu', 'bf16')
    model = toy_model(cfg)
    criterion = make_loss(cfg, INDIVIDUALS, model.feature_dim)
    optimizers = [make_optimizer_2stage(cfg, model)]
    if criterion.center is not None:
        optimizers.append(make_optimizer_center(cfg, criterion))
    terms, _ = stage2_terms(model.train(), criterion, all_texts(model, runtime), runtime)
    sum(terms.values()).backward()
    if model.has_prompts:
        optimizers.append(make_optimizer_1stage(cfg, model))
        stage1_loss(model.eval(), runtime).backward()
    trained = {
        id(parameter)
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group['params']
    }
    parameters = [*model.named_parameters(), *criterion.named_parameters()]
    assert trained == {id(parameter) for _, parameter in parameters if parameter.requires_grad}
    for name, parameter in parameters:
        if id(parameter) in trained:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
            assert parameter.grad.any() or name == 'image_encoder.attnpool.k_proj.bias', (
                name
            )  # the softmax cancels it
        else:
            assert parameter.grad is None, name
