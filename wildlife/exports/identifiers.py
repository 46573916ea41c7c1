"""Names in the letters that other programs accept, and the table of them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from wildlife.exports.job import Job

# What R or another program does not read as a name.
RESERVED = {'na', 'nan', 'null', 'none', 'inf', 'true', 'false', 't', 'f'}
COLUMNS = ('kind', 'name', 'identifier')
LONGEST = 60  # characters
HYPHEN = r'\-'
HYPHENS = r'_\-'


def plain_text(text: str, allowed: str, gap: str = '.') -> str:
    """Return a text in ASCII letters, digits and ``allowed``; other signs become one ``gap``.

    Accents are dropped. Without any letter or digit the result is ''.

    Args:
        text: The text.
        allowed: Further signs, as in a character class of a regular expression.
        gap: '.', '-' or '_'.
    """
    letters = unicodedata.normalize('NFKD', text).encode('ascii', 'ignore').decode()
    plain = re.sub(rf'[^A-Za-z0-9{allowed}]+', gap, letters)
    plain = re.sub(rf'{re.escape(gap)}{{2,}}', gap, plain)[:LONGEST].strip('. _-')
    return plain if re.search('[A-Za-z0-9]', plain) else ''


def identifiers(
    names: Iterable[str], kind: str, allowed: str = HYPHENS, gap: str = '.'
) -> dict[str, str]:
    """Return name -> identifier: unique, whatever the case, without blanks, commas or accents.

    A name that is an identifier keeps it, unless another one took it before.

    Args:
        names: Different names.
        kind: What names without a Latin letter or digit, or with a reserved word, begin with.
        allowed: Further signs, see ``plain_text``.
        gap: What takes the place of other signs, and stands before numbers.
    """
    found: dict[str, str] = {}
    taken: dict[str, int] = {}
    for name in sorted(names, key=lambda name: (plain_text(name, allowed, gap) != name, name)):
        plain = plain_text(name, allowed, gap) or kind
        if plain.lower() in RESERVED:
            plain = f'{kind}{gap}{plain}'
        found[name] = free_name(plain, taken, gap)
    return found


def free_name(wanted: str, taken: dict[str, int], gap: str = '.') -> str:
    """Return a name, or with the first number that nobody has taken: 'zuri', 'zuri.2' …

    Args:
        wanted: The name.
        taken: Name in lower case -> its last number; the new name is added.
        gap: What stands before the number.
    """
    key = wanted.lower()
    number = taken.get(key, 0) + 1
    while number > 1 and f'{key}{gap}{number}' in taken:
        number += 1
    taken[key] = number
    free = wanted if number == 1 else f'{wanted}{gap}{number}'
    taken.setdefault(free.lower(), 1)
    return free


def write_identifiers(job: Job, rows: Sequence[Mapping[str, str]], *more: str) -> None:
    """Write identifiers.csv; a note says how many names are not as in the catalogue.

    Args:
        job: The export.
        rows: Values of ``COLUMNS`` and of ``more``.
        more: Further columns.
    """
    job.write_table('identifiers.csv', [*COLUMNS, *more], rows)
    changed = sum(row['name'] != row['identifier'] for row in rows)
    job.note_count(changed, 'name', f'changed to what {job.title} accepts: see identifiers.csv')
