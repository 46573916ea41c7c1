"""The names that people gave to individuals, from the photos.csv of make_lists."""

import csv
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from datasets.records import NOBODY, Record
from utils.errors import InputError
from utils.logger import logger

DISTRACTOR = 'none of the individuals'


def given_names(list_dir: str) -> dict[str, str]:
    """Read {listed path: individual} from ``photos.csv`` beside the lists; {} if it is missing.

    Raises:
        InputError: The file was not written by make_lists.
    """
    return {listed: row['identity'] for listed, row in given_rows(list_dir).items()}


def given_rows(list_dir: str) -> dict[str, dict[str, str]]:
    """Read {listed path: row} from ``photos.csv`` beside the lists; {} if it is missing.

    Raises:
        InputError: The file was not written by make_lists.
    """
    path = os.path.join(list_dir, 'photos.csv')
    if not os.path.isfile(path):
        return {}
    try:
        with open(path, encoding='utf-8', newline='') as file:
            rows = {row['listed']: row for row in csv.DictReader(file) if row['listed']}
        if any(row['identity'] is None for row in rows.values()):
            raise KeyError('identity')
        return rows
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise InputError(
            f'{path}: not a photos.csv written by tools/make_lists.py ({error}); make the lists '
            'again, or move this file away'
        ) from None


def listed_path(path: str, root: str) -> str:
    """Return the path of a located photo as it stands in the lists, relative to ``root``."""
    return os.path.relpath(path, root).replace(os.sep, '/')


def names_of_labels(records: Iterable[Record], config: Mapping[str, Any]) -> dict[int, str]:
    """Name the labels of a test: as in photos.csv, else 'individual 7'.

    A photos.csv that cannot be read is logged as a warning: a result is valid without names.

    Args:
        records: Located photos of the test lists.
        config: The config of the test: key -> value.

    Returns:
        Label -> name. Labels that share a name, such as the two flanks of an animal, get the label
        after it.
    """
    names, root = {}, config['DATASETS.TEST_ROOT_DIR']
    if config['DATASETS.NAMES'] == 'animals':
        try:
            names = given_names(config['DATASETS.LIST_DIR'])
        except InputError as error:
            logger.warning('individuals are called by their labels: %s', error)
    found: dict[int, str] = {}
    for record in records:
        name = names.get(listed_path(record.path, root)) if names else None
        if name is not None or record.pid not in found:
            found[record.pid] = name if name is not None else f'individual {record.pid}'
    shared = Counter(found.values())
    unique = {
        label: name if shared[name] == 1 else f'{name} (label {label})'
        for label, name in found.items()
    }
    return unique | ({NOBODY: DISTRACTOR} if NOBODY in found else {})
