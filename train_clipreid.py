"""Train: python train_clipreid.py --config_file configs/tiger/cnn_clipreid.yml [KEY VALUE …]"""

import argparse
import contextlib
import sys
from typing import Any, NamedTuple

from configs import ConfigError, flatten, load_cfg, with_value
from configs.command_line import parse_with_pairs, path_text
from utils.errors import InputError, exit_code


class Work(NamedTuple):
    """The model and what trains it in stages 1 and 2."""

    model: Any
    criterion: Any
    optimizer_1: Any  # None, as scheduler_1, without prompts
    scheduler_1: Any
    optimizer_2: Any
    scheduler_2: Any
    center_optimizer: Any  # None without a center loss


def main(argv=None):
    """Both stages; returns the best validation mAP (None where there is no validation list)."""
    args = parse(argv)
    return train(load_cfg(args.config_file, args.opts))


def parse(argv):
    """The command line's ``config_file`` and ``opts``; --resume is SOLVER.RESUME auto among
    them.
    """
    parser = argparse.ArgumentParser(
        description='Train CLIP-ReID on photos of individual animals, in two stages.'
    )
    parser.add_argument(
        '--config_file', type=path_text, default='', help='a yml of configs/, or your own'
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on with the run in OUTPUT_DIR, if there is one (SOLVER.RESUME auto)',
    )
    args = parse_with_pairs(parser, argv)
    if args.resume:
        args.opts += ['SOLVER.RESUME', 'auto']
    return args


def train(cfg):
    """Train as ``cfg`` says."""
    # here and not above: --help and a wrong key need no PyTorch, which takes seconds to load
    from utils.device import process_backend
    from utils.distributed import several_processes
    from utils.logger import close_logger, setup_logger
    from utils.run.signals import StopRequest
    from utils.torch_errors import translated_errors

    logger = setup_logger()
    try:
        with (
            StopRequest().listening() as stop,
            several_processes(
                cfg.MODEL.DIST_TRAIN, process_backend(cfg.MODEL.DEVICE), stop
            ) as processes,
            translated_errors('the batches (IMS_PER_BATCH of SOLVER.STAGE1, SOLVER.STAGE2, TEST)'),
        ):
            stop.impatient = processes.world_size == 1
            if not processes.main:
                setup_logger(quiet=True)
            return _train(cfg, processes, stop, logger)
    except InputError as error:
        logger.error('%s', error)
        raise
    finally:
        close_logger()


def _train(cfg, processes, stop, logger):
    """Everything that can be refused is, before a file of this run is made."""
    from model.sync_batch_norm import check_sync_batch_norms
    from utils.device import make_runtime, seed_everything
    from utils.files import drop_leftovers, make_output_dir
    from utils.run.lock import output_lock
    from utils.run.provenance import log_run

    finished, best = processes.broadcast(_finished(cfg))
    if finished:  # whatever has become of its photos
        return _again(cfg, best, processes, logger)
    output_dir = make_output_dir(cfg.OUTPUT_DIR)
    with (
        output_lock(output_dir) if processes.main else contextlib.nullcontext(),
        contextlib.ExitStack() as end,
    ):
        runtime = make_runtime(
            cfg.MODEL.DEVICE,
            cfg.SOLVER.AMP,
            cfg.SOLVER.DETERMINISTIC,
            processes,
            stop,
            compiles=cfg.MODEL.COMPILE,
        )
        if cfg.MODEL.SYNC_BN:
            check_sync_batch_norms(processes, runtime.device)
        seed_everything(cfg.SOLVER.SEED)
        about = log_run(cfg, runtime, logger)
        if cfg.SOLVER.STAGE1.MAX_EPOCHS == cfg.SOLVER.STAGE2.MAX_EPOCHS == 0:
            logger.warning(
                'SOLVER.STAGE1.MAX_EPOCHS and SOLVER.STAGE2.MAX_EPOCHS are 0: nothing will be '
                'trained'
            )
        if processes.main:
            drop_leftovers(output_dir)
        state = _state(cfg, output_dir, processes, logger)
        loaders = _loaders(cfg, runtime, end, logger)
        work = _work(cfg, loaders, runtime)
        journal = _journal(cfg, output_dir, work, loaders, runtime, about)
        goes_on = _begin(cfg, journal, state, loaders, logger)
        about |= {'data': loaders.fingerprints, 'config': flatten(cfg)}
        with _metrics(journal, state if goes_on else None, processes) as journal.metrics, journal:
            return _stages(cfg, work, loaders, runtime, journal, about, goes_on)


def _finished(cfg):
    """[whether the run in OUTPUT_DIR is done and to be gone on with, its best mAP]"""
    from utils.run.resume import is_finished, is_own, read_state

    state = read_state(cfg.SOLVER.RESUME, cfg.OUTPUT_DIR) if cfg.OUTPUT_DIR else None
    own = state is not None and is_own(cfg.SOLVER.RESUME, cfg.OUTPUT_DIR)
    return [True, state['best']] if own and is_finished(state, flatten(cfg)) else [False, None]


def _again(cfg, best, processes, logger):
    """A finished run is asked for again."""
    from utils.run.lock import output_lock

    if processes.main:
        with contextlib.suppress(InputError), output_lock(cfg.OUTPUT_DIR):
            pass  # takes away the lock file of a run that was killed at its very end
    logger.info(
        '%s: this run is finished: %d epochs of stage 2, best validation mAP %s',
        cfg.OUTPUT_DIR,
        cfg.SOLVER.STAGE2.MAX_EPOCHS,
        best,
    )
    return best


def _state(cfg, output_dir, processes, logger):
    """The state to go on from or None, now that nobody else can write it."""
    from utils.run.journal import STATE
    from utils.run.resume import place, read_state

    state = read_state(cfg.SOLVER.RESUME, output_dir)
    if processes.broadcast(place(state)) != place(state):
        raise InputError(
            f'OUTPUT_DIR {output_dir} is not the same folder for all processes; put it on a disk '
            'that all share'
        )
    if state is None and cfg.SOLVER.RESUME:
        logger.info('nothing to resume: there is no %s; a run starts', output_dir / STATE)
    return state


def _loaders(cfg, runtime, end, logger):
    """The photos; closed at the ``end``."""
    from datasets.make_dataloader_clipreid import make_dataloader
    from utils.device import wants_pinned_memory

    loaders = make_dataloader(
        cfg, wants_pinned_memory(runtime.device), runtime.processes, runtime.device
    )
    end.callback(loaders.close)
    if runtime.processes.main:
        warn_of_data(cfg, loaders, logger)
    return loaders


def _work(cfg, loaders, runtime):
    """The :class:`Work` of the config."""
    from loss.make_loss import make_loss
    from model.make_model_clipreid import make_model
    from model.sync_batch_norm import sync_batch_norms
    from solver.lr_scheduler import make_scheduler_1stage, make_scheduler_2stage
    from solver.make_optimizer_prompt import (
        make_optimizer_1stage,
        make_optimizer_2stage,
        make_optimizer_center,
    )

    model = make_model(cfg, loaders.num_classes, loaders.camera_num, loaders.view_num).to(
        runtime.device
    )
    if cfg.MODEL.SYNC_BN:
        sync_batch_norms(model.image_encoder, runtime.processes)
    criterion = make_loss(cfg, loaders.num_classes, model.feature_dim).to(runtime.device)
    optimizer_1 = make_optimizer_1stage(cfg, model) if model.has_prompts else None
    optimizer_2 = make_optimizer_2stage(cfg, model)
    return Work(
        model,
        criterion,
        optimizer_1,
        optimizer_1 and make_scheduler_1stage(cfg, optimizer_1),
        optimizer_2,
        make_scheduler_2stage(cfg, optimizer_2),
        make_optimizer_center(cfg, criterion),
    )


def _journal(cfg, output_dir, work, loaders, runtime, about):
    """The run's trail; its state holds all in ``work`` that training changes."""
    from model.clip.weights import known
    from utils.run.journal import Journal
    from utils.run.resume import facts_of

    solver, model = cfg.SOLVER, work.model
    parts = {
        1: {'optimizer': work.optimizer_1},
        2: {
            'optimizer': work.optimizer_2,
            'criterion': work.criterion,
            'center_optimizer': work.center_optimizer,
        },
    }
    parts = {
        stage: {name: part for name, part in some.items() if part is not None}
        for stage, some in parts.items()
    }
    return Journal(
        output_dir,
        model,
        parts,
        runtime,
        name=known(cfg.MODEL.NAME)[0],
        suffix=solver.CHECKPOINT_FORMAT,
        minutes=solver.CHECKPOINT_MINUTES,
        period=solver.RESUME_PERIOD,
        about=model.about,
        facts=facts_of(flatten(cfg), loaders.fingerprints, about, model.about),
    )


def _begin(cfg, journal, state, loaders, logger):
    """Go on from ``state``, see that the disk has room, begin the log; returns whether it is the
    run of this OUTPUT_DIR that goes on. A state of another folder goes on in one that is new to
    it.
    """
    from utils.logger import log_to_file
    from utils.run.resume import check_disk, go_on, is_own, planned_files, set_aside

    solver, processes, output_dir = cfg.SOLVER, journal.runtime.processes, journal.folder
    if state:
        go_on(journal, state)
    goes_on = state is not None and is_own(solver.RESUME, output_dir)
    if processes.main:
        check_disk(
            output_dir,
            planned_files(journal, solver.STAGE1, solver.STAGE2, loaders.validation is not None),
            loaders.cache_bytes * processes.local_world_size,
            new=not goes_on,
        )
        log_to_file(output_dir, 'train_log.txt', append=goes_on)
    if not goes_on:
        journal.best = None  # the best checkpoint of the other folder is not here
        if processes.main:
            set_aside(output_dir)
    if state:
        logger.info(
            'Resumed: stage %d, epoch %d, %d iterations of it done',
            journal.stage,
            journal.epoch,
            journal.iteration,
        )
    return goes_on


def _metrics(journal, state, processes):
    """metrics.jsonl, cut back to where it was at ``state``, if there is one. The first process
    alone writes it.
    """
    from utils.logger import MetricsFile

    return (
        MetricsFile(journal.folder, state and state['metrics_length'])
        if processes.main
        else contextlib.nullcontext()
    )


def _stages(cfg, work, loaders, runtime, journal, about, goes_on):
    """Train; returns the best validation mAP."""
    from processor.processor_clipreid_stage1 import do_train_stage1
    from processor.processor_clipreid_stage2 import do_train_stage2
    from utils.run.provenance import save_run
    from utils.torch_errors import translated_errors

    one, two, stop = cfg.SOLVER.STAGE1, cfg.SOLVER.STAGE2, runtime.stop
    if runtime.processes.main:
        save_run(cfg, about, journal.folder, goes_on)
    with stop.patiently(), translated_errors('SOLVER.STAGE1.IMS_PER_BATCH'):
        do_train_stage1(
            work.model,
            loaders.train_loader_stage1,
            work.optimizer_1,
            work.scheduler_1,
            runtime,
            journal,
            epochs=one.MAX_EPOCHS,
            batch_size=one.IMS_PER_BATCH,
            seed=cfg.SOLVER.SEED,
            log_period=one.LOG_PERIOD,
            checkpoint_period=one.CHECKPOINT_PERIOD,
        )
    with (
        stop.patiently(),
        translated_errors(
            'SOLVER.STAGE2.IMS_PER_BATCH (training) or TEST.IMS_PER_BATCH (validation)'
        ),
    ):
        return do_train_stage2(
            work.model,
            loaders,
            work.criterion,
            work.optimizer_2,
            work.center_optimizer,
            work.scheduler_2,
            runtime,
            journal,
            epochs=two.MAX_EPOCHS,
            log_period=two.LOG_PERIOD,
            checkpoint_period=two.CHECKPOINT_PERIOD,
            eval_period=two.EVAL_PERIOD,
            normalise=cfg.TEST.FEAT_NORM == 'yes',
            rerank=cfg.TEST.RE_RANKING,
        )


def warn_of_data(cfg, loaders, logger):
    """Warn of what looks wrong with the photos and their labels; the test lists' too, where they
    are there.
    """
    from datasets.checks import data_warnings
    from datasets.sources import load_test

    if cfg.DATASETS.NAMES != 'animals':  # official sets number their folders anew in each part
        return
    validation, test = loaders.validation.query if loaders.validation else (), ((), ())
    with contextlib.suppress(InputError):
        photos = load_test(
            with_value(cfg, 'DATASETS.SKIP_BROKEN', False)
        )  # no need to decode them all
        test = photos.query, photos.gallery
    for line in data_warnings(loaders.train_loader_stage1.dataset.records, validation, *test):
        logger.warning('%s', line)


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
