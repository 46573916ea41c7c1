"""Test features of any origin under the protocol of a config, as test_clipreid tests a model.

    python -m tools.evaluate_features features.npz --config_file datalist/nyala/cnn_clipreid.yml
    OUTPUT_DIR output/nyala/other

The file, .npz or .parquet, needs two columns: ``path`` (text) and ``features`` (N, D), of all
photos of the query and gallery lists. Paths are absolute, or relative to a folder that contains all
photos. Labels, sides, cameras and encounters come from the lists. OUTPUT_DIR then contains
results.json, queries.csv, ranked_lists.csv, ranked_lists.png and report.html.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from configs import ConfigError, load_cfg
from configs.command_line import parse_with_pairs, path_text
from utils.errors import exit_code


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Evaluate the features; return the metrics by name, as fractions.

    Raises:
        InputError: Lists or features cannot be read or do not belong together.
        ConfigError: The config cannot be read.
    """
    args = parse(argv)
    cfg = load_cfg(args.config_file, args.opts)

    # Not at the top: torch takes seconds to import; --help and a wrong yml should not wait for it.
    from datasets.checks import warn_of_test
    from datasets.make_dataloader_clipreid import make_test_dataloader
    from model.timm_names import resolve_inputs
    from processor.encoder import whitening_facts
    from processor.inference import distance_settings, rank_features, reranking_settings
    from utils.logger import log_to_file, logger
    from utils.run.provenance import log_run
    from utils.run.session import evaluation_session
    from wildlife.features.evaluate import read_test_features
    from wildlife.report.outputs import write_outputs

    cfg = resolve_inputs(cfg)
    with evaluation_session(cfg) as run:
        test = make_test_dataloader(cfg)
        about = log_run(cfg, run.runtime, logger)
        features, origin = read_test_features(args.file, test, cfg)
        if run.main:
            log_to_file(run.folder, 'test_log.txt')
            if cfg.DATASETS.NAMES == 'animals':
                warn_of_test(test)
        settings = reranking_settings(cfg) if args.rerank or cfg.TEST.RE_RANKING else None
        features = features.to(run.runtime.ranking_device)
        how = (settings, *distance_settings(cfg))
        result = rank_features(features, test, run.runtime, *how)
        facts = about | origin | {'config_file': args.config_file}
        facts |= {'whitening': whitening_facts(cfg), 're_ranking': settings and asdict(settings)}
        if run.main:
            write_outputs(run, test, result, facts)
        return result.metrics


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tools.evaluate_features',
        description='Test features of any origin under the protocol of a config.',
    )
    add = parser.add_argument
    add('file', metavar='FILE', type=path_text, help='features, .npz or .parquet')
    add('--config_file', type=path_text, required=True, help='yml file with the lists')
    add('--rerank', action='store_true', help='with k-reciprocal re-ranking (TEST.RERANK_*)')
    return parse_with_pairs(parser, argv)


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
