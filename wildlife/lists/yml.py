"""The two ymls of tools/make_lists.py, and the commands that use them."""

import os
import re
import tempfile
from pathlib import Path

from configs import load_cfg
from datasets.animal import TRAINING_LISTS
from datasets.protocols import PROTOCOLS
from datasets.sampler import choose_batch
from wildlife.words import counted

PROJECT = Path(__file__).resolve().parents[2]
INSTANCES, INDIVIDUALS = 4, 16  # of a batch, in configs/base_cnn.yml
SIZE, GRID = (
    (256, 128),
    16,
)  # pixels: as published (height, width), and of a cell of both towers' maps


def fitting_size(shape):
    """(height, width) in whole cells, with about the pixels of the published size, for photos of
    ``shape`` = width / height.
    """
    height = GRID * max(2, round((SIZE[0] * SIZE[1] / shape) ** 0.5 / GRID))
    return height, GRID * max(2, round(SIZE[0] * SIZE[1] / height / GRID))


def yml_text(kind, out, root, name, labels, test_photos, lists, protocol, shape):
    """A yml on configs/base_<kind>.yml, with what this data set needs.

    kind: 'cnn' or 'vit'. out: folder of the lists; root: of the photos; name: of the species.
    labels: of the train list;
    test_photos: different ones; lists: names of those that are there ('train', 'val' …); protocol:
    DATASETS.PROTOCOL;
    shape: median width / height of the photos.
    """
    base = PROJECT / 'configs' / f'base_{kind}.yml'
    base = os.path.relpath(base, os.path.realpath(out)) if _is_near(out) else str(base)
    root = from_project(root)
    above, folder = os.path.split(root)
    species = (
        f'own_{name}' if name in {**TRAINING_LISTS, **PROTOCOLS} else name
    )  # lists and protocols of another
    lines = [
        (
            f'# {name}: {len(set(labels))} individuals to train on. Made by tools/make_lists.py; '
            'report.html tells how.'
        ),
        f'_BASE_: {_quoted(base)}',
        (
            '# MODEL:                          # the sentence may name the animal, before '
            'training: '
            'tests need the same one'
        ),
        f"#   PROMPT: 'A photo of a X X X X {name}.'",
        *_sizes(shape),
        'DATASETS:',
        "  NAMES: 'animals'",
        f'  SPECIES: {_quoted(species)}',
        (
            f'  ROOT_DIR: {_quoted(above or ".")}            # train and validation photos: '
            'ROOT_DIR/DATA_DIR'
        ),
        f'  DATA_DIR: {_quoted(folder or ".")}',
        f'  TEST_ROOT_DIR: {_quoted(root)}',
        f'  LIST_DIR: {_quoted(from_project(out))}',
    ]
    for split in ('train', 'val', 'query', 'gallery'):
        lines.append(f'  {split.upper()}_LIST: {_quoted(f"{split}.txt" if split in lists else "")}')
    lines.append(f'  PROTOCOL: {_quoted(protocol)}')
    epoch = choose_batch(labels, INDIVIDUALS, INSTANCES)
    if epoch.individuals < INDIVIDUALS:
        lines += [
            'SOLVER:',
            '  STAGE2:',
            f'    IMS_PER_BATCH: {epoch.batch_size}            # {epoch.individuals} '
            f'individuals x {INSTANCES} photos; an epoch has about {counted(epoch.steps, "batch")}',
        ]
    if test_photos <= 20:  # the neighbourhoods of re-ranking are smaller than the test set
        lines += [
            'TEST:',
            f'  RERANK_K1: {test_photos - 1}',
            f'  RERANK_K2: {min(6, test_photos - 1)}',
        ]
    return '\n'.join([*lines, f'OUTPUT_DIR: {_quoted(f"./output/{species}/{kind}")}', ''])


def _sizes(shape):
    size = fitting_size(shape)
    if size == SIZE:
        return []
    return [
        '# INPUT:                          # height, width in pixels, multiples of 16',
        (
            f'#   SIZE_TRAIN: {list(size)}        # fits these photos, {shape:.2f} times as wide '
            'as '
            'high, and has about as'
        ),
        f'#   SIZE_TEST: {list(size)}         # many pixels as the published {list(SIZE)}',
    ]


def load_text(text, out):
    """The config that a yml will be once it is in ``out``. Raises ``ConfigError``."""
    base = re.search(r"^_BASE_: '(.*)'$", text, re.MULTILINE)[1]
    real = os.path.normpath(os.path.join(os.path.realpath(out), base))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'trial.yml'
        path.write_text(text.replace(f"_BASE_: '{base}'", f"_BASE_: '{real}'"), encoding='utf-8')
        return load_cfg(path)


def commands(out, cfg):
    """What to run next, from the project's folder. cfg: of the yml for a CNN."""
    config = f'--config_file {_shell(os.path.join(from_project(out), "cnn_clipreid.yml"))}'
    weight = _shell(f'{cfg.OUTPUT_DIR}/{cfg.MODEL.NAME}_{cfg.SOLVER.STAGE2.MAX_EPOCHS}.pth')
    return [
        f'python -m tools.check_data {config}',
        f'python train_clipreid.py {config}',
        f'python test_clipreid.py {config} TEST.WEIGHT {weight}',
        f'python test_rerank_clipreid.py {config} TEST.WEIGHT {weight}',
        f'python -m tools.rank_photos --photos NEW_PHOTOS {config} TEST.WEIGHT {weight}',
    ]


def from_project(path):
    """A path as it is written into a yml: relative to the project's folder where that may be."""
    return (
        os.path.relpath(os.path.realpath(path), PROJECT)
        if _is_near(path)
        else os.path.realpath(path)
    )


def _is_near(path):
    """Whether it is below or beside the project's folder, and that is where we are."""
    return Path.cwd() == PROJECT and Path(path).resolve().is_relative_to(PROJECT.parent)


def _quoted(text):
    return "'" + text.replace("'", "''") + "'"


def _shell(text):
    return text if re.fullmatch(r'[\w./+-]+', text) else "'" + text.replace("'", "'\\''") + "'"
