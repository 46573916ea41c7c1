"""Odd pictures, few photos, imbalance, and what training or the test rejects."""

import json
import os
import re

import pytest
from PIL import Image

from tests.wildlife.checks.herd import only, paths, picture
from utils.errors import InputError

EXIF = 0x0112


def test_pictures_worth_a_look(herd):
    herd.loader['SAMPLER'] = 'softmax'  # one individual gets them all
    exif = Image.Exif()
    exif[EXIF] = 6
    clear = picture(101).convert('RGBA')
    clear.putalpha(100)
    palette = picture(104).quantize(16)
    for name, photo, options in (
        ('tiny.jpg', picture(100, (40, 31)), {}),
        ('turned.jpg', picture(102), {'exif': exif}),
        ('upright.tif', picture(105), {'exif': exif}),  # Pillow turns a TIFF
        ('clear.png', clear, {}),
        ('palette.png', palette, {'transparency': 0}),
        ('black.png', Image.new('RGB', (60, 60)), {}),
        ('white.png', Image.new('L', (60, 60), 255), {}),
        ('cmyk.jpg', picture(103).convert('CMYK'), {}),
    ):
        herd.add('train', f'train/animal0/{name}', 0, photo, **options)
    found, report = herd.check()
    assert {
        check: paths(found[check]) for check in ('tiny', 'rotated', 'transparent', 'blank')
    } == {
        'tiny': [('animal0/tiny.jpg',)],
        'rotated': [('animal0/turned.jpg',)],
        'transparent': [('animal0/clear.png',), ('animal0/palette.png',)],
        'blank': [('animal0/black.png',), ('animal0/white.png',)],
    }
    assert found['modes']['text'] == '1 CMYK, 1 L, 1 P+alpha, 1 RGBA, of 44 photos'
    assert set(found) == {'tiny', 'rotated', 'transparent', 'blank', 'modes'} and report['fit']
    assert 'tiny' not in herd.check('--tiny', '31')[0]


def test_photos_of_another_shape(herd):
    found, report = herd.check('INPUT.SIZE_TRAIN', '[256, 64]')
    assert (
        '1.20 times as wide as high, but INPUT.SIZE_TRAIN (256 x 64) is 0.25'
        in only(found, 'squeezed', 'warning')['text']
    )
    assert report['fit']


def test_individuals_with_few_photos(herd):
    herd.add('train', 'train/animal9/0.jpg', 6, picture(100))
    herd.loader['NUM_INSTANCE'] = 4
    for number in range(9):
        herd.add('train', f'train/animal5/more{number}.jpg', 5, picture(200 + number))
    found, report = herd.check()
    assert (
        paths(found['single']) == [('animal9/0.jpg',)]
        and found['few']['count'] == 5
        and report['fit']
    )
    assert '2 to 3 photos' in found['few']['text']


def test_imbalance(herd):
    for number in range(28):
        herd.add('train', f'train/animal5/more{number}.jpg', 5, picture(200 + number))
    found, _ = herd.check()
    assert found['imbalance']['text'] == (
        'label 5 has 31 photos, the median individual has 3; the top 1 of 6 individuals have 67% '
        'of the train photos'
    )
    assert re.match(
        'an epoch of stage 2 ends after step . and shows .* of 46 train photos: .* label 5 has '
        '31 of them',
        found['warned']['text'],
    )  # as training does


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda herd: herd.loader.update(NUM_INSTANCE=1), 'a batch needs 8'),
        (
            lambda herd: herd.add('train', 'train/animal0/9.jpg', 9, picture(100)),
            'must be 0 … n-1 without gaps',
        ),
        (lambda herd: herd.lists.update(train=herd.lists['train'][:3]), 'individual'),
        (
            lambda herd: herd.lists.update(val=['train/animal6/9.jpg 6']),
            'no validation photo shows an individual',
        ),
    ],
)
def test_what_training_refuses(herd, change, words):
    change(herd)
    found, report = herd.check()
    assert (
        words in found['refused']['text']
        and found['refused']['level'] == 'wrong'
        and not report['fit']
    )


@pytest.mark.parametrize(
    ('protocol', 'words'),
    [('cross-camera', 'do not tell two cameras apart'), ('vehicleid', 'does not suit animals')],
)
def test_what_the_test_refuses(herd, protocol, words):
    found, report = herd.check(PROTOCOL=protocol)
    assert (
        words in only(found, 'refused')['text']
        and found['refused']['count'] == 1
        and not report['fit']
    )


def test_a_photo_elsewhere_by_a_link(herd, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp('elsewhere') / 'secret.jpg'
    picture(100).save(elsewhere)
    (herd.folder / 'photos/train/animal0/link.jpg').symlink_to(elsewhere)
    herd.add('train', 'train/animal0/link.jpg', 0)
    found, report = herd.check()
    assert '/secret.jpg)' in only(found, 'refused')['text']
    assert not [photo for photo in report['photos'] if 'link' in photo['path']]  # not read


def test_names_that_are_no_text(herd, tmp_path_factory):
    """Behind links, and of the folder of the report: all of it is written."""
    strange = os.fsdecode(b'caf\xe9')
    inside, outside, out = (
        herd.folder / f'photos/{strange}.jpg',
        tmp_path_factory.mktemp('elsewhere') / f'{strange}.jpg',
        (herd.folder / strange),
    )
    for target, name in ((inside, 'inside'), (outside, 'outside')):
        picture(100).save(target)
        (herd.folder / f'photos/train/animal0/{name}.jpg').symlink_to(target)
        herd.add('train', f'train/animal0/{name}.jpg', 0)
    found, _ = herd.check('--out', str(out))
    assert f'{strange}.jpg)' in only(found, 'refused')['text']
    assert 'caf\\udce9.jpg)' in (out / 'check.html').read_text(encoding='utf-8')
    assert json.loads((out / 'check.json').read_text(encoding='utf-8'))['findings'][0]['count'] == 1


def test_warnings_of_the_test_are_told(herd, capsys):
    herd.add('gallery', 'test/animal6/9.jpg', 0, picture(100))
    found, report = herd.check(PROTOCOL='cross-encounter')
    assert (
        '1 of 13 listed photos have no encounter' in only(found, 'warned', 'warning')['text']
        and report['fit']
    )
    assert not capsys.readouterr().err


def test_a_query_that_finds_itself(herd, capsys):
    found, report = herd.check(QUERY_LIST='gallery.txt', PROTOCOL='query_apart')
    assert (
        '9 of 9 queries are in the gallery, but the protocol does not ignore them'
        in found['itself']['text']
        and not report['fit']
    )
    assert len(found['itself']['items']) == 9
    for protocol in ('all', 'query_in_gallery', ''):
        assert not herd.check(QUERY_LIST='gallery.txt', PROTOCOL=protocol)[0]


def test_a_query_whose_best_answer_is_dropped(herd):
    herd.lists['query'].append(herd.lists['gallery'][0])
    found, report = herd.check(PROTOCOL='query_in_gallery')
    assert '3 of 4 queries are not in the gallery' in found['itself']['text'] and not report['fit']
    assert paths(found['itself']) == [(f'animal{number}/0.jpg',) for number in (6, 7, 8)]


def test_the_terminal_names_the_first_photos(herd, capsys):
    for number in range(4):
        herd.add('train', f'train/animal0/gone{number}.jpg', 0)
    herd.check()
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith('wrong'))
    assert all(f'animal0/gone{number}.jpg' in line for number in range(3))
    assert 'gone3' not in line and line.endswith('gone2.jpg …)')


def test_without_a_test_or_a_train_list(herd):
    found, report = herd.check(QUERY_LIST='', GALLERY_LIST='')
    assert 'no query list' in only(found, 'unchecked', 'note')['text'] and report['fit']
    assert list(report['splits']) == ['train', 'validation'] and report['protocol'] is None
    found, report = herd.check(TRAIN_LIST='', VAL_LIST='')
    assert only(found, 'unchecked')['count'] == 2 and list(report['splits']) == ['query', 'gallery']


@pytest.mark.parametrize(
    ('data', 'words'),
    [
        ({'TRAIN_LIST': 'nowhere.txt'}, 'nowhere.txt: no such list'),
        (
            {'TRAIN_LIST': '', 'VAL_LIST': '', 'QUERY_LIST': '', 'GALLERY_LIST': ''},
            ': no list to check in',
        ),
    ],
)
def test_nothing_that_can_be_checked(herd, data, words):
    with pytest.raises(InputError, match=re.escape(words)):
        herd.check(**data)
    assert not (herd.folder / 'out').exists()
