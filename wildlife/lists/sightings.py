"""What is read from any source: sightings of animals on photos."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from utils.errors import InputError
from wildlife.crops import Box, Size
from wildlife.lists.tables import LeftOut

SKIP = '--skip-bad leaves such photos out and counts them'


@dataclass(frozen=True)
class Sighting:
    """One animal on one photo.

    Attributes:
        path: of the photo, below the source's root, with '/'.
        where: file and row, for messages.
        identity: name of the individual.
        side: 0 left, 1 right, None unknown.
        camera: '' = unknown.
        date: the camera's clock, None = unknown.
        encounter: '' = unknown.
        box: (x, y, width, height[, theta]) in pixels or as shares of the photo's size, see
            ``wildlife.crops.find_change``; None = the whole photo.
        split: of the source, '' = none.
        species: '' = unknown.
    """

    path: str
    where: str
    identity: str
    side: int | None = None
    camera: str = ''
    date: datetime | None = None
    encounter: str = ''
    box: Box | None = None
    split: str = ''
    species: str = ''

    @property
    def row(self) -> str:
        """What a message about the photo begins with: 'm.csv:4: ', '' where its path says it."""
        return '' if self.where == self.path else f'{self.where}: '


@dataclass
class Source:
    """What was read.

    Attributes:
        kind: 'folder', 'CSV', 'COCO' or 'Camtrap DP'.
        root: folder that the photos' paths are relative to.
        sightings: sorted, so that the order of rows or of a directory does not matter.
        columns: meaning -> the column, columns or other place that told it.
        unused: columns that told nothing.
        left_out: what is of no use, and why.
        notes: what was decided, in words.
        sizes: photo -> (width, height) in pixels, where a table says so.
        shares: whether boxes are shares of the photo's size.
        skip_bad: whether wrong photos and rows are left out, instead of an error.
    """

    kind: str
    root: Path
    sightings: list[Sighting]
    columns: dict[str, str | list[str]] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sizes: dict[str, Size | None] = field(default_factory=dict)
    shares: bool = False
    skip_bad: bool = False

    def leave_out(self, sighting: Sighting, reason: str) -> None:
        """Count a photo or row that is of no use."""
        self.left_out.append(LeftOut(sighting.where, sighting.path, sighting.identity, reason))

    def reject(self, sighting: Sighting, reason: str, message: str) -> None:
        """Raise ``InputError`` of a wrong photo or row; with ``skip_bad`` it is left out."""
        if not self.skip_bad:
            raise InputError(f'{message}; {SKIP}')
        self.leave_out(sighting, reason)
