"""Writing the folder of lists: each file whole, and the ymls, which make the rest usable, last."""

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
    """What is written.

    Attributes:
        out: folder of the lists.
        folder: of the listed photos.
        source: what was read.
        split: who goes where.
        records: of each list.
        ymls: kind -> text.
        facts: as report.json holds them.
    """

    out: Path
    folder: Path
    source: Source
    split: Split
    records: Records
    ymls: dict[str, str]
    facts: report.Facts = field(default_factory=dict)


def check_plain(*folders: Path) -> None:
    """Check that a yml can name the folders.

    Raises:
        InputError: where one cannot be written as text.
    """
    for folder in map(os.path.realpath, folders):
        if not is_plain(folder):
            raise InputError(
                f'{ascii(folder)}: a folder whose name is no UTF-8 text or has a line break '
                'cannot be written into the ymls; rename it'
            )


def check_out(out: Path, force: bool) -> None:
    """Check that the folder holds no lists of an earlier run, unless ``force`` replaces them.

    Raises:
        InputError: where it does, or where it is no folder.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f'--out {out} is a file; name a folder')
    earlier = [name for name in FILES if (out / name).exists()]
    if earlier and not force:
        raise InputError(
            f'{out} already holds {first_few(earlier)}; choose another --out, or --force to '
            'replace them'
        )


def write_lists(lists: Lists, changes: Changes | None) -> None:
    """Write lists, report and ymls. Whatever stops this, no yml is there that would use half of it.

    Args:
        lists: what is written.
        changes: what is done to each photo, None = no photo is prepared.

    Raises:
        InputError: where something cannot be written.
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
        for name in set(LISTS) - set(parts):  # of an earlier run
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
    """A line of a list; what is unknown to its end is not written."""
    camera = record.camid if photo.sighting.camera else None
    columns = [
        UNKNOWN if value is None else str(value)
        for value in (record.side, camera, record.encounter)
    ]
    while columns and columns[-1] == UNKNOWN:
        columns.pop()
    return ' '.join([record.path, str(record.pid), *columns]) + '\n'
