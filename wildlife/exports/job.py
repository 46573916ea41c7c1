"""What every format gets: the records, the options, the folder, and a place for its notes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utils.errors import InputError
from utils.files import atomic_write, write_csv
from wildlife.exports.places import Place
from wildlife.exports.sightings import Records, Sighting
from wildlife.words import counted

# What a format may need of a sighting -> whether a sighting has it.
NEEDS: dict[str, Callable[[Sighting], bool]] = {
    'individual': lambda sighting: sighting.individual is not None,
    'date': lambda sighting: sighting.photo.date is not None,
    'detector': lambda sighting: bool(sighting.detector),
}


@dataclass(frozen=True)
class Options:
    """What a person asks for; '' and None = not given.

    Attributes:
        species: The scientific name.
        timezone: The zone of the photos' times.
        places: Name of a detector -> where it was; None = no table was given.
        occasions: See ``occasions.make_occasions``.
        metadata: A JSON file with keys of datapackage.json.
        submitter: The user name in Wildbook.
        copy_photos: Whether photos are copied into the export.
    """

    species: str = ''
    timezone: str = ''
    places: Mapping[str, Place] | None = None
    occasions: Sequence[str] = ('day',)
    metadata: Path | None = None
    submitter: str = ''
    copy_photos: bool = False


@dataclass(frozen=True)
class Job:
    """An export that is being written.

    Attributes:
        title: The name of the format, for messages.
        records: What is exported.
        options: How.
        folder: The folder of the files; it gets its name when all is written.
        notes: Lines for the person who exports: what is missing, and what was assumed.
    """

    title: str
    records: Records
    options: Options
    folder: Path
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a line for the person who exports."""
        self.notes.append(text)

    def note_count(self, count: int, noun: str, text: str) -> None:
        """Add the line 'COUNT NOUNS TEXT', if there is something to count."""
        if count:
            self.note(f'{counted(count, noun)} {text}')

    def usable(self, *needs: str) -> list[Sighting]:
        """Return the sightings that have what the format needs; count the others in the notes.

        Args:
            needs: Keys of ``NEEDS``.

        Raises:
            InputError: None is left.
        """
        left = [sighting for sighting in self.records.sightings if sighting.is_animal]
        total = len(self.records.sightings)
        self.note_count(total - len(left), 'photo', 'skipped: no identifiable animal')
        words = [self.records.detector if need == 'detector' else need for need in needs]
        missing = 'animal'
        for need, word in zip(needs, words, strict=True):
            found = [sighting for sighting in left if NEEDS[need](sighting)]
            missing = word if left and not found else missing
            text = f'skipped: no {word}, which {self.title} needs'
            self.note_count(len(left) - len(found), 'photo', text)
            left = found
        names = {sighting.name for sighting in left}
        lost = sum(one.name not in names for one in self.records.individuals)
        self.note_count(lost, 'individual', 'skipped: no photo that can be exported')
        if not left:
            raise InputError(
                f'{self.title} needs {" and ".join(words)} for each photo, but none of the '
                f'{counted(total, "photo")} has that (no {missing}); python -m tools.catalogue add '
                'reads dates and cameras from a table, tools.identify names individuals'
            )
        return left

    @property
    def species(self) -> str:
        """Return the name of the species.

        Raises:
            InputError: Neither the options nor the catalogue name it.
        """
        name = ' '.join((self.options.species or self.records.species).split())
        if not name:
            raise InputError(
                f"{self.title} needs the name of the species: --species 'Tragelaphus angasii'"
            )
        return name

    def write_table(
        self, name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
    ) -> None:
        """Write a CSV in UTF-8; a row may lack columns, which then are empty.

        Args:
            name: The name of the file.
            columns: The header.
            rows: Column -> value of each row.
        """
        write_csv(self.folder / name, columns, rows)

    def write_lines(self, name: str, lines: Iterable[str]) -> None:
        """Write a text file."""
        with atomic_write(self.folder / name) as file:
            file.writelines(f'{line}\n' for line in lines)


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        title: Its name, for messages.
        write: Writes its files.
        holds: What it can hold, keys of ``losses.KINDS``.
        options: The options of the command that it uses.
    """

    title: str
    write: Callable[[Job], None]
    holds: frozenset[str]
    options: frozenset[str]
