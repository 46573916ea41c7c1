"""Finds the photos in a folder and its subfolders, and lists what is skipped."""

import os
from collections import Counter
from collections.abc import Iterable

from datasets.images import photo_extensions

LINK = 'link to a folder'  # why it is skipped

# Folders made by a system or program, in lower case: they contain thumbnails, copies or deleted
# photos. Names that begin with a dot are skipped as well, such as the folders .thumbnails,
# .Trash-1000 and .picasaoriginals, and the files ._x.jpg that macOS adds.
SKIPPED_FOLDERS = frozenset(
    {
        *('@eadir', '#recycle', '#snapshot', '@recycle', '@recently-snapshot'),  # Synology, QNAP
        *('$recycle.bin', 'recycler', 'system volume information'),  # Windows
        *('__macosx', 'lost+found'),  # ZIPs of macOS; Linux
        *('originals', 'previews', 'thumbnails', 'thumbs'),  # photo programs
    }
)


def is_skipped_folder(name: str) -> bool:
    """Return whether a folder of this name was made by a system or program."""
    return name.startswith('.') or name.lower() in SKIPPED_FOLDERS


def photos_below(folder: str | os.PathLike[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Find the photos in a folder and its subfolders; links to folders are not followed.

    Returns:
        photos: Sorted paths relative to ``folder``, with '/'.
        skipped: Sorted (path, reason) of photos in ``SKIPPED_FOLDERS``, of other files and of links
            to folders.
    """
    extensions = photo_extensions()
    photos, skipped = [], []
    for above, folders, files in os.walk(folder):
        below = os.path.relpath(above, folder).replace(os.sep, '/')
        parts = [] if below == '.' else below.split('/')
        made = next(filter(is_skipped_folder, parts), '')
        if not made:
            links = [name for name in folders if os.path.islink(os.path.join(above, name))]
            skipped += [('/'.join([*parts, name]), LINK) for name in links]
        for name in files:
            path, ending = '/'.join([*parts, name]), os.path.splitext(name)[1]
            is_photo = ending.lower() in extensions
            if is_photo and made:
                skipped.append((path, f"in a folder '{made}'"))
            elif is_photo and name.startswith('.'):
                skipped.append((path, 'hidden file'))
            elif is_photo:
                photos.append(path)
            elif not made:
                skipped.append((path, f"not a photo ('{ending or name}')"))
    return sorted(photos), sorted(skipped)


def skipped_photos(skipped: Iterable[tuple[str, str]]) -> Counter[str]:
    """Count the photos in each skipped folder, by the path of the folder.

    Args:
        skipped: Second result of ``photos_below``.
    """
    counts: Counter[str] = Counter()
    for path, _ in skipped:
        parts = path.split('/')[:-1]
        depths = [depth for depth, name in enumerate(parts, start=1) if is_skipped_folder(name)]
        if depths:
            counts['/'.join(parts[: depths[0]])] += 1
    return counts
