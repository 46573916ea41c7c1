"""The demo: python -m tools.demo [--config FILE] [--data demo_data] [--seed 1] [KEY VALUE …]

Draws the data (tools/demo/data.py), then runs the project's own scripts on it as anybody would:
both stages of training, a test of the untrained and of the trained image encoder, and a test with
re-ranking, all on individuals never seen in training. Ends with a table; exit code 1 if training
gained less than 0.20 in mAP. --config configs/demo/vit_clipreid.yml trains the small ViT.
"""

import argparse
import logging
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from yacs.config import CfgNode

import test_clipreid
import test_rerank_clipreid
import train_clipreid
from configs import ConfigError, load_cfg
from configs.command_line import parse_with_pairs, path_text
from tools.demo.data import make_demo
from utils.errors import exit_code
from utils.logger import quiet_screen

ROOT = Path(__file__).resolve().parents[2]
LEAST_GAIN = 0.20  # in mAP
ROWS = {
    'before': 'before training (random weights)',
    'after': 'after both stages',
    'reranked': 'after re-ranking',
}
Metrics = dict[str, float]


def main(argv: Sequence[str] | None = None) -> dict[str, Metrics]:
    """Run the demo.

    Returns:
        The metrics as fractions, of 'before', 'after' and 'reranked'.

    Raises:
        SystemExit: with code 1, if the training gained too little.
    """
    args = parse(argv)
    start = time.perf_counter()
    cfg = load_cfg(args.config, args.opts)
    # tensors this small: two threads gain little, and lose tenfold on a busy machine
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
    print(table(results))
    print(f'\ngain by training: {gain:+.3f} mAP (at least {LEAST_GAIN:.2f} is expected)')
    print(f'seconds in all:   {time.perf_counter() - start:.0f}')
    print(f'picture:          {output / "ranked_lists.png"}')
    if gain < LEAST_GAIN:
        sys.exit(1)
    return results


def is_milestone(record: logging.LogRecord) -> bool:
    """Whether a line of the log is worth a look while the demo runs."""
    text = record.getMessage()
    if record.levelno >= logging.WARNING:
        return 'other shapes than OpenAI' not in text  # the demo's CLIPs are small on purpose
    return bool(re.match(r'ETA|Stage1|Epoch \d*[05] done', text))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Draw animals, train both stages, test and re-rank: a table and a picture.'
    )
    parser.add_argument(
        '--config',
        type=path_text,
        default=str(ROOT / 'configs/demo/cnn_clipreid.yml'),
        help='a yml of configs/demo',
    )
    parser.add_argument(
        '--data',
        type=path_text,
        default='demo_data',
        help='folder for the drawn photos, lists and weights',
    )
    parser.add_argument(
        '--seed', type=int, default=1, help='of the drawing: other animals for another number'
    )
    return parse_with_pairs(parser, argv)


def data_options(cfg: CfgNode, data: Path) -> list[str]:
    """KEY VALUE pairs that make ``cfg``, one of the demo's, use the demo's data in ``data``."""
    return [
        *('DATASETS.LIST_DIR', str(data)),
        *('DATASETS.ROOT_DIR', str(data)),
        *('DATASETS.TEST_ROOT_DIR', str(data / 'test')),
        *('MODEL.PRETRAIN_PATH', str(data / Path(cfg.MODEL.PRETRAIN_PATH).name)),
    ]


def test_all(cfg: CfgNode, common: Sequence[str]) -> dict[str, Metrics]:
    """The metrics of the initial encoder, of the trained one, and of that after re-ranking."""
    output = Path(cfg.OUTPUT_DIR)
    # stage 1 leaves the image encoder as it was
    initial = output / f'{cfg.MODEL.NAME}_stage1_{cfg.SOLVER.STAGE1.MAX_EPOCHS}.pth'
    trained = output / f'{cfg.MODEL.NAME}_{cfg.SOLVER.STAGE2.MAX_EPOCHS}.pth'
    of_initial = [*common, 'TEST.WEIGHT', str(initial)]
    of_trained = [*common, 'TEST.WEIGHT', str(trained)]
    return {
        'before': test_clipreid.main([*of_initial, 'OUTPUT_DIR', str(output / 'before')]),
        'after': test_clipreid.main(of_trained),
        'reranked': test_rerank_clipreid.main([*of_trained, 'OUTPUT_DIR', str(output / 'rerank')]),
    }


def table(results: Mapping[str, Metrics]) -> str:
    """The results as lines of text."""
    lines = ['', f'{"Individuals never seen in training":36}{"mAP":>8}{"rank-1":>8}']
    for name, text in ROWS.items():
        metrics = results[name]
        lines.append(f'{text:36}{metrics["mAP"]:8.3f}{metrics["rank1"]:8.3f}')
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
