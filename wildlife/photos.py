"""The head of a photo file: size, orientation, date."""

import contextlib
import os
from dataclasses import dataclass
from datetime import datetime

from PIL import Image

from datasets.images import UnreadablePhoto, orientation_of, photo_formats, why_unreadable
from wildlife.lists.dates import parse_date

EXIF_IFD, TAKEN = 0x8769, 0x9003  # EXIF tags; 0x132 is when the file was changed, not taken

Size = tuple[int, int]  # width, height in pixels


@dataclass(frozen=True)
class Header:
    """What the head of a photo file says.

    Attributes:
        size: (width, height) of the stored pixels.
        orientation: EXIF's, 1 = upright.
        kind: Pillow's name of the file format.
        date: when the photo was taken, None = unknown.
    """

    size: Size
    orientation: int
    kind: str
    date: datetime | None

    @property
    def upright_size(self) -> Size:
        """(width, height) once EXIF's orientation is applied."""
        return self.size[::-1] if self.orientation >= 5 else self.size

    def box_size(self, frame: str = 'auto', listed_size: Size | None = None) -> tuple[Size, bool]:
        """Which picture a box is meant in.

        Args:
            frame: 'upright', 'stored' or 'auto', see ``wildlife.crops.find_change``.
            listed_size: (width, height) that a table says, None = unknown.

        Returns:
            (width, height) of that picture, and whether it is the upright one.
        """
        says_stored = (
            listed_size is not None
            and tuple(listed_size) == self.size
            and self.size != self.upright_size
        )
        upright = frame == 'upright' or (frame == 'auto' and not says_stored)
        return self.upright_size if upright else self.size, upright


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read the ``Header`` of a photo without decoding it.

    Raises:
        UnreadablePhoto: where the file is no photo or has no pixels.
    """
    try:
        with Image.open(path, formats=photo_formats()) as image:
            size, kind = image.size, image.format or ''
            date = _taken(image)  # of a PNG this looks behind the pixels too
            orientation = orientation_of(image)
    except Exception as error:  # decoders raise anything on broken files
        raise UnreadablePhoto(str(path), why_unreadable(str(path), error)) from None
    if 0 in size:
        raise UnreadablePhoto(str(path), 'the photo has no pixels')
    if kind == 'TIFF':  # Pillow turns a TIFF itself
        orientation = 1
    return Header(size, orientation, kind, date)


def _taken(image: Image.Image) -> datetime | None:
    with contextlib.suppress(Exception):  # many EXIF blocks are broken while the photo is fine
        return parse_date(str(image.getexif().get_ifd(EXIF_IFD).get(TAKEN) or '').strip('\0 '))
    return None
