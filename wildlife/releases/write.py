"""Write the photos and lists of a release."""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from datasets.animal import TRAINING_LISTS
from datasets.records import Record, read_list
from utils.errors import InputError
from utils.files import atomic_write, writing
from wildlife.releases.archives import File, warn
from wildlife.releases.arrange import ListLines, ReleaseOptions, Targets, list_line, nonblank
from wildlife.releases.release import copy_files

# The folder numbers of the species do not overlap: 0–274, 302–481, 500–921.
SPECIES = ('tiger', 'yak', 'elephant')
Numbered = list[tuple[int, Record]]  # (number of the photo's folder, record)


@dataclass(frozen=True)
class Plan:
    """The photos and lists to make from a release.

    Attributes:
        species: Species; names the folder of ymls to train with.
        test_root: Folder of the test photos, relative to --out.
        targets: Dicts from file to target paths; a file may be in several of them.
        lists: Name of each list -> its lines.
        extra: Name of each further file for the folder of the lists -> its text.
    """

    species: str
    test_root: str
    targets: list[Targets]
    lists: ListLines
    extra: Mapping[str, str]


@dataclass(frozen=True)
class Arranged:
    """The outcome of a command prepare_*.

    Attributes:
        lists: Name of each list -> its lines.
        written: Number of photos written.
        kept: Number of photos that existed already.
        lines: Lines to print.
    """

    lists: ListLines
    written: int
    kept: int
    lines: list[str]


def carry_out(options: ReleaseOptions, plan: Plan) -> Arranged:
    """Write photos and lists, and the joint lists once all three species have their lists.

    An empty list is not written.

    Args:
        options: Options of the command line.
        plan: Photos and lists to write.

    Raises:
        InputError: If a list exists with another text, or the photos cannot be copied. Lists are
            checked before anything is written.
    """
    if empty := [name for name, lines in plan.lists.items() if not lines]:
        warn(f'too few photos per individual: {" and ".join(empty)} would be empty, not written')
    lists = {name: lines for name, lines in plan.lists.items() if lines}
    texts = {name: '\n'.join(lines) + '\n' for name, lines in lists.items()} | dict(plan.extra)
    for name, text in texts.items():
        _check_same(options.lists / name, text)
    written, kept = copy_files(_merged(plan.targets), plan.species)
    with writing(options.lists):
        options.lists.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        _write_new(options.lists / name, text)
    _write_lists_of_all(options.lists)
    lines = [f'{options.out}: {written} photos written, {kept} kept']
    lines += [f'{options.lists / name}: {len(photos)} photos' for name, photos in lists.items()]
    lines.append(
        'next: python train_clipreid.py --config_file '
        f'configs/{plan.species}/cnn_clipreid_ori.yml{_overrides(options, plan.test_root)}'
    )
    return Arranged(lists, written, kept, lines)


def _write_lists_of_all(folder: Path) -> None:
    try:
        for name, text in _lists_of_all(folder).items():
            path = folder / name
            _write_new(path, text)
            if sorted(nonblank(path)) != sorted(nonblank(text)):
                warn(
                    f'{path} does not contain the same photos as the lists of '
                    f'{", ".join(SPECIES)} in this folder; it was not changed'
                )
    except InputError as error:
        warn(f'{error}; so the joint lists {" and ".join(TRAINING_LISTS["all"])} are not made')


def _merged(targets: Iterable[Targets]) -> Targets:
    """Merge several dicts into one; check that each path has only one file."""
    merged: Targets = {}
    owner: dict[Path, File] = {}
    for part in targets:
        for file, paths in part.items():
            for path in paths:
                if owner.setdefault(path, file) != file:
                    raise InputError(
                        f'{path}: both {owner[path].name} and {file.name} would be written there; '
                        'give only one release'
                    )
                if path not in merged.setdefault(file, []):
                    merged[file].append(path)
    return merged


def _check_same(path: Path, text: str) -> None:
    if path.exists() and nonblank(path) != nonblank(text):
        raise InputError(
            f'{path} exists with other lines; add --like {shlex.quote(str(path.parent))} to '
            'arrange the photos for it, give another folder as --lists, or move the file away'
        )


def _write_new(path: Path, text: str) -> None:
    if not path.exists():
        with atomic_write(path) as file:
            file.write(text)


def _lists_of_all(folder: Path) -> dict[str, str]:
    """Return the joint lists of all species, with the ranks of all folders as labels.

    Returns:
        Name -> text; empty unless all three species have their lists.

    Raises:
        InputError: If a list, for example your own, does not have the form of the published ones.
    """
    names = [name for species in SPECIES for name in TRAINING_LISTS[species]]
    if not all((folder / name).is_file() for name in names):
        return {}
    species_of: dict[int, str] = {}
    parts: tuple[Numbered, Numbered] = ([], [])
    for species in SPECIES:
        for name, part in zip(TRAINING_LISTS[species], parts, strict=True):
            for record in read_list(folder / name):
                number = _folder_number(record.path, folder / name)
                if species_of.setdefault(number, species) != species:
                    raise InputError(
                        f'{folder / name}: folder {number} of {record.path} also belongs to '
                        f'{species_of[number]}'
                    )
                part.append((number, record))
    trained = sorted({number for number, _ in parts[0]})
    rank = {number: label for label, number in enumerate(trained)}
    if unknown := {number for number, _ in parts[1]} - rank.keys():
        raise InputError(
            f'{folder}: individual {min(unknown)} of the validation lists is in no training list'
        )
    texts = {}
    for name, part in zip(TRAINING_LISTS['all'], parts, strict=True):
        lines = [list_line(record.path, rank[number], record.side) for number, record in part]
        texts[name] = ''.join(f'{line}\n' for line in lines)
    return texts


def _folder_number(path: str, where: Path) -> int:
    found = re.fullmatch('[^/]+/([0-9]{1,9})/.+', path)
    if not found:
        raise InputError(f"{where}: {path} is not in a numbered folder ('train/302/….jpg')")
    return int(found[1])


def _overrides(options: ReleaseOptions, test_root: str) -> str:
    """Return the KEY VALUE pairs that are needed if the folders differ from those of the ymls."""
    words = []
    if options.lists != Path('datalist'):
        words += ['DATASETS.LIST_DIR', str(options.lists)]
    if options.out != Path('../data'):
        words += [
            'DATASETS.ROOT_DIR',
            str(options.out),
            'DATASETS.TEST_ROOT_DIR',
            str(options.out / test_root),
        ]
    return ''.join(f' {shlex.quote(word)}' for word in words)
