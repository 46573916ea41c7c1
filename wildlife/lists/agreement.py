"""Resolves copies, repeated rows and contradictions about the same photo."""

import os
from collections import Counter, defaultdict
from collections.abc import Hashable
from dataclasses import replace

from datasets.photos import same_photos
from utils.words import first_few
from wildlife.crops import Box
from wildlife.lists.sightings import Sighting, Source
from wildlife.lists.table_source import shown_counts
from wildlife.words import counted, folded

COPY = 'copy of another photo, byte for byte'  # why a photo is skipped


def sort_key(sighting: Sighting) -> tuple[str, Box, str, str, str]:
    """Return a key that sorts sightings independently of the order of rows or files."""
    side = str(sighting.side)
    return sighting.path, sighting.box or (), sighting.identity, side, sighting.where


def without_copies(source: Source) -> list[Sighting]:
    """Give all files with the same bytes one path, and return the sightings.

    The shortest path is kept. A sighting that repeats one of the kept photo is skipped; any other
    sighting of a copy is moved to the kept photo.
    """
    same = same_photos({_full_path(source, sighting) for sighting in source.sightings})
    files = defaultdict(list)
    for sighting in source.sightings:
        files[same[_full_path(source, sighting)]].append(sighting)
    kept, copies = [], []
    for sightings in files.values():
        path = min({sighting.path for sighting in sightings}, key=lambda path: (len(path), path))
        known = {_fact(sighting) for sighting in sightings if sighting.path == path}
        for sighting in sightings:
            if sighting.path == path:
                kept.append(sighting)
            elif _fact(sighting) in known:
                source.leave_out(sighting, COPY)
                copies.append(f"'{sighting.path}' = '{path}'")
            else:
                known.add(_fact(sighting))
                kept.append(_moved(sighting, path))
    if copies:
        source.notes.append(
            f'{counted(len(copies), "photo")} with the same bytes as another photo; each counts '
            f'once: {first_few(copies)}'
        )
    return sorted(kept, key=sort_key)


def _full_path(source: Source, sighting: Sighting) -> str:
    return os.path.join(source.root, sighting.path)


def _fact(sighting: Sighting) -> Hashable:
    return sighting.identity, sighting.side, sighting.box


def _moved(sighting: Sighting, path: str) -> Sighting:
    """Return the sighting with the path of another file with the same bytes."""
    name = '' if sighting.where == sighting.path else f'{sighting.path}, '
    where = f'{sighting.where} ({name}the same bytes as {path})'
    return replace(sighting, path=path, where=where)


def without_contradictions(source: Source) -> list[Sighting]:
    """Return the sightings without repeated rows; contradictory ones are rejected."""
    photos = defaultdict(list)
    for sighting in source.sightings:
        photos[sighting.path].append(sighting)
    kept = []
    for sightings in photos.values():
        once: dict[Sighting, Sighting] = {}
        for sighting in sightings:
            first = once.setdefault(replace(sighting, where=''), sighting)
            if first is not sighting:
                source.leave_out(sighting, 'row that repeats another')
        different = list(once.values())
        reason, message = _contradiction(different)
        if not reason:
            kept += different
            continue
        for sighting in different:
            source.reject(sighting, reason, message)
    return kept


def _contradiction(sightings: list[Sighting]) -> tuple[str, str]:
    """Return (reason, message) if different sightings of one photo contradict, else empty texts."""
    if len(sightings) < 2:
        return '', ''
    first, second = sightings[:2]
    path, rows = first.path, f'{second.where} and {first.where}'
    identities = sorted({sighting.identity for sighting in sightings})
    names = ', '.join(identities[:3])
    boxes = {sighting.box for sighting in sightings}
    if None in boxes:
        reason = 'photo with two rows that contradict'
        if len(identities) > 1:
            reason = 'photo of two individuals, but no boxes show which is which'
        return reason, f"{rows}: '{path}' occurs twice ({names}): {reason}"
    if len(boxes) < len(sightings):
        return (
            'box with two rows that contradict',
            f"{rows}: the same box of '{path}' occurs twice ({names}), and the rows contradict",
        )
    named = [sighting.identity for sighting in sightings if sighting.identity]
    if len(set(named)) < len(named):
        return (
            'individual twice on one photo',
            f"{rows}: '{path}' shows the same individual in two boxes",
        )
    return '', ''


def note_names(source: Source) -> None:
    """Add notes about similar names, several species, and individuals with several folders."""
    alike = defaultdict(list)
    for name in sorted({sighting.identity for sighting in source.sightings}):
        alike[folded(name)].append(name)
    groups = [' / '.join(names) for names in alike.values() if len(names) > 1]
    if groups:
        source.notes.append(
            'names that differ only in case, spaces, zeros of a number or the encoding of an '
            f'accent count as different individuals: {first_few(groups, 6)}'
        )
    species = [sighting.species for sighting in source.sightings if sighting.species]
    if len(Counter(species)) > 1:
        source.notes.append(
            f'the source contains several species ({shown_counts(species)}); select one with '
            '--species'
        )
    if source.kind == 'folder' and source.columns['identity'] != '--name-pattern':
        _note_folders(source)


def _note_folders(source: Source) -> None:
    folders = defaultdict(set)
    for sighting in source.sightings:
        folders[sighting.identity].add(os.path.dirname(sighting.path))
    several = sorted(name for name in folders if len(folders[name]) > 1)
    if several:
        source.notes.append(
            f'{len(several)} individuals have photos in several folders, for example '
            f"'{several[0]}': {', '.join(sorted(folders[several[0]])[:4])}; each counts as one "
            'individual. If another folder names the individual, set --identity-level'
        )
