"""Stage 1: learns a prompt for each individual that describes its photos; CLIP is frozen."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import torch
from yacs.config import CfgNode

from datasets.make_dataloader_clipreid import Loaders
from datasets.workers import ImageLoader
from loss.supcontrast import SupConLoss
from model.reid_model import ReIDModel
from processor.inference import encode_photos
from processor.steps import TrainingSetup, TrainingSteps, logger
from solver.lr_scheduler import make_scheduler_1stage
from solver.make_optimizer_prompt import make_optimizer_1stage
from utils.device import Runtime
from utils.errors import InputError
from utils.logger import progress
from utils.meter import Stopwatch
from utils.run.journal import Journal
from utils.torch_errors import translated_errors


@dataclass(frozen=True)
class Stage1Setup(TrainingSetup):
    """Settings of stage 1. The loader has every train photo once, without augmentation."""

    batch_size: int  # photos; the last batch of an epoch may be smaller
    seed: int


def make_stage1(cfg: CfgNode, model: ReIDModel, loaders: Loaders) -> Stage1Setup | None:
    """Return stage 1 as configured in SOLVER.STAGE1, None if it has no epochs."""
    solver = cfg.SOLVER.STAGE1
    if not solver.MAX_EPOCHS:
        return None
    optimizers = {'optimizer': make_optimizer_1stage(cfg, model)}
    return Stage1Setup(
        stage=1,
        model=model,
        loader=loaders.train_loader_stage1,
        optimizers=optimizers,
        parts=optimizers,
        scheduler=make_scheduler_1stage(cfg, optimizers['optimizer']),
        epochs=solver.MAX_EPOCHS,
        batch_size=solver.IMS_PER_BATCH,
        seed=cfg.SOLVER.SEED,
        log_period=solver.LOG_PERIOD,
        checkpoint_period=solver.CHECKPOINT_PERIOD,
    )


@translated_errors('SOLVER.STAGE1.IMS_PER_BATCH')
def do_train_stage1(setup: Stage1Setup, runtime: Runtime, journal: Journal) -> None:
    """Learn the prompts in the remaining epochs of stage 1.

    Every photo is encoded once; an epoch goes through these features in a new random order. The
    loss is the supervised contrast image -> text plus text -> image. Checkpoints are
    OUTPUT_DIR/{NAME}_stage1_{epoch}.pth.
    """
    if journal.stage > 1:
        return
    watch = Stopwatch()
    setup.model.eval()  # CLIP does not change in this stage
    features = photo_features(setup.model, setup.loader, runtime)
    journal.compare_features(features)
    contrast = make_contrast(setup, features, runtime)
    iterations = -(-len(features) // setup.batch_size)
    prompts = list(setup.model.prompt_learner.parameters())
    steps = TrainingSteps(setup, iterations, runtime, journal, own_gradients=prompts)

    for epoch in journal.epochs(1, setup.epochs):
        setup.scheduler.step(epoch)
        generator = torch.Generator().manual_seed(setup.seed + epoch)
        order = torch.randperm(len(features), generator=generator).split(setup.batch_size)
        done = journal.iteration
        batches = progress(order[done:], steps.heartbeat.text(epoch))
        for iteration, photos in enumerate(batches, done + 1):
            steps.step(iteration, photos, len(photos), contrast(photos))
        steps.end_epoch(epoch)
    journal.describe()
    logger.info('Stage1 running time: %s', timedelta(seconds=watch.seconds))


def photo_features(model: ReIDModel, loader: ImageLoader, runtime: Runtime) -> torch.Tensor:
    """Return the projected features (N, E) of the train photos on the device, in list order."""
    with torch.inference_mode(), runtime.autocast():
        features = encode_photos(
            lambda images, *_: model(images, get_image=True), loader, runtime, 'photo features'
        )
    bad = features.isfinite().all(dim=1).logical_not().nonzero()
    if len(bad):
        raise InputError(
            f'the CLIP feature of {loader.dataset.records[int(bad[0])].path} contains NaN or '
            'infinity: the weights are damaged'
        )
    return features.clone()  # back to an ordinary tensor, not one of inference mode


def make_contrast(
    setup: Stage1Setup, features: torch.Tensor, runtime: Runtime
) -> Callable[[torch.Tensor], dict[str, torch.Tensor]]:
    """Return a function from photo indices (B,) to the loss terms ``i2t`` and ``t2i``.

    The terms contrast the photos with the sentences of their individuals.

    Args:
        setup: The settings of the stage.
        features: (N, E) features of all train photos, on the device.
        runtime: The device, precision and processes.
    """
    processes, contrast = runtime.processes, SupConLoss()
    labels = torch.tensor([record.pid for record in setup.loader.dataset.records])
    with runtime.autocast():
        encode = setup.model.sentence_encoder()

    def encode_sentences(individuals: torch.Tensor) -> torch.Tensor:
        """Encode the sentences (B, E) of individuals (B,); each process encodes its share."""
        share = -(-len(individuals) // processes.world_size)
        missing = share * processes.world_size - len(individuals)
        padded = torch.cat([individuals, individuals[-1:].expand(missing)])
        own = padded[processes.rank * share :][:share]
        return processes.gather(encode(own))[: len(individuals)]

    def terms(chosen: torch.Tensor) -> dict[str, torch.Tensor]:
        # a sentence is encoded once, no matter how many photos of the individual are in the batch
        individuals, rows = labels[chosen].unique(return_inverse=True)
        individuals, rows, target, chosen = runtime.move_all(
            individuals, rows, labels[chosen], chosen
        )
        image = features[chosen]
        with runtime.autocast():
            text = encode_sentences(individuals)[rows].to(image.dtype)
        return {
            'i2t': contrast(image, text, target, target),
            't2i': contrast(text, image, target, target),
        }

    return terms
