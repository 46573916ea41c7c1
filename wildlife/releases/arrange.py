"""Where the photos of a release go, and their lists: what the tools prepare_*.py share.

The published training lists, read closely, follow rules that are applied again here: a folder per
individual below train/ and val/, labels = ranks of the folders' names sorted as numbers, one
validation photo of every individual that has at least three. Which photo that is was drawn, and the
draw is not known; ours depends on --seed and the individual alone.
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

Targets = dict[File, list[Path]]  # where each file of a release is copied to
Photos = Mapping[str, File]  # by their base names
ListLines = dict[str, list[str]]  # by the lists' names

DATA_DIR = 'Animal-2'  # of the ymls …_ori.yml, all species
LEAST_FOR_VALIDATION = 3  # photos
MADE = (
    DATA_DIR,
    'Animal-Seg-V3',
    'tiger/test_original',
    'tiger/tiger_test_isnet_seg',
    'val',
    'yak_test_seg_isnet_pp',
    'elephant',
    'ele_test_v3_seg',
)  # below --out, from releases; what the ymls name


@dataclass(frozen=True)
class ReleaseOptions:
    """What a command prepare_* is asked for.

    Attributes:
        release: Archives and folders, as downloaded or unpacked.
        out: Folder that the photos go below.
        lists: Folder of the lists.
        like: Folder of the published lists, which are then followed; None: lists are made.
        seed: Of the draws where lists are made.
    """

    release: list[str]
    out: Path
    lists: Path
    like: Path | None
    seed: int


def read_release(options: ReleaseOptions, inside: str) -> Release:
    """Read the release of a command line, without what the tools made of this or another one.

    Args:
        options: of the command line.
        inside: pattern of the archives' names in a folder.
    """
    return Release(options.release, inside, [options.out / folder for folder in MADE])


def training(
    individuals: Mapping[int, Collection[str]], seed: int, sides: Mapping[int, int] | None = None
) -> tuple[list[str], list[str], dict[str, str]]:
    """Make training and validation lists by the published rules.

    Args:
        individuals: folder number -> base names of its photos.
        seed: of the draw of the validation photos.
        sides: folder number -> 0 (left) or 1 (right), of those that are known.

    Returns:
        Train lines, validation lines, and base name -> 'train/302/00002_001.jpg' below DATA_DIR.
    """
    lines: ListLines = {'train': [], 'val': []}
    paths: dict[str, str] = {}
    for label, folder in enumerate(sorted(individuals)):
        names = sorted(individuals[folder])
        drawn = set()
        if len(names) >= LEAST_FOR_VALIDATION:
            drawn = draw(names, 1, f'{seed} {folder}')
        side = (sides or {}).get(folder)
        for name in names:
            split = 'val' if name in drawn else 'train'
            paths[name] = f'{split}/{folder}/{name}'
            lines[split].append(list_line(paths[name], label, side))
    return lines['train'], lines['val'], paths


def draw(names: Iterable[str], count: int, seed: str) -> set[str]:
    """Draw ``count`` of the names; the result depends on the seed and the names alone."""
    generator = random.Random(seed)
    lots = {name: generator.random() for name in sorted(names)}
    return set(sorted(lots, key=lambda name: lots[name])[:count])


def list_line(path: str, label: int, side: int | None = None) -> str:
    """Return 'path label [side]'."""
    return f'{path} {label}' if side is None else f'{path} {label} {side}'


def follow(
    like: Path,
    where: Mapping[str, tuple[Photos, Path]],
    optional: Collection[str] = (),
) -> tuple[list[Targets], ListLines]:
    """Find where the photos of the published lists go.

    Args:
        like: folder of the published lists.
        where: name of a list -> its photos, and the folder that its paths are relative to.
        optional: names of lists that may be missing.

    Returns:
        The targets of each photo, and the lines of each list.

    Raises:
        InputError: a list or a listed photo is missing.
    """
    needed = [name for name in where if name not in optional]
    missing = [name for name in needed if not (like / name).is_file()]
    if missing:
        are = 'is' if len(missing) == 1 else 'are'
        raise InputError(
            f'--like {like}: {", ".join(missing)} {are} not there; '
            'give the folder of the published lists, or leave --like out for lists of our own'
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
    """Raise ``InputError`` that names photos of a list which the release does not hold."""
    if missing:
        first = first_few([shortened(name) for name in missing])
        raise InputError(
            f'{what}: {len(missing)} of its {total} photos are not in the release '
            f'({first}); is a part of the download missing?'
        )


def warn_of_counts(what: str, counts: Mapping[str, tuple[int, int]]) -> None:
    """Warn where a release has other numbers than its makers state: no reason to stop.

    Args:
        what: the release.
        counts: name -> (found, expected).
    """
    wrong = [
        f'{found} {name} instead of {expected}'
        for name, (found, expected) in counts.items()
        if found != expected
    ]
    if wrong:
        warn(f'{what}: {", ".join(wrong)}; is the download whole, and this release?')


def nonblank(source: str | Path) -> list[str]:
    """Return the lines of a text or a file that are not blank."""
    if isinstance(source, Path):  # anything may lie under a list's name
        content = read_file(source, 'list', f'{source}: no such list')
        text = content.decode('utf-8-sig', errors='replace')
    else:
        text = source
    return [line.rstrip() for line in text.splitlines() if line.strip()]
