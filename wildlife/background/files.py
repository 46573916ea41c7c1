"""The photos whose background is removed, and the names of the results."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from datasets.images import photo_extensions, read_header
from datasets.records import read_list
from utils.errors import InputError
from utils.words import first_few
from wildlife.background.summary import SUMMARY
from wildlife.releases.archives import files_below, warn

SHEET = 'contact_sheet.png'
WRITTEN = {
    '.jpg': 'JPEG',
    '.jpeg': 'JPEG',
    '.jfif': 'JPEG',
    '.jpe': 'JPEG',
    '.png': 'PNG',
    '.bmp': 'BMP',
    '.webp': 'WEBP',
    '.tif': 'TIFF',
    '.tiff': 'TIFF',
}


@dataclass(frozen=True)
class Job:
    """The command line of tools/remove_background.py.

    Attributes:
        src: Folder with the photos.
        dst: Folder for the photos without background.
        sheet: Path of the contact sheet.
        masks: Folder with masks; None = the network ``model`` finds the masks.
        save_masks: Folder for the masks that were used, as PNG; None = they are not kept.
        resize_masks: Whether masks are resized to the size of their photos.
        model: Name of a network of rembg.
        background: RGB, 0–255.
        threshold: Value in (0, 1] at which masks are made binary; None = soft edges.
        format: 'keep' or 'png'.
        lists: Split lists whose photos are processed; empty = all photos below ``src``.
    """

    src: Path
    dst: Path
    sheet: Path
    masks: Path | None
    save_masks: Path | None
    resize_masks: bool
    model: str
    background: tuple[int, int, int]
    threshold: float | None
    format: str
    lists: Sequence[str]

    def settings(self) -> dict[str, object]:
        """Return the settings that determine the results.

        The masks are not among them: their folder may move, and masks may be corrected.
        """
        return {
            'src': str(self.src.resolve()),
            'model': None if self.masks else self.model,
            'background': list(self.background),
            'threshold': self.threshold,
            'format': self.format,
        }


def find_photos(job: Job) -> list[str]:
    """Return the sorted paths, relative to SRC, of all its photos or of the listed ones.

    Files below DST or the folder of the masks are skipped, and so are the summary and the contact
    sheet of an earlier run.

    Raises:
        InputError: If SRC or a listed photo is missing, SRC has no photo, or two of SRC, DST and
            the folders of the masks are the same.
    """
    src, folders = job.src, {'DST': job.dst, '--masks': job.masks, '--save-masks': job.save_masks}
    apart = {what: folder for what, folder in folders.items() if folder}
    if not src.is_dir():
        raise InputError(f'{src}: no such folder; give the folder with the photos')
    for what, folder in apart.items():
        if src.resolve() == folder.resolve():
            raise InputError(
                f'{folder}: {what} is the same folder as SRC; give another folder, so that no '
                'original is overwritten'
            )
    for (what, folder), (other, second) in combinations(apart.items(), 2):
        if folder.resolve() == second.resolve():
            raise InputError(
                f'{folder}: {what} is the same folder as {other}; give another folder, so that '
                'no mask is overwritten'
            )
    if job.lists:
        return _listed(src, job.lists)
    extensions = photo_extensions()
    names: list[str] = []
    others: list[str] = []
    for path in files_below(src, apart.values()):
        if path.name in (SUMMARY, SHEET) and path.with_name(SUMMARY).is_file():
            continue
        found = names if path.suffix.lower() in extensions else others
        found.append(path.relative_to(src).as_posix())
    names, others = sorted(names), sorted(others)
    if not names:
        raise InputError(
            f'{src}: contains no photo; extensions of photos are {", ".join(sorted(extensions))}'
        )
    if others:
        warn(
            f'{len(others)} files do not have the extension of a photo and are skipped '
            f'({first_few(others)})'
        )
    return names


def _listed(src: Path, lists: Sequence[str]) -> list[str]:
    records = [record for file in lists for record in read_list(file)]
    names = sorted({os.path.normpath(record.path) for record in records})
    missing = [name for name in names if not (src / name).is_file()]
    if missing:
        raise InputError(
            f'{src}: {len(missing)} of {len(names)} listed photos are missing '
            f'({first_few(missing)}); paths in the lists must be relative to SRC'
        )
    return names


def output_names(names: Iterable[str], kind: str) -> dict[str, str]:
    """Return {path below SRC: path below DST}.

    Args:
        names: Paths of the photos relative to SRC.
        kind: 'keep', or 'png', which changes the names.

    Raises:
        InputError: If a file type cannot be written, or two photos would become the same file.
    """
    outputs = {name: name for name in names}
    if kind == 'png':
        outputs = {name: str(Path(name).with_suffix('.png')) for name in outputs}
    owner: dict[str, str] = {}
    for name, output in outputs.items():
        if Path(output).suffix.lower() not in WRITTEN:
            raise InputError(
                f'{name}: this file type cannot be written; add --format png, or convert the '
                f'photo to one of {", ".join(WRITTEN)}'
            )
        if owner.setdefault(output, name) != name:
            raise InputError(
                f'{owner[output]} and {name} would both become {output}; rename one of them, or '
                'do not use --format png or --save-masks'
            )
    return outputs


def check_overwriting(job: Job, outputs: Mapping[str, str], masks: Iterable[Path]) -> None:
    """Check that no output replaces an original or a mask, and the sheet no other file.

    Raises:
        InputError: If one would be replaced.
    """
    photos = [job.src / name for name in outputs]
    originals = {os.path.realpath(path) for path in [*photos, *masks]}
    made = {os.path.realpath(job.dst / output): output for output in outputs.values()}
    if both := sorted(originals & made.keys()):
        raise InputError(
            f'{job.dst / made[both[0]]} would replace {both[0]}; give another DST, so that no '
            'original is overwritten'
        )
    if os.path.realpath(job.sheet) in {*originals, *made, os.path.realpath(job.dst / SUMMARY)}:
        raise InputError(
            f'{job.sheet}: the contact sheet would replace this file; give another path as --sheet'
        )


def is_done(output: Path, photo: Path, mask: Path | None = None) -> bool:
    """Whether the output is as large as the photo in pixels, and photo and mask are not newer."""
    try:
        made = output.stat().st_mtime_ns
        return (
            all(path.stat().st_mtime_ns <= made for path in (photo, mask) if path)
            and read_header(output).size == read_header(photo).size
        )
    except (OSError, InputError):
        return False
