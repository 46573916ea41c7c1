"""Reads sightings from a folder that has one subfolder of photos per individual."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from utils.errors import InputError
from utils.words import first_few
from wildlife.lists.cells import SPLITS
from wildlife.lists.folders import photos_below, skipped_photos
from wildlife.lists.levels import check_folders, folder_index
from wildlife.lists.sightings import Sighting, Source
from wildlife.lists.tables import LeftOut
from wildlife.words import counted


def read_folder(folder: Path, level: int | None, by_pattern: bool) -> Source:
    """Read a folder; subfolders named train, val, query, gallery or test are splits.

    Args:
        folder: The folder of the photos.
        level: The folder that names the individual; see ``ReadOptions.identity_level``.
        by_pattern: Whether --name-pattern gives the individual, and not a folder.

    Raises:
        InputError: The folders do not look like individuals.
    """
    photos, skipped = photos_below(folder)
    source = Source('folder', folder, [_sighting(path, level or -1) for path in photos])
    source.left_out = [LeftOut('', path, '', reason) for path, reason in skipped]
    _note_skipped(source, skipped)
    if not by_pattern:
        _check_names(source, photos, level)
    if any(sighting.split for sighting in source.sightings):
        source.columns['split'] = 'folder'
    if (folder / 'metadata.csv').is_file():
        source.notes.append(
            f'{folder / "metadata.csv"} was not read; to use it, give its path instead of the '
            "folder's"
        )
    return source


def name_by_folder(source: Source, level: int | None) -> None:
    """Name the individuals of located photos by their folders.

    Args:
        source: The photos, for example those of a detector's boxes.
        level: The folder that names the individual; see ``ReadOptions.identity_level``.

    Raises:
        InputError: The folders do not look like individuals.
    """
    named = [_sighting(sighting.path, level or -1) for sighting in source.sightings]
    source.sightings = [
        replace(sighting, identity=other.identity, split=other.split)
        for sighting, other in zip(source.sightings, named, strict=True)
    ]
    _check_names(source, list(dict.fromkeys(other.path for other in named)), level)


def _check_names(source: Source, photos: list[str], level: int | None) -> None:
    source.notes += check_folders(source.root, photos, level)
    source.columns['identity'] = 'folder that contains the photo'
    if level not in (None, -1):
        source.columns['identity'] = f'folder, level {level}'


def _sighting(path: str, level: int) -> Sighting:
    folders = path.split('/')[:-1]
    index = folder_index(path, level)
    others = [name.lower() for number, name in enumerate(folders) if number != index]
    split = next((SPLITS[name] for name in others if name in SPLITS), '')
    identity = '' if index is None else folders[index]
    return Sighting(path=path, where=path, identity=identity, split=split)


def _note_skipped(source: Source, skipped: list[tuple[str, str]]) -> None:
    """Add notes about photos skipped because of their folder's name, and folders left empty."""
    counts = skipped_photos(skipped)
    if not counts:
        return
    by_name: Counter[str] = Counter()
    for folder, count in counts.items():
        by_name[os.path.basename(folder)] += count
    names = ', '.join(f"'{name}' {count}" for name, count in by_name.most_common())
    what = (
        f'in folders made by a NAS, the system or a photo program ({names}); rename such a '
        'folder to use it'
    )
    photos = counted(counts.total(), 'photo')
    if not source.sightings:
        raise InputError(f'{source.root}: all {photos} are {what}, or give its path as the source')
    source.notes.append(f'skipped: {photos} {what}')
    used = {''}
    for sighting in source.sightings:
        parts = sighting.path.split('/')
        used.update('/'.join(parts[:depth]) for depth in range(1, len(parts)))
    alone = sorted({os.path.dirname(folder) for folder in counts} - used)
    if alone:
        source.notes.append(
            f'{counted(len(alone), "folder")} contained only skipped photos: {first_few(alone, 6)}'
        )
