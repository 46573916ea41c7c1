"""The scripts with networks of timm: trained, tested, ranked, resumed; bad input."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

import test_clipreid
import train_clipreid
from configs import load_cfg
from model.make_model_clipreid import make_model
from tests.bad_input.inputs import nothing_written, refused
from tests.helpers import ROOT
from tests.timm_worlds import BYOB, VIT, pairs, save_network
from tests.utils.run.interrupted import assert_same_run, stop_after
from tools import rank_photos
from utils.checkpoint import load_checkpoint, save_state
from utils.errors import Stopped
from utils.files import sha256_file

pytestmark = pytest.mark.usefixtures('no_pictures')


@pytest.mark.parametrize(
    ('name', 'opts'), [(BYOB, ('MODEL.IF_WITH_CENTER', 'yes')), (VIT, ('SOLVER.AMP', 'bf16'))]
)
def test_training_test_ranking_and_resuming(world, monkeypatch, name, opts):
    weights = world.folder / 'weights.pth'
    save_network(weights, name)
    args = world.args(*pairs(name, weights, *opts))
    best = train_clipreid.main(args)
    checkpoint = load_checkpoint(world.output / f'{name}_2.pth')
    assert checkpoint.about['timm'] == name and len(checkpoint.state['classifier.weight']) == 6
    saved = load_cfg(world.output / 'config.yml')
    assert ([0.5] * 3 if name == VIT else [0.485, 0.456, 0.406]) == saved.INPUT.PIXEL_MEAN

    trained = [*args, 'TEST.WEIGHT', str(checkpoint.path)]
    metrics = test_clipreid.main(trained)
    assert metrics == test_clipreid.main(
        ['--config_file', str(world.output / 'config.yml'), 'TEST.WEIGHT', str(checkpoint.path)]
    )
    rows = rank_photos.main(['--photos', str(world.folder / 'test/7/1.png'), *trained])
    assert (rows[0]['individual'], float(rows[0]['distance'])) == ('test 7', pytest.approx(0))

    out = world.folder / 'stopped'
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(Stopped):
            train_clipreid.main([*args, 'OUTPUT_DIR', str(out)])
    assert train_clipreid.main([*args, '--resume', 'OUTPUT_DIR', str(out)]) == best
    assert_same_run(world.output, out, name)


def test_fine_tuning_with_frozen_parts_and_losses_on_cosines(world):
    weights = world.folder / 'weights.pth'
    save_network(weights)
    keys = ('MODEL.FREEZE_STEM', 'True', 'MODEL.FREEZE_NORMS', 'True')
    losses = ('MODEL.ID_LOSS_TYPE', 'cosface', 'MODEL.TRIPLET_DISTANCE', 'cosine')
    train_clipreid.main(world.args(*pairs(BYOB, weights, *keys, *losses)))
    start = load_checkpoint(weights).state
    state = load_checkpoint(world.output / f'{BYOB}_2.pth').state
    kept = {
        name
        for name, tensor in start.items()
        if torch.equal(state.get(f'image_encoder.network.{name}', torch.empty(0)), tensor)
    }
    assert {name for name in kept if name.endswith('conv.weight')} == {'stem.conv.weight'}
    assert {name for name in start if '.bn.' in name} <= kept
    assert 'id_loss' in (world.output / 'metrics.jsonl').read_text()


def test_the_starting_weights_as_they_are(world):
    """The distances are those of features made with timm alone."""
    weights = world.folder / 'weights.pth'
    network = save_network(weights).eval()
    network.reset_classifier(0)
    # stage 1 and the image-to-text term do not matter in a test
    args = world.args('MODEL.NAME', f'timm:{BYOB}', 'MODEL.PRETRAIN_PATH', weights)
    test_clipreid.main([*args, 'TEST.WEIGHT', 'start'])
    results = json.loads((world.output / 'results.json').read_text())
    assert results['checkpoint'] == 'start' and results['starting_weights'] == str(weights)
    assert results['checkpoint_sha256'] == sha256_file(weights)
    report = (world.output / 'report.html').read_text()
    assert f'The starting weights, untrained: {weights}' in report

    def feature(path):
        image = Image.open(path).convert('RGB').resize((32, 32), Image.Resampling.BILINEAR)
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        photo = (torch.tensor(np.asarray(image)) / 255 - mean) / std
        with torch.no_grad():
            return torch.nn.functional.normalize(network(photo.permute(2, 0, 1)[None]))[0]

    with open(world.output / 'ranked_lists.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 10
    expected = [1 - (feature(row['query']) @ feature(row['photo'])).item() for row in rows]
    assert max(expected) > 100 * 1e-6
    # the table has three digits
    found = [float(row['distance']) for row in rows]
    assert found == pytest.approx(expected, rel=5e-3, abs=1e-6)


@pytest.mark.parametrize('name', ['RN50', 'ViT-B-16'])
def test_the_starting_weights_of_clip(world, toy_weights, name):
    """They are what an untrained model is made of; the text tower may be missing."""
    args = world.args(name=name)
    untrained = (
        'SOLVER.STAGE1.MAX_EPOCHS',
        '0',
        'SOLVER.STAGE2.MAX_EPOCHS',
        '1',
        'SOLVER.STAGE2.BASE_LR',
        '1e-30',
        'SOLVER.STAGE2.WEIGHT_DECAY',
        '0',
    )
    metrics = test_clipreid.main([*args, 'TEST.WEIGHT', 'start'])
    results = json.loads((world.output / 'results.json').read_text())
    assert results['checkpoint_sha256'] == sha256_file(toy_weights[name])
    if name == 'ViT-B-16':  # no batch norm, whose statistics training changes
        train_clipreid.main([*args, *untrained])
        trained = [*args, 'TEST.WEIGHT', str(world.output / f'{name}_1.pth')]
        assert test_clipreid.main(trained) == pytest.approx(metrics)
        choice = ('MODEL.PRETRAIN_CHOICE', 'self', 'MODEL.PRETRAIN_PATH', trained[-1])
        assert test_clipreid.main([*args, *choice, 'TEST.WEIGHT', 'start']) == pytest.approx(
            metrics
        )
    random = ('MODEL.PRETRAIN_CHOICE', 'random', 'MODEL.NAME', f'timm:{BYOB}')
    test_clipreid.main([*args, *random, 'TEST.WEIGHT', 'start'])
    results = json.loads((world.output / 'results.json').read_text())
    assert (results['starting_weights'], results['checkpoint_sha256']) == ('random', '')


def test_bad_input_writes_nothing(world):
    save_network(world.folder / 'vit.pth', VIT)
    for main in (train_clipreid.main, test_clipreid.main):
        start = [] if main is train_clipreid.main else ['TEST.WEIGHT', 'start']
        args = world.args(*pairs('test_byobnets', ''), *start)
        refused(main, args, 'MODEL.NAME', 'did you mean test_byobnet')
        args = world.args(*pairs(BYOB, world.folder / 'vit.pth'), *start)
        refused(main, args, 'MODEL.PRETRAIN_PATH', 'vit.pth', 'missing', 'unknown')
        args = world.args(*pairs(BYOB, world.folder / 'gone.pth'), *start)
        refused(main, args, 'MODEL.PRETRAIN_PATH', 'no file', 'gone.pth')
    prompts = world.args('MODEL.NAME', f'timm:{BYOB}', 'MODEL.PRETRAIN_CHOICE', 'random')
    refused(train_clipreid.main, prompts, 'no text encoder', 'SOLVER.STAGE1.MAX_EPOCHS 0')
    nothing_written(world)


def test_the_shipped_ymls():
    for file in ('base_timm.yml', 'demo/timm_clipreid.yml'):
        cfg = load_cfg(ROOT / 'configs' / file)
        assert cfg.MODEL.NAME.startswith('timm:') and cfg.INPUT.PIXEL_MEAN == 'auto'
        assert cfg.SOLVER.STAGE1.MAX_EPOCHS == cfg.MODEL.I2T_LOSS_WEIGHT == 0


def test_a_card_is_of_one_start(world, toy_weights):
    """A trained model and the start from its file are two tests; other weights get a new card."""
    args = world.args('TEST.REPORT', False, 'TEST.BOOTSTRAP', 0, 'TEST.NECK_FEAT', 'after')
    path, cfg = world.output / 'RN50_9.pth', load_cfg(args[1])
    world.output.mkdir()
    save_state(make_model(cfg, 6).state_dict(), path)
    test_clipreid.main([*args, 'TEST.WEIGHT', str(path)])
    choice = ('MODEL.PRETRAIN_CHOICE', 'self', 'MODEL.PRETRAIN_PATH', str(path))
    start = [*args, 'TEST.WEIGHT', 'start', *choice]
    test_clipreid.main(start)
    tests = json.loads((world.output / 'card.json').read_text())['tests']
    assert [test['checkpoint'] for test in tests] == ['RN50_9.pth', 'start']
    assert tests[0]['checkpoint_sha256'] == tests[1]['checkpoint_sha256']

    own = ('OUTPUT_DIR', str(world.folder / 'own'))
    cards = []
    other = [*pairs(BYOB, ''), 'TEST.NECK_FEAT', 'before', 'MODEL.PRETRAIN_CHOICE', 'random']
    for words in (start, start, [*start, *other]):
        test_clipreid.main([*words, *own])
        cards.append(json.loads((world.folder / 'own/card.json').read_text()))
    assert [len(card['tests']) for card in cards] == [1, 1, 1]
    assert [card['start']['kind'] for card in cards] == ['checkpoint', 'checkpoint', 'random']


def test_the_card_of_starting_weights(world):
    """It is beside the results, since there is no checkpoint, and offers no commands for one."""
    args = world.args('MODEL.PRETRAIN_CHOICE', 'random', 'MODEL.NAME', f'timm:{BYOB}')
    test_clipreid.main([*args, 'TEST.WEIGHT', 'start'])
    card = json.loads((world.output / 'card.json').read_text())
    assert card['model']['name'] == f'timm:{BYOB}' and card['start']['kind'] == 'random'
    assert card['use'] == [] and card['checkpoints'] == []
    (test,) = card['tests']
    assert (test['checkpoint'], test['starting_weights']) == ('start', 'random')
    text = (world.output / 'card.md').read_text()
    assert 'the starting weights, untrained: `random`' in text and 'no longer here' not in text
    weights = world.folder / 'weights.pth'
    save_network(weights)
    own = world.args(*pairs(BYOB, weights, 'OUTPUT_DIR', world.folder / 'other'))
    test_clipreid.main([*own, 'TEST.WEIGHT', 'start'])
    text = (world.folder / 'other/card.md').read_text()
    assert text.count(sha256_file(weights)) == 2 and text.count(str(weights)) == 2
    train_clipreid.main(own)  # a test of the same folder's start stays in its card
    card = json.loads((world.folder / 'other/card.json').read_text())
    assert {each['file'] for each in card['checkpoints']} == {f'{BYOB}_2.pth', f'{BYOB}_best.pth'}
    assert card['start']['kind'] == 'file' and f'{BYOB}_' in card['use'][0]['command']
