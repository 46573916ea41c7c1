"""What several rows or files say of one photo: copies, repetitions, contradictions."""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable
from dataclasses import replace

from datasets.photos import same_photos
from utils.words import first_few
from wildlife.crops import Box
from wildlife.lists.sightings import Sighting, Source
from wildlife.lists.table_source import shown_counts
from wildlife.words import counted

COPY = 'copy of another photo, byte for byte'


def sort_key(sighting: Sighting) -> tuple[str, Box, str, str, str]:
    """Orders sightings, whatever the order of rows or of a directory."""
    side = str(sighting.side)
    return sighting.path, sighting.box or (), sighting.identity, side, sighting.where


def without_copies(source: Source) -> list[Sighting]:
    """Sightings with one path for all files with the same bytes, that of the shortest name.

    What two files say alike counts once; what else a copy says is said of that photo.
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
            f'{counted(len(copies), "photo")} with the bytes of another, which counts once: '
            f'{first_few(copies)}'
        )
    return sorted(kept, key=sort_key)


def _full_path(source: Source, sighting: Sighting) -> str:
    return os.path.join(source.root, sighting.path)


def _fact(sighting: Sighting) -> Hashable:
    return sighting.identity, sighting.side, sighting.box


def _moved(sighting: Sighting, path: str) -> Sighting:
    """The sighting on another file with the same bytes."""
    name = '' if sighting.where == sighting.path else f'{sighting.path}, '
    where = f'{sighting.where} ({name}the same bytes as {path})'
    return replace(sighting, path=path, where=where)


def without_contradictions(source: Source) -> list[Sighting]:
    """Sightings without rows that repeat others; those that cannot both be true are rejected."""
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
    """(reason, message): why different sightings of one photo cannot all be true; else empty."""
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
            reason = 'photo under two individuals, and no box tells who is where'
        return reason, f"{rows}: '{path}' is there twice ({names}): {reason}"
    if len(boxes) < len(sightings):
        return (
            'box with two rows that contradict',
            f"{rows}: the same box of '{path}' is there twice ({names}) and the rows contradict",
        )
    if len(identities) < len(sightings):
        return (
            'individual twice on one photo',
            f"{rows}: an individual is on '{path}' twice, in two boxes",
        )
    return '', ''


def note_names(source: Source) -> None:
    """Note names that are nearly the same, several species, and folders that are taken together."""
    alike = defaultdict(list)
    for name in sorted({sighting.identity for sighting in source.sightings}):
        alike[_folded(name)].append(name)
    groups = [' / '.join(names) for names in alike.values() if len(names) > 1]
    if groups:
        source.notes.append(
            'names that differ only in case, blanks, the zeros of a number or the bytes of an '
            f'accent are different individuals: {first_few(groups, 6)}'
        )
    species = [sighting.species for sighting in source.sightings if sighting.species]
    if len(Counter(species)) > 1:
        source.notes.append(
            f'several species are read together ({shown_counts(species)}); --species takes one of '
            'them'
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
            f'{len(several)} individuals have photos in several folders, which are taken together, '
            f"as '{several[0]}': {', '.join(sorted(folders[several[0]])[:4])}; where another "
            'folder is the individual, --identity-level says which'
        )


def _folded(name: str) -> str:
    """The same for names that may be meant as one.

    'Zoé' and 'zoé' in other bytes, 'a_1' and 'A 1', '1.0' and '01'.
    """
    name = re.sub(r'[\s_]+', ' ', unicodedata.normalize('NFKC', name)).strip().casefold()
    number = re.fullmatch(r'0*(\d+?)(\.0+)?', name)
    return number[1] if number else name
