"""The benchmark's rows about the model, at full size with the tiger settings: text tower, training
steps, features, optimizer.

Random weights and photos: neither changes the time. A training step is forward, loss, backward and
optimizer, of each way on its own copy of the model. On the CPU it takes a quarter of the published
batch of 64 unless ``--photos`` says more: nearly all of the time goes with the photos, so the ratio
hardly changes.
"""

import contextlib
import copy
import functools
import logging
from pathlib import Path

import torch

from benchmarks.core import Case, Ways, count_flops, seconds_of
from configs import load_cfg
from loss.make_loss import make_loss
from loss.supcontrast import SupConLoss
from model.make_model_clipreid import make_model
from solver.make_optimizer_prompt import make_optimizer_1stage, make_optimizer_2stage
from tests.oracles import towers as oracle_towers
from utils.device import make_runtime

INDIVIDUALS, BATCH = 107, 64  # ATRW's train list; IMS_PER_BATCH of both stages
YML = {'RN50': 'configs/tiger/cnn_clipreid.yml', 'ViT': 'configs/tiger/vit_clipreid.yml'}
ROOT = Path(__file__).resolve().parents[1]
STEPS, QUICK_STEPS = 50, 5  # of the comparison of losses on an accelerator


def cases(settings):
    """The rows for these settings."""
    photos = settings.photos or (
        8 if settings.quick else 16 if settings.device.type == 'cpu' else BATCH
    )
    prompts, individuals = (16, 32) if settings.quick else (BATCH, INDIVIDUALS)
    loose = settings.device.type != 'cpu'  # half precision there
    # the optimizer first: what temporaries cost depends on the memory that earlier rows have
    # touched
    rows = [
        Case(
            'optimizer',
            'Adam step, ViT-B-16, all groups',
            functools.partial(_optimizer, settings),
            goal=4.5,
        ),
        Case(
            'stage1-step',
            f'stage-1 step, {prompts} prompts, ViT text tower',
            functools.partial(_stage1_step, settings, prompts),
            goal=20,
            tolerance=5e-2 if loose else 1e-4,
        ),
        Case(
            'texts',
            f"all {individuals} individuals' text features",
            functools.partial(_texts, settings, individuals),
            goal=15,
            tolerance=5e-2 if loose else 1e-4,
        ),
        # RN50 in training: batch norm on few photos amplifies rounding a thousandfold, see the
        # golden README. In half
        # precision only gross errors show; the losses, in float32, are the test there.
        Case(
            'rn50-step',
            f'RN50 stage-2 step, {photos} photos',
            functools.partial(_stage2_step, settings, 'RN50', photos),
            goal=1.35,
            tolerance=3e-1 if loose else 5e-3,
        ),
        Case(
            'vit-step',
            f'ViT-B-16 stage-2 step, {photos} photos',
            functools.partial(_stage2_step, settings, 'ViT', photos),
            goal=1.3,
            tolerance=5e-2 if loose else 1e-4,
        ),
        Case(
            'rn50-features',
            f'RN50 test features, {photos} photos',
            functools.partial(_features, settings, 'RN50', photos),
            goal=1.3,
            tolerance=1e-4,
        ),
        Case(
            'vit-features',
            f'ViT-B-16 test features, {photos} photos',
            functools.partial(_features, settings, 'ViT', photos),
            goal=1.1,
            tolerance=1e-4,
        ),
    ]
    return rows + (loss_cases(settings, photos) if settings.device.type != 'cpu' else [])


def loss_cases(settings, photos):
    """Whether both ways train alike, step after step."""
    return [
        Case(
            f'{name.lower()}-losses',
            f'{name}: losses of {STEPS} stage-2 steps, float32',
            functools.partial(_losses, settings, name, photos),
            rounds=1,
            tolerance=5e-2,
        )
        for name in YML
    ]


# Stage 1


@contextlib.contextmanager
def _stage1_step(settings, prompts):
    """A batch of photo features: the plain way encodes a whole sentence for every photo, and
    gradients reach frozen weights.
    """
    torch.manual_seed(settings.seed)
    runtime, model, cfg = random_model(settings, 'ViT')
    plain_model = copy.deepcopy(model)
    plain_model.text_encoder.requires_grad_(True)
    images = torch.randn(prompts, model.classifier_proj.in_features, device=settings.device)
    labels = torch.randint(INDIVIDUALS, (prompts,))
    target, contrast = labels.to(settings.device), SupConLoss()
    with runtime.autocast():
        encode = model.sentence_encoder()

    def step(model, optimizer, texts):
        with runtime.autocast():
            text = texts()
        text = text.float()
        loss = contrast(images, text, target, target) + contrast(text, images, target, target)
        model.zero_grad(set_to_none=True)
        loss.backward()
        gradient = model.prompt_learner.cls_ctx.grad.clone()
        optimizer.step()
        return {'loss': loss.detach(), 'gradient': gradient}

    def ours():
        individuals, which = (t.to(settings.device) for t in labels.unique(return_inverse=True))
        return step(model, optimizer, lambda: encode(individuals)[which])

    def plain():
        return step(
            plain_model, plain_optimizer, lambda: oracle_towers.text_features(plain_model, target)
        )

    optimizer = make_optimizer_1stage(cfg, model)
    plain_optimizer = torch.optim.Adam(
        oracle_towers.groups_one_each(make_optimizer_1stage(cfg, plain_model))
    )
    yield Ways(ours=ours, plain=plain, flops=lambda: count_flops(ours), dtype=runtime.dtype)


@contextlib.contextmanager
def _texts(settings, individuals):
    runtime, model, _ = random_model(settings, 'ViT', individuals)
    everyone = torch.arange(individuals, device=settings.device)

    def ours():
        with torch.no_grad(), runtime.autocast():
            encode = model.sentence_encoder()
            return torch.cat([encode(some) for some in everyone.split(BATCH)])

    def plain():
        with torch.no_grad(), runtime.autocast():
            return torch.cat(
                [oracle_towers.text_features(model, some) for some in everyone.split(BATCH)]
            )

    yield Ways(ours=ours, plain=plain, flops=lambda: count_flops(ours), dtype=runtime.dtype)


def growth_stage1(individuals, settings):
    """A stage-1 epoch over ``individuals`` of ten photos each: one step of a full batch, timed
    warm, times the batches.
    """
    torch.manual_seed(settings.seed)
    runtime, model, cfg = random_model(settings, 'ViT', individuals)
    optimizer, contrast = make_optimizer_1stage(cfg, model), SupConLoss()
    with runtime.autocast():
        encode = model.sentence_encoder()
    images = torch.randn(BATCH, model.classifier_proj.in_features, device=settings.device)
    labels = torch.randint(individuals, (BATCH,))
    target = labels.to(settings.device)

    def step():
        chosen, which = (t.to(settings.device) for t in labels.unique(return_inverse=True))
        with runtime.autocast():
            text = encode(chosen)[which]
        text = text.float()
        loss = contrast(images, text, target, target) + contrast(text, images, target, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    step()
    seconds = sorted(seconds_of(step) for _ in range(3))[1]
    prompts = model.prompt_learner.cls_ctx
    batches = -(-10 * individuals // BATCH)
    return {
        'seconds_per_step': seconds,
        'batches': batches,
        'seconds_per_epoch': batches * seconds,
        'prompt_bytes': prompts.nbytes,
        'prompt_and_optimizer_bytes': 4 * prompts.nbytes,
    }  # gradient, two moments


# Stage 2


@contextlib.contextmanager
def _stage2_step(settings, name, photos):
    runtime = make_runtime(settings.device.type)
    steps, reset = _two_ways(settings, name, photos, runtime.autocast)
    yield Ways(**steps, reset=reset, flops=lambda: count_flops(steps['ours']), dtype=runtime.dtype)


@contextlib.contextmanager
def _losses(settings, name, photos):
    """The same batch again and again, in float32, at the rate that training starts with: both
    losses must fall alike.

    At the full rate RN50 proves nothing from random weights: weights 1e-7 apart have losses 2 %
    apart after 3 steps.
    """
    steps, reset = _two_ways(settings, name, photos, contextlib.nullcontext, warm_up=True)

    def run(way):
        reset()
        return torch.stack(
            [steps[way]()['loss'] for _ in range(QUICK_STEPS if settings.quick else STEPS)]
        )

    yield Ways(plain=functools.partial(run, 'plain'), ours=functools.partial(run, 'ours'))


def _two_ways(settings, name, photos, autocast, warm_up=False):
    """({'plain', 'ours'}: a stage-2 step each, on copies of one model; a function that puts both
    models back).

    warm_up: with the learning rate of the first epoch, else the full one.
    """
    torch.manual_seed(settings.seed)
    _, model, cfg = random_model(settings, name)
    photo = torch.randn(photos, 3, *cfg.INPUT.SIZE_TRAIN, device=settings.device)
    target = (
        torch.arange(photos, device=settings.device) // cfg.DATALOADER.NUM_INSTANCE % INDIVIDUALS
    )
    texts = 0.1 * torch.randn(
        INDIVIDUALS, model.classifier_proj.in_features, device=settings.device
    )
    criterion = make_loss(cfg, INDIVIDUALS)
    start = copy.deepcopy(model.state_dict())
    models = {
        'plain': copy.deepcopy(model).to(memory_format=torch.contiguous_format),
        'ours': model,
    }
    forward = {'plain': functools.partial(oracle_towers.forward, models['plain']), 'ours': model}
    photo = {'plain': photo, 'ours': photo.contiguous(memory_format=torch.channels_last)}
    optimizers = {}

    def reset():
        for way, each in models.items():
            each.train().load_state_dict(start)
            optimizers[way] = make_optimizer_2stage(cfg, each)
            for group in optimizers[way].param_groups:
                group['lr'] *= cfg.SOLVER.STAGE2.WARMUP_FACTOR if warm_up else 1
        optimizers['plain'] = torch.optim.Adam(oracle_towers.groups_one_each(optimizers['plain']))

    def step(way):
        with autocast():
            score, feature, projected = forward[way](photo[way])
        terms = criterion(score, feature, target, projected.float() @ texts.T)
        loss = sum(terms.values())
        optimizers[way].zero_grad(set_to_none=True)
        loss.backward()
        optimizers[way].step()
        return {
            'loss': loss.detach(),
            'feature': feature[1].detach(),
            'projected': projected.detach(),
        }

    return {way: functools.partial(step, way) for way in models}, reset


@contextlib.contextmanager
def _features(settings, name, photos):
    _, model, cfg = random_model(settings, name)
    model.eval()
    photo = torch.randn(photos, 3, *cfg.INPUT.SIZE_TEST, device=settings.device)
    plain_model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    ordered = photo.contiguous(memory_format=torch.channels_last)  # as the loader gives them

    def plain():
        with torch.no_grad():
            return oracle_towers.test_features(plain_model, photo)

    def ours():
        with torch.inference_mode():
            return model(ordered)

    yield Ways(ours=ours, plain=plain, flops=lambda: count_flops(ours))


@contextlib.contextmanager
def _optimizer(settings):
    _, model, cfg = random_model(settings, 'ViT')
    plain_model = copy.deepcopy(model)
    optimizer = make_optimizer_2stage(cfg, model)
    plain_optimizer = torch.optim.Adam(
        oracle_towers.groups_one_each(make_optimizer_2stage(cfg, plain_model))
    )
    for ours, plain in zip(model.parameters(), plain_model.parameters(), strict=True):
        if ours.requires_grad:
            ours.grad = 1e-3 * torch.randn_like(ours)
            plain.grad = ours.grad.clone()

    def step(optimizer, model):
        optimizer.step()
        return {
            'classifier': model.classifier.weight.detach().clone(),
            'proj': model.image_encoder.proj.detach().clone(),
        }

    yield Ways(
        ours=functools.partial(step, optimizer, model),
        plain=functools.partial(step, plain_optimizer, plain_model),
    )


def random_model(settings, name, individuals=INDIVIDUALS):
    """(runtime, model with random weights on the device, config)"""
    logger = logging.getLogger('transreid')
    level = logger.level
    logger.setLevel(logging.ERROR)  # of random weights we know
    cfg = load_cfg(
        ROOT / YML[name],
        ['MODEL.PRETRAIN_CHOICE', 'random', 'TEST.NECK_FEAT', 'before', *settings.options],
    )
    model = make_model(cfg, individuals).to(settings.device)
    logger.setLevel(level)
    return make_runtime(settings.device.type), model, cfg
