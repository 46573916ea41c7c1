"""Creates a catalogue, completely or not at all."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from utils.errors import InputError
from utils.files import writing
from utils.run.lock import InUse, output_lock
from wildlife.catalogue.database import FILE, connection
from wildlife.catalogue.journal import Author, Transaction
from wildlife.catalogue.schema import FORMAT, metadata, settings
from wildlife.catalogue.store import FEATURES, Catalogue


def check_new_folder(folder: Path) -> None:
    """Check that a folder can become a catalogue: it is new or empty.

    Raises:
        InputError: It is a file, a catalogue, the current folder, or has other files.
    """
    if not folder.name:
        raise InputError(f'{folder}: name a new folder for the catalogue, such as nyala')
    if folder.exists() and not folder.is_dir():
        raise InputError(f'{folder} is a file; name a new folder for the catalogue')
    if (folder / FILE).exists():
        raise InputError(
            f'{folder} is a catalogue already; add photos to it (python -m tools.catalogue add), '
            'or name a new folder'
        )
    others = [path.name for path in folder.glob('*')]
    if others:
        raise InputError(
            f'{folder} is not empty (it has {others[0]}); name a new folder for the catalogue'
        )


@contextlib.contextmanager
def making(folder: Path) -> Iterator[Path]:
    """Yield a folder beside ``folder``, which becomes ``folder`` at the end of the block.

    A killed or failed attempt leaves only parts of the features, which the next attempt uses.

    Raises:
        InputError: ``folder`` is not new, another program is creating it, or it cannot be written.
    """
    check_new_folder(folder)
    new = folder.with_name(f'{folder.name}.new')
    with contextlib.ExitStack() as stack:
        with writing(new):
            new.parent.mkdir(parents=True, exist_ok=True)
        try:
            stack.enter_context(output_lock(new.parent, new.name))
        except InUse:
            raise InputError(f'{folder}: another program is creating this catalogue') from None
        _drop_unfinished(new)
        stack.callback(_drop_unfinished, new)
        yield new
        with writing(folder):
            new.rename(folder)


def _drop_unfinished(folder: Path) -> None:
    """Remove the file of a catalogue that is not complete, and its folders as far as empty."""
    for path in folder.glob(f'{FILE}*'):
        path.unlink()
    for empty in (folder / FEATURES, folder):
        with contextlib.suppress(OSError):
            empty.rmdir()


def create_catalogue(folder: Path, author: Author, species: str, margin: float) -> Catalogue:
    """Create an empty catalogue in a folder.

    Args:
        folder: The folder.
        author: Who creates it.
        species: The name of the species; '' = unknown.
        margin: The margin around boxes on each side, as a share of the box.

    Raises:
        InputError: The folder cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    catalogue = Catalogue(folder)
    with connection(catalogue.engine, folder, writes=True) as opened:
        metadata.create_all(opened, checkfirst=False)
        values = {'format': FORMAT, 'margin': margin, 'species': species}
        rows = [{'name': name, 'value': str(value)} for name, value in values.items()]
        Transaction(opened, author, 'create').insert(settings, rows)
    return catalogue
