"""What is found in the photos: missing, broken, copied under another label."""

from pathlib import Path

import pytest
from PIL import Image

from tests.wildlife.checks.herd import only, paths
from wildlife.checks.rules import CHECKS


def test_good_lists_give_no_warning(herd, capsys):
    found, report = herd.check()
    assert not found and report['fit']
    assert 'Fit for training (checks failed: 0, warned: 0)' in capsys.readouterr().out
    assert report['splits']['train'] == {
        'source': str(herd.folder / 'train.txt'),
        'photos': 18,
        'missing': 0,
        'individuals': 6,
    }
    page = (herd.folder / 'out/check_data/check.html').read_text()
    assert 'nothing suspicious' in page
    assert all(title in page for _, title, _ in CHECKS.values())  # also what was looked for in vain


def test_a_missing_photo(herd):
    herd.add('train', 'train/animal0/9.jpg', 0)
    herd.add('gallery', 'test/animal6/9.jpg', 0)
    found, report = herd.check()
    finding = only(found, 'missing', 'wrong')
    assert (
        '1 of the 19 photos in the train list, 1 of the 10 photos in the gallery list'
        in finding['text']
        and not report['fit']
    )
    assert paths(finding) == [('animal0/9.jpg',), ('animal6/9.jpg',)]
    found, report = herd.check(SKIP_MISSING=True)
    assert only(found, 'skipped', 'warning')['count'] == 2 and report['fit']


def test_a_missing_folder(herd):
    found, _ = herd.check(TEST_ROOT_DIR=str(herd.folder / 'gone'))
    assert {'missing', 'refused'} == set(found) and found['missing']['count'] == 12
    assert 'DATASETS.TEST_ROOT_DIR: there is no folder' in found['refused']['text']


def test_broken_photos(herd):
    content = (herd.folder / 'photos/train/animal0/0.jpg').read_bytes()
    for name, broken in (
        ('cut.jpg', content[: len(content) // 2]),
        ('text.jpg', b'no photo'),
        ('empty.jpg', b''),
    ):
        herd.add('train', f'train/animal0/{name}', 0)
        (herd.folder / 'photos/train/animal0' / name).write_bytes(broken)
    found, report = herd.check()
    finding = only(found, 'unreadable', 'wrong')
    assert finding['count'] == 3 and not report['fit']
    reasons = {Path(item['photos'][0]['path']).name: item['text'] for item in finding['items']}
    for name, words in (
        ('cut.jpg', 'cannot be decoded'),
        ('text.jpg', 'not a picture'),
        ('empty.jpg', 'empty file'),
    ):
        assert words in reasons[name]
    found, report = herd.check(SKIP_BROKEN=True)
    assert only(found, 'broken_skipped', 'warning')['count'] == 3 and report['fit']


def test_one_photo_under_two_labels(herd):
    herd.add('train', 'train/animal1/0.jpg', 2)
    found, _ = herd.check()
    finding = only(found, 'two_labels', 'wrong')
    assert [photo['label'] for photo in finding['items'][0]['photos']] == [1, 2]


def test_labels_of_train_and_test_are_not_compared(herd):
    """Each numbers its individuals anew; this one is a leak and no more."""
    herd.add('query', 'train/animal1/0.jpg', 0)
    assert 'two_labels' not in herd.check()[0]


@pytest.mark.parametrize('change', ['quality', 'half', 'shape', 'grey', 'brighter', 'png'])
def test_a_copy_under_another_label(herd, change):
    photo = herd.photo('train/animal1/0.jpg')
    photo = {
        'half': lambda: photo.resize((72, 60)),
        'shape': lambda: photo.resize((96, 128)),
        'grey': lambda: photo.convert('L'),
        'brighter': lambda: photo.point(lambda value: value * 1.15),
    }.get(change, lambda: photo)()
    name = f'train/animal2/7.{"png" if change == "png" else "jpg"}'
    herd.add('train', name, 2, photo, **({'quality': 40} if change == 'quality' else {}))
    found, report = herd.check()
    found.pop('modes', None)
    assert paths(only(found, 'alike_two_labels', 'wrong')) == [
        ('animal1/0.jpg', name.removeprefix('train/'))
    ]
    assert not report['fit']


def test_a_mirrored_photo_is_another(herd):
    photo = herd.photo('train/animal1/0.jpg').transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    herd.add('train', 'train/animal2/7.jpg', 2, photo)
    assert not herd.check()[0]


def test_near_is_what_the_user_says(herd):
    herd.add(
        'train',
        'train/animal2/7.jpg',
        2,
        herd.photo('train/animal1/0.jpg').resize((90, 75)),
        quality=75,
    )
    (item,) = herd.check()[0]['alike_two_labels']['items']
    distance = int(item['text'].split()[0])
    assert 0 < distance <= 24
    assert not herd.check('--near', str(distance - 1))[0]
