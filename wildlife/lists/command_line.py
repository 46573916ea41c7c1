"""The command line of ``python -m tools.make_lists``."""

import argparse
from collections.abc import Callable

from configs.command_line import path_text, path_value
from wildlife.lists.meanings import MEANINGS
from wildlife.lists.options import TESTS


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that ``wildlife.lists.options.check_options`` reads."""
    add = parser.add_argument
    add('source', type=path_text, help='folder, .csv, .tsv, COCO .json or Camtrap DP')
    add(
        '--out',
        type=path_value,
        required=True,
        help='folder of the lists, made where missing, named as the species',
    )
    add('--name', default='', help='of the species, where it is not the name of --out')
    add('--force', action='store_true', help='replace the lists of an earlier run in --out')
    _add_reading(parser)
    _add_identities(parser)
    _add_splits(parser)
    _add_photos(parser)


def _add_reading(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group('what is read').add_argument
    add(
        '--photos',
        type=path_text,
        default='',
        help="folder of a table's photos, where they are not beside it",
    )
    add(
        '--column',
        action='append',
        default=[],
        metavar='MEANING=COLUMN',
        help=(
            'which column is which, repeatable; MEANING= ignores it. Meanings: '
            f'{", ".join(MEANINGS)}'
        ),
    )
    add(
        '--name-pattern',
        default='',
        metavar='REGEX',
        help=r"facts in the photos' paths, as '/(?P<encounter>\d+)_(?P<side>left|right)'; "
        r'groups: identity, side, camera, '
        'date, encounter, split',
    )
    add(
        '--identity-level',
        type=int,
        help='folder that names the individual: 1 = first below the source, -1 = last above the '
        'photo (the default, unless that looks wrong)',
    )
    _add_facts(add)


def _add_facts(add: Callable[..., argparse.Action]) -> None:
    add('--species', default='', help='only rows of this species')
    add(
        '--date-format',
        default='',
        help="how dates are written, as '%%d/%%m/%%Y %%H:%%M'; by default they are recognised",
    )
    add(
        '--exif-dates',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='take the date from the photo where nothing else tells it',
    )
    add(
        '--skip-bad',
        action='store_true',
        help='leave out, and count, photos that are missing, broken or contradictory, and '
        'impossible boxes; decodes all photos, which takes long',
    )


def _add_identities(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group('who is told apart, and what an encounter is').add_argument
    add(
        '--sides',
        choices=('together', 'separate'),
        default='together',
        help='separate = the left and the right of an animal are two identities',
    )
    add(
        '--encounters',
        choices=('shared', 'own'),
        default='shared',
        help="own = an encounter is one individual's only",
    )
    add(
        '--encounter-minutes',
        type=float,
        default=0.0,
        help='photos of a camera less than so many minutes apart are an encounter; default: a '
        "camera's photos of one day, or less than an hour apart",
    )
    add('--min-photos', type=int, default=1, help='leave out individuals with fewer')


def _add_splits(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group('splits').add_argument
    add(
        '--protocol',
        choices=('disjoint', 'closed', 'date', 'given'),
        default='',
        help='default: disjoint, or date with --split-date',
    )
    add(
        '--split-date', default='', metavar='YYYY-MM-DD', help='train before, test from that day on'
    )
    add(
        '--test-share',
        type=float,
        default=0.3,
        help='disjoint: of the individuals; closed: of the encounters of each; 0.3',
    )
    add(
        '--val-share',
        type=float,
        default=0.1,
        help='of the train photos, for validation; 0 = none; 0.1',
    )
    add(
        '--test-protocol',
        choices=TESTS,
        default='',
        help=(
            'what a query is compared with; default: cross-encounter where encounters are '
            'known, else all'
        ),
    )
    add('--seed', type=int, default=1234)


def _add_photos(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group('photos').add_argument
    add(
        '--margin',
        type=float,
        default=0.05,
        help="around boxes, on each side, as a share of the box's size; 0.05",
    )
    add(
        '--box-format',
        choices=('xywh', 'xyxy'),
        default='',
        help=(
            'xyxy = boxes are two corners; by default the names of their columns tell, else '
            'left, top, width, height'
        ),
    )
    add(
        '--boxes',
        choices=('auto', 'upright', 'stored'),
        default='auto',
        help='picture that boxes are meant in: turned upright by EXIF, as stored, or (auto) '
        'upright unless the size in a COCO file fits the stored one only',
    )
    add('--prepare', action='store_true', help='make prepared copies even where no photo needs it')
    add(
        '--photos-out',
        type=path_value,
        help='folder of the prepared copies; default: photos in --out',
    )
