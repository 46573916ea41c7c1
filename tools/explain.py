"""Show where a model looks: what each place of two photos contributes to their similarity.

    python -m tools.explain --config_file datalist/nyala/cnn_clipreid.yml
    TEST.WEIGHT output/nyala/cnn/RN50_80.pth --pair A.jpg B.jpg

Explains each --pair (read upright, as by rank_photos), or the --queries N hardest queries
of the config's test (lowest average precision), each with its nearest wrong photo. --check N tests
on N pairs of the same individual whether the maps are faithful: the similarity must fall further if
the most important tenth of the places is deleted than if a random tenth is. The output folder
(--out, default: OUTPUT_DIR/explain) contains explain.html, explain.json and the pictures.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from configs import ConfigError, load_cfg
from configs.command_line import parse_with_pairs, path_text, whole_number
from utils.errors import exit_code
from utils.files import make_output_dir


def main(argv: Sequence[str] | None = None) -> Path:
    """Write the page and return its path.

    Raises:
        InputError: Photos, lists or weights cannot be read, or the model cannot be explained.
        ConfigError: The config cannot be read.
    """
    args = parse(argv)
    cfg = load_cfg(args.config_file, args.opts)

    # Not at the top: torch takes seconds to import; --help and a wrong yml should not wait for it.
    from model.timm_names import resolve_inputs
    from processor.encoder import check_photo_is_enough
    from utils.run.session import evaluation_session
    from wildlife.explain.command import check_weights, explain_to_folder
    from wildlife.explain.pairs import pairs_of_files

    check_weights(cfg)
    pairs = pairs_of_files(args.pair)
    cfg = resolve_inputs(cfg)
    if pairs:
        check_photo_is_enough(cfg)
    with evaluation_session(cfg, 'explain') as run:
        folder = make_output_dir(args.out or Path(cfg.OUTPUT_DIR, 'explain'), '--out')
        done = explain_to_folder(run, folder, pairs, args.queries, args.check)
    if done and done.check:
        print(f'Deletion test: {done.check}')
    if done:
        print(f'{done.pairs} pairs are explained; open {done.page} in a browser')
    return folder / 'explain.html'


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tools.explain',
        description='Show what each place of two photos contributes to their similarity.',
    )
    add = parser.add_argument
    add('--config_file', type=path_text, required=True, help='yml file of the training')
    names, text = ('PHOTO', 'PHOTO'), 'two photos to compare; may be repeated'
    add('--pair', metavar=names, nargs=2, action='append', type=path_text, default=[], help=text)
    text = 'hardest queries of the test, each with its nearest wrong photo'
    add('--queries', metavar='N', type=whole_number(1, 1000), default=0, help=text)
    text = 'pairs for the deletion test (50 or more)'
    add('--check', metavar='N', type=whole_number(2, 100_000), default=0, help=text)
    text = 'folder for the results (default: OUTPUT_DIR/explain)'
    add('--out', type=path_text, default='', help=text)
    args = parse_with_pairs(parser, argv)
    if not (args.pair or args.queries or args.check):
        parser.error('nothing to explain; give --pair A B, --queries N or --check N')
    return args


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
