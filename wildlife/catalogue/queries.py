"""Database queries, each within a given transaction."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from utils.errors import InputError
from utils.words import did_you_mean
from wildlife.catalogue.records import Individual, Model, Photo
from wildlife.catalogue.schema import aliases, individuals, models, photos, settings
from wildlife.crops import Box

BOX = photos.columns.keys().index('box')
IN_USE = 'model'  # setting with the number of the model in use

Key = tuple[str, str]  # SHA-256 of the file, or what else tells files apart; box


def no_individual(name: str, known: Sequence[str]) -> InputError:
    """Return the error for a name that no individual has."""
    return InputError(
        f'no individual is called {name!r}{did_you_mean(name, known)}; list all names: python -m '
        'tools.catalogue list'
    )


def read_settings(opened: Connection) -> dict[str, str]:
    """Return the settings as name -> value."""
    rows = opened.execute(sa.select(settings.c.name, settings.c.value))
    return {name: value for name, value in rows}


def read_model(opened: Connection, number: int = 0, key: str = '') -> Model | None:
    """Return a model by its number or key, by default the one in use; None if there is none."""
    known = read_models(opened)
    if key:
        return next((model for model in known if model.key == key), None)
    number = number or int(read_settings(opened).get(IN_USE, 0))
    return next((model for model in known if model.id == number), None)


def read_models(opened: Connection) -> list[Model]:
    """Return all models, by id."""
    rows = opened.execute(models.select().order_by(models.c.id)).mappings()
    return [Model(**{**row, 'config': _config(row['id'], row['config'])}) for row in rows]


def _config(number: int, text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (TypeError, ValueError) as error:
        raise InputError(f'models {number}: its config is damaged; restore a backup') from error


def read_photos(opened: Connection) -> list[Photo]:
    """Return all photos, by id."""
    joined = photos.outerjoin(individuals, photos.c.individual_id == individuals.c.id)
    name = sa.func.coalesce(individuals.c.name, '')
    query = sa.select(*photos.c, name).select_from(joined).order_by(photos.c.id)
    found = []
    for row in opened.execute(query):  # the columns are the fields of Photo, the last one is name
        values = list(row)
        values[BOX] = box_of(values[BOX])
        found.append(Photo(*values))
    return found


def read_individuals(opened: Connection) -> list[Individual]:
    """Return all individuals, by name."""
    names = defaultdict(list)
    for row in opened.execute(aliases.select().order_by(aliases.c.alias)):
        names[row.individual_id].append(row.alias)
    columns = photos.c
    known = sa.func.nullif(columns.encounter, '')  # NULL is not counted
    counts = sa.select(
        columns.individual_id,
        sa.func.count(),
        sa.func.count(known.distinct()),
        sa.func.min(columns.date),
        sa.func.max(columns.date),
    )
    seen = {
        number: facts for number, *facts in opened.execute(counts.group_by(columns.individual_id))
    }
    rows = opened.execute(individuals.select().order_by(individuals.c.name))
    return [
        Individual(
            row.id,
            row.name,
            tuple(names[row.id]),
            row.sex,
            row.notes,
            *seen.get(row.id, (0, 0, None, None)),
        )
        for row in rows
    ]


def box_text(box: Box | None) -> str:
    """Return a box as the tables hold it: 'x y width height [theta]', '' = the whole photo."""
    return ' '.join(f'{number:.6g}' for number in box or ())


def key_of(photo: Photo) -> Key:
    """Return what no other photo of a catalogue has."""
    return photo.sha256, box_text(photo.box)


def box_of(text: str) -> Box | None:
    """Read a box of the tables."""
    return tuple(map(float, text.split())) or None
