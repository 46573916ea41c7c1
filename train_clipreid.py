"""Train: python train_clipreid.py --config_file configs/tiger/cnn_clipreid.yml [KEY VALUE …]"""

import argparse
import contextlib
import logging
import sys
from collections.abc import Sequence

from yacs.config import CfgNode

from configs import ConfigError, flatten, load_cfg, with_value
from configs.command_line import parse_with_pairs, path_text
from datasets.checks import data_warnings
from datasets.make_dataloader_clipreid import Loaders, make_dataloader
from datasets.records import Record
from datasets.sources import load_test
from loss.make_loss import Stage2Loss, make_loss
from model.clip.architecture import known
from model.make_model_clipreid import make_model
from model.reid_model import ReIDModel
from model.sync_batch_norm import check_sync_batch_norms, sync_batch_norms
from processor.processor_clipreid_stage1 import Stage1Setup, do_train_stage1
from processor.processor_clipreid_stage2 import Stage2Setup, do_train_stage2
from solver.lr_scheduler import make_scheduler_1stage, make_scheduler_2stage
from solver.make_optimizer_prompt import (
    make_optimizer_1stage,
    make_optimizer_2stage,
    make_optimizer_center,
)
from utils.device import wants_pinned_memory
from utils.errors import InputError, exit_code
from utils.run.session import Data, FinishedRun, training_session

logger = logging.getLogger('transreid')


def main(argv: Sequence[str] | None = None) -> float | None:
    """Train both stages.

    Returns:
        The best validation mAP, None where there is no validation list.
    """
    args = parse(argv)
    return train(load_cfg(args.config_file, args.opts))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line: ``config_file`` and ``opts``; --resume is SOLVER.RESUME auto."""
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


def train(cfg: CfgNode) -> float | None:
    """Train as ``cfg`` says; return the best validation mAP."""
    with training_session(cfg, flatten(cfg)) as run:
        if isinstance(run, FinishedRun):
            return run.best
        runtime, device = run.runtime, run.runtime.device
        if cfg.MODEL.SYNC_BN:
            check_sync_batch_norms(runtime.processes, device)

        loaders = make_dataloader(cfg, wants_pinned_memory(device), runtime.processes, device)
        run.cleanup.callback(loaders.close)
        if run.main:
            warn_of_data(cfg, loaders)

        model = make_model(cfg, loaders.num_classes, loaders.camera_num, loaders.view_num)
        model.to(device)
        if cfg.MODEL.SYNC_BN:
            sync_batch_norms(model.image_encoder, runtime.processes)
        criterion = make_loss(cfg, loaders.num_classes, model.feature_dim).to(device)

        stage1 = make_stage1(cfg, model, loaders)
        stage2 = make_stage2(cfg, model, loaders, criterion)
        parts = {1: stage1.parts, 2: stage2.parts}
        data = Data(loaders.fingerprints, loaders.cache_bytes, loaders.validation is not None)
        name, _ = known(cfg.MODEL.NAME)
        with run.journal(name, model, parts, data) as journal:
            do_train_stage1(stage1, runtime, journal)
            return do_train_stage2(stage2, runtime, journal)


def warn_of_data(cfg: CfgNode, loaders: Loaders) -> None:
    """Warn about suspicious photos and labels, of the test lists too if they exist."""
    if cfg.DATASETS.NAMES != 'animals':  # official sets number their folders anew in each part
        return
    validation = loaders.validation.query if loaders.validation else []
    test: tuple[list[Record], list[Record]] = ([], [])
    with contextlib.suppress(InputError):
        # no need to decode them all
        photos = load_test(with_value(cfg, 'DATASETS.SKIP_BROKEN', False))
        test = photos.query, photos.gallery
    for line in data_warnings(loaders.train_loader_stage1.dataset.records, validation, *test):
        logger.warning('%s', line)


def make_stage1(cfg: CfgNode, model: ReIDModel, loaders: Loaders) -> Stage1Setup:
    """Stage 1 as SOLVER.STAGE1 configures it."""
    solver = cfg.SOLVER.STAGE1
    optimizer = make_optimizer_1stage(cfg, model) if model.has_prompts else None
    return Stage1Setup(
        model=model,
        loader=loaders.train_loader_stage1,
        optimizer=optimizer,
        scheduler=make_scheduler_1stage(cfg, optimizer) if optimizer else None,
        epochs=solver.MAX_EPOCHS,
        batch_size=solver.IMS_PER_BATCH,
        seed=cfg.SOLVER.SEED,
        log_period=solver.LOG_PERIOD,
        checkpoint_period=solver.CHECKPOINT_PERIOD,
    )


def make_stage2(
    cfg: CfgNode, model: ReIDModel, loaders: Loaders, criterion: Stage2Loss
) -> Stage2Setup:
    """Stage 2 as SOLVER.STAGE2 configures it, and its validation as TEST does."""
    solver = cfg.SOLVER.STAGE2
    optimizer = make_optimizer_2stage(cfg, model)
    return Stage2Setup(
        model=model,
        loader=loaders.train_loader_stage2,
        validation=loaders.validation,
        criterion=criterion,
        optimizer=optimizer,
        center_optimizer=make_optimizer_center(cfg, criterion),
        scheduler=make_scheduler_2stage(cfg, optimizer),
        epochs=solver.MAX_EPOCHS,
        log_period=solver.LOG_PERIOD,
        checkpoint_period=solver.CHECKPOINT_PERIOD,
        eval_period=solver.EVAL_PERIOD,
        normalise=cfg.TEST.FEAT_NORM == 'yes',
        rerank=cfg.TEST.RE_RANKING,
    )


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
