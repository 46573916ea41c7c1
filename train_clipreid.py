"""Train: python train_clipreid.py --config_file configs/tiger/cnn_clipreid.yml [KEY VALUE …]"""
import argparse
import sys

from configs import ConfigError, load_cfg
from utils.errors import InputError, exit_code


def main(argv=None):
    """Both stages; returns the best validation mAP (None where there is no validation list)."""
    parser = argparse.ArgumentParser(description='Train CLIP-ReID on photos of individual animals, in two stages.')
    parser.add_argument('--config_file', default='', help='a yml of configs/, or your own')
    parser.add_argument('opts', nargs=argparse.REMAINDER, help='KEY VALUE pairs that override the yml')
    args = parser.parse_args(argv)
    return train(load_cfg(args.config_file, args.opts))


def train(cfg):
    """Train as ``cfg`` says."""
    # here and not above: --help and a wrong key need no PyTorch, which takes seconds to load
    from datasets.make_dataloader_clipreid import make_dataloader
    from loss.make_loss import make_loss
    from model.clip.weights import known
    from model.make_model_clipreid import make_model
    from processor.processor_clipreid_stage1 import do_train_stage1
    from processor.processor_clipreid_stage2 import do_train_stage2
    from solver.lr_scheduler import make_scheduler_1stage, make_scheduler_2stage
    from solver.make_optimizer_prompt import (
        make_optimizer_1stage,
        make_optimizer_2stage,
        make_optimizer_center,
        optimizer_names,
    )
    from utils.files import make_output_dir
    from utils.logger import MetricsFile, close_logger, log_to_file, setup_logger
    from utils.run import log_run, save_run
    from utils.runtime import make_runtime, seed_everything, wants_pinned_memory

    name, _ = known(cfg.MODEL.NAME)
    _check_optimizers(cfg, optimizer_names())
    logger = setup_logger()
    try:
        # everything that can be refused, before a file of this run is made
        output_dir = make_output_dir(cfg.OUTPUT_DIR)
        runtime = make_runtime(cfg.MODEL.DEVICE, cfg.SOLVER.AMP)
        seed_everything(cfg.SOLVER.SEED)
        about = log_run(cfg, runtime, logger)
        loaders = make_dataloader(cfg, pin_memory=wants_pinned_memory(runtime.device), device=runtime.device)
        model = make_model(cfg, loaders.num_classes, loaders.camera_num, loaders.view_num).to(runtime.device)
        criterion = make_loss(cfg, loaders.num_classes, model.feature_dim).to(runtime.device)
        optimizer_1, optimizer_2 = make_optimizer_1stage(cfg, model), make_optimizer_2stage(cfg, model)
        center_optimizer = make_optimizer_center(cfg, criterion)
        scheduler_1, scheduler_2 = make_scheduler_1stage(cfg, optimizer_1), make_scheduler_2stage(cfg, optimizer_2)

        log_to_file(output_dir, 'train_log.txt')
        save_run(cfg, about, output_dir)
        with MetricsFile(output_dir) as metrics_file:
            outputs = {'output_dir': output_dir, 'name': name, 'metrics_file': metrics_file}
            one, two = cfg.SOLVER.STAGE1, cfg.SOLVER.STAGE2
            do_train_stage1(model, loaders.train_loader_stage1, optimizer_1, scheduler_1, runtime, epochs=one.MAX_EPOCHS,
                            batch_size=one.IMS_PER_BATCH, seed=cfg.SOLVER.SEED, log_period=one.LOG_PERIOD,
                            checkpoint_period=one.CHECKPOINT_PERIOD, **outputs)
            return do_train_stage2(model, loaders, criterion, optimizer_2, center_optimizer, scheduler_2, runtime,
                                   epochs=two.MAX_EPOCHS, log_period=two.LOG_PERIOD,
                                   checkpoint_period=two.CHECKPOINT_PERIOD, eval_period=two.EVAL_PERIOD,
                                   normalise=cfg.TEST.FEAT_NORM == 'yes', rerank=cfg.TEST.RE_RANKING, **outputs)
    except InputError as error:
        logger.error('%s', error)
        raise
    finally:
        close_logger()


def _check_optimizers(cfg, names):
    """Before anything starts: stage 2's is made hours later."""
    for stage in ('STAGE1', 'STAGE2'):
        if cfg.SOLVER[stage].OPTIMIZER_NAME not in names:
            raise ConfigError(f'SOLVER.{stage}.OPTIMIZER_NAME is {cfg.SOLVER[stage].OPTIMIZER_NAME!r}; choose from '
                              f'{", ".join(names)}')


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
