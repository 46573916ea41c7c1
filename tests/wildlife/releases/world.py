"""The official archives of the three species, fabricated in their layout."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

from configs import load_cfg
from tests.helpers import ROOT

ENTITIES = {0: 3, 4: 4, 13: 2, 21: 5}  # entity: photos
TRUTH = [
    {'imgid': 4, 'entityid': 7, 'query': 'sing', 'frame': [1, 2, 3]},
    {'imgid': 0, 'entityid': 9, 'query': 'multi', 'frame': [1, 2, 90]},
    {'imgid': 12, 'entityid': 7, 'query': 'sing', 'frame': [2, 2, 3]},
]


def photo(name):
    """No picture, as the tools do not look inside; another size for each name."""
    return f'photo {name} '.encode() * (1 + sum(name.encode()) % 50)


def write_tar(path, files):
    with tarfile.open(path, 'w:gz', compresslevel=1) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def write_zip(path, files):
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def write_folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def atrw_files(entities=None, truth=TRUTH):
    """archive: its files."""
    if entities is None:
        entities, number = {}, 100
        for entity, photos in ENTITIES.items():
            for _ in range(photos):
                number += 7
                entities[f'{number:06d}.jpg'] = entity
    table = ''.join(f'{entity},{name}\n' for name, entity in entities.items())
    return {
        'atrw_reid_train.tar.gz': {f'train/{name}': photo(name) for name in entities},
        'atrw_anno_reid_train.tar.gz': {
            'reid_list_train.csv': table.encode(),
            'reid_keypoints_train.json': b'{}',
        },
        'atrw_reid_test.tar.gz': {
            f'test/{entry["imgid"]:06d}.jpg': photo(str(entry['imgid'])) for entry in truth
        },
        'gt_test_plain.json': json.dumps(truth).encode(),
    }


def write_atrw(folder, files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            write_tar(folder / name, content)
    return folder


def run(tool, release, folder, *options):
    releases = release if isinstance(release, list) else [release]
    return tool.main(
        [
            *map(str, releases),
            '--out',
            str(folder / 'data'),
            '--lists',
            str(folder / 'lists'),
            *map(str, options),
        ]
    )


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def listed(folder, *names):
    """Base name: (folder, label, side) of the photos of training lists."""
    return {
        Path(path).name: (Path(path).parent.name, *rest)
        for name in names
        for path, *rest in (
            line.split() for line in (folder / name).read_text().splitlines() if line.strip()
        )
    }


def cfg_of(species, folder, *opts):
    roots = {'tiger': 'tiger/test_original', 'yak': 'val', 'elephant': 'elephant'}
    return load_cfg(
        ROOT / f'configs/{species}/cnn_clipreid_ori.yml',
        [
            'DATASETS.ROOT_DIR',
            str(folder / 'data'),
            'DATASETS.TEST_ROOT_DIR',
            str(folder / 'data' / roots[species]),
            'DATASETS.LIST_DIR',
            str(folder / 'lists'),
            *opts,
        ],
    )


def yak_files(yaks=(2, 85, 90, 160), test=((1, 4), (5, 3))):
    """test: (yak, photos); so few are the hard test."""
    files = {}
    for yak in yaks:
        for number in range(1, 2 + yak % 4):
            files[f'IJCB 2021/train/{yak}/{183 if yak == 90 else yak:05d}_{number:03d}.jpg'] = None
    for yak, photos in test:
        for number in range(1, 1 + photos):
            files[f'IJCB 2021/hard-test/val/{yak}/{yak:05d}_{number:03d}.jpg'] = None
    return {name: photo(name) for name in files}


IMAGES = 'ELPephant (elephant ID system)-selected/images'
TRAIN = ['7_left_1998.jpg', '7_Mai2001.jpg', '12_right.jpg', '12_b right side.jpg']
VAL = ['12_Öhr.jpg', '30_x.jpg']


def elephant_files(**changes):
    files = {f'{IMAGES}/{name}': photo(name) for name in [*TRAIN, *VAL]}
    files |= {f'__MACOSX/{IMAGES}/._{name}': b'mac' for name in TRAIN}
    for split, names in (('train', TRAIN), ('val', VAL)):
        table = changes.get(split, ''.join(f'{name[:2]}\t{name}\tmore\n' for name in names))
        files[f'{IMAGES[:-7]}/{split}.txt'] = table.encode('cp1252')
    return files
