"""Where new photos come from: the lists of a config, or any source that make_lists reads."""

import hashlib
import os
from collections.abc import Sequence
from datetime import datetime

from yacs.config import CfgNode

from utils.errors import InputError
from wildlife.catalogue.new_photos import NewPhoto, NewPhotos
from wildlife.crops import Box, upright_box
from wildlife.features.photos import photos_of_lists
from wildlife.lists.encounters import Key, make_photos
from wildlife.lists.options import ReadOptions
from wildlife.lists.select import Headers, find_changes, read_headers
from wildlife.lists.sightings import Sighting, Source
from wildlife.lists.sources import read_animals
from wildlife.names import given_rows
from wildlife.words import is_plain


def photos_of_config(cfg: CfgNode, splits: Sequence[str] = ()) -> NewPhotos:
    """Return the photos of the lists of a config, each file once, with their individuals.

    Individuals, cameras and dates are those of the photos.csv of make_lists. Without one,
    individuals are called by list and label ('train 12').

    Args:
        cfg: The config.
        splits: 'train', 'val', 'query', 'gallery'; () = all that it has.

    Raises:
        InputError: A list is missing or cannot be read.
    """
    table = photos_of_lists(cfg, splits)
    facts = _given_facts(cfg)
    scope = _scope(cfg, [record.path for record in table.records])
    found = []
    for record, individual in zip(table.records, table.individuals, strict=True):
        row = facts.get(os.path.abspath(record.path), {})
        camera = '' if record.camera is None else str(record.camera)
        found.append(
            NewPhoto(
                path=plain_path(record.path),
                side=record.side,
                camera=row.get('camera') or camera,
                date=datetime.fromisoformat(row['date']) if row.get('date') else None,
                encounter='' if record.encounter is None else f'{scope} {record.encounter}',
                individual=individual,
            )
        )
    return NewPhotos(found, f'the lists of {cfg.DATASETS.SPECIES}', [], [])


def _given_facts(cfg: CfgNode) -> dict[str, dict[str, str]]:
    """Return the rows of photos.csv by the absolute path of the photo."""
    if cfg.DATASETS.NAMES != 'animals':
        return {}
    data = cfg.DATASETS
    roots = (os.path.join(data.ROOT_DIR, data.DATA_DIR), data.TEST_ROOT_DIR)
    rows: dict[str, dict[str, str]] = {}
    for listed, row in given_rows(data.LIST_DIR).items():
        rows |= {os.path.abspath(os.path.join(root, listed)): row for root in roots}
    return rows


def _scope(cfg: CfgNode, paths: Sequence[str]) -> str:
    """Return a name for lists: the numbers of their encounters mean nothing elsewhere."""
    text = '\n'.join(paths).encode(errors='surrogateescape')
    return f'{cfg.DATASETS.SPECIES} {hashlib.sha256(text).hexdigest()[:6]}'


def photos_of_source(options: ReadOptions, place: str = '') -> NewPhotos:
    """Return the animals on the photos of a source, known and unknown ones.

    Args:
        options: The source, and how it is read.
        place: Where the photos were taken; '' = unknown.

    Raises:
        InputError: The source cannot be read, contradicts itself, or has no photo.
    """
    source = read_animals(options)
    headers = read_headers(source, options)
    find_changes(source, headers, options)  # rejects impossible boxes
    if not source.sightings:
        reasons = sorted({row.reason for row in source.left_out})
        raise InputError(
            f'{options.source}: no usable photo of an animal; skipped: '
            f'{"; ".join(reasons[:3]) or "none"}'
        )
    paths = [sighting.path for sighting in source.sightings]
    keys = make_photos(source.sightings, paths, minutes=options.encounter_minutes)
    names = _encounter_names([photo.encounter for photo in keys], source.sightings, options)
    found = [
        NewPhoto(
            path=plain_path(os.path.join(source.root, sighting.path)),
            box=_box(sighting, source, headers, options.boxes),
            side=sighting.side,
            camera=sighting.camera,
            date=sighting.date,
            encounter=names[photo.encounter] if photo.encounter else '',
            place=place,
            individual=sighting.identity,
        )
        for sighting, photo in zip(source.sightings, keys, strict=True)
    ]
    return NewPhotos(found, options.source, source.notes, source.left_out)


def plain_path(path: str) -> str:
    """Return the absolute path of a photo. Raises ``InputError`` if it is not plain text."""
    full = os.path.abspath(path)
    if not is_plain(full):
        raise InputError(f'{ascii(full)}: the path is not UTF-8 text; rename the photo or folder')
    return full


def _encounter_names(
    keys: Sequence[Key | None], sightings: Sequence[Sighting], options: ReadOptions
) -> dict[Key, str]:
    """Return a name for each encounter, which stays the same if its photos are added again.

    It is the given name, or else the camera and the day, with --encounter-minutes also the time.
    """
    form = '%Y-%m-%d %H:%M' if options.encounter_minutes else '%Y-%m-%d'
    first: dict[Key, datetime] = {}
    cameras: dict[Key, str] = {}
    for key, sighting in zip(keys, sightings, strict=True):
        if key is None or key[0] == 'given':
            continue
        date = sighting.date or datetime.max
        first[key] = min(date, first.get(key, date))
        cameras[key] = sighting.camera
    names = {key: f'{cameras[key]} {date:{form}}'.strip() for key, date in first.items()}
    return names | {key: key[1] for key in keys if key and key[0] == 'given'}


def _box(sighting: Sighting, source: Source, headers: Headers, frame: str) -> Box | None:
    """Return the box of a sighting as shares of the upright photo."""
    if sighting.box is None:
        return None
    header, size = headers[sighting.path], source.sizes.get(sighting.path)
    return upright_box(sighting.box, header, source.shares, frame, size)
