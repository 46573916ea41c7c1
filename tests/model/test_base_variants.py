"""Base variants: image encoder, necks and classifiers, without prompts and stage 1."""

import json
import logging
import re

import pytest
import torch
import yaml

import test_clipreid
import train_clipreid
from configs import ConfigError, load_cfg
from loss.make_loss import make_loss
from model.make_model_clipreid import make_model, needs_prompts
from tests.forked import start_group
from tests.helpers import GOLDEN, timeless_metrics
from tests.model.base_variants import BASE, config
from tests.model.weight_files import refused
from utils.checkpoint import load_checkpoint, load_state, load_tree
from utils.errors import InputError
from utils.run.journal import Journal

pytestmark = pytest.mark.usefixtures('no_pictures')

NAMES = ['RN50', 'ViT-B-16']


def baseline_names(kind):
    """Names of the original's baseline: those of its full model but for prompts and text
    encoder.
    """
    names = json.loads((GOLDEN / f'state_dict_{kind}.json').read_text())
    return [name for name in names if not name.startswith(('prompt_learner.', 'text_encoder.'))]


@pytest.mark.parametrize(
    'name, kind, opts',
    [
        ('RN50', 'rn50', ()),
        ('ViT-B-16', 'vit', ()),
        ('ViT-B-16', 'vit_sie', ('MODEL.SIE_CAMERA', True)),
    ],
)
def test_names_of_the_baseline(name, kind, opts, world):
    """On the published shapes: every name, in order."""
    cfg = config(
        world, name, *BASE, *opts, 'MODEL.PRETRAIN_CHOICE', 'random', 'MODEL.PRETRAIN_PATH', ''
    )
    model = make_model(cfg, 5, camera_num=3)
    assert list(model.state_dict()) == baseline_names(kind)
    assert (
        not model.has_prompts
        and model.changed_names(1) == []
        and model.changed_names(2) == list(model.state_dict())
    )


def test_when_a_model_has_prompts(world):
    for epochs, weight, has in ((0, 0, False), (1, 0, True), (0, 1, True), (1, 1, True)):
        cfg = config(
            world, 'ViT-B-16', 'SOLVER.STAGE1.MAX_EPOCHS', epochs, 'MODEL.I2T_LOSS_WEIGHT', weight
        )
        assert needs_prompts(cfg) == make_model(cfg, 3).has_prompts == has


def test_prompts_that_stay_random_are_warned_of(world, caplog):
    caplog.set_level(logging.INFO, 'transreid')
    for opts, warned in (
        (('SOLVER.STAGE1.MAX_EPOCHS', 0), True),
        (BASE, False),
        (('MODEL.I2T_LOSS_WEIGHT', 0), False),
    ):
        caplog.clear()
        make_model(config(world, 'ViT-B-16', *opts), 3)
        assert ('the prompts stay random' in caplog.text) == warned
        assert ('learns prompts that stage 2 does not use' in caplog.text) == (opts == BASE[2:])
        assert ('A base variant' in caplog.text) == (opts == BASE)


def test_a_run_that_trains_nothing_is_warned_of(world):
    warning = 'SOLVER.STAGE1.MAX_EPOCHS and SOLVER.STAGE2.MAX_EPOCHS are 0: nothing will be trained'
    for epochs in (0, 1):
        train_clipreid.main(
            world.args(
                *BASE, 'SOLVER.STAGE2.MAX_EPOCHS', epochs, 'OUTPUT_DIR', world.folder / str(epochs)
            )
        )
        assert (warning in (world.folder / f'{epochs}/train_log.txt').read_text()) == (epochs == 0)


@pytest.mark.parametrize('name', NAMES)
def test_train_and_test(world, name):
    best = train_clipreid.main(world.args(*BASE, name=name))
    assert 0 < best <= 1
    files = {path.name for path in world.output.iterdir()}
    assert files == {
        'train_log.txt',
        'metrics.jsonl',
        'config.yml',
        'run.json',
        'resume.pth',
        'card.json',
        'card.md',
        f'{name}_2.pth',
        f'{name}_best.pth',
    }
    state, start = load_state(world.output / f'{name}_2.pth'), load_state(world.weights[name])
    published = baseline_names('rn50' if name == 'RN50' else 'vit')  # with more blocks
    assert {re.sub(r'\.\d+\.', '.N.', n) for n in state} == {
        re.sub(r'\.\d+\.', '.N.', n) for n in published
    }
    conv = 'layer1.0.conv1.weight' if name == 'RN50' else 'conv1.weight'
    assert not torch.equal(state[f'image_encoder.{conv}'], start[f'visual.{conv}'])

    log = (world.output / 'train_log.txt').read_text()
    assert re.search(
        r'Epoch\[2\] Iteration\[1/3\] Loss: \d+\.\d{3}, Acc: \d\.\d{3}, Base Lr: \d\.\d\de-\d\d$',
        log,
        re.M,
    )
    assert 'Stage1 running time' not in log and 'nothing is learned' not in log
    first = next(line for line in timeless_metrics(world.output) if line['event'] == 'stage2')
    assert 'i2t_loss' not in first and first['loss'] == pytest.approx(
        first['id_loss'] + first['triplet_loss'], rel=1e-5
    )

    # a test asks the checkpoint whether it has prompts, not the config
    found = test_clipreid.main(
        world.args(*BASE, 'TEST.WEIGHT', world.output / f'{name}_2.pth', name=name)
    )
    assert found['mAP'] > 0
    assert (
        test_clipreid.main(world.args('TEST.WEIGHT', world.output / f'{name}_2.pth', name=name))
        == found
    )


def test_the_accuracy_is_that_of_the_first_classifier(world, monkeypatch):
    seen = []

    def recorded(cfg, classes, dim):
        criterion = make_loss(cfg, classes, dim)
        forward = criterion.forward

        def loss(score, feat, target, i2tscore=None):
            assert i2tscore is None
            seen.append([float((one.argmax(1) == target).float().mean()) for one in score])
            return forward(score, feat, target, i2tscore)

        criterion.forward = loss
        return criterion

    monkeypatch.setattr('loss.make_loss.make_loss', recorded)
    train_clipreid.main(world.args(*BASE, 'SOLVER.STAGE2.MAX_EPOCHS', 4, name='ViT-B-16'))
    first, second = (torch.tensor(column) for column in zip(*seen, strict=True))
    assert not torch.equal(first, second)
    means = first.reshape(4, -1).mean(dim=1).tolist()
    assert [
        line['acc'] for line in timeless_metrics(world.output) if line['event'] == 'stage2_epoch'
    ] == pytest.approx(means)


@pytest.mark.parametrize(
    'opts',
    [
        ('DATALOADER.SAMPLER', 'softmax'),
        ('MODEL.IF_WITH_CENTER', 'yes'),
        ('SOLVER.AMP', 'bf16'),
        ('MODEL.SIE_CAMERA', 'True', 'MODEL.SIE_VIEW', 'True'),
        ('MODEL.STRIDE_SIZE', '[12, 12]'),
        ('MODEL.ACTIVATION', 'gelu'),
        ('SOLVER.CHECKPOINT_FORMAT', 'safetensors'),
    ],
)
def test_options(world, opts):
    train_clipreid.main(world.args(*BASE, *opts, 'SOLVER.STAGE2.MAX_EPOCHS', 1, name='ViT-B-16'))
    weight = next(world.output.glob('ViT-B-16_1.*'))
    assert (
        test_clipreid.main(world.args(*BASE, *opts, 'TEST.WEIGHT', weight, name='ViT-B-16'))['mAP']
        > 0
    )
    assert load_checkpoint(weight).about['activation'] == (
        'gelu' if 'gelu' in opts else 'quickgelu'
    )


@pytest.mark.parametrize('name', NAMES)
def test_an_interrupted_run_resumes_bit_for_bit(world, name, monkeypatch):
    opts = (*BASE, 'SOLVER.STAGE2.MAX_EPOCHS', 3)
    train_clipreid.main(world.args(*opts, 'OUTPUT_DIR', world.folder / 'whole', name=name))
    save = Journal.save

    def killed(self):
        save(self)
        self.settle()
        if self.epoch == 2:
            raise InputError('killed')

    monkeypatch.setattr(Journal, 'save', killed)
    with pytest.raises(InputError, match='killed'):
        train_clipreid.main(world.args(*opts, name=name))
    monkeypatch.undo()
    assert load_tree(world.output / 'resume.pth', 'KEY')['epoch'] == 2
    refused(
        lambda: train_clipreid.main(
            world.args('--resume', *opts, 'MODEL.I2T_LOSS_WEIGHT', 1, name=name)
        ),
        'MODEL.I2T_LOSS_WEIGHT 1.0 (was 0.0)',
    )
    train_clipreid.main(world.args('--resume', *opts, name=name))
    a, b = (
        load_state(folder / f'{name}_3.pth') for folder in (world.folder / 'whole', world.output)
    )
    assert a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)
    assert timeless_metrics(world.folder / 'whole') == timeless_metrics(world.output)


def test_several_processes(world, zygote):
    """The step of two is the step of one."""
    opts = [str(word) for word in (*BASE, 'SOLVER.STAGE2.MAX_EPOCHS', 1, 'SOLVER.AMP', 'off')]
    path = world.yml('ViT-B-16')
    train_clipreid.main(['--config_file', path, *opts, 'OUTPUT_DIR', str(world.folder / 'one')])
    words = ('train_clipreid.py', '--config_file', path, *opts, 'MODEL.DIST_TRAIN', True)
    for run in start_group(zygote, 2, world.folder, *words):
        assert run.wait() == 0, run.err[-2000:]
    one, two = (
        load_state(folder / 'ViT-B-16_1.pth') for folder in (world.folder / 'one', world.output)
    )
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[name].float(), two[name].float(), atol=1e-4) for name in one)


def test_flat_ymls_of_the_original_are_explained(world):
    path = world.folder / 'flat.yml'
    for key in ('MAX_EPOCHS', 'BASE_LR', 'STEPS', 'IMS_PER_BATCH', 'WARMUP_ITERS', 'LARGE_FC_LR'):
        path.write_text(yaml.safe_dump({'SOLVER': {key: 1}}))
        with pytest.raises(ConfigError) as caught:
            load_cfg(path)
        line = str(caught.value)
        assert (
            f'unknown key SOLVER.{key}' in line
            and 'here use SOLVER.STAGE2, with' in line
            and '\n' not in line
        )
        assert 'SOLVER.STAGE1.MAX_EPOCHS 0' in line and 'MODEL.I2T_LOSS_WEIGHT 0' in line
    with pytest.raises(ConfigError, match='unknown key SOLVER.STAGES') as caught:
        load_cfg('', ['SOLVER.STAGES', 1])
    assert 'flat' not in str(caught.value)
