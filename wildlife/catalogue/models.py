"""The model of a catalogue: what its features depend on, and its config."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from yacs.config import CfgNode

from configs import flatten, load_cfg
from datasets.records import Record
from model.make_model_clipreid import tested_file
from model.reid_model import ReIDModel
from model.timm_names import resolve_inputs
from processor.encoder import (
    check_photo_is_enough,
    feature_facts,
    load_model,
    whitening_facts,
)
from utils.errors import InputError
from wildlife.catalogue.records import Model
from wildlife.catalogue.store import Catalogue

# Keys of the config that a catalogue keeps; paths become absolute.
SECTIONS = ('MODEL.', 'INPUT.', 'TEST.', 'DATALOADER.NUM_WORKERS', 'DATASETS.NAMES')
PATHS = ('MODEL.PRETRAIN_PATH', 'TEST.WEIGHT', 'TEST.WHITENING')


@dataclass(frozen=True)
class ModelFacts:
    """A model as a catalogue knows it, before it has features.

    Attributes:
        key: A text that differs if anything differs that features depend on.
        sha256: The SHA-256 of the weights.
        config: The config as KEY -> value.
    """

    key: str
    sha256: str
    config: Mapping[str, Any]


def load_checked_model(cfg: CfgNode) -> tuple[ReIDModel, ModelFacts]:
    """Load the model that TEST.WEIGHT names; return it, and what a catalogue keeps of it.

    Raises:
        InputError: The weights cannot be read, are random, or need the camera or side of photos.
    """
    check_photo_is_enough(cfg)
    path = tested_file(cfg)
    if path is None:
        raise InputError(
            'random weights cannot compare animals; name a file of weights: TEST.WEIGHT, or '
            'MODEL.PRETRAIN_PATH for TEST.WEIGHT start'
        )
    if not path.is_file():
        raise InputError(
            f'TEST.WEIGHT {cfg.TEST.WEIGHT and path}: no such file; name the weights in the yml, '
            'or as TEST.WEIGHT … on the command line'
        )
    model, about = load_model(cfg, [Record('', 0)])
    return model, _facts(cfg, model, about['checkpoint_sha256'])


def _facts(cfg: CfgNode, model: ReIDModel, sha256: str) -> ModelFacts:
    facts = feature_facts(cfg, model, sha256)
    facts |= {'precision': cfg.TEST.PRECISION, 'upright': True, 'normalised': True}
    whitening = whitening_facts(cfg)
    facts['whitening_sha256'] = whitening['sha256'] if whitening else ''
    config = {key: value for key, value in flatten(cfg).items() if key.startswith(SECTIONS)}
    for name in PATHS:
        if os.path.exists(config[name]):
            config[name] = os.path.abspath(config[name])
    return ModelFacts(json.dumps(facts, sort_keys=True), sha256, config)


def model_config(catalogue: Catalogue, opts: Sequence[str] = ()) -> CfgNode:
    """Return the config of the model in use.

    Args:
        catalogue: The catalogue.
        opts: KEY, VALUE, … that override it, such as MODEL.DEVICE or a new path of TEST.WEIGHT.

    Raises:
        InputError: There is no model in use.
    """
    saved = chain.from_iterable(catalogue.model_in_use().config.items())
    return resolve_inputs(load_cfg('', [*saved, *opts]))


def check_same_model(model: Model, facts: ModelFacts) -> None:
    """Check that features of a model can be compared with those of the model in use.

    Raises:
        InputError: Something that features depend on differs; the message names it.
    """
    if model.key == facts.key:
        return
    kept = json.JSONDecoder().raw_decode(model.key)[0]  # text follows if it was replaced
    given = json.loads(facts.key)
    names = [name for name in kept if kept[name] != given.get(name)]
    if not names:
        raise InputError(
            'the features in use are those that were replaced by python -m tools.catalogue encode '
            '--again, which was undone; recompute them: python -m tools.catalogue encode'
        )
    name = names[0]
    raise InputError(
        f"the catalogue's features are those of another model: its {name} is "
        f'{kept.get(name)!r:.80}, here it is {given.get(name)!r:.80}; use that model '
        f'({model.weights}), or recompute all features: python -m tools.catalogue encode'
    )
