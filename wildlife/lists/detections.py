"""Reads the boxes of an animal detector: JSON of MegaDetector, SpeciesNet or AddaxAI.

Formats: MegaDetector's batch output (also AddaxAI's and Timelapse's), with 'images' and boxes as
shares of the photo; SpeciesNet's 'predictions'; and the list of newer MegaDetector versions, with
two corners in pixels. If AddaxAI has identified the species, 'category' and 'conf' are those of the
species, and 'prev_category' and 'prev_conf' are the detector's.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from utils.errors import InputError
from utils.words import first_few, shortened
from wildlife.lists.options import ReadOptions
from wildlife.lists.sightings import Sighting, Source
from wildlife.lists.tables import DETECTIONS, LeftOut, Table, folders_beside, make_frame
from wildlife.words import counted

USUAL = {'1': 'animal', '2': 'person', '3': 'vehicle'}  # if a file does not name its categories
# AddaxAI's name for the animals whose species it could not tell
OTHER_NAMES = {'unidentified animal': 'animal'}
COLUMNS = ['file', 'bbox']
SHAPE = "expected 'images' with 'file' and 'detections', or 'predictions' with 'filepath'"

Entry = Mapping[str, Any]


def is_detections(tree: Any) -> bool:
    """Return whether the content of a JSON file is that of a detector, and not COCO-style."""
    if isinstance(tree, dict) and 'detection_categories' in tree:
        return True
    entries = _entries(tree)
    first = entries[0] if isinstance(entries, list) and entries else None
    return isinstance(first, dict) and not {'file', 'filepath'}.isdisjoint(first)


def _entries(tree: Any) -> Any:
    return tree.get('predictions', tree.get('images')) if isinstance(tree, dict) else tree


def read_detections(path: Path, tree: Any, options: ReadOptions) -> Table:
    """Read the content of a detector's JSON as a table, one row per box.

    Photos without such a box, and photos that the detector could not read, are in ``left_out``.

    Args:
        path: The path of the file.
        tree: Its content.
        options: --confidence and --category.

    Raises:
        InputError: The content has another form, or the category does not exist.
    """
    in_pixels = isinstance(tree, list)
    names = _category_names(path, tree)
    rows, where, left_out, seen = [], [], [], set[str]()
    for number, entry in enumerate(_entries(tree), start=1):
        place = f'{path}: image {number}'
        file, boxes, reason = _read_entry(entry, place)
        chosen = []
        for box in boxes:
            confidence, numbers = _read_box(box, place, in_pixels)
            categories = _categories(box, names)
            seen |= categories
            if confidence >= options.confidence and options.category.lower() in categories:
                chosen.append(';'.join(map(repr, numbers)))
        rows += [[file, box] for box in chosen]
        where += [place] * len(chosen)
        if not chosen:
            reason = (
                reason or f'no {options.category} with confidence {options.confidence:g} or more'
            )
            left_out.append(LeftOut(place, file, '', reason))
    _check_category(path, options, seen | {*names, *names.values()})
    frame = make_frame(rows, COLUMNS, where)
    shares = not in_pixels
    return Table(path, frame, folders_beside(path), left_out, shares=shares, kind=DETECTIONS)


def _category_names(path: Path, tree: Any) -> dict[str, str]:
    """Return the category of each number, in lower case."""
    if isinstance(tree, list):
        return {}
    names = tree.get('detection_categories') or USUAL
    if not isinstance(names, dict) or not isinstance(_entries(tree), list):
        raise InputError(f"{path}: {SHAPE}; 'detection_categories' gives each number its name")
    return {number: str(name).lower() for number, name in names.items()}


def _categories(box: Entry, names: Mapping[str, str]) -> set[str]:
    """Return all categories of a detection, as names and numbers in lower case."""
    found = set()
    for key in ('category', 'prev_category'):
        if key in box:
            number = str(box[key])
            name = names.get(number, str(box.get('label') or number).lower())
            found |= {number.lower(), name, OTHER_NAMES.get(name, name)}
    return found


def _read_entry(entry: Any, place: str) -> tuple[str, list[Any], str]:
    """Return the file of a photo, its boxes, and why it has none ('' = it was read)."""
    if not isinstance(entry, dict):
        raise InputError(f'{place}: not an object; {SHAPE}')
    file = entry.get('file', entry.get('filepath'))
    boxes = entry.get('detections')
    if not isinstance(file, str) or not file or not isinstance(boxes, list | None):
        raise InputError(f'{place}: {SHAPE}')
    failures = entry.get('failures') or []
    if not isinstance(failures, list):
        raise InputError(f'{place}: failures: expected a list, not {shortened(str(failures))!r}')
    failure = entry.get('failure') or ('DETECTOR' if 'DETECTOR' in failures else '')
    if boxes is None:
        failure = failure or 'no detections given'
    return file, boxes or [], f'failure of the detector: {shortened(str(failure))}' * bool(failure)


def _read_box(box: Any, place: str, in_pixels: bool) -> tuple[float, tuple[float, ...]]:
    """Return the detector's confidence and (x, y, width, height) of a detection."""
    try:
        key = 'prev_conf' if 'prev_conf' in box else 'conf'
        confidence, _ = float(box['confidence' if in_pixels else key]), box['category']
        x, y, width, height = map(float, box['bbox'])
        if not all(map(math.isfinite, (confidence, x, y, width, height))):
            raise ValueError
    except (LookupError, TypeError, ValueError, OverflowError):
        raise InputError(
            f'{place}: a detection needs category, conf and bbox with four numbers, not '
            f'{shortened(str(box))!r}'
        ) from None
    if in_pixels:  # two corners
        width, height = width - x, height - y
    return confidence, (x, y, width, height)


def _check_category(path: Path, options: ReadOptions, known: set[str]) -> None:
    known |= {OTHER_NAMES[name] for name in known & OTHER_NAMES.keys()}
    if known and options.category.lower() not in known:
        raise InputError(
            f'--category {options.category}: {path} has no such category; it has '
            f'{first_few(sorted(known), 10)}'
        )


# ---------------------------------------------------------------------- boxes for another source


def add_boxes(source: Source, detections: Source) -> None:
    """Give the photos of a source the boxes of a detector; photos without a box are skipped.

    Args:
        source: Located photos without boxes.
        detections: The located boxes; both have the same root.

    Raises:
        InputError: The source has boxes already.
    """
    boxed = next((sighting for sighting in source.sightings if sighting.box), None)
    if boxed:
        raise InputError(
            f'{boxed.where}: the source has boxes already; remove --detections, or ignore its '
            'boxes with --column bbox='
        )
    boxes: dict[str, list[Sighting]] = {}
    for found in detections.sightings:
        boxes.setdefault(found.path, []).append(found)
    reasons = {row.path: row.reason for row in detections.left_out}
    kept = []
    for sighting in source.sightings:
        found_boxes = boxes.get(sighting.path, [])
        kept += [replace(sighting, box=found.box) for found in found_boxes]
        if not found_boxes:
            reason = reasons.get(sighting.path, 'no box in the file of detections')
            source.leave_out(sighting, reason)
    several = sum(len(found) > 1 for found in boxes.values())
    if several:
        source.notes.append(f'{counted(several, "photo")} with several animals')
    source.sightings, source.shares = kept, detections.shares
    source.sizes = {}
