"""Files: bases, what is broken, what is none."""

import pytest

from configs import load_cfg
from tests.configs.common import plain, refused, write


def test_base_goes_in_a_circle_or_is_missing(tmp_path):
    write(tmp_path, '_BASE_: b.yml\n', 'a.yml')
    write(tmp_path, '_BASE_: a.yml\n', 'b.yml')
    refused('a.yml', '_BASE_', 'leads back', file=tmp_path / 'a.yml')
    refused('my.yml', 'leads back', file=write(tmp_path, '_BASE_: my.yml\n'))
    refused('gone.yml', 'does not exist', file=write(tmp_path, '_BASE_: gone.yml\n'))
    for value in ('[a.yml]', '{a: 1}', ''):
        refused('my.yml: _BASE_ must be text', file=write(tmp_path, f'_BASE_: {value}\n'))


@pytest.mark.parametrize(
    'text, words',
    [
        ('MODEL: [1, 2\nb', ('not a readable YAML file',)),
        ('MODEL:\n\tNAME: a\n', ('not a readable YAML file',)),
        ('- a\n- b\n', ('expected sections', 'list')),
        ('just words\n', ('expected sections', 'str')),
        ('MODEL: RN50\n', ('MODEL is a section', 'NAME')),
        ('MODEL: 3\n', ('MODEL is a section', 'NAME')),
        ('DATASETS:\n', ('DATASETS is a section', 'NAMES, ROOT_DIR', 'delete the line')),
        (
            'MODEL: {NAME: {DEPTH: 50}}\n',
            ('unknown key MODEL.NAME.DEPTH', 'did you mean MODEL.NAME'),
        ),
        ('MODEL: {NAME: }\n', ('MODEL.NAME has no value', "'RN50'")),
        ('SOLVER: {SEED: ~}\n', ('SOLVER.SEED has no value', '1234')),
        ('MODEL: {NAME: [RN50, RN101]}\n', ('MODEL.NAME must be text',)),
        ('1: 2\n', ('unknown key 1',)),
        ('MODEL: {_BASE_: a.yml}\n', ('unknown key MODEL._BASE_',)),
        (
            'SOLVER: {BASE_LR: 0.1}\n',
            ('unknown key SOLVER.BASE_LR', 'SOLVER.STAGE1.BASE_LR or SOLVER.STAGE2.BASE_LR'),
        ),
    ],
)
def test_broken_files(tmp_path, text, words):
    path = write(tmp_path, text)
    assert refused(*words, file=path).startswith(str(path))


def test_file_that_is_none(tmp_path):
    refused('not a regular file', file=tmp_path)
    (tmp_path / 'binary.yml').write_bytes(b'\xff\xfe\x00\x81')
    refused('binary.yml', 'not a readable YAML file', file=tmp_path / 'binary.yml')
    assert plain(load_cfg(write(tmp_path, '# nothing\n'))) == plain(load_cfg())


def test_the_home_in_base(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    write(tmp_path, 'SOLVER: {SEED: 5}\n', 'low.yml')
    (tmp_path / 'sub').mkdir()
    assert load_cfg(write(tmp_path / 'sub', '_BASE_: ~/low.yml\n')).SOLVER.SEED == 5
    refused(
        'my.yml',
        '_BASE_',
        'no home folder for',
        file=write(tmp_path, '_BASE_: ~nobody_is_called_so/low.yml\n'),
    )
