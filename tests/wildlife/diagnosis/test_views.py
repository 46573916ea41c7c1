"""Parts of photos: what is hidden leaves no trace but its outline."""

import numpy as np
import pytest
from PIL import Image

from datasets.records import Record
from utils.errors import InputError
from wildlife.diagnosis.views import (
    GREY,
    INK,
    PAPER,
    animal_shares,
    check_shares,
    filled,
    grown,
    mirrored,
    parts_of_photos,
)

SIZE = (60, 40)


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)


@pytest.fixture
def box():
    """A mask with an animal of 20 x 10 pixels; soft values around are below one half."""
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[14:26, 19:41] = 100
    mask[15:25, 20:40] = 200
    return mask


@pytest.fixture
def parts(tmp_path, box):
    (tmp_path / 'masks/a').mkdir(parents=True)
    Image.fromarray(box).save(tmp_path / 'masks/a/1.png')
    records = [Record(str(tmp_path / 'photos/a/1.jpg'), 0)]
    return parts_of_photos(tmp_path / 'masks', records, str(tmp_path / 'photos'))


def seen(parts, part, pixels):
    (path,) = parts[part].names
    return np.asarray(parts[part](path, Image.fromarray(pixels))).astype(int)


def test_mirrored():
    assert np.array_equal(mirrored('', Image.fromarray(noise(0))), noise(0)[:, ::-1])


def test_animal(parts, box):
    found, animal = seen(parts, 'animal', noise(0)), box >= 128
    assert np.array_equal(found[animal], noise(0)[animal])
    assert np.abs(found[~animal] - noise(0)[animal].mean(axis=0)).max() <= 0.5


def test_background_with_a_margin(parts, box):
    found = seen(parts, 'background', noise(0))
    hidden = np.zeros(box.shape, dtype=bool)
    hidden[14:26, 19:41] = True  # one pixel more on each side
    assert np.array_equal(found[~hidden], noise(0)[~hidden])
    assert np.abs(found[hidden] - noise(0)[~hidden].mean(axis=0)).max() <= 0.5


@pytest.mark.parametrize(('part', 'kept'), [('animal', 'inside'), ('background', 'outside')])
def test_what_is_hidden_does_not_matter(parts, part, kept):
    pixels, other = noise(0), noise(1)
    inside = np.zeros(pixels.shape[:2], dtype=bool)
    inside[15:25, 20:40] = True
    visible = inside if kept == 'inside' else ~inside
    other[visible] = pixels[visible]
    if part == 'background':  # its margin is hidden as well
        other[14:26, 19:41] = noise(2)[14:26, 19:41]
    assert np.array_equal(seen(parts, part, pixels), seen(parts, part, other))


def test_outline_is_that_of_the_hole(parts):
    found = seen(parts, 'outline', noise(0))
    assert np.array_equal(found, seen(parts, 'outline', noise(1)))
    assert {tuple(colour) for colour in found.reshape(-1, 3).tolist()} == {INK, PAPER}
    assert np.argwhere((found == INK).all(axis=2)).min(axis=0).tolist() == [14, 19]


def test_the_margin_of_a_large_mask():
    mask = np.zeros((300, 500), np.uint8)
    mask[100:200, 100:400] = 255
    rows, columns = np.nonzero(np.asarray(grown(Image.fromarray(mask))))
    assert (columns.min(), columns.max()) == (95, 404)
    assert (rows.min(), rows.max()) == (95, 204)


def test_nothing_visible_is_grey():
    photo, nothing = Image.fromarray(noise(0)), Image.new('L', SIZE)
    assert (np.asarray(filled(photo, nothing)) == GREY).all()


def test_shares(parts, tmp_path):
    (tmp_path / 'photos/a').mkdir(parents=True)
    Image.fromarray(noise(0)).save(tmp_path / 'photos/a/1.jpg')
    assert list(animal_shares(parts['animal']).values()) == [200 / 2400]


@pytest.mark.parametrize(('share', 'text'), [(0.005, '5 show no animal'), (0.995, '5 no backg')])
def test_masks_that_show_nothing(share, text, tmp_path, caplog):
    shares = {f'{number}.jpg': 0.3 for number in range(5)} | {
        f'bad{number}.jpg': share for number in range(5)
    }
    with caplog.at_level('WARNING'):
        check_shares(shares, tmp_path)
    assert text in caplog.text and 'bad0.jpg, bad1.jpg' in caplog.text
    with pytest.raises(InputError, match='of 9 masks .*white must be the animal'):
        check_shares(dict(list(shares.items())[1:]), tmp_path)


def test_masks_of_another_size(parts):
    with pytest.raises(InputError, match='the mask has 60 x 40 pixels, but its photo has 30 x 20'):
        parts['animal'](*parts['animal'].names, Image.new('RGB', (30, 20)))
