"""Export a model as ONNX, for programs in any language.

    python -m tools.export --config_file datalist/nyala/cnn_clipreid.yml
    TEST.WEIGHT output/nyala/cnn/RN50_80.pth --out nyala.onnx

The graph takes any number of photos and returns the features that tests compare: from
TEST.NECK_FEAT, whitened if TEST.WHITENING is set, and L2-normalised, so that the cosine of two of
them is their product. The file's metadata says how photos are prepared (docs/outputs.md). Before
the file is written, its features are compared with torch's on photos of the query list. The
packages onnx, onnxscript and onnxruntime must be installed.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from configs import ConfigError, load_cfg
from configs.command_line import parse_with_pairs, path_text
from utils.errors import exit_code


def main(argv: Sequence[str] | None = None) -> Path:
    """Write the file and return its path.

    Raises:
        InputError: Photos, lists or weights cannot be read, or the model cannot be exported.
        ConfigError: The config cannot be read.
    """
    args = parse(argv)
    cfg = load_cfg(args.config_file, args.opts)

    # Not at the top: torch takes seconds to import; --help and a wrong yml should not wait for it.
    from model.timm_names import resolve_inputs
    from utils.run.session import evaluation_session
    from wildlife.features.export import LIMIT, check_target, export_config, export_model

    path = check_target(args.out)
    with evaluation_session(export_config(resolve_inputs(cfg)), 'export') as run:
        found = export_model(run, path)
    print(
        f'{path}: {found.size / 1e6:.1f} MB, features of {found.length} numbers'
        f'{", normalised" if found.normalised else ""}'
    )
    print(
        f'parity with torch on {found.photos} photos of the query list: largest difference '
        f'{found.difference:.1e} (limit {LIMIT:.0e})'
    )
    return path


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tools.export',
        description='Export the model of a test as ONNX, for programs in any language.',
    )
    add = parser.add_argument
    add('--config_file', type=path_text, required=True, help='yml file of the training')
    add('--out', type=path_text, required=True, help='file to write, .onnx')
    return parse_with_pairs(parser, argv)


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
