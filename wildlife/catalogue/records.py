"""The records that are read from a catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wildlife.crops import Box


@dataclass(frozen=True, slots=True)
class Individual:
    """An individual, with facts from its photos.

    Attributes:
        id: Its number.
        name: Its unique name.
        aliases: Its other names.
        sex: 'female', 'male' or '' = unknown.
        notes: Free text.
        photos: The number of its photos.
        encounters: The number of its known encounters.
        first_seen: The date of its first photo; None = unknown.
        last_seen: The date of its last photo; None = unknown.
    """

    id: int
    name: str
    aliases: tuple[str, ...]
    sex: str
    notes: str
    photos: int
    encounters: int
    first_seen: datetime | None
    last_seen: datetime | None


@dataclass(frozen=True, slots=True)
class Photo:
    """An animal in a photo.

    Attributes:
        id: Its number.
        path: The absolute path of the file.
        sha256: The SHA-256 of the file.
        bytes: The size of the file.
        box: (x, y, width, height[, theta]) as shares of the upright photo; None = the whole photo.
        side: 0 = left, 1 = right, None = unknown.
        camera: The name of the camera or place; '' = unknown.
        date: The date and time by the camera's clock; None = unknown.
        encounter: The unique name of the encounter; '' = unknown.
        place: Where, in words or coordinates; '' = unknown.
        individual_id: The number of the individual; None = not identified.
        individual: Its name; '' = not identified.
    """

    id: int
    path: str
    sha256: str
    bytes: int
    box: Box | None
    side: int | None
    camera: str
    date: datetime | None
    encounter: str
    place: str
    individual_id: int | None
    individual: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody or a program said about a photo; times are in UTC.

    Attributes:
        id: Its number.
        photo_id: The number of the photo.
        answer: 'known', 'new', 'unsure' or 'none', see ``schema.ANSWERS``.
        individual_id: The number of the individual, today; None for 'unsure' and 'none'.
        said: The name of the individual as it was then.
        method: 'human' or 'machine'.
        probability: Of the answer; None = unknown.
        note: Free text.
        by: The person.
        program: The program.
        at: When.
    """

    id: int
    photo_id: int
    answer: str
    individual_id: int | None
    said: str
    method: str
    probability: float | None
    note: str
    by: str
    program: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Model:
    """An encoder whose features the catalogue has.

    Attributes:
        id: Its number.
        key: A text that differs if anything differs that features depend on.
        sha256: The SHA-256 of the weights.
        length: D, the length of a feature.
        file: The name of the file of features.
        rows: The rows of that file.
        config: The config as KEY -> value, see ``models.model_config``.
        created: When it came into the catalogue (UTC).
    """

    id: int
    key: str
    sha256: str
    length: int
    file: str
    rows: int
    config: Mapping[str, Any]
    created: datetime

    @property
    def weights(self) -> str:
        """The file of the weights, as far as the config says it."""
        weight = str(self.config['TEST.WEIGHT'])
        start = str(self.config['MODEL.PRETRAIN_PATH'] or 'its usual weights')
        return weight if weight != 'start' else start


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibrator for the scores of a model.

    Attributes:
        id: Its number.
        model_id: The number of the model.
        content: Whatever the calibrator saved.
        by: The person who fitted it.
        at: When (UTC).
    """

    id: int
    model_id: int
    content: Mapping[str, Any]
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the journal.

    Attributes:
        id: Its number.
        at: When (UTC).
        by: The person.
        program: The program.
        action: What was done, in words.
        undoes: The entry that it undoes; None = it is no undo.
        undone: Whether it is undone now.
    """

    id: int
    at: datetime
    by: str
    program: str
    action: str
    undoes: int | None
    undone: bool
