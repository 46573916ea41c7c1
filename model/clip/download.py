"""One file from the network into a cache: resumed, checked whole, named last, by one process."""

import http.client
import logging
import os
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from utils.errors import InputError, first_line
from utils.files import sha256_file, writing
from utils.logger import progress

logger = logging.getLogger('transreid')

TIMEOUT = 30.0  # seconds of silence after which a connection is given up
TRIES = 4  # that bring nothing, one after another
PAUSE = 1.0  # seconds before the second try; doubled before each further one
# No file of ours is nearly as large: a server that does not stop must not fill the disk.
MAX_BYTES = 8 << 30
FOR_GOOD = set(range(400, 500)) - {408, 416, 425, 429}  # answers that another try does not change


def download(url: str, path: Path, sha256: str, otherwise: str) -> None:
    """Fetch a file and check its SHA-256.

    The bytes gather in ``path``.part, which a later try or process resumes (HTTP Range).
    ``path``.lock lets one process fetch; others wait for it and find the file.

    Args:
        url: https.
        path: of the file.
        sha256: of the whole file, in hex.
        otherwise: what the user may do instead; the error's line ends with it.

    Raises:
        InputError: no connection after some tries, no such file, another content, a full disk.
    """
    with _lock(path):
        if path.is_file():  # the other process has it
            return
        part = path.with_name(f'{path.name}.part')
        kept = _size(part)
        start = f', from {kept / 1e6:.1f} MB on' if kept else ''
        logger.info('downloading %s to %s%s', url, path, start)
        _fetch(url, part, otherwise)
        if kept and sha256_file(part) != sha256:
            logger.warning(
                '%s, which was gone on with, is not the right file; it is fetched anew', part
            )
            part.unlink()
            _fetch(url, part, otherwise)
        if sha256_file(part) != sha256:
            part.unlink()
            raise InputError(
                f'{url} sends another file than expected, or a damaged one (SHA-256 differs); '
                f'{otherwise}'
            )
        with writing(path):
            os.replace(part, path)


def _lock(path: Path) -> AbstractContextManager:
    """Hold ``path``'s lock, which the system frees when its process dies."""
    lock = FileLock(f'{path}.lock')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(Timeout):
            return lock.acquire(blocking=False)
        logger.info(
            'another process downloads %s; waiting for it (it holds %s)', path.name, lock.lock_file
        )
        return lock.acquire()
    except (OSError, NotImplementedError) as error:
        raise InputError(
            f'the cache {path.parent} cannot be written ({first_line(error)}); set CLIP_CACHE to '
            'another folder'
        ) from None


def _fetch(url: str, part: Path, otherwise: str) -> None:
    """Fetch all of ``url`` into ``part``, by several connections if needed."""
    fruitless = 0
    while True:
        before = _size(part)
        try:
            _fetch_rest(url, part)
            return
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason, code = first_line(error), getattr(error, 'code', None)
            if code == 416 and before:  # nothing follows, or ours is of another file
                return
        size = _size(part)
        fruitless = 1 if size > before else fruitless + 1
        if fruitless == TRIES or code in FOR_GOOD:
            if size:
                kept = f'{size / 1e6:.1f} MB are kept in {part}'
                otherwise = f'{kept} and the same command goes on from there; or {otherwise}'
            raise InputError(f'cannot download {url} ({reason}); {otherwise}')
        pause = PAUSE * 2 ** (fruitless - 1)
        logger.warning(
            'download of %s broke at %.1f MB (%s); trying again in %.0f s',
            url,
            size / 1e6,
            reason,
            pause,
        )
        time.sleep(pause)


def _fetch_rest(url: str, part: Path) -> None:
    """Fetch what ``part`` lacks of ``url``, by one connection."""
    start = _size(part)
    request = urllib.request.Request(url, headers={'Range': f'bytes={start}-'} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if answer.status != 206:  # the whole file, whatever was asked for
            start = 0
        elif not answer.headers.get('Content-Range', '').startswith(f'bytes {start}-'):
            part.unlink()
            raise http.client.HTTPException('the server sends another range than asked for')
        total = None if answer.length is None else start + answer.length
        with (
            progress(None, f'downloading {part.stem}', total=total) as bar,
            writing(part),
            open(part, 'ab' if start else 'wb') as file,
        ):
            bar.update(start)
            for chunk in _chunks(answer):
                file.write(chunk)
                bar.update(len(chunk))
                if file.tell() > MAX_BYTES:
                    part.unlink()
                    raise InputError(
                        f'{url} does not end after {MAX_BYTES / 1e9:.0f} GB; it is no file of '
                        'weights'
                    )
            file.flush()
            os.fsync(file.fileno())
            if total is not None and file.tell() < total:
                raise http.client.HTTPException(
                    f'cut short at {file.tell() / 1e6:.1f} of {total / 1e6:.1f} MB'
                )


def _chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield bytes as they come. The network's OSErrors become others: OSErrors are the disk's."""
    try:
        while chunk := answer.read1(1 << 20):
            yield chunk
    except OSError as error:
        raise http.client.HTTPException(first_line(error)) from None


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
