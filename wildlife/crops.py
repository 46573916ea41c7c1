"""Crops of photos: a box is cut out, and the photo is turned upright by its EXIF orientation."""

import math
from dataclasses import dataclass

from PIL import Image

from datasets.images import MAX_RATIO, UPRIGHT, Header

SMALLEST = 2  # pixels: shortest side of a usable box
# Hand-drawn boxes may reach outside the photo by this share of its side without a note.
OVERHANG = 0.05
TINY = 1e-6  # pixels: rounding tolerance, since 0.1 * 30 is slightly more than 3

# EXIF orientations: what is on the right, or below, once width and height are in their places,
# comes from the other side; and those that mirror the photo.
FROM_RIGHT, FROM_BELOW, MIRRORED = (2, 3, 6, 7), (3, 4, 7, 8), (2, 4, 5, 7)

Box = tuple[float, ...]  # x, y, width, height and, for turned boxes, theta
Corners = tuple[float, float, float, float]  # left, top, right, bottom
Point = tuple[float, float]
Size = tuple[int, int]  # width, height in pixels


@dataclass(frozen=True)
class Change:
    """How a prepared photo is made from the original.

    Attributes:
        box: (left, top, right, bottom) of the crop in pixels; None = the whole photo.
        orientation: EXIF orientation of the original, 1 to 8.
        turn_first: Whether the box refers to the upright photo, and not to the stored one.
        kind: Pillow's name of the file format.
        theta: The angle in radians; the box refers to the photo turned by -theta about ``centre``.
        centre: (x, y) in pixels.
    """

    box: tuple[int, int, int, int] | None
    orientation: int
    turn_first: bool
    kind: str
    theta: float = 0.0
    centre: Point = (0, 0)

    def __call__(self, image: Image.Image) -> Image.Image:
        """Crop a photo and turn it upright."""
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
    """Find out how a photo must be changed; None = it stays as it is.

    A fifth number of the box is theta, as in Wildbook: the box is turned by theta radians about its
    centre, clockwise on the screen (y points down). The crop is upright. It is black where it
    reaches outside the photo.

    Args:
        box: (x, y, width, height[, theta]); None = the whole photo.
        header: The header of the photo.
        margin: The margin on each side, as a share of the box.
        shares: Whether the box is in shares of the photo's size, and not in pixels.
        frame: The photo that the box refers to: 'upright', as viewers and MegaDetector show it;
            'stored'; or 'auto' = upright, unless ``listed_size`` matches only the stored one.
        listed_size: (width, height) from a COCO file; None = unknown.

    Raises:
        ValueError: The box has no area, has a side of less than two pixels, or lies outside the
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
    """Return (width, height) of a photo after its EXIF orientation is applied."""
    return header.size[::-1] if header.orientation >= 5 else header.size


def box_size(
    header: Header, frame: str = 'auto', listed_size: Size | None = None
) -> tuple[Size, bool]:
    """Find the size of the photo that a box refers to.

    Args:
        header: The header of the photo.
        frame: 'upright', 'stored' or 'auto'; see ``find_change``.
        listed_size: (width, height) from a table; None = unknown.

    Returns:
        (width, height) of that photo, and whether it is the upright one.
    """
    says_stored = (
        listed_size is not None
        and tuple(listed_size) == header.size
        and header.size != upright_size(header)
    )
    upright = frame == 'upright' or (frame == 'auto' and not says_stored)
    return upright_size(header) if upright else header.size, upright


def upright_box(
    box: Box,
    header: Header,
    shares: bool = False,
    frame: str = 'auto',
    listed_size: Size | None = None,
) -> Box:
    """Return a box as (x, y, width, height[, theta]) in shares of the upright photo.

    Args: as in :func:`find_change`.
    """
    size, upright = box_size(header, frame, listed_size)
    x, y, width, height = box[:4]
    if not shares:
        x, y, width, height = x / size[0], y / size[1], width / size[0], height / size[1]
    if upright or header.orientation == 1:
        return (x, y, width, height, *box[4:])
    centre_x, centre_y = x + width / 2, y + height / 2
    if header.orientation >= 5:  # width and height change places
        centre_x, centre_y, width, height = centre_y, centre_x, height, width
    if header.orientation in FROM_RIGHT:
        centre_x = 1 - centre_x
    if header.orientation in FROM_BELOW:
        centre_y = 1 - centre_y
    theta = [-angle if header.orientation in MIRRORED else angle for angle in box[4:]]
    return (centre_x - width / 2, centre_y - height / 2, width, height, *theta)


def reaches_outside(box: Box, size: Size, shares: bool) -> bool:
    """Return whether a box reaches outside the photo by more than ``OVERHANG``.

    Args:
        box: The box as in ``find_change``.
        size: (width, height) of the photo.
        shares: Whether the box is in shares of ``size``, and not in pixels.
    """
    corners = _corners(box, size, shares)
    left, top, right, bottom = _extent(corners, _theta(box), _centre(corners))
    aside, above = OVERHANG * size[0], OVERHANG * size[1]
    return min(left + aside, top + above, size[0] + aside - right, size[1] + above - bottom) < 0


def prepared_size(header: Header, change: Change | None) -> Size:
    """Return (width, height) of the prepared photo."""
    if change is None or change.box is None:
        return upright_size(header)
    left, top, right, bottom = change.box
    size = right - left, bottom - top
    return size[::-1] if header.orientation >= 5 and not change.turn_first else size


def _theta(box: Box) -> float:
    return box[4] if len(box) > 4 else 0.0


def _corners(box: Box, size: Size, shares: bool) -> Corners:
    """Return the corners of a box in pixels, before it is turned."""
    x, y, width, height = box[:4]
    if shares:
        x, y, width, height = x * size[0], y * size[1], width * size[0], height * size[1]
    return x, y, x + width, y + height


def _centre(corners: Corners) -> Point:
    left, top, right, bottom = corners
    return (left + right) / 2, (top + bottom) / 2


def _turn(point: Point, theta: float, centre: Point) -> Point:
    """Turn a point by theta radians about ``centre``, clockwise on the screen."""
    cos, sin = math.cos(theta), math.sin(theta)
    x, y = point[0] - centre[0], point[1] - centre[1]
    return centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y


def _extent(corners: Corners, theta: float, centre: Point) -> Corners:
    """Return the upright rectangle that encloses a turned box."""
    if not theta:
        return corners
    left, top, right, bottom = corners
    points = ((left, top), (right, top), (right, bottom), (left, bottom))
    xs, ys = zip(*(_turn(point, theta, centre) for point in points))
    return min(xs), min(ys), max(xs), max(ys)


def _cut(box: Box, size: Size, margin: float, shares: bool) -> tuple[int, int, int, int]:
    """Return the box with its margin in whole pixels, clipped to the photo, ignoring theta."""
    corners, theta = _corners(box, size, shares), _theta(box)
    left, top, right, bottom = corners
    width, height = right - left, bottom - top
    if width <= 0 or height <= 0:
        raise ValueError(f'the box {_numbers(box)} has no area')
    centre, whole = _centre(corners), (0, 0, *size)
    photo = _extent(whole, -theta, centre)  # in the box's own frame
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
        raise ValueError(f'the box {_numbers(box)} gives a crop of only {wide} x {high} pixels')
    return cut


def _are_apart(one: Corners, other: Corners) -> bool:
    """Return whether two rectangles do not overlap."""
    return one[0] >= other[2] or one[2] <= other[0] or one[1] >= other[3] or one[3] <= other[1]


def _numbers(box: Box) -> str:
    return '[' + ', '.join(f'{value:g}' for value in box) + ']'
