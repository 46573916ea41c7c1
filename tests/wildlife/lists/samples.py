"""Photos and tables that the tests of make_lists are run on."""

import csv
import json
import os
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from datasets.records import read_list
from tools import make_lists
from utils.errors import InputError

BLUE, RED = (30, 60, 200), (200, 40, 30)


def save(path, size=(24, 16), colour=BLUE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size, colour).save(path, **options)
    return unlike_others(path)


def unlike_others(path):
    """A photo is no copy of another: behind the picture stands a number of its path."""
    with open(path, 'ab') as file:
        file.write(zlib.crc32(bytes(path)).to_bytes(4, 'big'))
    return path


def write_folder(root, individuals=8, photos=4):
    """A folder per individual: a00/0.png …"""
    for individual in range(individuals):
        for number in range(photos):
            save(
                root / f'a{individual:02d}' / f'{number}.png',
                colour=(individual * 20, number * 40, 90),
            )
    return root


def write_csv(path, rows, columns=None, sign=','):
    """rows: dicts; photos that are not there yet are made beside the table."""
    columns = columns or list(rows[0])
    with open(path, 'w', encoding='utf-8', newline='') as file:
        writer = csv.DictWriter(file, columns, delimiter=sign)
        writer.writeheader()
        writer.writerows(rows)
    return path


def table_rows(folder, individuals=8, encounters=3, photos=2, **more):
    """Rows of a table, with their photos: ``photos`` an encounter, one each side."""
    rows = []
    for individual in range(individuals):
        for encounter in range(encounters):
            for number in range(photos):
                path = f'photos/{individual}_{encounter}_{number}.png'
                save(folder / path, colour=(individual * 20, encounter * 40, number * 90))
                rows.append(
                    {
                        'path': path,
                        'identity': f'ind {individual}',
                        'encounter': f'{individual}.{encounter}',
                        'side': ('left', 'right')[number % 2],
                        **more,
                    }
                )
    return rows


def run(source, out, *options):
    return make_lists.main([str(source), '--out', str(out), *map(str, options)])


def fails(*args):
    with pytest.raises(InputError) as error:
        run(*args)
    assert '\n' not in str(error.value)
    return str(error.value)


def lists(out):
    return {path.stem: read_list(path) for path in sorted(out.glob('*.txt'))}


def photo_rows(out):
    with open(out / 'photos.csv', encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def write_coco(folder, size=(40, 30), **more):
    """Six individuals on four photos each; more: of every annotation. Returns the tree, which is
    written to m.json.
    """
    images, annotations = [], []
    for number in range(24):
        save(folder / f'{number}.png', size=size, colour=(number, 9, 9))
        images.append(
            {'id': number, 'file_name': f'{number}.png', 'width': size[0], 'height': size[1]}
        )
        annotations.append(
            {'id': number, 'image_id': number, 'category_id': 1 + number // 4} | more
        )
    tree = {
        'images': images,
        'annotations': annotations,
        'categories': [{'id': number, 'name': f'z{number}'} for number in range(1, 7)],
    }
    (folder / 'm.json').write_text(json.dumps(tree))
    return tree


def write_camtrap(folder):
    """Deployment d0 and d1: 8 animals, 3 visits each, two photos a visit; animal 7 is known by its
    events alone.
    """
    media, observations = [], []
    for animal in range(8):
        for visit in range(3):
            event = f'e{animal}.{visit}'
            for number in range(2):
                name = f'm{animal}{visit}{number}'
                save(folder / 'media' / f'{name}.png', size=(40, 20))
                moment = f'2023-05-{1 + animal:02d}T1{visit}:00:0{number}'
                media.append(
                    {
                        'mediaID': name,
                        'deploymentID': f'd{animal % 2}',
                        'timestamp': f'{moment}+02:00',
                        'filePath': f'media/{name}.png',
                        'filePublic': 'true',
                        'fileMediatype': 'image/png',
                    }
                )
                if animal < 7:
                    observations.append(
                        {
                            'observationID': f'o{name}',
                            'deploymentID': f'd{animal % 2}',
                            'mediaID': name,
                            'eventID': event,
                            'eventStart': '',
                            'eventEnd': '',
                            'observationLevel': 'media',
                            'observationType': 'animal',
                            'individualID': f'i{animal}',
                            'bboxX': 0.25,
                            'bboxY': 0.5,
                            'bboxWidth': 0.5,
                            'bboxHeight': 0.25,
                        }
                    )
            if animal == 7:
                day = f'2023-05-08T{8 + visit:02d}:00:0'  # the same clock in UTC
                observations.append(
                    {
                        'observationID': f'o{event}',
                        'deploymentID': 'd1',
                        'mediaID': '',
                        'eventID': event,
                        'eventStart': f'{day}0Z',
                        'eventEnd': f'{day}1Z',
                        'observationLevel': 'event',
                        'observationType': 'animal',
                        'individualID': 'i7',
                    }
                )
    for name in ('i0', 'i1'):  # both on the photos of one event: who is on which?
        observations.append(
            observations[-1]
            | {
                'eventStart': '2023-05-01T08:00:00Z',
                'eventEnd': '2023-05-01T08:00:09Z',
                'deploymentID': 'd0',
                'individualID': name,
            }
        )
    observations.append(
        observations[0] | {'observationID': 'human', 'observationType': 'human', 'individualID': ''}
    )
    observations.append(
        observations[0]
        | {'observationID': 'who', 'mediaID': 'm000', 'individualID': '', 'bboxX': ''}
    )
    observations[-1] |= dict.fromkeys(('bboxX', 'bboxY', 'bboxWidth', 'bboxHeight'), '')
    write_csv(folder / 'media.csv', media)
    write_csv(folder / 'observations.csv', observations, columns=list(observations[0]))
    return media, observations


def draw_turned(theta, size=(200, 150), centre=(90, 70), sides=(60, 20), **options):
    """A photo of a rectangle turned about its centre, clockwise by ``theta``; its left half is red,
    its right half blue.
    """
    image = Image.new('RGB', size)
    cos, sin = np.cos(theta), np.sin(theta)
    for colour, x in ((RED, -1), (BLUE, 0)):
        corners = np.array([(x, -0.5), (x + 1, -0.5), (x + 1, 0.5), (x, 0.5)]) * (
            sides[0] / 2,
            sides[1],
        )
        corners = (
            corners @ np.array([(cos, sin), (-sin, cos)]) + centre
        )  # x axis -> (cos, sin): clockwise, as y points down
        ImageDraw.Draw(image).polygon([tuple(corner) for corner in corners], fill=colour)
    return image


def is_upright(pixels, aside=0, above=0):
    """Whether the crop shows the red and the blue half, and black around them. Two pixels at each
    edge may be blurred.
    """
    height, width = pixels.shape[0] - 2 * above, pixels.shape[1] - 2 * aside
    inner = pixels[above + 2 : above + height - 2, aside + 2 : aside + width - 2].astype(int)
    half = width // 2 - 2
    around = pixels.copy()
    around[max(0, above - 2) : above + height + 2, max(0, aside - 2) : aside + width + 2] = 0
    return (
        abs(inner[:, : half - 2] - RED).max() < 9
        and abs(inner[:, half + 2 :] - BLUE).max() < 9
        and around.max() < 9
    )


def copy_of(path, name):
    copy = path.parent / name
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(path.read_bytes())
    return copy


STRANGE = os.fsdecode(b'caf\xe9')  # of an old ZIP or a Windows share: no UTF-8
