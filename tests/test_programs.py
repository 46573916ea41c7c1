"""Every program: options and KEY VALUE pairs in any order."""

import argparse
import importlib
import itertools
import subprocess
import sys

import pytest

import configs
from configs import ConfigError, command_line
from tests.helpers import ROOT
from tests.programs import PROGRAMS, main_of
from wildlife.identify.command_line import parse_rank_photos
from wildlife.releases.command_line import read_options

# Those that take KEY VALUE pairs, with the options that they need or have besides.
WITH_PAIRS = {
    'train_clipreid': ['--config_file=my.yml', '--resume'],
    'test_clipreid': ['--config_file=my.yml'],
    'test_rerank_clipreid': ['--config_file=my.yml'],
    'tools.rank_photos': ['--config_file=my.yml', '--photos=new', '--top=3'],
    'tools.extract_features': ['--config_file=my.yml', '--photos=new', '--onnx=my.onnx'],
    'tools.export': ['--config_file=my.yml', '--out=my.onnx'],
    'tools.explain': ['--config_file=my.yml', '--check=5'],
    'tools.diagnose': ['--config_file=my.yml', '--resize-masks'],
    'tools.open_set': ['--config_file=my.yml', '--draws=3'],
    'tools.fit_whitening': ['--config_file=my.yml', '--dimension=3'],
    'tools.check_data': ['--config_file=my.yml', '--closed', '--near=3'],
    'tools.demo.__main__': ['--config=my.yml', '--seed=2'],
}


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


def test_a_file_comes_before_the_pairs():
    parse = importlib.import_module('tools.evaluate_features').parse
    args = parse(['--rerank', 'x.npz', 'OUTPUT_DIR', 'x', '--config_file=my.yml', 'A', '-1'])
    assert (args.file, args.config_file, args.rerank) == ('x.npz', 'my.yml', True)
    assert args.opts == ['OUTPUT_DIR', 'x', 'A', '-1']


def test_resume_wins_over_the_state_that_the_run_began_with():
    """The same command with --resume resumes, also where it began from another run's state."""
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
    args = parse_rank_photos(['--photos', 'new', *words, '--config_file', 'my.yml'])
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
    args = read_options(['a.zip', '--seed', '3', 'b.zip', '--lists', 'l', 'c.zip'], 'yak', 'text')
    assert (args.release, args.seed, str(args.lists)) == (['a.zip', 'b.zip', 'c.zip'], 3, 'l')


@pytest.mark.parametrize(
    'name',
    ['train_clipreid', 'test_clipreid', 'test_rerank_clipreid', 'tools.identify'],
)
def test_help_does_not_wait_for_torch(name):
    code = f'import sys, {name}; assert "torch" not in sys.modules'
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)
