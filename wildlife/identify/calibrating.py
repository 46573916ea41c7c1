"""Calibrates a catalogue: fits probabilities on individuals that its model was not trained on."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np

from utils import __version__
from utils.errors import InputError
from utils.logger import progress
from wildlife.catalogue.queries import key_of
from wildlife.catalogue.records import Model, Photo
from wildlife.catalogue.store import Features
from wildlife.identify.answers import Similarities
from wildlife.identify.calibration import Calibrator
from wildlife.identify.encounters import with_encounters
from wildlife.identify.fitting import FEWEST, fit_calibrator, leave_out
from wildlife.identify.gallery import Gallery, gallery_of, side_of
from wildlife.identify.search import PHOTOS, Asked, individual_scores
from wildlife.words import counted

PAIRS = 2**22  # most pairs of a photo and an individual that a fit uses; it needs about 2 GB


@dataclass(frozen=True)
class Material:
    """The photos that a catalogue is calibrated with.

    Attributes:
        gallery: The photos of all individuals, each of a known encounter.
        photos: Q photos of individuals that the model was not trained on.
        encounters: (Q,) int, their encounters.
        repeated: The number of these individuals that have two encounters.
        skipped: The number of photos that have no encounter.
        drawn: The number of photos that encounters were drawn from; Q if all are used.
    """

    gallery: Gallery
    photos: list[Photo]
    encounters: np.ndarray
    repeated: int
    skipped: int
    drawn: int


def material_of(features: Features, usable: Sequence[str], seed: int = 0) -> Material:
    """Choose the photos to calibrate with.

    Photos without an encounter are not used: they may match a photo taken seconds before or after,
    and probabilities would be too high. If there are too many photos, encounters are drawn.

    Args:
        features: The features of the catalogue.
        usable: The individuals that the model was not trained on.
        seed: The seed of the draw.

    Raises:
        InputError: No encounter is known, or fewer than ``FEWEST`` individuals have two.
    """
    identified = [photo for photo in features.photos if photo.individual]
    known = [photo for photo in identified if photo.encounter]
    if not known:
        raise InputError(
            'no encounter of an identified photo is known, but calibration compares photos of '
            'different encounters; set encounters (python -m tools.catalogue set … --encounter), '
            'or add the photos again with dates and cameras'
        )
    allowed = set(usable)
    photos = [photo for photo in known if photo.individual in allowed]
    repeated = _with_two_encounters(photos)
    if repeated < FEWEST:
        raise InputError(
            f'{counted(repeated, "individual")} with two encounters that the model was not '
            f'trained on, but {FEWEST} are needed; identify more encounters (python -m '
            'tools.catalogue decide), then calibrate again. Until then tools.identify gives only '
            'ranks and similarities'
        )
    gallery = gallery_of(features, known)
    count = len(photos)
    photos = _draw(photos, PAIRS // len(gallery.names), seed)
    names = dict.fromkeys(photo.encounter for photo in photos)
    number = {name: place for place, name in enumerate(names)}
    encounters = np.array([number[photo.encounter] for photo in photos])
    return Material(gallery, photos, encounters, repeated, len(identified) - len(known), count)


def _with_two_encounters(photos: Sequence[Photo]) -> int:
    found = defaultdict(set)
    for photo in photos:
        found[photo.individual].add(photo.encounter)
    return sum(len(encounters) > 1 for encounters in found.values())


def _draw(photos: list[Photo], most: int, seed: int) -> list[Photo]:
    """Return the photos of randomly drawn encounters, about ``most``."""
    if len(photos) <= most:
        return photos
    names = sorted({photo.encounter for photo in photos})
    place = {name: rank for rank, name in enumerate(np.random.default_rng(seed).permutation(names))}
    drawn = sorted(photos, key=lambda photo: (place[photo.encounter], photo.id))[:most]
    return sorted(drawn, key=lambda photo: photo.id)


def calibrate(
    features: Features, model: Model, material: Material, draws: int, sides: str = 'together'
) -> Calibrator:
    """Fit a calibrator, cross-fitted by individual, without pairs of one encounter.

    Error rates are for single photos and for whole encounters: ``tools.identify`` answers both.

    Args:
        features: The features of the catalogue.
        model: Their model.
        material: The photos.
        draws: The draws of the intervals over individuals; 0 = none.
        sides: 'separate' = compare only photos of the same side; 'together' = all.

    Returns:
        The calibrator; its facts are those of ``fit_calibrator``, and 'model_sha256', 'model_key',
        'data' (fingerprint), 'photos', 'repeated', 'sides', 'date' and 'version'.
    """
    table = own_table(features, material, sides == 'separate')
    left = leave_out(table, seed=0)
    queries, stated = with_encounters(left, material.encounters[left.queries], seed=0)
    made = fit_calibrator(queries, stated, draws)
    now = datetime.now(timezone.utc).isoformat(timespec='seconds')
    return made.with_facts(
        model_sha256=model.sha256,
        model_key=model.key,
        data=fingerprint(material.photos),
        photos=len(material.photos),
        repeated=material.repeated,
        sides=sides,
        date=now,
        version=__version__,
    )


def own_table(features: Features, material: Material, sides: bool = False) -> Similarities:
    """Return the photos of the material against all individuals, without their own encounters.

    Individuals with one encounter serve as new ones.

    Args:
        features: The features of the catalogue.
        material: The photos.
        sides: Whether only photos of the same side are compared.
    """
    gallery, photos = material.gallery, material.photos
    place = {name: number for number, name in enumerate(gallery.names)}
    vectors = features.of(photos)
    removed = [gallery.not_compared(photo, photo.sha256) for photo in photos]
    scores = np.zeros((len(photos), len(gallery.names)), np.float32)
    for start in progress(range(0, len(photos), PHOTOS), 'photos'):
        rows = slice(start, start + PHOTOS)
        own = np.array([side_of(photo) for photo in photos[rows]], np.int8) if sides else None
        scores[rows] = individual_scores(gallery, Asked(vectors[rows], removed[rows], own))
    individuals = np.array([place[photo.individual] for photo in photos])
    labels = np.arange(len(gallery.names))
    columns = (individuals, np.arange(len(photos)), np.ones(len(photos), int))
    return Similarities(scores, labels, gallery.counts, *columns)


def fingerprint(photos: Sequence[Photo]) -> str:
    """Return a SHA-256 of which individual each photo shows, in which encounter."""
    rows = sorted(
        '\t'.join((*key_of(photo), photo.individual, photo.encounter)) for photo in photos
    )
    return hashlib.sha256('\n'.join(rows).encode()).hexdigest()
