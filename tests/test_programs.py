"""What holds for every program: options and KEY VALUE pairs in any order, ~ in paths, any name on
any terminal.
"""

import argparse
import importlib
import io
import itertools
import os
import shutil
import subprocess
import sys

import pytest

import configs
from configs import ConfigError, command_line
from tests.helpers import ROOT, World, write_photo
from utils.errors import exit_code

PROGRAMS = sorted(
    path.relative_to(ROOT).with_suffix('').as_posix().replace('/', '.')
    for path in [
        *ROOT.glob('*.py'),
        *(ROOT / 'tools').rglob('*.py'),
        *(ROOT / 'benchmarks').rglob('*.py'),
    ]
    if "__name__ == '__main__'" in path.read_text(encoding='utf-8')
)
# Those that take KEY VALUE pairs, with the options that they need or have besides.
WITH_PAIRS = {
    'train_clipreid': ['--config_file=my.yml', '--resume'],
    'test_clipreid': ['--config_file=my.yml'],
    'test_rerank_clipreid': ['--config_file=my.yml'],
    'tools.rank_photos': ['--config_file=my.yml', '--photos=new', '--top=3'],
    'tools.check_data': ['--config_file=my.yml', '--closed', '--near=3'],
    'tools.demo.__main__': ['--config=my.yml', '--seed=2'],
}


def main_of(name):
    return importlib.import_module(name).main


class Read(Exception):
    """Ends a program once its command line is read: (config file, pairs)."""


@pytest.fixture
def load_nothing(monkeypatch):
    def load_cfg(*arguments):
        raise Read(*arguments)

    for name in WITH_PAIRS:
        monkeypatch.setattr(importlib.import_module(name), 'load_cfg', load_cfg, raising=False)


def read(name, argv):
    with pytest.raises(Read) as caught:
        main_of(name)(argv)
    return caught.value.args


# ------------------------------------------------------------------------------ order of the words


def test_the_programs_are_found():
    assert {'train_clipreid', 'tools.make_lists', *WITH_PAIRS} <= set(PROGRAMS) and len(
        PROGRAMS
    ) >= 14


@pytest.mark.parametrize('name', WITH_PAIRS)
def test_options_are_read_wherever_they_stand(name, load_nothing):
    pairs = [('OUTPUT_DIR', 'x'), ('SOLVER.MARGIN', '-1e-3')]
    options = [(word,) for word in WITH_PAIRS[name]]
    expected = [
        'OUTPUT_DIR',
        'x',
        'SOLVER.MARGIN',
        '-1e-3',
        *['SOLVER.RESUME', 'auto'] * ('train' in name),
    ]
    for words in itertools.permutations([*pairs, *options]):
        if words.index(pairs[0]) < words.index(pairs[1]):
            assert read(name, [*itertools.chain(*words)]) == ('my.yml', expected)


def test_resume_wins_over_the_state_that_the_run_began_with():
    """The same command with --resume goes on, also where it began from another run's state."""
    for words in (['--resume', 'SOLVER.RESUME', 'a.pth'], ['SOLVER.RESUME', 'a.pth', '--resume']):
        args = command_line.parse_config(words, '', resumes=True)
        assert configs.load_cfg('', args.opts).SOLVER.RESUME == 'auto'


@pytest.mark.parametrize(
    'words',
    [
        ['TEST.WEIGHT', 'w', '--top', '3'],
        ['--to', '3', 'TEST.WEIGHT', 'w'],
        ['TEST.WEIGHT', '--top=3', 'w'],
    ],
)
def test_options_have_their_values(words):
    args = importlib.import_module('tools.rank_photos').parse(
        ['--photos', 'new', *words, '--config_file', 'my.yml']
    )
    assert (args.top, args.photos, args.opts) == (3, 'new', ['TEST.WEIGHT', 'w'])


@pytest.mark.parametrize('value', ['-1', '-0.5', '-1e-5', '[1,2]', '[-1, 2]', '-x', '', '~'])
def test_values_of_any_form(value):
    parser = argparse.ArgumentParser()
    parser.add_argument('--top', type=int)
    args = command_line.parse_with_pairs(parser, ['SOLVER.SEED', value, '--top', '3'])
    assert (args.top, args.opts) == (3, ['SOLVER.SEED', value])


@pytest.mark.parametrize('wrong', [['--tpo', '3'], ['--tpo=3'], ['-t', '3']])
@pytest.mark.parametrize('name', WITH_PAIRS)
def test_an_unknown_option_ends_with_2_and_names_the_known(name, wrong, load_nothing, capsys):
    for words in (['OUTPUT_DIR', 'x', *wrong], [*wrong, 'OUTPUT_DIR', 'x']):
        with pytest.raises(SystemExit) as caught:
            main_of(name)([*words, *WITH_PAIRS[name]])
        said = capsys.readouterr().err
        assert caught.value.code == 2
        assert (
            f'unrecognized arguments: {wrong[0]}' in said
            and '--config' in said
            and 'KEY VALUE' in said
        )


def test_a_key_without_its_value():
    parser = argparse.ArgumentParser()
    parser.add_argument('--top')
    opts = command_line.parse_with_pairs(parser, ['TEST.WEIGHT', '--top', '3']).opts
    with pytest.raises(ConfigError, match='pairs KEY VALUE.*: TEST.WEIGHT'):
        configs.load_cfg('', opts)


def test_releases_before_and_after_the_options():
    from wildlife.releases.command_line import read_options

    args = read_options(['a.zip', '--seed', '3', 'b.zip', '--lists', 'l', 'c.zip'], 'text')
    assert (args.release, args.seed, str(args.lists)) == (['a.zip', 'b.zip', 'c.zip'], 3, 'l')


@pytest.mark.parametrize('name', ['train_clipreid', 'test_clipreid', 'test_rerank_clipreid'])
def test_help_does_not_wait_for_torch(name):
    code = f'import sys, {name}; assert "torch" not in sys.modules'
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)


# ------------------------------------------------------------------------------------ paths with ~

# The options of each program that are paths.
PATHS = {
    'train_clipreid': '--config_file',
    'test_clipreid': '--config_file',
    'test_rerank_clipreid': '--config_file',
    'tools.demo.__main__': '--config --data',
    'tools.rank_photos': '--config_file --photos --out',
    'tools.check_data': '--config_file --out',
    'tools.demo.data': '--out',
    'tools.make_lists': 'source --out --photos --photos-out',
    'tools.remove_background': 'src dst --masks --sheet --list',
    'benchmarks.__main__': '--out',
    'benchmarks.gpu.__main__': '--out',
    'benchmarks.plots': '--json --out',
    **dict.fromkeys(
        ('tools.prepare_atrw', 'tools.prepare_elephant', 'tools.prepare_yak'),
        'release --out --lists --like',
    ),
}


def with_paths(name, value):
    """A command line of the program with ``value`` for each path."""
    return [
        f'{option}={value}' if option.startswith('--') else value for option in PATHS[name].split()
    ]


@pytest.mark.parametrize('name', PROGRAMS)
def test_the_home_in_every_option_that_is_a_path(name, monkeypatch, tmp_path, capsys):
    """Shells expand ~ at the start of a word, in --out=~/x most do not."""
    monkeypatch.setenv('HOME', str(tmp_path))
    names = {option.removeprefix('--').replace('-', '_') for option in PATHS[name].split()}

    class Parsed(Exception):
        """Ends the program once its command line is read."""

    for method in ('parse_known_args', 'parse_known_intermixed_args'):
        real = getattr(argparse.ArgumentParser, method)

        def parse(parser, *arguments, real=real):
            args, rest = real(parser, *arguments)
            if names <= vars(args).keys():
                raise Parsed(vars(args))
            return args, rest

        monkeypatch.setattr(argparse.ArgumentParser, method, parse)
    with pytest.raises(Parsed) as caught:
        main_of(name)(with_paths(name, '~/x y'))
    found = {option: caught.value.args[0][option] for option in names}
    assert {
        option: str(value[0] if isinstance(value, list) else value)
        for option, value in found.items()
    } == dict.fromkeys(names, f'{tmp_path}/x y')
    with pytest.raises(SystemExit) as caught:
        main_of(name)(with_paths(name, '~nobody_is_called_so/x'))
    assert caught.value.code == 2
    assert (
        "there is no home folder for ~nobody_is_called_so in '~nobody_is_called_so/x'"
        in capsys.readouterr().err
    )


def test_no_option_is_a_path_by_pathlib_alone():
    for path in [
        *ROOT.glob('*.py'),
        *(ROOT / 'tools').rglob('*.py'),
        *(ROOT / 'benchmarks').rglob('*.py'),
    ]:
        assert 'type=Path' not in path.read_text(encoding='utf-8'), path


def test_a_run_below_the_home(world, monkeypatch, tmp_path_factory):
    """Trained, tested and resumed: nothing is a folder named ~, and the second command goes on with
    the first one's run.
    """
    elsewhere = tmp_path_factory.mktemp('elsewhere')
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv('HOME', str(world.folder))
    shutil.copy(world.weights['RN50'], world.folder / 'clip.pth')
    text = (
        (ROOT / world.yml())
        .read_text(encoding='utf-8')
        .replace(world.weights['RN50'], '~/clip.pth')
    )
    yml = world.folder / 'home.yml'
    yml.write_text(
        text.replace(f'{world.folder}/', '~/').replace(f'{world.folder}\n', '~/\n'),
        encoding='utf-8',
    )
    short = [
        '--config_file=~/home.yml',
        '--resume',
        'SOLVER.STAGE1.MAX_EPOCHS',
        '1',
        'SOLVER.STAGE2.MAX_EPOCHS',
        '1',
    ]
    best = main_of('train_clipreid')(short)
    assert best > 0 and main_of('train_clipreid')(short) == best
    assert not (world.output / 'train_log.1.txt').exists()
    assert main_of('train_clipreid')([*short, 'OUTPUT_DIR', str(world.output)]) == best
    assert (
        main_of('test_clipreid')(
            ['--config_file=~/home.yml', 'TEST.WEIGHT', '~/output/RN50_1.pth']
        )['mAP']
        > 0
    )
    assert not any(elsewhere.iterdir()) and str(world.folder) in (
        world.output / 'config.yml'
    ).read_text(encoding='utf-8')


# --------------------------------------------------------------------------------------- terminals


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
    from utils.logger import log_to_file, setup_logger

    logger = setup_logger()
    log_to_file(tmp_path, 'log.txt')
    logger.info('photo %s', os.fsdecode(b'caf\xe9.jpg'))
    assert 'photo caf\\udce9.jpg' in (tmp_path / 'log.txt').read_text(encoding='utf-8')
