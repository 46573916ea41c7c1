"""Write the features of photos to a file, for other programs or for tools.evaluate_features.

    python -m tools.extract_features --config_file datalist/nyala/cnn_clipreid.yml
    TEST.WEIGHT output/nyala/cnn/RN50_80.pth --out nyala.npz

The photos are those of the config's lists (all splits, or those of --splits), or of a folder
(--photos). The file, .npz or .parquet, has the columns path, individual, side, camera, encounter
(empty = unknown), bytes (size of the photo's file) and features (N, D) float32, and as metadata the
SHA-256 of the model, the transform and the fingerprints of the photos. Features are not
normalised, and not whitened unless TEST.WHITENING is set. To continue a killed extraction, repeat
the command. Several processes:

    torchrun --standalone --nproc_per_node N -m tools.extract_features … MODEL.DIST_TRAIN True

With --onnx FILE, the features are those of a file of tools.export, and photos are prepared as it
says; keys about the model and its input have no effect.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from configs import ConfigError, load_cfg
from configs.command_line import parse_with_pairs, path_text
from utils.errors import exit_code

SPLITS = ('train', 'val', 'query', 'gallery')


def main(argv: Sequence[str] | None = None) -> Path:
    """Write the file and return its path.

    Raises:
        InputError: Photos, lists or weights cannot be read, or the file cannot be written.
        ConfigError: The config cannot be read.
    """
    args = parse(argv)
    cfg = load_cfg(args.config_file, args.opts)

    # Not at the top: torch takes seconds to import; --help and a wrong yml should not wait for it.
    from model.timm_names import resolve_inputs
    from processor.encoder import check_photo_is_enough
    from utils.run.session import evaluation_session
    from wildlife.features.extract import extract_to_file
    from wildlife.features.files import check_path
    from wildlife.features.onnx_files import config_of_file, open_onnx
    from wildlife.features.photos import photos_of_folder, photos_of_lists

    path = check_path(args.out or os.path.join(cfg.OUTPUT_DIR, 'features.npz'))
    onnx = (open_onnx(args.onnx), args.onnx) if args.onnx else None
    cfg = config_of_file(cfg, onnx[0]) if onnx else resolve_inputs(cfg)
    if args.photos and not onnx:
        check_photo_is_enough(cfg)
    with evaluation_session(cfg, 'features') as run:
        photos = photos_of_folder(args.photos) if args.photos else photos_of_lists(cfg, args.splits)
        table = extract_to_file(run, photos, path, onnx)
        if table:
            count, length = table.features.shape
            print(f'{path}: features of {count} photos, {length} numbers each')
    return path


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tools.extract_features',
        description='Write the features of photos to a file, .npz or .parquet.',
    )
    add = parser.add_argument
    add('--config_file', type=path_text, required=True, help='yml file of the training')
    text = f'{", ".join(SPLITS)}; default: all that have a list'
    add('--splits', nargs='+', action='extend', metavar='SPLIT', default=[], help=text)
    text = 'folder of photos, subfolders included, or a photo, instead of the lists; read upright'
    add('--photos', type=path_text, default='', help=text)
    text = 'use the features of a file of tools.export instead of those of TEST.WEIGHT'
    add('--onnx', type=path_text, default='', help=text)
    text = 'file to write, .npz or .parquet (default: OUTPUT_DIR/features.npz)'
    add('--out', type=path_text, default='', help=text)
    args = parse_with_pairs(parser, argv)
    keys = [index for index, word in enumerate(args.splits) if word.isupper()]
    if keys:  # --splits has also taken the pairs after it
        args.opts += args.splits[keys[0] :]
        args.splits = args.splits[: keys[0]]
    wrong = [split for split in args.splits if split not in SPLITS]
    if wrong:
        parser.error(f'--splits: {wrong[0]!r} is none of {", ".join(SPLITS)}')
    if args.photos and args.splits:
        parser.error('--photos and --splits exclude each other')
    return args


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
