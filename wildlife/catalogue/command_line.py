"""The command line of ``python -m tools.catalogue``: one parser per command."""

import argparse
import getpass
from collections.abc import Callable, Sequence

from configs.command_line import parse_with_pairs, path_text, path_value, whole_number
from wildlife.lists.command_line import SOURCES, add_reading

PROGRAM = 'python -m tools.catalogue'
Parser = argparse.ArgumentParser
NUMBER = whole_number(1, 10**12)


def _create(parser: Parser) -> None:
    add = parser.add_argument
    add('--species', default='', help='name of the species, such as "Panthera tigris"')
    text = 'margin around boxes on each side, as a share of the box (default: 0.05)'
    add('--margin', type=float, default=0.05, help=text)
    _config(parser, 'yml whose listed photos are added, with features of TEST.WEIGHT')


def _add(parser: Parser) -> None:
    parser.add_argument('source', nargs='?', type=path_text, default='', help=SOURCES)
    _config(parser, 'yml of the first model; without a source, the photos of its lists are added')
    add_reading(parser)
    parser.add_argument('--place', default='', help='where the photos were taken')


def _encode(parser: Parser) -> None:
    _config(parser, 'yml of the model (default: the model in use)')
    text = 'recompute existing features too, for example if their file is damaged'
    parser.add_argument('--again', action='store_true', help=text)


def _config(parser: Parser, text: str) -> None:
    parser.add_argument('--config_file', type=path_text, default='', help=text)


def _list(parser: Parser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument('--photos', action='store_true', help='list all photos')
    group.add_argument('--unknown', action='store_true', help='list unidentified photos')
    group.add_argument('--journal', action='store_true', help='list all changes')


def _show(parser: Parser) -> None:
    parser.add_argument('name', nargs='?', default='', help='individual (default: a summary)')
    parser.add_argument('--photo', type=NUMBER, default=0, help='number of a photo')


def _set(parser: Parser) -> None:
    add = parser.add_argument
    add('name', nargs='?', default='', help='individual; or give --photos')
    add('--sex', choices=('female', 'male', 'unknown'), help='of the individual')
    add('--notes', help='about the individual')
    add('--alias', default='', help='another name of the individual')
    _photos(parser)
    add('--side', choices=('left', 'right', 'unknown'), help='of the photos')
    add('--camera', help='of the photos')
    add('--encounter', help='of the photos')
    add('--place', help='where the photos were taken')


def _decide(parser: Parser) -> None:
    parser.add_argument('name', nargs='?', default='', help='individual that the photos show')
    _photos(parser, required=True)
    group = parser.add_mutually_exclusive_group()
    group.add_argument('--new', action='store_true', help='the individual is new')
    group.add_argument('--unsure', action='store_true', help='record that you cannot tell')
    group.add_argument('--none', action='store_true', help='the photos show no identifiable animal')
    parser.add_argument('--note', default='', help='a remark, such as the reason')


def _rename(parser: Parser) -> None:
    parser.add_argument('name', help='individual')
    parser.add_argument('new_name', help='its new name; the old one becomes an alias')


def _merge(parser: Parser) -> None:
    parser.add_argument('name', help='individual to merge; its name becomes an alias')
    parser.add_argument('into', help='individual that keeps its name')


def _split(parser: Parser) -> None:
    parser.add_argument('name', help='individual')
    parser.add_argument('new_name', help='name of the new individual')
    _photos(parser)
    text = 'encounters in which the photos show the new individual'
    parser.add_argument('--encounters', nargs='+', default=[], metavar='NAME', help=text)


def _remove(parser: Parser) -> None:
    parser.add_argument(
        'name', nargs='?', default='', help='individual; its photos stay, unidentified'
    )
    parser.add_argument('--with-photos', action='store_true', help='remove its photos too')
    _photos(parser)


def _undo(parser: Parser) -> None:
    text = 'entry of the journal (default: the last one); undoing an undo restores the entry'
    parser.add_argument('entry', nargs='?', type=NUMBER, default=0, help=text)


def _verify(parser: Parser) -> None:
    text = 'also read all photos and compare their SHA-256'
    parser.add_argument('--hashes', action='store_true', help=text)


def _photos(parser: Parser, required: bool = False) -> None:
    text = 'numbers of photos, from "show" or "list --photos"'
    kind = {'nargs': '+', 'type': NUMBER, 'default': [], 'metavar': 'NUMBER'}
    parser.add_argument('--photos', required=required, help=text, **kind)  # type: ignore[arg-type]


# command -> (its options, what it does)
COMMANDS: dict[str, tuple[Callable[[Parser], None], str]] = {
    'create': (_create, 'create a catalogue, empty or from the lists of a yml'),
    'add': (_add, 'add photos and their features'),
    'list': (_list, 'list individuals, photos or the journal'),
    'show': (_show, 'show an individual, a photo or a summary'),
    'set': (_set, 'change details of an individual or of photos'),
    'decide': (_decide, 'record which individual photos show'),
    'rename': (_rename, 'rename an individual'),
    'merge': (_merge, 'merge two individuals into one'),
    'split': (_split, 'move photos of an individual to a new one'),
    'remove': (_remove, 'remove an individual, or photos'),
    'undo': (_undo, 'undo a change'),
    'encode': (_encode, 'compute the features of all photos, for example with another model'),
    'verify': (_verify, 'check a catalogue for damage'),
}
PHOTO_COMMANDS = ('create', 'add', 'encode')  # they have KEY VALUE pairs


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line; ``command`` is the command, ``opts`` its KEY, VALUE, …"""
    commands = '\n'.join(f'  {name:8} {text}' for name, (_, text) in COMMANDS.items())
    top = Parser(
        prog=PROGRAM,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description='A catalogue of individuals, their photos, features and decisions.',
        usage=f'{PROGRAM} COMMAND CATALOGUE …',
        epilog=f'commands:\n{commands}\n\n{PROGRAM} COMMAND --help shows the options of a command.',
    )
    top.add_argument('command', choices=COMMANDS, metavar='COMMAND', help='see below')
    top.add_argument('words', nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    first = top.parse_args(argv)
    add_options, text = COMMANDS[first.command]
    parser = Parser(prog=f'{PROGRAM} {first.command}', description=f'{text[0].upper()}{text[1:]}.')
    parser.add_argument('catalogue', type=path_value, help='folder of the catalogue')
    add_options(parser)
    add_author(parser)
    has_pairs = first.command in PHOTO_COMMANDS
    args = parse_with_pairs(parser, first.words) if has_pairs else parser.parse_args(first.words)
    args.command = first.command
    _check(parser, args)
    return args


def _check(parser: Parser, args: argparse.Namespace) -> None:
    """Check options that depend on each other."""
    values = vars(args)
    if args.command in ('set', 'remove') and bool(args.name) == bool(args.photos):
        parser.error('name an individual, or photos with --photos NUMBER …')
    if args.command == 'decide' and bool(args.name) == (args.unsure or args.none):
        parser.error('name the individual, or give --unsure or --none')
    if args.command == 'split' and not (args.photos or args.encounters):
        parser.error('name the photos with --photos NUMBER …, or --encounters NAME …')
    if args.command == 'create' and not 0 <= values['margin'] <= 10:
        parser.error(f'--margin {args.margin:g} must be between 0 and 10')


def add_author(parser: argparse.ArgumentParser) -> None:
    """Add the option --by."""
    text = 'your name, for the journal (default: your user name on this computer)'
    parser.add_argument('--by', default=_user_name(), help=text)


def _user_name() -> str:
    """Return the name of the user of this computer."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user, as in some containers
        return 'unknown'
