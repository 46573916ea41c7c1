"""The re-identification model: CLIP's image encoder with two necks and classifiers, learned prompts, text encoder.

Li, Sun, Li, "CLIP-ReID: Exploiting Vision-Language Model for Image Re-Identification without Concrete Text Labels",
AAAI 2023. State-dict names and shapes are those of the original implementation.
"""
import logging
from dataclasses import replace

import torch
from torch import nn

from model.clip.weights import ARCHITECTURES, architecture_of, clip_state, known, resize_positions
from model.prompt import PromptLearner, find_slots, sentence_for
from utils.checkpoint import check_state, load_state
from utils.errors import InputError
from utils.linear import Linear

logger = logging.getLogger('transreid')


class ReIDModel(nn.Module):
    """See :meth:`forward`. Built by :func:`make_model` and :func:`make_test_model`.

    ``side`` = (cameras, views) that have a side-information embedding (SIE, TransReID, He et al. 2021); a 0 leaves
    that label out, (0, 0) means none.
    """

    def __init__(self, image_encoder, text_encoder, feature_dims, num_class, prefix, suffix, tokens,
                 neck_feat='after', side=(0, 0), side_factor=3.0):
        super().__init__()
        dim, dim_proj = feature_dims
        self.side, self.side_factor, self.neck_feat = side, side_factor, neck_feat
        if any(side):
            self.cv_embed = nn.Parameter(nn.init.trunc_normal_(torch.empty(max(1, side[0]) * max(1, side[1]), dim), std=0.02))
        self.classifier = _classifier(dim, num_class)
        self.classifier_proj = _classifier(dim_proj, num_class)
        self.bottleneck = _neck(dim)
        self.bottleneck_proj = _neck(dim_proj)
        self.image_encoder = image_encoder
        self.prompt_learner = PromptLearner(num_class, prefix, suffix)
        self.text_encoder = text_encoder.requires_grad_(False)  # CLIP's own in both stages
        self.tokenized_prompts = tokens  # (1, context length) ids
        self.end = int(tokens.argmax())  # CLIP reads a sentence at the first position of the largest id
        self.gather = None  # of several processes: (B, D) of each -> (world · B, D), before what looks at the whole batch

    @property
    def num_class(self):
        return len(self.classifier.weight)

    @property
    def feature_dim(self):
        """Length of f, the feature before the projection."""
        return self.classifier.in_features

    def forward(self, x=None, label=None, get_image=False, get_text=False, cam_label=None, view_label=None):
        """Photos ``x`` (B, 3, H, W), individuals, cameras and views (B,) int64.

        - ``get_text``: text features (B, E) of the individuals ``label``.
        - ``get_image``: projected image features (B, E), without side information.
        - training: ([score, score_proj] (B, classes), [f_last, f, f_proj], f_proj); of several processes, of all their photos.
        - evaluation: the test feature f ‖ f_proj (B, D + E), before or after the necks.
        """
        if get_text:
            return self.sentence_encoder()(label)
        if get_image:
            return self.image_encoder(x)[2]
        f_last, f, f_proj = self.image_encoder(x, self._side_information(cam_label, view_label))
        if self.training and self.gather:  # one message for the three
            f_last, f, f_proj = self.gather(torch.cat([f_last, f, f_proj], dim=1)).split(
                [f_last.shape[1], f.shape[1], f_proj.shape[1]], dim=1)
        if self.training:
            scores = [self.classifier(self.bottleneck(f)), self.classifier_proj(self.bottleneck_proj(f_proj))]
            return scores, [f_last, f, f_proj], f_proj
        if self.neck_feat == 'after':
            f, f_proj = self.bottleneck(f), self.bottleneck_proj(f_proj)
        return torch.cat([f, f_proj], dim=1)

    def sentence_encoder(self):
        """A function of individuals (B,) to their text features (B, E), for many calls with the weights as they are now.

        The words before the learned ones are computed here, once. Gradients reach the learned words.
        """
        with torch.no_grad():
            start = self.text_encoder.start(self.prompt_learner.token_prefix)
        return lambda labels: self.text_encoder(self.prompt_learner(labels, self.end), start)

    def _side_information(self, cam_label, view_label):
        cameras, views = self.side
        index = None
        if cameras and views:
            if cam_label is not None and view_label is not None:
                index = cam_label * views + view_label
        elif cameras:
            index = cam_label
        elif views:
            index = view_label
        return None if index is None else self.side_factor * self.cv_embed[index]

    def changed_names(self, stage):
        """Names of the state dict's tensors that training has changed by the end of ``stage`` (1 or 2)."""
        frozen = ('text_encoder.', 'prompt_learner.token_')
        return [name for name in self.state_dict()
                if (name == 'prompt_learner.cls_ctx' if stage == 1 else not name.startswith(frozen))]

    def load_param(self, path):
        """Load a trained model of the same shapes, from here or from the original. Checked whole first."""
        state = load_state(path)
        check_state(state, self.state_dict(), path)
        self.load_state_dict(state)


def _classifier(dim, num_class):
    layer = Linear(dim, num_class, bias=False)
    nn.init.normal_(layer.weight, std=0.001)
    return layer


def _neck(dim):
    """BNNeck (Luo et al. 2019): its bias stays 0."""
    layer = nn.BatchNorm1d(dim)
    layer.bias.requires_grad_(False)
    return layer


# ------------------------------------------------------------------------------------------------- building

def make_model(cfg, num_class, camera_num=0, view_num=0):
    """The model for training ``num_class`` individuals, with the weights that MODEL.PRETRAIN_CHOICE asks for."""
    name, published = known(cfg.MODEL.NAME)
    choice, path = cfg.MODEL.PRETRAIN_CHOICE, cfg.MODEL.PRETRAIN_PATH
    if choice in ('self', 'finetune'):
        return _from_trained(cfg, path, num_class, (camera_num, view_num), whole=choice == 'self')
    if choice == 'random':
        logger.warning('MODEL.PRETRAIN_CHOICE is random: no pretrained weights, for smoke runs only')
        return _assemble(cfg, published, num_class, (camera_num, view_num), _random_words(published))
    state = clip_state(name, path)
    arch = architecture_of(_clip_only(state, path), path or name)
    _check_family(arch, published, name, path or name)
    if arch != published:
        logger.warning('%s is a CLIP of other shapes than OpenAI\'s %s: %s', path, name, arch)
    model = _assemble(cfg, arch, num_class, (camera_num, view_num), state['token_embedding.weight'])
    positions = 'image_encoder.positional_embedding' if arch.family == 'ViT' else 'image_encoder.attnpool.positional_embedding'
    ours = {_our_name(n): t for n, t in state.items() if n not in ('logit_scale', 'token_embedding.weight')}
    ours[positions] = resize_positions(ours[positions], arch.positions(cfg.INPUT.SIZE_TRAIN, cfg.MODEL.STRIDE_SIZE))
    towers = {n: t for n, t in model.state_dict().items() if n.startswith(('image_encoder.', 'text_encoder.'))}
    # old files lack the batch norms' counters
    check_state(ours, {n: t for n, t in towers.items() if n in ours or not n.endswith('num_batches_tracked')},
                path or name, 'MODEL.PRETRAIN_PATH')
    model.load_state_dict(ours, strict=False)
    return model


def make_test_model(cfg):
    """The trained model of TEST.WEIGHT: class count, cameras and architecture are the checkpoint's own."""
    return _from_trained(cfg, cfg.TEST.WEIGHT, None, None, whole=True, key='TEST.WEIGHT')


def _from_trained(cfg, path, num_class, side, whole, key='MODEL.PRETRAIN_PATH'):
    """A model around the checkpoint ``path``; ``whole`` = False leaves heads and prompts fresh."""
    state = load_state(path, key)
    name, published = known(cfg.MODEL.NAME)
    arch = architecture_of(_openai_names(state, path, key), path)
    _check_family(arch, published, name, path)
    trained_class = len(state['classifier.weight']) if 'classifier.weight' in state else 0
    if whole and num_class not in (None, trained_class):
        raise InputError(f'{key}: {path} knows {trained_class} individuals, the training list has {num_class}; '
                         f'use MODEL.PRETRAIN_CHOICE finetune to start from its encoders')
    if side is None:
        side = _side_of(cfg, state, path)
    model = _assemble(cfg, arch, num_class or trained_class, side, None,
                      fixed=(state['prompt_learner.token_prefix'], state['prompt_learner.token_suffix']))
    expected = model.state_dict()
    if not whole:
        frozen = ('image_encoder.', 'text_encoder.', 'prompt_learner.token_')
        expected = {n: t for n, t in expected.items() if n.startswith(frozen)}
        state = {n: t for n, t in state.items() if n.startswith(frozen)}
    check_state(state, expected, path, key)
    model.load_state_dict(state, strict=whole)
    return model


def _assemble(cfg, arch, num_class, side_counts, words, fixed=None):
    """Towers, heads and prompts of ``arch``; ``words`` (vocabulary, width) embeds the sentence, or ``fixed`` is it."""
    size, stride = cfg.INPUT.SIZE_TRAIN, cfg.MODEL.STRIDE_SIZE
    _check_sizes(cfg, arch)
    sentence = sentence_for(cfg.DATASETS.NAMES, cfg.MODEL.PROMPT)
    tokens, start = find_slots(sentence)
    if fixed is None:
        if len(words) <= int(tokens.max()):
            raise InputError(f'MODEL.PRETRAIN_PATH: token_embedding.weight has {len(words)} words, '
                             f'CLIP\'s tokenizer {tokens.max() + 1}')
        embedded = words[tokens]  # (1, 77, width)
        fixed = embedded[:, :start].clone(), embedded[:, start + 4:].clone()
    elif fixed[0].shape[1] != start or _trained_end(fixed[1]) not in (None, int(tokens.argmax()) - start - 4):
        raise InputError(f'MODEL.PROMPT {sentence!r} is not the sentence that the checkpoint was trained '
                         f'with; set MODEL.PROMPT to that one')
    image, text = arch.build(size, stride)
    side = (side_counts[0] if cfg.MODEL.SIE_CAMERA else 0, side_counts[1] if cfg.MODEL.SIE_VIEW else 0)
    if any(side) and arch.family != 'ViT':
        raise InputError('MODEL.SIE_CAMERA and SIE_VIEW need a ViT; set them to False or choose MODEL.NAME ViT-B-16')
    if arch.family == 'RN':
        image = image.to(memory_format=torch.channels_last)  # what convolutions are fastest in
    if cfg.MODEL.COMPILE:
        _compile(image)
    return ReIDModel(image, text, (arch.feature_dim, arch.embed_dim), num_class, *fixed, tokens,
                     neck_feat=cfg.TEST.NECK_FEAT, side=side, side_factor=cfg.MODEL.SIE_COE)


def _compile(encoder):
    """torch.compile in place, so that the state dict keeps its names. Tried on a number first, as it fails hours later else."""
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(1))
    except Exception as error:  # of the compiler, the linker, the toolchain …
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:100]
        raise InputError(f'MODEL.COMPILE True: torch.compile does not work here ({reason}); it needs a C++ compiler, on a '
                         f'GPU Triton too; set MODEL.COMPILE False') from None
    encoder.compile()


def _trained_end(suffix):
    """Position of the end token within a trained model's suffix: what follows is one repeated padding vector."""
    words = (suffix[0] != suffix[0, -1]).any(dim=1).nonzero()
    return int(words[-1]) if len(words) < suffix.shape[1] - 1 else None  # fabricated weights have no padding


def _check_sizes(cfg, arch):
    stride = list(cfg.MODEL.STRIDE_SIZE)
    if arch.family == 'RN' and stride != [16, 16]:
        raise InputError(f'MODEL.STRIDE_SIZE is {stride}; a ResNet\'s is fixed at [16, 16], other strides need a ViT')
    if max(stride) > arch.patch:
        raise InputError(f'MODEL.STRIDE_SIZE {stride} skips pixels: patches have {arch.patch} pixels; choose 1 to {arch.patch}')
    grids = [arch.positions(size, stride) for size in (cfg.INPUT.SIZE_TRAIN, cfg.INPUT.SIZE_TEST)]
    if min(grids[0]) < 1:
        raise InputError(f'INPUT.SIZE_TRAIN {list(cfg.INPUT.SIZE_TRAIN)} is smaller than one patch of {arch.patch} pixels')
    if grids[0] != grids[1]:
        raise InputError(f'INPUT.SIZE_TRAIN {list(cfg.INPUT.SIZE_TRAIN)} and SIZE_TEST {list(cfg.INPUT.SIZE_TEST)} give '
                         f'different maps of positions, {grids[0]} and {grids[1]}; make them the same')


def _check_family(arch, published, name, path):
    def shapes(a):
        return replace(a, grid=0, vocab_size=0)

    official = [n for n, a in ARCHITECTURES.items() if shapes(a) == shapes(arch)]
    if arch.family != published.family or (official and name not in official):
        def text(a):
            return 'a ResNet' if a.family == 'RN' else f'a ViT with patches of {a.patch} pixels'
        raise InputError(f'MODEL.NAME is {name}, {text(published)}, but {path} holds '
                         f'{official[0] if official else text(arch)}; change MODEL.NAME or the weights')


def _side_of(cfg, state, path):
    """(cameras, views) of a trained model. With both, the checkpoint only tells their product: one view is assumed."""
    rows = len(state['cv_embed']) if 'cv_embed' in state else 0
    if bool(rows) != bool(cfg.MODEL.SIE_CAMERA or cfg.MODEL.SIE_VIEW):
        raise InputError(f'TEST.WEIGHT: {path} was trained {"with" if rows else "without"} side information; set '
                         f'MODEL.SIE_CAMERA / SIE_VIEW as in training')
    return (rows, 1) if cfg.MODEL.SIE_CAMERA else (1, rows)


def _clip_only(state, path):
    if 'token_embedding.weight' not in state:
        what = 'a trained re-identification model; set MODEL.PRETRAIN_CHOICE self or finetune' \
            if 'classifier.weight' in state else 'no CLIP state dict (token_embedding.weight is missing)'
        raise InputError(f'MODEL.PRETRAIN_PATH: {path} is {what}')
    return state


def _our_name(name):
    return f'image_encoder.{name[7:]}' if name.startswith('visual.') else f'text_encoder.{name}'


def _openai_names(state, path, key):
    needed = {'classifier.weight': 2, 'prompt_learner.token_prefix': 3, 'prompt_learner.token_suffix': 3}  # dimensions
    if any(name not in state or state[name].dim() != dimensions for name, dimensions in needed.items()):
        raise InputError(f'{key}: {path} is no trained re-identification model (classifier.weight or prompt_learner.* '
                         f'missing or of another shape); CLIP\'s own weights go into MODEL.PRETRAIN_PATH with '
                         f'PRETRAIN_CHOICE clip')
    return {n.replace('image_encoder.', 'visual.', 1).removeprefix('text_encoder.'): t for n, t in state.items()
            if n.startswith(('image_encoder.', 'text_encoder.'))}


def _random_words(arch):
    return torch.randn(arch.vocab_size, arch.text_width) * 0.02
