"""Builds the model: a new one around its encoders, or one from a trained checkpoint."""

import logging
from pathlib import Path

import torch
from timm.layers import convert_sync_batchnorm
from torch import Tensor
from yacs.config import CfgNode

from model.assemble import assemble
from model.clip.architecture import architecture_of, find_architecture, resize_positions
from model.clip.open_clip import Activation, find_weights
from model.clip.tokenizer import VOCABULARY_SIZE
from model.clip.weights import cached_file, load_clip
from model.freezing import freeze
from model.from_checkpoint import ENCODERS, continue_training, from_trained
from model.mismatch import check_clip, check_family, read_trained, side_of
from model.names import START, is_timm
from model.prompt import TOKENS, Sentence, find_slots, number_tokens, sentence_for
from model.reid_model import ReIDModel
from model.timm_model import check_needs_no_prompts, make_timm_model, starting_file
from utils.checkpoint import check_state
from utils.errors import InputError
from utils.run.provenance import naming_its_config

logger = logging.getLogger('transreid')

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
    model = _starting_model(cfg, num_class, side, needs_prompts(cfg), cfg.MODEL.PRETRAIN_CHOICE)
    freeze(cfg, model.image_encoder)
    _log_use_of_prompts(cfg, model)
    return model


def make_test_model(cfg: CfgNode) -> ReIDModel:
    """Return the model of TEST.WEIGHT: a trained one; 'start' = that with which training starts.

    A checkpoint determines architecture, activation, prompts, and the numbers of individuals,
    cameras and views. The starting model knows no cameras and views.

    Raises:
        InputError: The checkpoint or the weights cannot be read, or do not match the config.
    """
    if cfg.TEST.WEIGHT == START:
        choice = cfg.MODEL.PRETRAIN_CHOICE
        encoders = 'finetune' if choice == 'self' else choice  # heads do not matter
        return _starting_model(cfg, 1, (0, 0), False, encoders)
    with naming_its_config(cfg.TEST.WEIGHT, 'TEST.WEIGHT'):
        source = read_trained(cfg.TEST.WEIGHT, 'TEST.WEIGHT')
        num_class = len(source.state['classifier.weight'])
        return from_trained(cfg, source, num_class, side_of(cfg, source))


def tested_file(cfg: CfgNode) -> Path | None:
    """Return the file of the weights that TEST.WEIGHT means; None if they are random.

    Raises:
        InputError: The starting weights cannot be downloaded.
    """
    if cfg.TEST.WEIGHT != START:
        return Path(cfg.TEST.WEIGHT)
    choice, path = cfg.MODEL.PRETRAIN_CHOICE, cfg.MODEL.PRETRAIN_PATH
    if choice in ('self', 'finetune'):
        return Path(path)
    if choice == 'random':
        return None
    if is_timm(cfg.MODEL.NAME):
        return starting_file(cfg)
    return Path(find_weights(path)) if path else cached_file(find_architecture(cfg.MODEL.NAME)[0])


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
    convert_sync_batchnorm(model.image_encoder)  # timm's also keeps activations within its norms


def _starting_model(
    cfg: CfgNode, num_class: int, side: tuple[int, int], prompts: bool, choice: str
) -> ReIDModel:
    """Return the model with which training starts by ``choice`` (MODEL.PRETRAIN_CHOICE)."""
    if is_timm(cfg.MODEL.NAME):
        check_needs_no_prompts(cfg, prompts)
    if choice in ('self', 'finetune'):
        with naming_its_config(cfg.MODEL.PRETRAIN_PATH):
            return continue_training(cfg, num_class, side, prompts, whole=choice == 'self')
    if choice == 'random':
        logger.warning(
            'MODEL.PRETRAIN_CHOICE is random: no pretrained weights; only useful for smoke tests'
        )
    if is_timm(cfg.MODEL.NAME):
        return make_timm_model(cfg, num_class)
    if choice == 'random':
        return _from_random_weights(cfg, num_class, side, prompts)
    return _from_clip(cfg, num_class, side, prompts)


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


def _from_random_weights(
    cfg: CfgNode, num_class: int, side: tuple[int, int], prompts: bool
) -> ReIDModel:
    _, arch = find_architecture(cfg.MODEL.NAME)
    activation = Activation('quickgelu', 'the weights are random', False)
    if not prompts:
        return assemble(cfg, arch.without_text(), num_class, side, activation)
    words = torch.randn(VOCABULARY_SIZE, arch.text_width) * 0.02
    return assemble(cfg, arch, num_class, side, activation, _embed_sentence(cfg, words, num_class))


def _from_clip(cfg: CfgNode, num_class: int, side: tuple[int, int], prompts: bool) -> ReIDModel:
    name, published = find_architecture(cfg.MODEL.NAME)
    where = cfg.MODEL.PRETRAIN_PATH or name
    state, activation = load_clip(name, cfg.MODEL.PRETRAIN_PATH, prompts)
    check_clip(state, where, prompts)
    arch = architecture_of(state, where, text=prompts)
    check_family(arch, name, where)
    if arch != (published if prompts else published.without_text()):
        logger.warning("The shapes of %s differ from those of OpenAI's %s: %s", where, name, arch)
    words = state.get('token_embedding.weight', torch.empty(0))
    sentence = _embed_sentence(cfg, words, num_class) if prompts else None
    model = assemble(cfg, arch, num_class, side, activation, sentence)
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
