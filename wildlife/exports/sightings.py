"""The common table of all exports: one sighting per animal and photo of the catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from utils.errors import InputError
from wildlife.catalogue.records import Decision, Individual, Photo
from wildlife.lists.encounters import SIDES

DETECTORS = ('camera', 'place')  # what a detector is: the camera of a photo, or its place


class Readable(Protocol):
    """What is read of a catalogue; see ``wildlife.catalogue.store.Catalogue``."""

    def settings(self) -> dict[str, str]: ...

    def individuals(self) -> list[Individual]: ...

    def photos(self) -> list[Photo]: ...

    def decisions(self) -> list[Decision]: ...


@dataclass(frozen=True, slots=True)
class Sighting:
    """An animal in a photo.

    Attributes:
        photo: The photo: file, box, side, date, encounter, camera, place.
        detector: The camera or the place, see ``DETECTORS``; '' = unknown.
        individual: The individual; None = not identified.
        decision: The newest decision that agrees with ``individual``; None = there is none.
    """

    photo: Photo
    detector: str
    individual: Individual | None = None
    decision: Decision | None = None

    @property
    def name(self) -> str:
        """Return the name of the individual; '' = not identified."""
        return self.individual.name if self.individual else ''

    @property
    def sex(self) -> str:
        """Return 'female', 'male' or '' = unknown."""
        return self.individual.sex if self.individual else ''

    @property
    def side(self) -> str:
        """Return 'left', 'right' or '' = unknown."""
        return '' if self.photo.side is None else SIDES[self.photo.side]

    @property
    def day(self) -> date:
        """Return the date of a photo that has one.

        Raises:
            ValueError: The date is unknown; ``job.Job.usable`` removes such photos.
        """
        if self.photo.date is None:
            raise ValueError(f'photo {self.photo.id} has no date')
        return self.photo.date.date()

    @property
    def is_animal(self) -> bool:
        """Return whether nobody has said that the photo shows no animal that can be named."""
        return self.decision is None or self.decision.answer != 'none'


@dataclass(frozen=True)
class Records:
    """All that is exported.

    Attributes:
        sightings: By date, unknown dates last, then by photo.
        individuals: All individuals, by name, those without photos too.
        decisions: All decisions, by id.
        species: As the catalogue names it; '' = unknown.
        detector: One of ``DETECTORS``.
    """

    sightings: list[Sighting]
    individuals: list[Individual] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    species: str = ''
    detector: str = 'camera'


def read_records(catalogue: Readable, detector: str = '') -> Records:
    """Read a catalogue.

    Args:
        catalogue: The open catalogue.
        detector: One of ``DETECTORS``; '' = the camera, if a photo names one, else the place.

    Raises:
        InputError: The catalogue has no photos.
    """
    photos = catalogue.photos()
    if not photos:
        raise InputError(
            'the catalogue has no photos, so there is nothing to export; add photos: python -m '
            'tools.catalogue add'
        )
    detector = detector or ('camera' if any(photo.camera for photo in photos) else 'place')
    individuals, decisions = catalogue.individuals(), catalogue.decisions()
    known = {individual.id: individual for individual in individuals}
    newest = {(one.photo_id, one.individual_id): one for one in decisions}
    sightings = [
        Sighting(
            photo,
            getattr(photo, detector),
            known.get(photo.individual_id or 0),
            newest.get((photo.id, photo.individual_id)),
        )
        for photo in photos
    ]
    species = catalogue.settings().get('species', '')
    return Records(_by_date(sightings), individuals, decisions, species, detector)


def _by_date(sightings: Sequence[Sighting]) -> list[Sighting]:
    dated = [sighting for sighting in sightings if sighting.photo.date]
    dated.sort(key=lambda sighting: (str(sighting.photo.date), sighting.photo.id))
    return [*dated, *(sighting for sighting in sightings if not sighting.photo.date)]
