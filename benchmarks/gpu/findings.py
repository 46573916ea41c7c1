"""What a part of the GPU check returns, and the toy models that rehearse it."""

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
    """What a part has found.

    text: one line for people; facts: for JSON; wrong: what is not as it must be.
    """

    text: str
    facts: Facts
    wrong: list[str] = field(default_factory=list)


@contextlib.contextmanager
def toy_models() -> Iterator[None]:
    """CLIPs of random weights are tiny within it: to rehearse a part on the CPU in seconds."""
    before = dict(ARCHITECTURES)
    ARCHITECTURES.update(TOY)
    try:
        yield
    finally:
        ARCHITECTURES.update(before)
