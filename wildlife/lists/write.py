"""Writes the folder of lists: each file atomically, and the yml files last."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from datasets.records import Record
from utils.errors import InputError
from utils.files import atomic_write, write_json, writing
from utils.words import first_few
from wildlife import prepare
from wildlife.lists import report
from wildlife.lists.encounters import Photo
from wildlife.lists.records import Records
from wildlife.lists.select import Changes
from wildlife.lists.sightings import Source
from wildlife.lists.splits import Split
from wildlife.words import is_plain

LISTS = ('train', 'val', 'query', 'gallery')
YMLS = {'cnn': 'cnn_clipreid.yml', 'vit': 'vit_clipreid.yml'}
FILES = (
    *(f'{name}.txt' for name in LISTS),
    *('photos.csv', 'report.json', 'report.html'),
    *YMLS.values(),
)
UNKNOWN = '-'


@dataclass
class Lists:
    """All that is written into the folder of lists.

    Attributes:
        out: The folder of the lists.
        folder: The folder of the listed photos.
        source: The source that was read.
        split: The photos of each list.
        records: The records of each list.
        ymls: Kind ('cnn', 'vit') -> text of the yml file.
        facts: The content of report.json.
    """

    out: Path
    folder: Path
    source: Source
    split: Split
    records: Records
    ymls: dict[str, str]
    facts: report.Facts = field(default_factory=dict)


def check_plain(*folders: Path) -> None:
    """Check that a yml file can name the folders.

    Raises:
        InputError: The name of a folder is not valid text.
    """
    for folder in map(os.path.realpath, folders):
        if not is_plain(folder):
            raise InputError(
                f'{ascii(folder)}: the name of this folder is not UTF-8 text or has a line break, '
                'so the yml files cannot contain it; rename the folder'
            )


def check_out(out: Path, force: bool) -> None:
    """Check that the folder contains no lists of an earlier run, unless ``force`` is set.

    Raises:
        InputError: The folder contains lists, or is not a folder.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f'--out {out} is a file; choose a folder')
    earlier = [name for name in FILES if (out / name).exists()]
    if earlier and not force:
        raise InputError(
            f'{out} already contains {first_few(earlier)}; choose another --out, or replace them '
            'with --force'
        )


def write_lists(lists: Lists, changes: Changes | None) -> None:
    """Write lists, report and yml files.

    Old yml files are removed first and new ones are written last. If this is interrupted, no yml
    file refers to incomplete lists.

    Args:
        lists: All that is written.
        changes: How each photo is changed; None = no photo is prepared.

    Raises:
        InputError: A file cannot be written.
    """
    out, parts = lists.out, lists.split.parts()
    with writing(out):
        for name in YMLS.values():
            (out / name).unlink(missing_ok=True)
    if changes is not None:
        _prepare_photos(lists, changes)
    shown = {name: part for name, part in parts.items() if name != 'gallery'}
    if lists.split.gallery is not lists.split.query:
        shown['gallery'] = lists.split.gallery
    pictures = report.thumbnails(shown, lists.folder)
    rows = report.photo_rows(lists.source, lists.split, lists.records)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for name in set(LISTS) - set(parts):  # left by an earlier run
            (out / f'{name}.txt').unlink(missing_ok=True)
    for name, part in parts.items():
        with atomic_write(out / f'{name}.txt') as file:
            file.writelines(map(_line, lists.records[name], part))
    with atomic_write(out / 'photos.csv') as file:
        report.write_photos_csv(file, rows)
    write_json(out / 'report.json', lists.facts)
    with atomic_write(out / 'report.html') as file:
        file.write(report.html_page(lists.facts, pictures))
    for kind, text in lists.ymls.items():
        with atomic_write(out / YMLS[kind]) as file:
            file.write(text)


def _prepare_photos(lists: Lists, changes: Changes) -> None:
    photos = {}
    for part in lists.split.parts().values():
        for photo in part:
            original = lists.source.root / photo.sighting.path
            photos[photo.path] = original, changes[photo.sighting]
    prepare.prepare_all(lists.folder, photos)


def _line(record: Record, photo: Photo) -> str:
    """Return a line of a list; unknown values at its end are not written."""
    camera = record.camid if photo.sighting.camera else None
    columns = [
        UNKNOWN if value is None else str(value)
        for value in (record.side, camera, record.encounter)
    ]
    while columns and columns[-1] == UNKNOWN:
        columns.pop()
    return ' '.join([record.path, str(record.pid), *columns]) + '\n'
