"""Photos of known individuals, from a folder or a table, as sightings. For tools/make_lists.py."""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from datasets.copies import same_photos
from utils.errors import InputError
from wildlife.lists.columns import (
    ANGLES,
    CORNERS,
    NUMBERED_SIDES,
    SPLITS,
    choose_columns,
    has_decimal_commas,
    known,
    read_box,
    read_dates,
    read_side,
    read_sides,
    read_theta,
    simple,
)
from wildlife.lists.folders import LINK, photo_extensions, photos_below, skipped_photos
from wildlife.lists.levels import check_folders, folder_place
from wildlife.lists.matching import Matches, match_paths
from wildlife.lists.tables import is_camtrap, read_table
from wildlife.words import counted, is_plain

GROUPS = (
    'identity',
    'side',
    'camera',
    'date',
    'encounter',
    'split',
)  # that --name-pattern may read off a path
SHARES, OVERSHOOT = (
    0.9,
    0.05,
)  # boxes are shares where so many of their numbers lie within 0 and 1, or a little beyond
SKIP = '--skip-bad leaves such photos out and counts them'


@dataclass(frozen=True)
class Sighting:
    """One animal on one photo.

    path: of the photo, below the source's root, with '/'. where: file and row, for messages.
    identity: its name.
    side: 0 left, 1 right, None unknown. date: the camera's clock, None unknown. camera, encounter,
    split, species: '' = unknown. box: (x, y, width, height), in pixels or as shares of the photo's
    size, and theta where it is turned, see ``list_photos.find_change``; None = the whole photo.
    """

    path: str
    where: str
    identity: str
    side: int | None = None
    camera: str = ''
    date: datetime | None = None
    encounter: str = ''
    box: tuple | None = None
    split: str = ''
    species: str = ''

    @property
    def row(self):
        """What a message about the photo begins with: 'm.csv:4: ', or '' where its path says it
        all.
        """
        return '' if self.where == self.path else f'{self.where}: '


@dataclass
class Source:
    """What was read.

    kind: 'folder', 'CSV', 'COCO' or 'Camtrap DP'. root: folder that the photos' paths are relative
    to. sightings: identified ones, sorted, so that neither rows' nor a directory's order matters.
    columns: meaning -> the column (or other place) that told it. unused: columns that told nothing.
    left_out: (where, path, identity, reason). sizes, shares: as in ``list_tables.Table``. skip_bad:
    leave out what is wrong.
    """

    kind: str
    root: Path
    sightings: list
    columns: dict = field(default_factory=dict)
    unused: list = field(default_factory=list)
    left_out: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    sizes: dict = field(default_factory=dict)
    shares: bool | None = None
    skip_bad: bool = False

    def leave_out(self, sighting, reason):
        self.left_out.append((sighting.where, sighting.path, sighting.identity, reason))

    def refuse(self, sighting, reason, message):
        """A photo or row that is wrong: ``InputError`` of ``message``, or with ``skip_bad`` it is
        left out.
        """
        if not self.skip_bad:
            raise InputError(f'{message}; {SKIP}')
        self.leave_out(sighting, reason)


def read_source(
    path,
    photos='',
    columns=None,
    pattern='',
    level=None,
    date_format='',
    species='',
    skip_bad=False,
    box_format='',
):
    """Everything that is known about the photos; none is opened.

    photos: their folder, '' = where a table's photos are found. columns: meaning -> column, of the
    user's. pattern: regular expression whose named groups are facts of a photo's path. level: which
    folder is the individual, 1 = the first below the source, -1 = the last above the photo, None =
    that, unless the folders look otherwise. species: only this one.
    skip_bad: leave wrong rows out and count them. box_format: 'xywh' or 'xyxy' (corners), '' = the
    columns' names tell.

    Returns a ``Source`` with at least one sighting. Raises ``InputError``.
    """
    if not os.path.exists(path):
        raise InputError(f'{path}: there is no such file or folder')
    groups = _compile(pattern)
    if os.path.isdir(path) and not is_camtrap(path):
        if photos or columns:
            raise InputError(
                f'{path}: --photos and --column are for a table, but this is a folder of photos; '
                'give the table'
            )
        source = _read_folder(Path(path), level, groups)
    else:
        source = _read_table(
            path, photos, columns or {}, groups, date_format, species, skip_bad, box_format
        )
    source.skip_bad = skip_bad
    _see_photos(source)
    if pattern:
        _read_names(source, groups, pattern, date_format)
    identified, unknown = [], Counter()
    for sighting in sorted(source.sightings, key=_order):
        if species and sighting.species != species:
            source.leave_out(sighting, f"species '{sighting.species}'")
        elif not known(sighting.identity):
            source.leave_out(
                sighting,
                f"unidentified ('{sighting.identity}')" if sighting.identity else 'unidentified',
            )
            unknown[sighting.identity] += 1
        else:
            identified.append(sighting)
    source.sightings = identified
    source.sightings = _without_copies(source)
    source.sightings = _without_contradictions(source)
    if not source.sightings:
        raise InputError(
            f'{path}: no photo of a known individual is left; '
            f'{_reasons(source) or "there are no photos"}'
            f'{_targets(source)}'
        )
    names = {sighting.identity for sighting in source.sightings}
    if len(names) == 1:
        raise InputError(
            f'{path}: {counted(len(source.sightings), "photo")}, all of one individual, '
            f"'{names.pop()}' (by "
            f'{source.columns["identity"]}), and there is nothing to tell apart; '
            f'{_other_identity(source)}'
        )
    del unknown['']
    if unknown:
        source.notes.append(
            f'names that say unknown: {_shown(unknown)}; their photos are left out, so an animal '
            'of such a '
            'name needs another'
        )
    _note_names(source)
    return source


def _other_identity(source):
    if source.kind == 'folder':
        return (
            'say which folder is the individual with --identity-level, or read it off the '
            'path with --name-pattern'
        )
    return (
        'another column is taken by --column identity=… (not used: '
        f'{", ".join(source.unused) or "none"})'
    )


def _order(sighting):
    return sighting.path, sighting.box or (), sighting.identity, str(sighting.side), sighting.where


def _reasons(source):
    return '; '.join(
        f'{count} x {reason}'
        for reason, count in Counter(row[3] for row in source.left_out).most_common(3)
    )


def _targets(source):
    """Where the links to folders lead that were not followed."""
    links = [row[1] for row in source.left_out if row[3] == LINK]
    folders = sorted({os.path.dirname(os.path.realpath(source.root / link)) for link in links})
    return (
        f'; links are not followed: name the folder that they lead to, {", ".join(folders[:3])}'
        if folders
        else ''
    )


# ---------------------------------------------------------------- a folder for each individual


def _read_folder(folder, level, groups):
    """An individual's photos are below a folder of its name; a folder called train, val, query,
    gallery or test is a split.
    """
    photos, skipped = photos_below(folder)
    source = Source('folder', folder, [_of_folder(path, level or -1) for path in photos])
    source.left_out = [('', path, '', reason) for path, reason in skipped]
    _note_skipped(source, skipped)
    if 'identity' not in groups:
        source.notes += check_folders(folder, photos, level)
        source.columns['identity'] = (
            f'folder, level {level}' if level not in (None, -1) else 'folder above the photo'
        )
    if any(sighting.split for sighting in source.sightings):
        source.columns['split'] = 'folder'
    if (folder / 'metadata.csv').is_file():
        source.notes.append(
            f"{folder / 'metadata.csv'} was not read: give its path instead of the folder's to "
            'have it read'
        )
    return source


def _of_folder(path, level):
    folders = path.split('/')[:-1]
    place = folder_place(path, level)
    others = [name.lower() for number, name in enumerate(folders) if number != place]
    split = next((SPLITS[name] for name in others if name in SPLITS), '')
    return Sighting(
        path=path, where=path, identity='' if place is None else folders[place], split=split
    )


def _note_skipped(source, skipped):
    """Say which photos are skipped for their folder's name, and whether it held all photos of its
    place.
    """
    counts = skipped_photos(skipped)
    if not counts:
        return
    by_name = Counter()
    for folder, count in counts.items():
        by_name[os.path.basename(folder)] += count
    names = ', '.join(f"'{name}' {count}" for name, count in by_name.most_common())
    what = (
        f'in folders that a NAS, the system or a photo program makes ({names}); rename such a '
        'folder to have it read'
    )
    if not source.sightings:
        raise InputError(
            f'{source.root}: all {counted(counts.total(), "photo")} are {what}, or give its own '
            'path'
        )
    source.notes.append(f'skipped: {counted(counts.total(), "photo")} {what}')
    used = set()
    for sighting in source.sightings:
        parts = sighting.path.split('/')
        used.update('/'.join(parts[:depth]) for depth in range(1, len(parts)))
    alone = sorted({os.path.dirname(folder) for folder in counts} - used - {''})
    if alone:
        source.notes.append(
            f'nothing else is in {counted(len(alone), "folder")} with skipped photos: '
            f'{", ".join(alone[:6])}'
            f'{" …" if alone[6:] else ""}'
        )


# ---------------------------------------------------------------- tables


def _read_table(path, photos, given, groups, date_format, species, skip_bad, box_format):
    table = read_table(path)
    columns, notes = choose_columns(
        table, given, ['path'] if 'identity' in groups else ['identity', 'path']
    )
    kind = (
        'Camtrap DP'
        if table.file.name == 'observations.csv'
        else 'COCO'
        if table.file.suffix.lower() == '.json'
        else 'CSV'
    )
    source = Source(
        kind,
        Path(),
        [],
        columns,
        left_out=table.left_out,
        notes=notes,
        sizes={path.strip().replace('\\', '/'): size for path, size in table.sizes.items()},
        shares=table.shares,
        skip_bad=skip_bad,
    )
    if 'bbox' not in columns:
        columns.pop('theta', None)
    used = {
        name
        for column in columns.values()
        for name in ([column] if isinstance(column, str) else column)
    }
    source.unused = [name for name in table.columns if name not in used]
    if species and 'species' not in columns:
        raise InputError(
            f'--species {species}: {table.file} has no column for it; name one with --column '
            'species=…'
        )

    def texts(meaning):
        column = columns.get(meaning)
        return [row[column] if column else '' for _, row in table.rows]

    corners = box_format == 'xyxy' or (
        not box_format
        and isinstance(columns.get('bbox'), list)
        and simple(columns['bbox'][2]) in CORNERS
    )
    boxes = _joined(table, columns['bbox'], ';') if 'bbox' in columns else texts('bbox')
    decimal_commas = has_decimal_commas(boxes)
    thetas = [read_theta(text, where) for text, (where, _) in zip(texts('theta'), table.rows)]
    said = texts('side')
    sides = read_sides(said)
    rows = zip(
        table.rows,
        _dates(table, columns, date_format, source),
        boxes,
        thetas,
        sides,
        *map(texts, ('identity', 'path', 'camera', 'encounter', 'split', 'species')),
        strict=True,
    )
    for (where, _), date, box, theta, side, identity, photo, camera, encounter, split, kind in rows:
        sighting = Sighting(
            photo.replace('\\', '/'),
            where,
            identity,
            side,
            known(camera),
            date,
            known(encounter),
            None,
            _split(split),
            known(kind),
        )
        if not sighting.path:
            source.refuse(sighting, 'no path', f'{where}: the path of the photo is empty')
        elif len(identity.splitlines()) > 1:
            source.refuse(
                sighting,
                'name of several lines',
                f"{where}: the individual's name {repr(identity)[:60]} has "
                'several lines; is a double quote there not closed?',
            )
        else:
            try:
                box = read_box(box, corners, where, decimal_commas)
            except InputError as error:
                source.refuse(sighting, 'impossible box', str(error))
                continue
            if theta and not box:
                source.refuse(
                    sighting,
                    'impossible box',
                    f'{where}: theta {theta:g} turns a box, but there is none',
                )
            else:
                source.sightings.append(replace(sighting, box=(*box, theta) if theta else box))
    strange = Counter(text for text, side in zip(said, sides) if known(text) and side is None)
    if strange:
        source.notes.append(f'side: neither left nor right, so unknown: {_shown(strange)}')
    if any(side is not None and text in NUMBERED_SIDES for text, side in zip(said, sides)):
        source.notes.append('side: 0 was taken for left and 1 for right, as in the lists')
    if any(len(sighting.box or ()) > 4 for sighting in source.sightings):
        source.notes.append(
            f"boxes are turned about their centre by column '{columns['theta']}', in radians, "
            'clockwise; their '
            'corners beyond the photo are black'
        )
    for column in source.unused if 'bbox' in columns else ():
        angles = Counter(row[column] for _, row in table.rows if known(row[column]).strip('0.,'))
        if simple(column) in ANGLES and angles:
            source.notes.append(
                f"column '{column}' ({_shown(angles)}) was not read: if it turns the boxes, "
                'write it in '
                f"radians and name it with --column theta='{column}'"
            )
    numbers = [
        number for sighting in source.sightings if sighting.box for number in sighting.box[:4]
    ]
    if (
        source.shares is None
    ):  # of boxes in pixels half of the numbers, width and height, are larger
        near = sum(-OVERSHOOT <= number <= 1 + OVERSHOOT for number in numbers)
        source.shares = bool(numbers) and near >= SHARES * len(numbers)
    source.root = _find_root(source, Path(photos) if photos else None, table)
    return source


def _joined(table, column, sign):
    """Texts of a column, or of several as one."""
    columns = [column] if isinstance(column, str) else column
    return [
        sign.join(row[name] for name in columns) if any(row[name] for name in columns) else ''
        for _, row in table.rows
    ]


def _dates(table, columns, date_format, source):
    column = columns.get('date')
    if column is None:
        return [None] * len(table.rows)
    if isinstance(column, list):
        texts = [_from_parts([row[name] for name in column]) for _, row in table.rows]
    else:
        time = [columns['time']] if 'time' in columns else []
        texts = [
            ' '.join(filter(None, (known(row[name]) for name in [column, *time])))
            for _, row in table.rows
        ]
    dates, strange = read_dates(texts, date_format)
    if strange:
        source.notes.append(
            f'date: {len(strange)} are no dates and count as unknown, as '
            f'{_shown(Counter(strange))}; '
            f"--date-format says how they are written, as '%d %b %Y'"
        )
    return dates


def _from_parts(parts):
    """'2023-5-1 12:30' of year, month, day and, where known, hour and minute; '' where all are
    unknown. Where one of the first three is, '2023--1', which is no date and will be counted.
    """
    year, month, day, *clock = (known(part).removesuffix('.0') for part in parts)
    date = f'{year}-{month}-{day}'.strip('-')
    hour, minute = (*clock, '', '')[:2]
    return f'{date} {hour}:{minute.zfill(2)}' if hour and date else date


def _split(text):
    """One of five names, or what the source says where that is none."""
    return known(SPLITS.get(text.lower(), text))


def _find_root(source, photos, table):
    """The folder in which most photos are, of those where they usually are."""
    folders = (
        [photos]
        if photos
        else [folder for folder in dict.fromkeys(table.folders) if folder.is_dir()]
    )
    if photos and not photos.is_dir():
        raise InputError(f'--photos {photos}: there is no such folder')
    paths = sorted({sighting.path for sighting in source.sightings})
    some = paths[:: max(1, len(paths) // 200)]
    return max(folders, key=lambda folder: sum(os.path.isfile(folder / path) for path in some))


# ---------------------------------------------------------------- what holds for both


def _see_photos(source):
    """Every photo must be there and below the root; its path becomes one below it. One look at the
    folder finds those that the table calls otherwise than the disk.
    """
    root, real, folders = os.path.abspath(source.root), os.path.realpath(source.root), {}
    extensions = photo_extensions()
    plain, seen, missing, sizes = [], [], [], {}
    for sighting in source.sightings:
        if is_plain(sighting.path):
            plain.append(sighting)
        else:
            source.refuse(
                sighting,
                'path that is no text',
                f'{sighting.row}the path {ascii(sighting.path)[:100]} is not plain text; rename '
                'the photo',
            )
    paths = list(dict.fromkeys(sighting.path for sighting in plain))
    absent = [path for path in paths if not os.path.isfile(os.path.join(root, path))]
    matches = match_paths(absent, root, may_move=len(absent) == len(paths)) if absent else Matches()
    source.notes += [matches.note] if matches.note else []
    for sighting in plain:
        listed = matches.found.get(sighting.path, sighting.path)
        path, ending = (
            os.path.normpath(os.path.join(root, listed)),
            os.path.splitext(listed)[1].lower(),
        )
        if ending and ending not in extensions:
            source.leave_out(sighting, f"no photo ('{ending}')")
        elif not os.path.isfile(path):
            missing.append(sighting)
        elif not _below(path, root):
            source.refuse(
                sighting,
                "outside the photos' folder",
                f"{sighting.row}'{sighting.path}' leads out of the photos' folder "
                f"'{source.root}'; name a folder "
                'above all photos with --photos',
            )
        else:
            above = os.path.dirname(path)
            if above not in folders:
                folders[above] = _below(os.path.realpath(above), real)
            if not folders[above] or (
                os.path.islink(path) and not _below(os.path.realpath(path), real)
            ):
                source.refuse(
                    sighting,
                    "link out of the photos' folder",
                    f"{sighting.row}'{sighting.path}' is a link out of the photos' folder "
                    f"'{source.root}', to "
                    f'{os.path.realpath(path)}; name the folder where the photos are'
                    f'{"" if source.kind == "folder" else " with --photos"}, or copy them',
                )
            else:
                seen.append(
                    replace(sighting, path=os.path.relpath(path, root).replace(os.sep, '/'))
                )
                sizes[seen[-1].path] = source.sizes.get(sighting.path)
    if missing:
        first = ', '.join(f'{sighting.row}{sighting.path}' for sighting in missing[:3]) + (
            ' …' if len(missing) > 3 else ''
        )
        message = (
            f"{len(missing)} of {len(source.sightings)} photos are missing in '{source.root}' "
            f'({first}): '
            f'{matches.reasons}'
        )
        if not seen or not source.skip_bad:
            raise InputError(message + (f'; {SKIP}' if seen else ''))
        for sighting in missing:
            source.leave_out(sighting, 'missing photo')
    source.sightings, source.sizes = seen, sizes


def _below(path, root):
    return os.path.join(path, '').startswith(os.path.join(root, ''))


def _compile(pattern):
    """Names of the groups of --name-pattern."""
    if not pattern:
        return ()
    try:
        groups = tuple(re.compile(pattern).groupindex)
    except re.error as error:
        raise InputError(f"--name-pattern '{pattern}' is no regular expression ({error})") from None
    if not groups or set(groups) - set(GROUPS):
        raise InputError(
            f"--name-pattern '{pattern}' needs named groups, of these: "
            f'{", ".join(f"(?P<{name}>…)" for name in GROUPS)}'
        )
    return groups


def _read_names(source, groups, pattern, date_format):
    """Facts of the paths. A table may know the same, but nothing else."""
    matches = [re.search(pattern, sighting.path) for sighting in source.sightings]
    if not any(matches):
        raise InputError(
            f"--name-pattern '{pattern}' fits none of the {len(matches)} paths, as "
            f"'{source.sightings[0].path}'"
        )
    strangers = [sighting for sighting, match in zip(source.sightings, matches) if not match]
    if strangers:
        source.notes.append(
            f'--name-pattern fits {len(matches) - len(strangers)} of {len(matches)} paths, not '
            f"'{strangers[0].path}'"
        )
    facts = [
        {
            group: match[group]
            for group in groups
            if known(match[group] or '') or (group == 'identity' and match[group])
        }
        if match
        else {}
        for match in matches
    ]
    dates = read_dates([fact.pop('date', '') for fact in facts], date_format)[0]
    from_folder = {'identity'} if source.kind == 'folder' else set()
    for number, (sighting, fact, date) in enumerate(zip(source.sightings, facts, dates)):
        fact |= {'date': date} if date else {}
        if 'side' in fact:
            fact['side'] = read_side(fact['side'])
        if 'split' in fact:
            fact['split'] = _split(fact['split'])
        for name, value in fact.items():
            other = getattr(sighting, name)
            if (
                other not in ('', None)
                and other != value
                and name not in from_folder
                and name != 'date'
            ):
                raise InputError(
                    f"{sighting.where}: --name-pattern reads {name} '{value}' from "
                    f"'{sighting.path}', but its row "
                    f"says '{other}'; ignore the column with --column {name}="
                )
        source.sightings[number] = replace(sighting, **fact)
    for group in groups:
        source.columns[group] = '--name-pattern'


def _without_copies(source):
    """Files with the same bytes are one photo, that of the shortest name. What two of them say
    alike counts once; what else a copy says is said of that photo.
    """
    same = same_photos({os.path.join(source.root, sighting.path) for sighting in source.sightings})
    files = defaultdict(list)
    for sighting in source.sightings:
        files[same[os.path.join(source.root, sighting.path)]].append(sighting)
    kept, copies = [], []
    for sightings in files.values():
        path = min((sighting.path for sighting in sightings), key=lambda path: (len(path), path))
        said = {
            (sighting.identity, sighting.side, sighting.box)
            for sighting in sightings
            if sighting.path == path
        }
        for sighting in sightings:
            fact = sighting.identity, sighting.side, sighting.box
            if sighting.path == path:
                kept.append(sighting)
            elif fact in said:
                source.leave_out(sighting, 'copy of another photo, byte for byte')
                copies.append(f"'{sighting.path}' = '{path}'")
            else:
                said.add(fact)
                name = '' if sighting.where == sighting.path else f'{sighting.path}, '
                kept.append(
                    replace(
                        sighting,
                        path=path,
                        where=f'{sighting.where} ({name}the same bytes as {path})',
                    )
                )
    if copies:
        source.notes.append(
            f'{counted(len(copies), "photo")} with the bytes of another, which counts once: '
            f'{", ".join(copies[:3])}{" …" if copies[3:] else ""}'
        )
    return sorted(kept, key=_order)


def _without_contradictions(source):
    """Rows that say the same twice are one; those that cannot both be true are refused."""
    photos = defaultdict(list)
    for sighting in source.sightings:
        photos[sighting.path].append(sighting)
    kept = []
    for path, sightings in photos.items():
        once = {}
        for sighting in sightings:
            first = once.setdefault(replace(sighting, where=''), sighting)
            if first is not sighting:
                source.leave_out(sighting, 'row that repeats another')
        once = list(once.values())
        if len(once) > 1:
            first, second = once[:2]
            names = sorted({sighting.identity for sighting in once})
            if any(sighting.box is None for sighting in once):
                reason = (
                    'photo under two individuals, and no box tells who is where'
                    if len(names) > 1
                    else 'photo with two rows that contradict'
                )
                message = (
                    f"{second.where} and {first.where}: '{path}' is there twice "
                    f'({", ".join(names[:3])}): {reason}'
                )
            elif len({sighting.box for sighting in once}) < len(once):
                reason, message = (
                    'box with two rows that contradict',
                    (
                        f"{second.where} and {first.where}: the same box of '{path}' is there "
                        f'twice ({", ".join(names[:3])}) and '
                        'the rows contradict'
                    ),
                )
            elif len({sighting.identity for sighting in once}) < len(once):
                reason, message = (
                    'individual twice on one photo',
                    (
                        f"{second.where} and {first.where}: an individual is on '{path}' twice, "
                        'in two boxes'
                    ),
                )
            else:
                reason = ''
            if reason:
                for sighting in once:
                    source.refuse(sighting, reason, message)
                continue
        kept += once
    return kept


def _note_names(source):
    names = {sighting.identity for sighting in source.sightings}
    alike = defaultdict(list)
    for name in sorted(names):
        alike[_folded(name)].append(name)
    alike = [' / '.join(group) for group in alike.values() if len(group) > 1]
    if alike:
        source.notes.append(
            'names that differ only in case, blanks, the zeros of a number or the bytes of an '
            'accent are '
            f'different individuals: {", ".join(alike[:6])}{" …" if alike[6:] else ""}'
        )
    species = Counter(sighting.species for sighting in source.sightings if sighting.species)
    if len(species) > 1:
        source.notes.append(
            f'several species are read together ({_shown(species)}); --species takes one of them'
        )
    if source.kind == 'folder':
        folders = defaultdict(set)
        for sighting in source.sightings:
            folders[sighting.identity].add(os.path.dirname(sighting.path))
        several = sorted(name for name in folders if len(folders[name]) > 1)
        if several and source.columns['identity'] != '--name-pattern':
            source.notes.append(
                f'{len(several)} individuals have photos in several folders, which are taken '
                'together, as '
                f"'{several[0]}': {', '.join(sorted(folders[several[0]])[:4])}; where another "
                'folder is the '
                'individual, --identity-level says which'
            )


def _folded(name):
    """The same for names that may be meant as one: 'Zoé' and 'zoé' in other bytes, 'a_1' and 'A
    1', '1.0' and '01'.
    """
    name = re.sub(r'[\s_]+', ' ', unicodedata.normalize('NFKC', name)).strip().casefold()
    number = re.fullmatch(r'0*(\d+?)(\.0+)?', name)
    return number[1] if number else name


def _shown(counter):
    return ', '.join(f"'{name}' {count}" for name, count in counter.most_common(6))
