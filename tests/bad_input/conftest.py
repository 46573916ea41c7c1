"""Checkpoints of toy models."""

import pytest
from yacs.config import CfgNode

from model.make_model_clipreid import make_model
from tests.helpers import get_defaults, toy_config
from utils.checkpoint import save_state


@pytest.fixture(scope='session')
def trained(toy_weights, tmp_path_factory):
    """{name: checkpoint of a model of 6 individuals}, as training would save it, untrained."""
    folder = tmp_path_factory.mktemp('trained')
    for name, path in toy_weights.items():
        cfg = get_defaults()
        cfg.merge_from_other_cfg(CfgNode(toy_config(folder, name, path)))
        save_state(make_model(cfg, 6).state_dict(), folder / f'{name}.pth')
    return {name: str(folder / f'{name}.pth') for name in toy_weights}
