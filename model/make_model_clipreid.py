"""Builds the model: a new one around CLIP's towers, or one from a trained checkpoint."""

import logging

import torch
from torch import Tensor
from yacs.config import CfgNode

from model.clip.architecture import (
    Architecture,
    architecture_of,
    find_architecture,
    resize_positions,
)
from model.clip.open_clip import Activation
from model.clip.tokenizer import VOCABULARY_SIZE
from model.clip.towers import ACTIVATIONS
from model.clip.weights import load_clip
from model.mismatch import (
    TEXT_SIDE,
    check_clip,
    check_family,
    check_notes,
    check_sizes,
    has_prompts,
    read_trained,
    sentence_of,
    side_of,
)
from model.prompt import TOKENS, Sentence, find_slots, number_tokens, sentence_for
from model.reid_model import ModelSettings, ReIDModel
from utils.checkpoint import Checkpoint, check_state
from utils.errors import InputError, Mismatch
from utils.run.provenance import naming_its_config

logger = logging.getLogger('transreid')

ENCODERS = ('image_encoder.', 'text_encoder.')
# Tensors of a CLIP file that are not in the text tower: the image tower, the embedded vocabulary,
# temperature and bias of CLIP's own loss, the attention mask.
NOT_TEXT = ('visual.', 'token_embedding.', 'logit_', 'attn_mask')


def needs_prompts(cfg: CfgNode) -> bool:
    """Return whether training uses prompts, in stage 1 or in stage 2's image-to-text term.

    Without prompts the model is a base variant.
    """
    return cfg.SOLVER.STAGE1.MAX_EPOCHS > 0 or cfg.MODEL.I2T_LOSS_WEIGHT > 0


def make_model(cfg: CfgNode, num_class: int, camera_num: int = 0, view_num: int = 0) -> ReIDModel:
    """Return a model for training, with the weights chosen by MODEL.PRETRAIN_CHOICE.

    Args:
        cfg: The config.
        num_class: The number of individuals.
        camera_num: The number of cameras, used with MODEL.SIE_CAMERA.
        view_num: The number of views, used with MODEL.SIE_VIEW.

    Raises:
        InputError: The weights cannot be read, or do not match the config.
    """
    side = (
        camera_num if cfg.MODEL.SIE_CAMERA else 0,
        view_num if cfg.MODEL.SIE_VIEW else 0,
    )
    choice = cfg.MODEL.PRETRAIN_CHOICE
    if choice in ('self', 'finetune'):
        with naming_its_config(cfg.MODEL.PRETRAIN_PATH):
            model = _continue_training(cfg, num_class, side, whole=choice == 'self')
    elif choice == 'random':
        model = _from_random_weights(cfg, num_class, side)
    else:
        model = _from_clip(cfg, num_class, side)
    _log_use_of_prompts(cfg, model)
    return model


def make_test_model(cfg: CfgNode) -> ReIDModel:
    """Return the trained model of TEST.WEIGHT.

    The checkpoint determines architecture, activation, prompts, and the numbers of individuals,
    cameras and views.

    Raises:
        InputError: The checkpoint cannot be read, or does not match the config.
    """
    with naming_its_config(cfg.TEST.WEIGHT, 'TEST.WEIGHT'):
        source = read_trained(cfg.TEST.WEIGHT, 'TEST.WEIGHT')
        num_class = len(source.state['classifier.weight'])
        return _from_trained(cfg, source, num_class, side_of(cfg, source), whole=True)


def sync_batch_norms(model: ReIDModel, processes: int, device: torch.device) -> None:
    """Make batch norms use the statistics of all processes (Ioffe & Szegedy, 2015).

    Those of the image encoder become torch.nn.SyncBatchNorm; parameters and buffers stay the same
    objects under the same names. With a single process the results stay the same.

    Raises:
        InputError: There are several processes on a CPU, where torch.nn.SyncBatchNorm does not
            work.
    """
    if processes > 1 and device.type == 'cpu':
        raise InputError(
            f'MODEL.SYNC_BN is True with {processes} processes on the CPU; it works on CUDA only: '
            'set MODEL.SYNC_BN False, or train in one process'
        )
    torch.nn.SyncBatchNorm.convert_sync_batchnorm(model.image_encoder)


def _log_use_of_prompts(cfg: CfgNode, model: ReIDModel) -> None:
    if not model.has_prompts:
        logger.info(
            'A base variant: no prompts and no text encoder, since neither stage 1 nor an '
            'image-to-text term uses them'
        )
    elif cfg.MODEL.PRETRAIN_CHOICE != 'self' and cfg.SOLVER.STAGE1.MAX_EPOCHS == 0:
        logger.warning(
            'SOLVER.STAGE1.MAX_EPOCHS is 0: the prompts stay %s, and stage 2 pulls photos '
            'towards them; for a base variant also set MODEL.I2T_LOSS_WEIGHT 0',
            "the individuals' numbers" if cfg.MODEL.PROMPT_START == 'number' else 'random',
        )
    elif cfg.MODEL.I2T_LOSS_WEIGHT == 0:
        logger.warning(
            'MODEL.I2T_LOSS_WEIGHT is 0: stage 1 learns prompts that stage 2 does not use; for a '
            'base variant also set SOLVER.STAGE1.MAX_EPOCHS 0'
        )


# --------------------------------------------------------------------------- a new model from CLIP


def _from_random_weights(cfg: CfgNode, num_class: int, side: tuple[int, int]) -> ReIDModel:
    logger.warning(
        'MODEL.PRETRAIN_CHOICE is random: no pretrained weights; only useful for smoke tests'
    )
    _, arch = find_architecture(cfg.MODEL.NAME)
    activation = Activation('quickgelu', 'the weights are random', False)
    if not needs_prompts(cfg):
        return _assemble(cfg, arch.without_text(), num_class, side, activation)
    words = torch.randn(VOCABULARY_SIZE, arch.text_width) * 0.02
    return _assemble(cfg, arch, num_class, side, activation, _embed_sentence(cfg, words, num_class))


def _from_clip(cfg: CfgNode, num_class: int, side: tuple[int, int]) -> ReIDModel:
    name, published = find_architecture(cfg.MODEL.NAME)
    prompts, where = needs_prompts(cfg), cfg.MODEL.PRETRAIN_PATH or name
    state, activation = load_clip(name, cfg.MODEL.PRETRAIN_PATH, prompts)
    check_clip(state, where, prompts)
    arch = architecture_of(state, where, text=prompts)
    check_family(arch, name, where)
    if arch != (published if prompts else published.without_text()):
        logger.warning("The shapes of %s differ from those of OpenAI's %s: %s", where, name, arch)
    words = state.get('token_embedding.weight', torch.empty(0))
    sentence = _embed_sentence(cfg, words, num_class) if prompts else None
    model = _assemble(cfg, arch, num_class, side, activation, sentence)
    ours = {
        f'image_encoder.{name.removeprefix("visual.")}': tensor
        for name, tensor in state.items()
        if name.startswith('visual.')
    }
    if prompts:
        ours |= {
            f'text_encoder.{name}': tensor
            for name, tensor in state.items()
            if not name.startswith(NOT_TEXT)
        }
    positions = f'image_encoder.{"" if arch.family == "ViT" else "attnpool."}positional_embedding'
    ours[positions] = resize_positions(ours[positions], model.settings.grid)
    expected = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name.startswith(ENCODERS) and (name in ours or not name.endswith('batches_tracked'))
    }  # old files lack the counters of batch norms
    check_state(ours, expected, where, 'MODEL.PRETRAIN_PATH')
    model.load_state_dict(ours, strict=False)
    return model


def _embed_sentence(cfg: CfgNode, words: Tensor, num_class: int) -> Sentence:
    tokens, start = find_slots(sentence_for(cfg.DATASETS.NAMES, cfg.MODEL.PROMPT))
    # words is (vocabulary, width), and the end token is the last word
    if len(words) != int(tokens.max()) + 1:
        raise InputError(
            f'MODEL.PRETRAIN_PATH: token_embedding.weight has {len(words)} words, but '
            f"CLIP's tokenizer has {tokens.max() + 1}"
        )
    prefix, suffix = words[tokens[:, :start]], words[tokens[:, start + TOKENS :]]
    numbers = words[number_tokens(num_class)] if cfg.MODEL.PROMPT_START == 'number' else None
    return Sentence(prefix, suffix, tokens, numbers)


# ---------------------------------------------------------------------- a model from a checkpoint


def _continue_training(
    cfg: CfgNode, num_class: int, side: tuple[int, int], whole: bool
) -> ReIDModel:
    """Start from MODEL.PRETRAIN_PATH; ``whole`` = False keeps its encoders only, with new heads."""
    source = read_trained(cfg.MODEL.PRETRAIN_PATH, 'MODEL.PRETRAIN_PATH')
    known_class = len(source.state['classifier.weight'])
    if not needs_prompts(cfg):
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
    return _from_trained(cfg, source, num_class, side, whole)


def _from_trained(
    cfg: CfgNode, source: Checkpoint, num_class: int, side: tuple[int, int], whole: bool
) -> ReIDModel:
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
    model = _assemble(cfg, arch, num_class, side, activation, sentence)
    check_notes(source, model.about, whole)
    kept = ('',) if whole else (*ENCODERS, 'prompt_learner.token_')
    state = {n: t for n, t in source.state.items() if n.startswith(kept)}
    expected = {n: t for n, t in model.state_dict().items() if n.startswith(kept)}
    check_state(state, expected, source.path, source.key)
    model.load_state_dict(state, strict=whole)
    return model


# -------------------------------------------------------------------------------------------- both


def _assemble(
    cfg: CfgNode,
    arch: Architecture,
    num_class: int,
    side: tuple[int, int],
    trained_with: Activation,
    sentence: Sentence | None = None,
) -> ReIDModel:
    check_sizes(cfg, arch)
    activation = _choose_activation(cfg, trained_with)
    image, text = arch.build(cfg.INPUT.SIZE_TRAIN, cfg.MODEL.STRIDE_SIZE, activation)
    if arch.family == 'RN':
        image = image.to(memory_format=torch.channels_last)
    if cfg.MODEL.COMPILE:
        image.compile()  # in place: names in the state dict stay; utils.device has tested it
    return ReIDModel(
        image,
        text,
        ModelSettings(
            num_class=num_class,
            feature_dim=arch.feature_dim,
            projected_dim=arch.embed_dim,
            neck_feat=cfg.TEST.NECK_FEAT,
            activation=activation,
            grid=arch.positions(cfg.INPUT.SIZE_TRAIN, cfg.MODEL.STRIDE_SIZE),
            side=side,
            side_factor=cfg.MODEL.SIE_COE,
        ),
        sentence,
    )


def _choose_activation(cfg: CfgNode, found: Activation) -> str:
    asked = cfg.MODEL.ACTIVATION
    if asked == 'auto' and found.name not in ACTIVATIONS:
        raise InputError(
            f'unknown activation {found.name[:40]!r} of the weights ({found.why}); set '
            f'MODEL.ACTIVATION {" or ".join(ACTIVATIONS)} if it is one of these'
        )
    if asked not in ('auto', found.name) and found.sure:
        logger.warning(
            'MODEL.ACTIVATION is %s, but the weights were trained with %s (%s)',
            asked,
            found.name,
            found.why,
        )
    name, why = (found.name, found.why) if asked == 'auto' else (asked, 'MODEL.ACTIVATION')
    logger.info("Activation of CLIP's transformers: %s (%s)", name, why)
    return name
