"""wildlife/crops.py, by whole runs of make_lists and by its functions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from datasets.images import UPRIGHT, Header, read_header
from tests.wildlife.lists.samples import BLUE, RED, draw_turned, is_upright
from wildlife import prepare
from wildlife.crops import find_change, prepared_size, upright_size


@pytest.mark.parametrize('theta', [0.5, -0.7, 1.5, 2.6, -3.0, 2 * np.pi - 0.5])
@pytest.mark.parametrize('margin', [0, 0.2])
def test_turned_boxes_are_cut_out_upright(tmp_path, theta, margin):
    draw_turned(theta).save(tmp_path / 'a.png')
    change = find_change((60, 60, 60, 20, theta), read_header(tmp_path / 'a.png'), margin)
    prepare.prepare(tmp_path / 'a.png', tmp_path / 'cut.png', change)
    with Image.open(tmp_path / 'cut.png') as image:
        aside, above = round(60 * margin), round(20 * margin)
        assert image.size == prepared_size(Header((200, 150), 1, 'PNG'), change)
        assert image.size == (60 + 2 * aside, 20 + 2 * above)
        assert is_upright(np.asarray(image), aside, above)


@pytest.mark.parametrize('orientation', [3, 6, 7])
def test_turned_boxes_of_turned_photos(tmp_path, orientation):
    """The box is meant in the upright picture, or with 'stored' as the file has it."""
    exif = Image.Exif()
    exif[0x112] = orientation
    draw_turned(0.5).save(tmp_path / 'a.png', exif=exif)
    with Image.open(tmp_path / 'a.png') as image:
        upright = ImageOps.exif_transpose(image)
    header = read_header(tmp_path / 'a.png')
    for name, frame, picture in (
        ('stored', 'stored', draw_turned(0.5)),
        ('upright', 'upright', upright),
    ):
        plain = tmp_path / f'{name}.png'
        picture.save(plain)
        expected = find_change((60, 60, 60, 20, 0.5), read_header(plain), 0.1)(picture)
        if name == 'stored':
            expected = expected.transpose(UPRIGHT[orientation])
        change = find_change((60, 60, 60, 20, 0.5), header, 0.1, frame=frame)
        with Image.open(tmp_path / 'a.png') as image:
            assert (np.asarray(change(image)) == np.asarray(expected)).all()
        assert prepared_size(header, change) == expected.size


def test_turned_boxes_at_the_edge_of_the_photo(tmp_path):
    header = Header((100, 80), 1, 'PNG')
    change = find_change(
        (-20, -20, 60, 30, np.pi / 4), header
    )  # about (10, -5): in the photo is a corner of it alone
    pixels = np.asarray(change(Image.new('RGB', (100, 80), RED)))
    assert (pixels.reshape(-1, 3).max(axis=0) == RED).all() and 0 < (
        pixels[..., 0] > 100
    ).mean() < 0.9
    assert pixels.shape[1] <= 60 and pixels.shape[0] <= 30
    with pytest.raises(
        ValueError, match='outside the photo'
    ):  # the box around it meets the photo, it does not
        find_change((-45, -2, 60, 4, -np.pi / 4), header)
    with pytest.raises(ValueError, match='outside the photo'):
        find_change((101, 20, 10, 5, 0.1), header)
    wide = find_change(
        (-1e6, -1e6, 2e6 + 100, 2e6 + 80, 0.3), header
    )  # no more than the photo is made
    assert max(prepared_size(header, wide)) < 130


@pytest.mark.parametrize('orientation', range(1, 9))
def test_orientation_is_applied_once_and_boxes_follow(tmp_path, orientation):
    """Against Pillow's own exif_transpose, on a picture whose corners differ."""
    picture = np.zeros((20, 32, 3), np.uint8)
    picture[:8, :12] = RED
    picture[12:, 20:] = BLUE
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(picture).save(tmp_path / 'a.png', exif=exif)
    with Image.open(tmp_path / 'a.png') as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    header = read_header(tmp_path / 'a.png')
    assert header.orientation == orientation and upright_size(header) == upright.shape[1::-1]

    change = find_change(None, header)
    assert (change is None) == (orientation == 1)
    cut = find_change((2, 3, 10, 6), header)
    prepare.prepare(tmp_path / 'a.png', tmp_path / 'out' / 'cut.png', cut)
    with Image.open(tmp_path / 'out' / 'cut.png') as image:
        assert (np.asarray(image) == upright[3:9, 2:12]).all() and image.getexif().get(
            0x112, 1
        ) == 1
    stored = find_change((2, 3, 10, 6), header, frame='stored')
    prepare.prepare(tmp_path / 'a.png', tmp_path / 'out' / 'stored.png', stored)
    Image.fromarray(picture[3:9, 2:12]).save(tmp_path / 'b.png', exif=exif)
    with (
        Image.open(tmp_path / 'out' / 'stored.png') as image,
        Image.open(tmp_path / 'b.png') as part,
    ):
        assert (np.asarray(image) == np.asarray(ImageOps.exif_transpose(part))).all()
    by_size = find_change((2, 3, 10, 6), header, listed_size=(32, 20))
    assert by_size == (stored if orientation > 4 else cut)
    for name, change in (('cut', cut), ('stored', stored)):
        with Image.open(tmp_path / 'out' / f'{name}.png') as image:
            assert prepared_size(header, change) == image.size
    assert prepared_size(header, None) == upright_size(header)


@given(
    st.tuples(st.floats(-50, 150), st.floats(-50, 150), st.floats(0.5, 200), st.floats(0.5, 200)),
    st.floats(0, 1),
)
def test_cuts_lie_within_the_photo_and_hold_the_box(box, margin):
    try:
        change = find_change(box, Header((100, 80), 1, 'PNG'), margin)
    except ValueError:
        return
    left, top, right, bottom = change.box if change else (0, 0, 100, 80)
    assert 0 <= left < right <= 100 and 0 <= top < bottom <= 80
    x, y, width, height = box
    assert left <= max(0, x) + 1e-5 and right >= min(100, x + width) - 1e-5
    assert top <= max(0, y) + 1e-5 and bottom >= min(80, y + height) - 1e-5


@given(
    st.tuples(
        st.floats(-50, 150),
        st.floats(-50, 150),
        st.floats(2, 200),
        st.floats(2, 200),
        st.floats(0.01, 3) | st.floats(-3, -0.01),
    )
)
def test_turned_cuts_hold_all_of_the_box_that_the_photo_has(box):
    """Corners of the photo that lie in the box, by the sides' projections."""
    try:
        change = find_change(box, Header((100, 80), 1, 'PNG'))
    except ValueError:
        return
    x, y, width, height, theta = box
    left, top, right, bottom = change.box
    cos, sin = np.cos(theta), np.sin(theta)
    for corner in ((0, 0), (100, 0), (0, 80), (100, 80), (50, 40)):
        aside, below = corner[0] - x - width / 2, corner[1] - y - height / 2
        along, across = (
            x + width / 2 + cos * aside + sin * below,
            y + height / 2 - sin * aside + cos * below,
        )
        if x <= along <= x + width and y <= across <= y + height:
            assert left - 1e-5 <= along <= right + 1e-5 and top - 1e-5 <= across <= bottom + 1e-5
    assert max(right - left, bottom - top) <= 131  # the photo's diagonal
