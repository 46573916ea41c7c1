"""Options of ``python -m tools.make_lists``, and their checks."""

import argparse
import math
import re
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

from utils.errors import InputError
from wildlife.lists.meanings import MEANINGS

# Test protocols that need no published lists.
TESTS = ('all', 'cross-encounter', 'cross-camera', 'cross-side')
RANGES = {
    'test_share': (0, 1),
    'known_share': (0, 1),
    'val_share': (0, 0.5),
    'margin': (0, 10),
    'confidence': (0, 1),
    'encounter_minutes': (0, 10**9),
    'min_photos': (1, 10**9),
    'seed': (0, 2**63),
}


@dataclass(frozen=True)
class ReadOptions:
    """How photos are read from a source; for other commands too.

    Attributes:
        source: A folder, .csv, .tsv, COCO .json, a detector's .json or Camtrap DP.
        photos: The folder of a table's photos; '' = find it.
        column: Meaning -> column of the table; '' = ignore this meaning.
        name_pattern: Regular expression whose named groups are facts in a photo's path.
        identity_level: The folder that names the individual: 1 = first in the source, -1 = the one
            that contains the photo, None = -1 with a check that the folders look like individuals.
        species: Only rows of this species; '' = all.
        date_format: The format as in ``strptime``; '' = recognise dates.
        exif_dates: Whether to read missing dates from the photos.
        skip_bad: Whether to skip and count bad photos and rows, and not raise an error.
        encounter_minutes: The longest break within an encounter; 0 = see ``make_photos``.
        margin: The margin around boxes on each side, as a share of the box.
        box_format: 'xywh' or 'xyxy' (two corners); '' = judge by the column names.
        boxes: The photo that boxes refer to: 'auto', 'upright' or 'stored'.
        detections: A detector's .json with the boxes of the source's photos; '' = none.
        confidence: The least confidence of a detector's box.
        category: The name or number of the detector's category.
    """

    source: str
    photos: str
    column: dict[str, str]
    name_pattern: str
    identity_level: int | None
    species: str
    date_format: str
    exif_dates: bool
    skip_bad: bool
    encounter_minutes: float
    margin: float
    box_format: str
    boxes: str
    detections: str
    confidence: float
    category: str


@dataclass(frozen=True)
class ListOptions(ReadOptions):
    """Checked options of make_lists, with derived values filled in.

    Attributes:
        out: The folder for the lists.
        name: The name of the species.
        force: Whether to replace the lists of an earlier run.
        sides: 'separate' = left and right of an animal are two identities; 'together' = one.
        encounters: 'own' = an encounter has a single individual; 'shared' = it may have several.
        min_photos: Individuals with fewer photos are skipped.
        protocol: 'disjoint', 'open', 'closed', 'date' or 'given': how training and test are split.
        split_date: The first day of the test; None = no split by date.
        test_share: The share of the individuals (disjoint) or encounters (closed), in (0, 1); with
            disjoint and open also 1, for a test without training.
        known_share: The share of the test individuals that is enrolled (open), in (0, 1).
        val_share: The share of the train photos, in [0, 0.5].
        test_protocol: The photos that a query is compared with; '' = see ``choose_test``.
        seed: The seed of all random choices.
        prepare: Whether to make prepared copies even if no photo needs one.
        photos_out: The folder for the prepared copies.
    """

    out: Path
    name: str
    force: bool
    sides: str
    encounters: str
    min_photos: int
    protocol: str
    split_date: datetime | None
    test_share: float
    known_share: float
    val_share: float
    test_protocol: str
    seed: int
    prepare: bool
    photos_out: Path


def check_reading(args: argparse.Namespace, margin: float) -> ReadOptions:
    """Check the options that say how photos are read.

    Args:
        args: Parsed options declared by ``wildlife.lists.command_line.add_reading``.
        margin: The margin around boxes on each side, as a share of the box.

    Raises:
        InputError: An option is invalid.
    """
    values = vars(args) | {'margin': margin}
    read = {field.name: values[field.name] for field in fields(ReadOptions)}
    _check_numbers(argparse.Namespace(**read))
    return ReadOptions(**read | {'column': _read_columns(args.column)})


def check_options(args: argparse.Namespace) -> ListOptions:
    """Check the options, and fill in derived values.

    Args:
        args: Parsed options declared by ``wildlife.lists.command_line``.

    Raises:
        InputError: An option is invalid, or two contradict each other.
    """
    _check_numbers(args)
    if args.split_date and args.protocol not in ('', 'date'):
        raise InputError(
            f'--split-date and --protocol {args.protocol} contradict each other; remove one'
        )
    if args.protocol == 'date' and not args.split_date:
        raise InputError('--protocol date needs a date; add one, such as --split-date 2023-01-31')
    name = args.name or args.out.resolve().name
    if not re.fullmatch(r'\w[\w .+-]*', name):
        raise InputError(
            f"--name '{name}' must begin with a letter or digit and contain only letters, digits, "
            'spaces, . + -'
        )
    derived = {
        'split_date': _read_day(args.split_date),
        'protocol': args.protocol or ('date' if args.split_date else 'disjoint'),
        'name': name,
        'photos_out': args.photos_out or args.out / 'photos',
        'column': _read_columns(args.column),
    }
    return ListOptions(**vars(args) | derived)


def _check_numbers(args: argparse.Namespace) -> None:
    values = vars(args)
    for name in filter(values.__contains__, RANGES):
        value, (low, high) = values[name], RANGES[name]
        if not (math.isfinite(value) and low <= value <= high):
            raise InputError(
                f'--{name.replace("_", "-")} {value:g} must be between {low:g} and {high:g}'
            )
    if values.get('test_share') == 0:
        raise InputError('--test-share 0 leaves nothing for the test; it must be more than 0')
    splits = values.get('split_date') or values.get('protocol', '') not in ('', 'disjoint', 'open')
    if values.get('test_share') == 1 and splits:
        raise InputError(
            '--test-share 1 tests on all individuals and trains on none, which only --protocol '
            'disjoint and open can do; choose a share below 1, or remove the other --protocol or '
            '--split-date'
        )
    if values.get('known_share') in (0, 1):
        raise InputError(
            f'--known-share {args.known_share:g} leaves no test individual '
            f'{"unknown" if args.known_share else "to enrol"}; it must be between 0 and 1'
        )
    if args.identity_level == 0:
        raise InputError(
            '--identity-level 0 is not a folder: 1 is the first folder in the source, -1 the '
            'folder that contains the photo'
        )


def _read_day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, '%Y-%m-%d') if text else None
    except ValueError:
        raise InputError(f"--split-date '{text}' is not a date; write it like 2023-01-31") from None


def _read_columns(pairs: list[str]) -> dict[str, str]:
    """Read the values of --column as {meaning: column}."""
    columns = {}
    for pair in pairs:
        meaning, sign, column = pair.partition('=')
        if not sign or meaning not in MEANINGS:
            raise InputError(
                f"--column '{pair}' is not MEANING=COLUMN with one of the meanings "
                f'{", ".join(MEANINGS)}'
            )
        columns[meaning] = column.strip()
    return columns
