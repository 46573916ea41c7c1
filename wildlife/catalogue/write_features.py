"""Writes features within a transaction: the rows of a model's file, and the row of each photo."""

import json
from collections.abc import Mapping

import numpy as np
import sqlalchemy as sa

from utils.errors import InputError
from wildlife.catalogue.journal import Transaction, now
from wildlife.catalogue.models import ModelFacts, check_same_model
from wildlife.catalogue.queries import IN_USE, read_model
from wildlife.catalogue.records import Model
from wildlife.catalogue.schema import features, models, settings
from wildlife.catalogue.store import Catalogue
from wildlife.catalogue.vectors import append_rows, checksums


def write_features(
    change: Transaction,
    catalogue: Catalogue,
    facts: ModelFacts,
    vectors: Mapping[int, np.ndarray],
    switch: bool = False,
) -> int:
    """Append features to the file of a model, which is in use from now on; return their number.

    Args:
        change: The transaction. If it fails later, the rows stay in the file, unused.
        catalogue: The catalogue.
        facts: The model.
        vectors: Number of a photo -> (D,) float32; photos that have features are skipped.
        switch: Whether another model may be in use so far.

    Raises:
        InputError: Another model is in use; the file is damaged or cannot be written.
    """
    current = read_model(change.connection)
    if current and not switch:
        check_same_model(current, facts)
    model = _registered(change, facts, vectors)
    if current is None or current.id != model.id:
        _use(change, model)
    present = sa.select(features.c.photo_id).where(features.c.model_id == model.id)
    known = set(change.connection.execute(present).scalars())
    chosen = [number for number in vectors if number not in known]
    if chosen:
        _append(change, catalogue, model, {number: vectors[number] for number in chosen})
    return len(chosen)


def _append(
    change: Transaction, catalogue: Catalogue, model: Model, vectors: Mapping[int, np.ndarray]
) -> None:
    rows = np.stack(list(vectors.values()))
    if rows.shape[1] != model.length:
        raise InputError(
            f'these features have {rows.shape[1]} numbers, but those of the catalogue have '
            f'{model.length}; recompute all of them with the other model'
        )
    places = enumerate(zip(vectors, checksums(rows), strict=True), start=model.rows)
    made = [
        {'model_id': model.id, 'photo_id': number, 'row': row, 'crc': crc}
        for row, (number, crc) in places
    ]
    change.insert(features, made)
    append_rows(catalogue.path_of(model), rows, model.rows)
    grown = models.update().where(models.c.id == model.id).values(rows=model.rows + len(rows))
    change.connection.execute(grown)


def _registered(change: Transaction, facts: ModelFacts, vectors: Mapping[int, np.ndarray]) -> Model:
    """Return the model with these facts; make it if it is new.

    Models are not in the journal: the rows of their files stay, so that an undo can be undone.
    """
    found = read_model(change.connection, key=facts.key)
    if found:
        return found
    if not vectors:
        raise InputError('there are no photos yet, so there are no features; add photos first')
    count = change.connection.execute(sa.select(sa.func.count()).select_from(models)).scalar_one()
    values = {
        'key': facts.key,
        'sha256': facts.sha256,
        'length': len(next(iter(vectors.values()))),
        'file': f'{count + 1}-{facts.sha256[:12]}.npy',
        'rows': 0,
        'config': json.dumps(dict(facts.config)),
        'created': now(),
    }
    change.connection.execute(models.insert().values(values))
    made = read_model(change.connection, key=facts.key)
    assert made is not None
    return made


def retire(change: Transaction, facts: ModelFacts) -> None:
    """Drop the features of a model, to be recomputed in another file; the old file stays."""
    model = read_model(change.connection, key=facts.key)
    if model:
        old = models.update().where(models.c.id == model.id)
        change.connection.execute(old.values(key=f'{facts.key} replaced by entry {change.entry}'))
        dropped = sa.select(features.c.id).where(features.c.model_id == model.id)
        change.delete(features, list(change.connection.execute(dropped).scalars()))


def _use(change: Transaction, model: Model) -> None:
    """Make a model the one in use."""
    query = sa.select(settings.c.id).where(settings.c.name == IN_USE)
    number = change.connection.execute(query).scalar()
    if number is None:
        change.insert(settings, [{'name': IN_USE, 'value': str(model.id)}])
    else:
        change.update(settings, {number: {'value': str(model.id)}})
