"""Selects the sightings to split: readable photos, valid boxes, wanted individuals."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from datasets.images import Header, read_header, read_image
from utils.errors import InputError
from utils.logger import progress
from wildlife import prepare
from wildlife.crops import Change, box_size, find_change, reaches_outside
from wildlife.lists.dates import parse_date
from wildlife.lists.options import ListOptions, ReadOptions
from wildlife.lists.sightings import Sighting, Source
from wildlife.words import counted

Headers = dict[str, Header]  # by path
Changes = dict[Sighting, Change | None]


def read_headers(source: Source, options: ReadOptions) -> Headers:
    """Read the headers of all photos, and their dates if wanted.

    Broken photos are rejected. Photos that will be cropped or turned are decoded for this; others
    are decoded only with --skip-bad, because it takes long.

    Args:
        source: Source whose sightings, columns and notes are changed.
        options: The options of the command.

    Raises:
        InputError: A photo is broken.
    """
    headers: Headers = {}
    kept, dated = [], set()
    for sighting in progress(source.sightings, 'photos'):
        path = source.root / sighting.path
        try:
            if sighting.path not in headers:
                header = read_header(path)
                if options.skip_bad or sighting.box or header.orientation != 1:
                    read_image(str(path))
                headers[sighting.path] = header
        except InputError as error:
            source.reject(sighting, 'broken photo', f'{sighting.row}{error}')
            continue
        taken = parse_date(headers[sighting.path].taken)
        if options.exif_dates and taken and not sighting.date:
            sighting = replace(sighting, date=taken.replace(tzinfo=None))
            dated.add(sighting.path)
        kept.append(sighting)
    source.sightings = kept
    if dated:
        source.columns.setdefault('date', 'EXIF')
        source.notes.append(
            f'date: read from the EXIF data of {counted(len(dated), "photo")}; --no-exif-dates '
            'leaves these dates unknown'
        )
    return headers


def find_changes(source: Source, headers: Headers, options: ReadOptions) -> Changes:
    """Find out how each photo must be changed; impossible boxes are rejected.

    Raises:
        InputError: A box is impossible.
    """
    changes: Changes = {}
    boxes = outside = 0
    for sighting in source.sightings:
        header, listed_size = headers[sighting.path], source.sizes.get(sighting.path)
        box, shares = sighting.box, source.shares
        try:
            changes[sighting] = find_change(
                box, header, options.margin, shares, options.boxes, listed_size
            )
        except ValueError as error:
            message = f"{sighting.where}: '{sighting.path}': {error}"
            source.reject(sighting, 'impossible box', message)
            continue
        if box:
            boxes += 1
            size, _ = box_size(header, options.boxes, listed_size)
            outside += reaches_outside(box, size, shares)
    if outside:
        source.notes.append(
            f'{outside} of {counted(boxes, "box")} reach more than 5 % outside the photo and are '
            'clipped; if the boxes are x1 y1 x2 y2, add --box-format xyxy; if they refer to photos '
            'as stored, before EXIF turns them, add --boxes stored'
        )
    source.sightings = list(changes)
    return changes


def leave_out_unwanted(source: Source, options: ListOptions) -> None:
    """Skip unknown sides with --sides separate, and individuals with too few photos.

    Raises:
        InputError: No photo is left.
    """
    by_side = options.sides == 'separate'
    if by_side and all(sighting.side is None for sighting in source.sightings):
        raise InputError(
            f'--sides separate: none of {counted(len(source.sightings), "photo")} has a known '
            'side; give it with --column side=… or --name-pattern '
            "'(?P<side>left|right)'"
        )

    def identity(sighting: Sighting) -> tuple[str, int | None]:
        return sighting.identity, sighting.side if by_side else None

    sizes = Counter(map(identity, source.sightings))
    kept = []
    for sighting in source.sightings:
        if by_side and sighting.side is None:
            source.leave_out(sighting, 'side unknown (--sides separate)')
        elif sizes[identity(sighting)] < options.min_photos:
            source.leave_out(sighting, f'individual with fewer than {options.min_photos} photos')
        else:
            kept.append(sighting)
    if not kept:
        raise InputError(
            f'no photo is left with --sides {options.sides} and --min-photos '
            f'{options.min_photos}; the most photos of an individual are '
            f'{max(sizes.values(), default=0)}'
        )
    source.sightings = kept


def check_names(source: Source, names: Sequence[str], prepared: Path | None) -> None:
    """Check that all photos have different names, and that the prepared folder can be used.

    Args:
        source: The source of the photos.
        names: The paths in the lists, one per sighting.
        prepared: The folder of the prepared photos; None = no photo is prepared.

    Raises:
        InputError: Two photos have the same name, or the folder cannot be used.
    """
    first: dict[str, Sighting] = {}
    for sighting, name in zip(source.sightings, names):
        other = first.setdefault(name, sighting)
        if other is not sighting:
            raise InputError(
                f'{sighting.where} and {other.where}: two photos or boxes would both be named '
                f"'{name}'; make the boxes different, or rename one of the photos"
            )
    if not prepared:
        return
    originals = {source.root / sighting.path for sighting in source.sightings}
    prepare.check_folder(prepared, originals)
    if source.kind == 'folder' and prepared.resolve().is_relative_to(source.root.resolve()):
        raise InputError(
            f'{prepared} is inside {source.root}, so the next run would read the prepared photos '
            'as originals; choose another --out or --photos-out'
        )
