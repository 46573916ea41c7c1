"""Learned prompts: four vectors per individual inside one sentence (CoOp, Zhou et al., 2022)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.clip.tokenizer import encode, tokenize
from utils.errors import InputError

TOKENS = 4  # learned vectors per individual
SENTENCE = 'A photo of a X X X X {}.'
MOST_NUMBERS = 10**TOKENS - 1  # numbers of four digits, from 0001
_X = 343  # id of the word "x"


class Sentence(NamedTuple):
    """The sentence of the prompts.

    Attributes:
        prefix: (1, p, width), the embedded words before the four learned ones.
        suffix: (1, 73 − p, width), the embedded words after them.
        tokens: (1, 77), the ids of all words.
        start: (classes, 4, width), what the learned words start as; None = random.
    """

    prefix: Tensor
    suffix: Tensor
    tokens: Tensor
    start: Tensor | None = None


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


def number_tokens(count: int) -> Tensor:
    """Return the ids (count, 4) of the numbers 0001, 0002 …; each digit is a word of CLIP's.

    Raises:
        InputError: There are more individuals than numbers of four digits.
    """
    if count > MOST_NUMBERS:
        raise InputError(
            f"MODEL.PROMPT_START 'number' has four digits, for at most {MOST_NUMBERS} individuals, "
            f"but the training list has {count}; set MODEL.PROMPT_START 'random'"
        )
    return torch.tensor([encode(f'{number:0{TOKENS}}') for number in range(1, count + 1)])


class PromptLearner(nn.Module):
    """The learned words of all individuals and the fixed words around them.

    Args:
        num_class: The number of individuals.
        sentence: The fixed words, and what the learned ones start as.
    """

    token_prefix: Tensor
    token_suffix: Tensor

    def __init__(self, num_class: int, sentence: Sentence):
        super().__init__()
        # drawn in any case, so that the random numbers of all other weights do not change
        random = torch.empty(num_class, TOKENS, sentence.prefix.shape[2]).normal_(std=0.02)
        start = random if sentence.start is None else sentence.start.to(random)
        self.cls_ctx = nn.Parameter(start)
        self.register_buffer('token_prefix', sentence.prefix)
        self.register_buffer('token_suffix', sentence.suffix)

    def forward(self, labels: Tensor, end: int) -> Tensor:
        """Return the words (B, end + 1 - p, width) that follow the prefix.

        Args:
            labels: (B,) individuals.
            end: The position in the sentence of the last word needed.
        """
        following = self.token_suffix[:, : end + 1 - self.token_prefix.shape[1] - TOKENS]
        return torch.cat([self.cls_ctx[labels], following.expand(len(labels), -1, -1)], dim=1)
