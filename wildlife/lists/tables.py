"""Tables of photos as rows of text, whatever the file: CSV, COCO-style JSON, Camtrap DP. For
tools/make_lists.py.
"""

import csv
import io
import json
import re
from dataclasses import dataclass, field
from datetime import timezone
from pathlib import Path

from datasets.records import read_file
from utils.errors import InputError
from wildlife.lists.columns import known, parse_date, simple

CAMTRAP = ('media.csv', 'observations.csv')
CAMTRAP_SIGNS = (
    *CAMTRAP,
    'datapackage.json',
    'media.csv.gz',
    'observations.csv.gz',
)  # each tells what its folder is
SEPARATOR = re.compile(r'sep=([,;|\t])', re.IGNORECASE)
ASSET = re.compile(r'(encounter)?mediaasset(\d+)')  # Wildbook: several photos in one row
ANNOTATION_NUMBERS = {
    'id',
    'image_id',
    'category_id',
    'iscrowd',
    'area',
    'segmentation',
    'keypoints',
    'num_keypoints',
}
IMAGE_FACTS = {'id', 'license', 'coco_url', 'flickr_url'}


@dataclass
class Table:
    """What a file says, before anybody knows what its columns mean.

    file: its path. columns: names as they stand. rows: (where, {column: text}) for messages and
    facts.
    left_out: (where, photo, identity, reason) of rows that are of no use. folders: where the photos
    may be, likeliest first.
    sizes: photo -> (width, height) in pixels, where the file says so. shares: whether boxes are
    shares of the photo's size, None = their values tell.
    """

    file: Path
    columns: list
    rows: list
    folders: list
    left_out: list = field(default_factory=list)
    sizes: dict = field(default_factory=dict)
    shares: bool | None = None


def read_table(path):
    """``Table`` of a file, or of a Camtrap DP folder. Raises ``InputError``."""
    path = Path(path)
    if path.is_dir() or path.name in CAMTRAP_SIGNS:
        return read_camtrap(path if path.is_dir() else path.parent)
    suffix = path.suffix.lower()
    if suffix in ('.csv', '.tsv'):
        return read_csv(path)
    if suffix == '.json':
        return read_coco(path)
    raise InputError(
        f'{path}: what is read is a folder, .csv, .tsv or .json; save a spreadsheet as CSV UTF-8'
    )


def is_camtrap(folder):
    return any((Path(folder) / name).is_file() for name in CAMTRAP_SIGNS)


# ---------------------------------------------------------------- CSV


def read_csv(path):
    """A CSV with a header, separated by commas, semicolons or tabs (or as Excel's first line
    'sep=…' says), UTF-8. Empty cells at the end of a row may be left out or be too many. Of
    Wildbook's bulk import a row for each photo.
    """
    columns, rows = _csv_rows(path)
    table = Table(Path(path), columns, rows, _beside(Path(path)))
    assets = [column for column in columns if ASSET.fullmatch(simple(column))]
    if assets:
        _one_row_a_photo(table, assets)
    return table


def _csv_rows(path):
    text = _text(path, 'table')
    lines = text.splitlines()
    said = SEPARATOR.fullmatch(lines[0]) if lines else None
    header = next((line for line in lines if line.strip()), '')
    delimiter = said[1] if said else max(',;\t', key=header.count)
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter, strict=True)
    columns, rows, line = None, [], 1  # line: where a row begins; cells in quotes may have several
    try:
        for cells in reader:
            where, line = f'{path}:{line}', reader.line_num + 1
            cells = [cell.strip() for cell in cells]
            if not any(cells) or (said and reader.line_num == 1):
                continue
            if columns is None:
                columns = cells
                double = sorted({name for name in cells if name and cells.count(name) > 1})
                if double:
                    raise InputError(
                        f"{where}: the column '{double[0]}' is there twice; rename one"
                    )
            elif any(cells[len(columns) :]):
                raise InputError(
                    f'{where}: {len(cells)} cells, but the header has {len(columns)}; put a cell '
                    'that holds '
                    f"'{delimiter}' in double quotes"
                )
            else:
                rows.append((where, dict.fromkeys(columns, '') | dict(zip(columns, cells))))
    except csv.Error as error:
        if reader.line_num > line or 'end of data' in str(error):
            raise InputError(
                f'{path}:{line}: a double quote opens in this row and is not closed (read on to '
                'line '
                f'{reader.line_num}: {error}); close it, or double one that is part of the text'
            ) from None
        raise InputError(
            f'{path}:{line}: not a readable CSV ({error}); save it as CSV UTF-8, with each double '
            'quote that is part of the text doubled'
        ) from None
    if not rows:
        raise InputError(f'{path}: no rows; a header and one photo a row are expected')
    return [name for name in columns if name], rows


def _one_row_a_photo(table, assets):
    """A row is an encounter with its photos side by side, and may belong to a sighting of
    several.
    """
    sightings = [
        column
        for column in table.columns
        if simple(column) in ('encountersightingid', 'sightingsightingid')
    ]
    table.rows = [
        (
            where,
            row
            | {
                'mediaAsset': row[asset],
                'encounter': next((row[name] for name in sightings if row[name]), where),
            },
        )
        for where, row in table.rows
        for asset in assets
        if row[asset]
    ]
    table.columns = [column for column in table.columns if column not in (*assets, 'encounter')] + [
        'mediaAsset',
        'encounter',
    ]


# ---------------------------------------------------------------- COCO


def read_coco(path):
    """images, annotations and categories, one row an annotation; its ``attributes`` are columns as
    well.
    """
    path = Path(path)
    tree = _json(path)
    if not isinstance(tree, dict) or not all(
        isinstance(tree.get(key), list) for key in ('images', 'annotations')
    ):
        raise InputError(
            f"{path}: not COCO-style: the lists 'images' and 'annotations' are expected"
        )
    images = _by_id(tree['images'], 'images', path)
    categories = _by_id(tree.get('categories') or [], 'categories', path)
    table = Table(path, [], [], _beside(path))
    seen = {}
    for number, annotation in enumerate(tree['annotations'], start=1):
        where = f'{path}: annotation {number}'
        if not isinstance(annotation, dict):
            raise InputError(f'{where}: an object is expected, got {_shown(annotation)}')
        image = _find(images, 'images', annotation, 'image_id', where)
        if image is None:
            raise InputError(
                f'{where}: there is no image with id {_shown(annotation.get("image_id"))}'
            )
        row = {
            name: _cell(value)
            for name, value in image.items()
            if name not in IMAGE_FACTS | {'width', 'height'}
        }
        row |= {
            name: _cell(value)
            for name, value in annotation.items()
            if name not in ANNOTATION_NUMBERS | {'attributes'}
        }
        attributes = annotation.get('attributes') or {}
        if isinstance(attributes, dict):
            row |= {str(name): _cell(value) for name, value in attributes.items()}
        category = _find(categories, 'categories', annotation, 'category_id', where)
        if category is not None:
            row['category'] = _cell(category.get('name'))
        table.rows.append((where, row))
        seen |= dict.fromkeys(row)
        size = image.get('width'), image.get('height')
        if all(type(side) is int and side > 0 for side in size):
            table.sizes[str(image.get('file_name'))] = size
    if not table.rows:
        raise InputError(f'{path}: no annotations')
    table.columns = list(seen)
    table.rows = [(where, dict.fromkeys(seen, '') | row) for where, row in table.rows]
    return table


def _by_id(entries, what, path):
    found = {}
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or 'id' not in entry:
            raise InputError(
                f'{path}: {what} {number}: an object with an id is expected, got {_shown(entry)}'
            )
        if found.setdefault(_key(entry['id']), entry) is not entry:
            raise InputError(f'{path}: {what} {number}: id {_shown(entry["id"])} occurs twice')
    return found


def _find(entries, what, annotation, name, where):
    """The entry that an annotation's ``name`` refers to, or None. ``InputError`` where a text
    stands for a number.
    """
    value = annotation.get(name)
    found = entries.get(_key(value))
    if found is None:
        other = next(
            (
                entries[key]['id']
                for key in (_key(str(value)), str(value).strip())
                if key in entries
            ),
            None,
        )
        if other is not None:
            raise InputError(
                f'{where}: {name} is {_type(value)} {_shown(value)}, but the id in {what} is '
                f'{_type(other)} '
                f'{_shown(other)}; write both as numbers'
            )
    return found


def _type(value):
    return 'the text' if isinstance(value, str) else 'the number'


def _key(value):
    if isinstance(value, float) and value.is_integer():  # tables with gaps are saved with 12.0
        value = int(value)
    return json.dumps(value, sort_keys=True)  # a list as an id is no reason to break


def _cell(value):
    if value is None:
        return ''
    return value.strip() if isinstance(value, str) else json.dumps(value)


# ---------------------------------------------------------------- Camtrap DP


def read_camtrap(folder):
    """media.csv and observations.csv of a Camtrap DP 1.0: a row for each animal on each photo.

    Observations of an event have no mediaID: they hold for the photos of their deployment between
    eventStart and eventEnd. Where an event has several animals nobody knows who is on which photo,
    so those are left out.
    """
    folder = Path(folder)
    missing = [name for name in CAMTRAP if not (folder / name).is_file()]
    if missing:
        packed = [f'{name}.gz' for name in missing if (folder / f'{name}.gz').is_file()]
        raise InputError(
            f'{folder}: a Camtrap DP with {" and ".join(missing)} missing; '
            + (
                f'unpack {" and ".join(packed)}'
                if packed
                else f'it has {" and ".join(CAMTRAP)}; of a folder of '
                'photos move media.csv, observations.csv and datapackage.json elsewhere'
            )
        )
    media = _camtrap_rows(
        folder / 'media.csv', ('mediaID', 'deploymentID', 'timestamp', 'filePath')
    )
    observations = _camtrap_rows(
        folder / 'observations.csv', ('deploymentID', 'observationType', 'individualID')
    )
    columns = [
        'filePath',
        'individualID',
        'deploymentID',
        'timestamp',
        'eventID',
        'bbox',
        'scientificName',
    ]
    table = Table(folder / 'observations.csv', columns, [], [folder], shares=True)
    photos, by_deployment, zones = {}, {}, {}
    for where, row in media:
        if photos.setdefault(row['mediaID'], row) is not row:
            raise InputError(f"{where}: mediaID '{row['mediaID']}' occurs twice")
        row['moment'] = _moment(row['timestamp'], where, zones)
        kind = row.get('fileMediatype', '')
        if kind and not kind.startswith('image/'):
            row['unusable'] = f'no photo but {kind}'
        elif re.match(r'\w+://', row['filePath']):
            row['unusable'] = 'the photo is at a URL: download it and put its path into filePath'
        by_deployment.setdefault(row['deploymentID'], []).append(row)
    seen, events = set(), {}
    for where, row in observations:
        if row['observationType'] not in ('', 'animal'):
            table.left_out.append(
                (where, '', row['individualID'], f"observationType '{row['observationType']}'")
            )
        elif row.get('mediaID'):
            if row['mediaID'] not in photos:
                raise InputError(f"{where}: media.csv has no mediaID '{row['mediaID']}'")
            photo = photos[row['mediaID']]
            if row['individualID']:
                seen.add((row['mediaID'], row['individualID']))
            _add(table, where, row, photo)
        else:
            start, end = (
                _moment(row.get(key, ''), where, zones) for key in ('eventStart', 'eventEnd')
            )
            if row['individualID'] and (start is None or end is None):
                raise InputError(
                    f'{where}: neither mediaID nor eventStart and eventEnd: whose photos are these?'
                )
            events.setdefault((row['deploymentID'], start, end), []).append((where, row))
    if len(zones) > 1:
        raise InputError(
            f'{folder}: times with a zone beside times without ({zones[True]}, {zones[False]}): '
            'what time is it '
            'there? Write all with their zone, as 2023-05-01T12:00:00+02:00, or all without'
        )
    for (deployment, start, end), rows in events.items():
        within = [
            photo
            for photo in by_deployment.get(deployment, ())
            if start and end and photo['moment'] and start <= photo['moment'] <= end
        ]
        several = len({row['individualID'] for _, row in rows}) > 1 or any(
            _is_group(row) for _, row in rows
        )
        for where, row in rows:
            if not row['individualID']:
                table.left_out.append((where, '', '', 'unidentified'))
            elif several:
                table.left_out.append(
                    (
                        where,
                        '',
                        row['individualID'],
                        'event of several individuals: who is on which photo?',
                    )
                )
            elif not within:
                table.left_out.append((where, '', row['individualID'], 'event without photos'))
            else:
                for photo in within:
                    if (photo['mediaID'], row['individualID']) not in seen:
                        seen.add((photo['mediaID'], row['individualID']))
                        _add(table, where, row, photo)
    return table


def _camtrap_rows(path, needed):
    columns, rows = _csv_rows(path)
    missing = [name for name in needed if name not in columns]
    if missing:
        raise InputError(
            f'{path}: no column {" and ".join(missing)}, as Camtrap DP 1.0 has; it has '
            f'{", ".join(columns)}'
        )
    return [(where, {name: known(cell) for name, cell in row.items()}) for where, row in rows]


def _is_group(row):
    try:
        return float(row.get('count') or 1) > 1
    except ValueError:
        return False


def _add(table, where, row, photo):
    if 'unusable' in photo:
        table.left_out.append((where, photo['filePath'], row['individualID'], photo['unusable']))
        return
    box = [row.get(name, '') for name in ('bboxX', 'bboxY', 'bboxWidth', 'bboxHeight')]
    if any(box) and not all(box):
        raise InputError(
            f'{where}: of bboxX, bboxY, bboxWidth, bboxHeight some are empty; fill all four or none'
        )
    table.rows.append(
        (
            where,
            {
                'filePath': photo['filePath'],
                'individualID': row['individualID'],
                'deploymentID': photo['deploymentID'],
                'timestamp': photo['timestamp'],
                'eventID': row.get('eventID', ''),
                'bbox': ';'.join(box) if all(box) else '',
                'scientificName': row.get('scientificName', ''),
            },
        )
    )


def _moment(text, where, zones):
    """A datetime in UTC, so that those of different zones compare; None where empty. zones: whether
    it has a zone -> the first such time, for a message.
    """
    if not text:
        return None
    moment = parse_date(text)
    if moment is None:
        raise InputError(
            f"{where}: '{text[:60]}' is no time; Camtrap DP writes 2023-05-01T12:00:00Z"
        )
    zones.setdefault(moment.tzinfo is not None, f"{where}: '{text}'")
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


# ---------------------------------------------------------------- files


def _beside(path):
    """Folders in which the photos of a table are found in practice. Of Wild Me's
    annotations/instances_train2020.json it is images/train2020.
    """
    above = path.parent
    split = re.sub('^instances_', '', path.stem)
    return [
        above,
        above / 'images',
        above / 'photos',
        above.parent / 'images' / split,
        above.parent / 'images',
        above.parent,
    ]


def _text(path, what):
    content = read_file(path, what, f'{path}: there is no such file')
    try:
        return content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        line = content.count(b'\n', 0, error.start) + 1
        raise InputError(
            f'{path}:{line}: not UTF-8 text; save it as UTF-8 (in a spreadsheet: CSV UTF-8)'
        ) from None


def _json(path):
    try:
        return json.loads(_text(path, 'annotations'))
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path}: not readable JSON ({str(error)[:100]})') from None


def _shown(value):
    return repr(value)[:80]
