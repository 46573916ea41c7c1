"""Reads photos of animals from a folder, a table or a detector's file, as sightings."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from datasets.images import photo_extensions
from utils.errors import InputError
from wildlife.lists.agreement import (
    note_names,
    sort_key,
    without_contradictions,
    without_copies,
)
from wildlife.lists.camtrap import is_camtrap
from wildlife.lists.cells import known_text
from wildlife.lists.detections import add_boxes
from wildlife.lists.folder_source import name_by_folder, read_folder
from wildlife.lists.folders import LINK
from wildlife.lists.locate import locate_photos
from wildlife.lists.name_pattern import pattern_groups, read_names
from wildlife.lists.options import ReadOptions
from wildlife.lists.sightings import Sighting, Source
from wildlife.lists.table_source import read_table_source, shown_counts
from wildlife.lists.tables import DETECTIONS
from wildlife.words import counted


def read_source(options: ReadOptions) -> Source:
    """Read all that the source says about photos of known individuals; no photo is opened.

    Returns:
        A source with at least two individuals.

    Raises:
        InputError: The source cannot be read, or contradicts itself.
    """
    source = _read(options, by_pattern='identity' in pattern_groups(options.name_pattern))
    if source.kind == DETECTIONS and 'identity' not in source.columns:
        name_by_folder(source, options.identity_level)
    unknown = _leave_out_unidentified(source, options.species)
    _agree(source)
    _check_individuals(source, options.source)
    if unknown:
        source.notes.append(
            f'names that mean unknown: {shown_counts(unknown)}; their photos are skipped. Rename '
            'an animal that really has such a name'
        )
    note_names(source)
    return source


def read_animals(options: ReadOptions) -> Source:
    """Read all that the source says about photos of known and unknown animals.

    Folders name individuals only with ``identity_level``, and columns only if they are called so
    or are named with --column. An unknown individual is ''.

    Returns:
        A source with at least one photo, if its photos have not all been skipped.

    Raises:
        InputError: The source cannot be read, or contradicts itself.
    """
    source = _read(options, by_pattern=True, animals=True)
    by_folder = options.identity_level is not None and 'identity' not in source.columns
    if by_folder and source.kind in ('folder', DETECTIONS):
        name_by_folder(source, options.identity_level)
    if 'identity' not in source.columns:
        source.sightings = [replace(sighting, identity='') for sighting in source.sightings]
    kept = []
    for sighting in source.sightings:
        if options.species and sighting.species != options.species:
            source.leave_out(sighting, f"species '{sighting.species}'")
        else:
            kept.append(replace(sighting, identity=known_text(sighting.identity)))
    source.sightings = _named_once(source, kept)
    _agree(source)
    if 'identity' in source.columns:
        note_names(source)
    return source


def _named_once(source: Source, sightings: list[Sighting]) -> list[Sighting]:
    """Skip unknown animals that other rows name: in the same box, or anywhere if there is none."""
    named = {(sighting.path, sighting.box) for sighting in sightings if sighting.identity}
    named |= {(path, None) for path, _ in named}
    kept = []
    for sighting in sightings:
        if not sighting.identity and (sighting.path, sighting.box) in named:
            source.leave_out(sighting, 'unidentified, but another row names the animal')
        else:
            kept.append(sighting)
    return kept


def _read(options: ReadOptions, by_pattern: bool, animals: bool = False) -> Source:
    """Read a source and find its photos.

    Args:
        options: The options of the command.
        by_pattern: Whether nothing but --name-pattern must give the individual.
        animals: Whether animals may be unknown; then the source may be a single photo, too.
    """
    path = Path(options.source)
    if not os.path.exists(path):
        raise InputError(f'{options.source}: this file or folder does not exist')
    is_folder = path.is_dir() and not is_camtrap(path)
    is_photo = animals and path.suffix.lower() in photo_extensions()
    if (is_folder or is_photo) and (options.photos or options.column):
        raise InputError(
            f'{path}: --photos and --column need a table, but this is a folder of photos; name the '
            'table'
        )
    if is_folder:
        source = read_folder(path, options.identity_level, by_pattern)
    elif is_photo:
        source = Source('folder', path.parent, [Sighting(path.name, path.name, '')])
    else:
        source = read_table_source(path, options, by_pattern, sure=animals)
    source.skip_bad = options.skip_bad
    locate_photos(source)
    if options.detections:
        _read_boxes(source, options)
    if options.name_pattern and source.sightings:
        read_names(source, options.name_pattern, options.date_format)
    source.sightings = sorted(source.sightings, key=sort_key)
    return source


def _read_boxes(source: Source, options: ReadOptions) -> None:
    """Give the photos of a source the boxes of --detections."""
    only_boxes = replace(options, photos=str(source.root), column={}, species='', skip_bad=True)
    found = read_table_source(Path(options.detections), only_boxes, by_pattern=True)
    if found.kind != DETECTIONS:
        raise InputError(
            f'--detections {options.detections}: this is not the .json of an animal detector'
        )
    locate_photos(found)
    add_boxes(source, found)


def _agree(source: Source) -> None:
    """Count copies once, and reject contradictions."""
    source.sightings = without_copies(source)
    source.sightings = without_contradictions(source)


def _leave_out_unidentified(source: Source, species: str) -> list[str]:
    """Skip other species and animals without a name; return the names that mean unknown."""
    identified: list[Sighting] = []
    unknown = []
    for sighting in source.sightings:
        name = sighting.identity
        if species and sighting.species != species:
            source.leave_out(sighting, f"species '{sighting.species}'")
        elif known_text(name):
            identified.append(sighting)
        elif name:
            source.leave_out(sighting, f"unidentified ('{name}')")
            unknown.append(name)
        else:
            source.leave_out(sighting, 'unidentified')
    source.sightings = identified
    return unknown


def _check_individuals(source: Source, path: str) -> None:
    if not source.sightings:
        reasons = Counter(row.reason for row in source.left_out).most_common(3)
        why = '; '.join(f'{count} x {reason}' for reason, count in reasons)
        raise InputError(
            f'{path}: no photo of a known individual is left; {why or "there are no photos"}'
            f'{_link_targets(source)}'
        )
    names = {sighting.identity for sighting in source.sightings}
    if len(names) == 1:
        raise InputError(
            f'{path}: {counted(len(source.sightings), "photo")}, all of one individual, '
            f"'{names.pop()}' (read from {source.columns['identity']}), but two are needed; "
            f'{_other_identity(source)}'
        )


def _link_targets(source: Source) -> str:
    """Name the targets of links to folders, which were not followed."""
    links = [row.path for row in source.left_out if row.reason == LINK]
    folders = sorted({os.path.dirname(os.path.realpath(source.root / link)) for link in links})
    if not folders:
        return ''
    return f'; links are not followed: name the folder that they point to, {", ".join(folders[:3])}'


def _other_identity(source: Source) -> str:
    if source.kind in ('folder', DETECTIONS):
        return (
            'choose the folder that names the individual with --identity-level, or read the name '
            'from the path with --name-pattern'
        )
    unused = ', '.join(source.unused) or 'none'
    return f'choose another column with --column identity=… (not used: {unused})'
