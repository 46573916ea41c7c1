"""Train: python train_clipreid.py --config_file configs/tiger/cnn_clipreid.yml [KEY VALUE …]"""
import argparse
import contextlib
import sys

from configs import ConfigError, flatten, load_cfg
from utils.errors import InputError, exit_code


def main(argv=None):
    """Both stages; returns the best validation mAP (None where there is no validation list)."""
    args = parse(argv)
    return train(load_cfg(args.config_file, args.opts))


def parse(argv):
    """The command line's ``config_file`` and ``opts``; --resume, wherever it stands, is SOLVER.RESUME auto among them."""
    parser = argparse.ArgumentParser(description='Train CLIP-ReID on photos of individual animals, in two stages.')
    parser.add_argument('--config_file', default='', help='a yml of configs/, or your own')
    parser.add_argument('--resume', action='store_true', help='go on with the run in OUTPUT_DIR, if there is one '
                                                              '(SOLVER.RESUME auto)')
    parser.add_argument('opts', nargs=argparse.REMAINDER, help='KEY VALUE pairs that override the yml')
    args = parser.parse_args(argv)
    if args.resume or '--resume' in args.opts:
        args.opts = [*(word for word in args.opts if word != '--resume'), 'SOLVER.RESUME', 'auto']
    return args


def train(cfg):
    """Train as ``cfg`` says."""
    # here and not above: --help and a wrong key need no PyTorch, which takes seconds to load
    from model.clip.weights import known
    from solver.make_optimizer_prompt import optimizer_names
    from utils.logger import close_logger, setup_logger
    from utils.processes import several_processes
    from utils.runtime import explained, process_backend
    from utils.stopping import StopRequest

    known(cfg.MODEL.NAME)
    _check_optimizers(cfg, optimizer_names())
    logger = setup_logger()
    try:
        with StopRequest().listening() as stop, \
                several_processes(cfg.MODEL.DIST_TRAIN, process_backend(cfg.MODEL.DEVICE), stop) as processes, \
                explained('the batches (IMS_PER_BATCH of SOLVER.STAGE1, SOLVER.STAGE2, TEST)'):
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
    from datasets.make_dataloader_clipreid import make_dataloader
    from loss.make_loss import make_loss
    from model.clip.weights import known
    from model.make_model_clipreid import make_model
    from processor.processor_clipreid_stage1 import do_train_stage1
    from processor.processor_clipreid_stage2 import do_train_stage2
    from solver.lr_scheduler import make_scheduler_1stage, make_scheduler_2stage
    from solver.make_optimizer_prompt import make_optimizer_1stage, make_optimizer_2stage, make_optimizer_center
    from utils.files import drop_leftovers, make_output_dir
    from utils.journal import STATE, Journal
    from utils.lock import output_lock
    from utils.logger import MetricsFile, log_to_file
    from utils.resume import check_disk, facts_of, go_on, is_finished, is_own, place, planned_files, read_state, set_aside
    from utils.run import log_run, save_run
    from utils.runtime import explained, make_runtime, seed_everything, wants_pinned_memory
    from utils.sync_batchnorm import sync_batch_norms

    state = read_state(cfg.SOLVER.RESUME, cfg.OUTPUT_DIR) if cfg.OUTPUT_DIR else None
    own = state is not None and is_own(cfg.SOLVER.RESUME, cfg.OUTPUT_DIR)
    finished, best = processes.broadcast([True, state['best']] if own and is_finished(state, flatten(cfg)) else [False, None])
    if finished:  # whatever has become of its photos
        if processes.main:
            with contextlib.suppress(InputError), output_lock(cfg.OUTPUT_DIR):
                pass  # takes away the lock file of a run that was killed at its very end
        logger.info('%s: this run is finished: %d epochs of stage 2, best validation mAP %s', cfg.OUTPUT_DIR,
                    cfg.SOLVER.STAGE2.MAX_EPOCHS, best)
        return best

    # everything that can be refused, before a file of this run is made
    output_dir = make_output_dir(cfg.OUTPUT_DIR)
    with output_lock(output_dir) if processes.main else contextlib.nullcontext(), contextlib.ExitStack() as end:
        runtime = make_runtime(cfg.MODEL.DEVICE, cfg.SOLVER.AMP, cfg.SOLVER.DETERMINISTIC, processes, stop)
        seed_everything(cfg.SOLVER.SEED)
        about = log_run(cfg, runtime, logger)
        if processes.main:
            drop_leftovers(output_dir)
        state = read_state(cfg.SOLVER.RESUME, output_dir)  # now that nobody else can write it
        if processes.broadcast(place(state)) != place(state):
            raise InputError(f'OUTPUT_DIR {output_dir} is not the same folder for all processes; put it on a disk that all '
                             f'share')
        if state is None and cfg.SOLVER.RESUME:
            logger.info('nothing to resume: there is no %s; a run starts', output_dir / STATE)
        loaders = make_dataloader(cfg, wants_pinned_memory(runtime.device), processes, runtime.device)
        end.callback(loaders.close)
        if processes.main:
            warn_of_data(cfg, loaders, logger)
        model = make_model(cfg, loaders.num_classes, loaders.camera_num, loaders.view_num).to(runtime.device)
        if cfg.MODEL.SYNC_BN:
            sync_batch_norms(model.image_encoder, processes)
        criterion = make_loss(cfg, loaders.num_classes, model.feature_dim).to(runtime.device)
        optimizer_1, optimizer_2 = make_optimizer_1stage(cfg, model), make_optimizer_2stage(cfg, model)
        center_optimizer = make_optimizer_center(cfg, criterion)
        scheduler_1, scheduler_2 = make_scheduler_1stage(cfg, optimizer_1), make_scheduler_2stage(cfg, optimizer_2)
        parts = {1: {'optimizer': optimizer_1}, 2: {'optimizer': optimizer_2, 'criterion': criterion}}
        if center_optimizer:
            parts[2]['center_optimizer'] = center_optimizer

        one, two, solver = cfg.SOLVER.STAGE1, cfg.SOLVER.STAGE2, cfg.SOLVER
        journal = Journal(output_dir, model, parts, runtime, name=known(cfg.MODEL.NAME)[0], suffix=solver.CHECKPOINT_FORMAT,
                          minutes=solver.CHECKPOINT_MINUTES, period=solver.RESUME_PERIOD,
                          facts=facts_of(flatten(cfg), loaders.fingerprints, about))
        if state:
            go_on(journal, state)
        goes_on = state is not None and is_own(solver.RESUME, output_dir)  # else it goes on in a folder that is new to it
        if processes.main:
            check_disk(output_dir, planned_files(journal, one, two, loaders.validation is not None),
                       loaders.cache_bytes * processes.local_world_size, new=not goes_on)
            log_to_file(output_dir, 'train_log.txt', append=goes_on)
        if not goes_on:
            journal.best = None  # the best checkpoint of the other folder is not here
            if processes.main:
                set_aside(output_dir)
        if state:
            logger.info('Resumed: stage %d, epoch %d, %d iterations of it done', journal.stage, journal.epoch,
                        journal.iteration)
        length = state['metrics_length'] if goes_on else None
        with MetricsFile(output_dir, length) if processes.main else contextlib.nullcontext() as journal.metrics, journal:
            if processes.main:
                save_run(cfg, about | {'data': loaders.fingerprints, 'config': flatten(cfg)}, output_dir, goes_on)
            with stop.patiently(), explained('SOLVER.STAGE1.IMS_PER_BATCH'):
                do_train_stage1(model, loaders.train_loader_stage1, optimizer_1, scheduler_1, runtime, journal,
                                epochs=one.MAX_EPOCHS, batch_size=one.IMS_PER_BATCH, seed=solver.SEED,
                                log_period=one.LOG_PERIOD, checkpoint_period=one.CHECKPOINT_PERIOD)
            with stop.patiently(), explained('SOLVER.STAGE2.IMS_PER_BATCH (training) or TEST.IMS_PER_BATCH (validation)'):
                return do_train_stage2(model, loaders, criterion, optimizer_2, center_optimizer, scheduler_2, runtime, journal,
                                       epochs=two.MAX_EPOCHS, log_period=two.LOG_PERIOD,
                                       checkpoint_period=two.CHECKPOINT_PERIOD, eval_period=two.EVAL_PERIOD,
                                       normalise=cfg.TEST.FEAT_NORM == 'yes', rerank=cfg.TEST.RE_RANKING)


def warn_of_data(cfg, loaders, logger):
    """Warn of what looks wrong with the photos and their labels; the test lists' too, where they are there."""
    from datasets.animal import load_test
    from datasets.checks import data_warnings

    test = ()
    with contextlib.suppress(InputError):
        query, gallery, _ = load_test(cfg)
        test = [*query, *gallery]
    query = loaders.validation.query if loaders.validation else ()
    for line in data_warnings(loaders.train_loader_stage1.dataset.records, query, test):
        logger.warning('%s', line)


def _check_optimizers(cfg, names):
    """Before anything starts: stage 2's is made hours later."""
    for stage in ('STAGE1', 'STAGE2'):
        if cfg.SOLVER[stage].OPTIMIZER_NAME not in names:
            raise ConfigError(f'SOLVER.{stage}.OPTIMIZER_NAME is {cfg.SOLVER[stage].OPTIMIZER_NAME!r}; choose from '
                              f'{", ".join(names)}')


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
