"""Reads facts from the paths of photos with --name-pattern."""

import re
from dataclasses import replace
from typing import Any

from utils.errors import InputError
from wildlife.lists.cells import known_text, read_side, read_split
from wildlife.lists.dates import read_dates
from wildlife.lists.sightings import Sighting, Source

GROUPS = ('identity', 'side', 'camera', 'date', 'encounter', 'split')

Facts = dict[str, Any]  # field of ``Sighting`` -> value


def pattern_groups(pattern: str) -> tuple[str, ...]:
    """Return the names of the groups in a pattern; () without a pattern.

    Raises:
        InputError: The pattern is not a regular expression, or has groups not in ``GROUPS``.
    """
    if not pattern:
        return ()
    try:
        groups = tuple(re.compile(pattern).groupindex)
    except re.error as error:
        raise InputError(
            f"--name-pattern '{pattern}' is not a regular expression ({error})"
        ) from None
    if not groups or set(groups) - set(GROUPS):
        raise InputError(
            f"--name-pattern '{pattern}' needs named groups from this list: "
            f'{", ".join(f"(?P<{name}>…)" for name in GROUPS)}'
        )
    return groups


def read_names(source: Source, pattern: str, date_format: str) -> None:
    """Add facts from the paths to the sightings; a table must not contradict them.

    Args:
        source: Source whose sightings and columns are changed.
        pattern: Regular expression with named groups.
        date_format: The format as in ``strptime``; '' = recognise dates.

    Raises:
        InputError: The pattern matches no path, or a row contradicts a path.
    """
    matches = [re.search(pattern, sighting.path) for sighting in source.sightings]
    _check_matches(source, pattern, matches)
    facts = [_known_groups(match) for match in matches]
    dates, _ = read_dates([fact.pop('date', '') for fact in facts], date_format)
    unchecked = {'date', 'identity'} if source.kind == 'folder' else {'date'}
    for number, (sighting, fact, date) in enumerate(zip(source.sightings, facts, dates)):
        if date:
            fact['date'] = date
        if 'side' in fact:
            fact['side'] = read_side(fact['side'])
        if 'split' in fact:
            fact['split'] = read_split(fact['split'])
        _check_facts(sighting, fact, unchecked)
        source.sightings[number] = replace(sighting, **fact)
    for group in pattern_groups(pattern):
        source.columns[group] = '--name-pattern'


def _check_matches(source: Source, pattern: str, matches: list[re.Match[str] | None]) -> None:
    """Raise ``InputError`` if no path matches; add a note if some do not."""
    paths = [sighting.path for sighting in source.sightings]
    strange = [path for path, match in zip(paths, matches) if not match]
    if len(strange) == len(paths):
        raise InputError(
            f"--name-pattern '{pattern}' matches none of the {len(paths)} paths, for example "
            f"'{paths[0]}'; correct it, or remove it"
        )
    if strange:
        source.notes.append(
            f'--name-pattern matches {len(paths) - len(strange)} of {len(paths)} paths, but not '
            f"'{strange[0]}'"
        )


def _known_groups(match: re.Match[str] | None) -> Facts:
    """Return the known facts of a path; an identity is kept even if it means unknown."""
    groups = match.groupdict('') if match else {}
    return {
        name: text
        for name, text in groups.items()
        if known_text(text) or (name == 'identity' and text)
    }


def _check_facts(sighting: Sighting, facts: Facts, unchecked: set[str]) -> None:
    for name, value in facts.items():
        other = getattr(sighting, name)
        if name not in unchecked and other not in ('', None, value):
            raise InputError(
                f"{sighting.where}: --name-pattern reads {name} '{value}' from '{sighting.path}', "
                f"but its row has '{other}'; ignore the column with --column {name}="
            )
