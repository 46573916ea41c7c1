"""Building the model: fresh around CLIP's towers, or around a checkpoint."""

import logging
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from yacs.config import CfgNode

from model.clip.architecture import Architecture, architecture_of, known, resize_positions
from model.clip.open_clip import Activation
from model.clip.tokenizer import VOCABULARY_SIZE
from model.clip.towers import ACTIVATIONS
from model.clip.weights import load_clip
from model.mismatch import check_clip, check_family, check_notes, check_sizes, check_trained
from model.prompt import TOKENS, Sentence, find_slots, sentence_for
from model.reid_model import ModelSettings, ReIDModel, SideInformation
from model.trained import TEXT_SIDE, Source, sentence_of, side_of
from utils.checkpoint import check_state, load_checkpoint
from utils.errors import InputError, Mismatch
from utils.run.provenance import naming_its_config

logger = logging.getLogger('transreid')

ENCODERS = ('image_encoder.', 'text_encoder.')
# Of a CLIP's file: the embedded vocabulary, the temperature and bias of CLIP's own loss, the text's
# mask.
NOT_OF_TOWERS = ('token_embedding.weight', 'logit_scale', 'logit_bias', 'attn_mask')


@dataclass(frozen=True)
class Population:
    """What a model is built for: numbers of individuals, cameras and views."""

    individuals: int
    cameras: int = 0
    views: int = 0


def needs_prompts(cfg: CfgNode) -> bool:
    """Return whether training uses prompts, in stage 1 or in stage 2's image-to-text term.

    Without either it is a base variant.
    """
    return cfg.SOLVER.STAGE1.MAX_EPOCHS > 0 or cfg.MODEL.I2T_LOSS_WEIGHT > 0


def make_model(cfg: CfgNode, num_class: int, camera_num: int = 0, view_num: int = 0) -> ReIDModel:
    """Return a model for training, with the weights that MODEL.PRETRAIN_CHOICE asks for.

    Args:
        cfg: the whole config.
        num_class: number of individuals.
        camera_num: number of cameras, used with MODEL.SIE_CAMERA.
        view_num: number of views, used with MODEL.SIE_VIEW.

    Raises:
        InputError: the weights cannot be read, or do not fit the config.
    """
    choice, path = cfg.MODEL.PRETRAIN_CHOICE, cfg.MODEL.PRETRAIN_PATH
    population = Population(num_class, camera_num, view_num)
    if choice in ('self', 'finetune'):
        with naming_its_config(path):
            model = _continue_training(cfg, population, whole=choice == 'self')
    elif choice == 'random':
        model = _from_nothing(cfg, population)
    else:
        model = _from_clip(cfg, path, population)
    _log_use_of_prompts(cfg, model)
    return model


def make_test_model(cfg: CfgNode) -> ReIDModel:
    """Return the trained model of TEST.WEIGHT.

    Class count, cameras, architecture, activation and whether it has prompts are the checkpoint's.

    Raises:
        InputError: the checkpoint cannot be read, or does not fit the config.
    """
    with naming_its_config(cfg.TEST.WEIGHT, 'TEST.WEIGHT'):
        source = _read_trained(cfg.TEST.WEIGHT, 'TEST.WEIGHT')
        arch = _trained_architecture(cfg, source)
        population = Population(source.num_class, *side_of(cfg, source))
        return _from_trained(cfg, source, arch, population, whole=True)


def _log_use_of_prompts(cfg: CfgNode, model: ReIDModel) -> None:
    if not model.has_prompts:
        logger.info(
            'A base variant: no prompts and no text encoder, as neither stage 1 nor an '
            'image-to-text term uses them'
        )
    elif cfg.MODEL.PRETRAIN_CHOICE != 'self' and cfg.SOLVER.STAGE1.MAX_EPOCHS == 0:
        logger.warning(
            'SOLVER.STAGE1.MAX_EPOCHS is 0: the prompts are random and stay so, and stage 2 '
            'pulls photos towards them; for a base variant set MODEL.I2T_LOSS_WEIGHT 0 too'
        )
    elif cfg.MODEL.I2T_LOSS_WEIGHT == 0:
        logger.warning(
            'MODEL.I2T_LOSS_WEIGHT is 0: stage 1 learns prompts that stage 2 does not use; for a '
            'base variant set SOLVER.STAGE1.MAX_EPOCHS 0 too'
        )


# -------------------------------------------------------------------------------- fresh around CLIP


def _from_nothing(cfg: CfgNode, population: Population) -> ReIDModel:
    logger.warning('MODEL.PRETRAIN_CHOICE is random: no pretrained weights, for smoke runs only')
    _, arch = known(cfg.MODEL.NAME)
    activation = _choose_activation(cfg, Activation('quickgelu', 'the weights are random', False))
    if not needs_prompts(cfg):
        return _assemble(cfg, arch.without_text(), population, activation)
    words = torch.randn(VOCABULARY_SIZE, arch.text_width) * 0.02
    return _assemble(cfg, arch, population, activation, _embed_sentence(cfg, words))


def _from_clip(cfg: CfgNode, path: str, population: Population) -> ReIDModel:
    """A fresh model around CLIP's towers from ``path``; '' = OpenAI's own."""
    name, published = known(cfg.MODEL.NAME)
    prompts, where = needs_prompts(cfg), path or name
    state, activation = load_clip(name, path, prompts)
    check_clip(state, where, prompts)
    arch = architecture_of(state, where, text=prompts)
    check_family(arch, name, where)
    if arch != (published if prompts else published.without_text()):
        logger.warning("%s is a CLIP of other shapes than OpenAI's %s: %s", path, name, arch)
    sentence = _embed_sentence(cfg, state['token_embedding.weight']) if prompts else None
    model = _assemble(cfg, arch, population, _choose_activation(cfg, activation), sentence)
    ours = {}
    for clip_name, tensor in state.items():
        if clip_name.startswith('visual.'):
            ours[f'image_encoder.{clip_name.removeprefix("visual.")}'] = tensor
        elif prompts and clip_name not in NOT_OF_TOWERS:
            ours[f'text_encoder.{clip_name}'] = tensor
    pool = '' if arch.family == 'ViT' else 'attnpool.'
    positions = f'image_encoder.{pool}positional_embedding'
    ours[positions] = resize_positions(ours[positions], model.settings.grid)
    expected = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name.startswith(ENCODERS) and (name in ours or not name.endswith('batches_tracked'))
    }  # old files lack the batch norms' counters
    check_state(ours, expected, where, 'MODEL.PRETRAIN_PATH')
    model.load_state_dict(ours, strict=False)
    return model


def _embed_sentence(cfg: CfgNode, words: Tensor) -> Sentence:
    """The sentence of the config, embedded by ``words`` (vocabulary, width)."""
    tokens, start = find_slots(sentence_for(cfg.DATASETS.NAMES, cfg.MODEL.PROMPT))
    if len(words) != int(tokens.max()) + 1:  # that of the end token
        raise InputError(
            f'MODEL.PRETRAIN_PATH: token_embedding.weight has {len(words)} words, '
            f"CLIP's tokenizer {tokens.max() + 1}"
        )
    embedded = words[tokens]  # (1, 77, width)
    after = embedded[:, start + TOKENS :]
    return Sentence(embedded[:, :start].clone(), after.clone(), tokens)


# ------------------------------------------------------------------------------ around a checkpoint


def _read_trained(path: str, key: str) -> Source:
    state, about, _ = load_checkpoint(path, key)
    source = Source(state, about, path, key)
    check_trained(source)
    return source


def _continue_training(cfg: CfgNode, population: Population, whole: bool) -> ReIDModel:
    """A model around MODEL.PRETRAIN_PATH; ``whole`` = False leaves heads and prompts fresh."""
    key, prompts = 'MODEL.PRETRAIN_PATH', needs_prompts(cfg)
    source = _read_trained(cfg.MODEL.PRETRAIN_PATH, key)
    if prompts and not source.has_prompts:
        raise Mismatch(
            f'{key}: {source.path} is a base variant, without the prompts and the text encoder '
            'that training needs here; set SOLVER.STAGE1.MAX_EPOCHS 0 and MODEL.I2T_LOSS_WEIGHT '
            '0, or start from a model with prompts'
        )
    if not prompts:
        state = {n: t for n, t in source.state.items() if not n.startswith(TEXT_SIDE)}
        source = replace(source, state=state)
    arch = _trained_architecture(cfg, source)
    if whole and population.individuals != source.num_class:
        raise Mismatch(
            f'{key}: {source.path} knows {source.num_class} individuals, the training list has '
            f'{population.individuals}; use MODEL.PRETRAIN_CHOICE finetune to start from its '
            'encoders'
        )
    return _from_trained(cfg, source, arch, population, whole)


def _trained_architecture(cfg: CfgNode, source: Source) -> Architecture:
    name, _ = known(cfg.MODEL.NAME)
    clip = {
        ours.removeprefix('text_encoder.').replace('image_encoder.', 'visual.', 1): tensor
        for ours, tensor in source.state.items()
        if ours.startswith(ENCODERS)
    }
    arch = architecture_of(clip, source.path, text=source.has_prompts)
    check_family(arch, name, source.path)
    return arch


def _from_trained(
    cfg: CfgNode, source: Source, arch: Architecture, population: Population, whole: bool
) -> ReIDModel:
    sentence = sentence_of(cfg, source) if source.has_prompts else None
    activation = _choose_activation(cfg, source.activation, source.key)
    model = _assemble(cfg, arch, population, activation, sentence)
    check_notes(cfg, source, model.about, whole)
    state, expected = source.state, model.state_dict()
    if not whole:
        kept = (*ENCODERS, 'prompt_learner.token_')
        state = {n: t for n, t in state.items() if n.startswith(kept)}
        expected = {n: t for n, t in expected.items() if n.startswith(kept)}
    check_state(state, expected, source.path, source.key)
    model.load_state_dict(state, strict=whole)
    return model


# ------------------------------------------------------------------------------------------ of both


def _assemble(
    cfg: CfgNode,
    arch: Architecture,
    population: Population,
    activation: str,
    sentence: Sentence | None = None,
) -> ReIDModel:
    """Towers, heads and prompts, with random weights."""
    check_sizes(cfg, arch)
    side = SideInformation(
        cameras=population.cameras if cfg.MODEL.SIE_CAMERA else 0,
        views=population.views if cfg.MODEL.SIE_VIEW else 0,
        factor=cfg.MODEL.SIE_COE,
    )
    image, text = arch.build(cfg.INPUT.SIZE_TRAIN, cfg.MODEL.STRIDE_SIZE, activation)
    if side.rows and arch.family != 'ViT':
        raise Mismatch(
            'MODEL.SIE_CAMERA and SIE_VIEW need a ViT; set them to False or choose MODEL.NAME '
            'ViT-B-16'
        )
    if arch.family == 'RN':
        image = image.to(memory_format=torch.channels_last)
    if cfg.MODEL.COMPILE:
        image.compile()  # in place: the state dict keeps its names; utils.device has tried it
    settings = ModelSettings(
        num_class=population.individuals,
        feature_dim=arch.feature_dim,
        projected_dim=arch.embed_dim,
        neck_feat=cfg.TEST.NECK_FEAT,
        activation=activation,
        grid=arch.positions(cfg.INPUT.SIZE_TRAIN, cfg.MODEL.STRIDE_SIZE),
    )
    return ReIDModel(image, text, settings, side, sentence)


def _choose_activation(cfg: CfgNode, found: Activation, key: str = 'MODEL.PRETRAIN_PATH') -> str:
    """MODEL.ACTIVATION; where that is 'auto' the one that was ``found`` for the weights."""
    asked = cfg.MODEL.ACTIVATION
    if asked == 'auto':
        if found.name not in ACTIVATIONS:
            raise InputError(
                f'{key}: the activation {found.name[:40]!r} ({found.why}) is unknown; if it was '
                f'another, set MODEL.ACTIVATION {" or ".join(ACTIVATIONS)}'
            )
        logger.info("Activation of CLIP's transformers: %s (%s)", found.name, found.why)
        return found.name
    if asked != found.name and found.sure:
        logger.warning(
            'MODEL.ACTIVATION is %s, but the weights were trained with %s (%s)',
            asked,
            found.name,
            found.why,
        )
    logger.info("Activation of CLIP's transformers: %s (MODEL.ACTIVATION)", asked)
    return asked
