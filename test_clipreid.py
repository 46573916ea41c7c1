"""Test a trained model by the protocol of its species.

python test_clipreid.py --config_file configs/yak/cnn_clipreid.yml TEST.WEIGHT
./output/yak/cnn/RN50_80.pth
"""

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict

from yacs.config import CfgNode

from configs import ConfigError, flatten, load_cfg
from configs.command_line import parse_with_pairs, path_text
from datasets.checks import data_warnings
from datasets.make_dataloader_clipreid import TestSet, make_test_dataloader
from model.make_model_clipreid import make_test_model
from model.reid_model import ReIDModel
from processor.inference import do_inference, report, report_copies
from processor.results import write_results
from utils.device import wants_pinned_memory
from utils.errors import InputError, exit_code
from utils.files import sha256_file
from utils.logger import log_to_file
from utils.reranking import ReRanking
from utils.run.provenance import log_run
from utils.run.session import evaluation_session

logger = logging.getLogger('transreid.test')


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Metrics of the checkpoint TEST.WEIGHT as fractions, by name."""
    args = parse(argv, 'Test a trained model by the protocol of its species.')
    cfg = load_cfg(args.config_file, args.opts)
    return evaluate(cfg, args.config_file, 'test', cfg.TEST.RE_RANKING)


def parse(argv: Sequence[str] | None, description: str) -> argparse.Namespace:
    """Read the command line of both test scripts: ``config_file`` and ``opts``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        '--config_file', type=path_text, default='', help='a yml of configs/, or your own'
    )
    return parse_with_pairs(parser, argv)


def evaluate(cfg: CfgNode, config_file: str, log: str, rerank: bool) -> dict[str, float]:
    """Test the checkpoint TEST.WEIGHT; write OUTPUT_DIR/results.json and the rankings.

    Args:
        cfg: The config.
        config_file: Where it was read, for results.json.
        log: Stem of the log's file name.
        rerank: Whether to re-rank.
    """
    with evaluation_session(cfg) as run:
        runtime, device = run.runtime, run.runtime.device
        animals = cfg.DATASETS.NAMES == 'animals'

        test = make_test_dataloader(cfg, wants_pinned_memory(device), runtime.processes, device)
        run.cleanup.callback(test.loader.close)
        logger.info('Protocol %s: %s', test.protocol.name, test.protocol.text)
        about = log_run(cfg, runtime, logger)
        model, sha256 = load_model(cfg)
        check_side_information(model, test)
        model.to(device)
        if run.main:
            log_to_file(run.folder, f'{log}_log.txt')
            if animals:
                warn_of_data(test)

        settings = reranking_settings(cfg) if rerank else None
        normalise = animals or cfg.TEST.FEAT_NORM == 'yes'
        metric = 'cosine' if animals else 'euclidean'
        result = do_inference(model, test, runtime, settings, normalise, metric)
        report(result.metrics, logger, result.without_positive)
        report_copies(result, test.protocol, logger)
        if run.main:
            facts = about | {'checkpoint_sha256': sha256, 'config_file': config_file}
            facts |= {'re_ranking': settings and asdict(settings), 'config': flatten(cfg)}
            facts['checkpoint'] = str(cfg.TEST.WEIGHT)
            write_results(run.folder, test, result, facts, picture_title(cfg, rerank))
        return result.metrics


def load_model(cfg: CfgNode) -> tuple[ReIDModel, str]:
    """The model of TEST.WEIGHT and the file's SHA-256; a training may replace the file meanwhile.

    Raises:
        InputError: It did, or the file is no checkpoint.
    """

    def stamp() -> tuple[int, ...]:
        status = os.stat(cfg.TEST.WEIGHT)
        return status.st_ino, status.st_mtime_ns, status.st_size

    with contextlib.suppress(OSError):
        before = stamp()
        model = make_test_model(cfg)
        sha256 = sha256_file(cfg.TEST.WEIGHT)
        if stamp() == before:
            return model, sha256
    make_test_model(cfg)  # says what is wrong with the file, if it is
    raise InputError(
        f'TEST.WEIGHT: {cfg.TEST.WEIGHT} was replaced while it was read; start the test again'
    )


def check_side_information(model: ReIDModel, test: TestSet) -> None:
    """Side information needs an embedding for every camera and view of the test."""
    photos = test.query + test.gallery
    cameras, views = model.side
    for name, known, largest in (
        ('cameras', cameras, max(photo.camid for photo in photos)),
        ('views', views, max(photo.viewid for photo in photos)),
    ):
        if known and largest >= known:
            raise InputError(
                f'the model knows {known} {name}, the test lists have number {largest}; train with '
                'MODEL.SIE_CAMERA / SIE_VIEW on lists that hold all of them, or set them to False'
            )


def warn_of_data(test: TestSet) -> None:
    """Warn of what looks wrong with the photos and labels."""
    for line in data_warnings((), query=test.query, gallery=test.gallery):
        logger.warning('%s', line)


def reranking_settings(cfg: CfgNode) -> ReRanking:
    """Those of TEST.RERANK_*."""
    settings = ReRanking(
        k1=cfg.TEST.RERANK_K1,
        k2=cfg.TEST.RERANK_K2,
        lambda_value=cfg.TEST.RERANK_LAMBDA,
        ties=cfg.TEST.RERANK_TIES,
    )
    logger.info('k-reciprocal re-ranking: %s', asdict(settings))
    return settings


def picture_title(cfg: CfgNode, rerank: bool) -> str:
    """Of ranked_lists.png."""
    name = cfg.DATASETS.SPECIES if cfg.DATASETS.NAMES == 'animals' else cfg.DATASETS.NAMES
    return (
        f'{name}: first photos for a dozen queries, {"re-ranked, " if rerank else ""}'
        'green = right individual'
    )


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
