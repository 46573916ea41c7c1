"""What weights are and say of themselves, and what of it must match the config."""

import re
from pathlib import Path

from yacs.config import CfgNode

from model.clip.architecture import ARCHITECTURES, Architecture
from model.prompt import TOKENS, Sentence, find_slots, sentence_for
from model.reid_model import side_rows
from utils.checkpoint import Checkpoint, State, load_checkpoint
from utils.errors import InputError, Mismatch

TEXT_SIDE = ('prompt_learner.', 'text_encoder.')  # what a base variant does not have
VERI_CAMERAS, VERI_VIEWS = 20, 8  # of VeRi; the views are those of the key points' lists
# What no shape tells of a model: name in its notes -> what it is, what to do where it differs.
NOTES = {
    'positions': (
        'positions (rows x columns)',
        'set INPUT.SIZE_TRAIN and MODEL.STRIDE_SIZE as in training',
    ),
    'side': ('cameras, views', 'use MODEL.PRETRAIN_CHOICE finetune to start from its encoders'),
    'sie_coe': ('MODEL.SIE_COE', 'set it as in training'),
}

# What begins a name in a state dict -> what that state dict is instead of OpenAI's CLIP.
OTHERS = {
    'classifier.weight': (
        'a trained re-identification model; set MODEL.PRETRAIN_CHOICE self or finetune'
    ),
    'vision_model.': "of the library transformers; take the same CLIP's file of open_clip",
    'visual.trunk.': (
        "a CLIP whose image tower is one of the library timm; towers like OpenAI's can be used"
    ),
    'text.': (
        "a CLIP with another text tower than OpenAI's (text.…), which prompts cannot use; a base "
        'variant does without: SOLVER.STAGE1.MAX_EPOCHS 0 and MODEL.I2T_LOSS_WEIGHT 0'
    ),
}


def has_prompts(state: State) -> bool:
    """Return whether it is a trained model's state and no base variant's."""
    return any(name.startswith(TEXT_SIDE) for name in state)


def read_trained(path: str, key: str) -> Checkpoint:
    """Read a trained model.

    Raises:
        InputError: it cannot be read, or its classifier or its prompts are missing or of another
            shape.
    """
    source = load_checkpoint(path, key)
    found = {name: tensor.dim() for name, tensor in source.state.items()}
    expected = {'classifier.weight': 2}
    if has_prompts(source.state):
        expected |= {'prompt_learner.token_prefix': 3, 'prompt_learner.token_suffix': 3}
    if not expected.items() <= found.items():
        raise InputError(
            f'{key}: {path} is no trained re-identification model (classifier.weight or '
            "prompt_learner.* missing or of another shape); CLIP's own weights go into "
            'MODEL.PRETRAIN_PATH with PRETRAIN_CHOICE clip'
        )
    return source


def sentence_of(cfg: CfgNode, source: Checkpoint) -> Sentence:
    """Return the sentence of a trained model.

    Raises:
        Mismatch: it is not that of the config.
    """
    text = sentence_for(cfg.DATASETS.NAMES, cfg.MODEL.PROMPT)
    tokens, start = find_slots(text)
    prefix = source.state['prompt_learner.token_prefix']  # (1, p, width)
    suffix = source.state['prompt_learner.token_suffix']  # (1, n, width)
    # one repeated padding vector follows the end token; fabricated weights have none
    words = (suffix[0] != suffix[0, -1]).any(dim=1).nonzero().flatten().tolist()
    end = int(tokens.argmax()) - start - TOKENS
    padded = len(words) < suffix.shape[1] - 1
    if prefix.shape[1] != start or (padded and words[-1:] != [end]):
        raise Mismatch(
            f'{source.key}: MODEL.PROMPT {text!r} is not the sentence that the checkpoint was '
            'trained with; set MODEL.PROMPT to that one'
        )
    return Sentence(prefix, suffix, tokens)


def side_of(cfg: CfgNode, source: Checkpoint) -> tuple[int, int]:
    """Return (cameras, views) of the trained model of TEST.WEIGHT.

    Raises:
        Mismatch: the config has other side information than the model.
    """
    embedding = source.state.get('cv_embed')
    rows = len(embedding) if embedding is not None and embedding.dim() else 0
    noted = source.about.get('side') or '{},{}'.format(*_guessed_side(cfg, source, rows))
    found = re.fullmatch(r'(\d{1,6}),(\d{1,6})', noted)
    side = (int(found[1]), int(found[2])) if found else (0, 0)
    if not found or side_rows(side) != rows:
        raise InputError(
            f'TEST.WEIGHT: {source.path} is damaged: it says that it knows {noted[:40]!r} cameras '
            f'and views, and has {rows} embeddings of them'
        )
    if (side[0] > 0, side[1] > 0) != (cfg.MODEL.SIE_CAMERA, cfg.MODEL.SIE_VIEW):
        raise Mismatch(
            f'TEST.WEIGHT: {source.path} was trained with {rows} embeddings of cameras and views; '
            'set MODEL.SIE_CAMERA / SIE_VIEW as in training'
        )
    return side


def _guessed_side(cfg: CfgNode, source: Checkpoint, rows: int) -> tuple[int, int]:
    """(cameras, views) of a checkpoint of the original, which has their product alone.

    Where the config has both, VeRi's eight views are assumed, else one; where it has one of them,
    more than VeRi has of it are rejected.
    """
    cameras = cfg.MODEL.SIE_CAMERA
    of_veri = cfg.DATASETS.NAMES == 'veri' and rows % VERI_VIEWS == 0
    if rows and cameras and cfg.MODEL.SIE_VIEW:
        views = VERI_VIEWS if of_veri else 1
        return rows // views, views
    if of_veri and rows > (VERI_CAMERAS if cameras else VERI_VIEWS):
        raise Mismatch(
            f'TEST.WEIGHT: {source.path} has {rows} embeddings, as of {rows // VERI_VIEWS} cameras '
            f'x {VERI_VIEWS} views; VeRi has {VERI_CAMERAS} cameras: set both MODEL.SIE_CAMERA and '
            'MODEL.SIE_VIEW True'
        )
    return (rows, 0) if cameras else (0, rows)


def check_notes(source: Checkpoint, ours: dict[str, str], whole: bool) -> None:
    """Reject a trained model whose shapes fit but whose notes differ from the config.

    Args:
        source: the trained model.
        ours: the notes of the model built for it.
        whole: False = its encoders alone are taken.

    Raises:
        Mismatch: other cameras and views, transposed positions, or another factor of the side
            information.
    """
    for name, (what, remedy) in NOTES.items():
        value = ours.get(name, 'none')
        noted = ascii(source.about.get(name, value))[1:-1][:40]
        if noted != value and (whole or name == 'positions'):
            raise Mismatch(
                f'{source.key}: {source.path} was trained with {what} {noted}, here {value}; '
                f'{remedy}'
            )


# ----------------------------------------------------------------------------------- CLIP and sizes


def check_clip(state: State, path: str | Path, prompts: bool) -> None:
    """Reject a state dict that has not the names of OpenAI's CLIP.

    Args:
        state: as it was read.
        path: where it came from.
        prompts: whether the text tower is needed too.

    Raises:
        InputError: says what the state dict is instead.
    """
    for beginning, what in OTHERS.items():
        found = any(name.startswith(beginning) for name in state)
        if found and (prompts or beginning != 'text.'):
            raise InputError(f'MODEL.PRETRAIN_PATH: {path} is {what}')


def check_family(arch: Architecture, name: str, path: str | Path) -> None:
    """Reject weights of another architecture than ``name``.

    Args:
        arch: that of the weights.
        name: MODEL.NAME; other shapes of the same family are allowed.
        path: where the weights came from.

    Raises:
        Mismatch: MODEL.NAME or the weights must change.
    """
    asked = ARCHITECTURES[name]
    official = [n for n, other in ARCHITECTURES.items() if arch in (other, other.without_text())]
    if arch.family != asked.family or (official and name not in official):
        raise Mismatch(
            f'MODEL.NAME is {name}, {_in_words(asked)}, but {path} holds '
            f'{official[0] if official else _in_words(arch)}; change MODEL.NAME or the weights'
        )


def _in_words(arch: Architecture) -> str:
    return 'a ResNet' if arch.family == 'RN' else f'a ViT with patches of {arch.patch} pixels'


def check_sizes(cfg: CfgNode, arch: Architecture) -> None:
    """Reject side information, photo sizes and strides that ``arch`` cannot have.

    Raises:
        Mismatch: always with the value got and the values allowed.
    """
    stride = list(cfg.MODEL.STRIDE_SIZE)
    sizes = list(cfg.INPUT.SIZE_TRAIN), list(cfg.INPUT.SIZE_TEST)
    grid, test_grid = (arch.positions(size, stride) for size in sizes)
    resnet = arch.family == 'RN'
    fits = stride == [16, 16] if resnet else max(stride) <= arch.patch
    if resnet and (cfg.MODEL.SIE_CAMERA or cfg.MODEL.SIE_VIEW):
        raise Mismatch(
            'MODEL.SIE_CAMERA and SIE_VIEW need a ViT; set them to False or choose MODEL.NAME '
            'ViT-B-16'
        )
    if not fits:
        raise Mismatch(
            f"MODEL.STRIDE_SIZE is {stride}; a ResNet's is fixed at [16, 16], a ViT's goes from 1 "
            f'to the size of its patches, here {arch.patch} pixels'
        )
    if min(grid) < 1:
        raise Mismatch(
            f'INPUT.SIZE_TRAIN {sizes[0]} is smaller than one patch of {arch.patch} pixels'
        )
    if grid != test_grid:
        raise Mismatch(
            f'INPUT.SIZE_TRAIN {sizes[0]} and SIZE_TEST {sizes[1]} give different maps of '
            f'positions, {grid} and {test_grid}; make them the same'
        )
