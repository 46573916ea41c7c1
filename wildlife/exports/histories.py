"""Histories: for each individual and occasion whether it was seen, with plain names."""

from collections.abc import Sequence
from dataclasses import dataclass

from utils.errors import InputError
from wildlife.catalogue.records import Individual
from wildlife.exports.identifiers import identifiers, write_identifiers
from wildlife.exports.job import Job
from wildlife.exports.occasions import Occasions, make_occasions
from wildlife.exports.sightings import Sighting

OCCASIONS = ('occasion', 'first_day', 'last_day')


@dataclass(frozen=True)
class Seen:
    """The individuals and when they were seen.

    Attributes:
        occasions: The N occasions.
        sightings: All with an individual and a date inside the occasions.
        names: Name of an individual -> its identifier, by name.
    """

    occasions: Occasions
    sightings: list[Sighting]
    names: dict[str, str]

    @property
    def individuals(self) -> list[Individual]:
        """Return the individuals in the order of ``names``."""
        known = {one.name: one.individual for one in self.sightings if one.individual}
        return [known[name] for name in self.names]

    @property
    def histories(self) -> list[str]:
        """Return the history of each individual, such as '0101'."""
        cells = {name: ['0'] * len(self.occasions) for name in self.names}
        for one in self.sightings:
            cells[one.name][self.occasions.number_of(one.day) - 1] = '1'
        return [''.join(cells[name]) for name in self.names]


def see(job: Job, sightings: Sequence[Sighting]) -> Seen:
    """Put sightings into the occasions of the options, and note what is outside.

    Args:
        job: The export.
        sightings: All with an individual and a date.

    Raises:
        InputError: The occasions are wrong, or no sighting is inside.
    """
    occasions = make_occasions(job.options.occasions, [one.day for one in sightings])
    inside = [one for one in sightings if occasions.number_of(one.day)]
    if not inside:
        raise InputError(
            f'--occasions: none of the photos is in the {occasions}; they are from '
            f'{min(one.day for one in sightings)} to {max(one.day for one in sightings)}'
        )
    job.note(f'Occasions: {occasions}')
    outside = len(sightings) - len(inside)
    job.note_count(outside, 'photo', 'skipped: outside the occasions')
    names = sorted({one.name for one in inside})
    lost = len({one.name for one in sightings}) - len(names)
    job.note_count(lost, 'individual', 'skipped: never seen in the occasions')
    plain = identifiers(names, 'animal')
    return Seen(occasions, inside, {name: plain[name] for name in names})


def write_keys(job: Job, seen: Seen, detectors: dict[str, str] | None = None) -> None:
    """Write what the numbers and identifiers mean: occasions.csv and identifiers.csv.

    A note says how many names are not as in the catalogue.

    Args:
        job: The export.
        seen: The individuals.
        detectors: Name of a detector -> its identifier.
    """
    occasions = seen.occasions
    numbers = range(1, len(occasions) + 1)
    rows = [(number, *occasions.days(number)) for number in numbers]
    job.write_table('occasions.csv', OCCASIONS, [dict(zip(OCCASIONS, row)) for row in rows])
    _write_identifiers(job, seen, detectors or {})


def _write_identifiers(job: Job, seen: Seen, detectors: dict[str, str]) -> None:
    sexes = {one.name: one.sex for one in seen.individuals}
    rows = [
        {'kind': 'individual', 'name': name, 'identifier': plain, 'sex': sexes[name]}
        for name, plain in seen.names.items()
    ]
    rows += [
        {'kind': 'detector', 'name': name, 'identifier': plain} for name, plain in detectors.items()
    ]
    write_identifiers(job, rows, 'sex')
