"""Fit a whitening: often the cheapest gain for a model, in seconds and without training.

    python -m tools.fit_whitening --config_file datalist/nyala/cnn_clipreid.yml
    TEST.WEIGHT output/nyala/cnn/RN50_80.pth

The features of the train photos are centred, projected onto their principal components, and
whitened by the scatter within individuals (and within their sides, where these are known). The
result is a small file beside the checkpoint (for TEST.WEIGHT start: in OUTPUT_DIR); tests,
rank_photos and extract_features use it with TEST.WHITENING. It is only valid for these weights,
TEST.NECK_FEAT and photo size.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from configs import ConfigError, load_cfg
from configs.command_line import parse_with_pairs, path_text, whole_number
from utils.errors import InputError, exit_code
from utils.files import keep_earlier


def main(argv: Sequence[str] | None = None) -> Path:
    """Fit the whitening, write it and return its path.

    Raises:
        InputError: Photos, lists or weights cannot be read, or no whitening can be fitted.
        ConfigError: The config cannot be read.
    """
    args = parse(argv)
    cfg = load_cfg(args.config_file, args.opts)

    # Not at the top: torch takes seconds to import; --help and a wrong yml should not wait for it.
    from model.timm_names import resolve_inputs
    from utils.run.session import evaluation_session
    from utils.whitening import save_whitening, whitening_text
    from wildlife.features.whitening import default_path, fit_on_train_list

    path = Path(args.out or default_path(cfg, args.features))
    if path.suffix != '.safetensors' or path.is_dir():
        raise InputError(f'--out {path}: the file to write must end in .safetensors')
    if args.out and not path.absolute().parent.is_dir():  # before the photos are read
        raise InputError(f'--out {path}: there is no folder {path.parent}; create it')
    cfg = resolve_inputs(cfg)
    with evaluation_session(cfg, 'whitening') as run:
        whitening = fit_on_train_list(run, args.features, args.dimension, args.shrinkage)
        if run.main:
            keep_earlier(path)
            save_whitening(whitening, path)
            print(f'{path}: {whitening_text(whitening)}. Use it with TEST.WHITENING {path}')
    return path


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tools.fit_whitening',
        description='Whiten the features of a model by the scatter within the train individuals.',
    )
    add = parser.add_argument
    add('--config_file', type=path_text, required=True, help='yml file of the training')
    text = 'features of the train photos, of any origin, instead of TEST.WEIGHT (.npz or .parquet)'
    add('--features', metavar='FILE', type=path_text, default='', help=text)
    text = 'dimensions that are kept, at most (default: %(default)s)'
    add('--dimension', type=whole_number(1, 100_000), default=256, help=text)
    text = '0 = the scatter as measured, 1 = none, all directions alike (default: %(default)s)'
    add('--shrinkage', type=float, default=0.3, help=text)
    text = (
        'file to write (default: <name>_whitening.safetensors, beside the checkpoint or features; '
        'for TEST.WEIGHT start: OUTPUT_DIR/start_whitening.safetensors)'
    )
    add('--out', type=path_text, default='', help=text)
    args = parse_with_pairs(parser, argv)
    if not 0 <= args.shrinkage <= 1:
        parser.error(f'--shrinkage must be between 0 and 1, got {args.shrinkage}')
    return args


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
