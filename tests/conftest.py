"""Small worlds for the tests: toy CLIPs, photos with a colour and a stripe width for each individual, lists, a config."""
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).parent / 'golden'
sys.path[:0] = [str(ROOT), str(GOLDEN)]

torch.set_num_threads(1)  # on toy tensors two threads are slower than one

from model.clip.weights import Architecture  # noqa: E402
from utils.logger import close_logger  # noqa: E402

TIMES = {'time', 'seconds', 'photos_per_second', 'data_wait_share', 'memory_gb'}  # of metrics.jsonl: other each time
TOY = {'RN50': Architecture((1, 1, 1, 1), 16, 16, 64, 2, 64, 2), 'ViT-B-16': Architecture(2, 64, 16, 64, 2, 64, 2)}


def toy_clip_state(name, seed=0):
    """A CLIP state dict with OpenAI's names, random weights, narrow, made for 32 × 32 pixels."""
    torch.manual_seed(seed)
    arch = TOY[name]
    image, text = arch.build((32, 32), (16, 16))
    return {**{f'visual.{n}': t for n, t in image.state_dict().items()}, **text.state_dict(),
            'token_embedding.weight': torch.randn(49408, 64) * 0.02, 'logit_scale': torch.tensor(4.6)}


@pytest.fixture(scope='session')
def toy_weights(tmp_path_factory):
    """{name: path of a toy CLIP's weights}"""
    folder = tmp_path_factory.mktemp('weights')
    for name in TOY:
        torch.save(toy_clip_state(name), folder / f'{name}.pth')
    return {name: str(folder / f'{name}.pth') for name in TOY}


def write_photo(path, individual, number, size=(40, 30)):
    """A photo whose stripes and colour tell the individual, with noise."""
    rng = np.random.default_rng([individual, number])
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:size[1], :size[0]]
    stripes = np.sin(x * (0.3 + 0.1 * individual) + rng.random())[..., None] * 60
    colour = np.random.default_rng(individual).integers(60, 190, 3)
    photo = np.clip(colour + stripes + rng.normal(0, 12, (*size[::-1], 3)), 0, 255)
    Image.fromarray(photo.astype(np.uint8)).save(path)


def write_world(folder, train=6, photos=4, test=4):
    """Photos and lists of a species 'toy': train and val, query and gallery of other individuals."""
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
        'MODEL': {'DEVICE': 'cpu', 'NAME': name, 'PRETRAIN_PATH': weights, 'PRETRAIN_CHOICE': 'clip'},
        'INPUT': {'SIZE_TRAIN': [32, 32], 'SIZE_TEST': [32, 32], 'PADDING': 2},
        'DATASETS': {'NAMES': 'animals', 'SPECIES': 'toy', 'ROOT_DIR': str(folder), 'DATA_DIR': 'photos',
                     'TEST_ROOT_DIR': str(folder / 'test'), 'LIST_DIR': str(folder / 'lists'),
                     'TRAIN_LIST': 'train.txt', 'VAL_LIST': 'val.txt', 'QUERY_LIST': 'query.txt',
                     'GALLERY_LIST': 'gallery.txt'},
        'DATALOADER': {'SAMPLER': 'softmax_triplet', 'NUM_INSTANCE': 2, 'NUM_WORKERS': 0},
        'SOLVER': {'STAGE1': {'IMS_PER_BATCH': 8, 'MAX_EPOCHS': 2, 'CHECKPOINT_PERIOD': 2, 'LOG_PERIOD': 2},
                   'STAGE2': {'IMS_PER_BATCH': 8, 'MAX_EPOCHS': 2, 'CHECKPOINT_PERIOD': 2, 'LOG_PERIOD': 1,
                              'EVAL_PERIOD': 1}},
        'TEST': {'IMS_PER_BATCH': 8, 'NECK_FEAT': 'before', 'RERANK_K1': 5, 'RERANK_K2': 2},
        'OUTPUT_DIR': str(folder / 'output'),
    }


class World:
    """A folder with photos, lists and a config; ``yml(...)`` writes the config and returns its path."""

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


@pytest.fixture
def world(tmp_path, toy_weights):
    return World(tmp_path, toy_weights)


@pytest.fixture
def cuda(monkeypatch):
    """torch says that there is a GPU. For tensors on it enter ``fake_cuda()``, or this fixture, a ``FakeTensorMode``."""
    from torch._subclasses import fake_tensor

    from datasets import transforms
    answers = {'is_available': True, 'is_bf16_supported': True, 'device_count': 1, 'get_device_name': 'no GPU',
               'get_device_capability': (9, 0), 'max_memory_allocated': 0, 'get_rng_state': torch.zeros(16, dtype=torch.uint8),
               'set_rng_state': None}
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, _answer=answer, **__: _answer)
    stream = SimpleNamespace(is_capturing=lambda: False)
    monkeypatch.setattr(torch.accelerator, 'current_stream', lambda *_: stream)  # asked for by the optimizers
    monkeypatch.setattr(fake_tensor.FakeTensorMode, 'avoid_device_init', True)
    monkeypatch.setattr(fake_tensor, 'init_gpu_context', lambda *_: None)
    yield fake_tensor.FakeTensorMode(allow_non_fake_inputs=True)
    transforms._row.cache_clear()


@pytest.fixture(autouse=True)
def _logs_closed():
    yield
    close_logger()
