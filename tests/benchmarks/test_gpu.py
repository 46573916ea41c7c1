"""The paths of a GPU without a GPU: devices, precision and waits. What they take in time and memory
`make gpu` measures.
"""

import json
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import test_rerank_clipreid
import train_clipreid
from configs import load_cfg
from loss.make_loss import make_loss
from loss.supcontrast import SupConLoss
from model.make_model_clipreid import make_model
from solver.make_optimizer_prompt import (
    make_optimizer_1stage,
    make_optimizer_2stage,
    make_optimizer_center,
)
from tests.fake_cuda import CUDA, META, FakeCudaTensor, fake_cuda
from utils.checkpoint import copy_tree
from utils.device import make_runtime
from utils.reranking import ReRanking, re_rank_features, re_ranking

BASE = ('SOLVER.STAGE1.MAX_EPOCHS', 0, 'MODEL.I2T_LOSS_WEIGHT', 0)
SIE = ('MODEL.SIE_CAMERA', True, 'MODEL.SIE_VIEW', True)
CENTER = ('MODEL.METRIC_LOSS_TYPE', 'triplet_center')
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


# ---------------------------------------------------------------------------- torch's fake tensors


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


# -------------------------------------------------------------------------------------- whole runs


def epochs_of(world):
    lines = map(json.loads, (world.output / 'metrics.jsonl').read_text().splitlines())
    return [
        line for line in lines if line['event'] in ('stage1_epoch', 'stage2_epoch', 'validation')
    ]


@pytest.mark.parametrize(
    'name, amp, opts',
    [
        ('RN50', 'off', ('TEST.RE_RANKING', True)),
        ('ViT-B-16', 'fp16', (*CENTER, 'MODEL.SIE_CAMERA', True)),
        ('ViT-B-16', 'bf16', BASE),
    ],
)
def test_a_training_and_its_test_are_those_of_the_cpu(cuda, world, name, amp, opts):
    opts = (
        *opts,
        'SOLVER.STAGE1.MAX_EPOCHS',
        0 if opts == BASE else 1,
        'SOLVER.STAGE2.MAX_EPOCHS',
        1,
    )
    last = ('TEST.WEIGHT', world.output / f'{name}_1.pth')
    results, epochs = {}, {}
    for device, its_amp in (('cpu', 'off'), ('cuda', amp)):
        args = world.args('MODEL.DEVICE', device, 'SOLVER.AMP', its_amp, *opts, name=name)
        with fake_cuda():
            train_clipreid.main(args)
            results[device] = test_rerank_clipreid.main([*args, *map(str, last)])
        epochs[device] = epochs_of(world)
    assert results['cuda'] == pytest.approx(results['cpu'], abs=1e-6)
    for there, here in zip(epochs['cuda'], epochs['cpu'], strict=True):
        # a fake parameter is not the one of the CPU, so it is without the hook that scales the
        # centers' gradient
        numbers = [
            key
            for key in here
            if key.endswith('loss') and key != 'center_loss' or key in ('mAP', 'acc')
        ]
        assert numbers and {key: there[key] for key in numbers} == pytest.approx(
            {key: here[key] for key in numbers}, rel=1e-3
        )
    assert 'device_memory_gb' in epochs['cuda'][0]


def test_iterations_do_not_wait_for_the_device(cuda, world):
    """Twice as many iterations wait as often: at the ends of epochs and states."""
    counts = []
    for photos in (8, 4):
        opts = [
            'SOLVER.SEED',
            1,
            'MODEL.SIE_CAMERA',
            True,
            'OUTPUT_DIR',
            world.folder / str(photos),
        ]
        for stage in ('STAGE1', 'STAGE2'):
            opts += [
                f'SOLVER.{stage}.IMS_PER_BATCH',
                photos,
                f'SOLVER.{stage}.MAX_EPOCHS',
                1,
                f'SOLVER.{stage}.LOG_PERIOD',
                99,
            ]
        with fake_cuda() as waits:
            train_clipreid.main(world.args('MODEL.DEVICE', 'cuda', *opts, name='ViT-B-16'))
        counts.append(Counter(waits))
    assert counts[0] and counts[0] == counts[1]


class Operations(TorchDispatchMode):
    """Context that counts operations: by name, ``to_device`` those of them that copy from main
    memory to the GPU.
    """

    def __init__(self):
        super().__init__()
        self.names = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        copied = (
            name == '_to_copy'
            and args[0].device.type == 'cpu'
            and (kwargs or {}).get('device') == META
        )
        self.names['to_device' if copied else name] += 1
        return func(*args, **(kwargs or {}))


def test_an_iteration_of_stage_1_copies_once(cuda, world):
    counts = []
    for epochs in (1, 2):
        with fake_cuda(), Operations() as operations:
            train_clipreid.main(
                world.args(
                    'MODEL.DEVICE',
                    'cuda',
                    'SOLVER.STAGE1.MAX_EPOCHS',
                    epochs,
                    'SOLVER.STAGE2.MAX_EPOCHS',
                    0,
                    'OUTPUT_DIR',
                    world.folder / str(epochs),
                )
            )
        counts.append(operations.names['to_device'])
    iterations = 3  # 24 photos, 8 at a time
    assert counts[1] - counts[0] == iterations


def test_a_state_is_copied_once(cuda):
    with fake_cuda():
        there = torch.arange(6.0).view(2, 3).to('cuda')
        here = torch.ones(3)
        with Operations() as operations:
            copy = copy_tree({'there': there, 'here': [here]})
    assert operations.names == Counter({'detach': 2, '_to_copy': 2})
    here.zero_()
    assert torch.equal(copy['there'], torch.arange(6.0).view(2, 3)) and torch.equal(
        copy['here'][0], torch.ones(3)
    )


@pytest.mark.parametrize('metric', ['cosine', 'euclidean'])
def test_re_ranking_is_that_of_the_cpu(cuda, metric):
    generator = torch.Generator().manual_seed(3)
    features = F.normalize(torch.randn(60, 16, generator=generator))
    query, gallery = torch.arange(20), torch.arange(10, 60)
    here = re_rank_features(features, query, gallery, ReRanking(8, 3), metric)
    with fake_cuda():
        there = re_rank_features(features.to('cuda'), query, gallery, ReRanking(8, 3), metric)
        if metric == 'cosine':
            q, g = (features[index].to('cuda') for index in (query, gallery))
            given = re_ranking(q @ g.T, q @ q.T, g @ g.T, k1=8, k2=3)
            np.testing.assert_allclose(given, here, atol=1e-5)
    np.testing.assert_allclose(there, here, atol=1e-6)


def test_the_fake_device_is_as_strict_as_a_gpu(cuda):
    with fake_cuda() as waits:
        here, there = torch.arange(3.0), torch.ones(3, device='cuda')
        assert (
            isinstance(there, FakeCudaTensor)
            and there.device == CUDA
            and (there + 1).device == CUDA
        )
        assert torch.equal((there * torch.tensor(2.0)).cpu(), torch.full((3,), 2.0))
        for mix in (
            lambda: there + here,
            lambda: torch.stack([there, here]),
            lambda: F.linear(here[None], there[None]),
        ):
            with pytest.raises(RuntimeError, match='tensors on cuda and on cpu'):
                mix()
        with pytest.raises((TypeError, RuntimeError)):
            there.numpy()
        waits.clear()
        (
            here.to('cuda', non_blocking=True),
            there[torch.arange(2, device='cuda')],
            there.clone().fill_(2),
        )
        assert not waits
        here.to('cuda'), torch.tensor([1], device='cuda'), there[torch.tensor([1])]
        there.cpu(), there.sum().item(), there.nonzero(), there.tolist()
    assert len(waits) == 7


# --------------------------------------------------------------------------------------- gradients


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
