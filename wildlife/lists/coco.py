"""Reads a COCO-style JSON (images, annotations and categories) as a table."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from utils.errors import InputError
from wildlife.lists.tables import Table, folders_beside

ANNOTATION_NUMBERS = {
    *('id', 'image_id', 'category_id', 'iscrowd', 'area', 'segmentation'),
    *('keypoints', 'num_keypoints', 'attributes'),
}
IMAGE_FACTS = {'id', 'license', 'coco_url', 'flickr_url', 'width', 'height'}

Entry = dict[str, Any]  # an object of a JSON list
Entries = dict[str, Entry]  # by id


def read_coco(path: Path, tree: Any) -> Table:
    """Read a COCO-style file: one row per annotation, with its ``attributes`` as columns.

    Args:
        path: The path of the file.
        tree: Its content.

    Raises:
        InputError: The file is not COCO-style, or ids do not match.
    """
    if not isinstance(tree, dict) or not _are_lists(tree, 'images', 'annotations'):
        raise InputError(f"{path}: not COCO-style; expected the lists 'images' and 'annotations'")
    images = _by_id(tree['images'], 'images', path)
    categories = _by_id(tree.get('categories') or [], 'categories', path)
    rows, where = [], []
    sizes = {}
    for number, annotation in enumerate(tree['annotations'], start=1):
        where.append(f'{path}: annotation {number}')
        image = _image_of(annotation, images, where[-1])
        rows.append(_cells(image, IMAGE_FACTS) | _cells(annotation, ANNOTATION_NUMBERS))
        attributes = annotation.get('attributes')
        if isinstance(attributes, dict):
            rows[-1] |= _cells(attributes)
        category = _find(categories, 'categories', annotation, 'category_id', where[-1])
        if category is not None:
            rows[-1]['category'] = _cell(category.get('name'))
        width, height = image.get('width'), image.get('height')
        if type(width) is type(height) is int and min(width, height) > 0:
            sizes[str(image.get('file_name'))] = width, height
    if not rows:
        raise InputError(f'{path}: no annotations')
    frame = pd.DataFrame(rows, index=pd.Index(where, dtype=object), dtype=object).fillna('')
    return Table(path, frame, folders_beside(path), sizes=sizes, kind='COCO')


def _are_lists(tree: Entry, *keys: str) -> bool:
    return all(isinstance(tree.get(key), list) for key in keys)


def _by_id(entries: list[Any], what: str, path: Path) -> Entries:
    found: Entries = {}
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or 'id' not in entry:
            raise InputError(
                f'{path}: {what} {number}: expected an object with an id, got {_shown(entry)}'
            )
        if found.setdefault(_key(entry['id']), entry) is not entry:
            raise InputError(f'{path}: {what} {number}: id {_shown(entry["id"])} occurs twice')
    return found


def _image_of(annotation: Any, images: Entries, where: str) -> Entry:
    if not isinstance(annotation, dict):
        raise InputError(f'{where}: expected an object, got {_shown(annotation)}')
    image = _find(images, 'images', annotation, 'image_id', where)
    if image is None:
        raise InputError(f'{where}: no image has the id {_shown(annotation.get("image_id"))}')
    return image


def _find(entries: Entries, what: str, annotation: Entry, name: str, where: str) -> Entry | None:
    """Return the entry that the field ``name`` of an annotation refers to, or None.

    Raises:
        InputError: Only an id of another type matches: a text for a number, or the reverse.
    """
    value = annotation.get(name)
    found = entries.get(_key(value))
    if found is not None:
        return found
    for key in (_key(str(value)), str(value).strip()):
        if key in entries:
            other = entries[key]['id']
            raise InputError(
                f'{where}: {name} is {_type(value)} {_shown(value)}, but the id in {what} is '
                f'{_type(other)} {_shown(other)}; write both as numbers'
            )
    return None


def _type(value: object) -> str:
    return 'the text' if isinstance(value, str) else 'the number'


def _key(value: object) -> str:
    if isinstance(value, float) and value.is_integer():  # tables with empty cells save 12 as 12.0
        value = int(value)
    return json.dumps(value, sort_keys=True)  # works for any JSON value, even a list


def _cells(entry: Entry, without: Collection[str] = ()) -> dict[str, str]:
    return {str(name): _cell(value) for name, value in entry.items() if name not in without}


def _cell(value: object) -> str:
    if value is None:
        return ''
    return value.strip() if isinstance(value, str) else json.dumps(value)


def _shown(value: object) -> str:
    return repr(value)[:80]
