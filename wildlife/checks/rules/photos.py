"""Rules about single photos: missing, unreadable, of a shape or kind that is worth a look."""

from collections import Counter
from collections.abc import Callable, Iterator
from statistics import median

from wildlife.checks.photos import Photo
from wildlife.checks.rules.inspection import Finding, Inspection, Item, counts_text, make_item

SQUEEZE = 2.0  # height / width of the median photo / that of INPUT.SIZE_TRAIN


def check_missing(data: Inspection) -> Iterator[Finding]:
    """Listed photos that are not there."""
    items: list[Item] = []
    counts = []
    for split, paths in data.lists.missing.items():
        items += [{'text': '', 'photos': [{'path': path, 'split': split}]} for path in paths]
        if paths:
            total = len(paths) + len(data.uses(split))
            counts.append(f'{len(paths)} of {total} of the {split} list')
    check = 'skipped' if data.cfg.DATASETS.SKIP_MISSING else 'missing'
    yield Finding(check, len(items), ', '.join(counts), items)


def check_pictures(data: Inspection) -> Iterator[Finding]:
    """Photos that cannot be read, and readable ones that are odd."""
    everything = list(data.photos.values())
    readable = [photo for photo in everything if not photo.error]
    tiny = data.limits.tiny

    def finding(check: str, what: str, photos: list[Photo], say: Callable, total: int) -> Finding:
        items = [make_item(data.by_path[photo.path][:1], say(photo)) for photo in photos]
        return Finding(check, len(items), f'{len(items)} of {total} photos {what}', items)

    def odd(check: str, what: str, is_odd: Callable, say: Callable) -> Finding:
        found = [photo for photo in readable if is_odd(photo)]
        return finding(check, what, found, say, len(readable))

    broken = [photo for photo in everything if photo.error]
    yield finding(
        'broken_skipped' if data.cfg.DATASETS.SKIP_BROKEN else 'unreadable',
        'cannot be read',
        broken,
        lambda photo: photo.error,
        len(everything),
    )
    yield odd('blank', 'have one colour only', lambda photo: photo.blank, lambda photo: '')
    yield odd(
        'tiny',
        f'have a side below {tiny} pixels',
        lambda photo: min(photo.width, photo.height) < tiny,
        lambda photo: f'{photo.width} x {photo.height}',
    )
    yield odd(
        'rotated',
        'are turned or mirrored by EXIF only',
        lambda photo: photo.orientation != 1,
        lambda photo: f'orientation {photo.orientation}',
    )
    yield odd(
        'transparent',
        'have transparency',
        lambda photo: photo.is_transparent,
        lambda photo: photo.mode,
    )
    modes = Counter(photo.mode for photo in readable if photo.mode != 'RGB')
    yield Finding('modes', modes.total(), f'of {len(readable)} photos {counts_text(modes)}')


def check_shapes(data: Inspection) -> Iterator[Finding]:
    """Train photos of another shape than what they are resized to."""
    photos = [data.photos[record.path] for record in data.uses('train')]
    shapes = [photo.height / photo.width for photo in photos if not photo.error]
    height, width = data.cfg.INPUT.SIZE_TRAIN
    if shapes and not 1 / SQUEEZE <= median(shapes) * width / height <= SQUEEZE:
        yield Finding(
            'squeezed',
            1,
            f'the median train photo is {median(shapes):.2f} times as high as wide, '
            f'INPUT.SIZE_TRAIN ({height} x {width}) {height / width:.2f} times',
        )
