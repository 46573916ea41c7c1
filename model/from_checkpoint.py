"""Models that start from a trained checkpoint, for a test or for further training."""

from yacs.config import CfgNode

from model.assemble import assemble
from model.clip.architecture import architecture_of, find_architecture
from model.clip.open_clip import Activation
from model.mismatch import (
    TEXT_SIDE,
    check_encoder,
    check_family,
    check_notes,
    has_prompts,
    read_trained,
    sentence_of,
)
from model.names import is_timm
from model.reid_model import ReIDModel
from model.timm_model import make_timm_model
from utils.checkpoint import Checkpoint, check_state
from utils.errors import Mismatch

ENCODERS = ('image_encoder.', 'text_encoder.')


def continue_training(
    cfg: CfgNode, num_class: int, side: tuple[int, int], prompts: bool, whole: bool
) -> ReIDModel:
    """Return a model that starts from the trained model MODEL.PRETRAIN_PATH.

    Args:
        cfg: The config.
        num_class: The number of individuals.
        side: The numbers of (cameras, views) with an embedding.
        prompts: Whether the model needs prompts.
        whole: Whether to use all of it; else only its encoders, with new heads.

    Raises:
        InputError: It cannot be read, or does not match the config.
    """
    source = read_trained(cfg.MODEL.PRETRAIN_PATH, 'MODEL.PRETRAIN_PATH')
    known_class = len(source.state['classifier.weight'])
    if not prompts:
        source = source._replace(
            state={n: t for n, t in source.state.items() if not n.startswith(TEXT_SIDE)}
        )
    elif not has_prompts(source.state):
        raise Mismatch(
            f'{source.key}: {source.path} is a base variant without the prompts and the text '
            'encoder that this run needs; set SOLVER.STAGE1.MAX_EPOCHS 0 and '
            'MODEL.I2T_LOSS_WEIGHT 0, or start from a model with prompts'
        )
    if whole and num_class != known_class:
        raise Mismatch(
            f'{source.key}: {source.path} knows {known_class} individuals, but the training list '
            f'has {num_class}; use MODEL.PRETRAIN_CHOICE finetune to start from its encoders'
        )
    return from_trained(cfg, source, num_class, side, whole)


def from_trained(
    cfg: CfgNode, source: Checkpoint, num_class: int, side: tuple[int, int], whole: bool = True
) -> ReIDModel:
    """Return a model with the weights of ``source``; for the arguments see continue_training.

    Raises:
        InputError: The checkpoint does not match the config.
    """
    check_encoder(source, cfg.MODEL.NAME)
    if is_timm(cfg.MODEL.NAME):
        model = make_timm_model(cfg, num_class, trained=True)
    else:
        model = _clip_like(cfg, source, num_class, side)
    check_notes(source, model.about, whole)
    kept = ('',) if whole else (*ENCODERS, 'prompt_learner.token_')
    state = {n: t for n, t in source.state.items() if n.startswith(kept)}
    expected = {n: t for n, t in model.state_dict().items() if n.startswith(kept)}
    check_state(state, expected, source.path, source.key)
    model.load_state_dict(state, strict=whole)
    return model


def _clip_like(
    cfg: CfgNode, source: Checkpoint, num_class: int, side: tuple[int, int]
) -> ReIDModel:
    """Return a model of the checkpoint's architecture, activation and sentence."""
    clip = {
        name.removeprefix('text_encoder.').replace('image_encoder.', 'visual.', 1): tensor
        for name, tensor in source.state.items()
        if name.startswith(ENCODERS)
    }
    arch = architecture_of(clip, source.path, text=has_prompts(source.state))
    check_family(arch, find_architecture(cfg.MODEL.NAME)[0], source.path)
    noted = source.about.get('activation')
    activation = Activation(
        noted or 'quickgelu',
        f'{source.path} says so' if noted else f"{source.path} does not say; the original's",
        sure=noted is not None,
    )
    sentence = sentence_of(cfg, source) if has_prompts(source.state) else None
    return assemble(cfg, arch, num_class, side, activation, sentence)
