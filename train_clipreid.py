"""Train a model.

python train_clipreid.py --config_file configs/tiger/cnn_clipreid.yml [KEY VALUE …]
"""

import logging
import sys
from collections.abc import Sequence

from configs import ConfigError, changes, flatten, ignored_keys, load_cfg, with_value
from configs.command_line import parse_config
from utils.errors import exit_code

logger = logging.getLogger('transreid')


def main(argv: Sequence[str] | None = None) -> float | None:
    """Train both stages; return the best validation mAP, None without a validation list."""
    args = parse_config(argv, 'Train CLIP-ReID on photos of animals, in two stages.', resumes=True)
    cfg = load_cfg(args.config_file, args.opts)

    # Not at the top: torch takes seconds to import; --help and a wrong yml should not wait for it.
    from datasets.checks import warn_of_training
    from datasets.make_dataloader_clipreid import make_dataloader
    from loss.make_loss import make_loss
    from model.make_model_clipreid import make_model, sync_batch_norms
    from model.names import file_stem
    from model.timm_names import resolve_inputs
    from processor.processor_clipreid_stage1 import do_train_stage1, make_stage1
    from processor.processor_clipreid_stage2 import do_train_stage2, make_stage2
    from utils.device import wants_pinned_memory
    from utils.run.session import FinishedRun, training_session
    from wildlife.report.card import write_training_card

    cfg = resolve_inputs(cfg)
    with training_session(cfg, flatten(cfg), ignored_keys()) as run:
        if isinstance(run, FinishedRun):
            return run.best
        logger.info('Config, where it differs from the defaults:\n%s', changes(cfg))
        processes, device = run.runtime.processes, run.runtime.device
        loaders = make_dataloader(cfg, wants_pinned_memory(device), processes, device)
        run.cleanup.callback(loaders.close)
        if run.main:
            # False: no need to decode the photos of the test
            warn_of_training(with_value(cfg, 'DATASETS.SKIP_BROKEN', False), loaders)
        model = make_model(cfg, loaders.num_classes, loaders.camera_num, loaders.view_num)
        model.to(device)
        if cfg.MODEL.SYNC_BN:
            sync_batch_norms(model, processes.world_size, device)
        criterion = make_loss(cfg, loaders.num_classes, model.feature_dim).to(device)
        stage1 = make_stage1(cfg, model, loaders)
        stage2 = make_stage2(cfg, model, loaders, criterion)
        name = file_stem(cfg.MODEL.NAME)
        parts = {1: stage1.parts if stage1 else {}, 2: stage2.parts}
        with run.journal(name, model, parts, loaders.fingerprints, loaders.cache_bytes) as journal:
            journal.describe = lambda: write_training_card(run, loaders)
            if stage1:
                do_train_stage1(stage1, run.runtime, journal)
            return do_train_stage2(stage2, run.runtime, journal)


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
