"""Test a trained model under the protocol of its species.

python test_clipreid.py --config_file configs/yak/cnn_clipreid.yml TEST.WEIGHT
./output/yak/cnn/RN50_80.pth
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict

from configs import ConfigError, changes, load_cfg
from configs.command_line import parse_config
from utils.errors import exit_code

logger = logging.getLogger('transreid.test')

HELP = 'Test the model TEST.WEIGHT{}: mAP, rank-1, ranked lists.'


def main(argv: Sequence[str] | None = None, rerank: bool = False) -> dict[str, float]:
    """Test the checkpoint TEST.WEIGHT; return its metrics by name, as fractions."""
    args = parse_config(argv, HELP.format(' with re-ranking' if rerank else ''))
    cfg = load_cfg(args.config_file, args.opts)
    # Not at the top: torch takes seconds to import; --help and a wrong yml should not wait for it.
    from datasets.checks import warn_of_test
    from datasets.make_dataloader_clipreid import make_test_dataloader
    from model.timm_names import resolve_inputs
    from processor.encoder import load_model, make_encoder, whitening_facts
    from processor.inference import distance_settings, do_inference, reranking_settings
    from utils.device import wants_pinned_memory
    from utils.logger import log_to_file
    from utils.run.provenance import log_run
    from utils.run.session import evaluation_session
    from wildlife.report.card import add_to_card
    from wildlife.report.outputs import with_fp32, write_outputs

    cfg = resolve_inputs(cfg)
    with evaluation_session(cfg) as run:
        runtime, device = run.runtime, run.runtime.device
        test = make_test_dataloader(cfg, wants_pinned_memory(device), runtime.processes, device)
        run.cleanup.callback(test.loader.close)
        logger.info('Config, where it differs from the defaults:\n%s', changes(cfg))
        about = log_run(cfg, runtime, logger)
        model, checkpoint = load_model(cfg, test.query + test.gallery)
        encoder = make_encoder(cfg, model, device)
        if run.main:
            log_to_file(run.folder, f'test_{"rerank_" if rerank else ""}log.txt')
            if cfg.DATASETS.NAMES == 'animals':
                warn_of_test(test)
        settings = reranking_settings(cfg) if rerank or cfg.TEST.RE_RANKING else None
        how = (settings, *distance_settings(cfg))
        result = do_inference(encoder, test, runtime, *how)
        facts = about | checkpoint | {'config_file': args.config_file}
        facts |= {'whitening': whitening_facts(cfg), 're_ranking': settings and asdict(settings)}
        if encoder.precision != 'fp32':
            facts = with_fp32(facts, result, do_inference(encoder.in_fp32(), test, runtime, *how))
        if run.main:
            write_outputs(run, test, result, facts, encoder)
            add_to_card(run.folder)
        return result.metrics


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
