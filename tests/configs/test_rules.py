"""One rule for each key: what it takes, what it rejects, and that every program asks it."""

import re

import pytest

import test_clipreid
import test_rerank_clipreid
import train_clipreid
from configs import ConfigError, flatten, load_cfg
from configs.defaults import RULES
from configs.rules import (
    ANY,
    DRAWS,
    EXPLAINED,
    NOT_NEGATIVE,
    POSITIVE,
    SEED,
    SHARE,
    Choice,
    Ignored,
    Number,
    Path,
    Rising,
    Rule,
)
from datasets.protocols import PROTOCOLS
from datasets.sources import READERS
from tests.helpers import ROOT
from tools import check_data, rank_photos
from tools.demo import __main__ as demo
from utils.errors import exit_code

IN_RANGE = {
    ANY: -1,
    NOT_NEGATIVE: 0,
    POSITIVE: 1,
    SHARE: 1,
    SEED: 2**32 - 1,
    DRAWS: 0,
    EXPLAINED: 50,
}
OUT_OF_RANGE = {
    ANY: '1e999',
    NOT_NEGATIVE: -1,
    POSITIVE: 0,
    SHARE: 1.01,
    SEED: 2**32,
    DRAWS: 100_001,
    EXPLAINED: 51,
}


def accepted(rule):
    """A value that the rule takes, as a yml or a command line gives it, and what is read."""
    if isinstance(rule, Number):
        number = IN_RANGE[rule.allowed]
        value = [number] * len(rule.default) if isinstance(rule.default, list) else number
        return str(value), value
    examples = {
        (Rule, bool): ('True', True),
        (Rule, str): ('two words', 'two words'),
        (Rising, tuple): ('[1, 2, 3]', (1, 2, 3)),
        (Path, str): ('a/b', 'a/b'),
    }
    kind = type(rule), type(rule.default)
    if kind in examples:
        return examples[kind]
    last = rule.choices[-1] if isinstance(rule, Choice) else rule.default
    return str(last), last


def rejected(rule):
    """A value that the rule does not take, and words of the error."""
    if isinstance(rule, Number) and isinstance(rule.default, list):
        return str([OUT_OF_RANGE[rule.allowed]] * len(rule.default)).replace("'", ''), 'must'
    if isinstance(rule, Number):
        return str(OUT_OF_RANGE[rule.allowed]), rule.allowed.text
    if isinstance(rule, Choice):
        return ('[3]', 'must be') if rule.default is False else ('7', 'choose from')
    if isinstance(rule, Ignored) and not isinstance(rule.default, str):
        return 'other', 'must be'
    examples = {
        (Rule, bool): ('1', 'True or False'),
        (Rule, str): ('\0', 'without NUL'),
        (Rising, tuple): ('[3, 2]', 'in increasing order'),
        (Path, str): ('~nobody_is_called_so/x', 'no home folder for'),
        (Ignored, str): ('\0', 'without NUL'),
    }
    return examples[type(rule), type(rule.default)]


def test_every_key_has_one_rule():
    assert flatten(load_cfg()).keys() == RULES.keys()
    declared = re.findall(r"^    '([\w.]+)': ", (ROOT / 'configs/defaults.py').read_text(), re.M)
    assert sorted(declared) == sorted(RULES)  # none twice


@pytest.mark.parametrize('key', RULES)
def test_the_default_is_allowed(key):
    rule = RULES[key]
    value = rule.read(rule.default)
    assert value == rule.default and type(value) is type(rule.default)


@pytest.mark.parametrize('key', RULES)
def test_a_value_that_is_accepted(key):
    text, value = accepted(RULES[key])
    opts = [key, text, 'DATALOADER.SAMPLER', 'softmax', 'MODEL.PRETRAIN_PATH', 'a.pth']
    got = flatten(load_cfg('', opts if key not in opts[2:] else opts[:2]))[key]
    assert got == value and type(got) is type(RULES[key].default)


@pytest.mark.parametrize('key', RULES)
def test_a_value_that_is_rejected(key):
    text, words = rejected(RULES[key])
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        load_cfg('', [key, text])
    assert str(caught.value).startswith(f'command line: {key} ')


@pytest.mark.parametrize(
    'program', [train_clipreid, test_clipreid, test_rerank_clipreid, check_data, rank_photos, demo]
)
def test_every_program_ends_with_2(program, capsys):
    config = '--config' if program is demo else '--config_file'
    argv = [config, str(ROOT / 'configs/tiger/cnn_clipreid.yml'), 'SOLVER.MARGIN', '-1']
    argv += ['--photos', 'photos'] if program is rank_photos else []
    assert exit_code(lambda: program.main(argv), ConfigError) == 2
    error = capsys.readouterr().err
    assert 'command line: SOLVER.MARGIN must not be negative, got -1.0' in error


def test_choices_are_what_the_packages_have():
    """The torch.optim classes, the towers and the ties are compared beside their own tests."""
    assert set(RULES['DATASETS.NAMES'].choices) == set(READERS)
    assert set(RULES['DATASETS.PROTOCOL'].choices) == {'', 'vehicleid', *PROTOCOLS}


def test_every_key_is_read_or_ignored():
    """A key whose name no line of the packages holds changes nothing, whatever it is set to."""
    folders = ('datasets', 'loss', 'model', 'processor', 'solver', 'utils')
    files = [
        *ROOT.glob('*.py'),
        *(path for name in folders for path in ROOT.glob(f'{name}/**/*.py')),
    ]
    words = set(re.findall(r'\w+', '\n'.join(path.read_text() for path in files)))
    for key, rule in RULES.items():
        single = isinstance(rule, Choice) and len(rule.choices) == 1
        if not isinstance(rule, Ignored) and not single:
            assert key.rsplit('.', 1)[-1] in words, key
