"""Opens and reads a catalogue."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from utils.errors import InputError
from wildlife.catalogue.database import FILE, WAIT, connection, make_engine
from wildlife.catalogue.journal import Author, Transaction, undone_entries
from wildlife.catalogue.queries import (
    no_individual,
    read_individuals,
    read_model,
    read_models,
    read_photos,
    read_settings,
)
from wildlife.catalogue.records import Calibration, Decision, Entry, Individual, Model, Photo
from wildlife.catalogue.schema import (
    FORMAT,
    calibrations,
    decisions,
    features,
    journal,
)
from wildlife.catalogue.vectors import map_rows
from wildlife.words import counted

FEATURES = 'features'  # folder of the files of features
KEPT = '.part'  # ending of files of features that are not in the catalogue yet


@dataclass(frozen=True)
class Features:
    """The features of a model.

    Attributes:
        matrix: (R, D) float32, L2-normalised, memory-mapped; R includes rows of no photo. It may be
            written to, which changes no file; ``torch.from_numpy`` copies nothing.
        photos: N photos that have features, by id.
        rows: (N,) int64, the row of each photo.
        owner: (R,) int64, the index in ``photos`` of each row, -1 = of no photo.
    """

    matrix: np.ndarray
    photos: list[Photo]
    rows: np.ndarray
    owner: np.ndarray

    def of(self, wanted: Sequence[Photo]) -> np.ndarray:
        """Return the features (len(wanted), D) of photos, as a copy.

        Raises:
            InputError: A photo has no features of this model.
        """
        row_of = {photo.id: row for photo, row in zip(self.photos, self.rows.tolist(), strict=True)}
        missing = [photo.path for photo in wanted if photo.id not in row_of]
        if missing:
            raise InputError(
                f'{counted(len(missing), "photo")} without features of this model, such as '
                f'{missing[0]}; compute them: python -m tools.catalogue encode'
            )
        return np.array(self.matrix[[row_of[photo.id] for photo in wanted]])


class Catalogue:
    """An open catalogue. It holds no connection; every call reads one consistent state.

    Args:
        folder: The folder of the catalogue.
        wait: Seconds to wait for another program that writes.
    """

    def __init__(self, folder: Path, wait: float = WAIT):
        self.folder = folder
        self.engine: Engine = make_engine(folder, wait)

    def __enter__(self) -> 'Catalogue':
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.dispose()

    def reading(self) -> contextlib.AbstractContextManager[Connection]:
        """Open a connection with a transaction that only reads."""
        return connection(self.engine, self.folder)

    @contextlib.contextmanager
    def writing(self, author: Author, action: str) -> Iterator[Transaction]:
        """Open a transaction, which becomes one entry of the journal if it changes anything.

        Args:
            author: Who changes the catalogue.
            action: What is done, in words.
        """
        with connection(self.engine, self.folder, writes=True) as opened:
            transaction = Transaction(opened, author, action)
            yield transaction
            begun = opened.get_transaction()
            if begun and not transaction.count:
                begun.rollback()

    def path_of(self, model: Model) -> Path:
        """Return the file of the features of a model."""
        return self.folder / FEATURES / model.file

    # ------------------------------------------------------------------------------------ reading

    def settings(self) -> dict[str, str]:
        """Return the settings: 'format', 'margin', 'species', 'model' …"""
        with self.reading() as opened:
            return read_settings(opened)

    def margin(self) -> float:
        """Return the margin around boxes on each side, as a share of the box."""
        with self.reading() as opened:
            return float(read_settings(opened)['margin'])

    def individuals(self) -> list[Individual]:
        """Return all individuals, by name."""
        with self.reading() as opened:
            return read_individuals(opened)

    def individual(self, name: str) -> Individual:
        """Return the individual of a name or alias.

        Raises:
            InputError: There is none; the nearest name is suggested.
        """
        known = self.individuals()
        found = [each for each in known if name == each.name or name in each.aliases]
        if not found:
            raise no_individual(name, [each.name for each in known])
        return found[0]

    def photos(self) -> list[Photo]:
        """Return all photos, by id."""
        with self.reading() as opened:
            return read_photos(opened)

    def decisions(self) -> list[Decision]:
        """Return all decisions, by id."""
        with self.reading() as opened:
            rows = opened.execute(decisions.select().order_by(decisions.c.id)).mappings()
            return [Decision(**row) for row in rows]

    def models(self) -> list[Model]:
        """Return all models whose features the catalogue has, or once had."""
        with self.reading() as opened:
            return read_models(opened)

    def model(self) -> Model | None:
        """Return the model in use; None if there is none yet."""
        with self.reading() as opened:
            return read_model(opened)

    def model_in_use(self) -> Model:
        """Return the model in use.

        Raises:
            InputError: There is none yet.
        """
        return self._existing(self.model())

    def _existing(self, model: Model | None) -> Model:
        if model is None:
            raise InputError(
                f'catalogue {self.folder} has no features yet; compute them: python -m '
                f'tools.catalogue encode {self.folder} --config_file YML TEST.WEIGHT FILE'
            )
        return model

    def calibration(self) -> Calibration | None:
        """Return the newest calibration of the model in use; None if there is none."""
        with self.reading() as opened:
            model = read_model(opened)
            if model is None:
                return None
            query = calibrations.select().where(calibrations.c.model_id == model.id)
            row = opened.execute(query.order_by(calibrations.c.id.desc())).mappings().first()
            return Calibration(**{**row, 'content': json.loads(row['content'])}) if row else None

    def journal(self) -> list[Entry]:
        """Return all entries of the journal, by id."""
        with self.reading() as opened:
            undone = undone_entries(opened)
            rows = opened.execute(journal.select().order_by(journal.c.id)).mappings()
            return [Entry(**row, undone=row['id'] in undone) for row in rows]

    def features(self, model: Model | None = None) -> Features:
        """Return the features of a model, by default of the model in use.

        Raises:
            InputError: There is no model in use, or its file is missing or damaged.
        """
        with self.reading() as opened:
            current = self._existing(read_model(opened, model.id if model else 0))
            query = sa.select(features.c.photo_id, features.c.row)
            pairs = opened.execute(query.where(features.c.model_id == current.id)).all()
            known = read_photos(opened)
        row_of = {photo_id: row for photo_id, row in pairs}
        shown = [photo for photo in known if photo.id in row_of]
        rows = np.array([row_of[photo.id] for photo in shown], np.int64)
        if len(rows) and int(rows.max()) >= current.rows:
            raise InputError(
                f'catalogue {self.folder}: a row of features is missing; find it: python -m '
                'tools.catalogue verify'
            )
        owner = np.full(current.rows, -1)
        owner[rows] = np.arange(len(rows))
        mapped = map_rows(self.path_of(current), current.length, current.rows)
        return Features(mapped, shown, rows, owner)


def open_catalogue(folder: str | Path, wait: float = WAIT) -> Catalogue:
    """Open a catalogue.

    Args:
        folder: Its folder.
        wait: Seconds to wait for another program that writes.

    Raises:
        InputError: There is no catalogue, it is damaged, or it was made by another version.
    """
    folder = Path(folder)
    if not (folder / FILE).is_file():
        raise InputError(
            f'{folder}: there is no catalogue (no {FILE}); create one: python -m tools.catalogue '
            f'create {folder}'
        )
    catalogue = Catalogue(folder, wait)
    with catalogue.reading() as opened:
        if not sa.inspect(opened).has_table('settings'):
            raise InputError(
                f'{folder}: {FILE} is empty or was made by another program; restore a backup, or '
                'name another folder'
            )
        found = read_settings(opened).get('format', '')
    if found != str(FORMAT):  # later formats: migrate older ones here
        raise InputError(
            f'catalogue {folder} has format {found!r:.20}, but this version reads format {FORMAT}; '
            'use the version that made it, or a newer one'
        )
    return catalogue
