"""A toy world with an untrained model, for the tools that read and write features."""

from configs import load_cfg
from model.make_model_clipreid import make_model
from tests.helpers import World, write_photo, write_world
from utils.checkpoint import save_state


def untrained_world(folder, toy_weights):
    """A world with 12 test individuals, hard to tell apart; ``weight``: a model, not trained."""
    world = World(folder, toy_weights)
    write_world(world.folder, test=12)
    world.weight = world.folder / 'toy.pth'
    for number in range(6, 18):  # one photo of each looks like another individual
        write_photo(world.folder / f'test/{number}/2.png', 6 + (number - 5) % 12, 50)
    save_state(make_model(load_cfg(world.yml()), 6).state_dict(), world.weight)
    return world


def options(world, *words):
    """A command line with the model, without a report."""
    usual = ('TEST.WEIGHT', world.weight, 'TEST.BOOTSTRAP', 100, 'TEST.REPORT', False)
    return world.args(*usual, *words)
