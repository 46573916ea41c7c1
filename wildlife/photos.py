"""What is to be done to photos once, so that training need not: crops of boxes, EXIF orientation.
For tools/make_lists.py.
"""

import contextlib
import hashlib
import json
import math
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from PIL import Image

from datasets.images import (
    MAX_RATIO,
    UPRIGHT,
    UnreadablePhoto,
    orientation_of,
    photo_formats,
    read_image,
    why_unreadable,
)
from datasets.records import CONTROL, LINE
from utils.errors import InputError
from utils.files import atomic_write, writing
from utils.logger import progress
from wildlife.lists.columns import parse_date

EXIF_IFD, TAKEN = (
    0x8769,
    0x9003,
)  # EXIF tags; 0x132 is when the file was changed, not when it was taken
LOSSLESS = {'PNG': {}, 'BMP': {}, 'TIFF': {'compression': 'tiff_lzw'}, 'WEBP': {'lossless': True}}
# a folder with this file is ours to go on with; what was made from what, a JSON list a line
MARK = '.made_by_make_lists'
LONGEST, LONGEST_NAME = (
    900,
    150,
)  # characters of a path in a list; bytes of a file's name, while it is temporary it is longer
SMALLEST = 2  # pixels of a side of a box
BEYOND = 0.05  # of a photo's side: boxes are drawn by hand and may reach a little beyond it


@dataclass(frozen=True)
class Header:
    """What the head of a file says. size: (width, height) of the stored pixels; orientation:
    EXIF's, 1 = upright.
    """

    size: tuple
    orientation: int
    kind: str
    date: datetime | None

    @property
    def upright_size(self):
        return self.size[::-1] if self.orientation >= 5 else self.size

    def box_size(self, frame='auto', listed_size=None):
        """(width, height) of the picture that a box is meant in, and whether that is the upright
        one; see ``find_change``.
        """
        upright = frame == 'upright' or (
            frame == 'auto'
            and not (listed_size and tuple(listed_size) == self.size != self.upright_size)
        )
        return self.upright_size if upright else self.size, upright


@dataclass(frozen=True)
class Change:
    """How a prepared photo is made: ``box`` (left, top, right, bottom; None = all) is cut out in
    the stored picture or, with ``turn_first``, in the upright one; orientation is EXIF's. theta:
    the box is that of the picture turned by -theta about ``centre``.
    """

    box: tuple | None
    orientation: int
    turn_first: bool
    kind: str
    theta: float = 0.0
    centre: tuple = (0, 0)

    def __call__(self, image):
        turn = UPRIGHT.get(self.orientation)
        if turn is not None and self.turn_first:
            image = image.transpose(turn)
        if self.theta:
            image = self._cut_turned(image)
        elif self.box:
            image = image.crop(self.box)
        if turn is not None and not self.turn_first:
            image = image.transpose(turn)
        return image

    def _cut_turned(self, image):
        left, top, right, bottom = self.box
        x, y = _turn((left, top), self.theta, self.centre)
        cos, sin = math.cos(self.theta), math.sin(self.theta)
        return image.transform(
            (right - left, bottom - top),
            Image.Transform.AFFINE,
            (cos, -sin, x, sin, cos, y),
            Image.Resampling.BICUBIC,
        )


def read_header(path):
    """``Header`` of a photo, without decoding it. Raises ``InputError``."""
    try:
        with Image.open(path, formats=photo_formats()) as image:
            size, kind = image.size, image.format
            date = _taken(image)  # of a PNG this looks behind the pixels too
            orientation = orientation_of(image)
    except Exception as error:  # decoders raise anything on broken files
        raise UnreadablePhoto(path, why_unreadable(path, error)) from None
    if 0 in size:
        raise UnreadablePhoto(path, 'the photo has no pixels')
    return Header(
        size, 1 if kind == 'TIFF' else orientation, kind, date
    )  # Pillow turns a TIFF itself


def _taken(image):
    with contextlib.suppress(Exception):  # of EXIF blocks many are broken while the photo is fine
        return parse_date(str(image.getexif().get_ifd(EXIF_IFD).get(TAKEN) or '').strip('\0 '))
    return None


def find_change(box, header, margin=0.0, shares=False, frame='auto', listed_size=None):
    """What to do to a photo, None = nothing.

    box: (x, y, width, height), None = the whole photo; shares: of the photo's size, else pixels. A
    fifth number is theta, as
    Wildbook has it: the box is turned by so many radians about its centre, clockwise as one sees
    it, as y points down. It is cut out upright, and black where it leaves the photo. margin: on
    each side, as a share of the box. frame: whether the box is meant in the 'upright' picture, as
    viewers and MegaDetector show it, or in the 'stored' one; 'auto' = upright, unless
    ``listed_size`` (width, height of a COCO file) fits the stored picture only.

    Raises ``ValueError`` for a box without area, of less than two pixels or outside the photo.
    """
    size, upright = header.box_size(frame, listed_size)
    cut, theta, centre = None, 0.0, (0, 0)
    if box:
        theta = _theta(box)
        cut = _cut(box, size, margin, shares)
        cut = None if cut == (0, 0, *size) and not theta else cut
    if theta:
        centre = _centre(_corners(box, size, shares))
    if cut is None and header.orientation == 1:
        return None
    return Change(cut, header.orientation, upright, header.kind, theta, centre)


def _theta(box):
    return box[4] if len(box) > 4 else 0.0


def _corners(box, size, shares):
    """(left, top, right, bottom) in pixels of a box before it is turned."""
    x, y, width, height = (
        [value * side for value, side in zip(box, size * 2)] if shares else box[:4]
    )
    return x, y, x + width, y + height


def _centre(corners):
    left, top, right, bottom = corners
    return (left + right) / 2, (top + bottom) / 2


def _turn(point, theta, centre):
    """Where a point is when the plane is turned about ``centre``, clockwise as one sees it."""
    cos, sin = math.cos(theta), math.sin(theta)
    x, y = point[0] - centre[0], point[1] - centre[1]
    return centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y


def _extent(corners, theta, centre):
    """The upright (left, top, right, bottom) around a box that is turned."""
    if not theta:
        return corners
    left, top, right, bottom = corners
    xs, ys = zip(
        *(
            _turn(point, theta, centre)
            for point in ((left, top), (right, top), (right, bottom), (left, bottom))
        )
    )
    return min(xs), min(ys), max(xs), max(ys)


def is_beyond(box, size, shares):
    """Whether a box reaches beyond the photo by more than a twentieth of its side."""
    corners = _corners(box, size, shares)
    left, top, right, bottom = _extent(corners, _theta(box), _centre(corners))
    aside, above = BEYOND * size[0], BEYOND * size[1]
    return min(left + aside, top + above, size[0] + aside - right, size[1] + above - bottom) < 0


def _cut(box, size, margin, shares):
    """(left, top, right, bottom) in whole pixels with the margin, clipped to the photo; of a turned
    box as if it were not.
    """
    corners, theta = _corners(box, size, shares), _theta(box)
    left, top, right, bottom = corners
    width, height = right - left, bottom - top
    if width <= 0 or height <= 0:
        raise ValueError(f'the box {_numbers(box)} has no area')
    centre = _centre(corners)
    photo = _extent((0, 0, *size), -theta, centre)  # as the box has it
    if _are_apart(_extent(corners, theta, centre), (0, 0, *size)) or _are_apart(corners, photo):
        raise ValueError(
            f'the box {_numbers(box)} lies outside the photo of {size[0]} x {size[1]} pixels'
        )
    if min(width, height) < SMALLEST:
        raise ValueError(f'the box {_numbers(box)} has a side of less than {SMALLEST} pixels')
    aside, above = margin * width, margin * height
    tiny = 1e-6  # 0.1 * 30 is a little more than 3
    cut = (
        math.floor(max(photo[0], left - aside + tiny)),
        math.floor(max(photo[1], top - above + tiny)),
        math.ceil(min(photo[2], right + aside - tiny)),
        math.ceil(min(photo[3], bottom + above - tiny)),
    )
    wide, high = cut[2] - cut[0], cut[3] - cut[1]
    if min(wide, high) < 1 or max(wide, high) > MAX_RATIO * min(wide, high):
        raise ValueError(f'the box {_numbers(box)} leaves {wide} x {high} pixels of the photo')
    return cut


def _are_apart(one, other):
    """Whether two (left, top, right, bottom) have no area in common."""
    return one[0] >= other[2] or one[2] <= other[0] or one[1] >= other[3] or one[3] <= other[1]


def _numbers(box):
    return '[' + ', '.join(f'{value:g}' for value in box) + ']'


def prepared_size(header, change):
    """(width, height) of the photo once it is prepared."""
    if change is None or change.box is None:
        return header.upright_size
    left, top, right, bottom = change.box
    size = right - left, bottom - top
    return size[::-1] if header.orientation >= 5 and not change.turn_first else size


def listable(path):
    """Whether a list's line can hold this path: control characters, backslashes and blanks at the
    ends cannot be written.
    """
    match = LINE.fullmatch(f'{path} 0 - - -'.strip())
    return (
        bool(match)
        and match[1] == path
        and len(path) <= LONGEST
        and '\\' not in path
        and not CONTROL.search(path)
    )


def prepared_name(path, change):
    """Path of a photo in the prepared folder. A crop's name tells its box, so two animals of one
    photo get two files, and another margin other files.
    """
    stem, ending = os.path.splitext(path)
    if change and change.box:
        left, top, right, bottom = change.box
        stem += f'__{left}_{top}_{right - left}_{bottom - top}'
        if change.theta:
            stem += f'_turned{change.theta:.4g}'
    if change and change.kind not in ('JPEG', 'MPO', *LOSSLESS):
        ending += '.png'
    name = f'{stem}{ending or ".jpg"}'
    if len(name) > LONGEST or len(os.path.basename(name).encode()) > LONGEST_NAME:
        return f'long/{hashlib.sha256(name.encode()).hexdigest()[:32]}{ending or ".jpg"}'
    return name if listable(name) else re.sub(r'[^\w/.()+,=@-]', '_', name)


def see_folder(folder, sources):
    """The prepared folder must be new, empty or made here, and hold none of the source's photos:
    ``InputError``.

    sources: paths of the originals that will be read; they are never written to.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f'{folder}: a file is where the prepared photos should go; choose another folder '
            'with --photos-out'
        )
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise InputError(
            f'{folder}: this folder is not empty and was not made by make_lists; choose another '
            'with --photos-out'
        )
    root = os.path.join(os.path.realpath(folder), '')
    inside = next((path for path in sources if os.path.realpath(path).startswith(root)), None)
    if inside:
        raise InputError(
            f'{folder}: the source has photos in this folder ({inside}) and they would be mixed '
            'up with prepared '
            'ones; choose another with --photos-out'
        )


def prepare_all(folder, photos):
    """Make the prepared photos; those that an earlier run has made from the same file in the same
    way are left as they are.

    folder: of theirs; photos: {path in it: (original, ``Change`` or None)}. What was made from what
    stands in the folder's file ``MARK``, where a photo is written down after it is made and struck
    out before it is made anew. Raises ``InputError``.
    """
    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    origins = {path: _origin(*photo) for path, photo in photos.items()}
    made = {
        path: origin
        for path, origin in _read_mark(folder / MARK).items()
        if origins.get(path) == origin and (folder / path).is_file()
    }
    with atomic_write(folder / MARK) as file:
        file.writelines(_line(path, origin) for path, origin in made.items())
    with writing(folder / MARK), open(folder / MARK, 'a', encoding='utf-8') as file:
        for path, (original, change) in progress(photos.items(), 'prepared'):
            if path not in made:
                prepare(original, folder / path, change)
                file.write(_line(path, origins[path]))
                file.flush()


def _origin(path, change):
    """What a prepared photo is made from, as JSON gives it back."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise InputError(f'{path}: the photo has gone ({error.strerror})') from None
    return [os.path.realpath(path), status.st_size, status.st_mtime_ns, str(change)]


def _line(path, origin):
    return json.dumps([path, *origin]) + '\n'


def _read_mark(path):
    """{path: origin}; of a run that was killed the last line may be a part of one."""
    made = {}
    if path.is_file():
        for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
            with contextlib.suppress(ValueError, TypeError):
                name, *origin = json.loads(line)
                made[name] = origin
    return made


def prepare(source, target, change):
    """Make one prepared photo. The original is only read.

    What is changed is encoded anew: JPEG with quality 95, PNG, BMP, TIFF and WebP without loss,
    others as PNG; what is not is copied (a hard link would hand on what somebody does to the copy).
    Raises ``InputError``.
    """
    with writing(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
    if change is None:
        with atomic_write(target, 'wb') as file:
            file.write(_content(source))
        return
    image = change(read_image(source))
    kind = (
        'JPEG'
        if change.kind in ('JPEG', 'MPO')
        else change.kind
        if change.kind in LOSSLESS
        else 'PNG'
    )
    options = {'quality': 95, 'subsampling': 0} if kind == 'JPEG' else LOSSLESS[kind]
    with atomic_write(target, 'wb') as file:
        image.save(file, format=kind, **options)


def _content(path):
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f'{path}: the photo cannot be read ({error.strerror})') from None
