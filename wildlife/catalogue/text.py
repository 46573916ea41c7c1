"""The output of the commands of a catalogue: tables and details as plain text."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from wildlife.catalogue.records import Decision, Entry, Individual, Photo
from wildlife.catalogue.store import Catalogue
from wildlife.lists.encounters import SIDES
from wildlife.words import counted, folded

SHOWN = 100  # most photos that are printed


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table with aligned columns, whole numbers to the right."""
    cells = [list(head), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [set(map(type, column)) == {int} for column in zip(*rows, strict=True)]
    lines = []
    for row in cells:
        aligned = [
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, numeric or [False] * len(widths))
        ]
        lines.append('  '.join(aligned).rstrip())
    return '\n'.join(lines)


def _cells(row: Sequence[object]) -> list[str]:
    return [' '.join(str(cell).splitlines()) for cell in row]


def day(date: datetime | None) -> str:
    """Return the day of a date, '-' if it is unknown."""
    return f'{date:%Y-%m-%d}' if date else '-'


def individuals_text(known: Sequence[Individual]) -> str:
    """Return the table of individuals."""
    rows = [
        (
            each.name,
            each.photos,
            each.encounters,
            day(each.first_seen),
            day(each.last_seen),
            each.sex or '-',
            ', '.join(each.aliases),
        )
        for each in known
    ]
    head = ('individual', 'photos', 'encounters', 'first seen', 'last seen', 'sex', 'aliases')
    return table(head, rows)


def alike_text(known: Sequence[Individual], new: Iterable[str]) -> list[str]:
    """Return a line for each new individual whose name may be another spelling of a known one."""
    names = defaultdict(list)
    for each in known:
        for name in (each.name, *each.aliases):
            names[folded(name)].append((name, each.name))
    return [
        f'{name!r} and {other!r} differ only in case, spaces, zeros of a number or the encoding of '
        'an accent; if they are one individual, merge them: python -m tools.catalogue merge'
        for name in new
        for other, individual in names[folded(name)]
        if individual != name
    ]


def photos_text(known: Sequence[Photo], most: int = SHOWN) -> str:
    """Return the table of the first ``most`` photos."""
    rows = [
        (
            photo.id,
            f'{photo.date:%Y-%m-%d %H:%M}' if photo.date else '-',
            photo.encounter or '-',
            photo.camera or '-',
            '-' if photo.side is None else SIDES[photo.side],
            photo.individual or '-',
            'box' if photo.box else '-',
            photo.path,
        )
        for photo in known[:most]
    ]
    head = ('photo', 'date', 'encounter', 'camera', 'side', 'individual', 'box', 'file')
    more = len(known) - len(rows)
    return table(head, rows) + (f'\nand {counted(more, "more photo")}' if more else '')


def individual_text(individual: Individual, known: Sequence[Photo]) -> str:
    """Return the details of an individual and the table of its photos."""
    return '\n'.join(
        [
            individuals_text([individual]),
            *(['', individual.notes] if individual.notes else []),
            '',
            photos_text([photo for photo in known if photo.individual_id == individual.id]),
        ]
    )


def photo_text(photo: Photo, decisions: Sequence[Decision]) -> str:
    """Return the details of a photo and the decisions about it."""
    box = ' '.join(f'{number:.3f}' for number in photo.box or ()) or 'the whole photo'
    rows = [
        (
            f'{each.at:%Y-%m-%d %H:%M} UTC',
            each.answer,
            each.said or '-',
            each.method,
            '-' if each.probability is None else f'{each.probability:.3f}',
            each.by,
            each.program,
            each.note,
        )
        for each in decisions
        if each.photo_id == photo.id
    ]
    head = ('when', 'decision', 'individual', 'method', 'probability', 'by', 'program', 'note')
    return '\n'.join(
        [
            photos_text([photo]),
            f'box: {box}; place: {photo.place or "-"}; SHA-256: {photo.sha256}',
            '',
            table(head, rows) if rows else 'no decisions',
        ]
    )


def journal_text(entries: Sequence[Entry]) -> str:
    """Return the table of the journal."""
    rows = [
        (
            entry.id,
            f'{entry.at:%Y-%m-%d %H:%M} UTC',
            entry.by,
            entry.program,
            entry.action + (' (undone)' if entry.undone else ''),
        )
        for entry in entries
    ]
    return table(('entry', 'when', 'by', 'program', 'change'), rows)


def summary_text(catalogue: Catalogue) -> str:
    """Return what a catalogue contains, in a few lines."""
    known, settings, model = catalogue.photos(), catalogue.settings(), catalogue.model()
    named = sum(bool(photo.individual) for photo in known)
    encounters = {photo.encounter for photo in known} - {''}
    decided = Counter(decision.method for decision in catalogue.decisions())
    calibration = catalogue.calibration()
    lines = [
        f'catalogue {catalogue.folder}, format {settings["format"]}',
        f'species: {settings["species"] or "unknown"}; margin around boxes {settings["margin"]}',
        f'{counted(len(catalogue.individuals()), "individual")}, {counted(len(known), "photo")} '
        f'({named} identified), {counted(len(encounters), "known encounter")}',
        f'{counted(decided.total(), "decision")}: {decided["human"]} by people, '
        f'{decided["machine"]} by programs',
        'no features yet'
        if model is None
        else f'features of {model.config["MODEL.NAME"]}, weights {model.weights} '
        f'(SHA-256 {model.sha256[:12]}), {model.length} numbers each',
        f'calibrated {day(calibration.at)}' if calibration else 'not calibrated',
    ]
    return '\n'.join(lines)
