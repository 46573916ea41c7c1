"""What the rows are measured on, all of it invented: photos, features, models, the demo's data."""

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
INDIVIDUALS, BATCH = 107, 64  # ATRW's train list; IMS_PER_BATCH of both stages
CLUSTER = 10  # photos of an individual, as in ATRW
DIMENSIONS = 1280  # of a ViT's test features f ‖ f_proj

# Photos


def write_species(
    folder: Path, individuals: int, photos: int, seed: int, drawn: int | None = None
) -> list[str]:
    """Write invented photos and their list, train.txt.

    Args:
        folder: where photos/<individual>/<number>.jpg are written.
        individuals: how many.
        photos: of each individual.
        seed: other photos for another number.
        drawn: photos of an individual that are drawn, the others are copies; None: all.

    Returns:
        KEY VALUE pairs that train on them.
    """
    rng = np.random.default_rng(seed)
    drawn = drawn or photos
    lines = []
    for individual in range(individuals):
        place = folder / 'photos' / str(individual)
        place.mkdir(parents=True)
        for number in range(photos):
            path = place / f'{number}.jpg'
            if number < drawn:
                _photo(rng).save(path, quality=90)
            else:
                shutil.copy(place / f'{number % drawn}.jpg', path)
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
    """640 x 400 pixels with detail at all scales, as photos have."""
    photo = np.full((400, 640, 3), 128.0)
    for cells in (2, 4, 8, 16, 40, 80, 200):  # finer and fainter
        noise = rng.integers(256, size=(cells, cells * 8 // 5, 3), dtype=np.uint8)
        large = Image.fromarray(noise).resize((640, 400), Image.Resampling.BILINEAR)
        photo += (np.asarray(large) - 127.5) / cells**0.4
    return Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8))


def make_demo_data(
    folder: Path, seed: int, individuals: tuple[int, int] | None = None
) -> list[str]:
    """Draw the demo's animals into ``folder`` with its own command.

    Args:
        folder: made where missing.
        seed: of the drawing.
        individuals: to train on and to test on; None: as many as the demo has.

    Returns:
        KEY VALUE pairs that make the demo's ResNet train and test on them.
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
    """Features of the photos (U, D), and the indices of queries and gallery in them.

    Equally many of both are the same photos, as in ATRW.
    """
    if queries == gallery:
        everyone = np.arange(gallery)
        return clustered_features(gallery, seed=settings.seed), everyone, everyone
    features = clustered_features(queries + gallery, seed=settings.seed)
    return features, np.arange(queries), np.arange(queries, queries + gallery)


def clustered_features(photos: int, dimensions: int = DIMENSIONS, seed: int = 1) -> np.ndarray:
    """Features of individuals of CLUSTER photos that overlap, as real ones do.

    Individuals differ in 32 directions, in which their photos scatter too; then noise in all
    directions. Rounded to multiples of 2^-11: their products are then exact in float32 in whatever
    order they are summed. Else two ways could differ by the last bit of a similarity, and by that
    in who is whose neighbour.

    Returns:
        (photos, dimensions) float32 rows of length 1.
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
    """(N, 64) float32 of length 1: a centre for each individual of ``pid`` (N,), and noise."""
    features = rng.standard_normal((pid.max() + 1, 64), dtype=np.float32)[pid]
    features += 1.5 * rng.standard_normal((len(pid), 64), dtype=np.float32)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


# Models


def random_model(
    settings: Settings, name: str, individuals: int = INDIVIDUALS
) -> tuple[Runtime, ReIDModel, CfgNode]:
    """A model of random weights on the device, 'RN50' or 'ViT', with its runtime and config."""
    options = ['MODEL.PRETRAIN_CHOICE', 'random', 'TEST.NECK_FEAT', 'before', *settings.options]
    cfg = load_cfg(ROOT / YML[name], options)
    logger = logging.getLogger('transreid')
    level = logger.level
    logger.setLevel(logging.ERROR)  # it would warn that the weights are random
    model = make_model(cfg, individuals).to(settings.device)
    logger.setLevel(level)
    return make_runtime(settings.device.type), model, cfg


def photos_in_batch(settings: Settings) -> int:
    """Photos of a training step: on the CPU a quarter of the published batch."""
    if settings.photos:
        return settings.photos
    if settings.quick:
        return 8
    return BATCH // 4 if settings.on_cpu else BATCH
