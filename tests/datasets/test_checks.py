"""Warnings at the start: each fault in lists that are right otherwise; none for published lists."""

import os
from dataclasses import replace

import pytest
from PIL import Image

from datasets.animal import TEST_LISTS, TRAINING_LISTS
from datasets.checks import data_warnings
from datasets.records import Record, read_list
from tests.helpers import PUBLISHED_LISTS, needs_published_lists


@pytest.fixture
def lists(tmp_path):
    """A function of {split: {path: label or (label, contents)}} to lists of records whose files
    differ unless told.
    """

    def make(**splits):
        made = []
        for photos in splits.values():
            made.append([])
            for path, label in photos.items():
                label, contents = label if isinstance(label, tuple) else (label, path)
                file = tmp_path / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(contents)
                made[-1].append(Record(str(file), label))
        return made

    return make


GOOD = {
    'train': {'ann/1.jpg': 0, 'ann/2.jpg': 0, 'bob/1.jpg': 1, 'bob/2.jpg': 1},
    'validation': {'val/ann/3.jpg': 0},
    'query': {'t/cleo/1.jpg': 0},
    'gallery': {'t/dan/1.jpg': 1},
}


def warning(lists, tmp_path, **changes):
    """The one warning that GOOD lists with these changes give, without the folder."""
    assert changes.keys() <= GOOD.keys()
    (line,) = data_warnings(
        *lists(**{split: {**photos, **changes.get(split, {})} for split, photos in GOOD.items()})
    )
    assert '\n' not in line
    return line.replace(f'{tmp_path}/', '')


def test_good_lists_give_no_warning(lists):
    assert data_warnings(*lists(**GOOD)) == []
    assert data_warnings(lists(**GOOD)[0]) == []


def test_individuals_with_a_single_photo(lists, tmp_path):
    line = warning(lists, tmp_path, train={'cy/1.jpg': 2})
    assert line.startswith('1 of 3 train individuals have a single photo (label 2: cy/1.jpg)')
    line = warning(lists, tmp_path, train={f'{label}.jpg': label for label in range(2, 7)})
    assert (
        line.startswith('5 of 7 train individuals')
        and '(label 2: 2.jpg, label 3: 3.jpg, label 4: 4.jpg …)' in line
    )


def test_photos_that_only_exif_turns(lists, tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    splits = lists(**GOOD)
    for record in splits[0][:2] + splits[3]:
        Image.new('L', (4, 4), len(record.path)).save(record.path, exif=exif)
    (line,) = data_warnings(*splits)
    assert line.startswith(
        f'3 of 7 photos are rotated or mirrored by EXIF only ({tmp_path}/ann/1.jpg, '
        f'{tmp_path}/ann/2.jpg, {tmp_path}/t/dan/1.jpg): they are read as stored'
    )


def test_the_same_photo_under_two_labels(lists, tmp_path):
    line = warning(
        lists, tmp_path, train={'bob/3.jpg': (1, 'ann/1.jpg'), 'ann/4.jpg': (0, 'ann/1.jpg')}
    )
    assert line.startswith('1 photos are in the train and validation lists under two labels')
    assert '(ann/1.jpg (label 0) = bob/3.jpg (label 1))' in line
    train, *_ = lists(**GOOD)
    (line,) = data_warnings([*train, Record(train[0].path, 1)])
    assert f'{train[0].path} (label 0) = {train[0].path} (label 1)' in line


def test_copies_within_an_individual_are_no_fault(lists):
    assert data_warnings(*lists(train=GOOD['train'] | {'ann/4.jpg': (0, 'ann/1.jpg')})) == []


def test_a_train_photo_in_validation(lists, tmp_path):
    line = warning(lists, tmp_path, validation={'val/bob/3.jpg': (1, 'bob/2.jpg')})
    assert (
        line.startswith('1 of 2 validation photos are train photos too')
        and '(val/bob/3.jpg = bob/2.jpg)' in line
    )
    line = warning(lists, tmp_path, validation={'ann/1.jpg': 0})
    assert line.startswith('1 of 2 validation photos') and '(ann/1.jpg)' in line


@pytest.mark.parametrize('split', ['query', 'gallery'])
def test_a_train_photo_in_the_test(lists, tmp_path, split):
    line = warning(lists, tmp_path, **{split: {'t/dan/2.jpg': (1, 'bob/2.jpg')}})
    assert (
        line.startswith('1 of 3 test photos are train photos too')
        and '(t/dan/2.jpg = bob/2.jpg)' in line
    )
    train, *_ = lists(**GOOD)
    assert '4 of 4 test' in data_warnings(train, query=train + train)[0]


def test_a_closed_set(lists):
    """The gallery is the train list, with the validation list, a part, or copies: known individuals
    on purpose.
    """
    train, validation, new, _ = lists(
        **GOOD | {'query': {'later/ann/1.jpg': 0, 'later/bob/1.jpg': 1}}
    )
    (copies,) = lists(gallery={'copy/ann/1.jpg': (0, 'ann/1.jpg')})
    for gallery in (train, train[:1], copies):
        assert data_warnings(train, query=new, gallery=gallery) == []
        assert data_warnings(train, validation, new, [*gallery, *validation]) == []
        (line,) = data_warnings(train, query=[*new, train[0]], gallery=gallery)
        assert line.startswith('1 of 3 query photos are train photos too')
    lines = data_warnings(
        train, query=new, gallery=[*train, new[0]]
    )  # not closed: the gallery has others too
    assert [line.partition(' are ')[0] for line in lines] == [
        '4 of 6 test photos',
        '2 of 2 test individuals',
    ]


def test_distractors_are_no_individuals(lists):
    """Whatever folders they lie in; and a gallery of train photos and distractors is of a closed
    set.
    """
    train, _, query, gallery = lists(
        **GOOD | {'gallery': {'t/dan/1.jpg': 1, 'bob/9.jpg': -1, 'x/1.jpg': -1, 'y/1.jpg': -1}}
    )
    assert data_warnings(train, query=query, gallery=gallery) == []
    assert (
        data_warnings(train, query=[replace(gallery[1], pid=1)], gallery=[*train, *gallery[2:]])
        == []
    )
    (line,) = data_warnings(train, query=[*query, replace(gallery[1], pid=1)], gallery=gallery)
    assert (
        line.startswith('1 photos are in the test lists under two labels') and '(label -1)' in line
    )


def test_an_encounter_in_train_and_the_test(lists):
    train, _, query, gallery = lists(**GOOD)
    seen = [replace(record, encounter=number) for number, record in enumerate(train)]
    (line,) = data_warnings(
        seen, query=[replace(query[0], encounter=2)], gallery=[replace(gallery[0], encounter=7)]
    )
    assert line.startswith('1 of 2 encounters of the test are in the train list too (2)')
    assert data_warnings(seen, query=[replace(query[0], encounter=2)], gallery=seen) == [
        line.replace('1 of 2', '1 of 1')
    ]  # a closed set: of the queries only
    assert data_warnings(seen, query=query, gallery=seen) == []


def test_individuals_in_train_and_test(lists, tmp_path):
    line = warning(lists, tmp_path, gallery={'t/bob/9.jpg': 7})
    assert line.startswith('1 of 3 test individuals are train individuals too') and '(bob)' in line


@pytest.mark.parametrize(
    ('train', 'test', 'found'),
    [
        ('data/train/{}', 'data/test/{}', True),
        ('data/{}', 'data/{}', True),
        ('data/train/{}', 'data/query/{}', True),
        ('data/train/{}', 'other/{}', False),
        ('tigers/train/{}', 'yaks/test/{}', False),
        ('data/seg/{}', 'data/test/{}', False),
    ],
)
def test_numbers_are_names_within_a_data_set(lists, train, test, found):
    train_labels, test_labels = {}, {}
    for number in (1, 2):
        for photo in 'ab':
            train_labels[f'{train.format(number)}/{photo}.jpg'] = number
            test_labels[f'{test.format(number + 1)}/test_{photo}.jpg'] = number + 1
    lines = data_warnings(*lists(train=train_labels, validation={}, query=test_labels))
    assert len(lines) == found
    assert all('(2)' in line for line in lines)


@pytest.mark.parametrize(
    'test', [{'bob/8.jpg': 0, 'bob/9.jpg': 1}, {'bob/8.jpg': 0, 'dan/9.jpg': 0}, {'bob/8.jpg': 0}]
)
def test_folders_that_are_not_individuals_say_nothing(lists, test):
    assert data_warnings(*lists(train=GOOD['train'], validation={}, query=test)) == []


def test_a_photo_that_cannot_be_read_is_left_to_the_loader(lists):
    train, *_ = lists(**GOOD)
    assert data_warnings([*train, Record('/nowhere/1.jpg', 0), Record('/nowhere/2.jpg', 1)]) == []


ROOTS = {
    'tiger': 'tiger/tiger_test_isnet_seg',
    'yak': 'val',
    's_yak': 'yak_test_seg_isnet_pp',
    'elephant': 'ele_test_v3_seg',
}  # of the published configs, beside Animal-Seg-V3


@needs_published_lists
@pytest.mark.parametrize('train', ['tiger', 'yak', 'elephant', 'all'])
@pytest.mark.parametrize('test', sorted(ROOTS))
def test_no_false_alarm_on_the_published_lists(monkeypatch, train, test):
    """Where no two photos are the same; also of a model of one species, or of all, tested on
    another.
    """
    sizes = {}
    monkeypatch.setattr(os.path, 'getsize', lambda path: sizes.setdefault(path, len(sizes)))

    def located(name, root):
        return [
            Record(f'/data/{root}/{record.path}', record.pid)
            for record in read_list(PUBLISHED_LISTS / name)
        ]

    train_list, val_list = TRAINING_LISTS[train]
    lists = [located(name, 'Animal-Seg-V3') for name in (train_list, val_list)]
    lists.append(
        [
            record
            for name in dict.fromkeys(TEST_LISTS[test])
            for record in located(name, ROOTS[test])
        ]
    )
    assert data_warnings(*lists) == []
