"""Features from a file for the photos of a config: which row belongs to which photo."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import torch
from yacs.config import CfgNode

from datasets.loaders import TestSet
from datasets.records import Record
from processor.encoder import FEATURE_FACTS
from utils.errors import InputError
from utils.files import sha256_file
from utils.whitening import KEY, load_whitening
from utils.words import first_few
from wildlife.features.files import FeatureTable, read_features


def read_test_features(
    file: str, test: TestSet, cfg: CfgNode
) -> tuple[torch.Tensor, dict[str, Any]]:
    """Read the features of the photos of a test.

    Args:
        file: A file of features.
        test: The test set.
        cfg: Its config.

    Returns:
        features: (N, D) of the photos of ``test.loader``, whitened if TEST.WHITENING is set.
        facts: For results.json: 'checkpoint' (the file), 'checkpoint_sha256' (of the model, '' if
            unknown), and 'features': the file, its SHA-256 and its metadata.

    Raises:
        InputError: The file cannot be read, or is not of these photos.
    """
    table = read_features(file)
    features = whitened(features_of(table, test.loader.dataset.records, file), table.about, cfg)
    source = {'file': file, 'sha256': sha256_file(file), 'length': table.features.shape[1]}
    model = str(table.about.get('model_sha256') or '')
    facts = {'checkpoint': file, 'checkpoint_sha256': model}
    return features, facts | {'features': source | {'about': dict(table.about)}}


def features_of(table: FeatureTable, records: Sequence[Record], file: str) -> torch.Tensor:
    """Return the features (N, D) float32 of N photos.

    Args:
        table: The features of these photos, perhaps of others too.
        records: N located records.
        file: The file of the table, for errors.

    Raises:
        InputError: A photo has no features or two, or its file has changed since they were made.
    """
    rows = match_rows(table.paths, [record.path for record in records], file)
    sizes = table.columns.get('bytes', [None] * len(table.paths))
    changed = [
        record.path
        for record, row in zip(records, rows, strict=True)
        if sizes[row] is not None and os.path.getsize(record.path) != sizes[row]
    ]
    if changed:
        raise InputError(
            f'{file}: {len(changed)} of {len(records)} photos have changed since their '
            f'features were made ({first_few(changed)}); extract the features again'
        )
    return torch.from_numpy(table.features[rows])


def match_rows(paths: Sequence[str], photos: Sequence[str], file: str) -> list[int]:
    """Return the row of each photo.

    The paths of a table are absolute, or all of them relative to the same folder: one that
    contains all photos, or begins with '.', the working directory.

    Args:
        paths: The paths of the table.
        photos: The paths of the photos.
        file: The file of the table, for errors.

    Raises:
        InputError: A photo has no row, or two rows have the same path.
    """
    row_of: dict[str, int] = {}
    for row, path in enumerate(paths):
        known = row_of.setdefault(_key(path), row)
        if known != row:
            raise InputError(f'{file}: {path} has several rows; keep one row for each photo')
    best: list[int | None] = [None] * len(photos)
    for base, located in _bases(photos):
        found = [row_of.get(_relative(path, base)) for path in located]
        if None not in found:
            return [row for row in found if row is not None]
        if found.count(None) < best.count(None):
            best = found
    missing = [photo for photo, row in zip(photos, best, strict=True) if row is None]
    raise InputError(
        f'{file}: {len(missing)} of {len(photos)} photos of the lists have no features '
        f'({first_few(missing)}); its {len(paths)} paths look like {paths[0]!r:.100}, but must be '
        'absolute, or relative to a folder that contains all photos'
    )


def _key(path: str) -> str:
    """Return a path of a table without the root '/', so that it is relative to some folder."""
    path = path.replace('\\', '/')
    absolute = os.path.abspath(path) if path.startswith(('./', '../')) else os.path.normpath(path)
    return _relative(absolute, '') if os.path.isabs(absolute) else absolute.replace(os.sep, '/')


def _relative(path: str, base: str) -> str:
    """Return an absolute path relative to ``base``, '' = the root, with '/'."""
    if base:
        return os.path.relpath(path, base).replace(os.sep, '/')
    pure = PurePath(path)
    return pure.relative_to(pure.anchor).as_posix()


def _bases(photos: Sequence[str]) -> Iterable[tuple[str, list[str]]]:
    """Yield folders that contain all photos, the nearest first, with the photos' full paths.

    First by their names, then with links resolved; '' is the root of the file system.
    """
    for resolve in (os.path.abspath, os.path.realpath):
        located = [resolve(photo) for photo in photos]
        folder = Path(os.path.commonpath([os.path.dirname(path) for path in located]))
        for base in (folder, *folder.parents):
            yield ('' if base == base.parent else str(base)), located


def whitened(features: torch.Tensor, about: Mapping[str, Any], cfg: CfgNode) -> torch.Tensor:
    """Apply TEST.WHITENING, if it is set, to features from a file.

    Args:
        features: (N, D).
        about: What the file says about them.
        cfg: The config.

    Raises:
        InputError: The whitening belongs to another model, or they are whitened already.
    """
    if not cfg.TEST.WHITENING:
        return features
    if about.get('whitening'):
        raise InputError(f"{KEY}: these features are whitened already; set {KEY} ''")
    expected = {name: about.get(name) for name in FEATURE_FACTS}
    return load_whitening(cfg.TEST.WHITENING, expected)(features)
