"""Remove the background of all photos in a folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.images import read_image
from utils.errors import InputError
from utils.files import atomic_write, drop_leftovers, writing
from utils.logger import progress
from utils.words import first_few
from wildlife.background.contact_sheet import contact_sheet
from wildlife.background.files import (
    WRITTEN,
    Job,
    check_overwriting,
    find_photos,
    is_done,
    output_names,
)
from wildlife.background.masks import MaskFolder, Network
from wildlife.background.summary import EMPTY, SUMMARY, Summary
from wildlife.releases.archives import warn

OPTIONS = {'JPEG': {'quality': 95}, 'WEBP': {'quality': 95}}
SHEET_PHOTOS = 12


@dataclass(frozen=True)
class Done:
    """The outcome of a run.

    Attributes:
        written: Number of photos written.
        kept: Number of photos that an earlier run had written.
        summary: Suspicious and failed photos.
    """

    written: int
    kept: int
    summary: Summary


def remove_backgrounds(job: Job) -> Done:
    """Process all photos that are not done yet, and write summary and contact sheet.

    Raises:
        InputError: If the run cannot start. Photos that fail later are recorded in the summary
            instead.
    """
    names = find_photos(job)
    outputs = output_names(names, job.format)
    occupied = any((job.dst / output).exists() for output in outputs.values())
    summary = Summary(job.dst, job.settings(), occupied)
    folder = MaskFolder(job.masks, names, job.resize_masks) if job.masks else None
    masks = folder.paths if folder else {}
    check_overwriting(job, outputs, masks.values())
    kept_masks = saved_masks(job, names)
    todo = [name for name in names if not _is_done(job, name, outputs, masks, kept_masks)]
    if todo:
        find_mask = folder or Network(job.model)
    files = [*(job.dst / output for output in outputs.values()), *kept_masks.values()]
    _make_folders({path.parent for path in files} | {job.dst})
    summary.save()  # before the first photo, so that DST always says how its photos were made
    for name in progress(todo, 'removing backgrounds'):
        try:
            photo = read_photo(job.src / name)
            mask = find_mask(name, photo)
        except InputError as error:  # one broken photo must not end a run of many hours
            summary.note_failed(name, error)
            continue
        if job.threshold is not None:
            mask = _binarise(mask, job.threshold)
        if name in kept_masks:
            write_photo(kept_masks[name], mask)
        share = float(np.asarray(mask).mean() / 255)
        summary.note(outputs[name], share)
        if share >= EMPTY:
            photo = without_background(photo, mask, job.background)
        write_photo(job.dst / outputs[name], photo)
    _write_sheet(job, {name: outputs[name] for name in names if name not in summary.failed})
    return Done(len(todo) - len(summary.failed), len(names) - len(todo), summary)


def _is_done(
    job: Job,
    name: str,
    outputs: Mapping[str, str],
    masks: Mapping[str, Path],
    kept_masks: Mapping[str, Path],
) -> bool:
    """Whether an earlier run has written the result of a photo and, if it is kept, its mask."""
    if name in kept_masks and not kept_masks[name].is_file():
        return False
    return is_done(job.dst / outputs[name], job.src / name, masks.get(name))


def saved_masks(job: Job, names: Sequence[str]) -> dict[str, Path]:
    """Return photo -> path of its mask to write; {} if they are not kept.

    Raises:
        InputError: If two photos would have the same mask.
    """
    if not job.save_masks:
        return {}
    outputs = output_names(names, 'png')
    return {name: job.save_masks / output for name, output in outputs.items()}


def _make_folders(folders: set[Path]) -> None:
    for folder in sorted(folders):
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        drop_leftovers(folder)


def _binarise(mask: Image.Image, threshold: float) -> Image.Image:
    return mask.point([255 if value >= 255 * threshold else 0 for value in range(256)])


def read_photo(path: Path) -> Image.Image:
    """Read a photo as training does: RGB, without EXIF data, by which rembg would rotate it."""
    return Image.fromarray(np.asarray(read_image(str(path))))


def without_background(
    photo: Image.Image, mask: Image.Image, background: tuple[int, int, int]
) -> Image.Image:
    """Replace the background of a photo.

    Args:
        photo: RGB image.
        mask: 'L' image of the same size, 255 = animal, 0 = background; values in between mix
            the two colours.
        background: RGB, 0–255.

    Returns:
        An RGB image.
    """
    return Image.composite(photo, Image.new('RGB', photo.size, background), mask)


def write_photo(path: Path, image: Image.Image) -> None:
    """Write an image in the format that the extension of ``path`` names."""
    kind = WRITTEN[path.suffix.lower()]
    with atomic_write(path, 'wb') as file:
        image.save(file, format=kind, **OPTIONS.get(kind, {}))


def _write_sheet(job: Job, outputs: Mapping[str, str]) -> None:
    """Write the contact sheet, with photos spread evenly over all names."""
    names = list(outputs)
    if not names:
        return
    step = (len(names) - 1) / max(1, SHEET_PHOTOS - 1)
    chosen = dict.fromkeys(names[round(number * step)] for number in range(SHEET_PHOTOS))
    pairs = [
        (name, read_photo(job.src / name), read_photo(job.dst / outputs[name])) for name in chosen
    ]
    title = f'{job.src} and without background ({job.masks or job.model})'
    contact_sheet(job.sheet, pairs, title)


def report_problems(job: Job, done: Done) -> None:
    """Warn of suspicious photos.

    Raises:
        InputError: If photos failed.
    """
    summary, path = done.summary, job.dst / SUMMARY
    for kind, text in (
        ('empty', 'have an empty mask and keep their background'),
        ('full', 'have hardly any background'),
    ):
        suspicious = sorted(summary.suspicious.items())
        names = [name for name, found in suspicious if found.get('mask') == kind]
        if names:
            warn(f'{len(names)} photos {text} ({first_few(names)}); {path} lists all of them')
    if failed := list(summary.failed):
        raise InputError(
            f'{len(failed)} of {done.written + done.kept + len(failed)} photos failed '
            f'({first_few(failed)}); first error: {summary.failed[failed[0]]}; {path} lists all '
            'of them'
        )
