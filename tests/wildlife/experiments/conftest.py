"""A world of toy animals with a grid."""

import json

import pytest

import test_clipreid
import train_clipreid
from tests.wildlife.experiments.grids import GRID
from utils.errors import InputError, Stopped


@pytest.fixture
def grid_file(world):
    """A function that writes a grid with other top-level words; it returns the path."""

    def write(**words):
        path = world.folder / 'grid.yml'
        tree = {'config': world.yml(), **GRID, **words}
        path.write_text(json.dumps(tree))  # JSON is YAML
        return path

    return write


class Ended:
    """A process that has ended."""

    def __init__(self, code):
        self.returncode = code

    def poll(self):
        return self.returncode


@pytest.fixture
def in_process(monkeypatch, no_pictures):
    """Runs are done in this process; the list of their folders is returned."""
    folders = []

    def start(run, jobs):
        folders.append(run.folder)
        run.folder.mkdir(parents=True, exist_ok=True)
        (run.folder / 'output.txt').touch()
        main = test_clipreid.main if run.is_test else train_clipreid.main
        try:
            main(run.command[2:])
        except InputError as error:
            (run.folder / 'output.txt').write_text(f'error: {error}')
            return Ended(2)
        except Stopped as stopped:
            return Ended(stopped.code)
        return Ended(0)

    monkeypatch.setattr('wildlife.experiments.runs.start', start)
    monkeypatch.setattr('wildlife.experiments.runs.PAUSE', 0)
    return folders
