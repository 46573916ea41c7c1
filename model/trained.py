"""What a trained checkpoint says of itself: sentence, activation, cameras and views."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from yacs.config import CfgNode

from model.clip.open_clip import Activation
from model.prompt import TOKENS, Sentence, find_slots, sentence_for
from utils.checkpoint import State
from utils.errors import InputError, Mismatch

TEXT_SIDE = ('prompt_learner.', 'text_encoder.')  # what a base variant does not have
VERI_CAMERAS, VERI_VIEWS = 20, 8  # of VeRi; the views are those of the key points' lists


@dataclass(frozen=True)
class Source:
    """A trained model as it was read.

    Attributes:
        state: its tensors by name.
        about: what was noted about them: nothing to rely on.
        path: its file.
        key: the config key that the path came from.
    """

    state: State
    about: dict[str, str]
    path: str | Path
    key: str

    @property
    def has_prompts(self) -> bool:
        """Whether it is no base variant."""
        return any(name.startswith(TEXT_SIDE) for name in self.state)

    @property
    def num_class(self) -> int:
        """Number of individuals."""
        return len(self.state['classifier.weight'])

    @property
    def activation(self) -> Activation:
        """The noted activation, else that of the original."""
        if 'activation' in self.about:
            return Activation(self.about['activation'], f'{self.path} says so', True)
        return Activation('quickgelu', f"{self.path} does not say, so it is the original's", False)


def sentence_of(cfg: CfgNode, source: Source) -> Sentence:
    """Return the sentence of a trained model.

    Raises:
        Mismatch: it is not that of the config.
    """
    text = sentence_for(cfg.DATASETS.NAMES, cfg.MODEL.PROMPT)
    tokens, start = find_slots(text)
    state = source.state
    prefix, suffix = state['prompt_learner.token_prefix'], state['prompt_learner.token_suffix']
    end = int(tokens.argmax()) - start - TOKENS
    if prefix.shape[1] != start or _end_of(suffix) not in (None, end):
        raise Mismatch(
            f'{source.key}: MODEL.PROMPT {text!r} is not the sentence that the checkpoint was '
            'trained with; set MODEL.PROMPT to that one'
        )
    return Sentence(prefix, suffix, tokens)


def _end_of(suffix: torch.Tensor) -> int | None:
    """Position of the end token in (1, n, width): one repeated padding vector follows it."""
    words = (suffix[0] != suffix[0, -1]).any(dim=1).nonzero()
    padded = len(words) < suffix.shape[1] - 1  # fabricated weights have no padding
    return int(words[-1]) if padded else None


def side_of(cfg: CfgNode, source: Source) -> tuple[int, int]:
    """Return (cameras, views) of a trained model.

    A checkpoint of the original has their product alone. Where the config has both, VeRi's eight
    views are assumed, else one; where it has one of them, more than VeRi has of it are rejected.

    Raises:
        Mismatch: the config has other side information than the model.
    """
    embedding = source.state.get('cv_embed')
    rows = 0 if embedding is None or not embedding.dim() else len(embedding)
    cameras, views = cfg.MODEL.SIE_CAMERA, cfg.MODEL.SIE_VIEW
    if 'side' in source.about:
        side = _noted_side(source, rows)
        _check_side(source, rows, (bool(side[0]), bool(side[1])) == (cameras, views), side)
        return side
    _check_side(source, rows, bool(rows) == (cameras or views))
    of_veri = cfg.DATASETS.NAMES == 'veri' and rows % VERI_VIEWS == 0
    if cameras and views:
        count = VERI_VIEWS if of_veri else 1
        return rows // count, count
    if of_veri and rows > (VERI_CAMERAS if cameras else VERI_VIEWS):
        raise Mismatch(
            f'TEST.WEIGHT: {source.path} has {rows} embeddings, as of {rows // VERI_VIEWS} cameras '
            f'x {VERI_VIEWS} views; VeRi has {VERI_CAMERAS} cameras: set both MODEL.SIE_CAMERA and '
            'MODEL.SIE_VIEW True'
        )
    return (rows, 0) if cameras else (0, rows)


def _check_side(source: Source, rows: int, fits: bool, side: tuple[int, int] | None = None) -> None:
    if fits:
        return
    counts = dict(zip(('cameras', 'views'), side or (), strict=False))
    noted = ' and '.join(name for name, count in counts.items() if count)
    raise Mismatch(
        f'TEST.WEIGHT: {source.path} was trained {"with" if rows else "without"} '
        f'{noted or "side information"}; set MODEL.SIE_CAMERA / SIE_VIEW as in training'
    )


def _noted_side(source: Source, rows: int) -> tuple[int, int]:
    """(cameras, views) as the checkpoint notes them, which must be ``rows`` pairs."""
    noted = re.fullmatch(r'(\d{1,6}),(\d{1,6})', source.about['side'])
    side = (int(noted[1]), int(noted[2])) if noted else (0, 0)
    pairs = max(1, side[0]) * max(1, side[1]) if any(side) else 0
    if not noted or pairs != rows:
        raise InputError(
            f'TEST.WEIGHT: {source.path} is damaged: it says that it knows '
            f'{source.about["side"][:40]!r} cameras and views, and has {rows} embeddings of them'
        )
    return side
