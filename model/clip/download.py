"""One file from the network into a cache: resumed, checked whole, named last, by one process."""

import contextlib
import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
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


class _Broken(Exception):
    """The connection failed, and another try may help."""


def download(url: str, path: Path, sha256: str, otherwise: str) -> None:
    """Fetch a file and check its SHA-256.

    The bytes gather in ``path``.part, which a later try or process resumes (HTTP Range).
    ``path``.lock lets one process fetch; others wait for it and find the file.

    Args:
        url: https.
        path: of the file; its folder exists.
        sha256: of the whole file, in hex.
        otherwise: what the user may do instead; the error's line ends with it.

    Raises:
        InputError: no connection after some tries, no such file, another content, a full disk.
    """
    with _locked(path):
        if path.is_file():  # the other process has it
            return
        part = path.with_name(f'{path.name}.part')
        logger.info(
            'downloading %s to %s%s',
            url,
            path,
            f', from {_size(part) / 1e6:.1f} MB on' if _size(part) else '',
        )
        gone_on = _fetch(url, part, otherwise)
        if gone_on and sha256_file(part) != sha256:
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


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold ``path``'s lock, which the system frees when its process dies."""
    lock = FileLock(f'{path}.lock')
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info(
                'another process downloads %s; waiting for it (it holds %s)',
                path.name,
                lock.lock_file,
            )
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        raise InputError(
            f'the cache {path.parent} cannot be written '
            f'({getattr(error, "strerror", None) or error}); set CLIP_CACHE to another folder'
        ) from None
    try:
        yield
    finally:
        lock.release()


def _fetch(url: str, part: Path, otherwise: str) -> bool:
    """Fetch all of ``url`` into ``part``, by several connections if needed; was any resumed?"""
    fruitless, gone_on = 0, False
    while True:
        before = _size(part)
        gone_on |= before > 0
        try:
            _fetch_rest(url, part)
            return gone_on
        except urllib.error.HTTPError as error:  # for good
            reason = f'HTTP {error.code} {first_line(error.reason)}'
            fruitless = TRIES
        except _Broken as error:
            reason = str(error)
            fruitless = 1 if _size(part) > before else fruitless + 1
        if fruitless == TRIES:
            raise InputError(f'cannot download {url} ({reason}); {_kept(part)}{otherwise}')
        pause = PAUSE * 2 ** (fruitless - 1)
        logger.warning(
            'download of %s broke at %.1f MB (%s); trying again in %.0f s',
            url,
            _size(part) / 1e6,
            reason,
            pause,
        )
        time.sleep(pause)


def _fetch_rest(url: str, part: Path) -> None:
    """Fetch what ``part`` lacks of ``url``, by one connection.

    Raises:
        _Broken: it ended early.
        urllib.error.HTTPError: there is no use in trying again.
    """
    start = _size(part)
    answer = _answer(url, start)
    if answer is None:
        return
    with answer:
        if answer.status != 206:  # the whole file, whatever was asked for
            start = 0
        elif not answer.headers.get('Content-Range', '').startswith(f'bytes {start}-'):
            part.unlink()
            raise _Broken('the server sends another range than asked for')
        rest = answer.length  # bytes to come; None: unknown
        total = None if rest is None else start + rest
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
                raise _Broken(f'cut short at {file.tell() / 1e6:.1f} of {total / 1e6:.1f} MB')


def _answer(url: str, start: int) -> http.client.HTTPResponse | None:
    """Open ``url`` from byte ``start`` on; None: nothing follows, or ours is of another file."""
    request = urllib.request.Request(url, headers={'Range': f'bytes={start}-'} if start else {})
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return None
        if error.code in FOR_GOOD:
            raise
        raise _Broken(f'HTTP {error.code} {first_line(error.reason)}') from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _Broken(_reason(error)) from None


def _chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield bytes as they come; errors are _Broken, as OSErrors are taken for the disk's."""
    try:
        while chunk := answer.read1(1 << 20):
            yield chunk
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _Broken(_reason(error)) from None


def _reason(error: Exception) -> str:
    error = getattr(error, 'reason', error)
    if isinstance(error, TimeoutError):
        return f'nothing came for {TIMEOUT:.0f} s'
    return first_line(error)


def _kept(part: Path) -> str:
    """What there is for the next time, in words. An empty part is not kept."""
    if not _size(part):
        part.unlink(missing_ok=True)
        return ''
    return (
        f'{_size(part) / 1e6:.1f} MB are kept in {part} and the same command goes on from '
        'there; or '
    )


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
