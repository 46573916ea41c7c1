"""The demo: python -m tools.demo [--config FILE] [--data demo_data] [--seed 1] [KEY VALUE …]

Draws the data (tools/demo/data.py) and runs the usual programs on it: both stages of training, a
test of the untrained and of the trained image encoder, and a test with re-ranking. All tests use
individuals that are not in training. Prints a table with intervals at the end, and where the report
is. The exit code is 1 if training improves mAP by less than 0.20. --config
configs/demo/vit_clipreid.yml trains the small ViT.
"""

import argparse
import logging
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from yacs.config import CfgNode

import test_clipreid
import test_rerank_clipreid
import train_clipreid
from configs import ConfigError, load_cfg
from configs.command_line import parse_with_pairs, path_text
from model.names import START, file_stem
from tools.demo.data import make_demo
from utils.errors import exit_code
from utils.logger import quiet_screen
from wildlife.report.results import read_result

ROOT = Path(__file__).resolve().parents[2]
LEAST_GAIN = 0.20  # in mAP
ROWS = {
    'before': 'before training (random weights)',
    'after': 'after both stages',
    'reranked': 'after re-ranking',
}
FOLDERS = {'before': 'before', 'after': '', 'reranked': 'rerank'}  # of the tests, in OUTPUT_DIR
Metrics = dict[str, float]


def main(argv: Sequence[str] | None = None) -> dict[str, Metrics]:
    """Run the demo.

    Returns:
        'before', 'after' and 'reranked' -> metrics as fractions.

    Raises:
        SystemExit: With code 1 if training improves mAP by less than ``LEAST_GAIN``.
    """
    args = parse(argv)
    start = time.perf_counter()
    cfg = load_cfg(args.config, args.opts)
    # For such small tensors a second thread helps little, and on a busy machine it takes ten times
    # as long.
    torch.set_num_threads(1)
    print('Drawing animals', flush=True)
    make_demo(args.data, args.seed)

    output = Path(cfg.OUTPUT_DIR)
    print(f'\nTraining both stages; the whole log is {output / "train_log.txt"}', flush=True)
    common = ['--config_file', args.config, *args.opts, *data_options(cfg, Path(args.data))]
    with quiet_screen(is_milestone):
        train_clipreid.main(common)
        print('\nTesting before and after training, and with re-ranking', flush=True)
        results = test_all(cfg, common)

    gain = results['after']['mAP'] - results['before']['mAP']
    print(table(measures_of(output)))
    print(f'\ngain by training: {gain:+.3f} mAP (expected: at least {LEAST_GAIN:.2f})')
    print(f'total seconds:    {time.perf_counter() - start:.0f}')
    print(f'picture:          {output / "ranked_lists.png"}')
    print(f'report:           {output / "report.html"} (open it in a browser)')
    if gain < LEAST_GAIN:
        sys.exit(1)
    return results


def is_milestone(record: logging.LogRecord) -> bool:
    """Whether the demo shows a line of the log on the screen."""
    milestone = re.match(r'ETA|Stage1|Epoch \d*[05] done', record.getMessage())
    return bool(milestone) or record.levelno >= logging.WARNING


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m tools.demo',
        description='Draw animals, train both stages, test and re-rank: a table and a report.',
    )
    parser.add_argument(
        '--config',
        type=path_text,
        default=str(ROOT / 'configs/demo/cnn_clipreid.yml'),
        help='yml file in configs/demo (default: %(default)s)',
    )
    parser.add_argument(
        '--data',
        type=path_text,
        default='demo_data',
        help='folder for the drawn photos, lists and weights (default: %(default)s)',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=1,
        help='seed for drawing the animals; another number gives other animals '
        '(default: %(default)s)',
    )
    return parse_with_pairs(parser, argv)


def data_options(cfg: CfgNode, data: Path) -> list[str]:
    """Return the KEY VALUE pairs that make a demo config use the data in ``data``."""
    weights = cfg.MODEL.PRETRAIN_PATH and str(data / Path(cfg.MODEL.PRETRAIN_PATH).name)
    return [
        *('DATASETS.LIST_DIR', str(data)),
        *('DATASETS.ROOT_DIR', str(data)),
        *('DATASETS.TEST_ROOT_DIR', str(data / 'test')),
        *('MODEL.PRETRAIN_PATH', weights),
    ]


def test_all(cfg: CfgNode, common: Sequence[str]) -> dict[str, Metrics]:
    """Return the metrics before training, after training, and after re-ranking."""
    output = Path(cfg.OUTPUT_DIR)
    trained = str(output / f'{file_stem(cfg.MODEL.NAME)}_{cfg.SOLVER.STAGE2.MAX_EPOCHS}.pth')
    tests = {
        'before': (test_clipreid, START),
        'after': (test_clipreid, trained),
        'reranked': (test_rerank_clipreid, trained),
    }
    results = {}
    for name, (program, weights) in tests.items():
        options = ['TEST.WEIGHT', weights, 'OUTPUT_DIR', str(output / FOLDERS[name])]
        results[name] = program.main([*common, *options])
    return results


def measures_of(output: Path) -> dict[str, dict[str, Any]]:
    """Return the measures of the three tests, as in results.json."""
    return {name: read_result(output / folder).measures for name, folder in FOLDERS.items()}


def table(measures: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the measures of the three tests as lines of text."""
    lines = ['', f'{"Individuals never seen in training":36}{"mAP":24}rank-1']
    for name, text in ROWS.items():
        cells = []
        for metric in ('mAP', 'rank1'):
            pair = measures[name]['intervals'].get(metric)
            words = f' [{pair[0]:.3f}, {pair[1]:.3f}]' if pair else ''
            cells.append(f'{measures[name]["values"][metric]:.3f}{words}')
        lines.append(f'{text:36}{cells[0]:24}{cells[1]}')
    reason = measures['after']['reason']
    lines.append(f'(no intervals: {reason})' if reason else '(in brackets: 95 % intervals)')
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
