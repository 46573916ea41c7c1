"""tools/check_data.py on fabricated photos: each fault in data that are right otherwise."""

import json
import os
import re
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.official_sets import SETS, msmt17
from tools.check_data import main, program
from utils.errors import InputError
from wildlife.checks.photos import Photo, near_pairs, read_photo, read_photos, reader
from wildlife.checks.rules import CHECKS
from wildlife.groups import clusters

ROOT = Path(__file__).resolve().parents[2]
EXIF = 0x0112


@lru_cache
def picture(seed, size=(144, 120)):
    """A photo unlike all others, with structure of every size, as photos have."""
    rng, total = np.random.default_rng(seed), 0.0
    for cells in (3, 6, 12, 24, 48):
        layer = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)).resize(
            size, Image.Resampling.BICUBIC
        )
        total += (np.asarray(layer) - 127.5) / cells
    return Image.fromarray((127.5 + 1.2 * total).clip(0, 255).astype(np.uint8))


class Herd:
    """A data set of six train individuals with three photos each, validated on a fourth, and three
    test individuals.
    """

    def __init__(self, folder):
        self.folder = folder
        self.lists = {'train': [], 'val': [], 'query': [], 'gallery': []}
        self.data, self.loader = {}, {'NUM_INSTANCE': 2, 'SAMPLER': 'softmax_triplet'}
        encounter = 0
        for pid in range(9):
            for number in range(4):
                split = (
                    ('query' if number < 1 else 'gallery')
                    if pid > 5
                    else 'val'
                    if number == 3
                    else 'train'
                )
                encounter += 1
                self.add(
                    split,
                    f'{"test" if pid > 5 else "train"}/animal{pid}/{number}.jpg',
                    pid % 6,
                    picture(encounter),
                    encounter,
                )

    def add(self, split, name, pid, photo=None, encounter='-', **options):
        if photo is not None:
            path = self.folder / 'photos' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            photo.save(path, **options)
        self.lists[split].append(f'{name} {pid} - - {encounter}')

    def yml(self, **data):
        for split, lines in self.lists.items():
            (self.folder / f'{split}.txt').write_text('\n'.join(lines) + '\n')
        config = {
            'INPUT': {'SIZE_TRAIN': [64, 64], 'SIZE_TEST': [64, 64]},
            'DATASETS': {
                'NAMES': 'animals',
                'SPECIES': 'herd',
                'ROOT_DIR': str(self.folder),
                'DATA_DIR': 'photos',
                'TEST_ROOT_DIR': str(self.folder / 'photos'),
                'LIST_DIR': str(self.folder),
                'TRAIN_LIST': 'train.txt',
                'VAL_LIST': 'val.txt',
                'QUERY_LIST': 'query.txt',
                'GALLERY_LIST': 'gallery.txt',
                **data,
            },
            'DATALOADER': self.loader,
            'SOLVER': {'STAGE2': {'IMS_PER_BATCH': 8}},
            'OUTPUT_DIR': str(self.folder / 'out'),
        }
        path = self.folder / 'herd.yml'
        path.write_text(yaml.safe_dump(config))
        return str(path)

    def photo(self, name):
        return Image.open(self.folder / 'photos' / name)

    def check(self, *options, **data):
        """{check: finding} of the herd as it is now, and the whole report."""
        report = main(['--config_file', self.yml(**data), *options])
        return {finding['check']: finding for finding in report['findings']}, report


@pytest.fixture
def herd(tmp_path):
    return Herd(tmp_path)


def paths(finding):
    """The photos of each item, as [(folder/name, …)]."""
    return [
        tuple('/'.join(Path(photo['path']).parts[-2:]) for photo in item['photos'])
        for item in finding['items']
    ]


def only(found, check, level=None):
    """The one finding."""
    assert list(found) == [check]
    assert found[check]['level'] == (level or CHECKS[check][0])
    return found[check]


def test_nothing_to_say(herd, capsys):
    found, report = herd.check()
    assert not found and report['fit']
    assert 'Fit for training: 0 checks wrong, 0 with warnings' in capsys.readouterr().out
    assert report['splits']['train'] == {
        'source': str(herd.folder / 'train.txt'),
        'photos': 18,
        'missing': 0,
        'individuals': 6,
    }
    page = (herd.folder / 'out/check_data/check.html').read_text()
    assert 'Nothing suspicious' in page
    assert all(title in page for _, title, _ in CHECKS.values())  # also what was looked for in vain


def test_a_missing_photo(herd):
    herd.add('train', 'train/animal0/9.jpg', 0)
    herd.add('gallery', 'test/animal6/9.jpg', 0)
    found, report = herd.check()
    finding = only(found, 'missing', 'wrong')
    assert (
        '1 of 19 of the train list, 1 of 10 of the gallery list' in finding['text']
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


@pytest.mark.parametrize('split', ['val', 'query', 'gallery'])
def test_a_train_photo_elsewhere(herd, split):
    """The same file, and its bytes under another name."""
    pid = 2 if split == 'val' else 0
    herd.add(split, 'train/animal2/0.jpg', pid)
    copy = herd.folder / 'photos/test/animal6/copy.jpg'
    copy.write_bytes((herd.folder / 'photos/train/animal2/1.jpg').read_bytes())
    herd.add(split, 'test/animal6/copy.jpg', pid)
    found, report = herd.check()
    finding = only(found, 'leak', 'wrong')
    assert (
        paths(finding) == [('animal2/0.jpg',) * 2, ('animal2/1.jpg', 'animal6/copy.jpg')]
        and not report['fit']
    )
    assert f'2 {dict(val="validation").get(split, split)}' in finding['text']


@pytest.mark.parametrize('split', ['val', 'query', 'gallery'])
def test_nearly_a_train_photo_elsewhere(herd, split):
    herd.add(
        split,
        'test/animal6/7.jpg',
        2 if split == 'val' else 0,
        herd.photo('train/animal2/0.jpg').resize((100, 100)),
    )
    found, _ = herd.check()
    assert paths(only(found, 'alike_leak', 'wrong')) == [('animal2/0.jpg', 'animal6/7.jpg')]


def test_nearly_a_leaked_photo(herd):
    """Which of the two is listed first does not matter."""
    herd.add(
        'train', 'train/animal2/7.jpg', 2, herd.photo('train/animal2/0.jpg').resize((100, 100))
    )
    herd.add('query', 'train/animal2/0.jpg', 0)
    found, _ = herd.check()
    assert paths(found['leak']) == [('animal2/0.jpg',) * 2]
    assert paths(found['alike_leak']) == [('animal2/0.jpg', 'animal2/7.jpg')]


def test_an_encounter_on_both_sides(herd):
    encounter = herd.lists['train'][0].split()[-1]
    herd.add('query', 'test/animal6/7.jpg', 0, picture(100), encounter)
    found, report = herd.check()
    finding = only(found, 'encounter_leak', 'wrong')
    assert paths(finding) == [('animal0/0.jpg', 'animal6/7.jpg')] and not report['fit']
    assert finding['items'][0]['photos'][0]['encounter'] == int(encounter)


def test_an_encounter_in_validation_is_a_warning(herd):
    herd.add('val', 'val/animal0/7.jpg', 0, picture(100), herd.lists['train'][0].split()[-1])
    found, report = herd.check()
    only(found, 'encounter_validation', 'warning')
    assert report['fit']


def test_bursts_are_counted_and_no_more(herd):
    """Photos of one individual that are nearly the same: of one encounter that is normal, else
    worth a look.
    """
    photo, encounter = herd.photo('train/animal0/0.jpg'), herd.lists['train'][0].split()[-1]
    herd.add('train', 'train/animal0/7.jpg', 0, photo.resize((100, 100)), encounter)
    found, report = herd.check()
    assert (
        only(found, 'bursts', 'note')['count'] == 1
        and found['bursts']['items'] == []
        and report['fit']
    )
    herd.add('train', 'train/animal0/8.jpg', 0, photo.resize((80, 80)))
    found, report = herd.check()
    assert found['bursts']['count'] == 1 and report['fit']
    assert paths(found['alike']) == [('animal0/0.jpg', 'animal0/7.jpg', 'animal0/8.jpg')]
    assert found['alike']['level'] == 'warning'


def test_train_individuals_in_the_test(herd):
    herd.lists['gallery'] = [line for line in herd.lists['gallery'] if 'animal8' not in line]
    herd.lists['query'] = [line for line in herd.lists['query'] if 'animal8' not in line]
    for split, number in (('query', 5), ('gallery', 6)):
        herd.add(split, f'later/animal0/{number}.jpg', 2, picture(100 + number))
    found, report = herd.check()
    assert [item['text'] for item in only(found, 'known', 'wrong')['items']] == [
        'animal0'
    ] and not report['fit']
    assert not herd.check('--closed')[0]


def closed(herd):
    """All gallery photos are of the train and validation lists, the queries are others: known
    individuals, new photos.
    """
    herd.lists['query'], herd.lists['val'] = herd.lists['val'], []
    herd.add('val', 'train/animal0/x.jpg', 0, picture(100))
    herd.lists['gallery'] = herd.lists['train'] + herd.lists['val']


def test_a_closed_set_is_no_leak(herd):
    closed(herd)
    found, report = herd.check()
    only(found, 'closed', 'note')
    assert report['fit'] and report['protocol'] == 'query_apart'


def test_leaks_of_a_closed_set(herd):
    """Its queries must be new all the same: as photos, nearly, and as encounters."""
    closed(herd)
    herd.lists['query'].append(herd.lists['train'][0])
    herd.add(
        'query', 'train/animal1/7.jpg', 1, herd.photo('train/animal1/0.jpg').resize((100, 100))
    )
    herd.add('query', 'train/animal2/7.jpg', 2, picture(101), herd.lists['train'][6].split()[-1])
    found, _ = herd.check()
    assert paths(found['leak']) == [('animal0/0.jpg',) * 2]
    assert paths(found['alike_leak']) == [('animal1/0.jpg', 'animal1/7.jpg')]
    assert [paths['photos'][0]['encounter'] for paths in found['encounter_leak']['items']] == [1, 9]


def test_train_photos_tell_which_test_label_is_whose(herd):
    closed(herd)
    for split in ('query', 'gallery'):  # numbered in another order
        herd.lists[split] = [
            f'{path} {5 - int(pid)} {rest}'
            for path, pid, rest in (line.split(maxsplit=2) for line in herd.lists[split])
        ]
    only(herd.check()[0], 'closed', 'note')
    assert herd.lists['gallery'][4].startswith('train/animal1/1.jpg 4 ')
    herd.lists['gallery'][4] = herd.lists['gallery'][4].replace(' 4 ', ' 3 ')
    found, report = herd.check()
    assert paths(found['two_labels']) == [('animal1/1.jpg',) * 2] and not report['fit']
    assert (
        'train label 1 is test label 4, test label 3 is train label 2'
        in found['two_labels']['items'][0]['text']
    )


def test_queries_without_a_right_answer(herd):
    herd.add('query', 'test/animal9/0.jpg', 5, picture(100), 1000)
    found, report = herd.check(PROTOCOL='cross-encounter')
    assert (
        paths(only(found, 'some_without_positive', 'warning')) == [('animal9/0.jpg',)]
        and report['fit']
    )
    herd.lists['query'] = herd.lists['query'][-1:]
    found, report = herd.check(PROTOCOL='cross-encounter')
    assert (
        "1 of 1 queries, under protocol 'cross-encounter'"
        in only(found, 'no_positive', 'wrong')['text']
    )
    assert not report['fit']


def duplicate(herd, name, copy):
    (herd.folder / 'photos' / copy).write_bytes((herd.folder / 'photos' / name).read_bytes())


def test_copies_of_one_individual(herd):
    for folder, split, pid in (('train/animal0', 'train', 0), ('test/animal6', 'gallery', 0)):
        duplicate(herd, f'{folder}/1.jpg', f'{folder}/copy.jpg')
        herd.add(split, f'{folder}/copy.jpg', pid)
    found, report = herd.check()
    assert paths(only(found, 'repeated', 'warning')) == [
        ('animal0/1.jpg', 'animal0/copy.jpg'),
        ('animal6/1.jpg', 'animal6/copy.jpg'),
    ]
    assert report['fit']


@pytest.mark.parametrize('protocol', ['', 'all'])
def test_copies_of_queries_in_the_gallery(herd, protocol):
    """One photo listed twice under other names, as of two encounters."""
    duplicate(herd, 'test/animal6/0.jpg', 'test/animal6/copy.jpg')
    herd.add('gallery', 'test/animal6/copy.jpg', 0, encounter=99)
    found, report = herd.check(PROTOCOL=protocol)
    assert (
        paths(only(found, 'copies', 'wrong')) == [('animal6/0.jpg', 'animal6/copy.jpg')]
        and not report['fit']
    )
    herd.lists['query'] = herd.lists['gallery'] = (
        herd.lists['query'] + herd.lists['gallery']
    )  # against itself
    assert 'copies' in herd.check(PROTOCOL=protocol)[0]


def test_a_query_whose_only_match_is_its_copy(herd):
    duplicate(herd, 'test/animal6/0.jpg', 'test/animal6/copy.jpg')
    herd.lists['gallery'] = [line for line in herd.lists['gallery'] if 'animal6' not in line]
    herd.add('gallery', 'test/animal6/copy.jpg', 0)
    assert paths(herd.check(PROTOCOL='all')[0]['some_without_positive']) == [('animal6/0.jpg',)]
    assert 'some_without_positive' not in herd.check(PROTOCOL='query_apart')[0]


def test_a_query_whose_copy_is_in_the_gallery_is_counted_as_in_the_test(herd):
    duplicate(herd, 'test/animal6/0.jpg', 'test/animal6/copy.jpg')
    herd.add('gallery', 'test/animal6/copy.jpg', 0)
    found, _ = herd.check(PROTOCOL='query_in_gallery')
    assert '2 of 3 queries are not in the gallery' in found['itself']['text']
    assert '2 of 3 query photos are not in the gallery' in found['warned']['text']


def test_repeated_lines_and_other_spellings_are_one_photo(herd):
    """Told as training and the test tell it."""
    herd.lists['train'].append(f'./{herd.lists["train"][0]}')
    herd.lists['query'].append(f'test/../{herd.lists["gallery"][0]}')
    found, _ = herd.check(PROTOCOL='query_apart')
    assert 'train.txt: 1 of 19 lines repeat another and count once' in found['warned']['text']
    assert found['itself']['text'].startswith('1 of 4 queries are in the gallery') and set(
        found
    ) == {'warned', 'itself'}


def test_distractors(herd):
    """Nobody: no individual, no label that could be wrong, unless somebody says who it is."""
    for number in range(3):
        herd.add('gallery', f'test/nobody{number}/1.jpg', -1, picture(300 + number))
    found, report = herd.check()
    assert not found and report['splits']['gallery']['individuals'] == 3
    herd.add('gallery', 'test/animal6/0.jpg', -1)
    assert paths(herd.check()[0]['two_labels']) == [('animal6/0.jpg',) * 2]
    herd.add('train', 'train/animal0/x.jpg', -1, picture(400))
    with pytest.raises(InputError, match="label '-1' is negative"):
        herd.check()


def test_a_list_against_itself_has_no_copies(herd):
    assert not herd.check(QUERY_LIST='gallery.txt', PROTOCOL='all')[0]


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
    assert found['modes']['text'] == 'of 44 photos 1 CMYK, 1 L, 1 P+alpha, 1 RGBA'
    assert set(found) == {'tiny', 'rotated', 'transparent', 'blank', 'modes'} and report['fit']
    assert 'tiny' not in herd.check('--tiny', '31')[0]


def test_photos_of_another_shape(herd):
    found, report = herd.check('INPUT.SIZE_TRAIN', '[256, 64]')
    assert (
        '0.83 times as high as wide, INPUT.SIZE_TRAIN (256 x 64) 4.00'
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
        'label 5 has 31 photos, the median individual 3; the top 1 of 6 individuals have 67% '
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
            'must be 0 … n-1 without a gap',
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
    [('cross-camera', 'tell no two cameras apart'), ('vehicleid', 'does not suit animals')],
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
    assert 'secret.jpg, outside' in only(found, 'refused')['text']
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
    assert f'{strange}.jpg, outside' in only(found, 'refused')['text']
    assert 'caf\\udce9.jpg, outside' in (out / 'check.html').read_text(encoding='utf-8')
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
        '9 of 9 queries are in the gallery, and nothing is dropped' in found['itself']['text']
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
            'there is no list to check',
        ),
    ],
)
def test_nothing_that_can_be_checked(herd, data, words):
    with pytest.raises(InputError, match=re.escape(words)):
        herd.check(**data)
    assert not (herd.folder / 'out').exists()


def test_a_report_needs_a_folder(herd):
    with pytest.raises(InputError, match='--out'):
        herd.check('OUTPUT_DIR', '')
    herd.check('--out', str(herd.folder / 'a/b'), 'OUTPUT_DIR', '')
    assert {path.name for path in (herd.folder / 'a/b').iterdir()} == {'check.html', 'check.json'}


@pytest.mark.parametrize(
    'words', [['--near', '65'], ['--near', 'x'], ['--tiny', '0'], ['--workers', '0']]
)
def test_options_out_of_range(herd, words, capsys):
    with pytest.raises(SystemExit, match='2'):
        herd.check(*words)
    assert 'is no whole number of' in capsys.readouterr().err


def test_exit_codes(herd, capsys):
    assert program(['--config_file', herd.yml()]) == 0
    herd.add('train', 'train/animal1/0.jpg', 2)
    assert program(['--config_file', herd.yml()]) == 1
    assert program(['--config_file', herd.yml(), 'DATASETS.NO_SUCH', '1']) == 2
    herd.lists['train'].append('no label')
    assert program(['--config_file', herd.yml()]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert (
        len(errors) == 2
        and all(line.startswith('error: ') for line in errors)
        and 'train.txt:20' in errors[1]
    )


def test_as_a_program(herd):
    herd.add('train', 'train/animal1/0.jpg', 2)
    done = subprocess.run(
        [sys.executable, '-m', 'tools.check_data', '--config_file', herd.yml()],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and not done.stderr
    assert re.search(r'^wrong +One photo under two labels: 1 photos', done.stdout, re.M)
    assert json.loads((herd.folder / 'out/check_data/check.json').read_text())['wrong'] == 1


def test_the_json_has_all_and_the_page_some(herd):
    for number in range(30):
        herd.add('train', f'train/animal0/gone{number}.jpg', 0)
        herd.add('train', f'train/animal1/small{number}.jpg', 1, picture(100 + number, (20, 20)))
    herd.check()
    report = json.loads((herd.folder / 'out/check_data/check.json').read_text())
    found = {finding['check']: finding for finding in report['findings']}
    assert (
        len(found['missing']['items']) == len(found['tiny']['items']) == 30
        and len(report['photos']) == 36 + 30
    )
    page = (herd.folder / 'out/check_data/check.html').read_text()
    assert page.count('… and 6 more, all of them in check.json') == 2
    assert page.count('<img ') == 24 and 'small29' not in page


def test_the_page_stands_alone_and_escapes(herd, capsys):
    name = 'train/animal0/<script>alert("x")&amp;.jpg'
    herd.add('train', name, 0)
    herd.add('train', 'train/animal1/0.jpg', 2)
    herd.check()
    page = (herd.folder / 'out/check_data/check.html').read_text()
    assert '<script' not in page and '&lt;script&gt;alert(&#34;x&#34;)&amp;amp;.jpg' in page
    assert (
        not re.findall(r'(?:src|href)="(?!data:image/jpeg;base64,|#)', page) and 'url(' not in page
    )


def test_what_is_printed_holds_no_control_characters(herd, capsys):
    herd.add('train', 'train/animal0/link.jpg', 0)
    (herd.folder / 'a\x1b[31m').mkdir()
    picture(100).save(herd.folder / 'a\x1b[31m/x.jpg')
    (herd.folder / 'photos/train/animal0/link.jpg').symlink_to(herd.folder / 'a\x1b[31m/x.jpg')
    herd.check()
    out = capsys.readouterr().out
    assert '\x1b' not in out and 'a?[31m' in out


def test_a_second_check_reads_what_is_new(herd, monkeypatch):
    _, first = herd.check()
    read = []
    monkeypatch.setattr(
        'wildlife.checks.photos.read_photo',
        lambda path: read.append(Path(path).name) or read_photo(path),
    )
    picture(100).save(herd.folder / 'photos/train/animal0/0.jpg')
    herd.add('train', 'train/animal0/new.jpg', 0, picture(101))
    _, second = herd.check()
    assert sorted(read) == ['0.jpg', 'new.jpg']
    both = {photo['path'] for photo in first['photos']}
    assert [photo for photo in second['photos'] if photo['path'] in both][1:] == first['photos'][1:]


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('photo_formats', lambda: ('JPEG', 'PNG', 'HEIF')),
        ('PIL.__version__', '99.0'),
        ('CODE', (__file__,)),
    ],
)
def test_another_reader_reads_all_again(herd, monkeypatch, name, value):
    """One without HEIC's library, another Pillow, or changed code."""
    herd.check()
    read = []
    monkeypatch.setattr(
        'wildlife.checks.photos.read_photo', lambda path: read.append(path) or read_photo(path)
    )
    herd.check()
    assert not read
    monkeypatch.setattr(f'wildlife.checks.photos.{name}', value)
    herd.check()
    assert len(read) == 36


@pytest.mark.parametrize(
    'content',
    ['', '[]', '{"photos": 1}', '{"photos": [{"path": "x"}]}', '{"photos": [[]]}', '\xff'],
)
def test_a_spoilt_earlier_report_is_left_alone(herd, content):
    folder = herd.folder / 'out/check_data'
    folder.mkdir(parents=True)
    content = content.replace('{', f'{{"reader": {json.dumps(reader())}, ', 1)
    (folder / 'check.json').write_bytes(content.encode('latin-1'))
    assert not herd.check()[0]


def test_an_unreadable_photo_is_tried_again(herd):
    path = herd.folder / 'photos/train/animal0/0.jpg'
    good = path.read_bytes()
    path.write_bytes(b'x')
    assert 'unreadable' in herd.check()[0]
    path.write_bytes(good)
    assert not herd.check()[0]


def photos_of(bits):
    """Photos with these hashes: (N, 256) bool."""
    return [
        Photo(str(number), 1, 1, phash=np.packbits(row).tobytes().hex())
        for number, row in enumerate(bits)
    ]


@pytest.mark.parametrize(
    ('count', 'limit', 'block'),
    [(60, 24, 2**20), (60, 24, 100), (60, 0, 60), (7, 64, 1), (1, 24, 1), (0, 24, 1)],
)
def test_near_pairs_are_those_of_a_double_loop(monkeypatch, count, limit, block):
    monkeypatch.setattr('wildlife.checks.photos.BLOCK', block)
    rng = np.random.default_rng(count + limit)
    bits = rng.random((count, 256)) < 0.5
    for row in range(1, count, 2):  # near its neighbour, more or less
        bits[row] = bits[row - 1] ^ (rng.random(256) < rng.random() * 0.3)
    if count > 2:
        bits[2] = ~bits[0]  # as far as can be: 256, which eight bits cannot count
    expected = {
        (i, j): int((bits[i] != bits[j]).sum())
        for i in range(count)
        for j in range(i + 1, count)
        if (bits[i] != bits[j]).sum() <= limit
    }
    found = [
        pair
        for part in near_pairs(photos_of(bits), limit)
        for pair in np.stack(part, axis=1).tolist()
    ]
    assert (
        len(found) == len(expected) and {(i, j): distance for i, j, distance in found} == expected
    )
    assert count < 60 or limit == 0 or len(expected) > 5


def test_clusters():
    assert clusters([(5, 1), (2, 3), (1, 7), (9, 3)]) == [[1, 5, 7], [2, 3, 9]]
    assert clusters([(0, 1), (1, 2), (0, 2)]) == [[0, 1, 2]] and clusters([]) == []


def test_more_pairs_than_are_shown_are_counted(herd, monkeypatch):
    monkeypatch.setattr('wildlife.checks.rules.leaks.MAX_PAIRS', 4)
    herd.loader['SAMPLER'] = 'softmax'
    for number in range(5):
        herd.add(
            'train',
            f'train/animal0/copy{number}.png',
            0,
            herd.photo('train/animal0/0.jpg').resize((100 + number, 100)),
        )
    found, _ = herd.check()
    assert only(found, 'alike')['count'] == 15 and len(found['alike']['items']) == 1


def test_photos_are_read_once_and_by_several_threads(tmp_path, monkeypatch):
    for number in range(6):
        picture(number).save(tmp_path / f'{number}.png')
    listed = [str(tmp_path / f'{number}.png') for number in range(6)]
    read = []
    monkeypatch.setattr(
        'wildlife.checks.photos.read_photo', lambda path: read.append(path) or read_photo(path)
    )
    one, two = read_photos(listed * 2, 1), read_photos(listed, 3)
    assert one == two and sorted(read) == sorted(listed * 2)
    assert (
        one[listed[0]].width == 144
        and one[listed[0]].height == 120
        and one[listed[0]].mode == 'RGB'
    )


def test_an_error_does_not_wait_for_the_rest(monkeypatch):
    """So does Ctrl-C: what no thread has begun with is given up."""
    begun = []

    def read(path):
        begun.append(path)
        time.sleep(0.01)
        raise RuntimeError

    monkeypatch.setattr('wildlife.checks.photos.read_photo', read)
    with pytest.raises(RuntimeError):
        read_photos(map(str, range(300)), 1)
    assert 1 <= len(begun) < 300


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'pipe.jpg')
    assert 'pipe' in read_photo(str(tmp_path / 'pipe.jpg')).error


def test_every_check_of_the_table_has_a_level_a_title_and_words():
    assert {level for level, *_ in CHECKS.values()} == {'wrong', 'warning', 'note'}
    assert len({title for _, title, _ in CHECKS.values()}) == len(CHECKS)


def check_set(folder, name, *options):
    report = main(
        [
            '--config_file',
            str(ROOT / 'configs/person/cnn_clipreid.yml'),
            '--out',
            str(folder / 'out'),
            *options,
            'DATASETS.NAMES',
            name,
            'DATASETS.ROOT_DIR',
            str(folder),
            'DATALOADER.NUM_INSTANCE',
            '2',
            'SOLVER.STAGE2.IMS_PER_BATCH',
            '4',
        ]
    )
    return {finding['check']: finding for finding in report['findings']}, report


@pytest.mark.parametrize(
    ('name', 'protocol', 'photos'),
    [
        ('market1501', 'market', 19),
        ('dukemtmc', 'market', 18),
        ('occ_duke', 'market', 18),
        ('msmt17', 'market', 13),
        ('veri', 'market', 14),
        ('VehicleID', 'vehicleid', 16),
    ],
)
def test_official_sets(tmp_path, name, protocol, photos):
    """Their labels and folders mean other individuals in the test, so those are not compared."""
    SETS[name](tmp_path)
    found, report = check_set(tmp_path, name)
    assert (
        list(report['splits']) == ['train', 'query', 'gallery'] and report['protocol'] == protocol
    )
    assert len(report['photos']) == photos
    assert not {'refused', 'missing', 'unreadable', 'two_labels', 'known'} & found.keys()
    assert 'published' in found['warned']['text']


def test_folders_of_an_official_set_are_not_compared(tmp_path):
    """MSMT17's test/0000 is another person than train/0000."""
    for number, path in enumerate((msmt17(tmp_path) / 'test').rglob('*.jpg')):
        picture(number).save(path)
    found, report = check_set(tmp_path, 'msmt17')
    assert not {'known', 'closed', 'leak'} & found.keys() and report['fit']


def test_an_official_set_with_a_missing_photo(tmp_path):
    (msmt17(tmp_path) / 'train/0000/0000_001_01_0303morning_0008_0.jpg').unlink()
    found, report = check_set(tmp_path, 'msmt17')
    assert (
        '1 of 8 photos are missing' in found['refused']['text']
        and found['refused']['count'] == 1
        and not report['fit']
    )
    assert report['splits']['train']['photos'] == 7
    assert 'going on' not in found['warned']['text']


def test_an_official_set_without_a_part(tmp_path):
    folder = msmt17(tmp_path)
    (folder / 'list_query.txt').unlink()
    with pytest.raises(InputError, match='list_query.txt'):
        check_set(tmp_path, 'msmt17')
