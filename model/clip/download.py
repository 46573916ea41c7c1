"""Downloads a file into a cache: resumed if interrupted, verified, by one process at a time."""

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

TIMEOUT = 30.0  # seconds without data after which a connection counts as broken
TRIES = 4  # attempts in a row that receive nothing
PAUSE = 1.0  # seconds before the second attempt; doubles before each further one
MAX_BYTES = 8 << 30  # far more than any of our files: an endless answer must not fill the disk
PERMANENT = set(range(400, 500)) - {408, 416, 425, 429}  # HTTP errors that a retry does not change


def download(url: str, path: Path, sha256: str, otherwise: str) -> None:
    """Download a file and verify its SHA-256.

    Data are written to ``path``.part, which a later attempt or process resumes (HTTP Range).
    ``path``.lock lets only one process download; others wait for it and then find the file.

    Args:
        url: An https address.
        path: The file to write.
        sha256: SHA-256 of the whole file, in hex.
        otherwise: What the user can do instead; error messages end with it.

    Raises:
        InputError: Repeated connection failures, a missing file, wrong content, or a full disk.
    """
    with _lock(path):
        if path.is_file():  # another process has downloaded it
            return
        part = path.with_name(f'{path.name}.part')
        kept = _size(part)
        start = f', resuming at {kept / 1e6:.1f} MB' if kept else ''
        logger.info('downloading %s to %s%s', url, path, start)
        _fetch(url, part, otherwise)
        if kept and sha256_file(part) != sha256:
            logger.warning(
                '%s, which was resumed, has the wrong content; it is downloaded again', part
            )
            part.unlink()
            _fetch(url, part, otherwise)
        if sha256_file(part) != sha256:
            part.unlink()
            raise InputError(
                f'{url} is not the expected file, or it is damaged (its SHA-256 differs); '
                f'{otherwise}'
            )
        with writing(path):
            os.replace(part, path)


def _lock(path: Path) -> AbstractContextManager:
    """Acquire the lock of ``path``, which the system releases if this process dies."""
    lock = FileLock(f'{path}.lock')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(Timeout):
            return lock.acquire(blocking=False)
        logger.info(
            'another process is downloading %s; waiting for it (it holds %s)',
            path.name,
            lock.lock_file,
        )
        return lock.acquire()
    except (OSError, NotImplementedError) as error:
        raise InputError(
            f'the cache {path.parent} cannot be written ({first_line(error)}); set CLIP_CACHE to '
            'another folder'
        ) from None


def _fetch(url: str, part: Path, otherwise: str) -> None:
    """Download ``url`` into ``part``, with several connections if some break."""
    failures = 0
    while True:
        before = _size(part)
        try:
            _fetch_rest(url, part)
            return
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason, code = first_line(error), getattr(error, 'code', None)
            if code == 416 and before:  # ``part`` is complete, or not of this file
                return
        size = _size(part)
        failures = 1 if size > before else failures + 1
        if failures == TRIES or code in PERMANENT:
            if size:
                kept = f'{size / 1e6:.1f} MB are kept in {part}'
                otherwise = f'{kept}; repeat the command to resume, or {otherwise}'
            raise InputError(f'cannot download {url} ({reason}); {otherwise}')
        pause = PAUSE * 2 ** (failures - 1)
        logger.warning(
            'the download of %s was interrupted at %.1f MB (%s); retrying in %.0f s',
            url,
            size / 1e6,
            reason,
            pause,
        )
        time.sleep(pause)


def _fetch_rest(url: str, part: Path) -> None:
    """Download the missing rest of ``part`` with one connection."""
    start = _size(part)
    request = urllib.request.Request(url, headers={'Range': f'bytes={start}-'} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if answer.status != 206:  # the whole file, although a range was requested
            start = 0
        elif not answer.headers.get('Content-Range', '').startswith(f'bytes {start}-'):
            part.unlink()
            raise http.client.HTTPException('the server sent a different range than requested')
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
                        f'{url} is larger than {MAX_BYTES / 1e9:.0f} GB, so it is not a file of '
                        'weights'
                    )
            file.flush()
            os.fsync(file.fileno())
            if total is not None and file.tell() < total:
                raise http.client.HTTPException(
                    f'connection closed at {file.tell() / 1e6:.1f} of {total / 1e6:.1f} MB'
                )


def _chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield bytes as they arrive; the network's OSErrors become HTTPExceptions."""
    try:
        while chunk := answer.read1(1 << 20):
            yield chunk
    except OSError as error:
        raise http.client.HTTPException(first_line(error)) from None


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
