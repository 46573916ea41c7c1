"""Rules about single photos: missing, unreadable, or of an unusual shape or kind."""

from collections import Counter
from collections.abc import Iterator, Mapping
from statistics import median

from wildlife.checks.rules.inspection import Finding, Inspection, Item, counts_text, make_item

SQUEEZE = 2.0  # largest factor between width / height of the median photo and of INPUT.SIZE_TRAIN


def check_missing(data: Inspection) -> Iterator[Finding]:
    """Report missing photos of the lists."""
    items: list[Item] = []
    counts = []
    for split, paths in data.lists.missing.items():
        items += [{'text': '', 'photos': [{'path': path, 'split': split}]} for path in paths]
        if paths:
            total = len(paths) + len(data.uses(split))
            counts.append(f'{len(paths)} of the {total} photos in the {split} list')
    check = 'skipped' if data.cfg.DATASETS.SKIP_MISSING else 'missing'
    yield Finding(check, len(items), ', '.join(counts), items)


def check_pictures(data: Inspection) -> Iterator[Finding]:
    """Report photos that cannot be read, and readable ones that are suspicious."""
    photos = list(data.photos.values())
    readable = [photo for photo in photos if not photo.error]
    tiny, total = data.limits.tiny, len(readable)
    unreadable = 'broken_skipped' if data.cfg.DATASETS.SKIP_BROKEN else 'unreadable'

    errors = {photo.path: photo.error for photo in photos if photo.error}
    blank = {photo.path: '' for photo in readable if photo.blank}
    sizes = {photo.path: (photo.width, photo.height) for photo in readable}
    small = {path: f'{w} x {h}' for path, (w, h) in sizes.items() if min(w, h) < tiny}
    turns = {photo.path: photo.orientation for photo in readable}
    turned = {path: f'orientation {turn}' for path, turn in turns.items() if turn != 1}
    transparent = {photo.path: photo.mode for photo in readable if photo.is_transparent}

    yield _odd_photos(data, unreadable, errors, 'cannot be read', len(photos))
    yield _odd_photos(data, 'blank', blank, 'have only one colour', total)
    yield _odd_photos(data, 'tiny', small, f'have a side below {tiny} pixels', total)
    yield _odd_photos(data, 'rotated', turned, 'have an EXIF rotation or mirroring', total)
    yield _odd_photos(data, 'transparent', transparent, 'have transparency', total)
    modes = Counter(photo.mode for photo in readable if photo.mode != 'RGB')
    yield Finding('modes', modes.total(), f'{counts_text(modes)}, of {total} photos')


def _odd_photos(
    data: Inspection, check: str, texts: Mapping[str, str], what: str, total: int
) -> Finding:
    """Return a finding about suspicious photos.

    Args:
        data: Lists and photos.
        check: Key of ``CHECKS``.
        texts: Path of each suspicious photo -> text about this photo.
        what: Predicate that is true of all these photos, for example 'have only one colour'.
        total: Number of photos that were checked.
    """
    items = [make_item(data.by_path[path][:1], text) for path, text in texts.items()]
    return Finding(check, len(items), f'{len(items)} of {total} photos {what}', items)


def check_shapes(data: Inspection) -> Iterator[Finding]:
    """Report train photos whose shape differs from the size they are resized to."""
    photos = [data.photos[record.path] for record in data.uses('train')]
    shapes = [photo.width / photo.height for photo in photos if not photo.error]
    height, width = data.cfg.INPUT.SIZE_TRAIN
    if shapes and not 1 / SQUEEZE <= median(shapes) * height / width <= SQUEEZE:
        yield Finding(
            'squeezed',
            1,
            f'the median train photo is {median(shapes):.2f} times as wide as high, '
            f'but INPUT.SIZE_TRAIN ({height} x {width}) is {width / height:.2f} times',
        )
