"""Writing files so that nothing is lost: under a temporary name, then renamed; earlier files are kept."""
import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

from utils.errors import InputError

TEMPORARY = '.tmp-'  # prefix of files that are not finished


@contextlib.contextmanager
def atomic_write(path, mode='w'):
    """Open a temporary file beside ``path`` and rename it to ``path`` once all is on the disk.

    A process killed at any moment leaves either the old file or the new one. A failure leaves the old one and no
    temporary file; an error of the file system is raised as InputError.
    """
    path = Path(path)
    temporary = path.with_name(f'{TEMPORARY}{os.getpid()}-{path.name}')
    try:
        with open(temporary, mode, encoding=None if 'b' in mode else 'utf-8') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f'cannot write {path}: {error.strerror or error}; is the disk full or the folder '
                         f'read-only?') from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path, value):
    with atomic_write(path) as file:
        json.dump(value, file, indent=2, allow_nan=False)
        file.write('\n')


def keep_earlier(path):
    """Rename an existing ``path`` to the first free ``stem.N.suffix``; return the new path, or None."""
    path = Path(path)
    if not path.exists():
        return None
    number = 1
    while (kept := path.with_name(f'{path.stem}.{number}{path.suffix}')).exists():
        number += 1
    path.rename(kept)
    return kept


def make_output_dir(folder):
    """Make OUTPUT_DIR where missing, see that it can be written, drop what a killed run left unfinished."""
    if not folder:
        raise InputError('OUTPUT_DIR is empty; name the folder for logs, checkpoints and results, in the yml or as '
                         'OUTPUT_DIR ./output/mine')
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f'OUTPUT_DIR {folder} cannot be written: {error.strerror}; choose another folder') from None
    for leftover in folder.glob(f'{TEMPORARY}*'):
        pid = leftover.name.removeprefix(TEMPORARY).split('-')[0]
        if not (pid.isdigit() and _alive(int(pid))):  # a training may be writing there while its checkpoint is tested
            leftover.unlink(missing_ok=True)
    return folder


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    return True


def sha256_file(path):
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
