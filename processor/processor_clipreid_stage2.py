"""Stage 2: the image encoder is fine-tuned against the frozen text features of all individuals."""
import logging
from datetime import timedelta
from pathlib import Path

import torch

from processor.inference import Stopwatch, report, validate
from processor.processor_clipreid_stage1 import stop_if_not_finite
from utils.checkpoint import save_state
from utils.logger import progress
from utils.meter import Tally

logger = logging.getLogger('transreid.train')


def text_features(model, runtime, batch_size=64):
    """Text features (classes, E) of all individuals, without gradient."""
    everyone = torch.arange(model.num_class, device=runtime.device)
    with torch.no_grad(), runtime.autocast():
        encode = model.sentence_encoder()
        return torch.cat([encode(some) for some in everyone.split(batch_size)]).float()


def do_train_stage2(model, loaders, criterion, optimizer, center_optimizer, scheduler, runtime, *, epochs, log_period,
                    checkpoint_period, eval_period, output_dir, name, metrics_file, normalise=True, rerank=False):
    """Fine-tune the image encoder for ``epochs`` epochs; return the best validation mAP (None without validation).

    Parameters
    ----------
    loaders : datasets.make_dataloader_clipreid.Loaders
    criterion : loss.make_loss.make_loss
        ``center_optimizer`` trains its centers, or is None.
    log_period, checkpoint_period, eval_period : int
        Iterations, epochs, epochs. The last epoch is always saved and validated.
    normalise, rerank : bool
        Of the validation, see :func:`processor.inference.validate`.

    Checkpoints are OUTPUT_DIR/{name}_{epoch}.pth, and {name}_best.pth by validation mAP.
    """
    watch = Stopwatch()
    loader = loaders.train_loader_stage2
    records, look = loader.dataset.records, runtime.look_period(log_period)
    texts = text_features(model, runtime)
    optimizers = [o for o in (optimizer, center_optimizer) if o is not None]
    best = None

    for epoch in range(1, epochs + 1):
        epoch_watch = Stopwatch()
        scheduler.step(epoch)
        loader.batch_sampler.set_epoch(epoch)
        model.train()
        tally, photos = Tally(), 0
        for iteration, (*batch, index) in enumerate(progress(loader, f'stage 2, epoch {epoch}'), 1):
            images, target, cameras, views = (runtime.move(t) for t in batch)
            with runtime.autocast():
                score, feature, projected = model(images, cam_label=cameras, view_label=views)
            logits = projected.to(texts.dtype) @ texts.T  # (B, classes)
            terms = criterion(score, feature, target, logits)
            loss = sum(terms.values())
            accuracy = (logits.argmax(1) == target).float().mean()
            tally.add(len(target), (iteration, index), loss=loss, acc=accuracy, **terms)
            if iteration % look == 0:
                stop_if_not_finite(tally.settle(), 2, epoch, records)

            for each in optimizers:
                each.zero_grad(set_to_none=True)
            runtime.scaler.scale(loss).backward()
            for each in optimizers:
                runtime.scaler.step(each)
            runtime.scaler.update()

            photos += len(target)
            if iteration % log_period == 0:
                rate = optimizer.param_groups[0]['lr']
                logger.info('Epoch[%d] Iteration[%d/%d] Loss: %.3f, Acc: %.3f, Base Lr: %.2e', epoch, iteration,
                            len(loader), tally.mean('loss'), tally.mean('acc'), rate)
                metrics_file.write('stage2', epoch=epoch, iteration=iteration, loss=tally.mean('loss'),
                                   acc=tally.mean('acc'), lr=rate, **{f'{term}_loss': tally.last[term] for term in terms})

        stop_if_not_finite(tally.settle(), 2, epoch, records)
        seconds = epoch_watch.seconds
        logger.info('Epoch %d done. Time per batch: %.3f[s] Speed: %.1f[samples/s]', epoch, seconds / max(iteration, 1),
                    photos / seconds)
        metrics_file.write('stage2_epoch', epoch=epoch, loss=tally.mean('loss'), acc=tally.mean('acc'), seconds=seconds,
                           photos_per_second=photos / seconds, lr=optimizer.param_groups[0]['lr'])
        if epoch % checkpoint_period == 0 or epoch == epochs:
            save_state(model.state_dict(), Path(output_dir) / f'{name}_{epoch}.pth')
        if loaders.validation is not None and (epoch % eval_period == 0 or epoch == epochs):
            metrics = _validate(model, loaders.validation, runtime, epoch, normalise, rerank)
            metrics_file.write('validation', epoch=epoch, **metrics)
            if best is None or metrics['mAP'] > best:
                best = metrics['mAP']
                save_state(model.state_dict(), Path(output_dir) / f'{name}_best.pth')
    logger.info('Total running time: %s', timedelta(seconds=watch.seconds))
    return best


def _validate(model, test, runtime, epoch, normalise, rerank):
    metrics = validate(model, test, runtime, normalise, rerank)
    logger.info('Validation Results - Epoch: %d', epoch)
    report(metrics, logger)
    return metrics
