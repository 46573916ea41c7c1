"""Generated inputs of the rows: photos, features, models, and the data of the demo."""

import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from yacs.config import CfgNode

from benchmarks.core import Settings
from configs import load_cfg
from model.make_model_clipreid import make_model
from model.reid_model import ReIDModel
from utils.device import Runtime, make_runtime

ROOT = Path(__file__).resolve().parents[1]
YML = {'RN50': 'configs/tiger/cnn_clipreid.yml', 'ViT': 'configs/tiger/vit_clipreid.yml'}
INDIVIDUALS = 107  # in the train list of ATRW
BATCH = 64  # IMS_PER_BATCH of both stages
CLUSTER = 10  # photos per individual, about as in ATRW
DIMENSIONS = 1280  # size of the test features of a ViT, f ‖ f_proj

# Photos


def write_species(
    folder: Path, individuals: int, photos: int, seed: int, drawn: int | None = None
) -> list[str]:
    """Write random photos and their list, train.txt.

    Args:
        folder: Folder for photos/<individual>/<number>.jpg and the list.
        individuals: Number of individuals.
        photos: Number of photos per individual.
        seed: Seed of the photos.
        drawn: Number of photos per individual that are generated; the others are copies. None =
            all are generated.

    Returns:
        KEY VALUE pairs for training on these photos.
    """
    rng = np.random.default_rng(seed)
    drawn = drawn or photos
    lines = []
    for individual in range(individuals):
        own_folder = folder / 'photos' / str(individual)
        own_folder.mkdir(parents=True)
        for number in range(photos):
            path = own_folder / f'{number}.jpg'
            if number < drawn:
                _photo(rng).save(path, quality=90)
            else:
                shutil.copy(own_folder / f'{number % drawn}.jpg', path)
            lines.append(f'{individual}/{number}.jpg {individual}\n')
    (folder / 'train.txt').write_text(''.join(lines), encoding='utf-8')
    return [
        *('DATASETS.SPECIES', 'invented'),
        *('DATASETS.ROOT_DIR', str(folder)),
        *('DATASETS.DATA_DIR', 'photos'),
        *('DATASETS.LIST_DIR', str(folder)),
        *('DATASETS.TRAIN_LIST', 'train.txt'),
    ]


def _photo(rng: np.random.Generator) -> Image.Image:
    """Return an image of 640 x 400 pixels with detail at all scales, as in real photos."""
    photo = np.full((400, 640, 3), 128.0)
    for cells in (2, 4, 8, 16, 40, 80, 200):  # ever finer and fainter noise
        noise = rng.integers(256, size=(cells, cells * 8 // 5, 3), dtype=np.uint8)
        large = Image.fromarray(noise).resize((640, 400), Image.Resampling.BILINEAR)
        photo += (np.asarray(large) - 127.5) / cells**0.4
    return Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8))


def make_demo_data(
    folder: Path, seed: int, individuals: tuple[int, int] | None = None
) -> list[str]:
    """Draw the animals of the demo into ``folder`` with its command.

    Args:
        folder: Target folder, created if missing.
        seed: Seed of the animals.
        individuals: Numbers of individuals for training and for the test; None = those of the
            demo.

    Returns:
        KEY VALUE pairs for training and testing the ResNet of the demo on them.
    """
    command = [sys.executable, '-m', 'tools.demo.data', '--out', str(folder), '--seed', str(seed)]
    if individuals:
        command += ['--individuals', *map(str, individuals)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return [
        *('DATASETS.LIST_DIR', str(folder)),
        *('DATASETS.ROOT_DIR', str(folder)),
        *('DATASETS.TEST_ROOT_DIR', str(folder / 'test')),
        *('MODEL.PRETRAIN_PATH', str(folder / 'clip_small_rn.pth')),
    ]


# Features


def query_and_gallery(
    settings: Settings, queries: int, gallery: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the features of the photos (U, D), and the rows of queries and of the gallery.

    If both numbers are equal, queries and gallery are the same photos, as in ATRW.
    """
    if queries == gallery:
        everyone = np.arange(gallery)
        return clustered_features(gallery, seed=settings.seed), everyone, everyone
    features = clustered_features(queries + gallery, seed=settings.seed)
    return features, np.arange(queries), np.arange(queries, queries + gallery)


def clustered_features(photos: int, dimensions: int = DIMENSIONS, seed: int = 1) -> np.ndarray:
    """Return features of individuals with CLUSTER photos each, which overlap as real ones do.

    Individuals differ in 32 directions, in which their photos scatter too. Noise in all directions
    is added. Values are rounded to multiples of 2^-11, so that their products are exact in float32
    in any order of summation. Otherwise two ways could differ in the last bit of a similarity, and
    therefore in the order of neighbours.

    Returns:
        (photos, dimensions) float32, rows of about length 1.
    """
    rng = np.random.default_rng(seed)
    individual = rng.permutation(np.arange(photos) // CLUSTER)
    centre = rng.standard_normal((photos // CLUSTER + 1, 32), dtype=np.float32)[individual]
    centre += 1.2 * rng.standard_normal((photos, 32), dtype=np.float32)
    features = centre @ rng.standard_normal((32, dimensions), dtype=np.float32)
    features += 2 * rng.standard_normal((photos, dimensions), dtype=np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return np.round(features * 2**11) / np.float32(2**11)


def noisy_features(rng: np.random.Generator, pid: np.ndarray) -> np.ndarray:
    """Return features (N, 64) float32 of length 1: the centre of each individual plus noise.

    Args:
        rng: Source of all random numbers.
        pid: (N,) individual of each photo.
    """
    features = rng.standard_normal((pid.max() + 1, 64), dtype=np.float32)[pid]
    features += 1.5 * rng.standard_normal((len(pid), 64), dtype=np.float32)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


# Models


def random_model(
    settings: Settings, name: str, individuals: int = INDIVIDUALS
) -> tuple[Runtime, ReIDModel, CfgNode]:
    """Return the runtime, a model 'RN50' or 'ViT' with random weights, and its config."""
    options = ['MODEL.PRETRAIN_CHOICE', 'random', 'TEST.NECK_FEAT', 'before', *settings.options]
    cfg = load_cfg(ROOT / YML[name], options)
    logger = logging.getLogger('transreid')
    level = logger.level
    logger.setLevel(logging.ERROR)  # suppress the warning that the weights are random
    model = make_model(cfg, individuals).to(settings.device)
    logger.setLevel(level)
    return make_runtime(settings.device.type), model, cfg


def photos_in_batch(settings: Settings) -> int:
    """Return the number of photos in a training step; on the CPU a quarter of the usual batch."""
    if settings.photos:
        return settings.photos
    if settings.quick:
        return 8
    return BATCH // 4 if settings.on_cpu else BATCH
