"""Building the model: fresh around CLIP's towers, or around a checkpoint, and what does not fit."""

import logging
import re
from dataclasses import replace

import torch

from model.clip.open_clip import Activation
from model.clip.towers import ACTIVATIONS
from model.clip.weights import ARCHITECTURES, architecture_of, known, load_clip, resize_positions
from model.prompt import find_slots, sentence_for
from model.reid_model import ReIDModel, Sentence
from utils.checkpoint import check_state, load_checkpoint
from utils.errors import InputError, Mismatch
from utils.run.provenance import naming_its_config

logger = logging.getLogger('transreid')

TEXT_SIDE = ('prompt_learner.', 'text_encoder.')  # what a base variant does not have
# Of a CLIP's file: the embedded vocabulary, the temperature and bias of CLIP's own loss, the text's
# mask.
NOT_OF_TOWERS = ('token_embedding.weight', 'logit_scale', 'logit_bias', 'attn_mask')
VERI_CAMERAS, VERI_VIEWS = 20, 8  # of VeRi; the views are those of the key points' lists


def needs_prompts(cfg):
    """Whether training uses prompts: in stage 1, or in stage 2's image-to-text term. Without either
    it is a base variant.
    """
    return cfg.SOLVER.STAGE1.MAX_EPOCHS > 0 or cfg.MODEL.I2T_LOSS_WEIGHT > 0


def make_model(cfg, num_class, camera_num=0, view_num=0):
    """The model for training ``num_class`` individuals, with the weights that MODEL.PRETRAIN_CHOICE
    asks for.
    """
    choice, side = cfg.MODEL.PRETRAIN_CHOICE, (camera_num, view_num)
    if choice in ('self', 'finetune'):
        with naming_its_config(cfg.MODEL.PRETRAIN_PATH):
            model = _from_trained(
                cfg,
                cfg.MODEL.PRETRAIN_PATH,
                num_class,
                side,
                whole=choice == 'self',
                prompts=needs_prompts(cfg),
            )
    elif choice == 'random':
        model = _from_nothing(cfg, num_class, side)
    else:
        model = _from_clip(cfg, cfg.MODEL.PRETRAIN_PATH, num_class, side)
    if not model.has_prompts:
        logger.info(
            'A base variant: no prompts and no text encoder, as neither stage 1 nor an '
            'image-to-text term uses them'
        )
    elif choice != 'self' and cfg.SOLVER.STAGE1.MAX_EPOCHS == 0:
        logger.warning(
            'SOLVER.STAGE1.MAX_EPOCHS is 0: the prompts are random and stay so, and stage 2 '
            'pulls photos towards '
            'them; for a base variant set MODEL.I2T_LOSS_WEIGHT 0 too'
        )
    elif cfg.MODEL.I2T_LOSS_WEIGHT == 0:
        logger.warning(
            'MODEL.I2T_LOSS_WEIGHT is 0: stage 1 learns prompts that stage 2 does not use; for a '
            'base variant set '
            'SOLVER.STAGE1.MAX_EPOCHS 0 too'
        )
    return model


def make_test_model(cfg):
    """The trained model of TEST.WEIGHT: class count, cameras, architecture, activation and whether
    it has prompts are the checkpoint's own.
    """
    with naming_its_config(cfg.TEST.WEIGHT, 'TEST.WEIGHT'):
        return _from_trained(cfg, cfg.TEST.WEIGHT, None, None, whole=True, key='TEST.WEIGHT')


def _from_nothing(cfg, num_class, side):
    logger.warning('MODEL.PRETRAIN_CHOICE is random: no pretrained weights, for smoke runs only')
    _, arch = known(cfg.MODEL.NAME)
    activation = _settled(cfg, Activation('quickgelu', 'the weights are random', False))
    if not needs_prompts(cfg):
        return _assemble(cfg, arch.without_text(), num_class, side, activation)
    words = torch.randn(arch.vocab_size, arch.text_width) * 0.02
    return _assemble(cfg, arch, num_class, side, activation, _embedded(cfg, words))


def _from_clip(cfg, path, num_class, side):
    """A fresh model around CLIP's towers from ``path``; '' = OpenAI's own."""
    name, published = known(cfg.MODEL.NAME)
    prompts, where = needs_prompts(cfg), path or name
    state, activation = load_clip(name, path, prompts)
    _check_clip(state, where, prompts)
    arch = architecture_of(state, where, text=prompts)
    _check_family(arch, published, name, where)
    if arch != (published if prompts else published.without_text()):
        logger.warning("%s is a CLIP of other shapes than OpenAI's %s: %s", path, name, arch)
    sentence = _embedded(cfg, state['token_embedding.weight']) if prompts else None
    model = _assemble(cfg, arch, num_class, side, _settled(cfg, activation), sentence)
    positions = (
        'image_encoder.positional_embedding'
        if arch.family == 'ViT'
        else 'image_encoder.attnpool.positional_embedding'
    )
    ours = {
        _our_name(n): t
        for n, t in state.items()
        if n.startswith('visual.') or (prompts and n not in NOT_OF_TOWERS)
    }
    ours[positions] = resize_positions(
        ours[positions], arch.positions(cfg.INPUT.SIZE_TRAIN, cfg.MODEL.STRIDE_SIZE)
    )
    towers = {
        n: t
        for n, t in model.state_dict().items()
        if n.startswith(('image_encoder.', 'text_encoder.'))
    }
    # old files lack the batch norms' counters
    check_state(
        ours,
        {n: t for n, t in towers.items() if n in ours or not n.endswith('num_batches_tracked')},
        where,
        'MODEL.PRETRAIN_PATH',
    )
    model.load_state_dict(ours, strict=False)
    return model


def _from_trained(cfg, path, num_class, side, whole, prompts=None, key='MODEL.PRETRAIN_PATH'):
    """A model around the checkpoint ``path``; ``whole`` = False leaves heads and prompts fresh.
    ``prompts``: whether it is to have them, None = as the checkpoint has.
    """
    state, about, _ = load_checkpoint(path, key)
    _check_trained(state, path, key)
    trained_prompts = any(n.startswith(TEXT_SIDE) for n in state)
    if prompts is None:
        prompts = trained_prompts
    if prompts and not trained_prompts:
        raise Mismatch(
            f'{key}: {path} is a base variant, without the prompts and the text encoder that '
            'training needs here; '
            'set SOLVER.STAGE1.MAX_EPOCHS 0 and MODEL.I2T_LOSS_WEIGHT 0, or start from a model '
            'with prompts'
        )
    if not prompts:
        state = {n: t for n, t in state.items() if not n.startswith(TEXT_SIDE)}
    name, published = known(cfg.MODEL.NAME)
    arch = architecture_of(
        {
            _openai_name(n): t
            for n, t in state.items()
            if n.startswith(('image_encoder.', 'text_encoder.'))
        },
        path,
        text=prompts,
    )
    _check_family(arch, published, name, path)
    trained_class = len(state['classifier.weight'])
    if whole and num_class not in (None, trained_class):
        raise Mismatch(
            f'{key}: {path} knows {trained_class} individuals, the training list has {num_class}; '
            f'use MODEL.PRETRAIN_CHOICE finetune to start from its encoders'
        )
    if side is None:
        side = _side_of(cfg, state, about, path)
    sentence = _trained_sentence(cfg, state, key) if prompts else None
    activation = _settled(cfg, _trained_activation(about, path), key)
    model = _assemble(
        cfg, arch, trained_class if num_class is None else num_class, side, activation, sentence
    )
    if whole and about.get('side', model.about['side']) != model.about['side']:
        raise Mismatch(
            f'{key}: {path} was trained with {about["side"][:40]!r} cameras, views; here there are '
            f'{model.about["side"]!r}; use MODEL.PRETRAIN_CHOICE finetune to start from its '
            'encoders'
        )
    _check_notes(cfg, about, model.about, path, key, whole)
    expected = model.state_dict()
    if not whole:
        frozen = ('image_encoder.', 'text_encoder.', 'prompt_learner.token_')
        expected = {n: t for n, t in expected.items() if n.startswith(frozen)}
        state = {n: t for n, t in state.items() if n.startswith(frozen)}
    check_state(state, expected, path, key)
    model.load_state_dict(state, strict=whole)
    return model


def _assemble(cfg, arch, num_class, side_counts, activation, sentence=None):
    """Towers, heads and prompts of ``arch``; ``side_counts``: cameras and views that there are."""
    _check_sizes(cfg, arch)
    image, text = arch.build(cfg.INPUT.SIZE_TRAIN, cfg.MODEL.STRIDE_SIZE, activation)
    side = (
        side_counts[0] if cfg.MODEL.SIE_CAMERA else 0,
        side_counts[1] if cfg.MODEL.SIE_VIEW else 0,
    )
    if any(side) and arch.family != 'ViT':
        raise Mismatch(
            'MODEL.SIE_CAMERA and SIE_VIEW need a ViT; set them to False or choose MODEL.NAME '
            'ViT-B-16'
        )
    if arch.family == 'RN':
        image = image.to(memory_format=torch.channels_last)  # what convolutions are fastest in
    if cfg.MODEL.COMPILE:
        image.compile()  # in place: the state dict keeps its names; utils.device has tried it
    return ReIDModel(
        image,
        text,
        (arch.feature_dim, arch.embed_dim),
        num_class,
        sentence,
        neck_feat=cfg.TEST.NECK_FEAT,
        side=side,
        side_factor=cfg.MODEL.SIE_COE,
        activation=activation,
        grid=arch.positions(cfg.INPUT.SIZE_TRAIN, cfg.MODEL.STRIDE_SIZE),
    )


# ---------------------------------------------------------------------- sentence, activation, side


def _embedded(cfg, words):
    """The :class:`Sentence` of the config, embedded by ``words`` (vocabulary, width)."""
    tokens, start = find_slots(sentence_for(cfg.DATASETS.NAMES, cfg.MODEL.PROMPT))
    if len(words) != int(tokens.max()) + 1:  # that of the end token
        raise InputError(
            f'MODEL.PRETRAIN_PATH: token_embedding.weight has {len(words)} words, '
            f"CLIP's tokenizer {tokens.max() + 1}"
        )
    embedded = words[tokens]  # (1, 77, width)
    return Sentence(embedded[:, :start].clone(), embedded[:, start + 4 :].clone(), tokens)


def _trained_sentence(cfg, state, key):
    """The :class:`Sentence` of a trained model, which must be that of the config."""
    text = sentence_for(cfg.DATASETS.NAMES, cfg.MODEL.PROMPT)
    tokens, start = find_slots(text)
    prefix, suffix = state['prompt_learner.token_prefix'], state['prompt_learner.token_suffix']
    if prefix.shape[1] != start or _trained_end(suffix) not in (
        None,
        int(tokens.argmax()) - start - 4,
    ):
        raise Mismatch(
            f'{key}: MODEL.PROMPT {text!r} is not the sentence that the checkpoint was trained '
            'with; set '
            f'MODEL.PROMPT to that one'
        )
    return Sentence(prefix, suffix, tokens)


def _trained_end(suffix):
    """Position of the end token within a trained model's suffix: what follows is one repeated
    padding vector.
    """
    words = (suffix[0] != suffix[0, -1]).any(dim=1).nonzero()
    return (
        int(words[-1]) if len(words) < suffix.shape[1] - 1 else None
    )  # fabricated weights have no padding


def _settled(cfg, found, key='MODEL.PRETRAIN_PATH'):
    """MODEL.ACTIVATION; where that is 'auto' the one that was ``found`` for the weights."""
    asked = cfg.MODEL.ACTIVATION
    if asked == 'auto':
        if found.name not in ACTIVATIONS:
            raise InputError(
                f'{key}: the activation {found.name[:40]!r} ({found.why}) is unknown; if it was '
                'another, set '
                f'MODEL.ACTIVATION {" or ".join(ACTIVATIONS)}'
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


def _trained_activation(about, path):
    if 'activation' in about:
        return Activation(about['activation'], f'{path} says so', True)
    return Activation('quickgelu', f"{path} does not say, so it is the original's", False)


def _side_of(cfg, state, about, path):
    """(cameras, views) of a trained model.

    A checkpoint of the original tells their product alone: where the config has both, VeRi's eight
    views are assumed, else one; where it has one of them, more than VeRi has of it are refused.
    """
    rows = len(state['cv_embed']) if 'cv_embed' in state and state['cv_embed'].dim() else 0
    wanted = cfg.MODEL.SIE_CAMERA, cfg.MODEL.SIE_VIEW
    told = _told_side(about, rows, path) if 'side' in about else None
    if (tuple(map(bool, told)) != wanted) if told else (bool(rows) != any(wanted)):
        with_what = (
            ' and '.join(
                name for name, count in zip(('cameras', 'views'), told, strict=True) if count
            )
            if told
            else 'side information'
        )
        raise Mismatch(
            f'TEST.WEIGHT: {path} was trained {"with" if rows else "without"} '
            f'{with_what or "side information"}; '
            f'set MODEL.SIE_CAMERA / SIE_VIEW as in training'
        )
    if told:
        return told
    if all(wanted):
        views = VERI_VIEWS if cfg.DATASETS.NAMES == 'veri' and rows % VERI_VIEWS == 0 else 1
        return rows // views, views
    if (
        cfg.DATASETS.NAMES == 'veri'
        and rows % VERI_VIEWS == 0
        and rows > (VERI_CAMERAS if wanted[0] else VERI_VIEWS)
    ):
        raise Mismatch(
            f'TEST.WEIGHT: {path} has {rows} embeddings, as of {rows // VERI_VIEWS} cameras x '
            f'{VERI_VIEWS} views; '
            f'VeRi has {VERI_CAMERAS} cameras: set both MODEL.SIE_CAMERA and MODEL.SIE_VIEW True'
        )
    return (rows, 0) if cfg.MODEL.SIE_CAMERA else (0, rows)


def _told_side(about, rows, path):
    """(cameras, views) as the checkpoint says, which must be ``rows`` pairs."""
    told = re.fullmatch(r'(\d{1,6}),(\d{1,6})', about['side'])
    side = (int(told[1]), int(told[2])) if told else (0, 0)
    if not told or (max(1, side[0]) * max(1, side[1]) if any(side) else 0) != rows:
        raise InputError(
            f'TEST.WEIGHT: {path} is damaged: it says that it knows {about["side"][:40]!r} '
            'cameras and views, and '
            f'has {rows} embeddings of them'
        )
    return side


# ------------------------------------------------------------------------------- what does not fit


def _check_notes(cfg, about, ours, path, key, whole):
    """InputError where no shape tells that a trained model is another: transposed positions,
    another factor of the side information. about: its notes; ours: those of the model built for it,
    ``whole`` or its encoders alone.
    """
    theirs = {name: ascii(about.get(name, value))[1:-1][:40] for name, value in ours.items()}
    if theirs['positions'] != ours['positions']:
        raise Mismatch(
            f'{key}: {path} was trained with {theirs["positions"]} positions (rows x columns), '
            'INPUT.SIZE_TRAIN '
            f'{list(cfg.INPUT.SIZE_TRAIN)} with MODEL.STRIDE_SIZE {list(cfg.MODEL.STRIDE_SIZE)} '
            'makes '
            f'{ours["positions"]}; set them as in training'
        )
    if whole and 'sie_coe' in ours and theirs['sie_coe'] != ours['sie_coe']:
        raise Mismatch(
            f'{key}: {path} was trained with MODEL.SIE_COE {theirs["sie_coe"]}, here it is '
            f'{ours["sie_coe"]}; set '
            f'it as in training'
        )


def _check_sizes(cfg, arch):
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


def _check_family(arch, published, name, path):
    def shapes(a):
        return replace(a if arch.text_layers else a.without_text(), grid=0, vocab_size=0)

    official = [n for n, a in ARCHITECTURES.items() if shapes(a) == shapes(arch)]
    if arch.family != published.family or (official and name not in official):

        def text(a):
            return 'a ResNet' if a.family == 'RN' else f'a ViT with patches of {a.patch} pixels'

        raise Mismatch(
            f'MODEL.NAME is {name}, {text(published)}, but {path} holds '
            f'{official[0] if official else text(arch)}; change MODEL.NAME or the weights'
        )


def _check_clip(state, path, prompts):
    """InputError unless ``state`` has the names of OpenAI's CLIP; ``prompts``: the text's too."""

    def has(prefix):
        return any(name.startswith(prefix) for name in state)

    what = None
    if 'classifier.weight' in state:
        what = 'a trained re-identification model; set MODEL.PRETRAIN_CHOICE self or finetune'
    elif has('vision_model.'):
        what = "of the library transformers; take the same CLIP's file of open_clip"
    elif has('visual.trunk.'):
        what = (
            "a CLIP whose image tower is one of the library timm; towers like OpenAI's can be used"
        )
    elif prompts and has('text.'):
        what = (
            "a CLIP with another text tower than OpenAI's (text.…), which prompts cannot use; a "
            'base variant does '
            'without: SOLVER.STAGE1.MAX_EPOCHS 0 and MODEL.I2T_LOSS_WEIGHT 0'
        )
    elif prompts and 'token_embedding.weight' not in state:
        what = 'no CLIP state dict (token_embedding.weight is missing)'
    elif not has('visual.'):
        what = 'no CLIP state dict (visual.… is missing)'
    if what:
        raise InputError(f'MODEL.PRETRAIN_PATH: {path} is {what}')


def _check_trained(state, path, key):
    needed = {'classifier.weight': 2}  # dimensions
    if any(n.startswith(TEXT_SIDE) for n in state):
        needed |= {'prompt_learner.token_prefix': 3, 'prompt_learner.token_suffix': 3}
    if any(
        name not in state or state[name].dim() != dimensions for name, dimensions in needed.items()
    ):
        raise InputError(
            f'{key}: {path} is no trained re-identification model (classifier.weight or '
            'prompt_learner.* '
            f"missing or of another shape); CLIP's own weights go into MODEL.PRETRAIN_PATH with "
            f'PRETRAIN_CHOICE clip'
        )


def _our_name(name):
    return f'image_encoder.{name[7:]}' if name.startswith('visual.') else f'text_encoder.{name}'


def _openai_name(name):
    return name.replace('image_encoder.', 'visual.', 1).removeprefix('text_encoder.')
