"""What the three tools prepare_*.py share: photos into the folders that the ymls name, lists under
the published names.

The published training lists, read closely, follow rules that are applied again here: a folder per
individual below train/ and val/, labels = ranks of the folders' names sorted as numbers, one
validation photo of every individual that has at least three. Which photo that is was drawn, and the
draw is not known; ours depends on --seed and the individual alone.
"""

import argparse
import random
import re
import shlex
from pathlib import Path, PurePosixPath

from configs.command_line import path_text, path_value
from datasets.animal import TRAINING_LISTS
from datasets.records import read_file, read_list
from utils.errors import InputError
from utils.files import atomic_write, writing
from wildlife.releases.archives import Release, copy_files, plain, warn

DATA_DIR = 'Animal-2'  # of the ymls …_ori.yml, all species
LEAST_FOR_VALIDATION = 3  # photos
SPECIES = (
    'tiger',
    'yak',
    'elephant',
)  # their folders' numbers do not meet: 0–274, 302–481, 500–921
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


def arguments(argv, description):
    """The command line of a tool: release, out, lists, like, seed."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        'release',
        type=path_text,
        nargs='+',
        metavar='ARCHIVE_OR_FOLDER',
        help='as downloaded, or what it was unpacked to',
    )
    parser.add_argument(
        '--out',
        type=path_value,
        default='../data',
        help='the photos go below it, where …_ori.yml look [../data]',
    )
    parser.add_argument(
        '--lists', type=path_value, default='datalist', help='folder of the lists [datalist]'
    )
    parser.add_argument(
        '--like',
        type=path_value,
        metavar='FOLDER',
        help='has the published lists: the photos are arranged for these, and none is drawn',
    )
    parser.add_argument(
        '--seed', type=int, default=1234, help='of what has to be drawn without --like'
    )
    return parser.parse_intermixed_args(argv)


def read_release(args, inside):
    """The ``Release`` of a command line, without what the tools made of this or another one."""
    return Release(args.release, inside, [args.out / folder for folder in MADE])


def training(individuals, seed, sides=None):
    """Training and validation lists by the published rules.

    individuals: folder number -> base names of its photos. sides: folder number -> 0 (left), 1
    (right) or None.

    Returns (train lines, validation lines, paths); paths: base name -> 'train/302/00002_001.jpg',
    below DATA_DIR.
    """
    lines, paths = {'train': [], 'val': []}, {}
    for label, folder in enumerate(sorted(individuals)):
        names = sorted(individuals[folder])
        drawn = draw(names, 1, f'{seed} {folder}') if len(names) >= LEAST_FOR_VALIDATION else ()
        side = (sides or {}).get(folder)
        for name in names:
            split = 'val' if name in drawn else 'train'
            paths[name] = f'{split}/{folder}/{name}'
            lines[split].append(list_line(paths[name], label, side))
    return lines['train'], lines['val'], paths


def draw(names, count, seed):
    """A set of ``count`` of the names; it depends on the seed (a text) and the names alone."""
    generator = random.Random(seed)
    lots = {name: generator.random() for name in sorted(names)}
    return set(sorted(lots, key=lots.get)[:count])


def list_line(path, label, side=None):
    return f'{path} {label}' if side is None else f'{path} {label} {side}'


def follow(args, where, optional=()):
    """Where the photos of the published lists in ``args.like`` go.

    where: name of a list -> (photos, root); photos: base name -> ``File``, root: the folder that
    its paths are relative to.
    optional: names of those that may be missing.

    Returns ([{``File``: [paths]}], {name: lines}). Raises ``InputError`` where a list or a listed
    photo is not there.
    """
    missing = [name for name in where if name not in optional and not (args.like / name).is_file()]
    if missing:
        raise InputError(
            f'--like {args.like}: {", ".join(missing)} {"is" if len(missing) == 1 else "are"} '
            'not there; '
            'give the folder of the published lists, or leave --like out for lists of our own'
        )
    targets, lists = [], {}
    for name, (photos, root) in where.items():
        path = args.like / name
        if path.is_file():
            paths = [record.path for record in read_list(path)]
            check_present(
                [listed for listed in paths if _base(listed) not in photos], len(paths), path
            )
            for listed in paths:
                targets.append({photos[_base(listed)]: [root / listed]})
            lists[name] = nonblank(path)
    return targets, lists


def _base(path):
    return plain(PurePosixPath(path).name)


def check_present(missing, total, what):
    """``InputError`` that counts and names photos of a list which the release does not hold."""
    if missing:
        first = ', '.join(name if len(name) <= 100 else f'{name[:100]}…' for name in missing[:3])
        raise InputError(
            f'{what}: {len(missing)} of its {total} photos are not in the release '
            f'({first}{" …" if len(missing) > 3 else ""}); is a part of the download missing?'
        )


def warn_of_counts(what, counts):
    """counts: name -> (found, expected). The expected ones are the makers' own, or from memory: no
    reason to stop.
    """
    wrong = [
        f'{found} {name} instead of {expected}'
        for name, (found, expected) in counts.items()
        if found != expected
    ]
    if wrong:
        warn(f'{what}: {", ".join(wrong)}; is the download whole, and this release?')


def carry_out(args, species, test_root, targets, lists, extra=()):
    """Write photos and lists, and the lists of all species together once there are those of all
    three.

    Nothing is written where a list of another text is there already, nor an empty list. species:
    whose ymls to train with.
    test_root: of the test photos, below args.out. targets: {``File``: [paths]}, one or more. lists:
    name -> lines. extra: name -> text of other files for the lists' folder.

    Returns {'lists': lists, 'written': photos written, 'kept': photos that were there}.
    """
    if empty := [name for name, lines in lists.items() if not lines]:
        warn(f'too few photos an individual: nothing for {" and ".join(empty)}, not written')
    lists = {name: lines for name, lines in lists.items() if lines}
    texts = {name: '\n'.join(lines) + '\n' for name, lines in lists.items()} | dict(extra)
    for name, text in texts.items():
        _check_same(args.lists / name, text)
    written, kept = copy_files(_merged(targets), species)
    with writing(args.lists):
        args.lists.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        _write_new(args.lists / name, text)
    try:
        for name, text in _lists_of_all(args.lists).items():
            _write_new(path := args.lists / name, text)
            if sorted(nonblank(path)) != sorted(nonblank(text)):
                warn(
                    f'{path} does not hold the same photos as the lists of {", ".join(SPECIES)} '
                    'beside it; it is left as it '
                    'is'
                )
    except InputError as error:
        warn(f'{error}; so {" and ".join(TRAINING_LISTS["all"])}, of all species, are not made')
    print(f'{args.out}: {written} photos written, {kept} were there')
    for name, lines in lists.items():
        print(f'{args.lists / name}: {len(lines)} photos')
    print(
        'next: python train_clipreid.py --config_file '
        f'configs/{species}/cnn_clipreid_ori.yml{_overrides(args, test_root)}'
    )
    return {'lists': lists, 'written': written, 'kept': kept}


def _merged(targets):
    """One dict of several, each path from one file only."""
    merged, owner = {}, {}
    for part in targets:
        for file, paths in part.items():
            for path in paths:
                if owner.setdefault(path, file) != file:
                    raise InputError(
                        f'{path}: both {owner[path].name} and {file.name} would go there; give '
                        'one release only'
                    )
                if path not in merged.setdefault(file, []):
                    merged[file].append(path)
    return merged


def _check_same(path, text):
    if path.exists() and nonblank(path) != nonblank(text):
        raise InputError(
            f'{path} is there and says otherwise; add --like {shlex.quote(str(path.parent))} to '
            'arrange the '
            'photos for it, give another folder as --lists, or move it away'
        )


def _write_new(path, text):
    if not path.exists():
        with atomic_write(path) as file:
            file.write(text)


def nonblank(source):
    """Those of a text or of a file that are not blank."""
    text = source
    if isinstance(source, Path):  # anything may lie under a list's name
        text = read_file(source, 'list', f'{source}: no such list').decode(
            'utf-8-sig', errors='replace'
        )
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def _lists_of_all(folder):
    """The lists of all species as texts, labelled by the ranks of all folders, if the lists of all
    three are there.

    Raises ``InputError`` where one of them, the user's own, is not of this kind."""
    if not all(
        (folder / name).is_file() for species in SPECIES for name in TRAINING_LISTS[species]
    ):
        return {}
    species_of, parts = {}, ([], [])
    for species in SPECIES:
        for name, part in zip(TRAINING_LISTS[species], parts, strict=True):
            for record in read_list(folder / name):
                number = _folder_number(record.path, folder / name)
                if species_of.setdefault(number, species) != species:
                    raise InputError(
                        f'{folder / name}: folder {number} of {record.path} is one of '
                        f'{species_of[number]} too'
                    )
                part.append((number, record))
    rank = {
        number: label for label, number in enumerate(sorted({number for number, _ in parts[0]}))
    }
    if strangers := {number for number, _ in parts[1]} - rank.keys():
        raise InputError(
            f'{folder}: individual {min(strangers)} of the validation lists is in no training list'
        )
    return {
        name: ''.join(
            list_line(record.path, rank[number], record.side) + '\n' for number, record in part
        )
        for name, part in zip(TRAINING_LISTS['all'], parts, strict=True)
    }


def _folder_number(path, where):
    found = re.fullmatch('[^/]+/([0-9]{1,9})/.+', path)
    if not found:
        raise InputError(f"{where}: {path} is not in a numbered folder ('train/302/….jpg')")
    return int(found[1])


def _overrides(args, test_root):
    """What the command line must say where the folders are not those of the ymls."""
    said = []
    if args.lists != Path('datalist'):
        said += ['DATASETS.LIST_DIR', str(args.lists)]
    if args.out != Path('../data'):
        said += [
            'DATASETS.ROOT_DIR',
            str(args.out),
            'DATASETS.TEST_ROOT_DIR',
            str(args.out / test_root),
        ]
    return ''.join(f' {shlex.quote(word)}' for word in said)
