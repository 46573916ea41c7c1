"""What a card says about a training: from run.json, whatever it started from."""

import hashlib
import json
from pathlib import Path

import pytest

from configs import flatten, load_cfg
from model.clip.weights import OFFICIAL
from wildlife.report import run_facts
from wildlife.report.run_facts import LICENCES, describe_config, describe_run, start_facts


def start(folder, *options):
    return start_facts(flatten(load_cfg(opts=[str(word) for word in options])), folder)


def test_openai_by_default(tmp_path):
    found = start(tmp_path, 'MODEL.NAME', 'ViT-B/16')
    assert found['kind'] == 'OpenAI' and found['sha256'] == OFFICIAL['ViT-B-16']
    assert 'MIT' in found['licence'] and 'model card limits the use' in found['licence']


def test_a_file_is_openais_only_if_its_sha256_is(tmp_path, monkeypatch):
    path = tmp_path / 'weights.pt'
    path.write_bytes(b'weights')
    found = start(tmp_path, 'MODEL.PRETRAIN_PATH', path)
    digest = hashlib.sha256(b'weights').hexdigest()
    assert (found['kind'], found['sha256']) == ('file', digest)
    assert 'MIT' not in found['licence']
    monkeypatch.setitem(run_facts.OFFICIAL, 'RN50', digest)
    assert start(tmp_path, 'MODEL.PRETRAIN_PATH', path)['kind'] == 'OpenAI'


@pytest.mark.parametrize(
    ('options', 'kind'),
    [
        (('MODEL.PRETRAIN_CHOICE', 'random'), 'random'),
        (('MODEL.PRETRAIN_PATH', 'hf-hub:owner/name'), 'hub'),
        (('MODEL.PRETRAIN_PATH', 'no such file.pt'), 'file'),
        (('MODEL.PRETRAIN_CHOICE', 'self', 'MODEL.PRETRAIN_PATH', 'x.pth'), 'checkpoint'),
    ],
)
def test_other_starts(tmp_path, options, kind):
    found = start(tmp_path, *options)
    assert (found['kind'], found['sha256'], found['earlier']) == (kind, None, None)
    assert found['licence'] == LICENCES[kind]


@pytest.mark.parametrize('choice', ['self', 'finetune'])
def test_the_start_of_the_earlier_checkpoint(tmp_path, choice):
    """Its card says it. A card in the run's own folder is not that of the earlier checkpoint."""
    (tmp_path / 'old').mkdir()
    (tmp_path / 'old/card.json').write_text(json.dumps({'start': {'kind': 'OpenAI'}}))
    options = ('MODEL.PRETRAIN_CHOICE', choice, 'MODEL.PRETRAIN_PATH', tmp_path / 'old/x.pth')
    assert start(tmp_path / 'new', *options)['earlier'] == {'kind': 'OpenAI'}
    assert start(tmp_path / 'old', *options)['earlier'] is None
    (tmp_path / 'old/card.json').write_text('{')
    assert start(tmp_path / 'new', *options)['earlier'] is None


@pytest.mark.parametrize('content', [None, '{', '[]', '{"config": {}}', '{"config": 3}'])
def test_without_a_run_json_that_can_be_read(tmp_path, content):
    if content:
        (tmp_path / 'run.json').write_text(content)
    assert describe_run(tmp_path) is None


def test_a_base_variant_has_no_sentence():
    def sentence(*options):
        config = flatten(load_cfg(opts=list(options)))
        return describe_config(config, Path('.'))['model']['sentence']

    assert sentence() == 'A photo of a X X X X person.'
    assert sentence('DATASETS.NAMES', 'veri') == 'A photo of a X X X X vehicle.'
    base = ('SOLVER.STAGE1.MAX_EPOCHS', 0, 'MODEL.I2T_LOSS_WEIGHT', 0.0)
    assert sentence(*base) is None
    assert sentence(*base[:2]) == sentence(*base[2:]) == sentence()
