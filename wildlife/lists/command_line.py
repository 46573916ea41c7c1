"""The command line of ``python -m tools.make_lists``."""

import argparse
from collections.abc import Callable

from configs.command_line import path_text, path_value
from wildlife.lists.meanings import MEANINGS
from wildlife.lists.options import TESTS

SOURCES = "photos: a folder, .csv, .tsv, COCO .json, a detector's .json or Camtrap DP"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that ``wildlife.lists.options.check_options`` reads."""
    add = parser.add_argument
    add('source', type=path_text, help=SOURCES)
    add(
        '--out',
        type=path_value,
        required=True,
        help='folder for the lists, created if missing; its name is the default of --name',
    )
    add('--name', default='', help='name of the species (default: name of the folder --out)')
    add('--force', action='store_true', help='replace the lists of an earlier run in --out')
    add_reading(parser)
    _add_identities(parser)
    _add_splits(parser)
    _add_photos(parser)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say how photos are read, for other commands too."""
    add = parser.add_argument_group('reading').add_argument
    add(
        '--photos',
        type=path_text,
        default='',
        help="folder of a table's photos (default: folders beside the table are tried)",
    )
    add(
        '--column',
        action='append',
        default=[],
        metavar='MEANING=COLUMN',
        help=(
            'column to read for a meaning; can be repeated. MEANING= ignores this meaning. '
            'Meanings: '
            f'{", ".join(MEANINGS)} (default: recognised by the column names)'
        ),
    )
    add(
        '--name-pattern',
        default='',
        metavar='REGEX',
        help=r"read facts from the photos' paths with a regular expression, for example "
        r"'/(?P<encounter>\d+)_(?P<side>left|right)'; possible groups: identity, side, camera, "
        'date, encounter, split',
    )
    add(
        '--identity-level',
        type=int,
        help='folder that names the individual: 1 = first folder in the source, -1 = folder that '
        'contains the photo (default: -1, with a check that it looks right)',
    )
    _add_facts(add)
    _add_boxes(parser.add_argument_group('boxes and detections').add_argument)


def _add_facts(add: Callable[..., argparse.Action]) -> None:
    add('--species', default='', help='read only rows of this species (default: all)')
    add(
        '--date-format',
        default='',
        help="format of dates, for example '%%d/%%m/%%Y %%H:%%M' (default: recognised)",
    )
    add(
        '--exif-dates',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='read missing dates from the EXIF data of the photos (default: yes)',
    )
    add(
        '--encounter-minutes',
        type=float,
        default=0.0,
        help='photos by one camera form an encounter if less than this many minutes apart '
        '(default: if of one day, or less than an hour apart)',
    )
    add(
        '--skip-bad',
        action='store_true',
        help='skip and count photos that are missing, broken or contradictory, and impossible '
        'boxes; this decodes all photos, which takes long',
    )


def _add_boxes(add: Callable[..., argparse.Action]) -> None:
    add(
        '--box-format',
        choices=('xywh', 'xyxy'),
        default='',
        help=(
            'xywh = left, top, width, height; xyxy = two corners (default: judged by the column '
            'names, else xywh)'
        ),
    )
    add(
        '--boxes',
        choices=('auto', 'upright', 'stored'),
        default='auto',
        help='photo that boxes refer to: turned upright by EXIF, or as stored; auto = upright, '
        'unless the size in a COCO file matches only the stored photo (default: auto)',
    )
    add(
        '--detections',
        type=path_text,
        default='',
        metavar='JSON',
        help='boxes of MegaDetector, SpeciesNet or AddaxAI for the photos of the source; photos '
        'without a box are skipped and counted',
    )
    add(
        '--confidence',
        type=float,
        default=0.2,
        help="least confidence of a detector's box (default: 0.2)",
    )
    add(
        '--category',
        default='animal',
        help="name or number of the detector's category (default: animal)",
    )


def _add_identities(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group('identities and encounters').add_argument
    add(
        '--sides',
        choices=('together', 'separate'),
        default='together',
        help='separate = left and right of an animal are two identities (default: together)',
    )
    add(
        '--encounters',
        choices=('shared', 'own'),
        default='shared',
        help='shared = an encounter may have several individuals; own = each individual has '
        'encounters of its own (default: shared)',
    )
    add('--min-photos', type=int, default=1, help='skip individuals with fewer photos (default: 1)')


def _add_splits(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group('splits').add_argument
    add(
        '--protocol',
        choices=('disjoint', 'open', 'closed', 'date', 'given'),
        default='',
        help='how training and test are split (default: disjoint, or date with --split-date)',
    )
    add(
        '--split-date',
        default='',
        metavar='YYYY-MM-DD',
        help='train on photos before this day, test on the others',
    )
    _add_shares(add)
    add(
        '--test-protocol',
        choices=TESTS,
        default='',
        help=(
            'photos that a query is compared with (default: cross-encounter if most encounters '
            'are known, else all)'
        ),
    )
    add('--seed', type=int, default=1234, help='seed of all random choices (default: 1234)')


def _add_shares(add: Callable[..., argparse.Action]) -> None:
    add(
        '--test-share',
        type=float,
        default=0.3,
        help='share for the test: of the individuals (disjoint, open; 1 = all, without lists for '
        'training), or of the encounters of each (closed) (default: 0.3)',
    )
    add(
        '--known-share',
        type=float,
        default=0.5,
        help='share of the test individuals that is enrolled (open) (default: 0.5)',
    )
    add(
        '--val-share',
        type=float,
        default=0.1,
        help='share of the train photos for validation; 0 = none (default: 0.1)',
    )


def _add_photos(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group('photos').add_argument
    add(
        '--margin',
        type=float,
        default=0.05,
        help='margin around boxes on each side, as a share of the box (default: 0.05)',
    )
    add('--prepare', action='store_true', help='make prepared copies even if no photo needs one')
    add(
        '--photos-out',
        type=path_value,
        help='folder for the prepared copies (default: photos in --out)',
    )
