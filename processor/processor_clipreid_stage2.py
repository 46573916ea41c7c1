"""Stage 2: the image encoder is fine-tuned against the frozen text features of all individuals."""

import logging
from datetime import timedelta

import torch

from processor.heartbeat import Heartbeat
from processor.inference import report, report_copies, validate
from processor.processor_clipreid_stage1 import stop_if_not_finite
from utils.logger import progress
from utils.meter import Stopwatch, Waiting

logger = logging.getLogger('transreid.train')


def text_features(model, runtime, batch_size=64):
    """Text features (classes, E) of all individuals, without gradient; None of a base variant."""
    if not model.has_prompts:
        return None
    everyone = torch.arange(model.num_class, device=runtime.device)
    with torch.no_grad(), runtime.autocast():
        encode = model.sentence_encoder()
        return torch.cat([encode(some) for some in everyone.split(batch_size)]).float()


def do_train_stage2(
    model,
    loaders,
    criterion,
    optimizer,
    center_optimizer,
    scheduler,
    runtime,
    journal,
    *,
    epochs,
    log_period,
    checkpoint_period,
    eval_period,
    normalise=True,
    rerank=False,
):
    """Fine-tune the image encoder for ``epochs`` epochs, as many of them as ``journal``
    (utils.run.journal.Journal) has left; return the best validation mAP (None without validation).

    Parameters
    ----------
    loaders : datasets.make_dataloader_clipreid.Loaders
    criterion : loss.make_loss.make_loss
        ``center_optimizer`` trains its centers, or is None.
    log_period, checkpoint_period, eval_period : int
        Iterations, epochs, epochs. The last epoch is always saved and validated.
    normalise, rerank : bool
        Of the validation, see :func:`processor.inference.validate`.

    Checkpoints are OUTPUT_DIR/{NAME}_{epoch}.pth, and {NAME}_best.pth by validation mAP.

    The accuracy is that of the image-to-text logits; of a base variant that of the first
    classifier, as in the original.

    Of several processes each has a part of the batch; what looks at the whole batch (losses, necks)
    gets the features of all, and so their losses and accuracy are the same everywhere.
    """
    watch, processes = Stopwatch(), runtime.processes
    heartbeat = Heartbeat(2, epochs, runtime, journal, unused=criterion.unused)
    loader = loaders.train_loader_stage2
    records, look = loader.dataset.records, runtime.fetch_period(log_period)
    texts = text_features(model, runtime)
    optimizers = [o for o in (optimizer, center_optimizer) if o is not None]
    if model.has_prompts:
        model.prompt_learner.requires_grad_(False)  # done with
    model.gather = (
        processes.gather if processes.world_size > 1 else None
    )  # alone the features stay as they lie
    wrapped = processes.wrap(model, runtime.device)

    for epoch in journal.epochs(2, epochs):
        scheduler.step(epoch)
        tally, done = journal.tally, journal.iteration
        loader.batch_sampler.set_epoch(epoch, skip=done)
        model.train()
        waiting = Waiting(loader)
        for iteration, (*batch, index) in enumerate(
            progress(waiting, heartbeat.text(epoch)), done + 1
        ):
            images, target, cameras, views = (runtime.move(t) for t in batch)
            with runtime.autocast():
                score, feature, projected = wrapped(images, cam_label=cameras, view_label=views)
            target = processes.gather(target)
            logits = None if texts is None else projected.to(texts.dtype) @ texts.T  # (B, classes)
            terms = criterion(score, feature, target, logits)
            loss = sum(terms.values())
            accuracy = ((score[0] if logits is None else logits).argmax(1) == target).float().mean()
            tally.add(len(target), (iteration, index), loss=loss, acc=accuracy, **terms)
            if iteration % look == 0:
                stop_if_not_finite(tally.settle(), 2, epoch, records)

            for each in optimizers:
                each.zero_grad(set_to_none=True)
            runtime.scaler.scale(loss).backward()
            for each in optimizers:
                runtime.scaler.step(each)
            runtime.scaler.update()

            if iteration % log_period == 0:
                rate = optimizer.param_groups[0]['lr']
                logger.info(
                    'Epoch[%d] Iteration[%d/%d] Loss: %.3f, Acc: %.3f, Base Lr: %.2e',
                    epoch,
                    iteration,
                    len(loader),
                    tally.mean('loss'),
                    tally.mean('acc'),
                    rate,
                )
                journal.write(
                    'stage2',
                    epoch=epoch,
                    iteration=iteration,
                    loss=tally.mean('loss'),
                    acc=tally.mean('acc'),
                    lr=rate,
                    **{f'{term}_loss': tally.last[term] for term in terms},
                )
            if journal.wants_state(iteration):
                stop_if_not_finite(tally.settle(), 2, epoch, records)
                journal.save()

        stop_if_not_finite(tally.settle(), 2, epoch, records)
        validates = loaders.validation is not None and (epoch % eval_period == 0 or epoch == epochs)
        journal.end_epoch(epochs, validates)
        logger.info(
            'Epoch %d done. Time per batch: %.3f[s] Speed: %.1f[samples/s]',
            epoch,
            journal.epoch_seconds / max(journal.iteration, 1),
            tally.photos / journal.epoch_seconds,
        )
        heartbeat.beat(epoch, tally, optimizer.param_groups[0]['lr'], waiting.seconds)
        processes.broadcast_buffers(model)
        if epoch % checkpoint_period == 0 or epoch == epochs:
            journal.save_checkpoint(epoch)
        if validates:
            journal.settle()
            metrics = _validate(model, loaders.validation, runtime, epoch, normalise, rerank)
            journal.write('validation', epoch=epoch, **metrics)
            if journal.best is None or metrics['mAP'] > journal.best:
                journal.best = metrics['mAP']
                journal.save_checkpoint('best')
    journal.finish(epochs)
    logger.info('Total running time: %s', timedelta(seconds=watch.seconds))
    return journal.best


def _validate(model, test, runtime, epoch, normalise, rerank):
    result = validate(model, test, runtime, normalise, rerank)
    logger.info('Validation Results - Epoch: %d', epoch)
    report(result.metrics, logger)
    report_copies(result, test.protocol, logger)
    return result.metrics
