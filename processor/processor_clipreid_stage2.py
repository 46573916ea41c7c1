"""Stage 2: fine-tunes the image encoder against the frozen text features of all individuals."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import torch
from yacs.config import CfgNode

from datasets.make_dataloader_clipreid import Loaders, TestSet
from datasets.sampler import EpochBatches
from loss.make_loss import Stage2Loss
from model.reid_model import ReIDModel
from processor.baselines import Baselines, prepare_baselines, report_baselines
from processor.inference import validate
from processor.results import report, report_copies
from processor.steps import TrainingSetup, TrainingSteps, is_due, logger
from solver.lr_scheduler import make_scheduler_2stage
from solver.make_optimizer_prompt import make_optimizer_2stage, make_optimizer_center
from utils.device import Runtime
from utils.logger import progress
from utils.meter import Stopwatch, TimedLoader
from utils.run.journal import Journal
from utils.torch_errors import translated_errors

TEXT_BATCH = 64  # individuals per batch of text features


@dataclass(frozen=True)
class Stage2Setup(TrainingSetup):
    """Settings of stage 2. The loader augments the photos and samples P x K batches."""

    criterion: Stage2Loss
    validation: TestSet | None
    eval_period: int  # epochs; the last epoch is always validated
    normalise: bool  # validate with normalised features
    rerank: bool  # validate with re-ranking
    baselines: Baselines | None  # compared with the model after the last validation


def make_stage2(
    cfg: CfgNode, model: ReIDModel, loaders: Loaders, criterion: Stage2Loss
) -> Stage2Setup:
    """Return stage 2 as configured in SOLVER.STAGE2, with its validation as in TEST."""
    solver = cfg.SOLVER.STAGE2
    optimizers = {'optimizer': make_optimizer_2stage(cfg, model)}
    center_optimizer = make_optimizer_center(cfg, criterion)
    if center_optimizer:
        optimizers['center_optimizer'] = center_optimizer
    return Stage2Setup(
        stage=2,
        model=model,
        loader=loaders.train_loader_stage2,
        optimizers=optimizers,
        parts=optimizers | {'criterion': criterion},
        scheduler=make_scheduler_2stage(cfg, optimizers['optimizer']),
        epochs=solver.MAX_EPOCHS,
        log_period=solver.LOG_PERIOD,
        checkpoint_period=solver.CHECKPOINT_PERIOD,
        criterion=criterion,
        validation=loaders.validation,
        eval_period=solver.EVAL_PERIOD,
        normalise=cfg.TEST.FEAT_NORM == 'yes',
        rerank=cfg.TEST.RE_RANKING,
        baselines=prepare_baselines(cfg, model, loaders),
    )


@translated_errors('SOLVER.STAGE2.IMS_PER_BATCH (training) or TEST.IMS_PER_BATCH (validation)')
def do_train_stage2(setup: Stage2Setup, runtime: Runtime, journal: Journal) -> float | None:
    """Fine-tune the image encoder in the remaining epochs of stage 2.

    Checkpoints are OUTPUT_DIR/{NAME}_{epoch}.pth, and {NAME}_best.pth for the best validation mAP.

    Returns:
        The best validation mAP, None without a validation list.
    """
    watch = Stopwatch()
    unused = [name for name, weight in setup.criterion.weights.items() if not weight]
    forward = make_forward(setup, runtime)
    steps = TrainingSteps(setup, len(setup.loader), runtime, journal, unused)

    for epoch in journal.epochs(2, setup.epochs):
        setup.scheduler.step(epoch)
        done = journal.iteration
        cast(EpochBatches, setup.loader.batch_sampler).set_epoch(epoch, skip=done)
        setup.model.train()
        loader = TimedLoader(setup.loader)
        batches = progress(loader, steps.heartbeat.text(epoch))
        for iteration, (*batch, indices) in enumerate(batches, done + 1):
            terms, accuracy, photos = forward(batch)
            steps.step(iteration, indices, photos, terms, acc=accuracy)

        steps.check_loss()
        _log_speed(journal)
        runtime.processes.broadcast_buffers(setup.model)
        due = is_due(epoch, setup.eval_period, setup.epochs)
        validation = setup.validation if due else None
        steps.end_epoch(epoch, loader.seconds, validates=validation is not None)
        if validation:
            _validate(setup, validation, runtime, journal)
    if setup.baselines and not journal.finished:
        report_baselines(setup.baselines, setup.model, runtime, journal)
    journal.describe()
    if setup.epochs and not journal.finished:
        journal.finished = True
        journal.save()
    logger.info('Total running time: %s', timedelta(seconds=watch.seconds))
    return journal.best


def make_forward(
    setup: Stage2Setup, runtime: Runtime
) -> Callable[[list[torch.Tensor]], tuple[dict[str, torch.Tensor], torch.Tensor, int]]:
    """Return a function that maps a batch (images, individuals, cameras, views) to its numbers.

    These are the weighted loss terms, the accuracy and the number of photos. If there are several
    processes, each has a part of the batch. Losses and necks need the whole batch, so they get the
    features of all processes; losses and accuracy are the same in each.
    """
    model, processes = setup.model, runtime.processes
    texts = text_features(model, runtime)
    if model.has_prompts:
        model.prompt_learner.requires_grad_(False)  # stage 1 is over
    # a single process has nothing to gather
    model.gather = processes.gather if processes.world_size > 1 else None
    network = processes.wrap(model, runtime.device)

    def forward(batch: list[torch.Tensor]) -> tuple[dict[str, torch.Tensor], torch.Tensor, int]:
        images, target, cameras, views = (runtime.move(tensor) for tensor in batch)
        with runtime.autocast():
            scores, features, projected = network(images, cam_label=cameras, view_label=views)
        target = processes.gather(target)
        logits = None if texts is None else projected.to(texts.dtype) @ texts.T  # (B, classes)
        terms = setup.criterion(scores, features, target, logits)
        # as in the original; a base variant takes the first classifier
        predicted = (scores[0] if logits is None else logits).argmax(1)
        return terms, (predicted == target).float().mean(), len(target)

    return forward


def text_features(model: ReIDModel, runtime: Runtime) -> torch.Tensor | None:
    """Return the text features (classes, E) of all individuals; None for a base variant."""
    if not model.has_prompts:
        return None
    everyone = torch.arange(model.num_class, device=runtime.device)
    with torch.no_grad(), runtime.autocast():
        encode = model.sentence_encoder()
        return torch.cat([encode(some) for some in everyone.split(TEXT_BATCH)]).float()


def _log_speed(journal: Journal) -> None:
    seconds = journal.epoch_watch.seconds
    logger.info(
        'Epoch %d done. Time per batch: %.3f[s] Speed: %.1f[samples/s]',
        journal.epoch,
        seconds / max(journal.iteration, 1),
        journal.meter.photos / seconds,
    )


def _validate(setup: Stage2Setup, test: TestSet, runtime: Runtime, journal: Journal) -> None:
    journal.settle()
    result = validate(setup.model, test, runtime, setup.normalise, setup.rerank)
    logger.info('Validation Results - Epoch: %d', journal.epoch)
    report(result.metrics, logger)
    report_copies(result, test.protocol, logger)
    journal.write('validation', epoch=journal.epoch, **result.metrics)
    if journal.best is None or result.metrics['mAP'] > journal.best:
        journal.best = result.metrics['mAP']
        journal.save_checkpoint('best')
