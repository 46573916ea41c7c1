"""Train: python train_clipreid.py --config_file configs/tiger/cnn_clipreid.yml [KEY VALUE …]"""
import argparse
import sys

from configs import ConfigError, load_cfg
from datasets.make_dataloader_clipreid import make_dataloader
from loss.make_loss import make_loss
from model.make_model_clipreid import make_model
from processor.processor_clipreid_stage1 import do_train_stage1
from processor.processor_clipreid_stage2 import do_train_stage2
from solver.lr_scheduler import make_scheduler_1stage, make_scheduler_2stage
from solver.make_optimizer_prompt import make_optimizer_1stage, make_optimizer_2stage, make_optimizer_center
from utils.errors import exit_code
from utils.files import make_output_dir
from utils.logger import MetricsFile, close_logger, setup_logger
from utils.run import start_run
from utils.runtime import make_runtime, seed_everything, wants_pinned_memory


def main(argv=None):
    """Both stages; returns the best validation mAP (None where there is no validation list)."""
    parser = argparse.ArgumentParser(description='Train CLIP-ReID on photos of individual animals, in two stages.')
    parser.add_argument('--config_file', default='', help='a yml of configs/, or your own')
    parser.add_argument('opts', nargs=argparse.REMAINDER, help='KEY VALUE pairs that override the yml')
    args = parser.parse_args(argv)

    cfg = load_cfg(args.config_file, args.opts)
    output_dir = make_output_dir(cfg.OUTPUT_DIR)
    logger = setup_logger(output_dir, 'train_log.txt')
    metrics_file = MetricsFile(output_dir)
    try:
        runtime = make_runtime(cfg.MODEL.DEVICE, cfg.SOLVER.AMP)
        seed_everything(cfg.SOLVER.SEED)
        start_run(cfg, runtime, output_dir, logger)
        loaders = make_dataloader(cfg, pin_memory=wants_pinned_memory(runtime.device))
        model = make_model(cfg, loaders.num_classes, loaders.camera_num, loaders.view_num).to(runtime.device)
        outputs = {'output_dir': output_dir, 'name': cfg.MODEL.NAME, 'metrics_file': metrics_file}

        stage = cfg.SOLVER.STAGE1
        optimizer = make_optimizer_1stage(cfg, model)
        do_train_stage1(model, loaders.train_loader_stage1, optimizer, make_scheduler_1stage(cfg, optimizer), runtime,
                        epochs=stage.MAX_EPOCHS, batch_size=stage.IMS_PER_BATCH, seed=cfg.SOLVER.SEED,
                        log_period=stage.LOG_PERIOD, checkpoint_period=stage.CHECKPOINT_PERIOD, **outputs)

        stage = cfg.SOLVER.STAGE2
        criterion = make_loss(cfg, loaders.num_classes, model.feature_dim).to(runtime.device)
        optimizer = make_optimizer_2stage(cfg, model)
        return do_train_stage2(model, loaders, criterion, optimizer, make_optimizer_center(cfg, criterion),
                               make_scheduler_2stage(cfg, optimizer), runtime, epochs=stage.MAX_EPOCHS,
                               log_period=stage.LOG_PERIOD, checkpoint_period=stage.CHECKPOINT_PERIOD,
                               eval_period=stage.EVAL_PERIOD, normalise=cfg.TEST.FEAT_NORM == 'yes',
                               rerank=cfg.TEST.RE_RANKING, **outputs)
    finally:
        metrics_file.close()
        close_logger()


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
