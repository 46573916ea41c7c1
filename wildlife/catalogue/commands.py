"""The commands of ``tools.catalogue`` that need no model; each returns the text to print."""

import argparse
from collections.abc import Callable
from typing import Any

from utils.errors import InputError
from utils.words import did_you_mean, first_few
from wildlife.catalogue import edit, text
from wildlife.catalogue.decisions import Answer, decide
from wildlife.catalogue.journal import Author
from wildlife.catalogue.store import Catalogue, open_catalogue
from wildlife.catalogue.verify import verify
from wildlife.lists.encounters import SIDES
from wildlife.words import counted

NUMBER_OF_SIDE = {name: number for number, name in SIDES.items()} | {'unknown': None}

Arguments = argparse.Namespace


def list_all(catalogue: Catalogue, args: Arguments, author: Author) -> str:
    """Return a table: of individuals, photos or the journal."""
    if args.journal:
        return text.journal_text(catalogue.journal())
    if not (args.photos or args.unknown):
        return text.individuals_text(catalogue.individuals())
    photos = catalogue.photos()
    if args.unknown:
        photos = [photo for photo in photos if not photo.individual]
    return text.photos_text(photos, most=len(photos))


def show(catalogue: Catalogue, args: Arguments, author: Author) -> str:
    """Return the details of an individual or a photo, or a summary."""
    if args.photo:
        found = [photo for photo in catalogue.photos() if photo.id == args.photo]
        if not found:
            raise InputError(f'the catalogue has no photo {args.photo}')
        return text.photo_text(found[0], catalogue.decisions())
    if args.name:
        return text.individual_text(catalogue.individual(args.name), catalogue.photos())
    return text.summary_text(catalogue)


def set_facts(catalogue: Catalogue, args: Arguments, author: Author) -> str:
    """Change details of an individual or of photos."""
    if args.photos:
        values: dict[str, Any] = {
            name: getattr(args, name)
            for name in ('camera', 'encounter', 'place')
            if getattr(args, name) is not None
        }
        if args.side:
            values['side'] = NUMBER_OF_SIDE[args.side]
        if not values:
            raise InputError('nothing to set: give --side, --camera, --encounter or --place')
        edit.set_photos(catalogue, author, args.photos, values)
        return f'set {", ".join(values)} of {counted(len(set(args.photos)), "photo")}'
    facts = {'sex': args.sex and args.sex.replace('unknown', ''), 'notes': args.notes}
    given = {name: value for name, value in facts.items() if value is not None}
    if not given and not args.alias:
        raise InputError('nothing to set: give --sex, --notes or --alias')
    edit.set_individual(catalogue, author, args.name, given, args.alias)
    return text.individuals_text([catalogue.individual(args.name)])


def decide_photos(catalogue: Catalogue, args: Arguments, author: Author) -> str:
    """Record a decision about photos."""
    answer = 'new' if args.new else 'known'
    if args.unsure or args.none:
        answer = 'unsure' if args.unsure else 'none'
    numbers = dict.fromkeys(args.photos)
    before = {each.individual for each in catalogue.photos() if each.id in numbers} - {''}
    decide(
        catalogue, author, [Answer(photo, answer, args.name, note=args.note) for photo in numbers]
    )
    lines = [f'{counted(len(numbers), "photo")}: {answer} {args.name}'.rstrip()]
    if answer != 'unsure' and before - {args.name}:
        lines[0] += f'; before: {first_few(sorted(before))} (tools.catalogue undo restores this)'
    if args.new:
        lines += text.alike_text(catalogue.individuals(), [args.name])
    return '\n'.join(lines)


def rename(catalogue: Catalogue, args: Arguments, author: Author) -> str:
    """Rename an individual."""
    edit.rename(catalogue, author, args.name, args.new_name)
    return text.individuals_text([catalogue.individual(args.new_name)])


def merge(catalogue: Catalogue, args: Arguments, author: Author) -> str:
    """Merge two individuals into one."""
    edit.merge(catalogue, author, args.name, args.into)
    return text.individuals_text([catalogue.individual(args.into)])


def split(catalogue: Catalogue, args: Arguments, author: Author) -> str:
    """Move photos of an individual to a new one."""
    own = catalogue.individual(args.name)
    photos = [photo for photo in catalogue.photos() if photo.individual_id == own.id]
    encounters = {photo.encounter for photo in photos} - {''}
    for name in args.encounters:
        if name not in encounters:
            raise InputError(
                f'{args.name!r} has no encounter {name!r}{did_you_mean(name, encounters)}; it has '
                f'{first_few(sorted(encounters), 10) or "no known one"}'
            )
    numbers = [photo.id for photo in photos if photo.encounter in args.encounters]
    edit.split(catalogue, author, args.name, args.new_name, [*numbers, *args.photos])
    both = (args.name, args.new_name)
    return text.individuals_text([catalogue.individual(name) for name in both])


def remove(catalogue: Catalogue, args: Arguments, author: Author) -> str:
    """Remove an individual, or photos."""
    if args.photos:
        edit.remove_photos(catalogue, author, args.photos)
        return f'{counted(len(set(args.photos)), "photo")} removed; the files stay'
    edit.remove_individual(catalogue, author, args.name, args.with_photos)
    return f'{args.name} removed; to undo this: python -m tools.catalogue undo {args.catalogue}'


def undo(catalogue: Catalogue, args: Arguments, author: Author) -> str:
    """Undo an entry of the journal."""
    number = edit.undo(catalogue, author, args.entry)
    action = next(entry.action for entry in catalogue.journal() if entry.id == number)
    return f'entry {number} undone: {action}'


def run(args: Arguments, author: Author) -> tuple[str, bool]:
    """Run a command; return what to print, and whether all is well.

    Raises:
        InputError: The catalogue or the options are not suitable; nothing is changed.
    """
    with open_catalogue(args.catalogue) as catalogue:
        if args.command != 'verify':
            return COMMANDS[args.command](catalogue, args, author), True
        found = verify(catalogue, args.hashes)
    count = counted(len(found.damage), 'problem')
    lines = [*found.damage, *(f'- {note}' for note in found.notes), f'{count} found']
    return '\n'.join(lines), not found.damage


COMMANDS: dict[str, Callable[[Catalogue, Arguments, Author], str]] = {
    'list': list_all,
    'show': show,
    'set': set_facts,
    'decide': decide_photos,
    'rename': rename,
    'merge': merge,
    'split': split,
    'remove': remove,
    'undo': undo,
}
