"""wildlife/lists/coco.py, by whole runs of make_lists and by its functions."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.wildlife.lists.samples import (
    draw_turned,
    fails,
    is_upright,
    lists,
    photo_rows,
    run,
    save,
    unlike_others,
    write_coco,
)


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
    assert f'{path}: annotation 4: no image has the id 99' in fails(path, tmp_path / 'out4')


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
