"""Rows about stage 1 at full size with the tiger settings: the text tower and its training."""

import contextlib
import copy
import functools
import math
from collections.abc import Callable, Iterator

import torch

from benchmarks.core import Case, Facts, Settings, Ways, seconds_of
from benchmarks.inputs import BATCH, INDIVIDUALS, random_model
from benchmarks.profiling import count_flops
from loss.supcontrast import SupConLoss
from model.reid_model import ReIDModel
from solver.make_optimizer_prompt import make_optimizer_1stage
from tests.oracles import towers as oracle_towers
from utils.device import DTYPES

PHOTOS = 10  # photos per individual for the estimate of the cost of an epoch


def cases(settings: Settings) -> list[Case]:
    """Return the rows for these settings."""
    prompts, individuals = (16, 32) if settings.quick else (BATCH, INDIVIDUALS)
    tolerance = 1e-4 if settings.on_cpu else 5e-2  # half precision on an accelerator
    return [
        Case(
            'stage1-step',
            f'stage-1 step, {prompts} prompts, ViT text tower',
            functools.partial(_step, settings, prompts),
            goal=20,
            tolerance=tolerance,
        ),
        Case(
            'texts',
            f"all {individuals} individuals' text features",
            functools.partial(_texts, settings, individuals),
            goal=15,
            tolerance=tolerance,
        ),
    ]


class PhotoBatch:
    """Generated features of a batch of photos, their labels, and the contrastive loss."""

    def __init__(self, settings: Settings, model: ReIDModel, photos: int, individuals: int) -> None:
        dimensions = model.classifier_proj.in_features
        self.features = torch.randn(photos, dimensions, device=settings.device)
        self.labels = torch.randint(individuals, (photos,))
        self.target = self.labels.to(settings.device)
        self.contrast = SupConLoss()

    def distinct(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the distinct individuals of the batch, and the position of each photo's one."""
        individuals, positions = self.labels.unique(return_inverse=True)
        return individuals.to(self.target.device), positions.to(self.target.device)

    def loss(self, text: torch.Tensor) -> torch.Tensor:
        """Return the loss of stage 1 for text features, one row per photo."""
        to_texts = self.contrast(self.features, text, self.target, self.target)
        return to_texts + self.contrast(text, self.features, self.target, self.target)


@contextlib.contextmanager
def _step(settings: Settings, prompts: int) -> Iterator[Ways]:
    """Train one step; the plain way encodes a sentence per photo, with gradients of all weights."""
    torch.manual_seed(settings.seed)
    runtime, model, cfg = random_model(settings, 'ViT')
    plain_model = copy.deepcopy(model)
    plain_model.text_encoder.requires_grad_(True)
    batch = PhotoBatch(settings, model, prompts, INDIVIDUALS)
    with runtime.autocast():
        encode = model.sentence_encoder()
    optimizer = make_optimizer_1stage(cfg, model)
    one_each = oracle_towers.groups_one_each(make_optimizer_1stage(cfg, plain_model))
    plain_optimizer = torch.optim.Adam(one_each)

    def step(
        model: ReIDModel, optimizer: torch.optim.Optimizer, texts: Callable[[], torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        with runtime.autocast():
            text = texts()
        loss = batch.loss(text.float())
        model.zero_grad(set_to_none=True)
        loss.backward()
        gradient = model.prompt_learner.cls_ctx.grad
        assert gradient is not None
        gradient = gradient.clone()
        optimizer.step()
        return {'loss': loss.detach(), 'gradient': gradient}

    def ours() -> dict[str, torch.Tensor]:
        individuals, positions = batch.distinct()
        return step(model, optimizer, lambda: encode(individuals)[positions])

    def plain() -> dict[str, torch.Tensor]:
        texts = functools.partial(oracle_towers.text_features, plain_model, batch.target)
        return step(plain_model, plain_optimizer, texts)

    yield Ways(
        ours=ours,
        plain=plain,
        flops=lambda: count_flops(ours),
        dtype=DTYPES.get(runtime.precision, torch.float32),
    )


@contextlib.contextmanager
def _texts(settings: Settings, individuals: int) -> Iterator[Ways]:
    runtime, model, _ = random_model(settings, 'ViT', individuals)
    batches = torch.arange(individuals, device=settings.device).split(BATCH)

    def ours() -> torch.Tensor:
        with torch.no_grad(), runtime.autocast():
            encode = model.sentence_encoder()
            return torch.cat([encode(batch) for batch in batches])

    def plain() -> torch.Tensor:
        with torch.no_grad(), runtime.autocast():
            return torch.cat([oracle_towers.text_features(model, batch) for batch in batches])

    yield Ways(
        ours=ours,
        plain=plain,
        flops=lambda: count_flops(ours),
        dtype=DTYPES.get(runtime.precision, torch.float32),
    )


def growth(individuals: int, settings: Settings) -> Facts:
    """Estimate the cost of a stage-1 epoch over ``individuals`` with ten photos each.

    One step of a full batch is timed after a warm-up, and multiplied by the number of batches.
    """
    torch.manual_seed(settings.seed)
    runtime, model, cfg = random_model(settings, 'ViT', individuals)
    optimizer = make_optimizer_1stage(cfg, model)
    with runtime.autocast():
        encode = model.sentence_encoder()
    batch = PhotoBatch(settings, model, BATCH, individuals)

    def step() -> None:
        chosen, positions = batch.distinct()
        with runtime.autocast():
            text = encode(chosen)[positions]
        loss = batch.loss(text.float())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    step()
    seconds = sorted(seconds_of(step) for _ in range(3))[1]
    prompts = model.prompt_learner.cls_ctx
    batches = math.ceil(PHOTOS * individuals / BATCH)
    return {
        'seconds_per_step': seconds,
        'batches': batches,
        'seconds_per_epoch': batches * seconds,
        'prompt_bytes': prompts.nbytes,
        'prompt_and_optimizer_bytes': 4 * prompts.nbytes,  # prompts, gradients, two moments
    }
