"""Small worlds for the tests: toy CLIPs, photos with a colour and a stripe width for each
individual, lists, a config.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from configs import load_cfg
from model.clip.architecture import Architecture

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).parent / 'golden'
# These lists and ATRW's ground truth are not ours to publish. CONTRIBUTING.md says how to run the
# tests that need them.
PUBLISHED_LISTS = Path(os.environ.get('PUBLISHED_LISTS', ROOT / 'no published lists'))
needs_published_lists = pytest.mark.skipif(
    not PUBLISHED_LISTS.is_dir(), reason='PUBLISHED_LISTS does not name a folder'
)
TIMES = {
    'time',
    'seconds',
    'photos_per_second',
    'data_wait_share',
    'memory_gb',
}  # of metrics.jsonl: other each time
TOY = {
    'RN50': Architecture((1, 1, 1, 1), 16, 16, 64, 64, 2),
    'ViT-B-16': Architecture(2, 64, 16, 64, 64, 2),
}


def timeless_metrics(folder):
    """Lines of ``folder``'s metrics.jsonl, without what differs each time."""
    lines = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    for line in lines:
        for name in TIMES & line.keys():
            del line[name]
    return lines


def get_defaults():
    """The default config, not frozen."""
    cfg = load_cfg()
    cfg.defrost()
    return cfg


def toy_clip_state(name, seed=0):
    """A CLIP state dict with OpenAI's names, random weights, narrow, made for 32 × 32 pixels."""
    torch.manual_seed(seed)
    arch = TOY[name]
    image, text = arch.build((32, 32), (16, 16))
    return {
        **{f'visual.{n}': t for n, t in image.state_dict().items()},
        **text.state_dict(),
        'token_embedding.weight': torch.randn(49408, 64) * 0.02,
        'logit_scale': torch.tensor(4.6),
    }


def write_photo(path, individual, number, size=(40, 30)):
    """A photo whose stripes and colour tell the individual, with noise."""
    rng = np.random.default_rng([individual, number])
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[: size[1], : size[0]]
    stripes = np.sin(x * (0.3 + 0.1 * individual) + rng.random())[..., None] * 60
    colour = np.random.default_rng(individual).integers(60, 190, 3)
    photo = np.clip(colour + stripes + rng.normal(0, 12, (*size[::-1], 3)), 0, 255)
    Image.fromarray(photo.astype(np.uint8)).save(path)


def write_world(folder, train=6, photos=4, test=4):
    """Photos and lists of a species 'toy': train and val, query and gallery of other
    individuals.
    """
    lists = {'train': [], 'val': [], 'query': [], 'gallery': []}
    for individual in range(train):
        for number in range(photos + 1):
            split = 'val' if number == photos else 'train'
            name = f'{split}/{individual}/{number}.png'
            write_photo(folder / 'photos' / name, individual, number)
            lists[split].append(f'{name} {individual} {number % 2}')
    for individual in range(train, train + test):
        for number in range(photos):
            split = 'query' if number == 0 else 'gallery'
            name = f'{individual}/{number}.png'
            write_photo(folder / 'test' / name, individual, number)
            lists[split].append(f'{name} {individual}')
    (folder / 'lists').mkdir(exist_ok=True)
    for split, lines in lists.items():
        (folder / 'lists' / f'{split}.txt').write_text('\n'.join(lines) + '\n')


def toy_config(folder, name, weights):
    return {
        'MODEL': {
            'DEVICE': 'cpu',
            'NAME': name,
            'PRETRAIN_PATH': weights,
            'PRETRAIN_CHOICE': 'clip',
        },
        'INPUT': {'SIZE_TRAIN': [32, 32], 'SIZE_TEST': [32, 32], 'PADDING': 2},
        'DATASETS': {
            'NAMES': 'animals',
            'SPECIES': 'toy',
            'ROOT_DIR': str(folder),
            'DATA_DIR': 'photos',
            'TEST_ROOT_DIR': str(folder / 'test'),
            'LIST_DIR': str(folder / 'lists'),
            'TRAIN_LIST': 'train.txt',
            'VAL_LIST': 'val.txt',
            'QUERY_LIST': 'query.txt',
            'GALLERY_LIST': 'gallery.txt',
        },
        'DATALOADER': {'SAMPLER': 'softmax_triplet', 'NUM_INSTANCE': 2, 'NUM_WORKERS': 0},
        'SOLVER': {
            'STAGE1': {
                'IMS_PER_BATCH': 8,
                'MAX_EPOCHS': 2,
                'CHECKPOINT_PERIOD': 2,
                'LOG_PERIOD': 2,
            },
            'STAGE2': {
                'IMS_PER_BATCH': 8,
                'MAX_EPOCHS': 2,
                'CHECKPOINT_PERIOD': 2,
                'LOG_PERIOD': 1,
                'EVAL_PERIOD': 1,
            },
        },
        'TEST': {'IMS_PER_BATCH': 8, 'NECK_FEAT': 'before', 'RERANK_K1': 5, 'RERANK_K2': 2},
        'OUTPUT_DIR': str(folder / 'output'),
    }


class World:
    """A folder with photos, lists and a config; ``yml(...)`` writes the config and returns its
    path.
    """

    def __init__(self, folder, weights):
        self.folder, self.weights = folder, weights
        write_world(folder)

    @property
    def output(self):
        return self.folder / 'output'

    def yml(self, name='RN50'):
        path = self.folder / f'{name}.yml'
        path.write_text(yaml.safe_dump(toy_config(self.folder, name, self.weights[name])))
        return str(path)

    def args(self, *opts, name='RN50'):
        return ['--config_file', self.yml(name), *map(str, opts)]
