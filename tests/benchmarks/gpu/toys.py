"""Settings and parts for the tests of the GPU check."""

import json

import torch

from benchmarks.core import Settings
from benchmarks.gpu.findings import TOY_PHOTOS, toy_models
from benchmarks.gpu.parts import PARTS, Part
from benchmarks.results import finite

FAKE = Settings(quick=True, device=torch.device('cuda'), options=TOY_PHOTOS)
BY_NAME = {part.name: part for part in PARTS}
TOY = Part('toy', 'a toy', None, 30)


def find(name, folder, settings=FAKE):
    """What the part finds, and that it can be written as JSON."""
    with toy_models():
        found = BY_NAME[name].find(settings, folder)
    assert '\n' not in found.text and json.dumps(finite(found.facts))
    return found
