"""secr: detections and detectors, for spatially explicit capture-recapture."""

from collections.abc import Sequence

from utils.errors import InputError
from wildlife.exports.detectors import locate, outside_period
from wildlife.exports.grid import points_of
from wildlife.exports.histories import Seen, see, write_keys
from wildlife.exports.identifiers import HYPHEN, identifiers
from wildlife.exports.job import Format, Job
from wildlife.exports.places import Place
from wildlife.exports.sightings import Sighting
from wildlife.words import counted

SESSION = '1'
UNKNOWN = 'NA'  # sex; R would read a column of 'F' alone as FALSE, so sexes are written out


def write(job: Job) -> None:
    """Write captures.txt, detectors.txt, occasions.csv and identifiers.csv.

    An individual is detected at most once per occasion and detector (secr's type 'proximity').

    Raises:
        InputError: A place is unknown, or a photo is of a day when its detector did not work.
    """
    sightings = job.usable('individual', 'date', 'detector')
    places = locate(job, sightings)
    seen = see(job, sightings)
    _check_periods(outside_period(seen.sightings, places))
    detectors = identifiers(places, 'detector', HYPHEN)
    _write_captures(job, seen, detectors)
    _write_detectors(job, seen, places, detectors)
    write_keys(job, seen, detectors)


def _check_periods(wrong: Sequence[Sighting]) -> None:
    if wrong:
        first = wrong[0]
        raise InputError(
            f'{counted(len(wrong), "photo")} taken on days when the detector did not work, such as '
            f"{first.photo.path} of {first.day} at '{first.detector}'; correct the date, or start "
            'and end in --places'
        )


def _write_captures(job: Job, seen: Seen, detectors: dict[str, str]) -> None:
    has_sex = any(one.sex for one in seen.individuals)
    number_of = seen.occasions.number_of
    captures = {(one.name, number_of(one.day), one.detector): one.sex for one in seen.sightings}
    lines = [
        f'# {seen.occasions}',
        f'# session ID occasion detector{" sex" if has_sex else ""}',
    ]
    for (name, occasion, detector), sex in sorted(captures.items()):
        words = [SESSION, seen.names[name], str(occasion), detectors[detector]]
        lines.append(' '.join([*words, sex or UNKNOWN] if has_sex else words))
    job.write_lines('captures.txt', lines)
    joined = len(seen.sightings) - len(captures)
    text = 'joined with an earlier one of the same animal, detector and occasion'
    job.note_count(joined, 'photo', text)


def _write_detectors(
    job: Job, seen: Seen, places: dict[str, Place], detectors: dict[str, str]
) -> None:
    """Write a line for each detector; with 0 or 1 for each occasion if periods are known."""
    grid, points = points_of(places)
    has_periods = any(place.start or place.end for place in places.values())
    lines = [f'# {grid}', f'# detector x y{" usage" if has_periods else ""}']
    occasions = seen.occasions
    for name, place in places.items():
        words = [detectors[name], *(f'{number:.2f}' for number in points[name])]
        if has_periods:
            numbers = range(1, len(occasions) + 1)
            words += ['01'[place.works(*occasions.days(number))] for number in numbers]
        lines.append(' '.join(words))
    job.write_lines('detectors.txt', lines)
    job.note(f'Coordinates: {grid}')
    lacking = sum(not (place.start and place.end) for place in places.values())
    text = 'without start or end in --places: assumed to have worked all the time before or after'
    job.note_count(lacking, 'detector', text)


FORMAT = Format(
    'secr',
    write,
    frozenset({'sex', 'detector'}),
    frozenset({'places', 'detector', 'occasions'}),
)
