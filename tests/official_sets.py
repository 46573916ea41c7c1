"""The person and vehicle sets in miniature, in their official layouts: junk, distractors, cameras,
lists, key points.

Each function writes below ``root`` (DATASETS.ROOT_DIR) and returns the set's folder.
"""

from tests.helpers import write_photo

SIZE = (8, 16)  # width, height in pixels


def photos(folder, names):
    """Photos of these names; who is shown follows from the number that a name begins with."""
    for number, name in enumerate(names):
        write_photo(folder / name, int(name.rsplit('/', 1)[-1].split('_')[0]) % 97, number, SIZE)


def market_like(folder):
    """Train: identities 2, 7, 11 by cameras 1 and 3. Test: 1 and 1501, by cameras 1, 2, 6; junk, a
    distractor, a Thumbs.db.
    """
    photos(
        folder / 'bounding_box_train',
        [
            f'{pid:04d}_c{camera}s1_{frame:06d}_01.jpg'
            for pid in (7, 2, 11)
            for camera in (1, 3)
            for frame in (151, 426)
        ]
        + ['-1_c1s1_000401_03.jpg'],
    )
    photos(folder / 'query', ['0001_c1s1_001051_00.jpg', '1501_c6s3_008977_00.jpg'])
    photos(
        folder / 'bounding_box_test',
        [
            '-1_c1s1_000401_00.jpg',
            '0000_c2s1_000151_01.jpg',
            '0001_c1s1_001051_03.jpg',
            '0001_c2s1_001976_01.jpg',
            '1501_c2s3_000001_02.jpg',
            '1501_c6s3_008977_01.jpg',
        ],
    )
    (folder / 'bounding_box_test/Thumbs.db').write_bytes(b'\0')
    return folder


def market1501(root):
    return market_like(root / 'Market-1501-v15.09.15')


def dukemtmc(root):
    return duke_like(root / 'dukemtmcreid/DukeMTMC-reID')


def occ_duke(root):
    return duke_like(root / 'dukemtmcreid/Occluded_Duke')


def duke_like(folder):
    photos(
        folder / 'bounding_box_train',
        [
            f'{pid:04d}_c{camera}_f{frame:07d}.jpg'
            for pid in (1, 5, 5005)
            for camera in (2, 8)
            for frame in (46182, 46302)
        ],
    )
    photos(folder / 'query', ['0003_c2_f0046182.jpg', '0020_c5_f0051341.jpg'])
    photos(
        folder / 'bounding_box_test',
        [
            '0003_c2_f0046302.jpg',
            '0003_c7_f0040000.jpg',
            '0020_c6_f0051341.jpg',
            '0999_c1_f0051342.jpg',
        ],
    )
    return folder


def msmt17(root, folder='MSMT17', train='train', test='test'):
    """Train labels 0 … 2 in two lists, test labels from 0 again; cameras 1 and 15."""
    lists = {
        'list_train.txt': (train, [(0, 1, 1), (0, 15, 2), (1, 1, 3), (1, 15, 4), (2, 1, 5)]),
        'list_val.txt': (train, [(0, 1, 6), (1, 1, 7), (2, 15, 8)]),
        'list_query.txt': (test, [(0, 1, 1), (1, 15, 2)]),
        'list_gallery.txt': (test, [(0, 15, 3), (0, 1, 4), (1, 1, 5)]),
    }
    for file, (part, rows) in lists.items():
        names = [
            f'{pid:04d}/{pid:04d}_{number:03d}_{camera:02d}_0303morning_0008_0.jpg'
            for pid, camera, number in rows
        ]
        photos(root / folder / part, names)
        text = ''.join(f'{name} {pid}\n' for name, (pid, *_) in zip(names, rows, strict=True))
        (root / folder / file).write_text(text)
    return root / folder


def msmt17_v2(root):
    return msmt17(root, 'MSMT17_V2', 'mask_train_v2', 'mask_test_v2')


VERI_VIEWS = {  # file -> photo -> view
    'keypoint_train.txt': {
        '0001_c001_00016450_0.jpg': 0,
        '0001_c020_00016460_0.jpg': 7,
        '0030_c008_00049745_0.jpg': 3,
        '0030_c009_00049750_0.jpg': 4,
        '0005_c003_00084280_0.jpg': 1,
    },
    'keypoint_test.txt': {
        '0002_c002_00030600_0.jpg': 5,
        '0002_c014_00030605_1.jpg': 2,
        '0776_c004_00084275_0.jpg': 6,
        '0776_c011_00084290_0.jpg': 0,
        '0000_c001_00000001_0.jpg': 2,
        '0005_c003_00084280_0.jpg': 2,
    },
}
VERI = {
    'image_train': [
        '-1_c001_00000001_0.jpg',
        *VERI_VIEWS['keypoint_train.txt'],
        '0005_c003_00084281_0.jpg',
    ],
    'image_query': [
        '0002_c002_00030600_0.jpg',
        '0776_c004_00084275_0.jpg',
        '0776_c005_00084276_0.jpg',
    ],
    'image_test': [
        '0000_c001_00000001_0.jpg',
        '0002_c002_00030601_0.jpg',
        '0002_c014_00030605_1.jpg',
        '0776_c004_00084275_0.jpg',
        '0776_c011_00084290_0.jpg',
    ],
}


def veri(root):
    """Train 1, 5, 30, test 2 and 776, cameras 1 … 20. One photo each of train, query and test has
    no view (``keypoints``).
    """
    for part, names in VERI.items():
        photos(root / 'VeRi' / part, names)
    return root / 'VeRi'


def keypoints(folder):
    """VeRi's key-point lists: 20 points and a view. The test list repeats lines, as the real one
    does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file, views in VERI_VIEWS.items():
        part = 'image_test' if 'test' in file else 'image_train'
        lines = [
            ' '.join([f'VeRi/{part}/{name}', *['-1'] * 38, '12', '34', str(view)])
            for name, view in views.items()
        ]
        (folder / file).write_text('\n'.join(lines + lines[:1]) + '\n')
    return folder


def vehicleid(root, test_size=800):
    """Train: vehicles 31, 40, 7 of 3 photos. Test: 101 (4 photos), 102 (2) and 103 (1)."""
    folder = root / 'VehicleID_V1.0'
    lists = {
        'train_list.txt': [31] * 3 + [40] * 3 + [7] * 3,
        f'test_list_{test_size}.txt': [101] * 4 + [102] * 2 + [103],
    }
    (folder / 'train_test_split').mkdir(parents=True)
    for start, (file, vehicles) in zip((1, 100), lists.items(), strict=True):
        numbers = [f'{start + index:07d}' for index in range(len(vehicles))]
        for number, vehicle in zip(numbers, vehicles, strict=True):
            write_photo(folder / f'image/{number}.jpg', vehicle, int(number), SIZE)
        text = ''.join(
            f'{number} {vehicle}\n' for number, vehicle in zip(numbers, vehicles, strict=True)
        )
        (folder / 'train_test_split' / file).write_text(text)
    return folder


SETS = {
    'market1501': market1501,
    'dukemtmc': dukemtmc,
    'occ_duke': occ_duke,
    'msmt17': msmt17,
    'veri': veri,
    'VehicleID': vehicleid,
}
