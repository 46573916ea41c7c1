"""Features that are kept in files until they are written, so that an interruption loses none.

Each has the key of its photo, since the next call may have other photos. For a fixed list of photos
that several processes share, see ``wildlife.features.parts``.
"""

import contextlib
import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.errors import InputError
from utils.files import atomic_write, writing
from utils.logger import logger
from wildlife.catalogue.encode import PhotoEncoder
from wildlife.catalogue.new_photos import Boxed
from wildlife.catalogue.queries import Key
from wildlife.catalogue.store import KEPT

Vectors = dict[Key, np.ndarray]


@contextlib.contextmanager
def kept_features(
    photos: Mapping[Key, Boxed], encoder: PhotoEncoder, margin: float, folder: Path
) -> Iterator[Vectors]:
    """Yield the features (D,) float32 of photos, in the order of the photos.

    Parts of them are files until the block ends without an error, so write the features within it.
    A later call reads the features that it wants from all files of the same model and margin, and
    computes the others. Programs at the same time do not disturb each other: files never change.

    Args:
        photos: The photos by their keys.
        encoder: The model.
        margin: The margin around boxes on each side, as a share of the box.
        folder: The folder of the files.

    Raises:
        InputError: A photo cannot be read, a file is damaged, or the folder cannot be written.
    """
    name = _digest([encoder.facts.key, str(margin)])
    found, files = _earlier(photos, folder, name)
    if found:
        logger.info('%s: %d of %d features are already done', folder, len(found), len(photos))
    left = [key for key in photos if key not in found]
    made = encoder([photos[key] for key in left], margin) if left else ()
    for rows in made:
        keys, left = left[: len(rows)], left[len(rows) :]
        files.append(_write(folder, name, keys, rows))
        found.update(zip(keys, rows, strict=True))
    yield {key: found[key] for key in photos}
    for path in files:
        path.unlink(missing_ok=True)


def _earlier(photos: Mapping[Key, Boxed], folder: Path, name: str) -> tuple[Vectors, list[Path]]:
    """Return the features of photos that earlier calls have left, and their files."""
    found: Vectors = {}
    files = []
    for path in sorted(folder.glob(f'{name}-*{KEPT}')):
        rows = {key: row for key, row in _read(path).items() if key in photos}
        if rows:
            found |= rows
            files.append(path)
    return found, files


def _read(path: Path) -> Vectors:
    """Return the features of a file; none if another program has just removed it."""
    try:
        with path.open('rb') as file, np.load(file, allow_pickle=False) as arrays:
            keys = [(first, second) for first, second in arrays['keys'].tolist()]
            return dict(zip(keys, arrays['features'], strict=True))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f'{path} is damaged ({error}); delete it') from error


def _write(folder: Path, name: str, keys: Sequence[Key], rows: np.ndarray) -> Path:
    path = folder / f'{name}-{_digest(map(" ".join, keys))}{KEPT}'
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, 'wb') as file:
        np.savez(file, keys=np.array(keys), features=rows)
    return path


def _digest(lines: Iterable[str]) -> str:
    """Return a short text that tells lists of lines apart."""
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:16]
