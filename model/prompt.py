"""Learned prompts: four word vectors for each individual inside one sentence (CoOp, Zhou et al.
2022).
"""

import torch
from torch import nn

from model.clip.tokenizer import encode, tokenize
from utils.errors import InputError

TOKENS = 4  # learned vectors of an individual
SENTENCE = 'A photo of a X X X X {}.'
_X = 343  # id of the word "x"


def sentence_for(dataset, prompt=''):
    """The sentence: ``prompt`` (MODEL.PROMPT) if given, else the published one of the data set."""
    return prompt or SENTENCE.format('vehicle' if dataset in ('veri', 'VehicleID') else 'person')


def find_slots(sentence):
    """(tokens (1, 77), position of the first X). InputError unless the sentence has four X in a
    row.
    """
    ids = encode(sentence)
    starts = [i for i in range(len(ids)) if ids[i : i + TOKENS] == [_X] * TOKENS]
    if len(starts) != 1 or ids.count(_X) != TOKENS:
        raise InputError(
            f'MODEL.PROMPT {sentence!r} must hold four X in a row, as in '
            f'"{SENTENCE.format("tiger")}"'
        )
    return tokenize(sentence), starts[0] + 1


class PromptLearner(nn.Module):
    """``forward(labels, end)`` -> (B, end + 1 - p, width): the learned words of those individuals
    (B,) and what follows them up to the position ``end`` of the sentence.

    ``prefix`` (1, p, width) and ``suffix`` (1, 73 − p, width) are the fixed words around the four
    learned ones.
    """

    def __init__(self, num_class, prefix, suffix):
        super().__init__()
        self.cls_ctx = nn.Parameter(
            torch.empty(num_class, TOKENS, prefix.shape[2]).normal_(std=0.02)
        )
        self.register_buffer('token_prefix', prefix)
        self.register_buffer('token_suffix', suffix)

    def forward(self, labels, end):
        following = self.token_suffix[:, : end + 1 - self.token_prefix.shape[1] - TOKENS]
        return torch.cat([self.cls_ctx[labels], following.expand(len(labels), -1, -1)], dim=1)
