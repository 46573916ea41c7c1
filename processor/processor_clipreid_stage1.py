"""Stage 1: the prompts of all individuals learn to describe their photos; CLIP itself is frozen."""
import logging
import math
from datetime import timedelta
from pathlib import Path

import torch

from loss.supcontrast import SupConLoss
from processor.inference import Stopwatch
from utils.checkpoint import save_state
from utils.errors import InputError
from utils.logger import progress
from utils.meter import Tally

logger = logging.getLogger('transreid.train')


def photo_features(model, loader, runtime):
    """Projected features (N, E) of the train photos, on the device, in the list's order."""
    features = []
    with torch.inference_mode():
        for images, *_ in progress(loader, 'photo features'):
            with runtime.autocast():
                features.append(model(runtime.move(images), get_image=True).float())
    features = torch.cat(features)
    if not features.isfinite().all():
        bad = loader.dataset.records[int((~features.isfinite().all(dim=1)).nonzero()[0])].path
        raise InputError(f'the CLIP feature of {bad} holds NaN or infinity: the weights are damaged')
    return features.clone()  # out of inference mode


def do_train_stage1(model, loader, optimizer, scheduler, runtime, *, epochs, batch_size, seed, log_period,
                    checkpoint_period, output_dir, name, metrics_file):
    """Learn the prompts for ``epochs`` epochs.

    Every photo of ``loader`` is encoded once; an epoch is a fresh permutation of those features in batches of
    ``batch_size``, the last one may be smaller. Loss: supervised contrast image -> text plus text -> image. Checkpoints
    are OUTPUT_DIR/{name}_stage1_{epoch}.pth, every ``checkpoint_period`` epochs and after the last.
    """
    if epochs == 0:
        return
    watch = Stopwatch()
    model.eval()  # the image encoder stays as CLIP is; the text encoder has no training mode
    contrast = SupConLoss()
    records = loader.dataset.records
    features = photo_features(model, loader, runtime)
    labels = torch.tensor([record.pid for record in records])
    batches, look = -(-len(labels) // batch_size), runtime.look_period(log_period)
    with runtime.autocast():
        encode = model.sentence_encoder()

    for epoch in range(1, epochs + 1):
        scheduler.step(epoch)
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed + epoch))
        tally = Tally()
        for iteration, chosen in enumerate(progress(order.split(batch_size), f'stage 1, epoch {epoch}'), 1):
            # each individual's sentence is encoded once, however many of its photos are in the batch
            individuals, which = labels[chosen].unique(return_inverse=True)
            individuals, which, target = (runtime.move(t) for t in (individuals, which, labels[chosen]))
            image = features[runtime.move(chosen)]
            with runtime.autocast():
                text = encode(individuals)[which]
            text = text.to(image.dtype)
            i2t, t2i = contrast(image, text, target, target), contrast(text, image, target, target)
            loss = i2t + t2i
            tally.add(len(chosen), (iteration, chosen), loss=loss, i2t=i2t, t2i=t2i)
            if iteration % look == 0:
                stop_if_not_finite(tally.settle(), 1, epoch, records)

            optimizer.zero_grad(set_to_none=True)
            runtime.scaler.scale(loss).backward()
            runtime.scaler.step(optimizer)
            runtime.scaler.update()

            if iteration % log_period == 0:
                rate = optimizer.param_groups[0]['lr']
                logger.info('Epoch[%d] Iteration[%d/%d] Loss: %.3f, Base Lr: %.2e', epoch, iteration, batches,
                            tally.mean('loss'), rate)
                metrics_file.write('stage1', epoch=epoch, iteration=iteration, lr=rate,
                                   **tally.last | {'loss': tally.mean('loss')})

        stop_if_not_finite(tally.settle(), 1, epoch, records)
        metrics_file.write('stage1_epoch', epoch=epoch, loss=tally.mean('loss'), lr=optimizer.param_groups[0]['lr'],
                           seconds=watch.seconds)
        if epoch % checkpoint_period == 0 or epoch == epochs:
            save_state(model.state_dict(), Path(output_dir) / f'{name}_stage1_{epoch}.pth')
    logger.info('Stage1 running time: %s', timedelta(seconds=watch.seconds))


def stop_if_not_finite(settled, stage, epoch, records):
    """A NaN or infinite loss ends the run before anything is saved, with all that helps to find the reason.

    settled: what :meth:`utils.meter.Tally.settle` returned, with (iteration, photos' indices) as notes; records: the photos.
    """
    for (iteration, index), numbers in settled:
        if math.isfinite(numbers['loss']):
            continue
        values = ', '.join(f'{name} {value:.4g}' for name, value in numbers.items() if name not in ('loss', 'acc'))
        paths = ', '.join(records[int(i)].path for i in index)
        raise InputError(f'stage {stage}, epoch {epoch}, iteration {iteration}: the loss is not finite ({values}); lower '
                         f'SOLVER.STAGE{stage}.BASE_LR, set SOLVER.AMP off, or look at the photos of this batch: {paths}')
