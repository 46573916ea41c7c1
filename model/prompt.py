"""Learned prompts: four vectors per individual inside one sentence (CoOp, Zhou et al., 2022)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.clip.tokenizer import encode, tokenize
from utils.errors import InputError

TOKENS = 4  # learned vectors per individual
SENTENCE = 'A photo of a X X X X {}.'
_X = 343  # id of the word "x"


class Sentence(NamedTuple):
    """The sentence of the prompts.

    Attributes:
        prefix: (1, p, width), the embedded words before the four learned ones.
        suffix: (1, 73 − p, width), the embedded words after them.
        tokens: (1, 77), the ids of all words.
    """

    prefix: Tensor
    suffix: Tensor
    tokens: Tensor


def sentence_for(dataset: str, prompt: str = '') -> str:
    """Return ``prompt`` (MODEL.PROMPT) if given, else the published sentence of ``dataset``."""
    return prompt or SENTENCE.format('vehicle' if dataset in ('veri', 'VehicleID') else 'person')


def find_slots(sentence: str) -> tuple[Tensor, int]:
    """Return (tokens (1, 77), position of the first X).

    Raises:
        InputError: The sentence does not contain four X in a row, or is too long.
    """
    ids = encode(sentence)
    starts = [i for i in range(len(ids)) if ids[i : i + TOKENS] == [_X] * TOKENS]
    if len(starts) != 1 or ids.count(_X) != TOKENS:
        raise InputError(
            f'MODEL.PROMPT {sentence!r} must contain four X in a row, as in '
            f'"{SENTENCE.format("tiger")}"'
        )
    return tokenize(sentence), starts[0] + 1


class PromptLearner(nn.Module):
    """The learned words of all individuals and the fixed words around them.

    Args:
        num_class: The number of individuals.
        prefix: (1, p, width), the fixed words before the four learned ones.
        suffix: (1, 73 − p, width), the fixed words after them.
    """

    token_prefix: Tensor
    token_suffix: Tensor

    def __init__(self, num_class: int, prefix: Tensor, suffix: Tensor):
        super().__init__()
        self.cls_ctx = nn.Parameter(
            torch.empty(num_class, TOKENS, prefix.shape[2]).normal_(std=0.02)
        )
        self.register_buffer('token_prefix', prefix)
        self.register_buffer('token_suffix', suffix)

    def forward(self, labels: Tensor, end: int) -> Tensor:
        """Return the words (B, end + 1 - p, width) that follow the prefix.

        Args:
            labels: (B,) individuals.
            end: The position in the sentence of the last word needed.
        """
        following = self.token_suffix[:, : end + 1 - self.token_prefix.shape[1] - TOKENS]
        return torch.cat([self.cls_ctx[labels], following.expand(len(labels), -1, -1)], dim=1)
