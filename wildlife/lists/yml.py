"""Text of the two yml files of make_lists, and the commands that use them."""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from yacs.config import CfgNode

from configs import load_cfg
from datasets.animal import TRAINING_LISTS
from datasets.protocols import PROTOCOLS
from datasets.sampler import choose_batch
from model.names import START
from wildlife.words import counted

PROJECT = Path(__file__).resolve().parents[2]
INSTANCES, INDIVIDUALS = 4, 16  # photos per individual and individuals in a batch (base_cnn.yml)
SIZE = (256, 128)  # (height, width) in pixels, as published
CELL = 16  # pixels: side of a cell in the feature maps of both towers
SMALL_TEST = 20  # with so few test photos, re-ranking's default neighbourhoods are too large


@dataclass(frozen=True)
class DataSet:
    """Facts about a data set that the yml files need.

    Attributes:
        out: The folder of the lists.
        root: The folder of the photos.
        name: The name of the species.
        labels: The labels of the train list; [] = a test without training.
        test_photos: The number of distinct photos in the test.
        lists: The names of the lists that exist: 'train', 'val' …
        protocol: The value of DATASETS.PROTOCOL.
        shape: The median width / height of the photos.
    """

    out: Path
    root: Path
    name: str
    labels: list[int]
    test_photos: int
    lists: list[str]
    protocol: str
    shape: float


def fitting_size(shape: float) -> tuple[int, int]:
    """Return (height, width) in whole cells, with about as many pixels as the published size.

    Args:
        shape: Width / height of the photos.
    """
    height = CELL * max(2, round((SIZE[0] * SIZE[1] / shape) ** 0.5 / CELL))
    return height, CELL * max(2, round(SIZE[0] * SIZE[1] / height / CELL))


def yml_text(kind: str, data: DataSet) -> str:
    """Return the text of a yml file for a data set, based on configs/base_<kind>.yml.

    Args:
        kind: 'cnn' or 'vit'.
        data: Facts about the data set.
    """
    base = PROJECT / 'configs' / f'base_{kind}.yml'
    if _is_near(data.out):
        base = Path(os.path.relpath(base, os.path.realpath(data.out)))
    species = data.name
    if (
        species in TRAINING_LISTS or species in PROTOCOLS
    ):  # the lists of the built-in species would be used
        species = f'own_{species}'
    trained = f'{len(set(data.labels))} training individuals' if data.labels else 'only a test'
    lines = [
        f'# {data.name}: {trained}. Made by tools/make_lists.py; see report.html.',
        f'_BASE_: {_quoted(str(base))}',
        '#MODEL:                           # optional: name the animal in the prompt before '
        'training, and keep it for tests',
        f"#  PROMPT: 'A photo of a X X X X {data.name}.'",
        *_size_lines(data.shape),
        *_data_lines(data, species),
        *_batch_lines(data.labels),
        *_rerank_lines(data.test_photos),
        f'OUTPUT_DIR: {_quoted(f"./output/{species}/{kind}")}',
    ]
    return '\n'.join([*lines, ''])


def _size_lines(shape: float) -> list[str]:
    """Suggest a size that fits the photos, as a comment; [] if the published size fits.

    No space follows the ``#``: removing the ``#`` alone gives a valid yml.
    """
    size = fitting_size(shape)
    if size == SIZE:
        return []
    return [
        '#INPUT:                           # height, width in pixels, multiples of 16',
        f'#  SIZE_TRAIN: {list(size)}         # fits these photos (width / height {shape:.2f}) '
        'with about as',
        f'#  SIZE_TEST: {list(size)}          # many pixels as the published size {list(SIZE)}',
    ]


def _data_lines(data: DataSet, species: str) -> list[str]:
    root = from_project(data.root)
    above, folder = os.path.split(root)
    lines = [
        'DATASETS:',
        "  NAMES: 'animals'",
        f'  SPECIES: {_quoted(species)}',
        f'  ROOT_DIR: {_quoted(above or ".")}            # train and validation photos: '
        'ROOT_DIR/DATA_DIR',
        f'  DATA_DIR: {_quoted(folder or ".")}',
        f'  TEST_ROOT_DIR: {_quoted(root)}',
        f'  LIST_DIR: {_quoted(from_project(data.out))}',
    ]
    for name in ('train', 'val', 'query', 'gallery'):
        file = f'{name}.txt' if name in data.lists else ''
        lines.append(f'  {name.upper()}_LIST: {_quoted(file)}')
    return [*lines, f'  PROTOCOL: {_quoted(data.protocol)}']


def _batch_lines(labels: list[int]) -> list[str]:
    """Set a smaller batch if there are too few individuals."""
    epoch = choose_batch(labels, INDIVIDUALS, INSTANCES)
    if not labels or epoch.individuals >= INDIVIDUALS:
        return []
    batch = epoch.individuals * INSTANCES
    return [
        'SOLVER:',
        '  STAGE2:',
        f'    IMS_PER_BATCH: {batch}            # {epoch.individuals} individuals x '
        f'{INSTANCES} photos; an epoch has about {counted(epoch.steps, "batch")}',
    ]


def _rerank_lines(test_photos: int) -> list[str]:
    if test_photos > SMALL_TEST:
        return []
    return [
        'TEST:',
        f'  RERANK_K1: {test_photos - 1}',
        f'  RERANK_K2: {min(6, test_photos - 1)}',
    ]


def yml_notes(data: DataSet) -> list[str]:
    """Return notes for the report about batches and photo sizes."""
    notes = []
    epoch = choose_batch(data.labels, INDIVIDUALS, INSTANCES)
    if data.labels and epoch.individuals < INDIVIDUALS:
        individuals = counted(len(set(data.labels)), 'individual')
        notes.append(
            f'only {individuals} for training, so {epoch.individuals} and not {INDIVIDUALS} in a '
            'batch (SOLVER.STAGE2.IMS_PER_BATCH); an epoch has about '
            f'{counted(epoch.steps, "batch")}'
        )
    size = fitting_size(data.shape)
    if size != SIZE:
        notes.append(
            f'the photos (median width / height {data.shape:.2f}) are resized to {SIZE[0]} x '
            f'{SIZE[1]} (height x width), as published; {size[0]} x {size[1]} would fit better: '
            'see INPUT in the yml files'
        )
    return notes


def load_text(text: str, out: Path) -> CfgNode:
    """Load the config of a yml text as if it were stored in ``out``.

    Raises:
        ConfigError: The text is not a valid config.
    """
    (base,) = re.findall(r"^_BASE_: '(.*)'$", text, re.MULTILINE)
    real = os.path.normpath(os.path.join(os.path.realpath(out), base))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'trial.yml'
        path.write_text(text.replace(f"_BASE_: '{base}'", f"_BASE_: '{real}'"), encoding='utf-8')
        return load_cfg(path)


def commands(out: Path, cfg: CfgNode, is_open: bool = False) -> list[str]:
    """Return the commands to run next, from the project's folder.

    Without a train list, the tests are those of the starting weights.

    Args:
        out: The folder of the lists.
        cfg: The config of the yml file for a CNN.
        is_open: Whether the test has queries of individuals that are not in the gallery.
    """
    config = f'--config_file {_shell(os.path.join(from_project(out), "cnn_clipreid.yml"))}'
    weight, training = START, []
    if cfg.DATASETS.TRAIN_LIST:
        weight = _shell(f'{cfg.OUTPUT_DIR}/{cfg.MODEL.NAME}_{cfg.SOLVER.STAGE2.MAX_EPOCHS}.pth')
        training = [f'python train_clipreid.py {config}']
    test = f'{config} TEST.WEIGHT {weight}'
    open_set = [f'python -m tools.open_set {test}'] if is_open else []
    return [
        f'python -m tools.check_data {config}',
        *training,
        f'python test_clipreid.py {test}',
        *open_set,
        f'python test_rerank_clipreid.py {test}',
        f'python -m tools.rank_photos --photos NEW_PHOTOS {test}',
    ]


def from_project(path: Path) -> str:
    """Return a path for the yml files: relative to the project's folder if possible."""
    real = os.path.realpath(path)
    return os.path.relpath(real, PROJECT) if _is_near(path) else real


def _is_near(path: Path) -> bool:
    """Return whether the project's folder is the current one, and ``path`` is in or beside it."""
    return Path.cwd() == PROJECT and path.resolve().is_relative_to(PROJECT.parent)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _shell(text: str) -> str:
    return text if re.fullmatch(r'[\w./+-]+', text) else "'" + text.replace("'", "'\\''") + "'"
