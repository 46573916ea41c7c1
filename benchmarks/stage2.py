"""Rows about stage 2 at full size with the tiger settings: steps, features, losses, optimizer.

Weights and photos are random, which does not change the time. A training step consists of forward
pass, loss, backward pass and optimizer step; each way has its own copy of the model. On the CPU a
step has a quarter of the published batch of 64 unless ``--photos`` is given: nearly all of the time
is proportional to the number of photos, so the ratio hardly changes.
"""

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch

from benchmarks.core import Case, Settings, Ways
from benchmarks.inputs import INDIVIDUALS, photos_in_batch, random_model
from benchmarks.profiling import count_flops
from loss.make_loss import make_loss
from model.reid_model import ReIDModel
from solver.make_optimizer_prompt import make_optimizer_2stage
from tests.oracles import towers as oracle_towers
from utils.device import DTYPES, make_runtime

STEPS, QUICK_STEPS = 50, 5  # steps in the comparison of losses on an accelerator
STEP_GOALS = {'RN50': 1.35, 'ViT': 1.3}
FEATURE_GOALS = {'RN50': 1.3, 'ViT': 1.1}
# Tolerances of a step on the CPU, and in half precision on an accelerator. In RN50, batch norm on
# few photos amplifies rounding a thousandfold (see tests/golden/README.md). Half precision
# therefore shows only gross errors there, and the comparison of losses in float32 is the real test.
STEP_TOLERANCES = {'RN50': (5e-3, 3e-1), 'ViT': (1e-4, 5e-2)}
TITLES = {'RN50': 'RN50', 'ViT': 'ViT-B-16'}


def cases(settings: Settings) -> list[Case]:
    """Return the rows for these settings, except that of the optimizer."""
    rows = [step_case(settings, name) for name in TITLES]
    rows += [_feature_case(settings, name) for name in TITLES]
    return rows if settings.on_cpu else rows + [loss_case(settings, name) for name in TITLES]


def step_case(settings: Settings, name: str) -> Case:
    """Return the row of a training step of 'RN50' or 'ViT'."""
    return Case(
        f'{name.lower()}-step',
        f'{TITLES[name]} stage-2 step, {photos_in_batch(settings)} photos',
        functools.partial(_step, settings, name),
        goal=STEP_GOALS[name],
        tolerance=STEP_TOLERANCES[name][0 if settings.on_cpu else 1],
    )


def loss_case(settings: Settings, name: str) -> Case:
    """Return the row that compares the losses of both ways over many training steps."""
    return Case(
        f'{name.lower()}-losses',
        f'{name}: losses of {STEPS} stage-2 steps, float32',
        functools.partial(_losses, settings, name),
        rounds=1,
        tolerance=5e-2,
    )


def optimizer_case(settings: Settings) -> Case:
    """Return the row of an Adam step over all parameter groups of the ViT."""
    return Case(
        'optimizer',
        'Adam step, ViT-B-16, all groups',
        functools.partial(_optimizer, settings),
        goal=4.5,
    )


def _feature_case(settings: Settings, name: str) -> Case:
    return Case(
        f'{name.lower()}-features',
        f'{TITLES[name]} test features, {photos_in_batch(settings)} photos',
        functools.partial(_features, settings, name),
        goal=FEATURE_GOALS[name],
        tolerance=1e-4,
    )


class TwoTrainings:
    """The same training in both ways, on copies of one model and on the same batch.

    Args:
        settings: Device, seed and number of photos.
        name: 'RN50' or 'ViT'.
        autocast: Opens the context of the forward pass.
        warm_up: Whether to use the learning rate of the first epoch instead of the full one.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        autocast: Callable[[], AbstractContextManager],
        warm_up: bool = False,
    ) -> None:
        torch.manual_seed(settings.seed)
        _, model, self.cfg = random_model(settings, name)
        count, device = photos_in_batch(settings), settings.device
        photo = torch.randn(count, 3, *self.cfg.INPUT.SIZE_TRAIN, device=device)
        number = torch.arange(count, device=device)
        self.target = number // self.cfg.DATALOADER.NUM_INSTANCE % INDIVIDUALS
        self.texts = 0.1 * torch.randn(
            INDIVIDUALS, model.classifier_proj.in_features, device=device
        )
        self.criterion = make_loss(self.cfg, INDIVIDUALS)
        self.autocast, self.warm_up = autocast, warm_up
        self.start = copy.deepcopy(model.state_dict())
        plain = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
        self.models = {'plain': plain, 'ours': model}
        self.forward: dict[str, Callable[..., Any]] = {
            'plain': functools.partial(oracle_towers.forward, plain),
            'ours': model,
        }
        ordered = photo.contiguous(memory_format=torch.channels_last)
        self.photo = {'plain': photo, 'ours': ordered}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}

    def reset(self) -> None:
        """Restore both models, and make new optimizers."""
        for way, model in self.models.items():
            model.train().load_state_dict(self.start)
            self.optimizers[way] = make_optimizer_2stage(self.cfg, model)
            for group in self.optimizers[way].param_groups:
                group['lr'] *= self.cfg.SOLVER.STAGE2.WARMUP_FACTOR if self.warm_up else 1
        one_each = oracle_towers.groups_one_each(self.optimizers['plain'])
        self.optimizers['plain'] = torch.optim.Adam(one_each)

    def step(self, way: str) -> dict[str, torch.Tensor]:
        """Train one step of 'plain' or 'ours'; return its loss and features."""
        with self.autocast():
            score, feature, projected = self.forward[way](self.photo[way])
        logits = projected.float() @ self.texts.T
        loss = sum(self.criterion(score, feature, self.target, logits).values())
        self.optimizers[way].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizers[way].step()
        return {
            'loss': loss.detach(),
            'feature': feature[1].detach(),
            'projected': projected.detach(),
        }


@contextlib.contextmanager
def _step(settings: Settings, name: str) -> Iterator[Ways]:
    runtime = make_runtime(settings.device.type)
    both = TwoTrainings(settings, name, runtime.autocast)
    ours = functools.partial(both.step, 'ours')
    yield Ways(
        ours=ours,
        plain=functools.partial(both.step, 'plain'),
        reset=both.reset,
        flops=lambda: count_flops(ours),
        dtype=DTYPES.get(runtime.precision, torch.float32),
    )


@contextlib.contextmanager
def _losses(settings: Settings, name: str) -> Iterator[Ways]:
    """Train repeatedly on the same batch, in float32, with the learning rate of the first epoch.

    With the full rate, RN50 with random weights proves nothing: weights that differ by 1e-7 give
    losses that differ by 2 % after 3 steps.
    """
    both = TwoTrainings(settings, name, contextlib.nullcontext, warm_up=True)
    steps = QUICK_STEPS if settings.quick else STEPS

    def run(way: str) -> torch.Tensor:
        both.reset()
        return torch.stack([both.step(way)['loss'] for _ in range(steps)])

    yield Ways(plain=functools.partial(run, 'plain'), ours=functools.partial(run, 'ours'))


@contextlib.contextmanager
def _features(settings: Settings, name: str) -> Iterator[Ways]:
    _, model, cfg = random_model(settings, name)
    model.eval()
    size = photos_in_batch(settings), 3, *cfg.INPUT.SIZE_TEST
    photo = torch.randn(*size, device=settings.device)
    plain_model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    ordered = photo.contiguous(memory_format=torch.channels_last)  # as from the loader

    def plain() -> torch.Tensor:
        with torch.no_grad():
            return oracle_towers.test_features(plain_model, photo)

    def ours() -> torch.Tensor:
        with torch.inference_mode():
            return model(ordered)

    yield Ways(ours=ours, plain=plain, flops=lambda: count_flops(ours))


@contextlib.contextmanager
def _optimizer(settings: Settings) -> Iterator[Ways]:
    _, model, cfg = random_model(settings, 'ViT')
    plain_model = copy.deepcopy(model)
    optimizer = make_optimizer_2stage(cfg, model)
    one_each = oracle_towers.groups_one_each(make_optimizer_2stage(cfg, plain_model))
    plain_optimizer = torch.optim.Adam(one_each)
    for ours, plain in zip(model.parameters(), plain_model.parameters(), strict=True):
        if ours.requires_grad:
            ours.grad = 1e-3 * torch.randn_like(ours)
            plain.grad = ours.grad.clone()

    def step(optimizer: torch.optim.Optimizer, model: ReIDModel) -> dict[str, torch.Tensor]:
        optimizer.step()
        return {
            'classifier': model.classifier.weight.detach().clone(),
            'proj': model.image_encoder.get_parameter('proj').detach().clone(),
        }

    yield Ways(
        ours=functools.partial(step, optimizer, model),
        plain=functools.partial(step, plain_optimizer, plain_model),
    )
