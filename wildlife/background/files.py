"""Which photos of a folder lose their background, and what becomes of their names."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
        src: folder of the photos.
        dst: folder for the photos without background.
        sheet: path of the contact sheet.
        masks: folder of masks; None: the network ``model`` finds them.
        resize_masks: whether masks of another size are scaled to their photo's.
        model: of rembg.
        background: RGB, 0–255.
        threshold: at which masks are cut hard, in (0, 1]; None: soft edges.
        format: 'keep' or 'png'.
        lists: only the photos of these split lists; all where there are none.
    """

    src: Path
    dst: Path
    sheet: Path
    masks: Path | None
    resize_masks: bool
    model: str
    background: tuple[int, int, int]
    threshold: float | None
    format: str
    lists: Sequence[str]

    def settings(self) -> dict[str, object]:
        """What decides how the photos look; the masks may move, and may be corrected."""
        return {
            'src': str(self.src.resolve()),
            'model': None if self.masks else self.model,
            'background': list(self.background),
            'threshold': self.threshold,
            'format': self.format,
        }


def find_photos(job: Job) -> list[str]:
    """Return the sorted paths, relative to SRC, of its photos or of those of the lists.

    What lies below DST or the masks' folder is skipped, and so are the summary and the sheet of
    an earlier run.
    """
    src, apart = job.src, {'DST': job.dst}
    if job.masks:
        apart['--masks'] = job.masks
    if not src.is_dir():
        raise InputError(f'{src}: there is no such folder; give the folder of the photos')
    for what, folder in apart.items():
        if src.resolve() == folder.resolve():
            raise InputError(
                f'{folder}: {what} is SRC; give another folder, so that the originals stay'
            )
    if job.masks and job.masks.resolve() == job.dst.resolve():
        raise InputError(f'{job.dst}: DST is --masks; give another folder, so that the masks stay')
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
        raise InputError(f'{src}: no photo below it ({", ".join(sorted(extensions))})')
    if others:
        warn(
            f'{len(others)} files have no ending of a photo and are left out ({first_few(others)})'
        )
    return names


def _listed(src: Path, lists: Sequence[str]) -> list[str]:
    records = [record for file in lists for record in read_list(file)]
    names = sorted({os.path.normpath(record.path) for record in records})
    missing = [name for name in names if not (src / name).is_file()]
    if missing:
        raise InputError(
            f'{src}: {len(missing)} of {len(names)} listed photos are not there '
            f'({first_few(missing)}); lists name photos relative to SRC'
        )
    return names


def output_names(names: Iterable[str], kind: str) -> dict[str, str]:
    """Return the names below DST: {name: output}.

    Args:
        names: of the photos, below SRC.
        kind: 'keep', or 'png', which renames them.

    Raises:
        InputError: a file type is not written, or two photos would become one.
    """
    outputs = {name: name for name in names}
    if kind == 'png':
        outputs = {name: str(Path(name).with_suffix('.png')) for name in outputs}
    owner: dict[str, str] = {}
    for name, output in outputs.items():
        if Path(output).suffix.lower() not in WRITTEN:
            raise InputError(
                f'{name}: this type of file is not written; add --format png, or use one of '
                f'{", ".join(WRITTEN)}'
            )
        if owner.setdefault(output, name) != name:
            raise InputError(
                f'{owner[output]} and {name} would both become {output}; rename one, or leave '
                'out --format png'
            )
    return outputs


def check_overwriting(job: Job, outputs: Mapping[str, str], masks: Iterable[Path]) -> None:
    """Raise ``InputError`` where an output or the sheet would replace a photo of SRC or a mask."""
    photos = [job.src / name for name in outputs]
    originals = {os.path.realpath(path) for path in [*photos, *masks]}
    made = {os.path.realpath(job.dst / output): output for output in outputs.values()}
    if both := sorted(originals & made.keys()):
        raise InputError(
            f'{job.dst / made[both[0]]} would replace {both[0]}; give another DST, so that the '
            'originals stay'
        )
    if os.path.realpath(job.sheet) in {*originals, *made, os.path.realpath(job.dst / SUMMARY)}:
        raise InputError(
            f'{job.sheet}: the contact sheet would replace this file; give another --sheet'
        )


def is_done(output: Path, photo: Path, mask: Path | None = None) -> bool:
    """Whether the output has the photo's size in pixels, and photo and mask are not newer."""
    try:
        made = output.stat().st_mtime_ns
        return (
            all(path.stat().st_mtime_ns <= made for path in (photo, mask) if path)
            and read_header(output).size == read_header(photo).size
        )
    except (OSError, InputError):
        return False
