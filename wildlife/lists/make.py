"""Makes lists, yml files and a report: read the source, decide everything, only then write."""

import random
from collections import Counter
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from statistics import median

from datasets.protocols import PROTOCOLS
from utils.errors import InputError
from wildlife.crops import prepared_size
from wildlife.lists.encounters import Photo, make_photos
from wildlife.lists.options import ListOptions
from wildlife.lists.records import Test, choose_test, make_records
from wildlife.lists.report import Facts, split_facts
from wildlife.lists.select import (
    Changes,
    check_names,
    find_changes,
    leave_out_unwanted,
    read_headers,
)
from wildlife.lists.sightings import Source
from wildlife.lists.sources import read_source
from wildlife.lists.split_given import split_by_date, split_given
from wildlife.lists.split_open import split_open
from wildlife.lists.split_random import (
    note_all_compared,
    split_closed,
    split_disjoint,
    split_for_test,
)
from wildlife.lists.splits import Split, add_validation
from wildlife.lists.write import YMLS, Lists, check_out, check_plain, write_lists
from wildlife.lists.yml import DataSet, commands, from_project, load_text, yml_notes, yml_text
from wildlife.prepare import listable, prepared_name
from wildlife.words import counted


def make_lists(options: ListOptions) -> Lists:
    """Make the lists, yml files and report of a source.

    Raises:
        InputError: The photos or options are not suitable; then no list is written.
    """
    check_plain(options.out, options.photos_out)
    check_out(options.out, options.force)
    source = read_source(options)
    check_plain(source.root)
    read = _source_facts(source)
    headers = read_headers(source, options)
    changes = find_changes(source, headers, options)
    leave_out_unwanted(source, options)
    names, prepared = _name_photos(source, changes, options)
    check_names(source, names, prepared)

    photos = make_photos(
        source.sightings, names, options.sides, options.encounters, options.encounter_minutes
    )
    split = _split(photos, options)
    records, labels = make_records(split)
    test = choose_test(records, options.test_protocol)
    sizes = [
        prepared_size(headers[sighting.path], changes[sighting]) for sighting in source.sightings
    ]
    data = DataSet(
        out=options.out,
        root=prepared or source.root,
        name=options.name,
        labels=[record.pid for record in records.get('train', [])],
        test_photos=len({record.path for record in records['query'] + records['gallery']}),
        lists=list(records),
        protocol=test.protocol,
        shape=median(width / height for width, height in sizes),
    )
    ymls = {kind: yml_text(kind, data) for kind in YMLS}
    lists = Lists(data.out, data.root, source, split, records, ymls)
    lists.facts = _facts(lists, options, read, labels, test, data)
    write_lists(lists, changes if prepared else None)
    return lists


def _facts(
    lists: Lists,
    options: ListOptions,
    read: Facts,
    labels: dict[str, list[str]],
    test: Test,
    data: DataSet,
) -> Facts:
    """Return the content of report.json.

    Args:
        read: Facts about the source before photos were skipped.
    """
    source, split = lists.source, lists.split
    cfg, _ = [load_text(text, lists.out) for text in lists.ymls.values()]
    return {
        'name': options.name,
        'source': {
            'path': options.source,
            **read,
            'columns': source.columns,
            'unused_columns': source.unused,
            'photos_folder': from_project(lists.folder),
        },
        'options': _option_facts(options),
        'protocol': {
            'split': options.protocol,
            'test': test.protocol,
            'text': PROTOCOLS[test.protocol].text,
            'queries_with_positive': test.found,
        },
        'splits': {name: split_facts(part) for name, part in split.parts().items()},
        'labels': labels,
        'notes': source.notes + split.notes + test.notes + yml_notes(data),
        'left_out': _left_out_facts(source, split),
        'commands': commands(lists.out, cfg, options.protocol == 'open'),
    }


def _source_facts(source: Source) -> Facts:
    """Count what was read, before any photo is skipped."""
    return {
        'kind': source.kind,
        'photos': len(source.sightings),
        'individuals': len({sighting.identity for sighting in source.sightings}),
    }


def _option_facts(options: ListOptions) -> Facts:
    """Return the options as values that JSON can hold."""
    values = asdict(options) | {'split_date': options.split_date or ''}
    return {
        name: str(value) if isinstance(value, Path | datetime) else value
        for name, value in values.items()
    }


def _left_out_facts(source: Source, split: Split) -> dict[str, int]:
    """Count the skipped photos or rows by reason, the most frequent first."""
    reasons = Counter(row.reason for row in source.left_out)
    reasons.update(reason for _, reason in split.left_out)
    return dict(reasons.most_common())


def _name_photos(
    source: Source, changes: Changes, options: ListOptions
) -> tuple[list[str], Path | None]:
    """Return the paths of the photos in the lists, and the folder of prepared photos if needed."""
    paths = [sighting.path for sighting in source.sightings]
    is_changed = any(changes[sighting] for sighting in source.sightings)
    if not options.prepare and not is_changed and all(map(listable, paths)):
        return paths, None
    names = [prepared_name(sighting.path, changes[sighting]) for sighting in source.sightings]
    return names, options.photos_out


def _split(photos: list[Photo], options: ListOptions) -> Split:
    """Split by the options; add validation if possible, and notes about weak points."""
    rng = random.Random(options.seed)
    if options.test_share == 1:
        split = split_for_test(photos)
    elif options.protocol in ('disjoint', 'open'):
        split = split_disjoint(photos, options.test_share, rng)
    elif options.protocol == 'closed':
        split = split_closed(photos, options.test_share, rng)
    elif options.split_date:
        split = split_by_date(photos, options.split_date)
    else:
        split = split_given(photos)
    if options.protocol == 'open':
        split_open(split, options.known_share, rng)
    elif options.protocol == 'disjoint':
        note_all_compared(split)
    given = sorted({photo.sighting.split for photo in photos} - {''})
    if given and options.protocol != 'given':
        split.notes.append(
            f'the splits of the source ({", ".join(given[:5])}) were not used; --protocol given '
            'uses them'
        )
    if options.test_share < 1:
        sizes = Counter(photo.identity for photo in split.train)
        _check_enough(len(sizes), options.protocol)
    if split.train and not split.val:
        add_validation(split, options.val_share, rng)
    _note_flanks_and_singles(split, photos, options.sides)
    return split


def _check_enough(individuals: int, protocol: str) -> None:
    if individuals < 2:
        remedy = '--protocol closed trains on all of them'
        if protocol == 'closed':
            remedy = 'add photos of more individuals'
        raise InputError(
            f'{counted(individuals, "individual")} would be left for training, but at least two '
            f'are needed; {remedy}'
        )


def _note_flanks_and_singles(split: Split, photos: list[Photo], sides: str) -> None:
    """Add notes about flanks, and about single photos in training."""
    noun = 'train individual'
    if sides == 'separate':
        noun = 'train flank'
        flanks = len({photo.identity for photo in photos})
        animals = counted(len({photo.animal for photo in photos}), 'animal')
        split.notes.append(
            f'left and right are two identities: {flanks} flanks of {animals}; the tables count '
            'each flank as an individual'
        )
    sizes = Counter(photo.identity for photo in split.train)
    single = sum(size == 1 for size in sizes.values())
    if single:
        split.notes.append(
            f'{single} of {counted(len(sizes), noun)} with a single photo, which training can '
            'only compare with itself'
        )
