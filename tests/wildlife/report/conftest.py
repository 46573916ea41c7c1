"""Results of tests."""

import json
import shutil

import pytest

import test_clipreid
import train_clipreid
from tests.helpers import World, write_world
from tests.wildlife.report.card_files import NO_PAGE, read
from tests.wildlife.report.runs import random_ranks, write_run
from wildlife.report.compare import compare
from wildlife.report.results import read_result


@pytest.fixture
def make(tmp_path):
    """Write and read a result: ``make(name, ranks, KEY, VALUE, …)``."""
    return lambda name, ranks, *options, **facts: read_result(
        write_run(tmp_path / name, ranks, *options, **facts)
    )


@pytest.fixture
def comparison(make):
    """Two results that differ a little, in both directions."""
    return compare(make('a', random_ranks(1)), make('b', random_ranks(2)), 300)


@pytest.fixture(scope='session')
def trained(tmp_path_factory, toy_weights):
    """A world with a training and the test of its last checkpoint."""
    world = World(tmp_path_factory.mktemp('trained'), toy_weights)
    write_world(world.folder, test=12)
    train_clipreid.main(world.args('TEST.BOOTSTRAP', 100))
    world.card_of_training = read(world.output)
    world.metrics = test_clipreid.main(
        world.args('TEST.WEIGHT', world.output / 'RN50_2.pth', 'TEST.BOOTSTRAP', 100, *NO_PAGE)
    )
    return world


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the folder of that run, whose results name the checkpoint in it."""
    folder = shutil.copytree(trained.output, tmp_path / 'run')
    results = json.loads((folder / 'results.json').read_text())
    results['checkpoint'] = str(folder / 'RN50_2.pth')
    (folder / 'results.json').write_text(json.dumps(results))
    return folder
