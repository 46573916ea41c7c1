"""CLIP's byte-pair tokenizer (Radford et al., 2021).

Byte-level BPE follows Sennrich et al., 2016 and GPT-2. The merges are OpenAI's data, see
bpe_merges.LICENSE.txt.
"""

import functools
import gzip
import html
from pathlib import Path

import ftfy
import regex
import torch

from utils.errors import InputError

CONTEXT_LENGTH = 77  # tokens per text, including start and end
VOCABULARY_SIZE = 49408
START, END = '<|startoftext|>', '<|endoftext|>'
_WORDS = regex.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+",
    regex.IGNORECASE,
)


@functools.cache
def _vocabulary() -> tuple[dict[int, str], dict[tuple[str, ...], int], dict[str, int]]:
    """Return three dicts: byte → symbol, pair → rank of its merge, symbol → id.

    A printable byte is its own symbol; the others have characters from U+0100 upwards.
    """
    printable = [
        *range(ord('!'), ord('~') + 1),
        *range(ord('¡'), ord('¬') + 1),
        *range(ord('®'), ord('ÿ') + 1),
    ]
    others = [b for b in range(256) if b not in printable]
    symbols = {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
    with gzip.open(Path(__file__).with_name('bpe_merges.txt.gz'), 'rt', encoding='utf-8') as file:
        merges = [tuple(line.split()) for line in file]
    entries = [
        *symbols.values(),
        *(s + '</w>' for s in symbols.values()),
        *map(''.join, merges),
        START,
        END,
    ]
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    return symbols, ranks, {entry: i for i, entry in enumerate(entries)}


def _word_ids(word: str) -> list[int]:
    """Return the ids of a word: from its bytes on, always merge the pair with the lowest rank."""
    symbols, ranks, ids = _vocabulary()
    if word in (START, END):
        return [ids[word]]
    parts = [symbols[b] for b in word.encode('utf-8')]
    parts[-1] += '</w>'
    while len(parts) > 1:
        pairs = list(zip(parts, parts[1:]))
        pair = min(pairs, key=lambda pair: ranks.get(pair, len(ranks)))
        if pair not in ranks:
            break
        i = pairs.index(pair)
        parts[i : i + 2] = [''.join(pair)]
    return [ids[part] for part in parts]


def encode(text: str) -> list[int]:
    """Return the token ids of a text, without those of start and end.

    Fixes broken Unicode, decodes HTML escapes (twice), collapses white space and converts to lower
    case.
    """
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    words = _WORDS.findall(' '.join(text.split()).lower())
    return [i for word in words for i in _word_ids(word)]


def tokenize(text: str) -> torch.Tensor:
    """Return the token ids of a text: (1, CONTEXT_LENGTH) int64, with zeros after the end.

    Raises:
        InputError: The text is too long.
    """
    _, _, ids = _vocabulary()
    tokens = [ids[START], *encode(text), ids[END]]
    if len(tokens) > CONTEXT_LENGTH:
        raise InputError(
            f'the text {text[:60]!r} has {len(tokens)} tokens; at most {CONTEXT_LENGTH} are '
            'allowed: shorten it'
        )
    return torch.tensor([tokens + [0] * (CONTEXT_LENGTH - len(tokens))])
