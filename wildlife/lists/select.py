"""Which sightings are split: readable photos, possible boxes, wanted individuals."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from datasets.images import Header, read_header, read_image
from utils.errors import InputError
from utils.logger import progress
from wildlife import prepare
from wildlife.crops import Change, box_size, find_change, is_beyond
from wildlife.lists.dates import parse_date
from wildlife.lists.options import ListOptions
from wildlife.lists.sightings import Sighting, Source
from wildlife.words import counted

Headers = dict[str, Header]  # by path
Changes = dict[Sighting, Change | None]


def read_headers(source: Source, options: ListOptions) -> Headers:
    """Read the heads of all photos, and their dates where they are wanted.

    Broken photos are rejected: those that will be cut or turned before anything is written, others
    only with --skip-bad, as decoding takes long.

    Args:
        source: its sightings, columns and notes are changed.
        options: of the command.

    Raises:
        InputError: where a photo is broken.
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
            f'date: of {counted(len(dated), "photo")} from the file (EXIF), where the camera '
            'wrote it; --no-exif-dates leaves it unknown'
        )
    return headers


def find_changes(source: Source, headers: Headers, options: ListOptions) -> Changes:
    """Find out what is done to each photo; impossible boxes are rejected.

    Raises:
        InputError: where a box is impossible.
    """
    changes: Changes = {}
    boxes = beyond = 0
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
            beyond += is_beyond(box, size, shares)
    if beyond:
        source.notes.append(
            f'{beyond} of {counted(boxes, "box")} reach more than 5 % beyond the photo and are '
            'clipped: are these x1 y1 x2 y2 (--box-format xyxy), or of the picture before it was '
            'turned (--boxes stored)?'
        )
    source.sightings = list(changes)
    return changes


def leave_out_unwanted(source: Source, options: ListOptions) -> None:
    """Leave out unknown sides with --sides separate, and individuals with too few photos.

    Raises:
        InputError: where nothing is left.
    """
    by_side = options.sides == 'separate'
    if by_side and all(sighting.side is None for sighting in source.sightings):
        raise InputError(
            f'--sides separate: none of {counted(len(source.sightings), "photo")} has a known '
            'side; tell it by --column side=… or --name-pattern '
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
            f'{options.min_photos}; no individual has more than {max(sizes.values(), default=0)}'
        )
    source.sightings = kept


def check_names(source: Source, names: Sequence[str], prepared: Path | None) -> None:
    """Check that no two photos have one name, and that the folder of prepared photos may be used.

    Args:
        source: of the photos.
        names: paths in the lists, one per sighting.
        prepared: folder of the prepared photos, None = no photo is prepared.

    Raises:
        InputError: where it is not so.
    """
    first: dict[str, Sighting] = {}
    for sighting, name in zip(source.sightings, names):
        other = first.setdefault(name, sighting)
        if other is not sighting:
            raise InputError(
                f'{sighting.where} and {other.where}: two photos or boxes would both be '
                f"'{name}'; make the boxes differ, or rename one of the photos"
            )
    if not prepared:
        return
    originals = {source.root / sighting.path for sighting in source.sightings}
    prepare.check_folder(prepared, originals)
    if source.kind == 'folder' and prepared.resolve().is_relative_to(source.root.resolve()):
        raise InputError(
            f'{prepared}: below {source.root}, prepared photos would be read as photos the next '
            'time; choose another --out or --photos-out'
        )
