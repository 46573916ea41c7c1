"""Reads photos of known individuals from a folder or a table, as sightings."""

import os
from collections import Counter
from pathlib import Path

from utils.errors import InputError
from wildlife.lists.agreement import (
    note_names,
    sort_key,
    without_contradictions,
    without_copies,
)
from wildlife.lists.camtrap import is_camtrap
from wildlife.lists.cells import known_text
from wildlife.lists.folder_source import read_folder
from wildlife.lists.folders import LINK
from wildlife.lists.locate import locate_photos
from wildlife.lists.name_pattern import pattern_groups, read_names
from wildlife.lists.options import ListOptions
from wildlife.lists.sightings import Sighting, Source
from wildlife.lists.table_source import read_table_source, shown_counts
from wildlife.words import counted


def read_source(options: ListOptions) -> Source:
    """Read all that the source says about its photos; no photo is opened.

    Returns:
        A source with at least two individuals.

    Raises:
        InputError: The source cannot be read, or contradicts itself.
    """
    if not os.path.exists(options.source):
        raise InputError(f'{options.source}: this file or folder does not exist')
    by_pattern = 'identity' in pattern_groups(options.name_pattern)
    path = Path(options.source)
    if path.is_dir() and not is_camtrap(path):
        if options.photos or options.column:
            raise InputError(
                f'{path}: --photos and --column need a table, but this is a folder of photos; '
                'name the table'
            )
        source = read_folder(path, options.identity_level, by_pattern)
    else:
        source = read_table_source(path, options, by_pattern)
    source.skip_bad = options.skip_bad
    locate_photos(source)
    if options.name_pattern:
        read_names(source, options.name_pattern, options.date_format)
    source.sightings = sorted(source.sightings, key=sort_key)
    unknown = _leave_out_unidentified(source, options.species)
    source.sightings = without_copies(source)
    source.sightings = without_contradictions(source)
    _check_individuals(source, options.source)
    if unknown:
        source.notes.append(
            f'names that mean unknown: {shown_counts(unknown)}; their photos are skipped. Rename '
            'an animal that really has such a name'
        )
    note_names(source)
    return source


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
    if source.kind == 'folder':
        return (
            'choose the folder that names the individual with --identity-level, or read the name '
            'from the path with --name-pattern'
        )
    unused = ', '.join(source.unused) or 'none'
    return f'choose another column with --column identity=… (not used: {unused})'
