"""Data structures for what is read from any source: sightings of animals in photos."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from utils.errors import InputError
from wildlife.crops import Box, Size
from wildlife.lists.tables import LeftOut

SKIP = '--skip-bad skips and counts such photos'


@dataclass(frozen=True)
class Sighting:
    """One animal in one photo.

    Attributes:
        path: The path of the photo, relative to the root of the source, with '/'.
        where: The file and row, for messages.
        identity: The name of the individual.
        side: 0 = left, 1 = right, None = unknown.
        camera: The name of the camera or place; '' = unknown.
        date: The date and time by the camera's clock; None = unknown.
        encounter: The name of the encounter; '' = unknown.
        box: (x, y, width, height[, theta]) in pixels or as shares of the photo's size, see
            ``wildlife.crops.find_change``; None = the whole photo.
        split: Split given by the source; '' = none.
        species: The name of the species; '' = unknown.
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
        """Return the prefix of messages, such as 'm.csv:4: '; '' if the path is enough."""
        return '' if self.where == self.path else f'{self.where}: '


@dataclass
class Source:
    """The photos and facts that were read from a source.

    Attributes:
        kind: 'folder', 'CSV', 'COCO' or 'Camtrap DP'.
        root: The folder that the paths of the photos are relative to.
        sightings: Sightings, sorted, so that the order of rows or files does not matter.
        columns: Meaning -> the column, columns or other place where it was read.
        unused: The columns that were not used.
        left_out: Skipped photos and rows, with the reason.
        notes: Decisions, in words for the report.
        sizes: Photo -> (width, height) in pixels, if a table gives it.
        shares: Whether boxes are in shares of the photo's size, and not in pixels.
        skip_bad: Whether to skip bad photos and rows, and not raise an error.
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
        """Record a skipped photo or row and the reason."""
        self.left_out.append(LeftOut(sighting.where, sighting.path, sighting.identity, reason))

    def reject(self, sighting: Sighting, reason: str, message: str) -> None:
        """Skip a bad photo or row with ``skip_bad``; else raise ``InputError``."""
        if not self.skip_bad:
            raise InputError(f'{message}; {SKIP}')
        self.leave_out(sighting, reason)
