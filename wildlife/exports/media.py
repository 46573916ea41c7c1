"""The photos' files in an export: names, copies, and a table of both names."""

import mimetypes
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass

from utils.errors import InputError
from utils.files import free_bytes, writing
from utils.logger import progress
from wildlife.catalogue.records import Photo
from wildlife.exports.identifiers import free_name, plain_text
from wildlife.exports.job import Job
from wildlife.words import counted

COLUMNS = ('name', 'path', 'sha256')


@dataclass(frozen=True)
class MediaFile:
    """A file with one or more animals.

    Attributes:
        name: Its name in the export: ASCII letters, digits, periods and spaces.
        photo: The first animal in it.
    """

    name: str
    photo: Photo

    @property
    def kind(self) -> str:
        """Return the media type, such as 'image/jpeg'."""
        guessed = mimetypes.guess_type(self.name)[0] or ''
        ending = self.name.rpartition('.')[2]
        return guessed if guessed.startswith('image/') else f'image/{ending}'


def media_files(photos: Iterable[Photo]) -> dict[str, MediaFile]:
    """Return SHA-256 -> file of all photos, with names that are unique whatever the case."""
    found: dict[str, MediaFile] = {}
    taken: dict[str, int] = {}
    for photo in sorted(photos, key=lambda photo: photo.id):
        if photo.sha256 not in found:
            stem, ending = os.path.splitext(os.path.basename(photo.path))
            stem = free_name(plain_text(stem, ' ') or 'photo', taken)
            ending = plain_text(ending, '').lower() or 'jpg'
            found[photo.sha256] = MediaFile(f'{stem}.{ending}', photo)
    return found


def write_media(job: Job, folders: dict[str, list[MediaFile]]) -> None:
    """Write photos.csv, and copy the photos if the options say so.

    Args:
        job: The export.
        folders: Name of a folder in the export -> the files in it.

    Raises:
        InputError: A photo is gone, or the disk is full.
    """
    rows = [
        {'name': f'{folder}/{file.name}', 'path': file.photo.path, 'sha256': file.photo.sha256}
        for folder, files in folders.items()
        for file in files
    ]
    job.write_table('photos.csv', COLUMNS, rows)
    if not job.options.copy_photos:
        job.note(
            f'{counted(len(rows), "photo")} not copied: photos.csv has the file of each name; '
            '--copy-photos copies them'
        )
        return
    files = [file for files in folders.values() for file in files]
    _check(job, files)
    for folder in folders:
        with writing(job.folder):
            (job.folder / folder).mkdir()
    for row in progress(rows, 'copying photos'):
        with writing(job.folder / row['name']):
            shutil.copyfile(row['path'], job.folder / row['name'])


def _check(job: Job, files: list[MediaFile]) -> None:
    gone = [file.photo.path for file in files if not os.path.isfile(file.photo.path)]
    if gone:
        raise InputError(
            f'{counted(len(gone), "photo")} cannot be copied, since the file is gone, such as '
            f'{gone[0]}; restore them, or remove --copy-photos'
        )
    needed, free = sum(file.photo.bytes for file in files), free_bytes(job.folder)
    if needed > free:
        raise InputError(
            f'the copies of {counted(len(files), "photo")} need {needed / 1e9:.2f} GB, but the '
            f'disk has {free / 1e9:.2f} GB; free some space, or remove --copy-photos'
        )
