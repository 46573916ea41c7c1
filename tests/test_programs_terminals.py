"""Every program: any name on any terminal."""

import io
import itertools
import os
import sys

import pytest

from configs import ConfigError
from tests.helpers import World, write_photo
from tests.programs import PROGRAMS, main_of, with_paths
from utils.errors import exit_code
from utils.logger import log_to_file, setup_logger


@pytest.fixture(params=['ascii', 'cp1252'])
def terminal(request, monkeypatch):
    """Run a program on a terminal that cannot show every name: (exit code, text)."""

    def run(main, *argv):
        screen = io.TextIOWrapper(io.BytesIO(), encoding=request.param, write_through=True)
        monkeypatch.setattr(sys, 'stdout', screen)
        monkeypatch.setattr(sys, 'stderr', screen)
        try:
            code = exit_code(lambda: main([*map(str, argv)]), ConfigError)
        except SystemExit as end:
            code = end.code
        return code, screen.buffer.getvalue().decode(request.param)

    return run


@pytest.mark.parametrize('name', PROGRAMS)
def test_help_on_any_terminal(name, terminal):
    code, text = terminal(main_of(name), '--help')
    assert code == 0 and 'usage: ' in text


@pytest.mark.parametrize('name', PROGRAMS)
def test_a_mistake_on_any_terminal(name, terminal):
    code, text = terminal(main_of(name), *with_paths(name, '虎'), '--虎')
    assert code == 2 and '\\u864e' in text


def test_names_on_any_terminal(terminal, tmp_path, toy_weights, monkeypatch):
    """The work, its files and the exit code are those of a UTF-8 terminal."""
    (tmp_path / '虎').mkdir()
    world = World(tmp_path / '虎', toy_weights)
    weight = world.output / 'RN50_1.pth'
    for individual, number in itertools.product(range(5), range(3)):
        write_photo(
            tmp_path / 'src' / f'Łucja {individual}' / f'虎{number}.png', individual, number
        )
    monkeypatch.chdir(tmp_path)
    short = ['SOLVER.STAGE1.MAX_EPOCHS', 1, 'SOLVER.STAGE2.MAX_EPOCHS', 1]
    for name, argv in [
        ('train_clipreid', world.args(*short)),
        ('test_clipreid', world.args('TEST.WEIGHT', weight)),
        ('test_rerank_clipreid', world.args('TEST.WEIGHT', weight)),
        ('tools.rank_photos', world.args('--photos', tmp_path / 'src', 'TEST.WEIGHT', weight)),
        ('tools.check_data', world.args()),
        ('tools.make_lists', ['src', '--out', '虎lists']),
    ]:
        code, text = terminal(main_of(name), *argv)
        assert code == 0 and '\\u864e' in text and 'Traceback' not in text, (name, text)
    assert '虎' in (world.output / 'train_log.txt').read_text(encoding='utf-8')
    assert '虎' in (world.output / 'matches/matches.csv').read_text(encoding='utf-8')
    assert 'Łucja 3' in (tmp_path / '虎lists/photos.csv').read_text(encoding='utf-8')
    code, text = terminal(main_of('test_clipreid'), *world.args('TEST.WEIGHT', '虎.pth'))
    assert code == 2 and 'error: TEST.WEIGHT: there is no file \\u864e.pth' in text


def test_file_names_that_the_locale_lacks(terminal, monkeypatch):
    """As with LC_ALL=de_DE.ISO-8859-1: no such file can be opened, and no traceback tells why."""

    def main(argv):
        open('虎'.encode(sys.getfilesystemencoding()), 'rb').close()

    monkeypatch.setattr(sys, 'getfilesystemencoding', lambda: 'ascii')
    code, text = terminal(main)
    assert (code, text.count('\n')) == (2, 1)
    assert (
        "error: the file name '\\u864e' cannot be written in the encoding of this locale, ascii; "
        'set PYTHONUTF8=1'
    ) in text


def test_a_name_that_is_no_unicode_in_the_log(tmp_path):
    """As from an old archive: a lone surrogate stands for its byte."""
    logger = setup_logger()
    log_to_file(tmp_path, 'log.txt')
    logger.info('photo %s', os.fsdecode(b'caf\xe9.jpg'))
    assert 'photo caf\\udce9.jpg' in (tmp_path / 'log.txt').read_text(encoding='utf-8')
