"""The target folders and lists of a release, shared by the tools prepare_*.py.

The published training lists follow rules that are applied again here: one folder per individual
below train/ and val/, labels = ranks of the folder names sorted as numbers, and one validation
photo of every individual with at least three photos. The published validation photos were picked
at random with an unknown seed; here the choice depends only on --seed and the individual.
"""

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from datasets.records import read_file, read_list
from utils.errors import InputError
from utils.words import first_few, shortened
from wildlife.releases.archives import File, plain, warn
from wildlife.releases.release import Release

Targets = dict[File, list[Path]]  # file of a release -> paths it is copied to
Photos = Mapping[str, File]  # base name -> photo
ListLines = dict[str, list[str]]  # name of a list -> its lines

DATA_DIR = 'Animal-2'  # DATASETS.DATA_DIR of the ymls …_ori.yml of all species
LEAST_FOR_VALIDATION = 3  # photos
# Folders below --out that these tools and remove_background make; the names are those of the ymls.
MADE = (
    DATA_DIR,
    'Animal-Seg-V3',
    'tiger/test_original',
    'tiger/tiger_test_isnet_seg',
    'val',
    'yak_test_seg_isnet_pp',
    'elephant',
    'ele_test_v3_seg',
)


@dataclass(frozen=True)
class ReleaseOptions:
    """Options of a command prepare_*.

    Attributes:
        release: Archives and folders, as downloaded or unpacked.
        out: Folder below which the photos are written.
        lists: Folder for the lists.
        like: Folder of the published lists, which are then used; None = new lists are made.
        seed: Seed of all random choices for new lists.
    """

    release: list[str]
    out: Path
    lists: Path
    like: Path | None
    seed: int


def read_release(options: ReleaseOptions, inside: str) -> Release:
    """Read the release of a command line; skip folders that these tools have made.

    Args:
        options: Options of the command line.
        inside: Pattern for the names of archives in a given folder.
    """
    return Release(options.release, inside, [options.out / folder for folder in MADE])


def training(
    individuals: Mapping[int, Collection[str]], seed: int, sides: Mapping[int, int] | None = None
) -> tuple[list[str], list[str], dict[str, str]]:
    """Make training and validation lists by the published rules.

    Args:
        individuals: Folder number -> base names of its photos.
        seed: Seed for picking the validation photos.
        sides: Folder number -> 0 (left) or 1 (right), for folders with a known side.

    Returns:
        Train lines, validation lines, and a dict from base name to path below DATA_DIR, such as
        'train/302/00002_001.jpg'.
    """
    lines: ListLines = {'train': [], 'val': []}
    paths: dict[str, str] = {}
    for label, folder in enumerate(sorted(individuals)):
        names = sorted(individuals[folder])
        validation = set()
        if len(names) >= LEAST_FOR_VALIDATION:
            validation = pick(names, 1, f'{seed} {folder}')
        side = (sides or {}).get(folder)
        for name in names:
            split = 'val' if name in validation else 'train'
            paths[name] = f'{split}/{folder}/{name}'
            lines[split].append(list_line(paths[name], label, side))
    return lines['train'], lines['val'], paths


def pick(names: Iterable[str], count: int, seed: str) -> set[str]:
    """Pick ``count`` names at random; the result depends only on the seed and the names."""
    generator = random.Random(seed)
    keys = {name: generator.random() for name in sorted(names)}
    return set(sorted(keys, key=lambda name: keys[name])[:count])


def list_line(path: str, label: int, side: int | None = None) -> str:
    """Return a line of a list, 'path label [side]'."""
    return f'{path} {label}' if side is None else f'{path} {label} {side}'


def follow(
    like: Path,
    where: Mapping[str, tuple[Photos, Path]],
    optional: Collection[str] = (),
) -> tuple[list[Targets], ListLines]:
    """Find the target paths of the photos in the published lists.

    Args:
        like: Folder of the published lists.
        where: Name of a list -> its photos, and the folder that its paths are relative to.
        optional: Names of lists that may be missing.

    Returns:
        The targets of each photo, and the lines of each list.

    Raises:
        InputError: If a list or a listed photo is missing.
    """
    needed = [name for name in where if name not in optional]
    missing = [name for name in needed if not (like / name).is_file()]
    if missing:
        raise InputError(
            f'--like {like}: missing {", ".join(missing)}; give the folder of the published '
            'lists, or run without --like to make new lists'
        )
    targets: list[Targets] = []
    lists: ListLines = {}
    for name, (photos, root) in where.items():
        path = like / name
        if path.is_file():
            paths = [record.path for record in read_list(path)]
            absent = [listed for listed in paths if _base(listed) not in photos]
            check_present(absent, len(paths), path)
            for listed in paths:
                targets.append({photos[_base(listed)]: [root / listed]})
            lists[name] = nonblank(path)
    return targets, lists


def _base(path: str) -> str:
    return plain(PurePosixPath(path).name)


def check_present(missing: Sequence[str], total: int, what: str | Path) -> None:
    """Check that the release contains all photos of a list.

    Args:
        missing: Names of the photos that it does not contain.
        total: Number of photos in the list.
        what: Name of the list.

    Raises:
        InputError: If photos are missing.
    """
    if missing:
        first = first_few([shortened(name) for name in missing])
        raise InputError(
            f'{what}: {len(missing)} of its {total} photos are not in the release '
            f'({first}); check that the download is complete'
        )


def warn_of_counts(what: str, counts: Mapping[str, tuple[int, int]]) -> None:
    """Warn if the numbers of a release differ from the official ones.

    Args:
        what: Name of the release.
        counts: Name of a number -> (found, expected).
    """
    wrong = [
        f'{found} {name} instead of {expected}'
        for name, (found, expected) in counts.items()
        if found != expected
    ]
    if wrong:
        warn(f'{what}: {", ".join(wrong)}; check that this is the right release and complete')


def nonblank(source: str | Path) -> list[str]:
    """Return the lines of a text or a file that are not blank."""
    if isinstance(source, Path):  # a file with the name of a list may contain any bytes
        content = read_file(source, 'list', f'{source}: no such list')
        text = content.decode('utf-8-sig', errors='replace')
    else:
        text = source
    return [line.rstrip() for line in text.splitlines() if line.strip()]
