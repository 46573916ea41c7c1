"""The photos to identify, with their features: new ones, or unidentified ones of a catalogue."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from utils.errors import InputError
from wildlife.catalogue.encode import PhotoEncoder
from wildlife.catalogue.kept_features import Vectors, kept_features
from wildlife.catalogue.new_photos import NewPhoto, NewPhotos, fingerprints
from wildlife.catalogue.queries import Key, box_text, key_of
from wildlife.catalogue.records import Photo
from wildlife.catalogue.store import Catalogue, Features
from wildlife.identify.gallery import Gallery, side_of
from wildlife.identify.search import Asked
from wildlife.lists.tables import LeftOut


@dataclass(frozen=True)
class Question:
    """Photos to identify.

    Attributes:
        photos: Q photos, new or of the catalogue.
        hashes: Q SHA-256 of their files, '' = unknown.
        numbers: Q numbers of the photos in the catalogue, 0 = not in the catalogue.
        names: Q individuals that they show according to the catalogue, '' = unknown.
        features: (Q, D) float32, L2-normalised.
        source: Where they come from, in words.
        notes: Notes on how the source was read.
        left_out: Skipped photos and rows.
    """

    photos: Sequence[NewPhoto | Photo]
    hashes: Sequence[str]
    numbers: Sequence[int]
    names: Sequence[str]
    features: np.ndarray
    source: str
    notes: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def asked(self, gallery: Gallery, sides: bool) -> Asked:
        """Return the photos for the search.

        Args:
            gallery: The known individuals.
            sides: Whether each is compared only with photos of its own side.
        """
        removed = [
            gallery.not_compared(photo, sha256)
            for photo, sha256 in zip(self.photos, self.hashes, strict=True)
        ]
        own = np.array([side_of(photo) for photo in self.photos], np.int8) if sides else None
        return Asked(self.features, removed, own)


def unidentified(catalogue: Catalogue, features: Features) -> Question:
    """Return the photos of a catalogue that have features but no individual.

    Photos with the decision 'none' (no identifiable animal) are not among them.

    Raises:
        InputError: There is none.
    """
    last = {each.photo_id: each.answer for each in catalogue.decisions() if each.answer != 'unsure'}
    photos = [p for p in features.photos if not p.individual and last.get(p.id) != 'none']
    if not photos:
        raise InputError(
            'all photos of the catalogue that have features are identified; name other PHOTOS'
        )
    return Question(
        photos=photos,
        hashes=[photo.sha256 for photo in photos],
        numbers=[photo.id for photo in photos],
        names=[''] * len(photos),
        features=features.of(photos),
        source='the catalogue',
    )


@contextlib.contextmanager
def new_question(
    catalogue: Catalogue,
    features: Features,
    new: NewPhotos,
    make_encoder: Callable[[], PhotoEncoder],
    folder: Path,
) -> Iterator[Question]:
    """Yield new photos with their features; those in the catalogue have them already.

    Args:
        catalogue: The catalogue.
        features: Its features.
        new: The photos.
        make_encoder: Returns the model in use; called if a photo has no features yet.
        folder: A folder for features until the block ends, so that a call can be resumed.
            Write the answers within it.

    Raises:
        InputError: A photo or the model cannot be read.
    """
    found = fingerprints(photo.path for photo in new.photos)
    keys = [(found[photo.path][0], box_text(photo.box)) for photo in new.photos]
    known = {key_of(photo): photo for photo in features.photos}
    shown = dict(zip(keys, new.photos, strict=True))
    missing = {key: photo for key, photo in shown.items() if key not in known}
    rows = zip(known, features.rows.tolist(), strict=True)
    there = [known.get(key) for key in keys]
    with _missing_features(catalogue, missing, make_encoder, folder) as made:
        vector_of = made | {key: features.matrix[row] for key, row in rows if key in shown}
        yield Question(
            photos=[_with_facts(*pair) for pair in zip(new.photos, there, strict=True)],
            hashes=[sha256 for sha256, _ in keys],
            numbers=[photo.id if photo else 0 for photo in there],
            names=[photo.individual if photo else '' for photo in there],
            features=np.stack([vector_of[key] for key in keys]),
            source=new.source,
            notes=new.notes,
            left_out=new.left_out,
        )


def _missing_features(
    catalogue: Catalogue,
    photos: Mapping[Key, NewPhoto],
    make_encoder: Callable[[], PhotoEncoder],
    folder: Path,
) -> contextlib.AbstractContextManager[Vectors]:
    if not photos:
        return contextlib.nullcontext({})
    return kept_features(photos, make_encoder(), catalogue.margin(), folder)


def _with_facts(photo: NewPhoto, there: Photo | None) -> NewPhoto:
    """Return a photo with the encounter and side that the catalogue knows."""
    if there is None:
        return photo
    side = photo.side if there.side is None else there.side
    return replace(photo, encounter=there.encounter or photo.encounter, side=side)
