"""Options of ``python -m tools.make_lists``: what they are, and what they must not be."""

import argparse
import math
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from utils.errors import InputError
from wildlife.lists.meanings import MEANINGS

# Protocols of a test that need no list of their own.
TESTS = ('all', 'cross-encounter', 'cross-camera', 'cross-side')
RANGES = {
    'test_share': (0, 1),
    'val_share': (0, 0.5),
    'margin': (0, 10),
    'encounter_minutes': (0, 10**9),
    'min_photos': (1, 10**9),
    'seed': (0, 2**63),
}


@dataclass(frozen=True)
class ListOptions:
    """Options of the command, checked and filled in.

    Attributes:
        source: folder, .csv, .tsv, COCO .json or Camtrap DP.
        out: folder of the lists.
        name: of the species.
        force: whether lists of an earlier run are replaced.
        photos: folder of a table's photos, '' = where they are found.
        column: meaning -> column of the table, '' = none.
        name_pattern: regular expression whose named groups are facts of a photo's path.
        identity_level: which folder is the individual: 1 = first below the source, -1 = last above
            the photo, None = that, unless the folders look otherwise.
        species: only this one, '' = all.
        date_format: as in ``strptime``, '' = recognise dates.
        exif_dates: whether dates are taken from photos where nothing else tells them.
        skip_bad: skip and count wrong photos and rows, instead of an error.
        sides: 'separate' = left and right of an animal are two identities; 'together'.
        encounters: 'own' = an encounter is one individual's only; 'shared'.
        encounter_minutes: between photos of one encounter, 0 = see ``make_photos``.
        min_photos: individuals with fewer are left out.
        protocol: 'disjoint', 'closed', 'date' or 'given': who is tested.
        split_date: first day of the test, None = no split by date.
        test_share: of the individuals (disjoint) or encounters (closed), in (0, 1).
        val_share: of the train photos, in [0, 0.5].
        test_protocol: what a query is compared with, '' = see ``choose_test``.
        seed: of all draws.
        margin: around boxes on each side, as a share of the box.
        box_format: 'xywh' or 'xyxy' (two corners), '' = the columns' names tell.
        boxes: picture that boxes are meant in: 'auto', 'upright' or 'stored'.
        prepare: whether to make prepared copies even where no photo needs it.
        photos_out: folder of the prepared copies.
    """

    source: str
    out: Path
    name: str
    force: bool
    photos: str
    column: dict[str, str]
    name_pattern: str
    identity_level: int | None
    species: str
    date_format: str
    exif_dates: bool
    skip_bad: bool
    sides: str
    encounters: str
    encounter_minutes: float
    min_photos: int
    protocol: str
    split_date: datetime | None
    test_share: float
    val_share: float
    test_protocol: str
    seed: int
    margin: float
    box_format: str
    boxes: str
    prepare: bool
    photos_out: Path


def check_options(args: argparse.Namespace) -> ListOptions:
    """Check the options, and fill in what follows from others.

    Args:
        args: as ``wildlife.lists.command_line`` declares them.

    Raises:
        InputError: where an option cannot be, or two contradict.
    """
    _check_numbers(args)
    if args.split_date and args.protocol not in ('', 'date'):
        raise InputError(
            f'--split-date and --protocol {args.protocol} contradict; leave one of them out'
        )
    if args.protocol == 'date' and not args.split_date:
        raise InputError('--protocol date needs the day: --split-date 2023-01-31')
    name = args.name or args.out.resolve().name
    if not re.fullmatch(r'\w[\w .+-]*', name):
        raise InputError(
            f"--name '{name}' must begin with a letter or digit and hold letters, digits, "
            'blanks, . + - only'
        )
    follows = {
        'split_date': _read_day(args.split_date),
        'protocol': args.protocol or ('date' if args.split_date else 'disjoint'),
        'name': name,
        'photos_out': args.photos_out or args.out / 'photos',
        'column': _read_columns(args.column),
    }
    return ListOptions(**vars(args) | follows)


def _check_numbers(args: argparse.Namespace) -> None:
    for name, (low, high) in RANGES.items():
        value = getattr(args, name)
        if not (math.isfinite(value) and low <= value <= high):
            raise InputError(
                f'--{name.replace("_", "-")} {value:g} must lie between {low:g} and {high:g}'
            )
    if args.test_share in (0, 1):
        raise InputError(
            f'--test-share {args.test_share:g} must leave something to train on and something to '
            'test'
        )
    if args.identity_level == 0:
        raise InputError(
            '--identity-level 0: 1 is the first folder below the source, -1 the last above the '
            'photo'
        )


def _read_day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, '%Y-%m-%d') if text else None
    except ValueError:
        raise InputError(f"--split-date '{text}' is no day; write it as 2023-01-31") from None


def _read_columns(pairs: list[str]) -> dict[str, str]:
    """{meaning: column} of --column."""
    columns = {}
    for pair in pairs:
        meaning, sign, column = pair.partition('=')
        if not sign or meaning not in MEANINGS:
            raise InputError(
                f"--column '{pair}': write MEANING=COLUMN, with one of the meanings "
                f'{", ".join(MEANINGS)}'
            )
        columns[meaning] = column.strip()
    return columns
