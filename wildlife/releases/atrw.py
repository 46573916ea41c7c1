"""Tigers of ATRW: target folders of the photos, and lists."""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path

from datasets.animal import TRAINING_LISTS
from datasets.atrw import read_atrw
from datasets.protocols import PROTOCOLS
from utils.errors import InputError
from wildlife.releases.archives import File, plain, warn
from wildlife.releases.arrange import (
    DATA_DIR,
    ListLines,
    Photos,
    ReleaseOptions,
    Targets,
    check_present,
    follow,
    list_line,
    read_release,
    training,
    warn_of_counts,
)
from wildlife.releases.release import Release
from wildlife.releases.write import Arranged, Plan, carry_out

TRAIN_LIST, VAL_LIST = TRAINING_LISTS['tiger']
TEST_LIST, TRUTH = PROTOCOLS['tiger'].query_list, PROTOCOLS['tiger'].ground_truth
TEST_ROOT = 'tiger/test_original'
LILA = 'https://lila.science'
EVALSCRIPT = 'https://github.com/cvwc2019/ATRWEvalScript, annotations/'


def arrange_tigers(options: ReleaseOptions) -> Arranged:
    """Arrange the photos and write the lists."""
    release = read_release(options, inside='atrw_')
    train = release.photos(lambda file: file.folders[-1:] == ('train',))
    test = release.photos(lambda file: file.folders[-1:] == ('test',))
    table = release.find('reid_list_train.csv')
    truth_file = release.find(TRUTH) or _truth_beside(options)
    _check_parts(
        {
            f'atrw_reid_train.tar.gz (train/*.jpg) from {LILA}': train,
            f'atrw_anno_reid_train.tar.gz (reid_list_train.csv) from {LILA}': table,
            f'atrw_reid_test.tar.gz (test/*.jpg) from {LILA}': test,
            f'{TRUTH} from {EVALSCRIPT}': truth_file,
        }
    )
    assert table and truth_file
    entities = read_entities(release.text(table), table.name)
    check_present(sorted(entities.keys() - train.keys()), len(entities), table.name)
    test_names, truth = test_entities(release, truth_file)
    check_present([name for name in test_names if name not in test], len(test_names), TRUTH)
    _warn_of_odd_counts(entities, train, len(test_names), table.name)
    if options.like:
        targets, lists = follow_lists(options.like, options.out, entities, train, test)
    else:
        targets, lists = make_lists(options, entities, train)
    targets.append({test[name]: [options.out / TEST_ROOT / name] for name in test_names})
    lists.setdefault(TEST_LIST, [list_line(name, entity) for name, entity in test_names.items()])
    return carry_out(options, Plan('tiger', TEST_ROOT, targets, lists, {TRUTH: truth}))


def _warn_of_odd_counts(
    entities: Mapping[str, int], train: Photos, test_photos: int, table: str
) -> None:
    warn_of_counts(
        'ATRW',
        {
            'training photos': (len(entities), 1887),
            'entities': (len(set(entities.values())), 107),
            'test photos': (test_photos, 1764),
        },
    )
    if extra := train.keys() - entities.keys():
        warn(f'{len(extra)} photos in train/ are not in {table} ({min(extra)} …); they are skipped')


def follow_lists(
    like: Path, out: Path, entities: Mapping[str, int], train: Photos, test: Photos
) -> tuple[list[Targets], ListLines]:
    """Arrange the photos for the published lists."""
    to_train, to_test = (train, out / DATA_DIR), (test, out / TEST_ROOT)
    where = {TRAIN_LIST: to_train, VAL_LIST: to_train, TEST_LIST: to_test}
    targets, lists = follow(like, where, optional=(TEST_LIST,))
    for path in (line.split()[0] for line in [*lists[TRAIN_LIST], *lists[VAL_LIST]]):
        *_, folder, name = '/', *path.split('/')
        if folder != str(entity := entities.get(plain(name), folder)):
            raise InputError(
                f'--like {like}: {path} is entity {entity} in the release, but {folder} in these '
                'lists; give the lists that belong to this release'
            )
    return targets, lists


def make_lists(
    options: ReleaseOptions, entities: Mapping[str, int], train: Photos
) -> tuple[list[Targets], ListLines]:
    """Make lists of all photos by the published rules."""
    individuals: dict[int, list[str]] = {}
    for name, entity in entities.items():
        individuals.setdefault(entity, []).append(name)
    sides = {entity: entity % 3 for entity in individuals if entity % 3 < 2}
    lines, validation, paths = training(individuals, options.seed, sides)
    targets = [{train[name]: [options.out / DATA_DIR / path] for name, path in paths.items()}]
    return targets, {TRAIN_LIST: lines, VAL_LIST: validation}


def read_entities(text: str, what: str) -> dict[str, int]:
    """Read ``reid_list_train.csv``: rows ``entity,file name`` without a header.

    Args:
        text: Text of the file.
        what: Name of the file, for messages.

    Returns:
        File name -> entity.

    Raises:
        InputError: If a row has another form or contradicts another row, or the file is empty.
    """
    entities: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        row = [cell.strip() for cell in line.split(',')]  # the file has no quotes
        if not any(row):
            continue
        if len(row) != 2 or not re.fullmatch('[0-9]{1,9}', row[0]) or not row[1]:
            raise InputError(
                f"{what}:{number}: expected 'entity,file name' with a whole number, got "
                f'{",".join(row)[:100]!r}'
            )
        entity, name = int(row[0]), plain(row[1].rpartition('/')[2])
        if entities.setdefault(name, entity) != entity:
            raise InputError(
                f'{what}:{number}: {name} is entity {entity} here, but {entities[name]} in an '
                'earlier line; unpack the file again'
            )
    if not entities:
        raise InputError(f'{what}: the list is empty; unpack atrw_anno_reid_train.tar.gz again')
    return entities


def _truth_beside(options: ReleaseOptions) -> Path | None:
    """Return the ground truth beside the published lists or in the target folder, if any."""
    paths = [folder / TRUTH for folder in (options.like, options.lists) if folder]
    return next((path for path in paths if path.is_file()), None)


def _check_parts(parts: Mapping[str, object]) -> None:
    missing = [part for part, found in parts.items() if not found]
    if missing:
        raise InputError(f'parts of ATRW are missing; download and add: {"; ".join(missing)}')


def test_entities(release: Release, truth_file: File | Path) -> tuple[dict[str, int], str]:
    """Read the ground truth.

    Args:
        release: Release that may contain the file.
        truth_file: The file in the release, or its path outside.

    Returns:
        File name, such as '000012.jpg', -> entity, in the order of the ground truth; and the text
        of the file.
    """
    on_disk: contextlib.AbstractContextManager[Path]
    if isinstance(truth_file, Path):
        on_disk = contextlib.nullcontext(truth_file)
    else:
        on_disk = release.on_disk(truth_file)
    with on_disk as path:
        truth, text = read_atrw(path), path.read_text(encoding='utf-8-sig')
    return {f'{name}.jpg': record.pid for name, record in truth.items()}, text
