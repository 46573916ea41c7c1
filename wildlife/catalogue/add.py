"""Adds photos with their features in one transaction; computes features of another model."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from utils.errors import InputError
from utils.words import first_few
from wildlife.catalogue.decisions import Answer, record_answers
from wildlife.catalogue.encode import PhotoEncoder
from wildlife.catalogue.journal import Author, Transaction
from wildlife.catalogue.kept_features import Vectors, kept_features
from wildlife.catalogue.models import check_same_model
from wildlife.catalogue.names import name_numbers
from wildlife.catalogue.new_photos import Boxed, NewPhoto, NewPhotos, fingerprints
from wildlife.catalogue.queries import Key, box_text, key_of, read_model, read_photos
from wildlife.catalogue.records import Photo
from wildlife.catalogue.schema import features, photos
from wildlife.catalogue.store import FEATURES, Catalogue
from wildlife.catalogue.write_features import retire, write_features
from wildlife.words import counted

FACTS = ('side', 'camera', 'date', 'encounter', 'place')
UNKNOWN = (None, '')


@dataclass
class Added:
    """What :func:`add_photos` has done.

    Attributes:
        photos: The number of animals added; an animal is a photo with its box.
        known: The number of animals that the catalogue had already.
        completed: How many of these got missing details or a new path.
        named: How many of these got an individual.
        otherwise: How many added animals are in photos that the catalogue has with other boxes.
        individuals: The names of the new individuals.
        features: The number of features computed.
        entry: The journal's entry; 0 = nothing was new.
    """

    photos: int = 0
    known: int = 0
    completed: int = 0
    named: int = 0
    otherwise: int = 0
    individuals: list[str] = field(default_factory=list)
    features: int = 0
    entry: int = 0


def add_photos(
    catalogue: Catalogue, author: Author, new: NewPhotos, encoder: PhotoEncoder | None
) -> Added:
    """Add photos, their features and the names of their individuals, in one transaction.

    A photo that the catalogue has already (same bytes, same box) gets its missing details and name,
    and the new path if the old file is missing. Photos without features get them too.

    Args:
        catalogue: The catalogue.
        author: Who adds them.
        new: The photos.
        encoder: The model in use, or the first one; None = there is no model yet.

    Raises:
        InputError: A photo cannot be read, the model is another one, or a name contradicts the
            catalogue.
    """
    by_key = _by_key(new.photos)
    shown = {key: photo for key, (photo, _) in by_key.items()}
    _check_encoder(catalogue, encoder)
    action = f'add {counted(len(shown), "photo")} from {new.source}'
    vectors_of = _new_vectors(catalogue, encoder, shown)
    with vectors_of as vectors, catalogue.writing(author, action) as change:
        known = _known(change)
        fresh = {key: _row(key, *by_key[key]) for key in shown if key not in known}
        numbers = dict(zip(fresh, change.insert(photos, list(fresh.values())), strict=True))
        numbers |= {key: photo.id for key, photo in known.items()}
        there = {key: known[key] for key in shown if key in known}
        done = Added(photos=len(fresh), known=len(there))
        files = {sha256 for sha256, _ in known}
        done.otherwise = sum(sha256 in files for sha256, _ in fresh)
        done.completed = _complete(change, shown, there)
        answers = _identify(change, shown, numbers, there, new.source)
        done.individuals = list(dict.fromkeys(a.name for a in answers if a.answer == 'new'))
        old = {photo.id for photo in there.values()}
        done.named = sum(each.photo in old for each in answers)
        if encoder:
            by_number = {numbers[key]: row for key, row in vectors.items() if key in numbers}
            done.features = write_features(change, catalogue, encoder.facts, by_number)
        done.entry = change.entry if change.count else 0
    return done


def encode_photos(
    catalogue: Catalogue, author: Author, encoder: PhotoEncoder, again: bool = False
) -> int:
    """Compute the features of all photos with a model, and use it from now on; return their number.

    Decisions stay as they are. Features of other models stay too.

    Args:
        catalogue: The catalogue.
        author: Who does it.
        encoder: The model.
        again: Whether to recompute existing features, because their file is damaged.

    Raises:
        InputError: A photo is missing, or cannot be read.
    """
    action = f'use the model {encoder.facts.sha256[:12]}'
    vectors_of = _new_vectors(catalogue, encoder, {}, again)
    with vectors_of as vectors, catalogue.writing(author, action) as change:
        if again:
            retire(change, encoder.facts)
        numbers = {key: photo.id for key, photo in _known(change).items()}
        by_number = {numbers[key]: row for key, row in vectors.items() if key in numbers}
        return write_features(change, catalogue, encoder.facts, by_number, switch=True)


def _by_key(new: Sequence[NewPhoto]) -> dict[Key, tuple[NewPhoto, int]]:
    """Return {key: (photo, bytes)}; the names of photos that occur twice must agree."""
    if not new:
        raise InputError('there are no photos to add')
    found = fingerprints(photo.path for photo in new)
    by_key: dict[Key, tuple[NewPhoto, int]] = {}
    for photo in new:
        sha256, size = found[photo.path]
        key = (sha256, box_text(photo.box))
        first, _ = by_key.setdefault(key, (photo, size))
        if not first.individual:
            by_key[key] = (photo, size)
        elif photo.individual not in ('', first.individual):
            raise InputError(
                f'{photo.path} and {first.path} have the same bytes, but show '
                f'{photo.individual!r} and {first.individual!r}; correct one'
            )
    return by_key


def _check_encoder(catalogue: Catalogue, encoder: PhotoEncoder | None) -> None:
    model = catalogue.model()
    if model and encoder:
        check_same_model(model, encoder.facts)
    if model and not encoder:
        raise InputError('this catalogue has features, so photos are added with the model in use')


def _new_vectors(
    catalogue: Catalogue,
    encoder: PhotoEncoder | None,
    new: Mapping[Key, NewPhoto],
    again: bool = False,
) -> contextlib.AbstractContextManager[Vectors]:
    """Return the features of new photos, and of photos of the catalogue that have none.

    They are kept until the ``with`` block ends: write them within it.
    """
    if encoder is None:
        return contextlib.nullcontext({})
    with catalogue.reading() as opened:
        model = read_model(opened, key=encoder.facts.key)
        number = model.id if model and not again else 0
        query = sa.select(features.c.photo_id).where(features.c.model_id == number)
        present = set(opened.execute(query).scalars())
        known = {key_of(photo): photo for photo in read_photos(opened)}
    lacking = {key: photo for key, photo in known.items() if photo.id not in present}
    missing = {key: new.get(key, photo) for key, photo in lacking.items()}
    wanted: dict[Key, Boxed] = {**missing}
    wanted |= {key: photo for key, photo in new.items() if key not in known}
    gone = [photo.path for photo in wanted.values() if not os.path.isfile(photo.path)]
    if gone:
        raise InputError(
            f'the catalogue has {counted(len(gone), "photo")} without features of this model '
            f'whose file is missing ({first_few(gone)}); add such photos again from their new '
            'place, or remove them'
        )
    return kept_features(wanted, encoder, catalogue.margin(), catalogue.folder / FEATURES)


def _known(change: Transaction) -> dict[Key, Photo]:
    return {key_of(photo): photo for photo in read_photos(change.connection)}


def _row(key: Key, photo: NewPhoto, size: int) -> dict[str, Any]:
    facts = {name: getattr(photo, name) for name in FACTS}
    known = {'path': photo.path, 'sha256': key[0], 'bytes': size, 'box': key[1]}
    return known | facts | {'individual_id': None}


def _complete(
    change: Transaction, shown: Mapping[Key, NewPhoto], there: Mapping[Key, Photo]
) -> int:
    """Fill in missing details of photos in the catalogue; return how many have changed."""
    count = 0
    for key, photo in there.items():
        new = shown[key]
        facts = {
            name: getattr(new, name)
            for name in FACTS
            if getattr(photo, name) in UNKNOWN and getattr(new, name) not in UNKNOWN
        }
        if new.path != photo.path and not os.path.exists(photo.path):
            facts['path'] = new.path
        if facts:
            change.update(photos, {photo.id: facts})
            count += 1
    return count


def _identify(
    change: Transaction,
    shown: Mapping[Key, NewPhoto],
    numbers: Mapping[Key, int],
    there: Mapping[Key, Photo],
    source: str,
) -> list[Answer]:
    """Record which individuals the source names; return these decisions."""
    known = name_numbers(change.connection)
    answers = []
    for key, photo in shown.items():
        old = there.get(key)
        number = known.get(photo.individual)
        if not photo.individual or (old and old.individual and old.individual_id == number):
            continue
        if old and old.individual:
            raise InputError(
                f'{photo.path} shows {photo.individual!r} according to {source}, but '
                f'{old.individual!r} in the catalogue (photo {old.id}); rename or merge them, or '
                'correct the source'
            )
        answer = 'known' if photo.individual in known else 'new'
        answers.append(Answer(numbers[key], answer, photo.individual, note=f'from {source}'))
    if answers:
        record_answers(change, answers)
    return answers
