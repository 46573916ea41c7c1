"""Finds the photo files of a source: each must exist, and be inside the source's folder."""

import os
from dataclasses import replace

from datasets.images import photo_extensions
from utils.errors import InputError
from utils.words import first_few
from wildlife.lists.matching import Matches, match_paths
from wildlife.lists.sightings import SKIP, Sighting, Source
from wildlife.words import is_plain


def locate_photos(source: Source) -> None:
    """Make each path relative to the root of the source; skip other files, reject bad paths.

    Photos whose paths in a table differ from those on the disk are matched with ``match_paths``.

    Raises:
        InputError: Photos are missing or outside the root, or their names are not valid text.
    """
    root = os.path.abspath(source.root)
    sightings = _with_plain_paths(source)
    matches = _match(source, sightings, root)
    extensions = photo_extensions()
    is_inside = _Inside(root)
    located: list[Sighting] = []
    missing: list[Sighting] = []
    sizes = {}
    for sighting in sightings:
        listed = matches.found.get(sighting.path, sighting.path)
        path = os.path.normpath(os.path.join(root, listed))
        ending = os.path.splitext(listed)[1].lower()
        if ending and ending not in extensions:
            source.leave_out(sighting, f"not a photo ('{ending}')")
        elif not os.path.isfile(path):
            missing.append(sighting)
        elif not _is_below(path, root):
            _reject_outside(source, sighting)
        elif not is_inside(path):
            _reject_link(source, sighting, path)
        else:
            below = os.path.relpath(path, root).replace(os.sep, '/')
            located.append(replace(sighting, path=below))
            sizes[below] = source.sizes.get(sighting.path)
    if missing:
        _report_missing(source, missing, matches.reasons, some_found=bool(located))
    source.sightings, source.sizes = located, sizes


def _with_plain_paths(source: Source) -> list[Sighting]:
    plain = []
    for sighting in source.sightings:
        if is_plain(sighting.path):
            plain.append(sighting)
        else:
            source.reject(
                sighting,
                'path that is not text',
                f'{sighting.row}the path {ascii(sighting.path)[:100]} is not plain text; rename '
                'the photo',
            )
    return plain


def _match(source: Source, sightings: list[Sighting], root: str) -> Matches:
    """Find files for the paths that do not exist as written."""
    paths = list(dict.fromkeys(sighting.path for sighting in sightings))
    absent = [path for path in paths if not os.path.isfile(os.path.join(root, path))]
    if not absent:
        return Matches()
    matches = match_paths(absent, root, may_move=len(absent) == len(paths))
    if matches.note:
        source.notes.append(matches.note)
    return matches


class _Inside:
    """Checks whether a file is inside the root after following links; caches each folder."""

    def __init__(self, root: str) -> None:
        self.real_root = os.path.realpath(root)
        self.folders: dict[str, bool] = {}

    def __call__(self, path: str) -> bool:
        folder = os.path.dirname(path)
        if folder not in self.folders:
            self.folders[folder] = _is_below(os.path.realpath(folder), self.real_root)
        is_link = os.path.islink(path)
        return self.folders[folder] and (
            not is_link or _is_below(os.path.realpath(path), self.real_root)
        )


def _is_below(path: str, root: str) -> bool:
    return os.path.join(path, '').startswith(os.path.join(root, ''))


def _reject_outside(source: Source, sighting: Sighting) -> None:
    source.reject(
        sighting,
        "outside the photos' folder",
        f"{sighting.row}'{sighting.path}' is outside the photos' folder '{source.root}'; name a "
        'folder that contains all photos with --photos',
    )


def _reject_link(source: Source, sighting: Sighting, path: str) -> None:
    option = '' if source.kind == 'folder' else ' with --photos'
    source.reject(
        sighting,
        "link out of the photos' folder",
        f"{sighting.row}'{sighting.path}' links to {os.path.realpath(path)}, outside the photos' "
        f"folder '{source.root}'; name the folder that contains the photos{option}, or copy them",
    )


def _report_missing(
    source: Source, missing: list[Sighting], reasons: str, some_found: bool
) -> None:
    """Skip missing photos with ``skip_bad``; else raise ``InputError``."""
    if some_found and source.skip_bad:
        for sighting in missing:
            source.leave_out(sighting, 'missing photo')
        return
    first = first_few([f'{sighting.row}{sighting.path}' for sighting in missing])
    raise InputError(
        f"{len(missing)} of {len(source.sightings)} photos are missing in '{source.root}' "
        f'({first}): {reasons}' + (f'; {SKIP}' if some_found else '')
    )
