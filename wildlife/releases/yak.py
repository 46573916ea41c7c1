"""Yaks of YakReID-103: target folders of the photos, and lists."""

import re
from pathlib import Path, PurePosixPath

from datasets.animal import TRAINING_LISTS
from datasets.protocols import PROTOCOLS
from utils.errors import InputError
from wildlife.releases.archives import File, warn
from wildlife.releases.arrange import (
    DATA_DIR,
    ListLines,
    Photos,
    ReleaseOptions,
    Targets,
    follow,
    list_line,
    pick,
    read_release,
    training,
    warn_of_counts,
)
from wildlife.releases.write import Arranged, Plan, carry_out

TRAIN_LIST, VAL_LIST = TRAINING_LISTS['yak']
HARD = (PROTOCOLS['yak'].query_list, PROTOCOLS['yak'].gallery_list)
SIMPLE = (PROTOCOLS['s_yak'].query_list, PROTOCOLS['s_yak'].gallery_list)
TEST_ROOT = 'val'
# Photos in the published lists; the hard test is a subset of the simple one.
SIMPLE_PHOTOS, HARD_PHOTOS = 843, 433
OFFSET = 300  # added to a yak's number to get its folder
RENUMBERED = {183: 90}  # photos 00183_* are in the published folder of yak 90
LAST_RIGHT = 103  # yaks with numbers up to this one show the right flank, the others the left one
LEFT = {85, 88, 96}  # the exceptions: these show the left flank
ASK = 'or ask the authors of YakReID-103 (IJCB 2021, IEEE 9484341)'


def arrange_yaks(options: ReleaseOptions) -> Arranged:
    """Arrange the photos and write the lists."""
    release = read_release(options, inside='ijcb|yak')
    train = release.photos(lambda file: _split(file) == 'train')
    test = release.photos(lambda file: _split(file) == 'test')
    if not train or not test:
        missing = ' and '.join(
            name for name, photos in (('train', train), ('hard-test/val', test)) if not photos
        )
        raise InputError(
            f"photos of {missing} in YakReID-103 are missing; give the folder 'IJCB 2021' or its "
            f'archive, {ASK}'
        )
    is_hard = len(test) <= HARD_PHOTOS
    warn_of_counts(
        'YakReID-103',
        {
            'training photos': (len(train), 1404),
            'test photos': (len(test), HARD_PHOTOS if is_hard else SIMPLE_PHOTOS),
        },
    )
    if is_hard:
        warn(
            f'{len(test)} test photos are too few for the simple test ({SIMPLE_PHOTOS} photos), so '
            f'they are taken for the hard test ({HARD_PHOTOS} photos); {SIMPLE[0]} and {SIMPLE[1]} '
            'are not made'
        )

    if options.like:
        targets, lists = follow_lists(options.like, options.out, train, test)
    else:
        targets, lists = make_lists(options, train, test)
    return carry_out(options, Plan('yak', TEST_ROOT, targets, lists, {}))


def follow_lists(
    like: Path, out: Path, train: Photos, test: Photos
) -> tuple[list[Targets], ListLines]:
    """Arrange the photos for the published lists."""
    is_hard = len(test) <= HARD_PHOTOS
    tests = HARD if is_hard else HARD + SIMPLE
    where: dict[str, tuple[Photos, Path]] = {}
    where |= dict.fromkeys((TRAIN_LIST, VAL_LIST), (train, out / DATA_DIR))
    where |= dict.fromkeys(tests, (test, out / TEST_ROOT))
    has_hard = is_hard or any((like / name).is_file() for name in HARD)
    targets, lists = follow(like, where, optional=SIMPLE if has_hard else HARD)
    if not has_hard:
        warn(f'{like} has no {HARD[0]} and {HARD[1]}; test with DATASETS.SPECIES s_yak')
    return targets, lists


def make_lists(
    options: ReleaseOptions, train: Photos, test: Photos
) -> tuple[list[Targets], ListLines]:
    """Make lists of all photos by the published rules."""
    is_hard = len(test) <= HARD_PHOTOS
    query, gallery = HARD if is_hard else SIMPLE
    individuals, sides = by_folder(train)
    lists: ListLines = {}
    lists[TRAIN_LIST], lists[VAL_LIST], train_paths = training(individuals, options.seed, sides)
    test_paths, lists[query], lists[gallery] = halves(test, len(individuals) + 1, options.seed)
    train_root, test_root = options.out / DATA_DIR, options.out / TEST_ROOT
    targets = [
        {train[name]: [train_root / path] for name, path in train_paths.items()},
        {test[name]: [test_root / path] for name, path in test_paths.items()},
    ]
    if not is_hard:
        warn(
            f'{HARD[0]} and {HARD[1]} cannot be made without --like, because it is unknown what '
            'makes a photo hard; test with DATASETS.SPECIES s_yak'
        )
    return targets, lists


def by_folder(photos: Photos) -> tuple[dict[int, list[str]], dict[int, int]]:
    """Group training photos by the number of their target folder.

    Returns:
        Folder -> names, and folder -> side, 0 (left) or 1 (right).
    """
    individuals: dict[int, list[str]] = {}
    sides: dict[int, int] = {}
    taken = {yak_number(file) for file in photos.values()}
    for name, file in photos.items():
        number = yak_number(file)
        if number in RENUMBERED and RENUMBERED[number] not in taken:
            number = RENUMBERED[number]
        individuals.setdefault(number + OFFSET, []).append(name)
        own_number = _number_in(name)
        sides[number + OFFSET] = _side(number if own_number is None else own_number)
    return individuals, sides


def halves(
    photos: Photos, first_label: int, seed: int
) -> tuple[dict[str, str], list[str], list[str]]:
    """Make a test: half of the photos of each yak, rounded down, become queries.

    Args:
        photos: Test photos.
        first_label: Label of the yak with the smallest number.
        seed: Seed for picking the queries.

    Returns:
        Name -> path below the test root, query lines, gallery lines.
    """
    yaks: dict[int, list[str]] = {}
    for name, file in photos.items():
        yaks.setdefault(yak_number(file), []).append(name)
    paths: dict[str, str] = {}
    query: list[str] = []
    gallery: list[str] = []
    for label, number in enumerate(sorted(yaks), start=first_label):
        queries = pick(yaks[number], len(yaks[number]) // 2, f'{seed} {number} query')
        for name in sorted(yaks[number]):
            paths[name] = f'{number}/{name}'
            (query if name in queries else gallery).append(list_line(paths[name], label))
    return paths, query, gallery


def yak_number(file: File) -> int:
    """Return the number of the photo's folder, or else the number at the start of its name.

    Raises:
        InputError: If there is neither.
    """
    folder = file.folders[-1] if file.folders else ''
    if folder.isascii() and folder.isdigit():
        return int(folder)
    number = _number_in(file.base)
    if number is None:
        raise InputError(
            f'{file.source}: {file.name} is not in a numbered folder, and its name does not start '
            "with a number ('1/00001_012.jpg'); give the release with its original names"
        )
    return number


def _number_in(name: str) -> int | None:
    found = re.match(r'([0-9]{1,9})_', PurePosixPath(name).name)
    return int(found[1]) if found else None


def _side(number: int) -> int:
    return 1 if number <= LAST_RIGHT and number not in LEFT else 0


def _split(file: File) -> str | None:
    """Return 'train', 'test' or None, by the innermost folder whose name decides it."""
    for folder in reversed(file.folders):
        if folder.lower() == 'train':
            return 'train'
        if folder.lower() == 'val' or 'test' in folder.lower():
            return 'test'
    return None
