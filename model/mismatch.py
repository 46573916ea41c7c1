"""What is rejected: weights and sizes that do not fit the config or each other."""

from pathlib import Path

import torch
from yacs.config import CfgNode

from model.clip.architecture import ARCHITECTURES, Architecture
from model.trained import Source
from utils.checkpoint import State
from utils.errors import InputError, Mismatch


def check_notes(cfg: CfgNode, source: Source, ours: dict[str, str], whole: bool) -> None:
    """Reject a trained model whose shapes fit but whose notes differ from the config.

    Args:
        cfg: the config of this run.
        source: the trained model.
        ours: the notes of the model built for it.
        whole: False = its encoders alone are taken.

    Raises:
        Mismatch: other cameras and views, transposed positions, or another factor of the side
            information.
    """
    about, path, key = source.about, source.path, source.key
    if whole and about.get('side', ours['side']) != ours['side']:
        raise Mismatch(
            f'{key}: {path} was trained with {about["side"][:40]!r} cameras, views; here there are '
            f'{ours["side"]!r}; use MODEL.PRETRAIN_CHOICE finetune to start from its encoders'
        )
    noted = {name: ascii(about.get(name, value))[1:-1][:40] for name, value in ours.items()}
    if noted['positions'] != ours['positions']:
        raise Mismatch(
            f'{key}: {path} was trained with {noted["positions"]} positions (rows x columns), '
            f'INPUT.SIZE_TRAIN {list(cfg.INPUT.SIZE_TRAIN)} with MODEL.STRIDE_SIZE '
            f'{list(cfg.MODEL.STRIDE_SIZE)} makes {ours["positions"]}; set them as in training'
        )
    if whole and 'sie_coe' in ours and noted['sie_coe'] != ours['sie_coe']:
        raise Mismatch(
            f'{key}: {path} was trained with MODEL.SIE_COE {noted["sie_coe"]}, here it is '
            f'{ours["sie_coe"]}; set it as in training'
        )


def check_sizes(cfg: CfgNode, arch: Architecture) -> None:
    """Reject photo sizes and strides that ``arch`` cannot have.

    Raises:
        Mismatch: always with the value got and the values allowed.
    """
    stride = list(cfg.MODEL.STRIDE_SIZE)
    if arch.family == 'RN' and stride != [16, 16]:
        raise Mismatch(
            f"MODEL.STRIDE_SIZE is {stride}; a ResNet's is fixed at [16, 16], other strides need "
            'a ViT'
        )
    if max(stride) > arch.patch:
        raise Mismatch(
            f'MODEL.STRIDE_SIZE {stride} skips pixels: patches have {arch.patch} pixels; choose '
            f'1 to {arch.patch}'
        )
    grids = [arch.positions(size, stride) for size in (cfg.INPUT.SIZE_TRAIN, cfg.INPUT.SIZE_TEST)]
    if min(grids[0]) < 1:
        raise Mismatch(
            f'INPUT.SIZE_TRAIN {list(cfg.INPUT.SIZE_TRAIN)} is smaller than one patch of '
            f'{arch.patch} pixels'
        )
    if grids[0] != grids[1]:
        raise Mismatch(
            f'INPUT.SIZE_TRAIN {list(cfg.INPUT.SIZE_TRAIN)} and SIZE_TEST '
            f'{list(cfg.INPUT.SIZE_TEST)} give '
            f'different maps of positions, {grids[0]} and {grids[1]}; make them the same'
        )


def check_family(arch: Architecture, name: str, path: str | Path) -> None:
    """Reject weights of another architecture than ``name``.

    Args:
        arch: that of the weights.
        name: MODEL.NAME; other shapes of the same family are allowed.
        path: where the weights came from.

    Raises:
        Mismatch: MODEL.NAME or the weights must change.
    """
    published = ARCHITECTURES[name]
    official = [n for n, a in ARCHITECTURES.items() if _shapes(a, arch) == _shapes(arch, arch)]
    if arch.family != published.family or (official and name not in official):
        raise Mismatch(
            f'MODEL.NAME is {name}, {_in_words(published)}, but {path} holds '
            f'{official[0] if official else _in_words(arch)}; change MODEL.NAME or the weights'
        )


def _shapes(arch: Architecture, other: Architecture) -> Architecture:
    """What tells ``arch`` from others; its text only where the ``other`` has one."""
    return arch if other.text_layers else arch.without_text()


def _in_words(arch: Architecture) -> str:
    return 'a ResNet' if arch.family == 'RN' else f'a ViT with patches of {arch.patch} pixels'


def check_clip(state: State, path: str | Path, prompts: bool) -> None:
    """Reject a state dict that has not the names of OpenAI's CLIP.

    Args:
        state: as it was read.
        path: where it came from.
        prompts: whether the text tower is needed too.

    Raises:
        InputError: says what the state dict is instead.
    """
    found = _other_than_clip(state, prompts)
    if found:
        raise InputError(f'MODEL.PRETRAIN_PATH: {path} is {found}')


def _other_than_clip(state: State, prompts: bool) -> str:
    """What ``state`` is, in words; '' = a CLIP that can be used."""

    def has(prefix: str) -> bool:
        return any(name.startswith(prefix) for name in state)

    if 'classifier.weight' in state:
        return 'a trained re-identification model; set MODEL.PRETRAIN_CHOICE self or finetune'
    if has('vision_model.'):
        return "of the library transformers; take the same CLIP's file of open_clip"
    if has('visual.trunk.'):
        return (
            "a CLIP whose image tower is one of the library timm; towers like OpenAI's can be used"
        )
    if prompts and has('text.'):
        return (
            "a CLIP with another text tower than OpenAI's (text.…), which prompts cannot use; a "
            'base variant does without: SOLVER.STAGE1.MAX_EPOCHS 0 and MODEL.I2T_LOSS_WEIGHT 0'
        )
    if prompts and 'token_embedding.weight' not in state:
        return 'no CLIP state dict (token_embedding.weight is missing)'
    return '' if has('visual.') else 'no CLIP state dict (visual.… is missing)'


def check_trained(source: Source) -> None:
    """Reject a state dict that is no trained model.

    Raises:
        InputError: its classifier or its prompts are missing or of another shape.
    """
    dimensions = {'classifier.weight': 2}
    if source.has_prompts:
        dimensions |= {'prompt_learner.token_prefix': 3, 'prompt_learner.token_suffix': 3}
    none = torch.empty(())
    if any(source.state.get(name, none).dim() != count for name, count in dimensions.items()):
        raise InputError(
            f'{source.key}: {source.path} is no trained re-identification model (classifier.weight '
            "or prompt_learner.* missing or of another shape); CLIP's own weights go into "
            'MODEL.PRETRAIN_PATH with PRETRAIN_CHOICE clip'
        )
