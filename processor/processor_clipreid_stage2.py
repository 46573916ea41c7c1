"""Stage 2: the image encoder is fine-tuned against the frozen text features of all individuals."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from typing import NamedTuple, cast

import torch

from datasets.make_dataloader_clipreid import TestSet
from datasets.sampler import EpochBatches
from datasets.workers import ImageLoader
from loss.make_loss import Stage2Loss
from model.reid_model import ReIDModel
from processor.heartbeat import Heartbeat
from processor.inference import validate
from processor.results import report, report_copies
from processor.steps import LossCheck, is_due, update
from solver.lr_scheduler import EpochScheduler
from utils.device import Runtime
from utils.logger import progress
from utils.meter import Stopwatch, Waiting
from utils.run.journal import Journal, Stateful
from utils.torch_errors import translated_errors

logger = logging.getLogger('transreid.train')

TEXT_BATCH = 64  # individuals whose text features are computed at once


@dataclass(frozen=True)
class Stage2Setup:
    """What stage 2 trains, and how."""

    model: ReIDModel
    loader: ImageLoader  # random transform and sampler
    validation: TestSet | None
    criterion: Stage2Loss
    optimizer: torch.optim.Optimizer
    center_optimizer: torch.optim.Optimizer | None  # of the criterion's centers, if it has any
    scheduler: EpochScheduler
    epochs: int
    log_period: int  # iterations
    checkpoint_period: int  # epochs; the last one is always saved
    eval_period: int  # epochs; the last one is always validated
    normalise: bool = True  # the features, in validation
    rerank: bool = False  # in validation

    @property
    def batches(self) -> EpochBatches:
        """The sampler of the loader."""
        return cast(EpochBatches, self.loader.batch_sampler)

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """All that step in an iteration."""
        return [self.optimizer, *([self.center_optimizer] if self.center_optimizer else [])]

    @property
    def parts(self) -> dict[str, Stateful]:
        """What a resumed run must restore besides the model."""
        parts: dict[str, Stateful] = {'optimizer': self.optimizer, 'criterion': self.criterion}
        return parts | (
            {'center_optimizer': self.center_optimizer} if self.center_optimizer else {}
        )


class Forward(NamedTuple):
    """What an iteration computes; of several processes, from the photos of all."""

    terms: dict[str, torch.Tensor]  # weighted, their sum is the loss
    accuracy: torch.Tensor
    photos: int


@translated_errors('SOLVER.STAGE2.IMS_PER_BATCH (training) or TEST.IMS_PER_BATCH (validation)')
def do_train_stage2(setup: Stage2Setup, runtime: Runtime, journal: Journal) -> float | None:
    """Fine-tune the image encoder for the epochs that ``journal`` has left; return the best mAP.

    Checkpoints are OUTPUT_DIR/{NAME}_{epoch}.pth, and {NAME}_best.pth by validation mAP.
    """
    watch, rate = Stopwatch(), setup.optimizer.param_groups[0]
    unused = [name for name, weight in setup.criterion.weights.items() if not weight]
    heartbeat = Heartbeat(2, setup.epochs, runtime, journal, unused)
    forward = make_forward(setup, runtime)
    check_loss = LossCheck(2, setup.loader.dataset.records, journal)
    check_period = runtime.fetch_period(setup.log_period)

    for epoch in journal.epochs(2, setup.epochs):
        setup.scheduler.step(epoch)
        setup.batches.set_epoch(epoch, skip=journal.iteration)
        setup.model.train()
        batches, text, done = Waiting(setup.loader), heartbeat.text(epoch), journal.iteration
        for iteration, (*batch, indices) in enumerate(progress(batches, text), done + 1):
            terms, accuracy, photos = forward(batch)
            loss = reduce(torch.add, terms.values())
            journal.meter.add(photos, (iteration, indices), loss=loss, acc=accuracy, **terms)
            if iteration % check_period == 0:
                check_loss()
            update(loss, setup.optimizers, runtime)
            if iteration % setup.log_period == 0:
                _log(journal, iteration, len(setup.loader), rate['lr'])
            if journal.wants_state(iteration):
                check_loss()
                journal.save()

        check_loss()
        validates = setup.validation is not None and is_due(epoch, setup.eval_period, setup.epochs)
        journal.end_epoch(setup.epochs, validates)
        _log_speed(journal)
        heartbeat.beat(epoch, journal.meter, rate['lr'], batches.seconds)
        runtime.processes.broadcast_buffers(setup.model)
        if is_due(epoch, setup.checkpoint_period, setup.epochs):
            journal.save_checkpoint(str(epoch))
        if validates:
            _validate(setup, runtime, journal)
    journal.finish(setup.epochs)
    logger.info('Total running time: %s', timedelta(seconds=watch.seconds))
    return journal.best


def make_forward(setup: Stage2Setup, runtime: Runtime) -> Callable[[list[torch.Tensor]], Forward]:
    """The function from a batch (images, individuals, cameras, views) to its loss terms.

    Of several processes each has a part of the batch; what looks at the whole batch (losses, necks)
    gets the features of all, so losses and accuracy are the same everywhere.
    """
    model, processes = setup.model, runtime.processes
    texts = text_features(model, runtime)
    if model.has_prompts:
        model.prompt_learner.requires_grad_(False)  # stage 1 is over
    # one process leaves the features where they are
    model.gather = processes.gather if processes.world_size > 1 else None
    network = processes.wrap(model, runtime.device)

    def forward(batch: list[torch.Tensor]) -> Forward:
        images, target, cameras, views = (runtime.move(tensor) for tensor in batch)
        with runtime.autocast():
            scores, features, projected = network(images, cam_label=cameras, view_label=views)
        target = processes.gather(target)
        logits = None if texts is None else projected.to(texts.dtype) @ texts.T  # (B, classes)
        terms = setup.criterion(scores, features, target, logits)
        # as in the original: of a base variant it is the first classifier's
        predicted = (scores[0] if logits is None else logits).argmax(1)
        return Forward(terms, (predicted == target).float().mean(), len(target))

    return forward


def text_features(model: ReIDModel, runtime: Runtime) -> torch.Tensor | None:
    """Text features (classes, E) of all individuals, without gradient; None of a base variant."""
    if not model.has_prompts:
        return None
    everyone = torch.arange(model.num_class, device=runtime.device)
    with torch.no_grad(), runtime.autocast():
        encode = model.sentence_encoder()
        return torch.cat([encode(some) for some in everyone.split(TEXT_BATCH)]).float()


def _log(journal: Journal, iteration: int, batches: int, rate: float) -> None:
    """The published line of the log, and its numbers in metrics.jsonl."""
    epoch, meter = journal.epoch, journal.meter
    means = {name: meter.means()[name] for name in ('loss', 'acc')}
    logger.info(
        'Epoch[%d] Iteration[%d/%d] Loss: %.3f, Acc: %.3f, Base Lr: %.2e',
        epoch,
        iteration,
        batches,
        *means.values(),
        rate,
    )
    terms = {f'{term}_loss': value for term, value in meter.last.items() if term not in means}
    journal.write('stage2', epoch=epoch, iteration=iteration, **means, lr=rate, **terms)


def _log_speed(journal: Journal) -> None:
    seconds = journal.epoch_seconds
    logger.info(
        'Epoch %d done. Time per batch: %.3f[s] Speed: %.1f[samples/s]',
        journal.epoch,
        seconds / max(journal.iteration, 1),
        journal.meter.photos / seconds,
    )


def _validate(setup: Stage2Setup, runtime: Runtime, journal: Journal) -> None:
    """Validate, and keep the checkpoint if it is the best so far."""
    test = setup.validation
    if test is None:
        return
    journal.settle()
    result = validate(setup.model, test, runtime, setup.normalise, setup.rerank)
    logger.info('Validation Results - Epoch: %d', journal.epoch)
    report(result.metrics, logger)
    report_copies(result, test.protocol, logger)
    journal.write('validation', epoch=journal.epoch, **result.metrics)
    if journal.best is None or result.metrics['mAP'] > journal.best:
        journal.best = result.metrics['mAP']
        journal.save_checkpoint('best')
