"""A small herd whose data are right, and the means to spoil them one fault at a time."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from tools.check_data import main
from wildlife.checks.rules import CHECKS

ROOT = Path(__file__).resolve().parents[3]


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


def closed(herd):
    """All gallery photos are of the train and validation lists, the queries are others: known
    individuals, new photos.
    """
    herd.lists['query'], herd.lists['val'] = herd.lists['val'], []
    herd.add('val', 'train/animal0/x.jpg', 0, picture(100))
    herd.lists['gallery'] = herd.lists['train'] + herd.lists['val']
