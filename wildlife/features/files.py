"""Files of features: .npz and .parquet, written here or by any other program.

Only the columns ``path`` and ``features`` are needed. Reading runs no code of the file.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from utils.errors import InputError, first_line
from utils.files import atomic_write

SUFFIXES = ('.npz', '.parquet')
ABOUT = 'about'  # name of the metadata, a JSON text
NUMBERS = ('side', 'camera', 'encounter')  # columns of whole numbers that may be unknown
DAMAGE = (
    *(OSError, ValueError, LookupError, EOFError, MemoryError, RecursionError),
    *(zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True)
class FeatureTable:
    """Features of N photos.

    Attributes:
        features: (N, D) float32.
        paths: N paths, with '/'.
        columns: Further columns by name, N values each; None = unknown.
        about: What the features are; {} if the file does not say.
    """

    features: np.ndarray
    paths: list[str]
    columns: Mapping[str, list[Any]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


def check_path(path: str | Path) -> Path:
    """Return the path of a file to write; check its suffix and what it needs.

    Raises:
        InputError: It is a folder, has another suffix, or needs a library that is missing.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES or path.is_dir():
        raise InputError(f'{path}: a file of features must end in {" or ".join(SUFFIXES)}')
    if path.suffix == '.parquet':
        _pyarrow(path)
    return path


def write_features(table: FeatureTable, path: Path) -> None:
    """Write a table under a temporary name, then rename.

    In .npz, all columns but ``features`` and ``bytes`` are text, and '' is unknown; in .parquet,
    numbers are numbers, and unknown ones are null.
    """
    about = json.dumps(dict(table.about))
    if path.suffix == '.parquet':
        _write_parquet(table, path, about)
        return
    arrays: dict[str, Any] = {'path': table.paths, 'features': table.features, ABOUT: about}
    for name, values in table.columns.items():
        texts = ['' if value is None else str(value) for value in values]
        arrays[name] = values if name == 'bytes' else texts
    with atomic_write(path, 'wb') as file:
        np.savez(file, **arrays)


def read_features(path: str | Path) -> FeatureTable:
    """Read features of any origin.

    Raises:
        InputError: The file cannot be read, lacks a column, or its features are not a finite
            number for each dimension of each photo.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES or not path.is_file():
        raise InputError(f'{path}: no such file of features ({" or ".join(SUFFIXES)})')
    try:
        arrays = _read_parquet(path) if path.suffix == '.parquet' else _read_npz(path)
        paths = [_text(value) for value in arrays.pop('path').tolist()]
        columns = {name: a.tolist() for name, a in arrays.items() if a.shape == (len(paths),)}
        if 'bytes' in columns:
            columns['bytes'] = [_number_of_bytes(value) for value in columns['bytes']]
        if arrays['features'].dtype.kind not in 'iuf':
            raise ValueError(f'the features are {arrays["features"].dtype}')
        with np.errstate(over='ignore'):  # too large for float32: infinite, which is reported
            features = arrays['features'].astype(np.float32)
        about = json.loads(str(arrays[ABOUT])) if ABOUT in arrays else {}
    except DAMAGE as error:
        raise InputError(
            f'{path}: not a file of features: it needs the columns path (text) and features '
            f'(numbers), as in docs/outputs.md ({first_line(error)})'
        ) from error
    if features.ndim != 2 or len(features) != len(paths) or not features.size:
        raise InputError(
            f'{path}: features must have one row for each path, but there are {len(paths)} paths '
            f'and the features have the shape {features.shape}'
        )
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        raise InputError(
            f'{path}: the features of {len(bad)} photos contain NaN or infinity, for example '
            f'those of {paths[bad[0]]}; compute them again'
        )
    return FeatureTable(features, paths, columns, about if isinstance(about, dict) else {})


def _text(value: object) -> str:
    if not isinstance(value, str | bytes):
        raise ValueError(f'a path cannot be {value!r:.40}')
    return value.decode() if isinstance(value, bytes) else value


def _number_of_bytes(value: Any) -> int | None:
    """Return the size of a photo's file; None if it is unknown: '', NaN or no number."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with open(path, 'rb') as file:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError('a single array')
        return {name: archive[name] for name in archive.files}


# ---------------------------------------------------------------------------------------- parquet


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError:
        raise InputError(
            f'{path}: .parquet needs the package pyarrow: pip install pyarrow, or use .npz'
        ) from None
    return pyarrow


def _write_parquet(table: FeatureTable, path: Path, about: str) -> None:
    arrow = _pyarrow(path)
    length = table.features.shape[1]
    columns = {'path': [_printable(each) for each in table.paths]}
    for name, values in table.columns.items():
        columns[name] = values if name in (*NUMBERS, 'bytes') else [_printable(v) for v in values]
    kinds = {name: arrow.int64() for name in (*NUMBERS, 'bytes')}
    arrays = {
        name: arrow.array(values, kinds.get(name, arrow.string()))
        for name, values in columns.items()
    }
    flat = arrow.array(table.features.reshape(-1), arrow.float32())
    arrays['features'] = arrow.FixedSizeListArray.from_arrays(flat, length)
    content = arrow.table(arrays).replace_schema_metadata({ABOUT: about})
    with atomic_write(path, 'wb') as file:
        arrow.parquet.write_table(content, file)


def _printable(text: str) -> str:
    """Escape what is not valid UTF-8, as in \\udce9."""
    return text.encode(errors='backslashreplace').decode()


def _read_parquet(path: Path) -> dict[str, np.ndarray]:
    arrow = _pyarrow(path)
    try:
        content = arrow.parquet.read_table(path)
        rows = content['features'].combine_chunks()
        lengths = set(arrow.compute.list_value_length(rows).to_pylist())
    except arrow.ArrowException as error:
        raise ValueError(first_line(error)) from error
    if len(lengths) != 1 or None in lengths:
        raise ValueError('the features have different lengths')
    others = (name for name in content.column_names if name != 'features')
    arrays = {name: content[name].to_numpy() for name in others}
    arrays['features'] = rows.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), -1)
    about = (content.schema.metadata or {}).get(ABOUT.encode())
    return arrays | ({} if about is None else {ABOUT: np.array(about.decode())})
