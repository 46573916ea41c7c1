"""What the features of a test depend on besides the file of the weights."""

import pytest

from configs import load_cfg
from model.make_model_clipreid import make_model, make_test_model
from processor.encoder import feature_facts
from utils.checkpoint import save_state


@pytest.fixture
def facts(world):
    """A function of KEY VALUE pairs to the facts of the toy ViT, all with the same SHA-256."""

    def facts(*pairs):
        base = ('TEST.WEIGHT', 'start', 'MODEL.ACTIVATION', 'quickgelu')
        cfg = load_cfg(world.yml('ViT-B-16'), list(map(str, base + pairs)))
        return feature_facts(cfg, make_test_model(cfg), 'abc')

    return facts


@pytest.mark.parametrize('pair', [('MODEL.ACTIVATION', 'gelu'), ('MODEL.STRIDE_SIZE', '[8, 8]')])
def test_the_config_of_starting_weights_counts(facts, pair):
    plain, changed = facts(), facts(*pair)
    assert {name for name in plain if plain[name] != changed[name]} == {'notes'}
    assert facts('SOLVER.STAGE2.MAX_EPOCHS', 7) == plain


def test_a_trained_model_is_not_the_start_from_its_file(world, facts):
    """The start has a new neck, so features after it differ."""
    cfg, path = load_cfg(world.yml('ViT-B-16')), world.folder / 'trained.pth'
    model = make_model(cfg, 6)
    save_state(model.state_dict(), path, model.about)
    trained = facts('TEST.WEIGHT', path)
    start = facts('MODEL.PRETRAIN_CHOICE', 'self', 'MODEL.PRETRAIN_PATH', path)
    assert {name for name in start if start[name] != trained[name]} == {'untrained'}
