"""tools/make_lists.py: every kind of source, every split, boxes and orientation, and what it says
to bad input.
"""

import csv
import html
import json
import os
import random
import subprocess
import sys
import zlib
from collections import Counter, defaultdict
from datetime import datetime
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from configs import load_cfg
from datasets import copies
from datasets.images import UPRIGHT
from datasets.make_dataloader_clipreid import make_dataloader, make_test_dataloader
from datasets.protocols import PROTOCOLS
from datasets.records import read_list
from datasets.sampler import choose_batch
from tests.helpers import ROOT
from tools import check_data, make_lists
from utils.errors import InputError
from utils.metrics import count_positives
from wildlife import prepare
from wildlife.crops import find_change, prepared_size
from wildlife.groups import connected
from wildlife.lists import report as list_report
from wildlife.lists import yml as list_yml
from wildlife.lists.cells import known, read_box, read_side, read_sides
from wildlife.lists.dates import parse_date, read_dates
from wildlife.lists.encounters import make_photos
from wildlife.lists.sightings import Sighting
from wildlife.lists.split_random import split_closed, split_disjoint
from wildlife.lists.splits import add_validation, hold_out
from wildlife.lists.yml import DataSet, fitting_size
from wildlife.photos import Header, read_header
from wildlife.prepare import listable, prepared_name
from wildlife.words import counted

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


# ---------------------------------------------------------------- sources


def test_a_folder_for_each_individual(tmp_path, capsys):
    source = write_folder(tmp_path / 'species')
    (source / 'a00' / 'notes.txt').write_text('seen at dusk')
    facts = run(source, tmp_path / 'out')
    made = lists(tmp_path / 'out')
    assert facts['source']['photos'] == 32 and facts['source']['individuals'] == 8
    assert facts['left_out'] == {"no photo ('.txt')": 1}
    assert {name: len(split) for name, split in made.items()} == {
        'train': 22,
        'val': 2,
        'query': 8,
        'gallery': 8,
    }
    assert made['query'] == made['gallery']
    for split, names in (('train', 'train'), ('val', 'train'), ('query', 'test')):
        for record in made[split]:
            assert facts['labels'][names][record.pid] == record.path.split('/')[0]
            assert record.side is None and record.encounter is None
    assert {record.pid for record in made['train']} == set(range(6))
    assert {record.pid for record in made['query']} == {0, 1}
    assert not set(facts['labels']['train']) & set(facts['labels']['test'])
    assert facts['protocol']['test'] == 'all'
    assert any('no known encounter' in note for note in facts['notes'])
    printed = capsys.readouterr().out
    assert (
        'train' in printed
        and PROTOCOLS['all'].text in printed
        and 'python train_clipreid.py --config_file' in printed
    )


def test_csv_of_wildlife_datasets(tmp_path):
    rows = table_rows(tmp_path)
    for number, row in enumerate(rows):
        row['orientation'] = row.pop('side')
        row['image_id'] = number
        row['original_split'] = 'train'
        row['date'] = '2021-05-01'
    rows.append(
        rows[0] | {'identity': 'unknown', 'path': rows[-1]['path'].replace('.png', 'x.png')}
    )
    rows.append(rows[0] | {'identity': '____', 'path': rows[-1]['path']})
    save(tmp_path / rows[-1]['path'])
    facts = run(write_csv(tmp_path / 'metadata.csv', rows), tmp_path / 'out')
    assert facts['source']['columns'] == {
        'identity': 'identity',
        'path': 'path',
        'side': 'orientation',
        'date': 'date',
        'encounter': 'encounter',
        'split': 'original_split',
    }
    assert facts['source']['unused_columns'] == ['image_id']
    assert facts['left_out'] == {"unidentified ('unknown')": 1, "unidentified ('____')": 1}
    assert any('has splits of its own' in note for note in facts['notes'])
    made = lists(tmp_path / 'out')
    assert facts['protocol']['test'] == 'cross-encounter'
    for record in made['train'] + made['query']:
        assert record.side == int(record.path[-5]) % 2
    numbers = {
        record.path.rpartition('_')[0]: record.encounter
        for record in made['train'] + made['val'] + made['query']
    }
    assert len(set(numbers.values())) == len(numbers) == 24


def test_words_for_unknown_in_every_column(tmp_path):
    """R writes NA where nothing is known."""
    rows = table_rows(
        tmp_path, camera='c', date='2020-05-01', bbox='[1, 1, 9, 9]', split='train', species='nyala'
    )
    for row in rows[:12]:
        row |= dict.fromkeys(
            ('encounter', 'side', 'camera', 'date', 'bbox', 'split', 'species'), 'NA'
        )
    rows[-1]['identity'] = 'NA'
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert facts['left_out'] == {"unidentified ('NA')": 1}
    assert any("names that say unknown: 'NA' 1" in note for note in facts['notes'])
    assert not any(
        word in note
        for note in facts['notes']
        for word in ('no dates', 'neither left', 'several species')
    )
    made = {row['source']: row for row in photo_rows(tmp_path / 'out')}
    for row in rows[:12]:
        assert all(
            made[row['path']][fact] == '' for fact in ('encounter', 'side', 'camera', 'date', 'box')
        )


def test_dates_in_parts_need_all_three(tmp_path):
    rows = []
    for number, row in enumerate(table_rows(tmp_path)):
        rows.append(
            {
                'path': row['path'],
                'identity': row['identity'],
                'year': 2020,
                'month': ('', 'NA', '3.0')[number % 3],
                'day': 7,
                'minute': 5,
                'hour': ('', '9')[number % 2],
            }
        )
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert {row['date'] for row in photo_rows(tmp_path / 'out')} == {
        '',
        '2020-03-07 00:00:00',
        '2020-03-07 09:05:00',
    }
    assert any(note.startswith('date: 32 are no dates') for note in facts['notes'])
    for row in rows:
        del row['hour']
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out2')
    assert {row['date'] for row in photo_rows(tmp_path / 'out2')} == {
        '',
        '2020-03-07 00:00:00',
    }  # a minute alone is no time


def test_names_that_are_nearly_the_same_are_told(tmp_path):
    rows = table_rows(tmp_path)
    names = iter(['Zo\u00e9', 'Zoe\u0301', 'Ann  1', 'ann_1', '7', '7.0', '07', '70'])
    for row in rows[::6]:
        row['identity'] = next(names)
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    note = next(note for note in facts['notes'] if 'are different individuals' in note)
    assert (
        note.partition('individuals: ')[2] == '07 / 7 / 7.0, Ann  1 / ann_1, Zoe\u0301 / Zo\u00e9'
    )


def test_one_individual_alone_names_its_column(tmp_path):
    images, annotations = [], []
    for number in range(8):
        save(tmp_path / f'{number}.png')
        images.append({'id': number, 'file_name': f'{number}.png'})
        annotations.append({'image_id': number, 'category_id': 1, 'zebra': f'z{number // 4}'})
    tree = {
        'images': images,
        'annotations': annotations,
        'categories': [{'id': 1, 'name': 'zebra'}],
    }
    (tmp_path / 'm.json').write_text(json.dumps(tree))
    for protocol in ('disjoint', 'closed'):
        message = fails(tmp_path / 'm.json', tmp_path / 'out', '--protocol', protocol)
        assert "8 photos, all of one individual, 'zebra' (by category)" in message
        assert '--column identity=' in message and 'not used: zebra' in message
    run(tmp_path / 'm.json', tmp_path / 'out', '--column', 'identity=zebra', '--protocol', 'closed')


def test_tables_as_spreadsheets_write_them(tmp_path):
    rows = table_rows(tmp_path)
    lines = [f'{row["path"]};{row["identity"]};{row["encounter"]}' for row in rows]
    lines[3] = lines[3].rpartition(';')[0]  # empty cells at the end are left out
    lines[4] += ';;'
    text = '\r\n'.join(['sep=;', 'path;identity;encounter;note', *lines, ''])
    (tmp_path / 'm.csv').write_text(text, encoding='utf-8-sig', newline='')
    facts = run(tmp_path / 'm.csv', tmp_path / 'out')
    assert facts['source']['photos'] == 48 and facts['source']['individuals'] == 8
    made = {row['source']: row for row in photo_rows(tmp_path / 'out')}
    assert [made[rows[number]['path']]['encounter'] == '' for number in (2, 3, 4)] == [
        False,
        True,
        False,
    ]
    assert made[rows[3]['path']]['row'].endswith(':6')
    both = [
        {'path': row['path'], 'identity': row['identity'], 'Identity': row['identity']}
        for row in rows
    ]
    assert any(
        "not 'Identity'" in note
        for note in run(write_csv(tmp_path / 'm.csv', both), tmp_path / 'same')['notes']
    )
    both[4]['Identity'] = 'x'
    message = fails(write_csv(tmp_path / 'm.csv', both), tmp_path / 'out2')
    assert (
        'm.csv:6' in message and "'identity' and 'Identity' could both be the identity" in message
    )
    numbered = [
        {'path': row['path'], 'identity': row['identity'], 'side': number % 2}
        for number, row in enumerate(rows)
    ]
    facts = run(write_csv(tmp_path / 'm.csv', numbered), tmp_path / 'sides')
    assert facts['splits']['train']['left'] and facts['splits']['train']['right']
    assert any(note.startswith('side: 0 was taken for left') for note in facts['notes'])


def test_other_columns_signs_and_folders_by_option(tmp_path):
    rows = [
        {
            'Who': row['identity'],
            'Where': row['path'].removeprefix('photos/'),
            'Trap': 'B',
            'Flank': row['side'][0].upper(),
            'When': '13.05.2021 10:00',
        }
        for row in table_rows(tmp_path)
    ]
    (tmp_path / 'tables').mkdir()
    table = write_csv(tmp_path / 'tables' / 'my.csv', rows, sign=';')
    message = fails(table, tmp_path / 'out')
    assert (
        'no column says who the animal is' in message
        and '--column identity=' in message
        and 'Who, Where' in message
    )
    facts = run(
        table,
        tmp_path / 'out',
        '--photos',
        tmp_path / 'photos',
        '--column',
        'identity=Who',
        '--column',
        'path=Where',
        '--column',
        'date=When',
        '--column',
        'camera=Trap',
        '--encounters',
        'own',
    )
    assert facts['splits']['train']['left'] > 0 and facts['splits']['train']['cameras'] == 1
    assert (
        facts['splits']['query']['encounters'] == 2
    )  # own, and all of them on one day at one camera


def test_coco_with_the_individual_as_attribute_or_category(tmp_path):
    images, annotations = [], []
    for number in range(24):
        save(tmp_path / 'images' / f'{number}.jpg', size=(40, 30))
        images.append(
            {
                'id': number,
                'file_name': f'{number}.jpg',
                'width': 40,
                'height': 30,
                'date_captured': 'NA',
            }
        )
        annotations.append(
            {
                'id': 100 + number,
                'image_id': number,
                'category_id': 1 + number // 4,
                'bbox': [5, 5, 20, 10],
                'viewpoint': 'left',
                'attributes': {'individual': f'zebra {number // 3}'},
            }
        )
    categories = [{'id': number, 'name': f'kind {number}'} for number in range(1, 7)]
    tree = {'images': images, 'annotations': annotations, 'categories': categories}
    (tmp_path / 'annotations').mkdir()
    path = tmp_path / 'annotations' / 'a.json'
    path.write_text(json.dumps(tree))
    facts = run(path, tmp_path / 'out')
    assert facts['source']['kind'] == 'COCO' and facts['source']['individuals'] == 8
    assert (
        facts['source']['columns']['identity'] == 'individual'
        and facts['source']['columns']['species'] == 'category'
    )
    assert any('several species' in note for note in facts['notes'])
    assert (
        facts['splits']['train']['right'] == 0
        and facts['splits']['train']['left'] == facts['splits']['train']['photos']
    )
    with Image.open(
        tmp_path / 'out' / 'photos' / lists(tmp_path / 'out')['train'][0].path
    ) as photo:
        assert (
            photo.size == (22, 12) and photo.format == 'JPEG'
        )  # margin of 1 and 0.5 pixels, whole pixels outwards

    for annotation in annotations:
        del annotation['attributes']
    path.write_text(json.dumps(tree))
    assert run(path, tmp_path / 'out2')['source']['columns']['identity'] == 'category'
    for annotation in annotations:
        annotation['individual_id'] = annotation['image_id'] % 2
    path.write_text(json.dumps(tree))
    facts = run(path, tmp_path / 'out3', '--species', 'kind 1', '--protocol', 'closed')
    assert facts['source']['photos'] == 4 and facts['labels']['train'] == ['0', '1']
    assert facts['left_out'] == {f"species 'kind {number}'": 4 for number in range(2, 7)}
    annotations[3]['image_id'] = 99
    path.write_text(json.dumps(tree))
    assert f'{path}: annotation 4: there is no image with id 99' in fails(path, tmp_path / 'out4')


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


@pytest.mark.parametrize(
    ('part', 'key', 'of', 'said'),
    [
        (
            'annotations',
            'image_id',
            str,
            "annotation 1: image_id is the text '0', but the id in images is the number 0",
        ),
        (
            'images',
            'id',
            str,
            "annotation 1: image_id is the number 0, but the id in images is the text '0'",
        ),
        (
            'annotations',
            'category_id',
            str,
            "annotation 1: category_id is the text '1', but the id in categories is the number 1",
        ),
        ('annotations', 'category_id', float, ''),
        ('annotations', 'image_id', float, ''),
    ],
)
def test_coco_ids_of_another_type(tmp_path, part, key, of, said):
    tree = write_coco(tmp_path)
    for entry in tree[part]:
        entry[key] = of(entry[key])
    (tmp_path / 'm.json').write_text(json.dumps(tree))
    if said:
        assert said in fails(tmp_path / 'm.json', tmp_path / 'out')
    else:
        assert run(tmp_path / 'm.json', tmp_path / 'out')['source']['individuals'] == 6


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


def test_camtrap_dp(tmp_path):
    write_camtrap(tmp_path)
    facts = run(tmp_path, tmp_path / 'out', '--margin', 0)
    assert (
        facts['source']['kind'] == 'Camtrap DP'
        and facts['source']['individuals'] == 8
        and facts['source']['photos'] == 48
    )
    assert facts['left_out'] == {
        "observationType 'human'": 1,
        'unidentified': 1,
        'event of several individuals: who is on which photo?': 2,
    }
    assert facts['protocol']['test'] == 'cross-encounter'
    rows = {row['source']: row for row in photo_rows(tmp_path / 'out') if row['listed']}
    assert len(rows) == 48
    assert {row['encounter'] for row in rows.values() if row['identity'] == 'i7'} == {
        rows[f'media/m7{visit}0.png']['encounter'] for visit in range(3)
    }
    with Image.open(tmp_path / 'out' / 'photos' / rows['media/m000.png']['listed']) as photo:
        assert photo.size == (20, 5)
    with Image.open(tmp_path / 'out' / 'photos' / rows['media/m700.png']['listed']) as photo:
        assert photo.size == (40, 20)  # an event tells no box


def test_camtrap_dp_that_cannot_be_read(tmp_path):
    media, observations = write_camtrap(tmp_path)
    write_csv(tmp_path / 'media.csv', [row | {'mediaID': 'm'} for row in media])
    assert "mediaID 'm' occurs twice" in fails(tmp_path, tmp_path / 'out')
    write_csv(tmp_path / 'media.csv', [{'mediaID': 'm'}])
    assert 'no column deploymentID and timestamp and filePath' in fails(tmp_path, tmp_path / 'out')
    write_csv(tmp_path / 'media.csv', media)
    write_csv(tmp_path / 'observations.csv', [observations[0] | {'bboxHeight': ''}])
    assert 'some are empty' in fails(tmp_path, tmp_path / 'out')
    write_csv(tmp_path / 'observations.csv', [observations[0] | {'mediaID': 'nobody'}])
    assert "media.csv has no mediaID 'nobody'" in fails(tmp_path, tmp_path / 'out')
    write_csv(
        tmp_path / 'media.csv',
        [row | {'timestamp': row['timestamp'].removesuffix('+02:00')} for row in media],
    )
    write_csv(tmp_path / 'observations.csv', observations)
    message = fails(tmp_path, tmp_path / 'out')
    assert (
        'times with a zone beside times without' in message
        and "media.csv:2: '2023-05-01T10:00:00'" in message
    )
    for row in observations:
        row |= {key: row[key].removesuffix('Z') for key in ('eventStart', 'eventEnd')}
    write_csv(tmp_path / 'observations.csv', observations)
    run(tmp_path, tmp_path / 'nowhere_zones')
    (tmp_path / 'media.csv').unlink()
    for source in (tmp_path / 'observations.csv', tmp_path):
        assert 'media.csv missing; it has media.csv and observations.csv' in fails(
            source, tmp_path / 'out'
        )
    (tmp_path / 'media.csv.gz').write_bytes(b'')
    for source in (tmp_path / 'media.csv.gz', tmp_path):
        assert 'unpack media.csv.gz' in fails(source, tmp_path / 'out')
    for name in ('observations.csv', 'media.csv.gz'):
        (tmp_path / name).unlink()
    (tmp_path / 'datapackage.json').write_text('{}')
    assert 'media.csv and observations.csv missing' in fails(tmp_path, tmp_path / 'out')


def test_camtrap_events_of_more_than_one_animal_name_nobody(tmp_path):
    _, observations = write_camtrap(tmp_path)
    event = next(row for row in observations if row['eventID'] == 'e7.1')
    observations[:] = [
        row | {'count': 2 if row['eventID'] == 'e7.0' else 1} for row in observations
    ]
    observations.append(event | {'individualID': 'NA', 'count': 'NA'})
    write_csv(tmp_path / 'observations.csv', observations)
    facts = run(tmp_path, tmp_path / 'out')
    assert facts['source']['photos'] == 48 - 4
    assert facts['left_out']['event of several individuals: who is on which photo?'] == 2 + 2
    assert facts['left_out']['unidentified'] == 1 + 1


def test_wildbook_rows_are_encounters_of_several_photos(tmp_path):
    rows = []
    for individual in range(6):
        for encounter in range(3):
            names = [f'{individual}{encounter}{number}.png' for number in range(2)]
            for name in names:
                save(tmp_path / name)
            rows.append(
                {
                    'Encounter.mediaAsset0': names[0],
                    'Encounter.mediaAsset1': names[1],
                    'Encounter.year': 2020,
                    'Encounter.month': 3,
                    'Encounter.day': 1 + encounter,
                    'Encounter.locationID': 'bay',
                    'MarkedIndividual.individualID': f'w{individual}',
                    'Encounter.individualID': f'w{individual}',
                }
            )
    facts = run(write_csv(tmp_path / 'bulk.csv', rows), tmp_path / 'out')
    assert facts['source']['photos'] == 36 and facts['source']['individuals'] == 6
    assert (
        facts['splits']['query']['encounters'] == 6
    )  # of two animals: rows, although the day and place are the others' too
    assert photo_rows(tmp_path / 'out')[0]['date'] == '2020-03-01 00:00:00'
    made = []
    for number in range(2):  # that an encounter is a row makes the rows' order no matter
        run(
            write_csv(tmp_path / 'bulk.csv', rows),
            tmp_path / f'closed{number}',
            '--protocol',
            'closed',
        )
        made.append(
            {path.name: path.read_bytes() for path in (tmp_path / f'closed{number}').glob('*.txt')}
        )
        random.Random(0).shuffle(rows)
    assert made[0] == made[1]
    rows[0]['Encounter.individualID'] = 'w9'
    message = fails(write_csv(tmp_path / 'bulk.csv', rows), tmp_path / 'out2')
    assert (
        'bulk.csv:2' in message
        and 'MarkedIndividual.individualID' in message
        and '--column identity=' in message
    )


def test_folders_of_splits_years_and_levels(tmp_path):
    for split, start in (('train', 0), ('test', 5)):
        write_folder(tmp_path / 'a' / split, 5)
        for folder in sorted((tmp_path / 'a' / split).iterdir()):
            folder.rename(folder.with_name(f'i{start + int(folder.name[1:])}'))
    facts = run(tmp_path / 'a', tmp_path / 'out', '--protocol', 'given')
    assert facts['source']['columns'] == {'identity': 'folder above the photo', 'split': 'folder'}
    assert set(facts['labels']['test']) == {f'i{number}' for number in range(5, 10)}
    assert facts['splits']['query']['photos'] == 20

    for year in (2020, 2021):
        for individual in range(6):
            save(tmp_path / 'b' / f'i{individual}' / str(year) / 'x.png')
    message = fails(tmp_path / 'b', tmp_path / 'out2')
    assert 'years (2020, 2021)' in message and '--identity-level 1' in message
    assert (
        run(tmp_path / 'b', tmp_path / 'out2', '--identity-level', 1)['source']['individuals'] == 6
    )

    for name, kind, below in (
        ('d', 'dates', ('2020-05-01', '20200602')),
        ('e', 'sides', ('left', 'Right')),
    ):
        for individual in range(6):
            for folder in below:
                save(tmp_path / name / f'i{individual}' / folder / 'x.png')
        message = fails(tmp_path / name, tmp_path / 'none')
        assert f'individuals are {kind} (' in message and '--identity-level 1' in message
    for individual in range(6):
        for camera in range(3):
            save(tmp_path / 'f' / f'i{individual}' / f'c{camera}' / 'x.png')
            save(
                tmp_path / 'g' / f'201{camera}' / f'i{individual}' / 'x.png'
            )  # below years they may recur
    message = fails(tmp_path / 'f', tmp_path / 'none')
    assert '3 of 3 names' in message and "'c0' below i0, i1, i2" in message
    assert '--identity-level 1 gives 6 individuals (i0, i1, i2 …)' in message
    assert '--identity-level -1 gives 3 individuals (c0, c1, c2)' in message
    assert (
        run(
            tmp_path / 'f',
            tmp_path / 'level1',
            '--identity-level',
            1,
            '--name-pattern',
            '/(?P<camera>c[0-9])/',
        )['source']['individuals']
        == 6
    )
    assert (
        run(tmp_path / 'f', tmp_path / 'last', '--identity-level', -1, '--protocol', 'closed')[
            'source'
        ]['individuals']
        == 3
    )
    assert run(tmp_path / 'g', tmp_path / 'years')['source']['individuals'] == 6

    for individual in range(5):
        for number in range(3):
            save(tmp_path / 'c' / f'{individual:04d}_c1_{number}.png')
    assert 'none in a folder of an individual' in fails(tmp_path / 'c', tmp_path / 'out3')
    facts = run(
        tmp_path / 'c', tmp_path / 'out3', '--name-pattern', r'(?P<identity>\d+)_c(?P<camera>\d+)'
    )
    assert facts['source']['individuals'] == 5 and facts['splits']['train']['cameras'] == 1


MADE_BY_PROGRAMS = (
    '@eaDir',
    '#recycle',
    '#snapshot',
    '@Recycle',
    '.thumbnails',
    'Thumbnails',
    'ORIGINALS',
    '$RECYCLE.BIN',
    'System Volume Information',
    '__MACOSX',
    'lost+found',
    '.Trash-1000',
)


def test_folders_and_files_that_nobody_made_are_no_individuals(tmp_path):
    source = write_folder(tmp_path / 's')
    expected = run(source, tmp_path / 'clean')
    for number, name in enumerate(MADE_BY_PROGRAMS):
        save(source / name / 'a' / f'{number}.png', colour=(number, 9, 9))
        save(source / 'a00' / name / '0.png' / 'small.png', colour=(number, 8, 8))
        (source / name / 'index.db').write_text('')
    (source / 'a01' / '._0.png').write_bytes(b'\0\5\x16\7')
    facts = run(source, tmp_path / 'out')
    assert facts['labels'] == expected['labels'] and lists(tmp_path / 'out') == lists(
        tmp_path / 'clean'
    )
    assert facts['left_out'] == {f"in a folder '{name}'": 2 for name in MADE_BY_PROGRAMS} | {
        'hidden file': 1
    }
    note = next(note for note in facts['notes'] if note.startswith('skipped: 24 photos in folders'))
    assert "'@eaDir' 2" in note and 'rename such a folder' in note
    assert not any('nothing else' in note for note in facts['notes'])


def test_a_folder_whose_photos_are_all_skipped_is_named(tmp_path):
    source = write_folder(tmp_path / 's')
    (source / 'a03').rename(source / 'originals')
    (source / 'a03').mkdir()
    (source / 'originals').rename(source / 'a03' / 'originals')
    facts = run(source, tmp_path / 'out')
    assert (
        facts['left_out'] == {"in a folder 'originals'": 4} and facts['source']['individuals'] == 7
    )
    assert 'nothing else is in 1 folder with skipped photos: a03' in facts['notes']
    message = fails(source / 'a03', tmp_path / 'none')
    assert (
        'all 4 photos are in folders' in message
        and "('originals' 4)" in message
        and 'its own path' in message
    )


def test_folders_of_a_camera_are_no_individuals(tmp_path):
    for number in range(4):
        save(tmp_path / 'card' / 'DCIM' / f'10{number}RECNX' / 'x.png')
    message = fails(tmp_path / 'card', tmp_path / 'out')
    assert 'individuals are folders of a camera (100RECNX, 101RECNX, 102RECNX …)' in message
    assert (
        'give each individual a folder, or name them in a table' in message
        and '--identity-level 1' not in message
    )
    for individual in range(6):
        for name in ('100_PANA', '101apple'):
            save(
                tmp_path / 's' / f'i{individual}' / 'DCIM' / name / 'x.png',
                colour=(individual, len(name), 0),
            )
    message = fails(tmp_path / 's', tmp_path / 'out')
    assert (
        '--identity-level 1 gives 6 individuals (i0, i1, i2 …), or' in message
        and '--identity-level 2' not in message
    )
    assert (
        run(tmp_path / 's', tmp_path / 'out', '--identity-level', 1)['source']['individuals'] == 6
    )
    for number in range(6):
        for photo in range(2):
            save(tmp_path / 'n' / f'20{number}45678' / f'{photo}.png')  # eight digits are a name
            save(tmp_path / 'm' / f'10{number}MASAI' / f'{photo}.png')
    assert run(tmp_path / 'n', tmp_path / 'numbers')['source']['individuals'] == 6
    assert '--identity-level -1 takes them anyway' in fails(tmp_path / 'm', tmp_path / 'none')
    facts = run(tmp_path / 'm', tmp_path / 'names', '--identity-level', -1)
    assert facts['source']['individuals'] == 6
    assert any(
        '6 of 6 individuals are named like folders of a camera' in note for note in facts['notes']
    )


def test_individuals_at_different_depths(tmp_path):
    source = write_folder(tmp_path / 's', 6)
    for number in range(3):
        save(source / 'a03' / '2024' / f'{number}.png', colour=(number, 7, 7))
    (source / 'overview.png').write_bytes(
        (source / 'a00' / '0.png').read_bytes()
    )  # outside all folders: nobody's
    message = fails(source, tmp_path / 'out')
    assert "photos at different depths, as 'a00/0.png' and 'a03/2024/0.png'" in message
    assert '--identity-level 1 gives 6 individuals (a00, a01, a02 …)' in message
    assert '--identity-level -1 gives 7 individuals (2024, a00, a01 …)' in message
    facts = run(source, tmp_path / 'out', '--identity-level', 1)
    assert facts['source']['individuals'] == 6 and facts['left_out'] == {'unidentified': 1}
    facts = run(source, tmp_path / 'last', '--identity-level', -1)
    assert any('1 of 7 individuals are named like years (2024)' in note for note in facts['notes'])


def test_folders_above_the_individuals_are_told(tmp_path):
    """Herds, or individuals above their encounters? Folders of splits, years or of all are
    neither.
    """
    expected = {'herds': True, 'years': False, 'one': False}
    for individual in range(8):
        for number in range(3):
            for name, above in (
                ('herds', f'h{individual // 3}'),
                ('years', f'{2020 + individual // 3}'),
                ('one', 'images'),
            ):
                save(tmp_path / name / above / f'i{individual}' / f'{number}.png')
    for name, told in expected.items():
        notes = run(tmp_path / name, tmp_path / f'out {name}')['notes']
        assert told == (
            'the folder right above a photo is the individual; --identity-level 1 gives 3 '
            'individuals '
            '(h0, h1, h2)' in notes
        ) and told == any('--identity-level' in note for note in notes)


def test_one_folder_name_below_every_individual(tmp_path):
    for individual in range(6):
        for number in range(3):
            save(
                tmp_path / 's' / f'i{individual}' / 'crops' / f'{number}.png',
                colour=(individual, number, 0),
            )
    message = fails(tmp_path / 's', tmp_path / 'out')
    assert (
        "as 'crops' below i0, i1, i2 …; --identity-level 1 gives 6 individuals (i0, i1, i2 …)"
        in message
    )
    assert '--identity-level -1' not in message  # of one individual there is nothing to learn
    assert (
        run(tmp_path / 's', tmp_path / 'out', '--identity-level', 1)['source']['individuals'] == 6
    )


# ---------------------------------------------------------------- facts from names and files


def test_name_pattern_reads_facts_and_contradicts_the_table(tmp_path):
    rows = [
        {'identity': row['identity'], 'path': row['path'], 'orientation': row['side']}
        for row in table_rows(tmp_path)
    ]
    table = write_csv(tmp_path / 'm.csv', rows)
    pattern = r'/(?P<encounter>\d+_\d+)_'
    facts = run(table, tmp_path / 'out', '--name-pattern', pattern)
    assert facts['source']['columns']['encounter'] == '--name-pattern'
    assert (
        facts['protocol']['test'] == 'cross-encounter'
        and facts['splits']['query']['encounters'] == 6
    )
    rows[3]['orientation'] = 'left'
    for number, row in enumerate(rows):
        new = row['path'].replace('.png', ('_left.png', '_right.png')[number % 2])
        (tmp_path / row['path']).rename(tmp_path / new)
        row['path'] = new
    table = write_csv(tmp_path / 'm.csv', rows)
    message = fails(table, tmp_path / 'out2', '--name-pattern', '(?P<side>left|right)')
    assert 'm.csv:5' in message and '--column side=' in message
    run(table, tmp_path / 'out2', '--name-pattern', '(?P<side>left|right)', '--column', 'side=')
    assert 'no regular expression' in fails(table, tmp_path / 'out3', '--name-pattern', '(?P<side>')
    assert 'needs named groups' in fails(
        table, tmp_path / 'out3', '--name-pattern', '(?P<weather>x)'
    )
    assert 'fits none of the' in fails(
        table, tmp_path / 'out3', '--name-pattern', '(?P<side>dorsal)'
    )


def test_exif_dates_make_encounters(tmp_path):
    for individual in range(5):
        for number in range(4):
            exif = Image.Exif()
            exif[0x132] = '2024:01:01 00:00:00'  # when somebody saved it, which says nothing
            if individual < 4:
                exif.get_ifd(0x8769)[0x9003] = f'2022:0{1 + number // 2}:03 10:00:0{number}'
            save(tmp_path / 's' / f'i{individual}' / f'{number}.jpg', exif=exif)
    assert run(tmp_path / 's', tmp_path / 'out', '--no-exif-dates')['protocol']['test'] == 'all'
    facts = run(tmp_path / 's', tmp_path / 'out2')
    assert facts['source']['columns']['date'] == 'EXIF'
    assert any(
        note.startswith('date: of 16 photos from the file (EXIF)') for note in facts['notes']
    )
    rows = photo_rows(tmp_path / 'out2')
    for fact in ('date', 'encounter'):
        assert {row['identity'] for row in rows if not row[fact]} == {'i4'}
    assert len({row['encounter'] for row in rows}) == 9


def test_days_and_minutes_of_a_camera(tmp_path):
    def keys(minutes=0.0, **more):
        seen = (
            ('a', 'x', '2020-01-01T10:00'),
            ('b', 'x', '2020-01-01T10:20'),
            ('a', 'y', '2020-01-01T10:00'),
            ('a', 'x', '2020-01-01T11:30'),
            ('a', 'x', '2020-01-02T00:10'),
            ('c', '', '2020-01-01T10:00'),
            ('d', '', '2020-01-01T10:00'),
        )
        sightings = [
            Sighting(f'{number}', '', name, camera=camera, date=datetime.fromisoformat(date))
            for number, (name, camera, date) in enumerate(seen)
        ]
        photos = make_photos(
            sightings, [sighting.path for sighting in sightings], minutes=minutes, **more
        )
        groups = defaultdict(list)
        for photo in photos:
            groups[photo.encounter].append(int(photo.path))
        return sorted(groups.values())

    assert keys() == [[0, 1, 3], [2], [4], [5], [6]]
    assert keys(30) == [[0, 1], [2], [3], [4], [5], [6]]
    assert keys(24 * 60) == [[0, 1, 3, 4], [2], [5], [6]]
    assert keys(encounters='own') == [[0, 3], [1], [2], [4], [5], [6]]


def test_a_night_is_one_encounter():
    def keys(*moments, minutes=0.0):
        sightings = [
            Sighting(
                f'{number}', '', 'a', camera='x', date=datetime.fromisoformat(f'2020-01-{moment}')
            )
            for number, moment in enumerate(moments)
        ]
        return [
            int(photo.encounter[-1])
            for photo in make_photos(
                sightings, [sighting.path for sighting in sightings], minutes=minutes
            )
        ]

    assert (
        keys('01T23:59:59', '02T00:00:01', '02T00:59', '02T23:30', '03T00:29', '03T01:29')
        == [1] * 6
    )
    assert keys('01T23:00', '02T00:00', '02T08:00') == [1, 2, 2]
    assert keys('01T23:59:59', '02T00:00:01', '02T00:59', minutes=30) == [1, 1, 2]
    assert keys('01', '02', '03') == [1, 2, 3]  # days without a time


def test_two_animals_on_one_photo_are_of_one_encounter():
    sightings = [
        Sighting('p', '', 'a', date=datetime(2020, 1, 1)),
        Sighting('p', '', 'b', date=datetime(2020, 1, 1)),
        Sighting('q', '', 'b', date=datetime(2020, 1, 1)),
        Sighting('r', '', 'c'),
    ]
    photos = make_photos(sightings, 'abcd')
    assert len({photo.encounter for photo in photos[:3]}) == 1 and photos[3].encounter is None


@pytest.mark.parametrize(
    ('text', 'date'),
    [
        ('2023-05-01T12:30:05Z', datetime(2023, 5, 1, 12, 30, 5)),
        ('2023:05:01 12:30:05', datetime(2023, 5, 1, 12, 30, 5)),
        ('2023/5/1', datetime(2023, 5, 1)),
        ('2023-05-01 1:05 PM', datetime(2023, 5, 1, 13, 5)),
        ('2023-05-01T12:30:05.250+02:00', datetime(2023, 5, 1, 12, 30, 5, 250000)),
        ('2023-05-01T12:30:05+0200', datetime(2023, 5, 1, 12, 30, 5)),
        ('2023-13-01', None),
        ('2023', None),
        ('soon', None),
        ('2023-05-01 25:00', None),
    ],
)
def test_dates(text, date):
    assert read_dates([text])[0] == [date]
    assert (parse_date(text) is None) == (date is None)


def test_days_and_months_are_told_apart_by_the_column():
    assert read_dates(['1/5/2023', '31/5/2023 10:00']) == (
        [datetime(2023, 5, 1), datetime(2023, 5, 31, 10)],
        [],
    )
    assert read_dates(['1/5/2023', '5/31/2023'])[0] == [datetime(2023, 1, 5), datetime(2023, 5, 31)]
    assert read_dates(['1.5.2023', ''])[0] == [datetime(2023, 5, 1), None]
    with pytest.raises(InputError, match='--date-format'):
        read_dates(['1/5/2023', '2/5/2023'])
    assert read_dates(['1/5/2023', 'x'], '%d/%m/%Y') == ([datetime(2023, 5, 1), None], ['x'])


def test_cells():
    words = ('left', 'R', 'right_side', 'frontleft', 'front', '', 'left/right')
    assert [read_side(text) for text in words] == [0, 1, 1, 0, None, None, None]
    assert read_box('[1, 2, 3, 4]', False, 'x') == read_box('1 2 4 6', True, 'x') == (1, 2, 3, 4)
    assert read_box('', False, 'x') is read_box('nan', False, 'x') is None
    assert read_sides(['0', '1', 'NA', '1.0']) == [0, 1, None, 1]  # as in the lists
    assert (
        read_sides(['0', '1', '90']) == read_sides(['0', '1', 'left'])[:2] + [None] == [None] * 3
    )  # degrees, or who knows
    for nothing in ('', 'NA', 'nan', '<NA>', 'n/a', 'None', 'NULL', '-', '____', 'Unknown'):
        assert (
            known(nothing) == ''
            and read_box(f'[{nothing}, {nothing}]', False, 'x') is read_side(nothing) is None
        )
        assert read_dates([nothing]) == ([None], [])
    for text in ('[1, 2, 3]', '[1, 2, 3, inf]', "__import__('os')", '1,2,3,x'):
        with pytest.raises(InputError, match='m.csv:3'):
            read_box(text, False, 'm.csv:3')


@pytest.mark.parametrize(
    ('text', 'box'),
    [
        ('10,5;5,25;30,0;20,0', (10.5, 5.25, 30, 20)),
        ('10,5; 5; 30; 20', (10.5, 5, 30, 20)),
        ('[10,5, 5,25, 30,0, 20,0]', (10.5, 5.25, 30, 20)),
        ('10,5 5 30 20', (10.5, 5, 30, 20)),
        ('0,125;0,25;0,5;0,5', (0.125, 0.25, 0.5, 0.5)),
        ('1,250;10,5;3;4', (1.25, 10.5, 3, 4)),
        ('-0,5;5;30;20', (-0.5, 5, 30, 20)),
        ('1234,5;5;30;20', (1234.5, 5, 30, 20)),
        ('1,2;3,4', (1, 2, 3, 4)),
        ('1.5, 2; 3.25, 4', (1.5, 2, 3.25, 4)),
        ('1,2,3,4', (1, 2, 3, 4)),
    ],
)
def test_boxes_with_decimal_commas(text, box):
    assert read_box(text, False, 'x') == box


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('10,5,5,25,30,0,20,0', 'has 8 numbers, or decimal commas and commas between its numbers'),
        ('1250;1,100;100;200', 'is 1,100 in the box .* 1100 or 1.100. write it'),
        ('1.250,5;10,5;3;4', 'is not four numbers'),
    ],
)
def test_boxes_whose_commas_are_not_clear(text, said):
    with pytest.raises(InputError, match=said):
        read_box(text, False, 'x')


@pytest.mark.parametrize('spread', [False, True])
def test_a_german_spreadsheet(tmp_path, spread):
    rows = []
    for number in range(12):
        save(tmp_path / f'{number}.png', size=(40, 30))
        box = [
            '10,5',
            '5,25',
            '1,250' if number == 3 else '20,0',
            '15,0',
        ]  # the others tell what that comma is
        rows.append(
            {'path': f'{number}.png', 'identity': f'n{number // 3}'}
            | (dict(zip(('x', 'y', 'width', 'height'), box)) if spread else {'bbox': ';'.join(box)})
        )
    message = fails(write_csv(tmp_path / 'm.csv', rows, sign=';'), tmp_path / 'out')
    assert (
        'm.csv:5' in message
        and 'the box [10.5, 5.25, 1.25, 15] has a side of less than 2 pixels' in message
    )
    run(tmp_path / 'm.csv', tmp_path / 'out', '--skip-bad', '--margin', 0)
    assert {row['box'] for row in photo_rows(tmp_path / 'out') if row['listed']} == {
        '10.5 5.25 20 15'
    }


# ---------------------------------------------------------------- splits


@st.composite
def photo_sets(draw):
    """Photos of 6 to 12 animals, each in some encounters; few encounters are shared."""
    sightings = []
    for animal in range(draw(st.integers(6, 12))):
        for number in range(draw(st.integers(1, 7))):
            encounter = draw(
                st.sampled_from(
                    ['', f'{animal}', f'{animal}b', f'{animal // 2} shared', f'{animal}c']
                )
            )
            sightings.append(
                Sighting(
                    f'{animal}/{number}',
                    f'row {animal} {number}',
                    f'{animal}',
                    side=draw(st.integers(0, 1)),
                    encounter=encounter,
                )
            )
    return make_photos(
        sightings,
        [sighting.path for sighting in sightings],
        draw(st.sampled_from(['together', 'separate'])),
        draw(st.sampled_from(['shared', 'own'])),
    )


@settings(max_examples=60, deadline=None)
@given(photo_sets(), st.integers(0, 9), st.sampled_from([0.2, 0.5]))
def test_no_split_cuts_an_encounter_or_loses_a_photo(photos, seed, share):
    for make in (split_disjoint, split_closed):
        try:
            split = make(photos, share, random.Random(seed))
        except InputError:
            continue
        before = len(split.train)
        add_validation(split, 0.2, random.Random(seed))
        tested = set(split.query)
        assert before == len(split.train) + len(split.val)
        assert len(tested) + before + len(split.left_out) == len(photos)
        units = [{photo.unit for photo in part} for part in (split.train, split.val, tested)]
        assert not units[0] & units[1] and not units[0] & units[2] and not units[1] & units[2]
        train = {photo.identity for photo in split.train}
        assert {photo.identity for photo in split.val} <= train
        for identity in {photo.identity for photo in split.val}:
            assert len({photo.unit for photo in split.train if photo.identity == identity}) >= 2
        if make is split_disjoint:
            assert split.query is split.gallery
            assert not {photo.animal for photo in tested} & {photo.animal for photo in split.train}
        else:
            assert {photo.identity for photo in tested} <= train
            assert set(split.gallery) == set(split.train) | set(split.val)


def test_disjoint_when_encounters_tie_everybody(tmp_path):
    rows = table_rows(tmp_path)
    for row in rows:
        row['encounter'] = row['encounter'][-1]
    table = write_csv(tmp_path / 'm.csv', rows)
    message = fails(table, tmp_path / 'out')
    assert 'tie 8 of 8 individuals together' in message and '--encounters own' in message
    assert not (tmp_path / 'out').exists()
    facts = run(table, tmp_path / 'out', '--encounters', 'own')
    assert facts['splits']['query']['encounters'] == 6


def test_connected():
    assert connected([(1, 'a'), (2, 'a'), (3, 'b'), (4, 'c'), (2, 'c'), (None, 'b')]) == [
        {1, 2, 4},
        {3},
    ]


def test_single_photos_go_to_the_test_alone(tmp_path):
    source = write_folder(tmp_path / 's')
    for number in range(3):
        save(source / f'single{number}' / 'x.png')
    facts = run(source, tmp_path / 'out')
    assert {f'single{number}' for number in range(3)} < set(facts['labels']['test'])
    assert not any(name.startswith('single') for name in facts['labels']['train'])
    assert any(
        note.startswith('3 of 11 queries without any right answer') for note in facts['notes']
    )
    assert any(
        note.startswith('5 of 11 individuals are for the test alone')
        and note.endswith('2 drawn by chance of the 8 with two photos or more, and 3 with fewer')
        for note in facts['notes']
    )
    facts = run(source, tmp_path / 'out2', '--min-photos', 2)
    assert facts['left_out'] == {'individual with fewer than 2 photos': 3}


def test_single_photos_tied_to_training_are_left_out():
    sightings = [
        Sighting(f'{animal}/{number}', '', f'{animal}')
        for animal in range(6)
        for number in range(4)
    ]
    sightings += [
        Sighting(f'{animal}/with', '', f'{animal} mate', encounter=f'{animal}')
        for animal in range(6)
    ]
    sightings += [
        Sighting(f'{animal}/here', '', f'{animal}', encounter=f'{animal}') for animal in range(6)
    ]
    split = split_disjoint(
        make_photos(sightings, [sighting.path for sighting in sightings]), 0.4, random.Random(0)
    )
    assert (
        len({photo.animal for photo in split.train}) == 4
        and len({photo.animal for photo in split.query}) == 4
    )
    assert sorted(photo.animal for photo, _ in split.left_out) == sorted(
        {f'{photo.animal} mate' for photo in split.train}
    )


def test_closed_tests_other_encounters_of_the_same_animals(tmp_path):
    rows = table_rows(tmp_path, encounters=4)
    rows = [row for row in rows if row['identity'] != 'ind 0' or row['encounter'] == '0.1']
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out', '--protocol', 'closed')
    made = lists(tmp_path / 'out')
    assert {record.path for record in made['gallery']} == {
        record.path for record in made['train'] + made['val']
    }
    assert {record.encounter for record in made['query']}.isdisjoint(
        record.encounter for record in made['gallery']
    )
    assert (
        facts['labels']['train']
        == facts['labels']['test']
        == [f'ind {number}' for number in range(8)]
    )
    assert len({record.pid for record in made['query']}) == 7
    assert any('1 of 8 individuals in training only' in note for note in facts['notes'])
    single = write_csv(
        tmp_path / 'one.csv', [row for row in rows if row['encounter'].endswith('.1')]
    )
    assert 'none of 8 individuals has two encounters' in fails(
        single, tmp_path / 'out2', '--protocol', 'closed'
    )


def test_split_by_date(tmp_path):
    rows = []
    for row in table_rows(tmp_path, encounters=4):
        individual, encounter = row['encounter'].split('.')
        if individual != '7' or encounter == '3':
            rows.append(row | {'date': f'202{encounter}-06-01'})
    rows[-1]['date'] = ''  # its encounter began in 2023
    rows[-3]['date'] = '2022-12-31'  # and the other photo of its encounter is of 2023
    rows[0] |= {'date': '', 'encounter': ''}
    table = write_csv(tmp_path / 'm.csv', rows)
    facts = run(table, tmp_path / 'out', '--split-date', '2023-01-01', '--val-share', 0)
    made = lists(tmp_path / 'out')
    assert facts['protocol']['split'] == 'date' and 'val' not in made
    assert {record.path for record in made['query']} == {
        f'photos/{animal}_3_{number}.png' for animal in range(6) for number in (0, 1)
    }
    assert made['gallery'] == made['train'] and len(made['train']) == 7 * 6 - 1 + 2
    assert facts['left_out'] == {'individual first seen from 2023-01-01 on': 2, 'without date': 1}
    message = fails(table, tmp_path / 'out2', '--split-date', '2030-01-01')
    assert 'begin at 2020-06-01 and end at 2023-06-01' in message
    assert 'is no day' in fails(table, tmp_path / 'out2', '--split-date', '1.1.2023')
    assert 'contradict' in fails(
        table, tmp_path / 'out2', '--split-date', '2023-01-01', '--protocol', 'closed'
    )
    assert 'needs the day' in fails(table, tmp_path / 'out2', '--protocol', 'date')
    plain = write_csv(
        tmp_path / 'n.csv', [{'path': row['path'], 'identity': row['identity']} for row in rows]
    )
    assert 'no photo has a date' in fails(plain, tmp_path / 'out2', '--split-date', '2023-01-01')


def test_given_splits(tmp_path):
    rows = table_rows(tmp_path, encounters=4)
    for row in rows:
        row['split'] = ('train', 'train', 'val', 'test')[int(row['encounter'][-1])]
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'closed', '--protocol', 'given')
    made = lists(tmp_path / 'closed')
    assert facts['labels']['train'] == facts['labels']['test']
    assert {
        name: {record.path.split('_')[1] for record in split} for name, split in made.items()
    } == {'train': {'0', '1'}, 'val': {'2'}, 'query': {'3'}, 'gallery': {'0', '1', '2'}}

    for row in rows:
        row['split'] = (
            ('query' if row['encounter'].endswith('0') else 'gallery')
            if row['identity'] > 'ind 5'
            else 'Training'
        )
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'apart', '--protocol', 'given')
    made = lists(tmp_path / 'apart')
    assert (
        len(made['query']) == 4
        and len(made['gallery']) == 12
        and len(made['train']) + len(made['val']) == 48
    )

    rows[0]['split'] = (
        # one animal of the train list: the labels are that list's, and others are numbered on
        'gallery'
    )
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'mixed', '--protocol', 'given')
    assert facts['labels']['test'] == [f'ind {number}' for number in range(8)]
    assert {record.pid for record in lists(tmp_path / 'mixed')['gallery']} == {0, 6, 7}

    rows[0]['split'] = 'holdout'
    table = write_csv(tmp_path / 'm.csv', rows)
    assert "m.csv:2: the split 'holdout' is none of train" in fails(
        table, tmp_path / 'bad', '--protocol', 'given'
    )
    run(table, tmp_path / 'other', '--protocol', 'disjoint')  # is not looked at
    write_csv(tmp_path / 'm.csv', [row | {'split': 'train'} for row in rows])
    assert 'the source has train 64' in fails(
        tmp_path / 'm.csv', tmp_path / 'bad', '--protocol', 'given'
    )


def test_sides_apart(tmp_path):
    rows = table_rows(tmp_path)
    rows[0]['side'] = ''
    table = write_csv(tmp_path / 'm.csv', rows)
    facts = run(table, tmp_path / 'out', '--sides', 'separate')
    names = facts['labels']['train'] + facts['labels']['test']
    assert len(names) == 16 and {name.rpartition(' ')[2] for name in names} == {'left', 'right'}
    animals = [
        {name.rpartition(' ')[0] for name in facts['labels'][split]} for split in ('train', 'test')
    ]
    assert not animals[0] & animals[1]
    assert facts['left_out'] == {'side unknown (--sides separate)': 1}
    assert any('16 flanks of 8 animals' in note for note in facts['notes'])
    assert any('2 of 8 animals are for the test alone' in note for note in facts['notes'])
    message = fails(table, tmp_path / 'none', '--sides', 'separate', '--column', 'side=')
    assert (
        'none of 48 photos has a known side' in message
        and '--column side=' in message
        and '--name-pattern' in message
    )
    for split in lists(tmp_path / 'out').values():
        sides = defaultdict(set)
        for record in split:
            sides[record.pid].add(record.side)
        assert all(len(found) == 1 for found in sides.values())
    assert run(table, tmp_path / 'out2')['splits']['train']['side_unknown'] in (0, 1)


def test_hold_out_leaves_every_identity_what_it_keeps():
    sightings = [
        Sighting(f'{animal}/{number}', '', f'{animal}')
        for animal in range(5)
        for number in range(animal + 1)
    ]
    photos = make_photos(sightings, [sighting.path for sighting in sightings])
    held = hold_out(photos, 0.5, keep=2, rng=random.Random(0))
    left = {
        animal: sum(photo.animal == animal for photo in photos if photo not in held)
        for animal in '01234'
    }
    assert left == {'0': 1, '1': 2, '2': 2, '3': 2, '4': 3}
    assert len(hold_out(photos, 0.5, keep=2, rng=random.Random(0), limit=3)) == 3


def test_validation_is_no_larger_than_asked_where_a_smaller_encounter_is_there():
    sightings = [
        Sighting(f'{animal}/{encounter}{number}', '', f'{animal}', encounter=f'{animal}{encounter}')
        for animal in range(4)
        for encounter, size in (('a', 40), ('b', 5), ('c', 3))
        for number in range(size)
    ]
    photos = make_photos(sightings, [sighting.path for sighting in sightings])
    for seed in range(10):
        assert 3 <= len(hold_out(photos, 0.1, keep=2, rng=random.Random(seed), limit=19)) <= 19
        assert (
            len(hold_out(photos, 0.1, keep=2, rng=random.Random(seed), limit=2)) == 3
        )  # the smallest there is


@pytest.mark.parametrize(('share', 'tested'), [(0.2, 4), (0.3, 6), (0.5, 10), (0.95, 18)])
def test_the_share_for_the_test(tmp_path, share, tested):
    source = write_folder(tmp_path / 's', 20, 10)
    assert (
        run(source, tmp_path / 'out', '--test-share', share)['splits']['query']['individuals']
        == tested
    )
    facts = run(source, tmp_path / 'closed', '--protocol', 'closed', '--test-share', share)
    assert facts['splits']['query']['photos'] == min(round(share * 10), 9) * 20


@pytest.mark.parametrize('protocol', ['disjoint', 'closed'])
def test_the_same_lists_whatever_the_order_and_others_for_another_seed(tmp_path, protocol):
    rows = table_rows(tmp_path, encounters=4)
    made = []
    for number in range(3):
        random.Random(number).shuffle(rows)
        run(write_csv(tmp_path / 'm.csv', rows), tmp_path / f'out{number}', '--protocol', protocol)
        made.append(
            [
                (tmp_path / f'out{number}' / f'{name}.txt').read_bytes()
                for name in ('train', 'val', 'query', 'gallery')
            ]
        )
    assert made[0] == made[1] == made[2]
    run(tmp_path / 'm.csv', tmp_path / 'seed', '--protocol', protocol, '--seed', 5)
    assert (tmp_path / 'seed' / 'query.txt').read_bytes() != made[0][2]


def test_cameras_are_numbered_and_unknown_ones_are_zero(tmp_path):
    rows = [row | {'camera': f'c{number % 2}'} for number, row in enumerate(table_rows(tmp_path))]
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert {record.camid for record in lists(tmp_path / 'out')['train']} == {0, 1}
    rows[0]['camera'] = ''
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out2')
    made = lists(tmp_path / 'out2')
    cameras = {record.path: record.camid for split in made.values() for record in split}
    assert cameras.pop(rows[0]['path']) == 0 and set(cameras.values()) == {1, 2}
    lines = [
        line.split()
        for path in (tmp_path / 'out2').glob('*.txt')
        for line in path.read_text().splitlines()
    ]
    assert {line[3] for line in lines if line[0] == rows[0]['path']} == {'-'}


def test_across_cameras(tmp_path):
    rows = [row | {'camera': f'c{number % 2}'} for number, row in enumerate(table_rows(tmp_path))]
    facts = run(
        write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out', '--test-protocol', 'cross-camera'
    )
    assert (
        facts['protocol']['test'] == 'cross-camera'
        and facts['protocol']['queries_with_positive']['cross-camera'] > 0
    )
    test = make_test_dataloader(
        load_cfg(tmp_path / 'out' / 'cnn_clipreid.yml', ['DATALOADER.NUM_WORKERS', '0'])
    )
    found = count_positives(test.query, test.gallery, test.protocol)
    assert (found > 0).sum() == facts['protocol']['queries_with_positive']['cross-camera']
    for row in rows:
        row['camera'] = 'c0'
    assert 'tell no two cameras apart' in fails(
        write_csv(tmp_path / 'm.csv', rows), tmp_path / 'other', '--test-protocol', 'cross-camera'
    )


def test_validation_of_animals_does_not_look_at_cameras(tmp_path):
    rows = [row | {'camera': row['identity']} for row in table_rows(tmp_path, encounters=4)]
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    loaders = make_dataloader(
        load_cfg(tmp_path / 'out' / 'cnn_clipreid.yml', ['DATALOADER.NUM_WORKERS', '0'])
    )
    assert loaders.validation.protocol.ignore == '' and loaders.camera_num > 1


def test_what_is_unknown_to_the_end_of_a_line_is_not_written(tmp_path):
    rows = [{'identity': row['identity'], 'path': row['path']} for row in table_rows(tmp_path)]
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert all(
        len(line.split()) == 2 for line in (tmp_path / 'out/train.txt').read_text().splitlines()
    )


def test_a_test_without_any_right_answer_says_what_would_work(tmp_path):
    rows = table_rows(tmp_path, encounters=1, photos=4)
    table = write_csv(tmp_path / 'm.csv', rows)
    message = fails(table, tmp_path / 'out', '--test-protocol', 'cross-encounter')
    assert "none of 8 queries has a right answer in the gallery under 'cross-encounter'" in message
    assert '--test-protocol gives: all 8, cross-side 8' in message
    facts = run(table, tmp_path / 'out')
    assert facts['protocol']['test'] == 'all' and any(
        'in another encounter, so photos' in note for note in facts['notes']
    )
    assert facts['protocol']['queries_with_positive'] == {
        'all': 8,
        'cross-encounter': 0,
        'cross-camera': 0,
        'cross-side': 8,
    }


@pytest.mark.parametrize('fact', ['encounter', 'camera', 'side'])
def test_a_test_across_what_nobody_knows_is_refused(tmp_path, fact):
    message = fails(
        write_folder(tmp_path / 's'), tmp_path / 'out', '--test-protocol', f'cross-{fact}'
    )
    assert f'--test-protocol cross-{fact}: ' in message and f'tell no two {fact}s apart' in message
    assert '--name-pattern' in message
    assert not (tmp_path / 'out').exists()


def test_advice_works_or_is_not_given(tmp_path):
    ways = ('--protocol', '--encounter-minutes', '--encounters')
    single = write_folder(tmp_path / 'single', 5, 1)
    for protocol in ('disjoint', 'closed'):
        message = fails(single, tmp_path / 'out', '--protocol', protocol)
        assert not any(
            way in message.partition(';')[2].replace('--protocol disjoint needs', '')
            for way in ways
        )
    rows = table_rows(tmp_path)
    for row in rows:  # all were at the same day and place
        row |= {'encounter': '', 'camera': 'c', 'date': f'2020-01-01 1{row["encounter"][-1]}:00'}
    table = write_csv(tmp_path / 'm.csv', rows)
    message = fails(table, tmp_path / 'out')
    assert (
        '--encounters own' in message
        and '--encounter-minutes' in message
        and '--protocol closed' not in message
    )
    run(table, tmp_path / 'own', '--encounters', 'own')
    message = fails(table, tmp_path / 'out', '--encounter-minutes', 15)
    assert '--protocol closed' in message
    run(table, tmp_path / 'closed', '--encounter-minutes', 15, '--protocol', 'closed')
    for row in rows:
        row['encounter'] = 'all'
    message = fails(
        write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out'
    )  # given: minutes do not matter
    assert '--encounters own' in message and '--encounter-minutes' not in message
    boxed = [
        {'path': row['path'], 'identity': row['identity'], 'bbox': '[0, 0, 9, 9]'}
        for row in table_rows(tmp_path)
    ]
    boxed += [
        row | {'identity': f'ind {(number // 6 + 1) % 8}', 'bbox': '[9, 0, 9, 9]'}
        for number, row in enumerate(boxed)
    ]
    message = fails(
        write_csv(tmp_path / 'm.csv', boxed), tmp_path / 'out'
    )  # two animals on every photo, and no encounters
    assert 'tie 8 of 8' in message and '--encounter' not in message


def test_a_small_batch_leaves_an_epoch_its_photos(tmp_path):
    for number, photos in enumerate([1, 1, 40, 36, 30, 4, 4, 3]):
        for photo in range(photos):
            save(tmp_path / 's' / f'i{number}' / f'{photo}.png')
    facts = run(tmp_path / 's', tmp_path / 'out', '--protocol', 'closed', '--val-share', 0)
    batch = load_cfg(tmp_path / 'out' / 'cnn_clipreid.yml').SOLVER.STAGE2.IMS_PER_BATCH
    epoch = choose_batch([record.pid for record in lists(tmp_path / 'out')['train']], 16, 4)
    assert batch == epoch.batch_size < 32
    assert any(
        f'so {epoch.individuals} and not 16 in a batch' in note
        and note.endswith(f'about {counted(epoch.steps, "batch")}')
        for note in facts['notes']
    )


@pytest.mark.parametrize(
    ('shape', 'size'),
    [(0.5, (256, 128)), (1, (176, 192)), (1.5, (144, 224)), (20, (48, 688)), (0.02, (1280, 32))],
)
def test_a_size_that_fits_the_photos(shape, size):
    assert fitting_size(shape) == size and all(side % 16 == 0 for side in size)


def test_photos_of_another_shape_are_told(tmp_path):
    facts = run(write_folder(tmp_path / 's'), tmp_path / 'out')
    for kind in ('cnn', 'vit'):
        path = tmp_path / 'out' / f'{kind}_clipreid.yml'
        assert list(load_cfg(path).INPUT.SIZE_TRAIN) == [256, 128]  # as published
        text = path.read_text()
        for line in ('INPUT:', '  SIZE_TRAIN: [144, 224]', '  SIZE_TEST: [144, 224]'):
            assert f'# {line}' in text
            text = text.replace(f'# {line}', line)
        path.write_text(text)
        assert list(load_cfg(path).INPUT.SIZE_TEST) == [144, 224]
    assert any(
        '1.50 times as wide as high' in note and '144 x 224' in note for note in facts['notes']
    )
    for path in (tmp_path / 's').glob('*/*.png'):
        save(path, size=(16, 32))
    facts = run(tmp_path / 's', tmp_path / 'out2')
    assert (
        not any('as wide as high' in note for note in facts['notes'])
        and 'INPUT' not in (tmp_path / 'out2' / 'cnn_clipreid.yml').read_text()
    )


def test_words():
    for number, noun, words in (
        (1, 'individual', '1 individual'),
        (2, 'photo', '2 photos'),
        (1, 'query', '1 query'),
        (0, 'query', '0 queries'),
        (3, 'box', '3 boxes'),
        (2, 'batch', '2 batches'),
    ):
        assert counted(number, noun) == words


def test_too_few_individuals(tmp_path):
    assert '3 of 3 individuals have two photos or more' in fails(
        write_folder(tmp_path / 's', 3), tmp_path / 'out'
    )
    facts = run(tmp_path / 's', tmp_path / 'out', '--protocol', 'closed')
    assert facts['splits']['train']['individuals'] == 3
    cfg = load_cfg(tmp_path / 'out' / 'vit_clipreid.yml')
    assert cfg.SOLVER.STAGE2.IMS_PER_BATCH == 12
    assert cfg.TEST.RERANK_K1 == 11 and cfg.TEST.RERANK_K2 == 6
    message = fails(write_folder(tmp_path / 'one', 1), tmp_path / 'out2', '--protocol', 'closed')
    assert (
        "4 photos, all of one individual, 'a00' (by folder above the photo)" in message
        and '--identity-level' in message
    )
    save(tmp_path / 's' / 'a00' / 'more.png')
    message = fails(tmp_path / 's', tmp_path / 'out2', '--min-photos', 5, '--protocol', 'closed')
    assert '1 individual would be left to train on' in message and message.endswith(
        'more are needed'
    )  # than closed can give


# ---------------------------------------------------------------- prepared photos


def test_boxes_are_cut_out_with_a_margin_and_originals_stay(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    rows, before = [], {}
    for individual in range(6):
        for number in range(3):
            path = tmp_path / f'{individual}_{number}.png'
            Image.fromarray(picture).save(path)
            unlike_others(path)
            before[path] = path.read_bytes(), path.stat().st_mtime_ns
            rows.append(
                {
                    'path': path.name,
                    'identity': individual,
                    'bbox': f'[10, 20, {20 + individual}, 10]',
                }
            )
    rows[0]['bbox'] = '[-5, -5, 10, 10]'
    rows[1]['bbox'] = ''
    rows += [
        rows[4] | {'identity': 5, 'bbox': '[40.2, 30, 15.5, 12]'}
    ]  # a second animal on the photo
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out', '--margin', 0.1)
    assert facts['source']['columns']['bbox'] == 'bbox'
    listed = {
        (row['source'], row['identity']): row['listed'] for row in photo_rows(tmp_path / 'out')
    }

    def pixels(source, identity):
        return np.asarray(Image.open(tmp_path / 'out' / 'photos' / listed[source, identity]))

    assert (
        pixels('2_0.png', '2') == picture[19:31, 7:35]
    ).all()  # 22 wide: 2.2 aside, pixels that are touched count
    assert (pixels('0_0.png', '0') == picture[0:6, 0:6]).all()
    assert (pixels('0_1.png', '0') == picture).all()
    assert (pixels('1_1.png', '5') == picture[28:44, 38:58]).all()
    assert listed['1_1.png', '1'] != listed['1_1.png', '5']
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    rerun = {path: path.stat().st_ino for path in (tmp_path / 'out' / 'photos').iterdir()}
    run(tmp_path / 'm.csv', tmp_path / 'out', '--margin', 0.1, '--force')
    assert {
        path: path.stat().st_ino
        for path in (tmp_path / 'out' / 'photos').iterdir()
        if path in rerun and path.suffix
    } == {path: inode for path, inode in rerun.items() if path.suffix}  # nothing is made twice


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


@pytest.mark.parametrize('theta', [0.5, -0.7, 1.5, 2.6, -3.0, 2 * np.pi - 0.5])
@pytest.mark.parametrize('margin', [0, 0.2])
def test_turned_boxes_are_cut_out_upright(tmp_path, theta, margin):
    draw_turned(theta).save(tmp_path / 'a.png')
    change = find_change((60, 60, 60, 20, theta), read_header(tmp_path / 'a.png'), margin)
    prepare.prepare(tmp_path / 'a.png', tmp_path / 'cut.png', change)
    with Image.open(tmp_path / 'cut.png') as image:
        aside, above = round(60 * margin), round(20 * margin)
        assert image.size == prepared_size(Header((200, 150), 1, 'PNG', None), change)
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


@pytest.mark.parametrize('attribute', [False, True])
def test_theta_of_a_coco_file(tmp_path, attribute):
    more = {'attributes': {'theta': 0.5}} if attribute else {'theta': 0.5}
    tree = write_coco(tmp_path, size=(200, 150), bbox=[60, 60, 60, 20], **more)
    for image in tree['images']:
        draw_turned(0.5).save(tmp_path / image['file_name'])
        unlike_others(tmp_path / image['file_name'])
    draw_turned(0).save(tmp_path / '0.png')
    tree['annotations'][0] |= {'theta': 0, 'attributes': {}}
    (tmp_path / 'm.json').write_text(json.dumps(tree))
    facts = run(tmp_path / 'm.json', tmp_path / 'out', '--margin', 0)
    assert facts['source']['columns']['theta'] == 'theta'
    assert any(
        "turned about their centre by column 'theta', in radians, clockwise" in note
        for note in facts['notes']
    )
    rows = [row for row in photo_rows(tmp_path / 'out') if row['listed']]
    assert {row['source']: row['box'] for row in rows} == {
        f'{number}.png': '60 60 60 20' + ' 0.5' * (number > 0) for number in range(24)
    }
    assert {row['listed'] for row in rows} == {'0__60_60_60_20.png'} | {
        f'{number}__60_60_60_20_turned0.5.png' for number in range(1, 24)
    }
    for row in rows:
        with Image.open(tmp_path / 'out' / 'photos' / row['listed']) as image:
            assert image.size == (60, 20) and is_upright(np.asarray(image))
    facts = run(tmp_path / 'm.json', tmp_path / 'straight', '--margin', 0, '--column', 'theta=')
    assert {row['box'] for row in photo_rows(tmp_path / 'straight')} == {'60 60 60 20'}
    run(tmp_path / 'm.json', tmp_path / 'whole', '--column', 'bbox=')
    assert {row['box'] for row in photo_rows(tmp_path / 'whole')} == {''}


def test_theta_that_is_none_or_without_a_box(tmp_path):
    rows = [
        {'path': row['path'], 'identity': row['identity'], 'bbox': '1 1 9 9', 'theta': '0,25'}
        for row in table_rows(tmp_path)
    ]
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert {row['box'] for row in photo_rows(tmp_path / 'out')} == {'1 1 9 9 0.25'}
    for text, said in (
        ('45', 'is no angle in radians'),
        ('north', 'is no angle in radians'),
        ('inf', 'is no angle'),
    ):
        rows[3]['theta'] = text
        message = fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'none', '--skip-bad')
        assert 'm.csv:5' in message and said in message and '--column theta=' in message
    rows[3] |= {'theta': '-1', 'bbox': ''}
    assert 'm.csv:5: theta -1 turns a box, but there is none' in fails(
        write_csv(tmp_path / 'm.csv', rows), tmp_path / 'none'
    )
    rows[3] |= {'theta': 'NA'}
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'na')
    rows = [row | {'rotation': 12.5} for row in rows]
    for row in rows:
        del row['theta']
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'degrees')
    assert any("column 'rotation' ('12.5' 48) was not read" in note for note in facts['notes'])


def test_turned_boxes_at_the_edge_of_the_photo(tmp_path):
    header = Header((100, 80), 1, 'PNG', None)
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


def test_columns_of_corners_and_shares(tmp_path):
    rows = []
    for number in range(12):
        save(tmp_path / f'{number}.png', size=(40, 20))
        rows.append(
            {
                'file': f'{number}.png',
                'name': f'n{number // 3}',
                'xmin': 0.25,
                'ymin': 0.5,
                'xmax': 0.75,
                'ymax': 1,
            }
        )
    run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out', '--margin', 0)
    made = sorted((tmp_path / 'out' / 'photos').glob('*.png'))
    assert len(made) == 12 and all(path.name.endswith('__10_10_20_10.png') for path in made)


def test_shares_that_reach_a_hair_beyond_the_photo(tmp_path):
    rows, images, annotations = [], [], []
    for number in range(12):
        save(tmp_path / f'{number}.png', size=(40, 20))
        box = [0.25, -0.002, 0.5, 1.0001] if number == 5 else [0.25, 0.5, 0.5, 0.5]
        rows.append({'path': f'{number}.png', 'identity': f'n{number // 3}', 'bbox': box})
        images.append({'id': number, 'file_name': f'{number}.png'})
        annotations.append({'image_id': number, 'individual': f'n{number // 3}', 'bbox': box})
    write_csv(tmp_path / 'm.csv', rows)
    (tmp_path / 'm.json').write_text(json.dumps({'images': images, 'annotations': annotations}))
    for table in ('m.csv', 'm.json'):
        facts = run(tmp_path / table, tmp_path / f'{table}.out', '--margin', 0)
        made = {path.name for path in (tmp_path / f'{table}.out' / 'photos').glob('*.png')}
        assert made == {
            f'{number}__10_0_20_20.png' if number == 5 else f'{number}__10_10_20_10.png'
            for number in range(12)
        }
        assert not any('beyond the photo' in note for note in facts['notes'])


def test_boxes_that_are_corners(tmp_path):
    rows = []
    for number in range(12):
        save(tmp_path / f'{number}.png', size=(40, 20))
        rows.append(
            {'path': f'{number}.png', 'identity': f'n{number // 3}', 'bbox': '[20, 5, 40, 15]'}
        )
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert any('12 of 12 boxes' in note and '--box-format xyxy' in note for note in facts['notes'])
    facts = run(tmp_path / 'm.csv', tmp_path / 'out2', '--box-format', 'xyxy', '--margin', 0)
    assert not any('beyond' in note for note in facts['notes'])
    assert {
        path.name.partition('__')[2] for path in (tmp_path / 'out2' / 'photos').glob('*.png')
    } == {'20_5_20_10.png'}
    rows = [
        {'path': row['path'], 'identity': row['identity'], 'x1': 1, 'y1': 2, 'x2': 30, 'y2': 18}
        for row in rows
    ]
    run(
        write_csv(tmp_path / 'n.csv', rows),
        tmp_path / 'out3',
        '--box-format',
        'xywh',
        '--margin',
        0,
    )
    assert {
        path.name.partition('__')[2] for path in (tmp_path / 'out3' / 'photos').glob('*.png')
    } == {'1_2_30_18.png'}


def test_a_truncated_photo_is_found_before_anything_is_written(tmp_path):
    rows = []
    for number in range(12):
        save(tmp_path / f'{number}.jpg', size=(100, 80))
        rows.append(
            {'path': f'{number}.jpg', 'identity': f'n{number // 3}', 'bbox': '[10, 10, 50, 50]'}
        )
    whole = (tmp_path / '4.jpg').read_bytes()
    (tmp_path / '4.jpg').write_bytes(whole[: -len(whole) // 8])
    message = fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert 'm.csv:6' in message and 'cannot be decoded' in message and '--skip-bad' in message
    assert not (tmp_path / 'out').exists()
    assert run(tmp_path / 'm.csv', tmp_path / 'out', '--skip-bad')['left_out'] == {
        'broken photo': 1
    }


def test_impossible_boxes(tmp_path):
    rows = []
    for number in range(12):
        save(tmp_path / f'{number}.png')
        rows.append(
            {'path': f'{number}.png', 'identity': f'n{number // 3}', 'bbox': '[0, 0, 20, 10]'}
        )
    for box, reason in (
        ('[24, 0, 5, 5]', 'outside the photo of 24 x 16'),
        ('[5, 5, 0, 4]', 'has no area'),
        ('[-9, 2, 9, 3]', 'outside'),
        ('[3, 3, 0.5, 0.5]', 'less than 2 pixels'),
        ('[3, 3, 9]', 'four numbers'),
    ):
        rows[4]['bbox'] = box
        message = fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
        assert 'm.csv:6' in message and reason in message and '--skip-bad' in message
        assert not (tmp_path / 'out').exists()
    assert run(tmp_path / 'm.csv', tmp_path / 'out', '--skip-bad')['left_out'] == {
        'impossible box': 1
    }


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
    assert header.orientation == orientation and header.upright_size == upright.shape[1::-1]

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
    assert prepared_size(header, None) == header.upright_size


def test_turned_photos_are_prepared_and_others_are_copied(tmp_path):
    source = write_folder(tmp_path / 's')
    exif = Image.Exif()
    exif[0x112] = 6
    save(source / 'a00' / 'turned.jpg', size=(40, 20), exif=exif)
    facts = run(source, tmp_path / 'out', '--val-share', 0)
    photos = tmp_path / 'out' / 'photos'
    with Image.open(photos / 'a00' / 'turned.jpg') as image:
        assert image.size == (20, 40) and not image.getexif().get(0x112)
    assert (photos / 'a01' / '0.png').read_bytes() == (source / 'a01' / '0.png').read_bytes()
    assert not os.path.samefile(photos / 'a01' / '0.png', source / 'a01' / '0.png')
    assert facts['source']['photos_folder'].endswith('out/photos')
    cfg = load_cfg(tmp_path / 'out' / 'cnn_clipreid.yml')
    assert os.path.samefile(cfg.DATASETS.TEST_ROOT_DIR, photos)
    with Image.open(source / 'a00' / 'turned.jpg') as image:
        assert image.size == (40, 20) and image.getexif()[0x112] == 6
    message = fails(source, source / 'lists')
    assert 'would be read as photos the next time' in message and not (source / 'lists').exists()
    save(tmp_path / 'taken' / 'mine.png')
    assert 'not empty and was not made by make_lists' in fails(
        source, tmp_path / 'out3', '--photos-out', tmp_path / 'taken'
    )
    plain = write_folder(tmp_path / 'plain')
    assert run(plain, tmp_path / 'out4')['source']['photos_folder'] == str(plain.resolve())


def test_preparing_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    source = write_folder(tmp_path / 's', 5)
    made = []

    real = prepare.prepare

    def stopped(photo, target, change):
        if len(made) == 7:
            raise InputError('the disk is full')
        made.append(target)
        real(photo, target, change)

    monkeypatch.setattr(prepare, 'prepare', stopped)
    assert fails(source, tmp_path / 'out', '--prepare') == 'the disk is full'
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['photos']
    times = {path: path.stat().st_ctime_ns for path in made}
    monkeypatch.undo()
    run(source, tmp_path / 'out', '--prepare')
    assert {path: path.stat().st_ctime_ns for path in made} == times
    assert len(list((tmp_path / 'out' / 'photos').glob('*/*.png'))) == 20


def test_prepared_photos_are_made_anew_where_their_origin_differs(tmp_path):
    def prepared(folder, *options):
        run(tmp_path / folder / 'm.csv', tmp_path / 'out', '--force', '--margin', 0, *options)
        path = next((tmp_path / 'out' / 'photos').glob('0_*.png'))
        with Image.open(path) as image:
            return path.stat().st_ino, image.getpixel((0, 0))

    exif = Image.Exif()
    exif[0x112] = 3
    for folder, top in (('a', RED), ('b', (0, 200, 0))):  # of the same names, sizes and times
        rows = []
        for number in range(12):
            image = Image.new('RGB', (24, 16), BLUE)
            image.paste(top, (0, 0, 24, 8))
            path = tmp_path / folder / f'{number}.png'
            path.parent.mkdir(exist_ok=True)
            image.save(path, exif=exif)
            unlike_others(path)
            os.utime(path, (10**9, 10**9))
            rows.append({'path': path.name, 'identity': f'n{number // 3}', 'bbox': '[2, 2, 9, 5]'})
        write_csv(tmp_path / folder / 'm.csv', rows)
    upright, stored, again = (
        prepared('a'),
        prepared('a', '--boxes', 'stored'),
        prepared('a', '--boxes', 'stored'),
    )
    assert upright[1] == BLUE and stored[1] == RED and again == stored
    assert prepared('b', '--boxes', 'stored')[1] == (0, 200, 0)
    mark = tmp_path / 'out' / 'photos' / prepare.MARK
    lines = mark.read_text().splitlines(keepends=True)
    mark.write_text(''.join(lines[1:-1]) + lines[-1][:20])  # killed while it wrote
    before = {path.name: path.stat().st_ino for path in (tmp_path / 'out' / 'photos').glob('*.png')}
    prepared('b', '--boxes', 'stored')
    after = {path.name: path.stat().st_ino for path in (tmp_path / 'out' / 'photos').glob('*.png')}
    assert sum(before[name] != after[name] for name in before) == 2


def test_other_formats_keep_their_pixels(tmp_path):
    picture = np.random.default_rng(1).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    for kind in ('png', 'bmp', 'tiff', 'webp', 'gif'):
        image = Image.fromarray(picture)
        image.save(tmp_path / f'a.{kind}', **({'lossless': True} if kind == 'webp' else {}))
        with Image.open(tmp_path / f'a.{kind}') as image:
            expected = np.asarray(image.convert('RGB'))[2:10, 3:9]
        change = find_change((3, 2, 6, 8), read_header(tmp_path / f'a.{kind}'))
        name = prepared_name(f'a.{kind}', change)
        assert name == f'a__3_2_6_8.{kind}' + ('.png' if kind == 'gif' else '')
        prepare.prepare(tmp_path / f'a.{kind}', tmp_path / 'out' / name, change)
        with Image.open(tmp_path / 'out' / name) as image:
            assert (np.asarray(image) == expected).all() and image.format == {'gif': 'PNG'}.get(
                kind, kind.upper()
            )


def test_names_that_a_list_cannot_hold(tmp_path):
    assert [
        listable(name)
        for name in ('a/b c.jpg', ' a.jpg', 'a\\b.jpg', 'a b', 'a.jpg', 'x' * 950 + '.jpg')
    ] == [True, False, False, False, True, False]
    source = write_folder(tmp_path / 's', 5)
    save(source / 'a00' / 'odd\\name.png')
    run(source, tmp_path / 'out')
    rows = {row['source']: row['listed'] for row in photo_rows(tmp_path / 'out')}
    assert (
        rows['a00/odd\\name.png'] == 'a00/odd_name.png'
        and (tmp_path / 'out' / 'photos' / 'a00' / 'odd_name.png').is_file()
    )


def test_paths_that_are_too_long_for_a_list(tmp_path):
    source = write_folder(tmp_path / 's', 5)
    deep = '/'.join(['a00', *(['q' * 200] * 5)])
    for name in ('x.png', 'y.png'):
        save(source / deep / name)
    facts = run(source, tmp_path / 'out', '--identity-level', 1)
    rows = {row['source']: row['listed'] for row in photo_rows(tmp_path / 'out')}
    assert facts['source']['individuals'] == 5 and rows[f'{deep}/x.png'] != rows[f'{deep}/y.png']
    for name in ('x.png', 'y.png'):
        listed = rows[f'{deep}/{name}']
        assert (
            listable(listed)
            and len(listed) < 50
            and (tmp_path / 'out' / 'photos' / listed).is_file()
        )
    change = find_change((2, 2, 9, 9), Header((30, 20), 1, 'PNG', None))
    assert (
        len(prepared_name('z' * 245 + '.png', change)) < 50
    )  # with its box in it, the name would be too long for a folder


@given(
    st.tuples(st.floats(-50, 150), st.floats(-50, 150), st.floats(0.5, 200), st.floats(0.5, 200)),
    st.floats(0, 1),
)
def test_cuts_lie_within_the_photo_and_hold_the_box(box, margin):
    try:
        change = find_change(box, Header((100, 80), 1, 'PNG', None), margin)
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
        change = find_change(box, Header((100, 80), 1, 'PNG', None))
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


# ---------------------------------------------------------------- copies


def copy_of(path, name):
    copy = path.parent / name
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(path.read_bytes())
    return copy


@pytest.mark.parametrize('options', [(), ('--protocol', 'closed')])
def test_copies_of_a_photo_count_once(tmp_path, capsys, options):
    """As file managers name them; the original is the one that stays. check_data finds nothing
    wrong with the lists.
    """
    source = write_folder(tmp_path / 'species')
    for individual in range(8):
        for name in ('0 (1).png', 'copies/Copy of 0.png'):
            copy_of(source / f'a{individual:02d}' / '0.png', name)
    facts = run(source, tmp_path / 'out', *options, '--identity-level', '1')
    assert facts['left_out'] == {'copy of another photo, byte for byte': 16}
    assert (
        "16 photos with the bytes of another, which counts once: 'a00/0 (1).png' = 'a00/0.png', "
        in capsys.readouterr().out
    )
    listed = {record.path for records in lists(tmp_path / 'out').values() for record in records}
    assert listed == {
        f'a{individual:02d}/{number}.png' for individual in range(8) for number in range(4)
    }
    assert (
        Counter(row['left_out'] for row in photo_rows(tmp_path / 'out'))[
            'copy of another photo, byte for byte'
        ]
        == 16
    )
    report = check_data.main(
        [
            '--config_file',
            str(tmp_path / 'out/cnn_clipreid.yml'),
            '--out',
            str(tmp_path / 'check'),
            '--near',
            '0',
        ]
    )
    assert report['fit'], report['findings']


def test_two_individuals_that_claim_one_photo(tmp_path):
    """Nobody knows whose it is, so neither has it."""
    source = write_folder(tmp_path / 'species')
    copy_of(source / 'a03/1.png', '../a05/IMG (1).png')
    message = fails(source, tmp_path / 'out')
    for words in (
        'a05/IMG (1).png (the same bytes as a03/1.png) and a03/1.png',
        '(a03, a05)',
        'under two individuals',
        '--skip-bad',
    ):
        assert words in message
    facts = run(source, tmp_path / 'skip', '--skip-bad')
    assert facts['left_out'] == {'photo under two individuals, and no box tells who is where': 2}
    listed = {record.path for records in lists(tmp_path / 'skip').values() for record in records}
    assert len(listed) == 31 and not listed & {'a03/1.png', 'a05/IMG (1).png'}


def test_empty_files_are_no_copies_of_each_other(tmp_path):
    source = write_folder(tmp_path / 'species')
    for individual in ('a03', 'a05'):
        (source / individual / 'x.png').write_bytes(b'')
    assert 'a03/x.png: the file is empty' in fails(source, tmp_path / 'out')
    assert run(source, tmp_path / 'skip', '--skip-bad')['left_out'] == {'broken photo': 2}


def test_boxes_of_copies_are_boxes_of_one_photo(tmp_path):
    """What rows of two copies say alike counts once; another animal on the copy is an animal of the
    photo.
    """
    rows = [row | {'bbox': '[1, 1, 9, 9]'} for row in table_rows(tmp_path)]
    for number in (0, 1):
        copy = copy_of(tmp_path / rows[number]['path'], f'again {number}.png')
        rows.append(rows[number] | {'path': f'photos/{copy.name}'})
    rows[-1] |= {'identity': 'ind 7', 'bbox': '[5, 5, 9, 9]'}
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert facts['left_out'] == {'copy of another photo, byte for byte': 1}
    assert {
        row['listed'] for row in photo_rows(tmp_path / 'out') if row['source'] == rows[1]['path']
    } == {'photos/0_0_1__0_0_11_11.png', 'photos/0_0_1__4_4_11_11.png'}


def test_only_files_of_equal_size_are_read_for_copies(tmp_path, monkeypatch):
    source, read = write_folder(tmp_path / 'species', photos=2), []
    for number, path in enumerate(sorted(source.rglob('*.png'))):
        path.write_bytes(path.read_bytes() + bytes(number))
    monkeypatch.setattr(copies, '_head', lambda path: read.append(path))
    run(source, tmp_path / 'out')
    assert not read


# ---------------------------------------------------------------- bad input


def test_photos_behind_links_say_where_they_are(tmp_path):
    source = write_folder(tmp_path / 'real' / 'species')
    (tmp_path / 'folders').mkdir()
    for folder in source.iterdir():
        (tmp_path / 'folders' / folder.name).symlink_to(folder)
    assert (
        f'8 x link to a folder; links are not followed: name the folder that they lead to, {source}'
        in fails(tmp_path / 'folders', tmp_path / 'out')
    )
    for path in source.rglob('*.png'):
        link = tmp_path / 'files' / path.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    message = fails(tmp_path / 'files', tmp_path / 'out')
    assert (
        f'to {source}/' in message
        and 'name the folder where the photos are, or copy them' in message
    )


def test_a_link_to_nothing(tmp_path):
    source = write_folder(tmp_path / 'species')
    (source / 'a00' / 'x.png').symlink_to(tmp_path / 'unmounted' / 'x.png')
    assert fails(source, tmp_path / 'out') == (
        f"1 of 33 photos are missing in '{source}' (a00/x.png): 1 x a link to a file that is "
        "missing, as 'a00/x.png': "
        'bring the file back, or delete the link; --skip-bad leaves such photos out and counts them'
    )
    assert run(source, tmp_path / 'skip', '--skip-bad')['left_out'] == {'missing photo': 1}


def test_photos_that_are_missing_broken_or_elsewhere(tmp_path):
    rows = table_rows(tmp_path)
    rows[2]['path'] = 'photos/none.png'
    message = fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert (
        f"1 of 48 photos are missing in '{tmp_path}'" in message
        and 'm.csv:4: photos/none.png' in message
    )
    assert run(tmp_path / 'm.csv', tmp_path / 'skip', '--skip-bad')['left_out'] == {
        'missing photo': 1
    }

    (tmp_path / 'photos' / 'broken.png').write_bytes(b'\x89PNG\r\n\x1a\n and no more')
    rows[2]['path'] = 'photos/broken.png'
    message = fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert (
        'm.csv:4' in message
        and 'broken.png: not a picture in a format that is read here' in message
    )
    whole = (tmp_path / rows[3]['path']).read_bytes()
    (tmp_path / rows[3]['path']).write_bytes(whole[:-30])  # the head is fine
    assert run(tmp_path / 'm.csv', tmp_path / 'skip2', '--skip-bad')['left_out'] == {
        'broken photo': 2
    }

    inner = tmp_path / 'inner'
    inner.mkdir()
    rows = [row | {'path': f'../{row["path"]}'} for row in rows]
    message = fails(write_csv(inner / 'm.csv', rows), tmp_path / 'out', '--photos', inner)
    assert 'leads out of the photos' in message and '--photos' in message
    rows = [
        row | {'path': str(tmp_path / row['path'].removeprefix('../'))}
        for row in table_rows(tmp_path)
    ]
    run(write_csv(inner / 'm.csv', rows), tmp_path / 'absolute', '--photos', tmp_path)
    assert lists(tmp_path / 'absolute')['train'][0].path.startswith('photos/')
    (tmp_path / 'secret.png').symlink_to(__file__)
    rows[0]['path'] = 'secret.png'
    assert 'is a link out of' in fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


STRANGE = os.fsdecode(b'caf\xe9')  # of an old ZIP or a Windows share: no UTF-8


def make_strange(source, kind):
    """Something without a readable name below ``source``."""
    strange = source / 'a00' / STRANGE
    if kind == 'photo':
        save(strange.with_suffix('.png'))
    elif kind == 'folder':
        save(source / STRANGE / 'x.png')
    elif kind == 'file':
        strange.write_text('no photo')
    elif kind == 'ending':
        (source / 'a00' / f'x.{STRANGE}').write_text('no photo')
    elif kind == 'line break':
        save(source / 'a00' / 'x\ny\tz.png')
    elif kind == 'link to a folder':
        strange.symlink_to(source / 'a01')
    elif kind == 'link to a file':
        strange.with_suffix('.png').symlink_to(source / 'a01' / '0.png')
    elif kind == 'thumbnails':
        save(source / '.thumbnails' / f'{STRANGE}.png')


@pytest.mark.parametrize(
    ('kind', 'reason'),
    [
        ('photo', 'path that is no text'),
        ('folder', 'path that is no text'),
        ('line break', 'path that is no text'),
        ('link to a file', 'path that is no text'),
        ('file', "no photo ('caf\udce9')"),
        ('ending', "no photo ('.caf\udce9')"),
        ('link to a folder', 'link to a folder'),
        ('thumbnails', "in a folder '.thumbnails'"),
    ],
)
def test_names_that_are_no_text(tmp_path, kind, reason):
    source = write_folder(tmp_path / 's')
    expected = run(source, tmp_path / 'clean')
    make_strange(source, kind)
    if reason == 'path that is no text':
        message = fails(source, tmp_path / 'out')
        assert 'is not plain text; rename the photo; --skip-bad' in message and (
            '\\udce9' in message or '\\n' in message
        )
        assert not (tmp_path / 'out').exists()
        options = ['--skip-bad']
    else:
        options = []
    facts = run(source, tmp_path / 'out', *options, '--prepare')
    assert facts['left_out'] == {reason: 1} and lists(tmp_path / 'out') == lists(tmp_path / 'clean')
    assert facts['labels'] == expected['labels']
    row = next(row for row in photo_rows(tmp_path / 'out') if row['left_out'])
    assert 'udce9' in row['source'] or '\n' in row['source']
    assert '\\udce9' in row['left_out'] or 'caf' not in row['left_out']
    page = (tmp_path / 'out' / 'report.html').read_text(encoding='utf-8')
    assert reason.replace('\udce9', '\\udce9') in html.unescape(page)


def test_a_photo_may_be_a_link_to_a_name_that_is_no_text(tmp_path):
    source = write_folder(tmp_path / 's')
    (source / 'a00' / '0.png').rename(source / STRANGE)
    (source / 'a00' / '0.png').symlink_to(source / STRANGE)
    facts = run(source, tmp_path / 'out', '--skip-bad', '--prepare')
    assert facts['source']['photos'] == 32


@pytest.mark.parametrize('what', ['source', 'out', 'photos_out', 'photos'])
def test_folders_that_no_yml_can_name(tmp_path, what):
    folders = {
        name: tmp_path / (STRANGE if name == what else name)
        for name in ('source', 'out', 'photos_out', 'photos')
    }
    rows = table_rows(folders['photos'])
    options = ['--photos-out', folders['photos_out'], '--prepare', '--name', 'nyala']
    if what == 'photos':
        source, options = (
            write_csv(tmp_path / 'm.csv', rows),
            [*options, '--photos', folders['photos']],
        )
    else:
        source = write_folder(folders['source'])
    message = fails(source, folders['out'], *options)
    assert "caf\\udce9'" in message and 'cannot be written into the ymls; rename it' in message
    assert not folders['out'].exists() and not folders['photos_out'].exists()


def test_a_table_of_another_computer(tmp_path):
    """Windows paths in another case, photos in a folder beside the table, sizes of a COCO file by
    the table's names.
    """
    tree = write_coco(tmp_path / 'images', size=(40, 30), bbox=[5, 5, 20, 10])
    table = tmp_path / 'm.json'
    (tmp_path / 'images' / 'm.json').unlink()
    exif = Image.Exif()
    exif[0x112] = 6
    for image in tree['images']:
        save(tmp_path / 'images' / image['file_name'], size=(40, 30), exif=exif)
        image['file_name'] = 'C:\\Users\\Ann\\photos\\' + image['file_name'].replace('.png', '.PNG')
    table.write_text(json.dumps(tree))
    facts = run(table, tmp_path / 'out', '--margin', 0)
    note = next(
        note
        for note in facts['notes']
        if note.startswith('path: 24 photos of the table differ from the disk')
    )
    assert (
        "24 in the folder ('C:/Users/Ann/photos' is 'images' here) and in upper and lower case, as"
        in note
    )
    listed = {row['source']: row['listed'] for row in photo_rows(tmp_path / 'out')}
    assert listed['images/0.png'] == 'images/0__5_5_20_10.png'
    with Image.open(tmp_path / 'out' / 'photos' / listed['images/0.png']) as photo:
        assert photo.size == (10, 20)  # the size said that boxes are meant in the stored picture


def test_names_without_their_endings_and_rows_that_are_no_photos(tmp_path):
    rows = table_rows(tmp_path)
    for row in rows:
        new = row['path'].replace('.png', '.left.png')
        (tmp_path / row['path']).rename(tmp_path / new)
        row['path'] = new.removesuffix('.png')
    rows.append(rows[0] | {'path': 'photos/clip.mp4'})
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert facts['source']['photos'] == 48 and facts['left_out'] == {"no photo ('.mp4')": 1}
    assert lists(tmp_path / 'out')['train'][0].path.endswith('.left.png')
    rows[3]['path'] = 'photos/nobody'
    message = fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'none')
    assert (
        '1 of 49 photos are missing' in message
        and '1 x no file of this name is there: correct the paths' in message
    )


def test_two_rows_whose_names_are_one_file_on_this_disk(tmp_path):
    rows = table_rows(tmp_path)
    rows.append(rows[0] | {'path': rows[0]['path'].upper(), 'identity': 'another'})
    message = fails(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert (
        f"'{rows[0]['path']}' is there twice (another, ind 0): photo under two individuals"
        in message
    )


def test_rows_that_contradict(tmp_path):
    rows = table_rows(tmp_path)
    both = [*rows, rows[0]]
    assert run(write_csv(tmp_path / 'm.csv', both), tmp_path / 'same')['left_out'] == {
        'row that repeats another': 1
    }
    both[-1] = rows[0] | {'identity': 'another'}
    message = fails(write_csv(tmp_path / 'm.csv', both), tmp_path / 'out')
    assert 'm.csv:2' in message and 'm.csv:50' in message and 'under two individuals' in message
    facts = run(tmp_path / 'm.csv', tmp_path / 'skip', '--skip-bad')
    assert list(facts['left_out'].values()) == [2]
    both[-1] = rows[0] | {'side': 'right'}
    assert 'two rows that contradict' in fails(
        write_csv(tmp_path / 'm.csv', both), tmp_path / 'out'
    )
    boxed = [row | {'bbox': '[1, 1, 9, 9]'} for row in both]
    boxed[-1] |= {'identity': 'another'}
    assert 'the same box' in fails(write_csv(tmp_path / 'm.csv', boxed), tmp_path / 'out')
    boxed[-1] |= {'identity': boxed[0]['identity'], 'bbox': '[2, 2, 9, 9]'}
    assert 'is on' in fails(write_csv(tmp_path / 'm.csv', boxed), tmp_path / 'out')


@pytest.mark.parametrize(
    ('name', 'content', 'said'),
    [
        ('m.csv', b'path,identity\na.png,x"y,"z"w\n', 'm.csv:2: not a readable CSV'),
        (
            'm.csv',
            b'path,identity,note\na.png,x,"big" bull\n',
            'with each double quote that is part of the text doubled',
        ),
        (
            'm.csv',
            b'path,identity,note\na.png,x,"two\nlines"\nb.png,"x,y\nc.png,z,\n',
            'm.csv:4: a double quote opens in this row and is not closed (read on to line 5',
        ),
        (
            'm.csv',
            b'path,identity\na.png,"x\nb.png,y\nc.png,"z"\n',
            'm.csv:2: a double quote opens in this row',
        ),
        (
            'm.csv',
            b'path,identity\na.png,"x\nb.png,y\nc.png,z"\n',
            "m.csv:2: the individual's name 'x\\nb.png",
        ),
        ('m.csv', b'path,identity\na.png,x,y\n', 'm.csv:2: 3 cells'),
        ('m.csv', b'path,identity\n\xe9.png,x\n', 'm.csv:2: not UTF-8'),
        ('m.csv', b'', 'no rows'),
        ('m.csv', b'path,identity\n', 'no rows'),
        ('m.csv', b'path,path,identity\na,b,c\n', "the column 'path' is there twice"),
        ('m.csv', b'who,path\nx,a.png\n', 'no column says who'),
        ('m.csv', b'identity,what\nx,a.png\n', 'no column says where'),
        ('m.csv', b'path,identity\n,x\n', 'm.csv:2: the path of the photo is empty'),
        ('m.csv', b'path,identity\na\x00.png,x\n', 'm.csv:2'),
        ('m.json', b'{"images": [', 'not readable JSON'),
        ('m.json', b'[' * 100_000, 'not readable JSON'),
        ('m.json', b'[]', 'not COCO-style'),
        ('m.json', b'{"images": [1], "annotations": []}', 'images 1: an object'),
        ('m.json', b'{"images": [{"id": 1}, {"id": 1}], "annotations": []}', 'id 1 occurs twice'),
        ('m.json', b'{"images": [], "annotations": [3]}', 'annotation 1: an object'),
        ('m.json', b'{"images": [], "annotations": []}', 'no annotations'),
        ('m.xlsx', b'PK', 'save a spreadsheet as CSV UTF-8'),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    assert said in fails(tmp_path / name, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_sources_and_options_that_cannot_be(tmp_path):
    source = write_folder(tmp_path / 's')
    for options, said in (
        (['--test-share', 1], '--test-share'),
        (['--val-share', 0.9], '--val-share'),
        (['--margin', 'nan'], '--margin'),
        (['--identity-level', 0], '--identity-level'),
        (['--column', 'who=x'], "--column 'who=x'"),
        (['--column', 'identity=x'], 'are for a table'),
        (['--name', '../x'], '--name'),
        (['--min-photos', 9], 'no photo is left'),
    ):
        assert said in fails(source, tmp_path / 'out', *options)
    assert 'no such file or folder' in fails(tmp_path / 'nothing', tmp_path / 'out')
    (tmp_path / 'empty').mkdir()
    assert 'there are no photos' in fails(tmp_path / 'empty', tmp_path / 'out')
    assert 'is a file' in fails(source, source / 'a00' / '0.png')
    table = write_csv(tmp_path / 'm.csv', table_rows(tmp_path))
    assert 'has no such column' in fails(table, tmp_path / 'out', '--column', 'identity=Name')
    assert 'has no column for it' in fails(table, tmp_path / 'out', '--species', 'cat')
    assert 'no such folder' in fails(table, tmp_path / 'out', '--photos', tmp_path / 'nowhere')
    assert not (tmp_path / 'out').exists()


# ---------------------------------------------------------------- what is written


def test_an_earlier_run_is_replaced_only_by_force(tmp_path):
    source = write_folder(tmp_path / 's')
    run(source, tmp_path / 'out')
    before = {path.name: path.read_bytes() for path in (tmp_path / 'out').iterdir()}
    assert 'already holds train.txt' in fails(source, tmp_path / 'out')
    assert {path.name: path.read_bytes() for path in (tmp_path / 'out').iterdir()} == before
    run(source, tmp_path / 'out', '--force', '--val-share', 0)
    assert not (tmp_path / 'out' / 'val.txt').exists()
    assert {path.name for path in (tmp_path / 'out').iterdir()} == set(before) - {'val.txt'}


@pytest.mark.parametrize(
    ('module', 'step', 'options'),
    [
        (prepare, 'prepare_all', ('--prepare',)),
        (list_report, 'thumbnails', ()),
        (list_report, 'write_photos_csv', ()),
    ],
)
def test_stopped_in_the_middle_no_yml_is_left(tmp_path, monkeypatch, module, step, options):
    source = write_folder(tmp_path / 's')
    run(source, tmp_path / 'out')

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, step, stop)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / 'out', '--force', '--seed', 5, *options)
    assert not list((tmp_path / 'out').glob('*.yml')) and (tmp_path / 'out' / 'train.txt').exists()


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links, self.text = [], [], ''

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ('src', 'href')]

    def handle_data(self, data):
        self.text += data


def test_the_report(tmp_path):
    rows = table_rows(tmp_path)
    for row in rows:
        row['identity'] = f"<script>alert('{row['identity']}')</script>"
    rows[-1]['identity'] = rows[-1]['identity'].upper()  # a note tells of it
    facts = run(write_csv(tmp_path / 'm.csv', rows), tmp_path / 'out')
    assert json.loads((tmp_path / 'out' / 'report.json').read_text()) == json.loads(
        json.dumps(facts)
    )
    page = Page()
    page.feed((tmp_path / 'out' / 'report.html').read_text())
    assert 'script' not in page.tags and page.tags.count('svg') == len(facts['splits'])
    assert page.links and all(link.startswith('data:image/jpeg;base64,') for link in page.links)
    for text in (
        PROTOCOLS['cross-encounter'].text,
        *facts['commands'],
        *facts['notes'],
        rows[0]['identity'],
    ):
        assert text in page.text
    assert any('<SCRIPT>' in note for note in facts['notes'])
    listed = {
        (row['source'], name): row
        for row in photo_rows(tmp_path / 'out')
        for name in row['split'].split()
    }
    for name, records in lists(tmp_path / 'out').items():
        for record in records:
            row = listed[record.path, name]
            assert (
                facts['labels']['train' if name in ('train', 'val') else 'test'][record.pid]
                == row['identity']
            )
            assert (
                row['side'] == ('left', 'right')[record.side]
                and int(row['encounter']) == record.encounter
            )
    assert len(listed) == sum(map(len, lists(tmp_path / 'out').values()))


@pytest.mark.parametrize('options', [(), ('--protocol', 'closed', '--sides', 'separate')])
def test_the_ymls_are_ready_to_train_and_test(tmp_path, monkeypatch, options):
    monkeypatch.chdir(ROOT)
    run(
        write_csv(tmp_path / 'm.csv', table_rows(tmp_path, encounters=4)),
        tmp_path / 'tiger',
        *options,
    )
    for kind in ('cnn', 'vit'):
        cfg = load_cfg(
            tmp_path / 'tiger' / f'{kind}_clipreid.yml',
            ['OUTPUT_DIR', str(tmp_path / 'o'), 'DATALOADER.NUM_WORKERS', '0'],
        )
        assert (
            cfg.DATASETS.SPECIES == 'own_tiger'
        )  # else the tiger's lists and ground truth would be taken
        assert (
            f"OUTPUT_DIR: './output/own_tiger/{kind}'"
            in (tmp_path / 'tiger' / f'{kind}_clipreid.yml').read_text()
        )
        loaders = make_dataloader(cfg)
        assert next(iter(loaders.train_loader_stage2))[0].shape == (
            cfg.SOLVER.STAGE2.IMS_PER_BATCH,
            3,
            *cfg.INPUT.SIZE_TRAIN,
        )
        assert loaders.num_query > 0
        test = make_test_dataloader(cfg)
        assert test.protocol.name == 'cross-encounter'
        assert (count_positives(test.query, test.gallery, test.protocol) > 0).all()


def test_paths_in_the_ymls_are_relative_from_the_project_alone(tmp_path, monkeypatch):
    project = tmp_path / 'project'
    monkeypatch.setattr(list_yml, 'PROJECT', project)
    (project / 'configs').mkdir(parents=True)
    monkeypatch.chdir(project)

    def text(out, root):
        labels = [number for number in range(20) for _ in range(4)]
        data = DataSet(out, root, 'nyala', labels, 100, ['train', 'query', 'gallery'], 'all', 0.5)
        return list_yml.yml_text('cnn', data).splitlines()

    near = text(project / 'datalist' / 'nyala', tmp_path / 'data' / 'nyala')
    for line in (
        "_BASE_: '../../configs/base_cnn.yml'",
        "  DATA_DIR: 'nyala'",
        "  TEST_ROOT_DIR: '../data/nyala'",
        "  LIST_DIR: 'datalist/nyala'",
        "  VAL_LIST: ''",
        "OUTPUT_DIR: './output/nyala/cnn'",
    ):
        assert line in near
    assert any(line.startswith("  ROOT_DIR: '../data' ") for line in near)
    monkeypatch.chdir(tmp_path)
    far = text(project / 'datalist' / 'nyala', tmp_path / 'data' / 'nyala')
    assert f"  TEST_ROOT_DIR: '{tmp_path / 'data' / 'nyala'}'" in far


def test_as_a_program(tmp_path):
    write_folder(tmp_path / 's', 5)

    def program(*args):
        command = [sys.executable, '-m', 'tools.make_lists', *map(str, args)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    done = program(tmp_path / 's', '--out', tmp_path / 'out')
    assert done.returncode == 0 and not done.stderr and 'Next' in done.stdout
    done = program(tmp_path / 'nothing', '--out', tmp_path / 'out2')
    assert (
        done.returncode == 2 and done.stderr.startswith('error: ') and done.stderr.count('\n') == 1
    )
