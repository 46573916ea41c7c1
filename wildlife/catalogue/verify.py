"""Checks a catalogue: its file, its journal, its features, and the photos that it names."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from utils.errors import InputError
from utils.files import sha256_file
from utils.logger import progress
from utils.words import first_few
from wildlife.catalogue.database import integrity
from wildlife.catalogue.decisions import contradicted_photos
from wildlife.catalogue.names import check_unique
from wildlife.catalogue.queries import read_models, read_photos
from wildlife.catalogue.records import Model, Photo
from wildlife.catalogue.replay import differences
from wildlife.catalogue.schema import features, metadata, photos
from wildlife.catalogue.store import FEATURES, KEPT, Catalogue
from wildlife.catalogue.vectors import checksums, extra_rows, map_rows
from wildlife.words import counted

AT_ONCE = 10_000  # rows of features


@dataclass
class Findings:
    """What was found.

    Attributes:
        damage: What is wrong, each with the table and the row.
        notes: What is worth knowing, such as missing photos.
    """

    damage: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(catalogue: Catalogue, hashes: bool = False) -> Findings:
    """Check everything in a catalogue.

    Args:
        catalogue: The catalogue.
        hashes: Whether to read all photos too, and compare their SHA-256.
    """
    found = Findings()
    try:
        with catalogue.reading() as opened:
            found.damage += integrity(opened)
            found.damage += [*_references(opened), *differences(opened)]
            found.damage += [*_names(opened), *_decisions(opened)]
            known, models = read_photos(opened), read_models(opened)
            for model in models:
                found.damage += _features(opened, catalogue, model)
                found.notes += _unused(opened, catalogue, model)
    except InputError as error:  # the file cannot be read at all
        found.damage.append(str(error))
        return found
    found.notes += _leftovers(catalogue)
    found.notes += _files(known, hashes)
    return found


def _references(opened: Connection) -> Iterator[str]:
    """Yield rows that refer to rows that do not exist."""
    for table in metadata.sorted_tables:
        for key in table.foreign_keys:
            parent = key.column.table.alias()
            missing = sa.select(table.c.id, key.parent).outerjoin_from(
                table, parent, key.parent == parent.c.id
            )
            query = missing.where(key.parent.is_not(None), parent.c.id.is_(None))
            for number, value in opened.execute(query):
                yield f'{table.name} {number}: {key.parent.name} {value} does not exist'


def _names(opened: Connection) -> Iterator[str]:
    try:
        check_unique(opened)
    except InputError as error:
        yield f'aliases: {error}'


def _decisions(opened: Connection) -> Iterator[str]:
    """Yield photos whose individual is not that of their last decision."""
    for number, individual, decided in contradicted_photos(opened):
        yield (
            f'photos {number}: individual_id is {individual}, but {decided} according to its last '
            'decision'
        )


def _features(opened: Connection, catalogue: Catalogue, model: Model) -> Iterator[str]:
    """Yield rows of features that are missing or damaged."""
    query = features.select().where(features.c.model_id == model.id).order_by(features.c.row)
    rows = opened.execute(query).all()
    if not rows:
        return
    try:
        mapped = map_rows(catalogue.path_of(model), model.length, model.rows)
    except InputError as error:
        yield str(error)
        return
    for start in progress(range(0, len(rows), AT_ONCE), 'features'):
        some = rows[start : start + AT_ONCE]
        outside = [row for row in some if row.row >= model.rows]
        yield from (f'features {row.id}: {model.file} has no row {row.row}' for row in outside)
        inside = [row for row in some if row.row < model.rows]
        vectors = np.array(mapped[[row.row for row in inside]])
        for row, crc in zip(inside, checksums(vectors), strict=True):
            if crc != row.crc:
                yield (
                    f'features {row.id}: row {row.row} of {model.file} (photo {row.photo_id}) is '
                    'damaged'
                )


def _unused(opened: Connection, catalogue: Catalogue, model: Model) -> Iterator[str]:
    """Yield notes on rows of features without a photo, and photos without features."""
    path = catalogue.path_of(model)
    of_model = features.c.model_id == model.id
    used = opened.execute(sa.select(sa.func.count()).where(of_model)).scalar_one()
    shown = opened.execute(sa.select(sa.func.count()).select_from(photos)).scalar_one()
    try:
        extra = extra_rows(path, model.length, model.rows)
    except InputError:
        return
    if extra > 0:
        yield (
            f'{model.file}: {counted(extra, "row")} of an interrupted program at its end; the next '
            'program overwrites them'
        )
    if model.rows > used:
        yield f'{model.file}: {counted(model.rows - used, "row")} that no photo uses'
    if 0 < used < shown:
        yield f'{model.file}: {counted(shown - used, "photo")} without features of this model'


def _leftovers(catalogue: Catalogue) -> Iterator[str]:
    left = [path.name for path in sorted((catalogue.folder / FEATURES).glob(f'*{KEPT}'))]
    if left:
        yield (
            f'{catalogue.folder / FEATURES}: {counted(len(left), "file")} of interrupted programs '
            f'({first_few(left)}); repeat the command to resume it, or delete them'
        )


def _files(known: list[Photo], hashes: bool) -> Iterator[str]:
    """Yield notes on photos that are missing or have changed."""
    gone = [photo.path for photo in known if not os.path.isfile(photo.path)]
    there = {photo.path: photo for photo in known if os.path.isfile(photo.path)}
    changed = [path for path, photo in there.items() if os.path.getsize(path) != photo.bytes]
    if hashes:
        changed = [
            path
            for path, photo in progress(there.items(), 'photos')
            if sha256_file(path) != photo.sha256
        ]
    if gone:
        yield (
            f'{counted(len(set(gone)), "photo")} missing, such as {first_few(gone)}; add them '
            'again from their new place'
        )
    if changed:
        yield f'{counted(len(changed), "photo")} changed since added: {first_few(changed)}'
