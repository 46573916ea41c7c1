"""SIGKILL of a catalogue's programs, 20 times each: nothing is half there; two programs at once."""

import os
import shutil
import signal
import time

import pytest

from tests.helpers import write_photo
from tests.tools.feature_worlds import options, untrained_world
from tests.wildlife.catalogue import test_kill
from tests.wildlife.catalogue.kills import kill_often
from tests.wildlife.catalogue.worlds import assert_clean, make, photos
from tools import catalogue as tool
from wildlife.catalogue.store import open_catalogue

pytestmark = pytest.mark.slow

KILLS = 20


@pytest.mark.parametrize('change', [test_kill.add, test_kill.merge_two])
def test_at_any_statement_and_write(tmp_path, change, record_property):
    folder = make(tmp_path).folder
    photos(tmp_path / 'more', ['Nala', 'Kito'], 2)
    (tmp_path / 'copies').mkdir()
    assert kill_often(folder, tmp_path / 'copies', change, KILLS) == KILLS
    for _ in range(KILLS):
        record_property('kill', f'{change.__name__} of a catalogue')


@pytest.fixture(scope='module')
def catalogue(tmp_path_factory, toy_weights):
    """A catalogue of the toy world with a real model, and folders of new photos."""
    folder = tmp_path_factory.mktemp('catalogue')
    world = untrained_world(folder / 'world', toy_weights)
    tool.main(['create', str(folder / 'c'), *options(world)])
    for name, first in (('one', 100), ('two', 200)):
        for number in range(24):
            write_photo(folder / name / f'{number}.png', 2, first + number)
    return folder / 'c'


def start(*words):
    """Run a command in a process of its own; return its id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = tool.program([str(word) for word in words])
        finally:
            os._exit(code)
    return pid


def test_at_any_time_of_the_command(catalogue, tmp_path, record_property):
    new = catalogue.parent / 'one'
    words = ('TEST.IMS_PER_BATCH', 4)
    before = len(open_catalogue(catalogue).photos())
    shutil.copytree(catalogue, tmp_path / 'whole')
    begin = time.monotonic()
    assert os.waitpid(start('add', tmp_path / 'whole', new, *words), 0)[1] == 0
    duration = time.monotonic() - begin
    killed = 0
    for number in range(3 * KILLS):  # some have ended before they are struck
        folder = shutil.copytree(catalogue, tmp_path / str(number))
        pid = start('add', folder, new, *words)
        time.sleep(duration * (killed + 0.5) / KILLS)
        os.kill(pid, signal.SIGKILL)
        was_struck = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        left = open_catalogue(folder)
        assert_clean(left)
        assert len(left.photos()) in (before, before + 24)
        if was_struck:
            assert os.waitpid(start('add', folder, new, *words), 0)[1] == 0
            assert_clean(left)
            record_property('kill', 'the command add of a catalogue')
        assert len(left.photos()) == len(left.features().photos) == before + 24
        killed += was_struck
        duration *= 1 if was_struck else 0.9  # the first run may have been slower
        if killed == KILLS:
            break
        shutil.rmtree(folder)
    assert killed == KILLS


def test_two_programs_at_once(catalogue, tmp_path):
    folder = shutil.copytree(catalogue, tmp_path / 'c')
    before = len(open_catalogue(folder).photos())
    pids = [start('add', folder, catalogue.parent / name) for name in ('one', 'two')]
    pids.append(start('rename', folder, open_catalogue(folder).individuals()[0].name, 'Nala'))
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
    found = open_catalogue(folder)
    names = {os.path.basename(os.path.dirname(photo.path)) for photo in found.photos()[before:]}
    assert names == {'one', 'two'} and len(found.photos()) == before + 48
    assert len(found.features().photos) == before + 48 and found.individual('Nala')
    assert_clean(found)
