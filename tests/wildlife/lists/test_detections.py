"""wildlife/lists/detections.py, by whole runs of make_lists and by its functions."""

import argparse
import json
import math
import re

import numpy as np
import pytest
from PIL import Image

from tests.wildlife.lists.samples import BLUE, RED, fails, lists, run, save, write_csv
from utils.errors import InputError
from wildlife.catalogue.sources import photos_of_source
from wildlife.lists.command_line import add_reading
from wildlife.lists.options import check_reading

CATEGORIES = {'1': 'animal', '2': 'person', '3': 'vehicle'}


def box(*numbers, conf=0.9, category='1', **more):
    return {'category': category, 'conf': conf, 'bbox': list(numbers)} | more


def save_marked(path, *squares):
    """A blue photo of 100 × 80 pixels with red rectangles (left, top, right, bottom)."""
    image = Image.new('RGB', (100, 80), BLUE)
    for square in squares:
        image.paste(RED, square)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    with open(path, 'ab') as file:
        file.write(str(path).encode())


def write_detections(folder, images, **more):
    path = folder / 'detections.json'
    path.write_text(json.dumps({'images': images, 'detection_categories': CATEGORIES} | more))
    return path


def herd(folder, individuals=5):
    """A folder per individual with two photos, and the boxes of a detector."""
    images = []
    for individual in range(individuals):
        for number in range(2):
            file = f'a{individual}/{number}.png'
            save_marked(folder / file, (20, 8, 60, 40))
            boxes = [box(0.2, 0.1, 0.4, 0.4), box(0, 0, 1, 1, category='2')]
            images.append({'file': file, 'detections': boxes})
    return images


def read(*words):
    parser = argparse.ArgumentParser()
    parser.add_argument('source')
    add_reading(parser)
    return photos_of_source(check_reading(parser.parse_args([*map(str, words)]), 0.0))


def test_lists_of_a_detectors_file(tmp_path):
    images = herd(tmp_path)
    save_marked(tmp_path / 'a0/empty.png')
    save_marked(tmp_path / 'a0/faint.png')
    images += [
        {'file': 'a0/empty.png', 'detections': []},
        {'file': 'a0/faint.png', 'detections': [box(0.2, 0.1, 0.4, 0.4, conf=0.1999)]},
        {'file': 'a0/broken.png', 'detections': None, 'failure': 'Failure image access'},
    ]
    facts = run(write_detections(tmp_path, images), tmp_path / 'out', '--margin', 0)
    assert facts['source']['kind'] == 'detections' and facts['source']['individuals'] == 5
    assert facts['left_out'] == {
        'no animal with confidence 0.2 or more': 2,
        'failure of the detector: Failure image access': 1,
    }
    for record in lists(tmp_path / 'out')['train']:
        pixels = np.asarray(Image.open(tmp_path / 'out/photos' / record.path))
        assert pixels.shape == (32, 40, 3) and (pixels == RED).all()
    facts = run(tmp_path / 'detections.json', tmp_path / 'out2', '--confidence', 0.05)
    assert facts['left_out']['no animal with confidence 0.05 or more'] == 1
    words = ('--name-pattern', r'(?P<identity>\d)/', '--category', 'PERSON', '--margin', 0)
    facts = run(tmp_path / 'detections.json', tmp_path / 'out3', *words)
    assert sum(len(labels) for labels in facts['labels'].values()) == 5


def test_boxes_for_the_photos_of_a_table(tmp_path):
    write_detections(tmp_path, herd(tmp_path, 4))
    rows = [
        {'path': f'a{individual}/{number}.png', 'name': f'Z{individual}'}
        for individual in range(4)
        for number in range(2)
    ]
    save_marked(tmp_path / 'a0/new.png')
    table = write_csv(tmp_path / 'm.csv', [*rows, {'path': 'a0/new.png', 'name': 'Z0'}])
    words = ('--detections', tmp_path / 'detections.json')
    facts = run(table, tmp_path / 'out', '--margin', 0.5, *words)
    assert facts['left_out'] == {'no box in the file of detections': 1}
    first = lists(tmp_path / 'out')['train'][0].path
    with Image.open(tmp_path / 'out/photos' / first) as image:
        assert image.size == (80, 56)  # with the margin, clipped above
    boxed = [row | {'bbox': '1 2 30 40'} for row in rows]
    table = write_csv(tmp_path / 'boxed.csv', boxed)
    assert 'the source has boxes already; remove --detections' in fails(
        table, tmp_path / 'out2', *words
    )
    assert 'not the .json of an animal detector' in fails(
        table, tmp_path / 'out2', '--detections', table
    )


def test_several_animals_of_a_named_individual(tmp_path):
    images = herd(tmp_path)
    images[0]['detections'].append(box(0.5, 0.5, 0.3, 0.3))
    source = write_detections(tmp_path, images)
    assert "'a0/0.png' shows the same individual in two boxes" in fails(source, tmp_path / 'out')
    facts = run(source, tmp_path / 'out', '--skip-bad')
    assert facts['left_out'] == {'individual twice on one photo': 2}


def test_animals_without_names(tmp_path):
    """The catalogue and identify: every box is an animal, nobody is named by a folder."""
    images = herd(tmp_path, 2)
    images[0]['detections'].append(box(0.5, 0.5, 0.3, 0.3, conf=0.2))  # just enough
    found = read(write_detections(tmp_path, images))
    assert len(found.photos) == 5 and {photo.individual for photo in found.photos} == {''}
    unnamed = read(write_detections(tmp_path, images, detection_categories={}))  # 1 is animal
    assert len(unnamed.photos) == 5
    assert [photo.box for photo in found.photos if photo.path.endswith('a0/0.png')] == [
        (0.2, 0.1, 0.4, 0.4),
        (0.5, 0.5, 0.3, 0.3),
    ]
    named = read(tmp_path / 'detections.json', '--identity-level', 1, '--skip-bad')
    assert {photo.individual for photo in named.photos} == {'a0', 'a1'}


def test_speciesnet(tmp_path):
    herd(tmp_path, 2)
    predictions = [
        {
            'filepath': str(tmp_path / 'a0/0.png'),
            'detections': [box(0.2, 0.1, 0.4, 0.4, category='4', label='Animal')],
            'prediction': 'x;mammalia;;;;;mammal',
            'prediction_score': 0.8,
        },
        {
            'filepath': str(tmp_path / 'a0/1.png'),
            'detections': [box(0.2, 0.1, 0.4, 0.4, category='2', label='human')],
        },
        {'filepath': str(tmp_path / 'a1/0.png'), 'failures': ['CLASSIFIER'], 'detections': []},
        {'filepath': str(tmp_path / 'a1/1.png'), 'failures': ['DETECTOR', 'CLASSIFIER']},
    ]
    path = tmp_path / 's.json'
    path.write_text(json.dumps({'predictions': predictions}))
    found = read(path)
    assert [photo.box for photo in found.photos] == [(0.2, 0.1, 0.4, 0.4)]
    assert sorted(row.reason for row in found.left_out) == [
        'failure of the detector: DETECTOR',
        'no animal with confidence 0.2 or more',
        'no animal with confidence 0.2 or more',
    ]


def test_addaxai_after_it_has_told_the_species(tmp_path):
    """The boxes are the detector's: their confidence is not that of the species."""
    herd(tmp_path, 2)
    species = box(0.1, 0.1, 0.2, 0.2, conf=0.11, category='4', prev_conf=0.9, prev_category='1')
    faint = species | {'conf': 0.99, 'prev_conf': 0.1}
    images = [
        {'file': 'a0/0.png', 'detections': [species, faint]},
        {'file': 'a0/1.png', 'detections': [box(0.3, 0.3, 0.2, 0.2)]},
        {'file': 'a1/0.png', 'detections': [box(0.3, 0.3, 0.2, 0.2, category='2')]},
    ]
    names = {'2': 'person', '3': 'vehicle', '4': 'Nyala', '1': 'unidentified animal'}
    source = write_detections(tmp_path, images, detection_categories=names)
    assert [photo.box for photo in read(source).photos] == [
        (0.1, 0.1, 0.2, 0.2),
        (0.3, 0.3, 0.2, 0.2),
    ]
    (nyala,) = read(source, '--category', 'nyala').photos
    assert nyala.path.endswith('a0/0.png')
    assert len(read(source, '--category', 1).photos) == 2
    source = write_detections(tmp_path, images[2:], detection_categories=names)
    with pytest.raises(InputError, match='no usable photo of an animal; skipped'):
        read(source)


def test_corners_in_pixels(tmp_path):
    """The list that newer versions of MegaDetector write."""
    herd(tmp_path, 1)
    detections = [{'category': 'animal', 'confidence': 0.93, 'bbox': [20.0, 8.0, 60.0, 40.0]}]
    path = tmp_path / 'd.json'
    path.write_text(
        json.dumps(
            [{'file': 'a0/0.png', 'detections': detections}, {'file': 'a0/1.png', 'detections': []}]
        )
    )
    (photo,) = read(path).photos
    assert photo.box == pytest.approx((0.2, 0.1, 0.4, 0.4))


@pytest.mark.parametrize(
    ('tree', 'said'),
    [
        ({'images': [{'file': 'a.png'}, 3]}, 'image 2: not an object; expected'),
        ({'images': [{'file': 'a.png', 'detections': 3}]}, "image 1: expected 'images' with"),
        ({'images': [{'file': 3, 'detections': []}]}, 'image 1: expected'),
        ({'images': [{'file': 'a.png', 'detections': [{}]}]}, 'a detection needs category, conf'),
        ({'images': [{'file': 'a.png', 'detections': [5]}]}, 'a detection needs category, conf'),
        (
            {'images': [{'file': 'a.png', 'detections': [box(10**400, 2, 3, 4)]}]},
            'a detection needs category, conf and bbox with four numbers',
        ),
        ({'images': [{'file': 'a.png', 'detections': [], 'failures': 5}]}, 'failures: expected a'),
        (
            {'images': [{'file': 'a.png', 'detections': [box(math.nan, 0, 1, 1)]}]},
            'a detection needs category, conf and bbox with four numbers',
        ),
        (
            {'images': [{'file': 'a.png', 'detections': [box(1, 2, 3)]}]},
            'a detection needs category, conf and bbox with four numbers',
        ),
        (
            {
                'images': [{'file': 'a.png', 'detections': [box(0, 0, 1, 1, category='2')]}],
                'detection_categories': {'2': 'person'},
            },
            '--category animal: .* has no such category; it has 2, person',
        ),
        ({'images': [], 'detection_categories': CATEGORIES}, 'no photo of a known individual'),
        (
            {'images': [{'file': 'a.png'}], 'detection_categories': ['animal']},
            "expected 'images' .*; 'detection_categories' gives each number its name",
        ),
        ({'images': 3, 'detection_categories': CATEGORIES}, "expected 'images' with"),
    ],
)
def test_files_of_another_form(tmp_path, tree, said):
    save(tmp_path / 'a.png')
    (tmp_path / 'd.json').write_text(json.dumps(tree))
    assert re.search(said, fails(tmp_path / 'd.json', tmp_path / 'out'))
    assert not (tmp_path / 'out').exists()


def test_nothing_is_left(tmp_path):
    herd(tmp_path, 2)
    images = [{'file': f'a0/{number}.png', 'detections': []} for number in range(2)]
    source = write_detections(tmp_path, images)
    said = fails(source, tmp_path / 'out')
    assert 'no photo of a known individual is left; 2 x no animal with confidence 0.2' in said
    for words in ((), ('--name-pattern', '(?P<identity>a.)')):
        with pytest.raises(
            InputError, match='no usable photo of an animal; skipped: no animal with'
        ):
            read(source, *words)
    assert '--confidence 1.5 must be between 0 and 1' in fails(
        source, tmp_path / 'out', '--confidence', 1.5
    )
