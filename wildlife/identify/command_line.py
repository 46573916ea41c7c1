"""The command lines of the tools of identification."""

import argparse
import os
import re
from collections.abc import Sequence

from configs.command_line import parse_with_pairs, path_text, path_value, whole_number
from wildlife.catalogue.command_line import add_author
from wildlife.lists.command_line import SOURCES, add_reading

SIDES = ('together', 'separate')
UNITS = ('burst', 'encounter', 'photo')  # see ``units.units_of``


def parse_identify(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line of ``tools.identify``."""
    text = 'Tell which individual of a catalogue photos show, or that it is new.'
    parser = _catalogue_parser('identify', text)
    add = parser.add_argument
    text = f'{SOURCES} (default: the unidentified photos of the catalogue)'
    add('source', nargs='?', type=path_text, default='', metavar='PHOTOS', help=text)
    text = 'folder for the answers (default: the subfolder answers of the catalogue)'
    add('--out', type=path_value, help=text)
    text = (
        'largest share of new animals that may be mistaken for known ones (default: 0.01, or the '
    )
    add('--false-match-rate', type=float, help=f'{text}lowest rate that the calibration allows)')
    add(
        '--top',
        type=whole_number(1, 100),
        default=5,
        help='individuals listed per unit (default: 5)',
    )
    text = 'which photos form a unit and get one answer: a burst, an encounter, or a single photo'
    add('--units', choices=UNITS, default=UNITS[0], help=f'{text} (default: burst)')
    text = 'shortest break between two bursts, in minutes (default: 1)'
    add('--burst-minutes', type=float, default=1.0, help=text)
    text = 'record the decisions in the catalogue; the photos must be in it'
    add('--record', action='store_true', help=text)
    _add_sides_and_author(parser)
    add_reading(parser)
    args = parse_with_pairs(parser, argv)
    if re.fullmatch(r'[A-Z]+(\.[A-Z0-9_]+)+', args.source) and not os.path.exists(args.source):
        args.opts, args.source = [args.source, *args.opts], ''  # it is the first KEY
    args.out = args.out or args.catalogue / 'answers'
    args.skip_bad = True  # one broken photo must not stop all others
    return args


def _catalogue_parser(tool: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of a tool whose first argument is a catalogue."""
    parser = argparse.ArgumentParser(prog=f'python -m tools.{tool}', description=description)
    parser.add_argument('catalogue', type=path_value, help='folder of the catalogue')
    return parser


def _add_sides_and_author(parser: argparse.ArgumentParser) -> None:
    """Add the options --sides and --by."""
    text = 'separate = compare only photos of the same side (default: together)'
    parser.add_argument('--sides', choices=SIDES, default=SIDES[0], help=text)
    add_author(parser)


def parse_rank_photos(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line of ``tools.rank_photos``."""
    parser = argparse.ArgumentParser(
        prog='python -m tools.rank_photos',
        description='For each new photo, list the known individuals that look most similar.',
    )
    add = parser.add_argument
    text = 'folder of new photos, subfolders included, or a single photo'
    add('--photos', type=path_text, required=True, help=text)
    add('--config_file', type=path_text, required=True, help='yml file of the training')
    text = 'individuals listed per photo (default: 5)'
    add('--top', type=whole_number(1, 10**6), default=5, help=text)
    text = 'folder for the results (default: OUTPUT_DIR/matches)'
    add('--out', type=path_text, default='', help=text)
    return parse_with_pairs(parser, argv)


def parse_calibrate(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line of ``tools.calibrate``."""
    text = 'Calibrate a catalogue: turn similarities into probabilities.'
    parser = _catalogue_parser('calibrate', text)
    add = parser.add_argument
    text = "yml of the model's training (default: config.yml beside its weights)"
    add('--trained-on', type=path_text, default='', metavar='YML', help=text)
    text = (
        'file with the names of individuals that the model was not trained on, one per line; or '
        '"all" (default: those that are not in the training lists)'
    )
    add('--individuals', type=path_text, default='', metavar='FILE', help=text)
    text = 'bootstrap draws of individuals for the intervals; 0 = no intervals (default: 1000)'
    add('--draws', type=whole_number(0, 10**5), default=1000, help=text)
    _add_sides_and_author(parser)
    return parser.parse_args(argv)


def parse_open_set(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line of ``tools.open_set``."""
    parser = argparse.ArgumentParser(
        prog='python -m tools.open_set',
        description='Test whether a model tells new animals from known ones.',
    )
    add = parser.add_argument
    add('--config_file', type=path_text, required=True, help='yml file with the lists')
    text = 'file of features, .npz or .parquet, instead of TEST.WEIGHT'
    add('--features', type=path_text, default='', help=text)
    text = 'a query is a single photo (default), or all photos of an encounter together'
    add('--units', choices=('photo', 'encounter'), default='photo', help=text)
    text = (
        'calibrator.json of another test (default: cross-fitted: each query is calibrated by '
        'queries of other individuals)'
    )
    add('--calibrator', type=path_text, default='', help=text)
    text = (
        'number of random splits of the individuals into three groups: calibrate, enrol, never '
        'enrol (default: 0 = use the lists as they are)'
    )
    add('--draws', type=whole_number(0, 1000), default=0, help=text)
    text = 'with --draws: number of individuals to calibrate with (default: 35 %% of all)'
    add('--fit', type=whole_number(0, 10**6), default=0, help=text)
    text = 'with --draws: number of individuals to enrol (default: 40 %% of the others)'
    add('--known', type=whole_number(0, 10**6), default=0, help=text)
    add(
        '--out',
        type=path_text,
        default='',
        help='folder for the results (default: OUTPUT_DIR/open_set)',
    )
    args = parse_with_pairs(parser, argv)
    if args.draws and args.calibrator:
        parser.error('give --draws or --calibrator, not both: each draw is calibrated by itself')
    if not args.draws and (args.fit or args.known):
        parser.error('--fit and --known need --draws')
    return args
