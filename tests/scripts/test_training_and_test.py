"""The three scripts on a toy data set: files, log lines, numbers."""

import csv
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

import test_clipreid
import test_rerank_clipreid
import train_clipreid
from configs import flatten, load_cfg
from tests.scripts.log_files import read_lines
from utils.checkpoint import load_state
from utils.metrics import distance_text

LOG_LINE = re.compile(
    r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} transreid(\.train|\.test)? (INFO|WARNING): '
)


def check_training_files(world, name):
    files = {p.name for p in world.output.iterdir()}
    assert files == {
        'train_log.txt',
        'metrics.jsonl',
        'config.yml',
        'run.json',
        'resume.pth',
        'card.json',
        'card.md',
        f'{name}_stage1_2.pth',
        f'{name}_2.pth',
        f'{name}_best.pth',
    }
    log = (world.output / 'train_log.txt').read_text()
    for pattern in (
        r'Epoch\[1\] Iteration\[2/3\] Loss: \d+\.\d{3}, Base Lr: \d\.\d\de-\d\d$',
        r'Stage1 running time: \d:\d\d:\d\d\.\d+$',
        r'Epoch\[2\] Iteration\[1/3\] Loss: \d+\.\d{3}, Acc: \d\.\d{3}, Base Lr: \d\.\d\de-\d\d$',
        r'Epoch 2 done\. Time per batch: \d+\.\d{3}\[s\] Speed: \d+\.\d\[samples/s\]$',
        r'Validation Results - Epoch: 2$',
        r'mAP: \d+\.\d%$',
        r'CMC curve, Rank-1  :\d+\.\d%$',
        r'CMC curve, Rank-10 :\d+\.\d%$',
        r'Total running time: \d:\d\d:\d\d\.\d+$',
    ):
        assert re.search(pattern, log, re.MULTILINE), pattern
    assert all(LOG_LINE.match(line) for line in log.splitlines() if ' transreid' in line[:40])


def check_metrics_file(world, best):
    events = read_lines(world.output / 'metrics.jsonl')
    validations = [e for e in events if e['event'] == 'validation']
    assert [e['epoch'] for e in validations] == [1, 2]
    assert max(e['mAP'] for e in validations) == best
    steps = [e for e in events if e['event'] == 'stage2']
    assert all(np.isfinite(e['loss']) for e in steps)
    first = steps[0]
    assert first['loss'] == pytest.approx(
        first['id_loss'] + first['triplet_loss'] + first['i2t_loss'], rel=1e-5
    )


def check_run_files(world, name):
    assert flatten(load_cfg(world.output / 'config.yml')) == flatten(load_cfg(world.yml(name)))
    run = json.loads((world.output / 'run.json').read_text())
    assert run['seed'] == 1234 and run['device'].startswith('cpu') and run['version'] and run['git']


def check_test_results(world, plain):
    results = json.loads((world.output / 'results.json').read_text())
    assert results['metrics'] == plain
    assert set(plain) == {'mAP', 'rank1', 'rank5', 'rank10'}
    assert results['protocol'] == 'query_apart' and results['re_ranking'] is None
    assert results['counts'] == {
        'query': {'photos': 4, 'individuals': 4},
        'gallery': {'photos': 12, 'individuals': 4},
    }
    assert len(results['checkpoint_sha256']) == 64
    test_log = (world.output / 'test_log.txt').read_text()
    assert (
        f'mAP: {plain["mAP"]:.1%}' in test_log
        and f'CMC curve, Rank-5  :{plain["rank5"]:.1%}' in test_log
    )
    assert (
        'Protocol query_apart: no query photo is in the gallery' in test_log.split('SOLVER')[0]
    )  # before the config


def check_ranked_lists(world, plain):
    rows = list(csv.DictReader((world.output / 'ranked_lists.csv').read_text().splitlines()))
    assert {row['query'] for row in rows} == {
        str(world.folder / f'test/{n}/0.png') for n in range(6, 10)
    }
    assert all(row['distance'] == distance_text(float(row['distance'])) for row in rows)
    assert [row['rank'] for row in rows[:10]] == [str(rank) for rank in range(1, 11)]
    assert all((row['right'] == '1') == (row['label'] == row['query_label']) for row in rows)
    assert sum(row['right'] == '1' for row in rows if row['rank'] == '1') / 4 == pytest.approx(
        plain['rank1']
    )
    with Image.open(world.output / 'ranked_lists.png') as picture:
        assert picture.width > 300 and picture.height > 300


@pytest.mark.parametrize('name', ['RN50', 'ViT-B-16'])
def test_train_then_test_then_rerank(world, name):
    best = train_clipreid.main(world.args(name=name))
    assert 0 < best <= 1
    check_training_files(world, name)
    check_metrics_file(world, best)
    check_run_files(world, name)

    weight = world.output / f'{name}_2.pth'
    plain = test_clipreid.main(world.args('TEST.WEIGHT', weight, name=name))
    check_test_results(world, plain)
    check_ranked_lists(world, plain)

    page = (world.output / 'report.html').read_text(encoding='utf-8')
    assert f'toy: test of {name}_2.pth' in page and 'id="training"' in page
    assert f'Report: {world.output / "report.html"}' in (world.output / 'test_log.txt').read_text()

    reranked = test_rerank_clipreid.main(world.args('TEST.WEIGHT', weight, name=name))
    assert (world.output / 'report.1.html').read_text(encoding='utf-8') == page
    assert reranked != plain or reranked['mAP'] == 1
    assert json.loads((world.output / 'results.json').read_text())['re_ranking'] == {
        'k1': 5,
        'k2': 2,
        'lambda_value': 0.3,
        'ties': 'index',
    }
    assert json.loads((world.output / 'results.1.json').read_text())['metrics'] == plain
    options = ('TEST.WEIGHT', weight, 'TEST.RE_RANKING', 'True', 'TEST.REPORT', 'False')
    assert test_clipreid.main(world.args(*options, name=name)) == reranked
    assert not (world.output / 'report.2.html').exists()


def test_same_seed_same_run(world):
    for folder in 'ab':
        train_clipreid.main(world.args('OUTPUT_DIR', world.folder / folder))
    a, b = (load_state(world.folder / f / 'RN50_2.pth') for f in 'ab')
    assert all(torch.equal(a[n], b[n]) for n in a)
    train_clipreid.main(world.args('OUTPUT_DIR', world.folder / 'c', 'SOLVER.SEED', 7))
    c = load_state(world.folder / 'c' / 'RN50_2.pth')
    assert not torch.equal(a['classifier.weight'], c['classifier.weight'])


def test_stages_train_what_they_should(world):
    train_clipreid.main(world.args())
    start = load_state(world.weights['RN50'])
    one = load_state(world.output / 'RN50_stage1_2.pth')
    two = load_state(world.output / 'RN50_2.pth')
    assert torch.equal(
        one['image_encoder.layer1.0.conv1.weight'], start['visual.layer1.0.conv1.weight']
    )
    assert not torch.equal(
        two['image_encoder.layer1.0.conv1.weight'], start['visual.layer1.0.conv1.weight']
    )
    assert torch.equal(two['text_encoder.ln_final.weight'], start['ln_final.weight'])
    assert torch.equal(one['prompt_learner.cls_ctx'], two['prompt_learner.cls_ctx'])
    assert not two['bottleneck.bias'].any()


def test_second_run_keeps_the_earlier_log(world):
    train_clipreid.main(world.args('SOLVER.STAGE2.MAX_EPOCHS', 0))
    first = (world.output / 'train_log.txt').read_text()
    train_clipreid.main(world.args('SOLVER.STAGE2.MAX_EPOCHS', 0))
    assert (world.output / 'train_log.1.txt').read_text() == first
    assert 'already holds a run' in (world.output / 'train_log.txt').read_text()
    assert (world.output / 'metrics.1.jsonl').exists()
