"""CLIP's byte-pair tokenizer (Radford et al. 2021; byte-level BPE after Sennrich et al. 2016 and
GPT-2).

The merges are OpenAI's data, see bpe_merges.LICENSE.txt.
"""

import functools
import gzip
import html
from pathlib import Path

import ftfy
import regex
import torch

from utils.errors import InputError

CONTEXT_LENGTH = 77  # ids, start and end included
START, END = '<|startoftext|>', '<|endoftext|>'
_WORDS = regex.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+",
    regex.IGNORECASE,
)


def _byte_symbols() -> dict[int, str]:
    """A printable character for each byte 0…255: itself where it is printable, else one from U+0100
    on.
    """
    printable = [
        *range(ord('!'), ord('~') + 1),
        *range(ord('¡'), ord('¬') + 1),
        *range(ord('®'), ord('ÿ') + 1),
    ]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}


@functools.cache
def _vocabulary() -> tuple[dict[int, str], dict[tuple[str, ...], int], dict[str, int]]:
    """(byte → symbol, pair → rank of its merge, symbol → id)."""
    symbols = _byte_symbols()
    with gzip.open(Path(__file__).with_name('bpe_merges.txt.gz'), 'rt', encoding='utf-8') as file:
        merges = [tuple(line.split()) for line in file]
    entries = [
        *symbols.values(),
        *(s + '</w>' for s in symbols.values()),
        *map(''.join, merges),
        START,
        END,
    ]
    return (
        symbols,
        {pair: rank for rank, pair in enumerate(merges)},
        {entry: i for i, entry in enumerate(entries)},
    )


def clean(text: str) -> str:
    """Mend broken Unicode, undo HTML escapes (twice), collapse white space, lower-case."""
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return ' '.join(text.split()).lower()


@functools.lru_cache(maxsize=10_000)
def _word_ids(word: str) -> tuple[int, ...]:
    """The ids of one word: start from its bytes, always join the pair whose merge comes first."""
    symbols, ranks, ids = _vocabulary()
    if word in (START, END):
        return (ids[word],)
    parts = [symbols[b] for b in word.encode('utf-8')]
    parts[-1] += '</w>'
    while len(parts) > 1:
        pair = min(zip(parts, parts[1:], strict=False), key=lambda p: ranks.get(p, len(ranks)))
        if pair not in ranks:
            break
        joined, i = [], 0
        while i < len(parts):
            step = 2 if tuple(parts[i : i + 2]) == pair else 1
            joined.append(''.join(parts[i : i + step]))
            i += step
        parts = joined
    return tuple(ids[p] for p in parts)


def encode(text: str) -> list[int]:
    """Ids of a text, without start and end."""
    return [i for word in _WORDS.findall(clean(text)) for i in _word_ids(word)]


def tokenize(
    texts: str | list[str], context_length: int = CONTEXT_LENGTH, truncate: bool = False
) -> torch.Tensor:
    """Ids of one text or several: (N, context_length) int64, zeros behind the end.

    InputError when a text needs more than ``context_length`` ids, unless ``truncate``: then the
    last one kept is the end.
    """
    _, _, ids = _vocabulary()
    texts = [texts] if isinstance(texts, str) else list(texts)
    tokens = torch.zeros(len(texts), context_length, dtype=torch.long)
    for row, text in zip(tokens, texts, strict=True):
        line = [ids[START], *encode(text), ids[END]]
        if len(line) > context_length:
            if not truncate:
                raise InputError(
                    f'the text {text[:60]!r} needs {len(line)} tokens, {context_length} are '
                    'allowed; shorten it'
                )
            line = [*line[: context_length - 1], ids[END]]
        row[: len(line)] = torch.tensor(line)
    return tokens
