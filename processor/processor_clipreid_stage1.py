"""Stage 1: the prompts of all individuals learn to describe their photos; CLIP itself is frozen."""
import logging
from datetime import timedelta
from pathlib import Path

import torch

from loss.supcontrast import SupConLoss
from processor.inference import Stopwatch
from utils.checkpoint import save_state
from utils.errors import InputError
from utils.logger import progress
from utils.meter import AverageMeter

logger = logging.getLogger('transreid.train')


def photo_features(model, loader, runtime):
    """Projected features (N, E) and individuals (N,) of the train photos, on the device, in the list's order."""
    features, labels = [], []
    with torch.inference_mode():
        for images, pids, _, _, _ in progress(loader, 'photo features'):
            with runtime.autocast():
                features.append(model(runtime.move(images), get_image=True).float())
            labels.append(runtime.move(pids))
    features = torch.cat(features)
    if not features.isfinite().all():
        bad = loader.dataset.records[int((~features.isfinite().all(dim=1)).nonzero()[0])].path
        raise InputError(f'the CLIP feature of {bad} holds NaN or infinity: the weights are damaged')
    return features.clone(), torch.cat(labels).clone()  # out of inference mode


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
    features, labels = photo_features(model, loader, runtime)
    batches = -(-len(labels) // batch_size)

    for epoch in range(1, epochs + 1):
        scheduler.step(epoch)
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed + epoch))
        losses = AverageMeter()
        for iteration, chosen in enumerate(progress(order.split(batch_size), f'stage 1, epoch {epoch}'), 1):
            image, target = features[chosen], labels[chosen]

            # each individual's sentence is encoded once, however many of its photos are in the batch
            individuals, which = target.unique(return_inverse=True)
            with runtime.autocast():
                text = model(label=individuals, get_text=True)[which]
            text = text.to(image.dtype)
            i2t, t2i = contrast(image, text, target, target), contrast(text, image, target, target)
            loss = i2t + t2i
            stop_if_not_finite(loss, {'i2t': i2t, 't2i': t2i}, 1, epoch, iteration, loader, chosen)

            optimizer.zero_grad(set_to_none=True)
            runtime.scaler.scale(loss).backward()
            runtime.scaler.step(optimizer)
            runtime.scaler.update()

            losses.update(loss.item(), len(chosen))
            if iteration % log_period == 0:
                rate = optimizer.param_groups[0]['lr']
                logger.info('Epoch[%d] Iteration[%d/%d] Loss: %.3f, Base Lr: %.2e', epoch, iteration, batches,
                            losses.avg, rate)
                metrics_file.write('stage1', epoch=epoch, iteration=iteration, loss=losses.avg, i2t=i2t.item(),
                                   t2i=t2i.item(), lr=rate)

        metrics_file.write('stage1_epoch', epoch=epoch, loss=losses.avg, lr=optimizer.param_groups[0]['lr'],
                           seconds=watch.seconds)
        if epoch % checkpoint_period == 0 or epoch == epochs:
            save_state(model.state_dict(), Path(output_dir) / f'{name}_stage1_{epoch}.pth')
    logger.info('Stage1 running time: %s', timedelta(seconds=watch.seconds))


def stop_if_not_finite(loss, terms, stage, epoch, iteration, loader, index):
    """A NaN or infinite loss ends the run before it spoils the weights, with all that helps to find the reason."""
    if torch.isfinite(loss):
        return
    values = ', '.join(f'{name} {value.item():.4g}' for name, value in terms.items())
    paths = ', '.join(loader.dataset.records[int(i)].path for i in index)
    raise InputError(f'stage {stage}, epoch {epoch}, iteration {iteration}: the loss is not finite ({values}); lower '
                     f'SOLVER.STAGE{stage}.BASE_LR, set SOLVER.AMP off, or look at the photos of this batch: {paths}')
