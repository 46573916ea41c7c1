"""Make split lists, two ymls and a report of photos of any animal: python -m tools.make_lists
PHOTOS --out datalist/nyala

PHOTOS is one of
    a folder           with a folder of photos for each individual (--identity-level where there are
    folders in between) a .csv or .tsv     wildlife-datasets, Wildbook bulk import and others: usual
    column names, or --column identity=Name a COCO-style .json whose annotations, their attributes
    or categories name the individual a Camtrap DP       its folder, datapackage.json, media.csv or
    observations.csv

--protocol says who is tested: disjoint (the default) = animals that were never trained on; closed =
other encounters of the animals trained on; date, with --split-date = what was seen from that day
on; given = as the source says. An encounter (given; else the photos of a camera of one day, or less
than an hour apart) is never cut in two. In the folder --out afterwards:

    train.txt val.txt query.txt gallery.txt   path, label, side (0 left, 1 right), camera,
    encounter; - = unknown cnn_clipreid.yml vit_clipreid.yml         for train_clipreid.py and the
    tests, from the project's folder report.html report.json photos.csv        what was read,
    decided, left out; which label is who; where each photo went photos/
    where boxes are to be cut out or cameras were turned: prepared copies

Originals are only read. The same photos, options and --seed give the same lists, in whatever order
rows or folders are listed.
"""

import argparse
import math
import os
import random
import re
import sys
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from statistics import median

from configs import ConfigError
from configs.command_line import path_text, path_value
from datasets.images import read_image
from datasets.protocols import PROTOCOLS
from datasets.records import counts_table
from datasets.sampler import choose_batch
from utils.errors import InputError, exit_code
from utils.files import atomic_write, write_json, writing
from utils.logger import progress
from wildlife import photos as list_photos
from wildlife.lists import report as list_report
from wildlife.lists import splits as list_splits
from wildlife.lists.columns import MEANINGS
from wildlife.lists.records import TESTS, choose_test, make_records
from wildlife.lists.sources import read_source
from wildlife.lists.yml import (
    INDIVIDUALS,
    INSTANCES,
    SIZE,
    commands,
    fitting_size,
    from_project,
    load_text,
    yml_text,
)
from wildlife.words import counted, is_plain

LISTS = ('train', 'val', 'query', 'gallery')
YMLS = {'cnn': 'cnn_clipreid.yml', 'vit': 'vit_clipreid.yml'}
FILES = (
    *(f'{name}.txt' for name in LISTS),
    'photos.csv',
    'report.json',
    'report.html',
    *YMLS.values(),
)


def main(argv=None):
    """Read, decide, and only then write. Returns what report.json holds."""
    args = _parse(argv)
    _check_options(args)
    _check_names(args.out, args.photos_out)
    _see_out(args.out, args.force)
    source = read_source(
        args.source,
        args.photos,
        args.column,
        args.name_pattern,
        args.identity_level,
        args.date_format,
        args.species,
        args.skip_bad,
        args.box_format,
    )
    _check_names(source.root)
    individuals = {sighting.identity for sighting in source.sightings}
    photos_read = len(source.sightings)
    headers = _read_headers(source, args)
    changes = _find_changes(source, headers, args)
    _leave_out(source, args)

    names = [sighting.path for sighting in source.sightings]
    prepared = (
        args.prepare
        or any(changes[sighting] for sighting in source.sightings)
        or not all(map(list_photos.listable, names))
    )
    folder = args.photos_out if prepared else source.root  # of the listed photos
    if prepared:
        names = [
            list_photos.prepared_name(sighting.path, changes[sighting])
            for sighting in source.sightings
        ]
    _see_names(source, names, folder if prepared else None)

    split = _split(
        list_splits.make_photos(
            source.sightings, names, args.sides, args.encounters, args.encounter_minutes
        ),
        args,
    )
    records, labels = make_records(split)
    trained = [record.pid for record in records['train']]
    sizes = [
        list_photos.prepared_size(headers[sighting.path], changes[sighting])
        for sighting in source.sightings
    ]
    shape = median(width / height for width, height in sizes)
    test, found, notes = choose_test(records, args.test_protocol)
    tested = {record.path for record in records['query'] + records['gallery']}
    ymls = {
        kind: yml_text(
            kind, args.out, folder, args.name, trained, len(tested), records, test, shape
        )
        for kind in YMLS
    }
    cfg, _ = [load_text(text, args.out) for text in ymls.values()]
    facts = {
        'name': args.name,
        'source': {
            'path': args.source,
            'kind': source.kind,
            'photos': photos_read,
            'individuals': len(individuals),
            'columns': source.columns,
            'unused_columns': source.unused,
            'photos_folder': from_project(folder),
        },
        'options': {
            name: str(value) if isinstance(value, Path | datetime) else value
            for name, value in vars(args).items()
        },
        'protocol': {
            'split': args.protocol,
            'test': test,
            'text': PROTOCOLS[test].text,
            'queries_with_positive': found,
        },
        'splits': {name: list_report.split_facts(photos) for name, photos in split.parts().items()},
        'labels': labels,
        'notes': source.notes + split.notes + notes + _yml_notes(trained, shape),
        'left_out': dict(
            Counter(row[3] for row in source.left_out + _left_out(split)).most_common()
        ),
        'commands': commands(args.out, cfg),
    }

    with writing(args.out):
        for (
            name
        ) in YMLS.values():  # whatever stops this now, no yml is there that would use half of it
            (args.out / name).unlink(missing_ok=True)
    if prepared:
        listed = {photo.path: photo.sighting for part in split.parts().values() for photo in part}
        list_photos.prepare_all(
            folder,
            {
                path: (source.root / sighting.path, changes[sighting])
                for path, sighting in listed.items()
            },
        )
    _write(args.out, folder, source, split, records, facts, ymls)
    _tell(args.out, facts, records)
    return facts


# ---------------------------------------------------------------- options


def _parse(argv):
    parser = argparse.ArgumentParser(
        description='Make split lists, ymls and a report of photos of any animal.',
        epilog='More in the head of tools/make_lists.py and in docs/your_own_animals.md.',
    )
    parser.add_argument(
        'source', type=path_text, help='folder, .csv, .tsv, COCO .json or Camtrap DP'
    )
    parser.add_argument(
        '--out',
        type=path_value,
        required=True,
        help='folder of the lists, made where missing, named as the species',
    )
    parser.add_argument(
        '--name', default='', help='of the species, where it is not the name of --out'
    )
    parser.add_argument(
        '--force', action='store_true', help='replace the lists of an earlier run in --out'
    )

    read = parser.add_argument_group('what is read').add_argument
    read(
        '--photos',
        type=path_text,
        default='',
        help="folder of a table's photos, where they are not beside it",
    )
    read(
        '--column',
        action='append',
        default=[],
        metavar='MEANING=COLUMN',
        help=(
            'which column is which, repeatable; MEANING= ignores it. Meanings: '
            f'{", ".join(MEANINGS)}'
        ),
    )
    read(
        '--name-pattern',
        default='',
        metavar='REGEX',
        help=r"facts in the photos' paths, as '/(?P<encounter>\d+)_(?P<side>left|right)'; "
        r'groups: identity, side, camera, '
        'date, encounter, split',
    )
    read(
        '--identity-level',
        type=int,
        help='folder that names the individual: 1 = first below the source, -1 = last above the '
        'photo (the default, unless '
        'that looks wrong)',
    )
    read('--species', default='', help='only rows of this species')
    read(
        '--date-format',
        default='',
        help="how dates are written, as '%%d/%%m/%%Y %%H:%%M'; by default they are recognised",
    )
    read(
        '--exif-dates',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='take the date from the photo where nothing else tells it',
    )
    read(
        '--skip-bad',
        action='store_true',
        help='leave out, and count, photos that are missing, broken or contradictory, and '
        'impossible boxes; decodes all '
        'photos, which takes long',
    )

    who = parser.add_argument_group('who is told apart, and what an encounter is').add_argument
    who(
        '--sides',
        choices=('together', 'separate'),
        default='together',
        help='separate = the left and the right of an animal are two identities',
    )
    who(
        '--encounters',
        choices=('shared', 'own'),
        default='shared',
        help="own = an encounter is one individual's only",
    )
    who(
        '--encounter-minutes',
        type=float,
        default=0.0,
        help='photos of a camera less than so many minutes apart are an encounter; default: a '
        "camera's photos of one day, or "
        'less than an hour apart',
    )
    who('--min-photos', type=int, default=1, help='leave out individuals with fewer')

    split = parser.add_argument_group('splits').add_argument
    split(
        '--protocol',
        choices=('disjoint', 'closed', 'date', 'given'),
        default='',
        help='default: disjoint, or date with --split-date',
    )
    split(
        '--split-date', default='', metavar='YYYY-MM-DD', help='train before, test from that day on'
    )
    split(
        '--test-share',
        type=float,
        default=0.3,
        help='disjoint: of the individuals; closed: of the encounters of each; 0.3',
    )
    split(
        '--val-share',
        type=float,
        default=0.1,
        help='of the train photos, for validation; 0 = none; 0.1',
    )
    split(
        '--test-protocol',
        choices=TESTS,
        default='',
        help=(
            'what a query is compared with; default: cross-encounter where encounters are '
            'known, else all'
        ),
    )
    split('--seed', type=int, default=1234)

    photos = parser.add_argument_group('photos').add_argument
    photos(
        '--margin',
        type=float,
        default=0.05,
        help="around boxes, on each side, as a share of the box's size; 0.05",
    )
    photos(
        '--box-format',
        choices=('xywh', 'xyxy'),
        default='',
        help=(
            'xyxy = boxes are two corners; by default the names of their columns tell, else '
            'left, top, width, height'
        ),
    )
    photos(
        '--boxes',
        choices=('auto', 'upright', 'stored'),
        default='auto',
        help='picture that boxes are meant in: turned upright by EXIF, as stored, or (auto) '
        'upright unless the size in a '
        'COCO file fits the stored one only',
    )
    photos(
        '--prepare', action='store_true', help='make prepared copies even where no photo needs it'
    )
    photos(
        '--photos-out',
        type=path_value,
        help='folder of the prepared copies; default: photos in --out',
    )
    return parser.parse_args(argv)


def _check_options(args):
    """Refuse what cannot be, and fill in what follows from other options."""
    for name, low, high in (
        ('test_share', 0, 1),
        ('val_share', 0, 0.5),
        ('margin', 0, 10),
        ('encounter_minutes', 0, 10**9),
        ('min_photos', 1, 10**9),
        ('seed', 0, 2**63),
    ):
        value = getattr(args, name)
        if not (math.isfinite(value) and low <= value <= high):
            raise InputError(
                f'--{name.replace("_", "-")} {value:g} must lie between {low:g} and {high:g}'
            )
    if args.test_share in (0, 1):
        raise InputError(
            f'--test-share {args.test_share:g} must leave something to train on and something to '
            'test'
        )
    if args.identity_level == 0:
        raise InputError(
            '--identity-level 0: 1 is the first folder below the source, -1 the last above the '
            'photo'
        )
    if args.split_date and args.protocol not in ('', 'date'):
        raise InputError(
            f'--split-date and --protocol {args.protocol} contradict; leave one of them out'
        )
    if args.protocol == 'date' and not args.split_date:
        raise InputError('--protocol date needs the day: --split-date 2023-01-31')
    args.protocol = args.protocol or ('date' if args.split_date else 'disjoint')
    try:
        args.split_date = args.split_date and datetime.strptime(args.split_date, '%Y-%m-%d')
    except ValueError:
        raise InputError(
            f"--split-date '{args.split_date}' is no day; write it as 2023-01-31"
        ) from None
    args.name = args.name or args.out.resolve().name
    if not re.fullmatch(r'\w[\w .+-]*', args.name):
        raise InputError(
            f"--name '{args.name}' must begin with a letter or digit and hold letters, digits, "
            'blanks, . + - only'
        )
    args.photos_out = args.photos_out or args.out / 'photos'
    args.column = _columns(args.column)


def _columns(pairs):
    """{meaning: column} of --column."""
    columns = {}
    for pair in pairs:
        meaning, sign, column = pair.partition('=')
        if not sign or meaning not in MEANINGS:
            raise InputError(
                f"--column '{pair}': write MEANING=COLUMN, with one of the meanings "
                f'{", ".join(MEANINGS)}'
            )
        columns[meaning] = column.strip()
    return columns


def _check_names(*folders):
    """A yml must be able to name them."""
    for folder in map(os.path.realpath, folders):
        if not is_plain(folder):
            raise InputError(
                f'{ascii(folder)}: a folder whose name is no UTF-8 text or has a line break '
                'cannot be written '
                'into the ymls; rename it'
            )


def _see_out(out, force):
    if out.exists() and not out.is_dir():
        raise InputError(f'--out {out} is a file; name a folder')
    there = [name for name in FILES if (out / name).exists()]
    if there and not force:
        raise InputError(
            f'{out} already holds {", ".join(there[:3])}{" …" if there[3:] else ""}; choose '
            'another --out, or '
            '--force to replace them'
        )


# ---------------------------------------------------------------- photos


def _read_headers(source, args):
    """{path: Header} of all photos; their dates where they are wanted. Broken photos are refused:
    those that will be cut or turned before anything is written, others only with --skip-bad, as
    decoding takes long.
    """
    headers, kept, dated = {}, [], set()
    for sighting in progress(source.sightings, 'photos'):
        path = source.root / sighting.path
        try:
            if sighting.path not in headers:
                header = list_photos.read_header(path)
                if args.skip_bad or sighting.box or header.orientation != 1:
                    read_image(path)
                headers[sighting.path] = header
        except InputError as error:
            source.refuse(sighting, 'broken photo', f'{sighting.row}{error}')
            continue
        taken = headers[sighting.path].date
        if args.exif_dates and taken and not sighting.date:
            sighting = replace(sighting, date=taken.replace(tzinfo=None))
            dated.add(sighting.path)
        kept.append(sighting)
    source.sightings = kept
    if dated:
        source.columns.setdefault('date', 'EXIF')
        source.notes.append(
            f'date: of {counted(len(dated), "photo")} from the file (EXIF), where the camera '
            'wrote it; '
            '--no-exif-dates leaves it unknown'
        )
    return headers


def _find_changes(source, headers, args):
    """{sighting: Change or None}; boxes that cannot be are refused."""
    changes, boxes, beyond = {}, 0, 0
    for sighting in source.sightings:
        header, listed_size = headers[sighting.path], source.sizes.get(sighting.path)
        try:
            changes[sighting] = list_photos.find_change(
                sighting.box, header, args.margin, source.shares, args.boxes, listed_size
            )
        except ValueError as error:
            source.refuse(
                sighting, 'impossible box', f"{sighting.where}: '{sighting.path}': {error}"
            )
            continue
        if sighting.box:
            boxes += 1
            beyond += list_photos.is_beyond(
                sighting.box, header.box_size(args.boxes, listed_size)[0], source.shares
            )
    if beyond:
        source.notes.append(
            f'{beyond} of {counted(boxes, "box")} reach more than 5 % beyond the photo and are '
            'clipped: are '
            'these x1 y1 x2 y2 (--box-format xyxy), or of the picture before it was turned '
            '(--boxes stored)?'
        )
    source.sightings = list(changes)
    return changes


def _leave_out(source, args):
    """What options leave out before anything is split."""

    def identity(sighting):
        return sighting.identity, sighting.side if args.sides == 'separate' else None

    if args.sides == 'separate' and all(sighting.side is None for sighting in source.sightings):
        raise InputError(
            f'--sides separate: none of {counted(len(source.sightings), "photo")} has a known '
            'side; tell it by '
            "--column side=… or --name-pattern '(?P<side>left|right)'"
        )
    sizes = Counter(map(identity, source.sightings))
    kept = []
    for sighting in source.sightings:
        if args.sides == 'separate' and sighting.side is None:
            source.leave_out(sighting, 'side unknown (--sides separate)')
        elif sizes[identity(sighting)] < args.min_photos:
            source.leave_out(sighting, f'individual with fewer than {args.min_photos} photos')
        else:
            kept.append(sighting)
    if not kept:
        raise InputError(
            f'no photo is left with --sides {args.sides} and --min-photos {args.min_photos}; no '
            'individual has '
            f'more than {max(sizes.values(), default=0)}'
        )
    source.sightings = kept


def _see_names(source, names, prepared):
    """No two photos of one name; and, where photos are prepared, a folder that may be used for
    it.
    """
    first = {}
    for sighting, name in zip(source.sightings, names):
        other = first.setdefault(name, sighting)
        if other is not sighting:
            raise InputError(
                f'{sighting.where} and {other.where}: two photos or boxes would both be '
                f"'{name}'; make the boxes "
                'differ, or rename one of the photos'
            )
    if prepared:
        list_photos.see_folder(
            prepared, {source.root / sighting.path for sighting in source.sightings}
        )
        if source.kind == 'folder' and prepared.resolve().is_relative_to(source.root.resolve()):
            raise InputError(
                f'{prepared}: below {source.root}, prepared photos would be read as photos the '
                'next time; choose '
                'another --out or --photos-out'
            )


# ---------------------------------------------------------------- splits


def _split(photos, args):
    """``Split`` by the options, with validation where there is enough for it, and notes of what is
    thin.
    """
    rng = random.Random(args.seed)
    split = {
        'disjoint': lambda: list_splits.split_disjoint(photos, args.test_share, rng),
        'closed': lambda: list_splits.split_closed(photos, args.test_share, rng),
        'date': lambda: list_splits.split_by_date(photos, args.split_date),
        'given': lambda: list_splits.split_given(photos),
    }[args.protocol]()
    given = sorted({photo.sighting.split for photo in photos} - {''})
    if given and args.protocol != 'given':
        split.notes.append(
            f'the source has splits of its own ({", ".join(given[:5])}), which were not used; '
            '--protocol given '
            'takes them'
        )
    sizes = Counter(photo.identity for photo in split.train)
    if len(sizes) < 2:
        instead = (
            'more are needed' if args.protocol == 'closed' else '--protocol closed trains on all'
        )
        raise InputError(
            f'{counted(len(sizes), "individual")} would be left to train on, and two are needed '
            'to tell apart; '
            f'{instead}'
        )
    if not split.val:
        list_splits.add_validation(split, args.val_share, rng)
    noun = 'train individual'
    if args.sides == 'separate':
        noun = 'train flank'
        animals = counted(len({photo.animal for photo in photos}), 'animal')
        split.notes.append(
            f'left and right are two identities: {len({photo.identity for photo in photos})} '
            'flanks of '
            f'{animals}; tables and labels call each flank an individual'
        )
    single = sum(size == 1 for size in sizes.values())
    if single:
        split.notes.append(
            f'{single} of {counted(len(sizes), noun)} with a single photo, which training '
            'compares with itself'
        )
    return split


def _yml_notes(labels, shape):
    """What the ymls say of batches and sizes. labels, shape: as in ``yml_text``."""
    notes, epoch, size = [], choose_batch(labels, INDIVIDUALS, INSTANCES), fitting_size(shape)
    if epoch.individuals < INDIVIDUALS:
        notes.append(
            f'{counted(len(set(labels)), "individual")} to train on, so {epoch.individuals} and '
            f'not {INDIVIDUALS} in '
            'a batch (SOLVER.STAGE2.IMS_PER_BATCH): an epoch has about '
            f'{counted(epoch.steps, "batch")}'
        )
    if size != SIZE:
        notes.append(
            f'photos are {shape:.2f} times as wide as high and are resized to {SIZE[0]} x '
            f'{SIZE[1]} (height x width), '
            f'as published; {size[0]} x {size[1]} would fit them: see INPUT in the ymls'
        )
    return notes


def _left_out(split):
    """As ``Source.left_out``."""
    return [
        (photo.sighting.where, photo.sighting.path, photo.animal, reason)
        for photo, reason in split.left_out
    ]


# ---------------------------------------------------------------- what is written and said


def _write(out, folder, source, split, records, facts, ymls):
    """folder: of the listed photos. Each file is written whole; the ymls, which make the rest
    usable, are the last.
    """
    parts = split.parts()
    pictures = list_report.thumbnails(
        {
            name: part
            for name, part in parts.items()
            if name != 'gallery' or part is not split.query
        },
        folder,
    )
    rows = list_report.photo_rows(source, split, records)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for name in LISTS:
            if name not in parts:  # of an earlier run
                (out / f'{name}.txt').unlink(missing_ok=True)
    for name, part in parts.items():
        with atomic_write(out / f'{name}.txt') as file:
            file.writelines(_line(record, photo) for record, photo in zip(records[name], part))
    with atomic_write(out / 'photos.csv') as file:
        list_report.write_photos_csv(file, rows)
    write_json(out / 'report.json', facts)
    with atomic_write(out / 'report.html') as file:
        file.write(list_report.html_page(facts, pictures))
    for kind, text in ymls.items():
        with atomic_write(out / YMLS[kind]) as file:
            file.write(text)


def _line(record, photo):
    more = [
        '-' if value is None else str(value)
        for value in (
            record.side,
            record.camid if photo.sighting.camera else None,
            record.encounter,
        )
    ]
    while more and more[-1] == '-':
        more.pop()
    return ' '.join([record.path, str(record.pid), *more]) + '\n'


def _tell(out, facts, records):
    print(counts_table(records))
    for note in facts['notes']:
        print(f'- {note}')
    for reason, count in facts['left_out'].items():
        print(f'- left out: {count} x {reason}')
    print(f'The test is judged by {facts["protocol"]["test"]}: {facts["protocol"]["text"]}')
    print(f"Lists, ymls and report.html are in {out}. Next, from the project's folder:")
    for command in facts['commands']:
        print(f'    {command}')


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
