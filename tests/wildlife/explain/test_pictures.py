"""Pictures of maps: colours, outlines, layout."""

import numpy as np
from PIL import Image

from datasets.records import Record
from wildlife.explain.maps import Pair
from wildlife.explain.pictures import GAP, HEIGHT, colours, draw_pair, overlay


def brightness(rgb):
    return np.asarray(rgb, dtype=float) @ (0.299, 0.587, 0.114)


def test_the_colours_get_lighter_so_that_they_work_in_grey():
    assert (np.diff(brightness(colours(np.linspace(0, 1, 50)))) > 0).all()


def test_the_important_place_is_the_brightest_and_has_a_white_outline():
    contributions = np.zeros((4, 4))
    contributions[1, 2], contributions[3, 0] = 3, -9
    picture = np.array(overlay(Image.new('RGB', (200, 200), (255, 255, 255)), contributions))
    levels = brightness(picture)
    assert np.abs(picture[50, 100:150].astype(int) - 255).max() < 2  # line above the place
    inside = levels[55:95, 105:145]
    assert inside.max() < 254 and inside[20, 20] > 150
    outside = np.ones_like(levels, dtype=bool)
    outside[20:130, 70:180] = False
    assert levels[outside].max() < inside.mean()
    assert (picture[180, 20] == picture[20, 20]).all()  # what speaks against it is not drawn


def test_a_photo_in_which_nothing_speaks_for_the_similarity_has_no_outline():
    picture = np.array(overlay(Image.new('RGB', (80, 80), (90, 90, 90)), np.full((2, 2), -1.0)))
    assert (picture == picture[0, 0]).all()


def test_both_photos_stand_above_their_maps(tmp_path):
    records = []
    for name, size, colour in (('a', (200, 100), 'red'), ('b', (60, 120), 'blue')):
        Image.new('RGB', size, colour).save(tmp_path / f'{name}.png')
        records.append(Record(str(tmp_path / f'{name}.png'), 0))
    maps = (np.eye(3, dtype=np.float32), np.ones((3, 3), dtype=np.float32))
    picture = draw_pair(Pair(*records, 0.5, maps))
    assert picture.size == (480 + GAP + 160, 2 * HEIGHT + GAP)
    assert picture.getpixel((5, 5)) == (255, 0, 0)
    assert picture.getpixel((480 + GAP + 5, 5)) == (0, 0, 255)
    red, green, blue = picture.getpixel((400, HEIGHT + GAP + 20))  # below: grey and dark blue
    assert blue > green > red
