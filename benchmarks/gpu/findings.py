"""The result of a part of the GPU check, and toy models for rehearsals."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.core import Facts
from model.clip.architecture import ARCHITECTURES, Architecture

TOY = {
    'RN50': Architecture((1, 1, 1, 1), 16, 16, 64, 64, 2),
    'ViT-B-16': Architecture(2, 64, 16, 64, 64, 2),
}
TOY_PHOTOS = ('INPUT.SIZE_TRAIN', '[32,32]', 'INPUT.SIZE_TEST', '[32,32]')


@dataclass
class Finding:
    """The result of a part.

    Attributes:
        text: One line for readers.
        facts: Measurements for the JSON file.
        wrong: Errors, one line each; empty if the part succeeded.
    """

    text: str
    facts: Facts
    wrong: list[str] = field(default_factory=list)


@contextlib.contextmanager
def toy_models() -> Iterator[None]:
    """Make random CLIP models tiny within a ``with`` block, to rehearse a part in seconds."""
    before = dict(ARCHITECTURES)
    ARCHITECTURES.update(TOY)
    try:
        yield
    finally:
        ARCHITECTURES.update(before)
