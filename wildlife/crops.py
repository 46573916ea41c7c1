"""Crops of photos: a box is cut out, and the photo is turned upright as its EXIF says."""

import math
from dataclasses import dataclass

from PIL import Image

from datasets.images import MAX_RATIO, UPRIGHT, Header

SMALLEST = 2  # pixels of a side of a box
BEYOND = 0.05  # of a photo's side: boxes are drawn by hand and may reach a little beyond it
TINY = 1e-6  # pixels: 0.1 * 30 is a little more than 3

Box = tuple[float, ...]  # x, y, width, height and, where it is turned, theta
Corners = tuple[float, float, float, float]  # left, top, right, bottom
Point = tuple[float, float]
Size = tuple[int, int]  # width, height in pixels


@dataclass(frozen=True)
class Change:
    """How a prepared photo is made.

    Attributes:
        box: (left, top, right, bottom) that is cut out, in pixels; None = all.
        orientation: EXIF's.
        turn_first: whether the box is meant in the upright picture, not in the stored one.
        kind: Pillow's name of the file format.
        theta: the box is that of the picture turned by -theta about ``centre``.
        centre: (x, y) in pixels.
    """

    box: tuple[int, int, int, int] | None
    orientation: int
    turn_first: bool
    kind: str
    theta: float = 0.0
    centre: Point = (0, 0)

    def __call__(self, image: Image.Image) -> Image.Image:
        """Cut and turn a picture."""
        turn = UPRIGHT.get(self.orientation)
        if turn is not None and self.turn_first:
            image = image.transpose(turn)
        if self.box and self.theta:
            image = _cut_turned(image, self.box, self.theta, self.centre)
        elif self.box:
            image = image.crop(self.box)
        if turn is not None and not self.turn_first:
            image = image.transpose(turn)
        return image


def _cut_turned(
    image: Image.Image, box: tuple[int, int, int, int], theta: float, centre: Point
) -> Image.Image:
    left, top, right, bottom = box
    x, y = _turn((left, top), theta, centre)
    cos, sin = math.cos(theta), math.sin(theta)
    return image.transform(
        (right - left, bottom - top),
        Image.Transform.AFFINE,
        (cos, -sin, x, sin, cos, y),
        Image.Resampling.BICUBIC,
    )


def find_change(
    box: Box | None,
    header: Header,
    margin: float = 0.0,
    shares: bool = False,
    frame: str = 'auto',
    listed_size: Size | None = None,
) -> Change | None:
    """Find out what to do to a photo; None = nothing.

    A fifth number of the box is theta, as Wildbook has it: the box is turned by so many radians
    about its centre, clockwise as one sees it (y points down). It is cut out upright, and black
    where it leaves the photo.

    Args:
        box: (x, y, width, height[, theta]), None = the whole photo.
        header: of the photo.
        margin: on each side, as a share of the box.
        shares: whether the box is in shares of the photo's size, not in pixels.
        frame: the picture that the box is meant in: 'upright', as viewers and MegaDetector show
            it, 'stored', or 'auto' = upright, unless ``listed_size`` fits the stored one only.
        listed_size: (width, height) that a COCO file says, None = unknown.

    Raises:
        ValueError: where the box has no area, a side of less than two pixels, or lies outside the
            photo.
    """
    size, upright = box_size(header, frame, listed_size)
    cut, theta, centre = None, 0.0, (0.0, 0.0)
    if box:
        theta = _theta(box)
        cut = _cut(box, size, margin, shares)
        if cut == (0, 0, *size) and not theta:
            cut = None
    if box and theta:
        centre = _centre(_corners(box, size, shares))
    if cut is None and header.orientation == 1:
        return None
    return Change(cut, header.orientation, upright, header.kind, theta, centre)


def upright_size(header: Header) -> Size:
    """(width, height) of a photo once EXIF's orientation is applied."""
    return header.size[::-1] if header.orientation >= 5 else header.size


def box_size(
    header: Header, frame: str = 'auto', listed_size: Size | None = None
) -> tuple[Size, bool]:
    """Which picture a box is meant in.

    Args:
        header: of the photo.
        frame: 'upright', 'stored' or 'auto', see ``find_change``.
        listed_size: (width, height) that a table says, None = unknown.

    Returns:
        (width, height) of that picture, and whether it is the upright one.
    """
    says_stored = (
        listed_size is not None
        and tuple(listed_size) == header.size
        and header.size != upright_size(header)
    )
    upright = frame == 'upright' or (frame == 'auto' and not says_stored)
    return upright_size(header) if upright else header.size, upright


def is_beyond(box: Box, size: Size, shares: bool) -> bool:
    """Whether a box reaches beyond the photo by more than a twentieth of its side.

    Args:
        box: as in ``find_change``.
        size: (width, height) of the photo.
        shares: whether the box is in shares of ``size``.
    """
    corners = _corners(box, size, shares)
    left, top, right, bottom = _extent(corners, _theta(box), _centre(corners))
    aside, above = BEYOND * size[0], BEYOND * size[1]
    return min(left + aside, top + above, size[0] + aside - right, size[1] + above - bottom) < 0


def prepared_size(header: Header, change: Change | None) -> Size:
    """(width, height) of the photo once it is prepared."""
    if change is None or change.box is None:
        return upright_size(header)
    left, top, right, bottom = change.box
    size = right - left, bottom - top
    return size[::-1] if header.orientation >= 5 and not change.turn_first else size


def _theta(box: Box) -> float:
    return box[4] if len(box) > 4 else 0.0


def _corners(box: Box, size: Size, shares: bool) -> Corners:
    """In pixels, of a box before it is turned."""
    x, y, width, height = box[:4]
    if shares:
        x, y, width, height = x * size[0], y * size[1], width * size[0], height * size[1]
    return x, y, x + width, y + height


def _centre(corners: Corners) -> Point:
    left, top, right, bottom = corners
    return (left + right) / 2, (top + bottom) / 2


def _turn(point: Point, theta: float, centre: Point) -> Point:
    """Where a point is when the plane is turned about ``centre``, clockwise as one sees it."""
    cos, sin = math.cos(theta), math.sin(theta)
    x, y = point[0] - centre[0], point[1] - centre[1]
    return centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y


def _extent(corners: Corners, theta: float, centre: Point) -> Corners:
    """The upright rectangle around a box that is turned."""
    if not theta:
        return corners
    left, top, right, bottom = corners
    points = ((left, top), (right, top), (right, bottom), (left, bottom))
    xs, ys = zip(*(_turn(point, theta, centre) for point in points))
    return min(xs), min(ys), max(xs), max(ys)


def _cut(box: Box, size: Size, margin: float, shares: bool) -> tuple[int, int, int, int]:
    """The box with its margin in whole pixels, clipped to the photo, as if it were not turned."""
    corners, theta = _corners(box, size, shares), _theta(box)
    left, top, right, bottom = corners
    width, height = right - left, bottom - top
    if width <= 0 or height <= 0:
        raise ValueError(f'the box {_numbers(box)} has no area')
    centre, whole = _centre(corners), (0, 0, *size)
    photo = _extent(whole, -theta, centre)  # as the box has it
    if _are_apart(_extent(corners, theta, centre), whole) or _are_apart(corners, photo):
        raise ValueError(
            f'the box {_numbers(box)} lies outside the photo of {size[0]} x {size[1]} pixels'
        )
    if min(width, height) < SMALLEST:
        raise ValueError(f'the box {_numbers(box)} has a side of less than {SMALLEST} pixels')
    aside, above = margin * width, margin * height
    cut = (
        math.floor(max(photo[0], left - aside + TINY)),
        math.floor(max(photo[1], top - above + TINY)),
        math.ceil(min(photo[2], right + aside - TINY)),
        math.ceil(min(photo[3], bottom + above - TINY)),
    )
    wide, high = cut[2] - cut[0], cut[3] - cut[1]
    if min(wide, high) < 1 or max(wide, high) > MAX_RATIO * min(wide, high):
        raise ValueError(f'the box {_numbers(box)} leaves {wide} x {high} pixels of the photo')
    return cut


def _are_apart(one: Corners, other: Corners) -> bool:
    """Whether two rectangles have no area in common."""
    return one[0] >= other[2] or one[2] <= other[0] or one[1] >= other[3] or one[3] <= other[1]


def _numbers(box: Box) -> str:
    return '[' + ', '.join(f'{value:g}' for value in box) + ']'
