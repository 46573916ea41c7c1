"""Reads what weights are and what their notes say, and checks that the config matches."""

import re
from pathlib import Path

from yacs.config import CfgNode

from model.clip.architecture import ARCHITECTURES, Architecture
from model.names import TIMM, is_timm
from model.prompt import TOKENS, Sentence, find_slots, sentence_for
from model.reid_model import side_rows
from utils.checkpoint import Checkpoint, State, load_checkpoint
from utils.errors import InputError, Mismatch

TEXT_SIDE = ('prompt_learner.', 'text_encoder.')  # missing in a base variant
VERI_CAMERAS, VERI_VIEWS = 20, 8  # VeRi's numbers; its key-point lists hold the views
# Facts that shapes do not show: name in the notes -> what it is, how to fix a difference.
NOTES = {
    'positions': (
        'positions (rows x columns)',
        'set INPUT.SIZE_TRAIN and MODEL.STRIDE_SIZE as in training',
    ),
    'side': ('cameras, views', 'use MODEL.PRETRAIN_CHOICE finetune to start from its encoders'),
    'sie_coe': ('MODEL.SIE_COE', 'set it as in training'),
    'size': ('INPUT.SIZE_TRAIN', 'set it as in training'),  # of a timm network of fixed size
    'mean': ('INPUT.PIXEL_MEAN', 'set it as in training'),  # of timm networks, where 'auto' may
    'std': ('INPUT.PIXEL_STD', 'set it as in training'),  # depend on a config beside the weights
}

# Beginning of a name in a state dict -> what that state dict is, if not OpenAI's CLIP.
OTHERS = {
    'classifier.weight': (
        'a trained re-identification model; set MODEL.PRETRAIN_CHOICE self or finetune'
    ),
    'vision_model.': "a CLIP of the library transformers; use open_clip's file of the same CLIP",
    'visual.trunk.': (
        "a CLIP with an image tower from the library timm; only towers like OpenAI's are supported"
    ),
    'text.': (
        "a CLIP with a text tower unlike OpenAI's (text.…), which prompts cannot use; a base "
        'variant needs none: SOLVER.STAGE1.MAX_EPOCHS 0 and MODEL.I2T_LOSS_WEIGHT 0'
    ),
}


def has_prompts(state: State) -> bool:
    """Return whether this trained model has prompts, that is, is not a base variant."""
    return any(name.startswith(TEXT_SIDE) for name in state)


def read_trained(path: str, key: str) -> Checkpoint:
    """Read a trained model.

    Raises:
        InputError: It cannot be read, or its classifier or prompts are missing or have another
            shape.
    """
    source = load_checkpoint(path, key)
    found = {name: tensor.dim() for name, tensor in source.state.items()}
    expected = {'classifier.weight': 2}
    if has_prompts(source.state):
        expected |= {'prompt_learner.token_prefix': 3, 'prompt_learner.token_suffix': 3}
    if not expected.items() <= found.items():
        raise InputError(
            f'{key}: {path} is not a trained re-identification model (classifier.weight or '
            'prompt_learner.* is missing or has another shape); starting weights belong in '
            'MODEL.PRETRAIN_PATH, with PRETRAIN_CHOICE clip; TEST.WEIGHT start tests them'
        )
    return source


def check_encoder(source: Checkpoint, name: str) -> None:
    """Reject a trained model whose encoder is of timm, if ``name`` is not, and the reverse.

    Args:
        source: The trained model.
        name: MODEL.NAME.

    Raises:
        Mismatch: MODEL.NAME or the checkpoint must change.
    """
    noted = ascii(source.about.get('timm', ''))[1:-1][:80]
    of_timm = bool(noted) or any(n.startswith('image_encoder.network.') for n in source.state)
    if not of_timm and not is_timm(name):
        return
    same = noted.partition('.')[0] == name.removeprefix(TIMM).partition('.')[0]
    if of_timm != is_timm(name) or (noted and not same):
        trained = f'{TIMM}{noted or "<name>"}' if of_timm else "an encoder of CLIP's"
        raise Mismatch(
            f'{source.key}: {source.path} was trained with {trained}, but MODEL.NAME is {name}; '
            'set it as in training'
        )


def sentence_of(cfg: CfgNode, source: Checkpoint) -> Sentence:
    """Return the sentence that a trained model was trained with.

    Raises:
        Mismatch: The config has another sentence.
    """
    text = sentence_for(cfg.DATASETS.NAMES, cfg.MODEL.PROMPT)
    tokens, start = find_slots(text)
    prefix = source.state['prompt_learner.token_prefix']  # (1, p, width)
    suffix = source.state['prompt_learner.token_suffix']  # (1, n, width)
    # a repeated padding vector follows the end token, except in fabricated weights
    words = (suffix[0] != suffix[0, -1]).any(dim=1).nonzero().flatten().tolist()
    end = int(tokens.argmax()) - start - TOKENS
    padded = len(words) < suffix.shape[1] - 1
    if prefix.shape[1] != start or (padded and words[-1:] != [end]):
        raise Mismatch(
            f'{source.key}: the checkpoint was not trained with MODEL.PROMPT {text!r}; set the '
            'sentence of its training'
        )
    return Sentence(prefix, suffix, tokens)


def side_of(cfg: CfgNode, source: Checkpoint) -> tuple[int, int]:
    """Return (cameras, views) of the trained model of TEST.WEIGHT.

    Raises:
        Mismatch: The config has different side information.
    """
    embedding = source.state.get('cv_embed')
    rows = len(embedding) if embedding is not None and embedding.dim() else 0
    noted = source.about.get('side') or '{},{}'.format(*_guess_side(cfg, source, rows))
    found = re.fullmatch(r'(\d{1,6}),(\d{1,6})', noted)
    side = (int(found[1]), int(found[2])) if found else (0, 0)
    if not found or side_rows(side) != rows:
        raise InputError(
            f'TEST.WEIGHT: {source.path} is damaged: it notes {noted[:40]!r} cameras, views, but '
            f'has {rows} embeddings'
        )
    if (side[0] > 0, side[1] > 0) != (cfg.MODEL.SIE_CAMERA, cfg.MODEL.SIE_VIEW):
        raise Mismatch(
            f'TEST.WEIGHT: {source.path} was trained with {rows} embeddings of cameras and views; '
            'set MODEL.SIE_CAMERA / SIE_VIEW as in training'
        )
    return side


def _guess_side(cfg: CfgNode, source: Checkpoint, rows: int) -> tuple[int, int]:
    """Guess (cameras, views) of a checkpoint of the original, which holds only their product.

    If the config uses both, assume eight views for VeRi, else one. If it uses one of them, reject
    more than VeRi has.
    """
    cameras = cfg.MODEL.SIE_CAMERA
    of_veri = cfg.DATASETS.NAMES == 'veri' and rows % VERI_VIEWS == 0
    if rows and cameras and cfg.MODEL.SIE_VIEW:
        views = VERI_VIEWS if of_veri else 1
        return rows // views, views
    if of_veri and rows > (VERI_CAMERAS if cameras else VERI_VIEWS):
        raise Mismatch(
            f'TEST.WEIGHT: {source.path} has {rows} embeddings, probably for {rows // VERI_VIEWS} '
            f'cameras x {VERI_VIEWS} views, as VeRi has {VERI_CAMERAS} cameras; set both '
            'MODEL.SIE_CAMERA and MODEL.SIE_VIEW True'
        )
    return (rows, 0) if cameras else (0, rows)


def check_notes(source: Checkpoint, ours: dict[str, str], whole: bool) -> None:
    """Reject a trained model whose shapes match but whose notes differ from the config.

    Args:
        source: The trained model.
        ours: The notes of the model built for it.
        whole: Whether all of it is used, or only its encoders.

    Raises:
        Mismatch: Different cameras and views, transposed positions, another factor for the side
            information, or, with an encoder of timm, another mean, std or fixed size.
    """
    for name, (what, remedy) in NOTES.items():
        value = ours.get(name, 'none')
        noted = ascii(source.about.get(name, value))[1:-1][:40]
        if noted != value and (whole or name not in ('side', 'sie_coe')):
            raise Mismatch(
                f'{source.key}: {source.path} was trained with {what} {noted}, here {value}; '
                f'{remedy}'
            )


# ----------------------------------------------------------------------------------- CLIP and sizes


def check_clip(state: State, path: str | Path, prompts: bool) -> None:
    """Reject a state dict without the names of OpenAI's CLIP.

    Args:
        state: As it was read.
        path: Where it came from.
        prompts: Whether the text tower is needed.

    Raises:
        InputError: The message says what the state dict is instead.
    """
    for beginning, what in OTHERS.items():
        found = any(name.startswith(beginning) for name in state)
        if found and (prompts or beginning != 'text.'):
            raise InputError(f'MODEL.PRETRAIN_PATH: {path} is {what}')


def check_family(arch: Architecture, name: str, path: str | Path) -> None:
    """Reject weights of an architecture other than ``name``.

    Args:
        arch: The architecture of the weights.
        name: MODEL.NAME; other shapes of the same family are allowed.
        path: Where the weights came from.

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
    """Reject side information, photo sizes and strides that ``arch`` does not support.

    Raises:
        Mismatch: The message gives the value and what is allowed.
    """
    stride = list(cfg.MODEL.STRIDE_SIZE)
    sizes = list(cfg.INPUT.SIZE_TRAIN), list(cfg.INPUT.SIZE_TEST)
    grid, test_grid = (arch.positions(size, stride) for size in sizes)
    resnet = arch.family == 'RN'
    fits = stride == [16, 16] if resnet else max(stride) <= arch.patch
    if resnet and (cfg.MODEL.SIE_CAMERA or cfg.MODEL.SIE_VIEW):
        raise Mismatch(
            'MODEL.SIE_CAMERA and SIE_VIEW need a ViT; set them to False, or MODEL.NAME to ViT-B-16'
        )
    if not fits:
        raise Mismatch(
            f'MODEL.STRIDE_SIZE is {stride}; it must be [16, 16] for a ResNet, and at most the '
            f'patch size for a ViT, here {arch.patch} pixels'
        )
    if min(grid) < 1:
        raise Mismatch(
            f'INPUT.SIZE_TRAIN {sizes[0]} is smaller than one patch of {arch.patch} pixels'
        )
    if grid != test_grid:
        raise Mismatch(
            f'INPUT.SIZE_TRAIN {sizes[0]} and SIZE_TEST {sizes[1]} give different grids of '
            f'positions, {grid} and {test_grid}; set them to the same size'
        )
