"""The names that people gave to individuals, from the photos.csv of make_lists."""

import csv
import os
from collections import Counter
from collections.abc import Iterable, Mapping

from datasets.records import NOBODY, Record
from utils.errors import InputError

DISTRACTOR = 'none of the individuals'


def given_names(list_dir: str) -> dict[str, str]:
    """Read {listed path: individual} from ``photos.csv`` beside the lists; {} if it is missing.

    Raises:
        InputError: The file was not written by make_lists.
    """
    path = os.path.join(list_dir, 'photos.csv')
    if not os.path.isfile(path):
        return {}
    try:
        with open(path, encoding='utf-8', newline='') as file:
            return {row['listed']: row['identity'] for row in csv.DictReader(file) if row['listed']}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise InputError(
            f'{path}: not a photos.csv written by tools/make_lists.py ({error}); make the lists '
            'again, or move this file away'
        ) from None


def listed_path(path: str, root: str) -> str:
    """Return the path of a located photo as it stands in the lists, relative to ``root``."""
    return os.path.relpath(path, root).replace(os.sep, '/')


def names_of_labels(
    records: Iterable[Record], names: Mapping[str, str], root: str
) -> dict[int, str]:
    """Name the labels of a list: as in photos.csv, else 'individual 7'.

    Args:
        records: Located photos.
        names: The result of :func:`given_names`.
        root: The folder of the photos.

    Returns:
        Label -> name. Labels that share a name, such as the two flanks of an animal, get the label
        after it.
    """
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
