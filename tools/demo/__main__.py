"""The demo: python -m tools.demo [--config configs/demo/vit_clipreid.yml] [--data demo_data]
[--seed 1] [KEY VALUE …]

Draws the data (tools/demo/data.py), then runs the project's own scripts on it as anybody would:
both stages of training, a test of the untrained and of the trained image encoder, and a test with
re-ranking, all on individuals never seen in training. Ends with a table; exit code 1 if training
gained less than 0.20 in mAP.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

import test_clipreid
import test_rerank_clipreid
import train_clipreid
from configs import ConfigError, load_cfg
from configs.command_line import parse_with_pairs, path_text
from tools.demo.data import make_demo
from utils.errors import exit_code

ROOT = Path(__file__).resolve().parents[2]
LEAST_GAIN = 0.20  # in mAP


def main(argv=None):
    """Run the demo; returns {'before', 'after', 'reranked'}: metrics as fractions. SystemExit(1)
    for too small a gain.
    """
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
    args = parse_with_pairs(parser, argv)

    start = time.perf_counter()
    cfg = load_cfg(args.config, args.opts)
    torch.set_num_threads(
        1
    )  # tensors this small: two threads gain little, and lose tenfold on a busy machine
    make_demo(args.data, args.seed)
    data, output = Path(args.data), Path(cfg.OUTPUT_DIR)
    common = ['--config_file', args.config, *args.opts, *data_options(cfg, data)]
    first = (
        output / f'{cfg.MODEL.NAME}_stage1_{cfg.SOLVER.STAGE1.MAX_EPOCHS}.pth'
    )  # its image encoder is the initial one
    last = output / f'{cfg.MODEL.NAME}_{cfg.SOLVER.STAGE2.MAX_EPOCHS}.pth'

    train_clipreid.main(common)
    results = {
        'before': test_clipreid.main(
            [*common, 'TEST.WEIGHT', str(first), 'OUTPUT_DIR', str(output / 'before')]
        ),
        'after': test_clipreid.main([*common, 'TEST.WEIGHT', str(last)]),
        'reranked': test_rerank_clipreid.main(
            [*common, 'TEST.WEIGHT', str(last), 'OUTPUT_DIR', str(output / 'rerank')]
        ),
    }
    gain = results['after']['mAP'] - results['before']['mAP']
    print(table(results))
    print(f'\ngain by training: {gain:+.3f} mAP (at least {LEAST_GAIN:.2f} is expected)')
    print(f'seconds in all:   {time.perf_counter() - start:.0f}')
    print(f'picture:          {output / "ranked_lists.png"}')
    if gain < LEAST_GAIN:
        sys.exit(1)
    return results


def data_options(cfg, data):
    """KEY VALUE pairs that make ``cfg``, one of the demo's, use the demo's data in the folder
    ``data``.
    """
    return [
        'DATASETS.LIST_DIR',
        str(data),
        'DATASETS.ROOT_DIR',
        str(data),
        'DATASETS.TEST_ROOT_DIR',
        str(data / 'test'),
        'MODEL.PRETRAIN_PATH',
        str(data / Path(cfg.MODEL.PRETRAIN_PATH).name),
    ]


def table(results):
    """The results as lines of text."""
    rows = {
        'before': 'before training (random weights)',
        'after': 'after both stages',
        'reranked': 'after re-ranking',
    }
    lines = ['', f'{"Individuals never seen in training":36}{"mAP":>8}{"rank-1":>8}']
    lines += [
        f'{text:36}{results[name]["mAP"]:8.3f}{results[name]["rank1"]:8.3f}'
        for name, text in rows.items()
    ]
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
