"""wildlife/catalogue/sources.py and new_photos.py."""

import argparse
import os
from datetime import datetime

import numpy as np
import pytest
from PIL import Image

from configs import load_cfg
from datasets.images import UnreadablePhoto, read_header
from tests.wildlife.lists.samples import run, save, table_rows, write_camtrap, write_csv
from utils.errors import InputError
from wildlife.catalogue.new_photos import CropReader, NewPhoto, crop_names
from wildlife.catalogue.sources import photos_of_config, photos_of_source
from wildlife.crops import find_change, upright_box
from wildlife.lists.command_line import add_reading
from wildlife.lists.options import check_reading


def read(*words, place=''):
    parser = argparse.ArgumentParser()
    parser.add_argument('source')
    add_reading(parser)
    return photos_of_source(check_reading(parser.parse_args([*map(str, words)]), 0.05), place)


def below(folder, found):
    return {os.path.relpath(photo.path, folder): photo for photo in found.photos}


def test_a_folder_names_nobody_unless_told(tmp_path):
    for name in ('cam1/a.png', 'cam1/b.png', 'cam2/c.png'):
        save(tmp_path / name)
    found = read(tmp_path, place='river')
    assert {photo.individual for photo in found.photos} == {''}
    assert {photo.place for photo in found.photos} == {'river'}
    named = read(tmp_path, '--identity-level', -1)
    assert [photo.individual for photo in named.photos] == ['cam1', 'cam1', 'cam2']
    pattern = read(tmp_path, '--name-pattern', '(?P<camera>cam.)/(?P<identity>.)')
    assert [(each.camera, each.individual) for each in pattern.photos] == [
        ('cam1', 'a'),
        ('cam1', 'b'),
        ('cam2', 'c'),
    ]
    (one,) = read(tmp_path / 'cam2/c.png').photos
    assert one == NewPhoto(str(tmp_path / 'cam2/c.png'))


def test_a_table(tmp_path):
    rows = table_rows(tmp_path, 2, 2)
    rows[0]['identity'] = 'unknown'
    found = below(tmp_path, read(write_csv(tmp_path / 'm.csv', rows)))
    assert len(found) == 8
    assert found['photos/0_0_0.png'].individual == ''
    assert found['photos/1_1_1.png'] == NewPhoto(
        str(tmp_path / 'photos/1_1_1.png'), side=1, encounter='1.1', individual='ind 1'
    )


def test_columns_that_only_might_be_the_individual(tmp_path):
    rows = [
        {'path': row['path'], 'id': number} for number, row in enumerate(table_rows(tmp_path, 2, 2))
    ]
    found = read(write_csv(tmp_path / 'm.csv', rows))
    assert {photo.individual for photo in found.photos} == {''}
    assert any("column 'id' may name the individual" in note for note in found.notes)
    named = read(tmp_path / 'm.csv', '--column', 'identity=id')
    assert [photo.individual for photo in named.photos] == [str(number) for number in range(8)]


def test_encounters_have_names_that_last(tmp_path):
    """The same photos read in two halves get the same encounters as when read at once."""
    rows = []
    for number, hour in enumerate((6, 9, 20)):
        for day in (1, 2):
            path = f'{day}_{number}.png'
            save(tmp_path / path)
            date = f'2026-05-0{day} {hour:02d}:00'
            rows.append({'path': path, 'camera': 'C1', 'date': date})
    whole = below(tmp_path, read(write_csv(tmp_path / 'all.csv', rows)))
    assert {photo.encounter for photo in whole.values()} == {'C1 2026-05-01', 'C1 2026-05-02'}
    for name, half in (('a', rows[:3]), ('b', rows[3:])):
        part = below(tmp_path, read(write_csv(tmp_path / f'{name}.csv', half)))
        assert {path: whole[path] for path in part} == part
    short = read(tmp_path / 'all.csv', '--encounter-minutes', 60)
    assert {photo.encounter for photo in short.photos} >= {'C1 2026-05-01 06:00'}
    assert len({photo.encounter for photo in short.photos}) == 6
    unknown = [{'path': row['path'], 'date': row['date']} for row in rows]
    found = read(write_csv(tmp_path / 'no_camera.csv', unknown))
    assert {photo.encounter for photo in found.photos} == {'2026-05-01', '2026-05-02'}


def test_camtrap_dp(tmp_path):
    write_camtrap(tmp_path)
    found = read(tmp_path)
    assert {photo.camera for photo in found.photos} == {'d0', 'd1'}
    assert {photo.individual for photo in found.photos} == {f'i{number}' for number in range(8)}
    assert 'unidentified, but another row names the animal' in {
        row.reason for row in found.left_out
    }
    assert all(photo.date and photo.encounter for photo in found.photos)


def test_the_lists_of_make_lists(tmp_path):
    for individual in range(5):
        for number in range(3):
            save(tmp_path / 's' / f'z{individual}_{number}.png')
    rows = [
        {
            'path': f's/z{individual}_{number}.png',
            'name': f'Z{individual}',
            'camera': f'C{number}',
            'date': f'2026-05-{1 + individual:02d} 1{number}:30:15',
            'side': ('left', 'right')[number % 2],
        }
        for individual in range(5)
        for number in range(3)
    ]
    source = write_csv(tmp_path / 'm.csv', rows)
    run(source, tmp_path / 'out')
    found = photos_of_config(load_cfg(tmp_path / 'out/cnn_clipreid.yml'))
    expected = {os.path.abspath(tmp_path / row['path']): row for row in rows}
    assert len(found.photos) == 15
    for photo in found.photos:
        row = expected[photo.path]
        assert (photo.individual, photo.camera) == (row['name'], row['camera'])
        assert photo.date == datetime.fromisoformat(row['date'])
        assert photo.side == int(row['side'] == 'right') and photo.encounter
    assert len({photo.encounter for photo in found.photos}) == 15


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('theta', [None, 0.4])
def test_boxes_of_stored_photos_in_the_upright_one(tmp_path, orientation, theta):
    """The same crop, whether the box is meant in the stored or in the upright photo."""
    pixels = np.random.default_rng(orientation).integers(0, 255, (80, 120, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(pixels).save(tmp_path / 'a.png', exif=exif)
    header, box = read_header(tmp_path / 'a.png'), (30, 20, 48, 24)
    box = box if theta is None else (*box, theta)
    upright = upright_box(box, header, frame='stored')
    image = Image.open(tmp_path / 'a.png')
    expected = np.asarray(find_change(box, header, 0.05, frame='stored')(image)).astype(int)
    read = CropReader({'x': NewPhoto(str(tmp_path / 'a.png'), upright)}, 0.05)
    found = np.asarray(read('x', True)).astype(int)
    assert found.shape == expected.shape
    inner = np.abs(found - expected)[2:-2, 2:-2]
    assert inner.max() == 0 if theta is None else inner.mean() < 12  # turned pixels are mixed


def test_crops(tmp_path):
    path = str(save(tmp_path / 'a.png', (40, 30)))
    several = [NewPhoto(path), NewPhoto(path, (0, 0, 0.5, 0.5)), NewPhoto(path, (0.5, 0, 0.5, 1))]
    names = crop_names(several)
    assert len(set(names)) == 3 and names[0] == path
    read = CropReader(dict(zip(names, several)), 0.1)
    assert [read(name).size for name in names] == [(40, 30), (22, 17), (22, 30)]
    outside = CropReader({'x': NewPhoto(path, (2, 2, 1, 1))}, 0.1)
    with pytest.raises(UnreadablePhoto, match='lies outside the photo .*; correct its box'):
        outside('x')


def test_sources_without_photos(tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='no usable photo of an animal; skipped: none'):
        read(tmp_path / 'empty')
    with pytest.raises(InputError, match='does not exist'):
        read(tmp_path / 'gone')
    save(tmp_path / 'x' / 'a.png')
    with pytest.raises(InputError, match='--photos and --column need a table'):
        read(tmp_path / 'x', '--photos', tmp_path)
