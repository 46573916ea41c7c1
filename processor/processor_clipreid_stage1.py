"""Stage 1: the prompts of all individuals learn to describe their photos; CLIP itself is frozen."""

import logging
import math
from datetime import timedelta

import torch

from loss.supcontrast import SupConLoss
from processor.heartbeat import Heartbeat
from processor.inference import encode_photos
from utils.errors import InputError
from utils.logger import progress
from utils.meter import Stopwatch

logger = logging.getLogger('transreid.train')


def photo_features(model, loader, runtime):
    """Projected features (N, E) of the train photos, on the device, in the list's order."""

    def encode(images, *_):
        with runtime.autocast():
            return model(images, get_image=True)

    with torch.inference_mode():
        features = encode_photos(encode, loader, runtime, 'photo features')
    bad = features.isfinite().all(dim=1).logical_not().nonzero()
    if len(bad):
        raise InputError(
            f'the CLIP feature of {loader.dataset.records[int(bad[0])].path} holds NaN or '
            'infinity: the weights '
            f'are damaged'
        )
    return features.clone()  # out of inference mode


def do_train_stage1(
    model,
    loader,
    optimizer,
    scheduler,
    runtime,
    journal,
    *,
    epochs,
    batch_size,
    seed,
    log_period,
    checkpoint_period,
):
    """Learn the prompts for ``epochs`` epochs, as many of them as ``journal``
    (utils.run.journal.Journal) has left.

    Every photo of ``loader`` is encoded once; an epoch is a fresh permutation of those features in
    batches of ``batch_size``, the last one may be smaller. Loss: supervised contrast image -> text
    plus text -> image. Checkpoints are OUTPUT_DIR/{NAME}_stage1_{epoch}.pth, every
    ``checkpoint_period`` epochs and after the last. Without epochs, as of a base variant,
    ``optimizer`` and ``scheduler`` may be None.
    """
    if epochs == 0 or journal.stage > 1:
        return
    watch, heartbeat = Stopwatch(), Heartbeat(1, epochs, runtime, journal)
    model.eval()  # the image encoder stays as CLIP is; the text encoder has no training mode
    contrast = SupConLoss()
    records, processes = loader.dataset.records, runtime.processes
    features = photo_features(model, loader, runtime)
    journal.compare_features(features)
    labels = torch.tensor([record.pid for record in records])
    batches, look = -(-len(labels) // batch_size), runtime.fetch_period(log_period)
    with runtime.autocast():
        encode = model.sentence_encoder()

    for epoch in journal.epochs(1, epochs):
        scheduler.step(epoch)
        order = torch.randperm(
            len(labels), generator=torch.Generator().manual_seed(seed + epoch)
        ).split(batch_size)
        tally, done = journal.tally, journal.iteration
        for iteration, chosen in enumerate(progress(order[done:], heartbeat.text(epoch)), done + 1):
            # each individual's sentence is encoded once, however many of its photos are in the
            # batch
            individuals, which = labels[chosen].unique(return_inverse=True)
            individuals, which, target, place = runtime.move_all(
                individuals, which, labels[chosen], chosen
            )
            image = features[place]
            with runtime.autocast():
                text = _shared(encode, individuals, processes)[which]
            text = text.to(image.dtype)
            i2t, t2i = contrast(image, text, target, target), contrast(text, image, target, target)
            loss = i2t + t2i
            tally.add(len(chosen), (iteration, chosen), loss=loss, i2t=i2t, t2i=t2i)
            if iteration % look == 0:
                stop_if_not_finite(tally.settle(), 1, epoch, records)

            optimizer.zero_grad(set_to_none=True)
            runtime.scaler.scale(loss).backward()
            processes.average_gradients(model.prompt_learner.parameters())
            runtime.scaler.step(optimizer)
            runtime.scaler.update()

            rate = optimizer.param_groups[0]['lr']
            if iteration % log_period == 0:
                logger.info(
                    'Epoch[%d] Iteration[%d/%d] Loss: %.3f, Base Lr: %.2e',
                    epoch,
                    iteration,
                    batches,
                    tally.mean('loss'),
                    rate,
                )
                journal.write(
                    'stage1',
                    epoch=epoch,
                    iteration=iteration,
                    lr=rate,
                    **tally.last | {'loss': tally.mean('loss')},
                )
            if journal.wants_state(iteration):
                stop_if_not_finite(tally.settle(), 1, epoch, records)
                journal.save()

        stop_if_not_finite(tally.settle(), 1, epoch, records)
        journal.end_epoch(epochs)
        heartbeat.beat(epoch, tally, optimizer.param_groups[0]['lr'], waited=0.0)
        if epoch % checkpoint_period == 0 or epoch == epochs:
            journal.save_checkpoint(f'stage1_{epoch}')
    logger.info('Stage1 running time: %s', timedelta(seconds=watch.seconds))


def _shared(encode, individuals, processes):
    """Text features of the individuals (B,), each process having encoded its share of them."""
    if processes.world_size == 1:
        return encode(individuals)
    share = -(-len(individuals) // processes.world_size)
    padded = torch.cat(
        [individuals, individuals[-1:].expand(share * processes.world_size - len(individuals))]
    )
    return processes.gather(encode(padded[processes.rank * share :][:share]))[: len(individuals)]


def stop_if_not_finite(settled, stage, epoch, records):
    """A NaN or infinite loss ends the run before anything is saved, with all that helps to find the
    reason.

    settled: what :meth:`utils.meter.EpochMeter.settle` returned, with (iteration, photos' indices)
    as notes; records: the photos.
    """
    for (iteration, index), numbers in settled:
        if math.isfinite(numbers['loss']):
            continue
        values = ', '.join(
            f'{name} {value:.4g}' for name, value in numbers.items() if name not in ('loss', 'acc')
        )
        paths = ', '.join(records[int(i)].path for i in index)
        raise InputError(
            f'stage {stage}, epoch {epoch}, iteration {iteration}: the loss is not finite '
            f'({values}); lower '
            f'SOLVER.STAGE{stage}.BASE_LR, set SOLVER.AMP off, or look at the photos of this '
            f'batch: {paths}'
        )
