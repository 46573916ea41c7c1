"""Stage 1: the prompts of all individuals learn to describe their photos; CLIP itself is frozen."""

import logging
from dataclasses import dataclass
from datetime import timedelta

import torch

from datasets.workers import ImageLoader
from loss.supcontrast import SupConLoss
from model.reid_model import ReIDModel
from processor.heartbeat import Heartbeat
from processor.inference import encode_photos
from processor.steps import LossCheck, is_due, update
from solver.lr_scheduler import EpochScheduler
from utils.device import Runtime
from utils.errors import InputError
from utils.logger import progress
from utils.meter import Stopwatch
from utils.run.journal import Journal, Stateful
from utils.torch_errors import translated_errors

logger = logging.getLogger('transreid.train')


@dataclass(frozen=True)
class Stage1Setup:
    """What stage 1 trains, and how."""

    model: ReIDModel
    loader: ImageLoader  # every train photo once, as a test reads it
    optimizer: torch.optim.Optimizer | None  # None, as the scheduler, without prompts: no epochs
    scheduler: EpochScheduler | None
    epochs: int
    batch_size: int  # photos; the last batch of an epoch may be smaller
    seed: int
    log_period: int  # iterations
    checkpoint_period: int  # epochs

    @property
    def parts(self) -> dict[str, Stateful]:
        """What a resumed run must restore besides the model."""
        return {'optimizer': self.optimizer} if self.optimizer else {}


@translated_errors('SOLVER.STAGE1.IMS_PER_BATCH')
def do_train_stage1(setup: Stage1Setup, runtime: Runtime, journal: Journal) -> None:
    """Learn the prompts, for as many of the epochs as ``journal`` has left.

    Every photo is encoded once; an epoch is a fresh permutation of those features. Loss: supervised
    contrast image -> text plus text -> image. Checkpoints are OUTPUT_DIR/{NAME}_stage1_{epoch}.pth.
    """
    optimizer, scheduler = setup.optimizer, setup.scheduler
    if setup.epochs == 0 or journal.stage > 1 or optimizer is None or scheduler is None:
        return
    watch, heartbeat = Stopwatch(), Heartbeat(1, setup.epochs, runtime, journal)
    setup.model.eval()  # the image encoder stays as CLIP is; the text encoder has no training mode
    features = photo_features(setup.model, setup.loader, runtime)
    journal.compare_features(features)
    contrast = PromptContrast(setup, features, runtime)
    check_loss = LossCheck(1, setup.loader.dataset.records, journal)
    check_period = runtime.fetch_period(setup.log_period)

    for epoch in journal.epochs(1, setup.epochs):
        scheduler.step(epoch)
        order, done = contrast.shuffled(epoch), journal.iteration
        for iteration, chosen in enumerate(progress(order[done:], heartbeat.text(epoch)), done + 1):
            terms = contrast(chosen)
            loss = terms['i2t'] + terms['t2i']
            journal.meter.add(len(chosen), (iteration, chosen), loss=loss, **terms)
            if iteration % check_period == 0:
                check_loss()
            update(loss, [optimizer], runtime, setup.model.prompt_learner.parameters())
            if iteration % setup.log_period == 0:
                _log(journal, iteration, len(order), optimizer.param_groups[0]['lr'])
            if journal.wants_state(iteration):
                check_loss()
                journal.save()

        check_loss()
        journal.end_epoch(setup.epochs)
        heartbeat.beat(epoch, journal.meter, optimizer.param_groups[0]['lr'], waited=0.0)
        if is_due(epoch, setup.checkpoint_period, setup.epochs):
            journal.save_checkpoint(f'stage1_{epoch}')
    logger.info('Stage1 running time: %s', timedelta(seconds=watch.seconds))


def photo_features(model: ReIDModel, loader: ImageLoader, runtime: Runtime) -> torch.Tensor:
    """Projected features (N, E) of the train photos, on the device, in the list's order."""

    def encode(images: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        with runtime.autocast():
            return model(images, get_image=True)

    with torch.inference_mode():
        features = encode_photos(encode, loader, runtime, 'photo features')
    bad = features.isfinite().all(dim=1).logical_not().nonzero()
    if len(bad):
        raise InputError(
            f'the CLIP feature of {loader.dataset.records[int(bad[0])].path} holds NaN or '
            'infinity: the weights are damaged'
        )
    return features.clone()  # out of inference mode


class PromptContrast:
    """The loss terms of a batch of photos against the sentences of their individuals.

    Args:
        setup: Whose prompts learn.
        features: (N, E) of all train photos, on the device.
        runtime: Device, precision and processes.
    """

    def __init__(self, setup: Stage1Setup, features: torch.Tensor, runtime: Runtime):
        self.setup, self.features, self.runtime = setup, features, runtime
        self.labels = torch.tensor([record.pid for record in setup.loader.dataset.records])
        self.contrast = SupConLoss()
        with runtime.autocast():
            self.encode = setup.model.sentence_encoder()

    def shuffled(self, epoch: int) -> tuple[torch.Tensor, ...]:
        """Batches of photo indices, a function of the seed and ``epoch`` alone."""
        generator = torch.Generator().manual_seed(self.setup.seed + epoch)
        order = torch.randperm(len(self.labels), generator=generator)
        return order.split(self.setup.batch_size)

    def __call__(self, chosen: torch.Tensor) -> dict[str, torch.Tensor]:
        """Terms ``i2t`` and ``t2i`` of the photos with the indices ``chosen`` (B,)."""
        # each individual's sentence is encoded once, however many of its photos are in the batch
        individuals, rows = self.labels[chosen].unique(return_inverse=True)
        individuals, rows, target, chosen = self.runtime.move_all(
            individuals, rows, self.labels[chosen], chosen
        )
        image = self.features[chosen]
        with self.runtime.autocast():
            text = self._sentences(individuals)[rows]
        text = text.to(image.dtype)
        return {
            'i2t': self.contrast(image, text, target, target),
            't2i': self.contrast(text, image, target, target),
        }

    def _sentences(self, individuals: torch.Tensor) -> torch.Tensor:
        """Text features (B, E) of the individuals (B,); each process encodes its share of them."""
        processes = self.runtime.processes
        if processes.world_size == 1:
            return self.encode(individuals)
        share = -(-len(individuals) // processes.world_size)
        missing = share * processes.world_size - len(individuals)
        padded = torch.cat([individuals, individuals[-1:].expand(missing)])
        own = padded[processes.rank * share :][:share]
        return processes.gather(self.encode(own))[: len(individuals)]


def _log(journal: Journal, iteration: int, batches: int, rate: float) -> None:
    """The published line of the log, and its numbers in metrics.jsonl."""
    epoch, loss = journal.epoch, journal.meter.means()['loss']
    logger.info(
        'Epoch[%d] Iteration[%d/%d] Loss: %.3f, Base Lr: %.2e',
        epoch,
        iteration,
        batches,
        loss,
        rate,
    )
    numbers = journal.meter.last | {'loss': loss}
    journal.write('stage1', epoch=epoch, iteration=iteration, lr=rate, **numbers)
