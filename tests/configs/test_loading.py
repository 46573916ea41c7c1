"""How files and overrides merge, and what is rejected."""

import pytest
import yaml

from configs import changes, flatten, load_cfg
from configs.defaults import RULES
from configs.rules import Path
from tests.configs.common import PUBLISHED, plain, refused, write
from tests.helpers import ROOT
from utils.run.resume import HARMLESS


def test_later_wins_and_the_result_is_frozen(tmp_path):
    write(tmp_path, 'SOLVER: {SEED: 1, MARGIN: 0.1}\nOUTPUT_DIR: a\n', 'low.yml')
    (tmp_path / 'sub').mkdir()
    write(tmp_path / 'sub', '_BASE_: ../low.yml\nSOLVER: {SEED: 2}\n', 'middle.yml')
    top = write(tmp_path, '_BASE_: sub/middle.yml\nOUTPUT_DIR: c\n', 'top.yml')
    cfg = load_cfg(top)
    assert (cfg.SOLVER.SEED, cfg.SOLVER.MARGIN, cfg.OUTPUT_DIR) == (2, 0.1, 'c')
    assert load_cfg(str(top), ['SOLVER.SEED', '3', 'SOLVER.SEED', '4']).SOLVER.SEED == 4
    for section, key in ((cfg, 'OUTPUT_DIR'), (cfg.SOLVER, 'SEED'), (cfg.SOLVER.STAGE2, 'BASE_LR')):
        with pytest.raises(AttributeError):
            setattr(section, key, section[key])
    assert load_cfg().SOLVER.SEED == 1234  # the defaults are not touched


def test_the_saved_config_loads_again(tmp_path):
    cfg = load_cfg(
        ROOT / 'configs/yak/vit_clipreid.yml',
        ['SOLVER.STAGE2.STEPS', '[3, 4]', 'MODEL.PROMPT', 'yes X X X X'],
    )
    assert plain(load_cfg(write(tmp_path, cfg.dump()))) == plain(cfg)


ACCEPTED_HERE = {
    'SOLVER.STAGE1.BASE_LR 1': ('float', 1.0),
    'MODEL.DEVICE_ID 0': ('str', '0'),
}  # errors of the original


@pytest.mark.parametrize('words', sorted(PUBLISHED['command_line_examples']))
def test_command_line_examples(words):
    expected = PUBLISHED['command_line_examples'][words]
    key, text = words.split(' ', 1)
    if words in ACCEPTED_HERE:
        assert plain(load_cfg('', [key, text]))[key] == ACCEPTED_HERE[words]
    elif isinstance(expected, str):
        assert expected.startswith('error')
        refused(key, opts=[key, text])
    else:
        assert plain(load_cfg('', [key, text]))[key] == (expected['type'], expected['value'])


# ------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    'key, nearest',
    [
        ('MODEL.NANE', 'MODEL.NAME'),
        ('SOLVER.BASE_LR', 'SOLVER.STAGE1.BASE_LR or SOLVER.STAGE2.BASE_LR'),
        ('SOLVER.STEPS', 'SOLVER.STAGE2.STEPS'),
        ('STRIDE_SIZE', 'MODEL.STRIDE_SIZE'),
        ('model.name', 'MODEL.NAME'),
        ('INPUT.SIZE_TRIAN', 'INPUT.SIZE_TRAIN'),
        ('OUTPUT', 'OUTPUT_DIR'),
        ('SOLVER.STAGE1.STEPS', 'SOLVER.STAGE2.STEPS'),
    ],
)
def test_unknown_key_names_the_nearest(key, nearest):
    refused(f'unknown key {key}', f'did you mean {nearest}', opts=[key, '1'])


def test_unknown_key_without_a_near_one():
    assert 'did you mean' not in refused('unknown key QQQQ', opts=['QQQQ', '1'])


def test_overrides_come_in_pairs():
    refused(
        'pairs KEY VALUE',
        'odd, 3: SOLVER.SEED 1 OUTPUT_DIR',
        opts=['SOLVER.SEED', '1', 'OUTPUT_DIR'],
    )
    refused('needs quotes', opts=['INPUT.SIZE_TRAIN', '[48,', '80]'])
    refused('MODEL is a section', opts=['MODEL', 'RN50'])


# ----------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    'key, value, expected',
    [
        ('SOLVER.SEED', 'abc', 'whole number'),
        ('SOLVER.SEED', '1.5', 'whole number'),
        ('SOLVER.SEED', 'True', 'whole number'),
        ('SOLVER.MARGIN', 'True', 'a number'),
        ('SOLVER.MARGIN', '[1]', 'a number'),
        ('TEST.RE_RANKING', '1', 'True or False'),
        ('TEST.RE_RANKING', 'no', 'True or False'),
        ('INPUT.SIZE_TRAIN', '256', 'list of whole numbers'),
        ('INPUT.SIZE_TRAIN', '[256.0, 128]', 'list of whole numbers'),
        ('INPUT.PIXEL_MEAN', "['a', 1, 2]", 'list of numbers'),
        ('SOLVER.SEED', '', 'whole number'),
        ('SOLVER.SEED', 'None', 'whole number'),
    ],
)
def test_wrong_types(key, value, expected):
    refused(f'{key} must be', expected, repr(value), opts=[key, value])


@pytest.mark.parametrize(
    'key, value, complaint',
    [
        ('SOLVER.STAGE1.BASE_LR', '0', 'greater than 0'),
        ('SOLVER.STAGE2.BASE_LR', '-1e-3', 'greater than 0'),
        ('SOLVER.STAGE2.BASE_LR', '1e999', 'finite'),
        ('SOLVER.STAGE1.IMS_PER_BATCH', '0', 'greater than 0'),
        ('DATALOADER.NUM_INSTANCE', '0', 'greater than 0'),
        ('SOLVER.STAGE1.MAX_EPOCHS', '-1', 'not be negative'),
        ('DATALOADER.NUM_WORKERS', '-1', 'not be negative'),
        ('INPUT.PROB', '1.5', 'between 0 and 1'),
        ('INPUT.RE_PROB', '-0.1', 'between 0 and 1'),
        ('TEST.RERANK_LAMBDA', '2', 'between 0 and 1'),
        ('TEST.EXPLAIN', '51', 'between 0 (none) and 50'),
        ('TEST.BOOTSTRAP', '99', '0 (no intervals) or between 100 and 100000'),
        ('TEST.BOOTSTRAP', '-1', '0 (no intervals) or between 100 and 100000'),
        ('TEST.RERANK_K1', '0', 'greater than 0'),
        ('INPUT.SIZE_TRAIN', '[256]', '2 numbers'),
        ('INPUT.SIZE_TEST', '[0, 128]', 'greater than 0'),
        ('INPUT.PIXEL_MEAN', '[0.5]', '3 numbers'),
        ('INPUT.PIXEL_STD', '[0, 1, 1]', 'greater than 0'),
        ('SOLVER.STAGE2.STEPS', '[60, 40]', 'in increasing order'),
        ('SOLVER.STAGE2.EVAL_PERIOD', '0', 'greater than 0'),
        ('INPUT.PADDING', '-1', 'not be negative'),
        ('SOLVER.MARGIN', '-1', 'not be negative'),
        ('SOLVER.SEED', '-1', 'SOLVER.SEED'),
        ('SOLVER.SEED', str(2**70), 'SOLVER.SEED'),
    ],
)
def test_ranges(key, value, complaint):
    refused(key, complaint, opts=[key, value])


@pytest.mark.parametrize(
    'key, allowed',
    [
        ('MODEL.DEVICE', 'mps'),
        ('MODEL.PRETRAIN_CHOICE', 'finetune'),
        ('MODEL.IF_WITH_CENTER', 'yes'),
        ('MODEL.METRIC_LOSS_TYPE', 'triplet_center'),
        ('MODEL.IF_LABELSMOOTH', 'off'),
        ('DATALOADER.SAMPLER', 'softmax_triplet'),
        ('SOLVER.AMP', 'bf16'),
        ('SOLVER.STAGE2.WARMUP_METHOD', 'constant'),
        ('TEST.NECK_FEAT', 'before'),
        ('TEST.FEAT_NORM', 'no'),
        ('MODEL.NECK', 'bnneck'),
        ('MODEL.ID_LOSS_TYPE', 'cosface'),
        ('MODEL.TRIPLET_DISTANCE', 'cosine'),
    ],
)
def test_choices(key, allowed):
    refused(f"{key} is 'else'", 'choose from', repr(allowed), opts=[key, 'else'])
    assert flatten(load_cfg('', [key, allowed, 'MODEL.PRETRAIN_PATH', 'a.pth']))[key] == allowed


@pytest.mark.parametrize(
    'key, word',
    [
        ('MODEL.IF_WITH_CENTER', 'no'),
        ('MODEL.IF_WITH_CENTER', 'yes'),
        ('MODEL.IF_LABELSMOOTH', 'on'),
        ('MODEL.IF_LABELSMOOTH', 'off'),
        ('TEST.FEAT_NORM', 'yes'),
        ('TEST.FEAT_NORM', 'no'),
    ],
)
@pytest.mark.parametrize('quote', ['', "'"])
def test_yes_no_on_off_mean_what_they_say(tmp_path, key, word, quote):
    section, name = key.split('.')
    text = f'{section}: {{{name}: {quote}{word}{quote}}}\n'
    assert isinstance(yaml.safe_load(text)[section][name], str if quote else bool)
    assert plain(load_cfg(write(tmp_path, text)))[key] == ('str', word)
    assert plain(load_cfg('', [key, word]))[key] == ('str', word)


@pytest.mark.parametrize(
    'text, key, expected',
    [
        ('SOLVER: {STAGE2: {STEPS: [3, 4]}}', 'SOLVER.STAGE2.STEPS', ('tuple', [3, 4])),
        ("SOLVER: {STAGE2: {STEPS: '(3, 4)'}}", 'SOLVER.STAGE2.STEPS', ('tuple', [3, 4])),
        ('SOLVER: {STAGE2: {STEPS: []}}', 'SOLVER.STAGE2.STEPS', ('tuple', [])),
        ('INPUT:\n  SIZE_TRAIN: (64, 32)', 'INPUT.SIZE_TRAIN', ('list', [64, 32])),
        ('INPUT: {PIXEL_MEAN: [0, 0.5, 1]}', 'INPUT.PIXEL_MEAN', ('list', [0, 0.5, 1])),
        ('SOLVER: {STAGE1: {BASE_LR: 1}}', 'SOLVER.STAGE1.BASE_LR', ('float', 1.0)),
        (
            'SOLVER: {STAGE1: {BASE_LR: 1e-6}}',
            'SOLVER.STAGE1.BASE_LR',
            ('float', 1e-6),
        ),  # a text for YAML
        ('MODEL: {DEVICE_ID: 0}', 'MODEL.DEVICE_ID', ('str', '0')),
        ("DATASETS: {ROOT_DIR: ('../data/')}", 'DATASETS.ROOT_DIR', ('str', '../data/')),
        ('OUTPUT_DIR: 2024', 'OUTPUT_DIR', ('str', '2024')),
        ('MODEL: {NO_MARGIN: yes}', 'MODEL.NO_MARGIN', ('bool', True)),
    ],
)
def test_values_in_the_type_of_the_default(tmp_path, text, key, expected):
    assert plain(load_cfg(write(tmp_path, text)))[key] == expected


# ------------------------------------------------------------------------------------------ paths

PATHS = {key for key, rule in RULES.items() if isinstance(rule, Path)}


def test_a_run_may_go_on_with_other_paths():
    """So it does where one command has ~ and the next the home."""
    assert PATHS <= HARMLESS


@pytest.mark.parametrize('key', sorted(PATHS))
def test_the_home_in_a_path(key, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', '/home/ann')
    text = '~/x'
    for part in reversed(key.split('.')):
        text = f'{{{part}: {text}}}'
    for cfg in (load_cfg(write(tmp_path, text)), load_cfg('', [key, '~/x'])):
        assert flatten(cfg)[key] == '/home/ann/x'
        assert flatten(load_cfg(write(tmp_path, cfg.dump())))[key] == '/home/ann/x'
    assert flatten(load_cfg('', [key, 'a/~/x']))[key] == 'a/~/x'
    refused(
        'my.yml',
        key,
        'no home folder for ~nobody_is_called_so',
        './~nobody_is_called_so',
        file=write(tmp_path, text.replace('~', '~nobody_is_called_so')),
    )
    refused(
        'my.yml',
        key,
        'has no value',
        'in YAML a bare ~ means none',
        file=write(tmp_path, text.replace('~/x', '~')),
    )
    refused('command line', key, 'no home folder for', opts=[key, '~nobody_is_called_so'])


def test_a_word_is_no_path():
    assert load_cfg('', ['DATASETS.SPECIES', '~/x']).DATASETS.SPECIES == '~/x'


def test_batch_of_individuals():
    opts = [
        'DATALOADER.SAMPLER',
        'softmax_triplet',
        'SOLVER.STAGE2.IMS_PER_BATCH',
        '66',
        'DATALOADER.NUM_INSTANCE',
        '4',
    ]
    refused('SOLVER.STAGE2.IMS_PER_BATCH 66', 'multiple', 'DATALOADER.NUM_INSTANCE 4', opts=opts)
    assert (
        load_cfg('', ['DATALOADER.SAMPLER', 'softmax', *opts[2:]]).SOLVER.STAGE2.IMS_PER_BATCH == 66
    )


def test_kept_keys_are_warned_of(caplog):
    load_cfg('', ['MODEL.DROP_PATH', '0.2'])
    assert 'MODEL.DROP_PATH is 0.2' in caplog.text and 'no effect' in caplog.text
    caplog.clear()
    load_cfg(ROOT / 'configs/tiger/vit_clipreid.yml')
    assert caplog.text == ''


def test_what_differs_from_the_defaults(tmp_path):
    path = write(tmp_path, 'SOLVER: {SEED: 2, MARGIN: 0.3}\n')
    cfg = load_cfg(path, ['MODEL.DEVICE', 'cpu'])
    assert changes(cfg).splitlines() == ["MODEL.DEVICE: 'cpu'", 'SOLVER.SEED: 2']
    assert changes(load_cfg()) == 'none'
