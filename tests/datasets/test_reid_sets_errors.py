"""Official sets with missing or wrong parts: one line says what is wrong."""

import shutil

import pytest

from datasets import sources
from tests import official_sets
from tests.datasets.official_records import cfg_of
from utils.errors import InputError


@pytest.mark.parametrize(
    ('name', 'part', 'line'),
    [
        (
            'market1501',
            '',
            'there is no Market-1501-v15.09.15 in it; market1501 is expected as '
            'Market-1501-v15.09.15/{bounding_box_train,query,bounding_box_test}/*.jpg',
        ),
        (
            'market1501',
            'query',
            'there is no Market-1501-v15.09.15/query in it; market1501 is expected as',
        ),
        (
            'dukemtmc',
            'bounding_box_test',
            'there is no dukemtmcreid/DukeMTMC-reID/bounding_box_test in it',
        ),
        (
            'occ_duke',
            'query',
            'there is no dukemtmcreid/Occluded_Duke/query in it; occ_duke is expected as',
        ),
        (
            'msmt17',
            'test',
            'there is no MSMT17/test in it; msmt17 is expected as MSMT17/{train,test}/0000/*.jpg '
            'with MSMT17/list_{train,val,query,gallery}.txt',
        ),
        ('msmt17', 'list_query.txt', 'there is no MSMT17/list_query.txt in it'),
        (
            'veri',
            'image_query',
            'there is no VeRi/image_query in it; veri is expected as VeRi/'
            '{image_train,image_query,image_test}/*.jpg',
        ),
        (
            'VehicleID',
            'image',
            'there is no VehicleID_V1.0/image in it; VehicleID is expected as '
            'VehicleID_V1.0/image/*.jpg with '
            'VehicleID_V1.0/{train_test_split/train_list.txt,train_test_split/test_list_800.txt}',
        ),
        (
            'VehicleID',
            'train_test_split/test_list_800.txt',
            'there is no VehicleID_V1.0/train_test_split/test_list_800.txt in it',
        ),
    ],
)
def test_a_missing_part(tmp_path, name, part, line):
    gone = official_sets.SETS[name](tmp_path) / part
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    for load in (sources.load_train, sources.load_test):
        with pytest.raises(InputError) as caught:
            load(cfg_of(tmp_path, name))
        assert str(caught.value).startswith(f"DATASETS.ROOT_DIR '{tmp_path}': {line}")
        assert '\n' not in str(caught.value)


def test_a_test_needs_no_train_photos(tmp_path):
    shutil.rmtree(official_sets.market1501(tmp_path) / 'bounding_box_train')
    assert len(sources.load_test(cfg_of(tmp_path, 'market1501')).query) == 2
    with pytest.raises(InputError, match='Market-1501-v15.09.15/bounding_box_train in it'):
        sources.load_train(cfg_of(tmp_path, 'market1501'))


@pytest.mark.parametrize(
    'bad',
    [
        'cat.jpg',
        '0001_c0s1_000151_01.jpg',
        '-2_c1s1_000151_01.jpg',
        '0001_c12345s1.jpg',
        '1_c.jpg',
        '0001_c1s1_\n.jpg',
        '٣_c1s1_000151_01.jpg',
    ],
)
def test_a_photo_of_another_name(tmp_path, bad):
    folder = official_sets.market1501(tmp_path) / 'query'
    (folder / bad).write_bytes(b'')
    with pytest.raises(InputError) as caught:
        sources.load_test(cfg_of(tmp_path, 'market1501'))
    assert f'{folder}: photo {ascii(bad)} is not named by identity and camera' in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'ignored', ['readme.txt', '.0001_c1.jpg', '0001_c1s1_000151_01.jpg.mat', 'Thumbs.db']
)
def test_other_files_are_ignored(tmp_path, ignored):
    (official_sets.market1501(tmp_path) / 'query' / ignored).write_bytes(b'')
    assert len(sources.load_test(cfg_of(tmp_path, 'market1501')).query) == 2


def without_query(folder):
    for photo in (folder / 'query').iterdir():
        photo.unlink()
    (folder / 'query/-1_c1s1_000401_00.jpg').write_bytes(b'')


def one_person(folder):
    for photo in (folder / 'bounding_box_train').glob('00[01][71]*'):
        photo.unlink()


def edit(file, old, new):
    def change(folder):
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))

    return change


def write(file, text):
    return lambda folder: (folder / file).write_text(text)


def other_names(folder):
    official_sets.keypoints(folder)
    for number, photo in enumerate((folder / 'image_query').iterdir()):
        photo.rename(photo.with_name(f'0002_c001_{number}.jpg'))


def drop(*files):
    def change(folder):
        for file in files:
            (folder / file).unlink()

    return change


@pytest.mark.parametrize(
    ('name', 'change', 'line'),
    [
        (
            'market1501',
            without_query,
            r'Market-1501-v15.09.15/query: no photo \(\*\.jpg\) except junk',
        ),
        ('market1501', one_person, 'market1501 train: a single individual'),
        (
            'msmt17',
            edit('list_query.txt', '_01_', '_xx_'),
            "list_query.txt: '0000/0000_001_xx_0303morning_0008_0.jpg' has no camera number",
        ),
        ('msmt17', edit('list_query.txt', '_01_', '_00_'), 'has no camera number'),
        (
            'msmt17',
            edit('list_query.txt', '.jpg 0', '.jpg zero'),
            "list_query.txt:1: label 'zero' is not a whole number",
        ),
        (
            'msmt17',
            edit('list_query.txt', '0000/', '../0000/'),
            'list_query.txt:1: path .* leads out',
        ),
        (
            'msmt17',
            drop('test/0000/0000_001_01_0303morning_0008_0.jpg'),
            (
                r'msmt17 query: 1 of 2 photos are missing in .*MSMT17\' '
                r'\(test/0000/0000_001_01_0303morning_0008_0.jpg\)'
            ),
        ),
        (
            'VehicleID',
            edit('train_test_split/test_list_800.txt', '0000100 101', '0000100.jpg 101'),
            (
                "test_list_800.txt:1: expected 'number identity', like 0346796 12345, got "
                "'0000100.jpg 101'"
            ),
        ),
        (
            'VehicleID',
            edit('train_test_split/train_list.txt', '0000001 31', '../1 31'),
            'train_list.txt:1: expected',
        ),
        (
            'VehicleID',
            edit('train_test_split/train_list.txt', '0000009 7', '\n0000002 40'),
            'train_list.txt:10: photo 0000002 has identity 40 here and 31 above',
        ),
        ('VehicleID', drop('image/0000100.jpg'), 'VehicleID test: 1 of 7 photos are missing'),
        (
            'VehicleID',
            write('train_test_split/test_list_800.txt', '0000100 101\n0000104 102\n'),
            'each of the 2 vehicles has only one photo',
        ),
        (
            'VehicleID',
            write('train_test_split/test_list_800.txt', '\n'),
            'test_list_800.txt: the list is empty',
        ),
        (
            'veri',
            lambda folder: drop('keypoint_train.txt')(official_sets.keypoints(folder)),
            'keypoint_train.txt: no such key-point list .*; put both .* or remove both',
        ),
        (
            'veri',
            lambda folder: edit('keypoint_test.txt', '34 5', '34 8')(
                official_sets.keypoints(folder)
            ),
            (
                r'keypoint_test.txt:1: expected 42 fields \(a path, 20 points x y, a view 0 … 7\), '
                r"got 42, the last '8'"
            ),
        ),
        (
            'veri',
            lambda folder: edit('keypoint_train.txt', '-1 ', '')(official_sets.keypoints(folder)),
            'keypoint_train.txt:1: expected 42 fields .* got 41',
        ),
        (
            'veri',
            lambda folder: edit('keypoint_test.txt', '34 5', '34 4')(
                official_sets.keypoints(folder)
            ),
            r'keypoint_test.txt:7: 0002_c002_00030600_0.jpg has view 5 here and 4 above',
        ),
        ('veri', other_names, 'name none of the query photos'),
    ],
)
def test_bad_sets(tmp_path, name, change, line):
    change(official_sets.SETS[name](tmp_path))
    with pytest.raises(InputError, match=line) as caught:
        sources.load_train(cfg_of(tmp_path, name))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('name', 'opts', 'line'),
    [
        (
            'market1501',
            ['DATASETS.PROTOCOL', 'tiger'],
            "DATASETS.PROTOCOL 'tiger' does not suit market1501; choose one of market, "
            "cross-camera, all, or '' for market",
        ),
        ('veri', ['DATASETS.PROTOCOL', 'cross-side'], "'cross-side' does not suit veri"),
        (
            'VehicleID',
            ['DATASETS.PROTOCOL', 'market'],
            "'market' does not suit VehicleID; choose one of vehicleid",
        ),
        (
            'VehicleID',
            ['MODEL.SIE_CAMERA', 'True'],
            'VehicleID has neither cameras nor views; set MODEL.SIE_CAMERA',
        ),
    ],
)
def test_keys_that_do_not_suit(tmp_path, name, opts, line):
    official_sets.SETS[name](tmp_path)
    for load in (sources.load_train, sources.load_test):
        with pytest.raises(InputError, match=line):
            load(cfg_of(tmp_path, name, *opts))
