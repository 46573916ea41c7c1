"""Photos to add to a catalogue or to compare with it, and how they are cropped."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from PIL import Image

from datasets.images import THREADS, Header, UnreadablePhoto, read_image
from utils.errors import InputError
from utils.files import sha256_file
from utils.logger import progress
from wildlife.crops import Box, find_change
from wildlife.lists.tables import LeftOut

REMEDY = 'replace it, or skip it: --skip-bad; if it is in a list, set DATASETS.SKIP_BROKEN True'


@dataclass(frozen=True, slots=True)
class NewPhoto:
    """An animal in a photo, before it has a number in a catalogue; see ``records.Photo``.

    Attributes:
        individual: The name of the individual; '' = unknown.
    """

    path: str
    box: Box | None = None
    side: int | None = None
    camera: str = ''
    date: datetime | None = None
    encounter: str = ''
    place: str = ''
    individual: str = ''


@dataclass(frozen=True)
class NewPhotos:
    """What was read from a source.

    Attributes:
        photos: The animals on its photos.
        source: The source, in words.
        notes: Notes on how it was read.
        left_out: Skipped photos and rows.
    """

    photos: list[NewPhoto]
    source: str
    notes: list[str]
    left_out: list[LeftOut]


class Boxed(Protocol):
    """A photo with a box, of a catalogue or new."""

    @property
    def path(self) -> str: ...
    @property
    def box(self) -> Box | None: ...


class CropReader:
    """Reads animals: photos upright, cropped to their boxes.

    Args:
        photos: The photos by name; names are what a loader's records call their paths.
        margin: The margin around boxes on each side, as a share of the box.
    """

    def __init__(self, photos: Mapping[str, Boxed], margin: float):
        self.boxes = {name: (photo.path, photo.box) for name, photo in photos.items()}
        self.margin = margin

    def __call__(self, name: str, upright: bool = True) -> Image.Image:
        """Return the crop of a photo.

        Raises:
            UnreadablePhoto: The photo cannot be read, or the box lies outside it.
        """
        path, box = self.boxes[name]
        try:
            image = read_image(path, upright=True)
        except UnreadablePhoto as error:
            raise UnreadablePhoto(path, error.reason, REMEDY) from None
        if box is None:
            return image
        try:
            header = Header(image.size, 1, '')
            change = find_change(box, header, self.margin, shares=True, frame='upright')
        except ValueError as error:
            raise UnreadablePhoto(path, str(error), 'correct its box') from None
        return change(image) if change else image


def crop_names(photos: Sequence[Boxed]) -> list[str]:
    """Return a name for each photo: its path, and its number if it has a box."""
    return [
        f'{photo.path}#{number}' if photo.box else photo.path for number, photo in enumerate(photos)
    ]


def fingerprints(paths: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return the SHA-256 and the size of each file.

    Raises:
        InputError: A file cannot be read.
    """
    once = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(progress(pool.map(_fingerprint, once), 'files', total=len(once)))
    return dict(zip(once, found, strict=True))


def _fingerprint(path: str) -> tuple[str, int]:
    try:
        return sha256_file(path), os.path.getsize(path)
    except OSError as error:
        raise InputError(
            f'{path}: the photo cannot be read ({error.strerror}); is its disk mounted?'
        ) from None
