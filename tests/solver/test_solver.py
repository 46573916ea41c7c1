"""Schedules against every golden epoch; optimizer groups against golden counts and by hand."""

import copy
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from configs import ConfigError, load_cfg
from configs.defaults import OPTIMIZERS
from loss.make_loss import make_loss
from solver.lr_scheduler import (
    make_scheduler_1stage,
    make_scheduler_2stage,
    stage1_lr,
    stage2_lr,
    warmup_factor,
)
from solver.make_optimizer_prompt import (
    make_optimizer_1stage,
    make_optimizer_2stage,
    make_optimizer_center,
)

GOLDEN = Path(__file__).resolve().parents[1] / 'golden'
SOLVER = json.loads((GOLDEN / 'solver.json').read_text())
CONFIGS = json.loads((GOLDEN / 'configs.json').read_text())


def namespace(tree):
    """Nested dicts as attributes, like a config node."""
    return SimpleNamespace(
        **{
            key: namespace(value) if isinstance(value, dict) else value
            for key, value in tree.items()
        }
    )


def golden_config(name):
    tree = {}
    for key, value in CONFIGS['loads'][name].items():  # 'SOLVER.STAGE1.BASE_LR': 0.00035
        *path, last = key.split('.')
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return namespace(tree)


def config(**stage):
    """A config in which both stages have the same settings."""
    defaults = {
        'OPTIMIZER_NAME': 'SGD',
        'BASE_LR': 0.1,
        'MOMENTUM': 0.7,
        'WEIGHT_DECAY': 0.01,
        'WEIGHT_DECAY_BIAS': 0.02,
        'BIAS_LR_FACTOR': 2,
        'LARGE_FC_LR': False,
        'CENTER_LR': 0.5,
        'CENTER_LOSS_WEIGHT': 5e-4,
        'STEPS': (2, 4),
        'GAMMA': 0.1,
        'WARMUP_FACTOR': 0.01,
        'WARMUP_ITERS': 0,
        'WARMUP_METHOD': 'linear',
        'MAX_EPOCHS': 10,
        'WARMUP_EPOCHS': 0,
        'WARMUP_LR_INIT': 0.0,
        'LR_MIN': 0.0,
    }
    return namespace({'SOLVER': {'STAGE1': defaults | stage, 'STAGE2': defaults | stage}})


class Toy(nn.Module):
    """A small model with the parameter names of the real one."""

    def __init__(self):
        super().__init__()
        self.classifier = nn.Linear(2, 3)
        self.bottleneck = nn.BatchNorm1d(2)
        self.bottleneck.bias.requires_grad_(False)
        self.image_encoder = nn.Linear(2, 2)
        self.prompt_learner = nn.Module()
        self.prompt_learner.cls_ctx = nn.Parameter(torch.zeros(3, 4, 2))
        self.prompt_learner.fixed = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.text_encoder = nn.Linear(2, 2)


def groups(optimizer, model):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [
        (names[id(parameter)], group['lr'], group['weight_decay'])
        for group in optimizer.param_groups
        for parameter in group['params']
    ]


# Schedules


@pytest.mark.parametrize('name', SOLVER['configs'])
def test_golden_rates_of_the_species(name):
    cfg, facts, model = golden_config(name), SOLVER['configs'][name], Toy()
    assert len(SOLVER['configs']) == 12

    optimizer = make_optimizer_1stage(cfg, model)
    scheduler, rates = make_scheduler_1stage(cfg, optimizer), []
    for epoch in range(1, cfg.SOLVER.STAGE1.MAX_EPOCHS + 1):
        scheduler.step(epoch)
        rates.append(optimizer.param_groups[0]['lr'])
    assert rates == pytest.approx(facts['stage1']['lr'], rel=1e-9, abs=0)
    assert optimizer.param_groups[0]['weight_decay'] == facts['stage1']['weight_decay']

    optimizer = make_optimizer_2stage(cfg, model)
    scheduler, rates = make_scheduler_2stage(cfg, optimizer), []
    weight, bias = optimizer.param_groups[0], optimizer.param_groups[1]  # of the classifier
    for epoch in range(1, cfg.SOLVER.STAGE2.MAX_EPOCHS + 1):
        scheduler.step(epoch)
        rates.append((weight['lr'], bias['lr']))
    assert [rate for rate, _ in rates] == pytest.approx(
        facts['stage2']['lr_weight'], rel=1e-9, abs=0
    )
    assert [rate for _, rate in rates] == pytest.approx(facts['stage2']['lr_bias'], rel=1e-9, abs=0)
    assert weight['weight_decay'] == facts['stage2']['weight_decay']
    assert bias['weight_decay'] == facts['stage2']['weight_decay_bias']


@pytest.mark.parametrize('facts', SOLVER['other_shapes']['stage1'])
def test_golden_rates_of_other_shapes_stage1(facts):
    expected = facts['lr_epochs_1_to_MAX_plus_3']
    rates = [
        stage1_lr(
            epoch,
            base_lr=facts['BASE_LR'],
            max_epochs=facts['MAX_EPOCHS'],
            lr_min=facts['LR_MIN'],
            warmup_epochs=facts['WARMUP_EPOCHS'],
            warmup_lr_init=facts['WARMUP_LR_INIT'],
        )
        for epoch in range(1, len(expected) + 1)
    ]
    assert rates == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.parametrize('facts', SOLVER['other_shapes']['stage2'])
def test_golden_rates_of_other_shapes_stage2(facts):
    rates = [
        stage2_lr(
            epoch,
            base_lr=facts['BASE_LR'],
            steps=facts['STEPS'],
            gamma=facts['GAMMA'],
            warmup=partial(
                warmup_factor,
                factor=facts['WARMUP_FACTOR'],
                iters=facts['WARMUP_ITERS'],
                method=facts['WARMUP_METHOD'],
            ),
        )
        for epoch in range(1, facts['epochs'] + 1)
    ]
    assert rates == pytest.approx(facts['lr'], rel=1e-9, abs=0)


def test_stage2_typed_by_hand():
    warmup = partial(warmup_factor, factor=0.2, iters=2)
    shape = {'steps': (3, 5), 'gamma': 0.5, 'warmup': warmup}
    assert [stage2_lr(epoch, 1.0, **shape) for epoch in range(1, 7)] == pytest.approx(
        [0.6, 1, 0.5, 0.5, 0.25, 0.25]
    )


def test_rates_depend_only_on_the_epoch():
    """A resumed run makes a new scheduler for the loaded optimizer; rates must not shrink twice."""
    cfg, model = config(), Toy()
    first = make_optimizer_2stage(cfg, model)
    make_scheduler_2stage(cfg, first).step(4)
    second = make_optimizer_2stage(cfg, model)
    second.load_state_dict(first.state_dict())
    for scheduler in (make_scheduler_2stage(cfg, second), make_scheduler_2stage(cfg, first)):
        scheduler.step(4)
        assert [group['lr'] for group in scheduler.optimizer.param_groups] == pytest.approx(
            [0.001, 0.002]
        )
        scheduler.step(1)
        assert scheduler.optimizer.param_groups[0]['lr'] == pytest.approx(0.1)


# Groups


def test_groups_by_hand():
    cfg, model = config(), Toy()
    assert groups(make_optimizer_1stage(cfg, model), model) == [
        ('prompt_learner.cls_ctx', 0.1, 0.01)
    ]
    optimizer = make_optimizer_2stage(cfg, model)
    assert groups(optimizer, model) == [
        ('classifier.weight', 0.1, 0.01),
        ('bottleneck.weight', 0.1, 0.01),
        ('image_encoder.weight', 0.1, 0.01),
        ('classifier.bias', 0.2, 0.02),
        ('image_encoder.bias', 0.2, 0.02),
    ]
    assert [len(group['params']) for group in optimizer.param_groups] == [3, 2]
    alike = make_optimizer_2stage(config(BIAS_LR_FACTOR=1, WEIGHT_DECAY_BIAS=0.01), model)
    assert [len(group['params']) for group in alike.param_groups] == [5]


def test_large_fc_lr_doubles_the_classifiers():
    model = Toy()
    optimizer = make_optimizer_2stage(config(LARGE_FC_LR=True, BIAS_LR_FACTOR=3), model)
    rates = {name: lr for name, lr, _ in groups(optimizer, model)}
    assert rates['classifier.weight'] == pytest.approx(0.2)
    assert rates['image_encoder.weight'] == pytest.approx(0.1)
    assert rates['image_encoder.bias'] == pytest.approx(0.3)


@pytest.mark.parametrize('backbone, file', [('cnn', 'rn50'), ('vit', 'vit')])
def test_golden_groups(backbone, file):
    """Names and shapes of the whole model, but parameters that take no memory."""
    facts = SOLVER['groups'][backbone]
    cfg, model = (
        golden_config(facts['config']),
        skeleton(f'state_dict_{file}.json', num_classes=107),
    )
    for stage, make in (('stage1', make_optimizer_1stage), ('stage2', make_optimizer_2stage)):
        got = groups(make(cfg, model), model)
        assert len(got) == facts[stage]['n_groups']
        sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
        for expected in facts[stage]['by_lr']:
            names = [
                name
                for name, lr, weight_decay in got
                if lr == pytest.approx(expected['lr'], rel=1e-9)
                and weight_decay == expected['weight_decay']
            ]
            assert len(names) == expected['groups']
            assert sum(sizes[name] for name in names) == expected['numbers']
            assert names[: len(expected['first'])] == expected['first']
            assert names[-len(expected['last']) :] == expected['last']
    assert sum('bias' in name for name, _, _ in got) == facts['stage2_names_with_bias']
    left_out, expected = (
        sizes.keys() - {name for name, _, _ in got},
        facts['stage2']['not_in_optimizer'],
    )
    text = {name for name in left_out if name.startswith('text_encoder')}
    assert len(text) == expected['text_encoder']
    assert left_out - text == {*expected['prompt_learner'], *expected['other']}


def skeleton(file, num_classes):
    """A module with the golden names and shapes; each parameter is one expanded number."""
    buffers = ('running_mean', 'running_var', 'num_batches_tracked', 'token_prefix', 'token_suffix')
    shapes = {
        name: shape
        for name, shape in json.loads((GOLDEN / file).read_text()).items()
        if not name.endswith(buffers)
    }
    model = nn.Module()
    for name, shape in shapes.items():
        if name.startswith('classifier') or name.endswith('cls_ctx'):
            shape = [num_classes, *shape[1:]]
        *path, last = name.split('.')
        module = model
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, nn.Module())
            module = getattr(module, part)
        frozen = name in ('bottleneck.bias', 'bottleneck_proj.bias')
        module.register_parameter(
            last, nn.Parameter(torch.zeros(()).expand(shape), requires_grad=not frozen)
        )
    return model


# Optimizers


@pytest.mark.parametrize('name, settings', SOLVER['groups']['cnn']['optimizer_settings'].items())
def test_golden_settings(name, settings):
    optimizer = make_optimizer_2stage(config(OPTIMIZER_NAME=name, MOMENTUM=0.9), Toy())
    assert type(optimizer).__name__ == name
    for key, value in settings.items():
        assert optimizer.defaults[key] == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize('name', OPTIMIZERS.choices)
def test_every_optimizer_on_offer_makes_a_step(name):
    model = Toy()
    before = [parameter.detach().clone() for parameter in model.image_encoder.parameters()]
    optimizer = make_optimizer_2stage(config(OPTIMIZER_NAME=name), model)
    for _ in range(2):
        optimizer.zero_grad()
        model.image_encoder(torch.ones(1, 2)).pow(2).sum().backward()
        optimizer.step()
    assert any(not torch.equal(*pair) for pair in zip(before, model.image_encoder.parameters()))
    assert optimizer.defaults.get('momentum', 0.7) == 0.7


@pytest.mark.parametrize('name', ['Adam', 'AdamW', 'SGD', 'RMSprop'])
def test_merged_groups_step_as_single_ones(name):
    """Compared with one group per parameter; some have no gradient in some steps."""
    torch.manual_seed(0)
    ours = Toy().double()
    theirs = copy.deepcopy(ours)
    optimizer = make_optimizer_2stage(config(OPTIMIZER_NAME=name), ours)
    apart = [
        {'params': [dict(theirs.named_parameters())[n]], 'lr': lr, 'weight_decay': decay}
        for n, lr, decay in groups(optimizer, ours)
    ]
    plain = getattr(torch.optim, name)(
        apart, foreach=False, **({'momentum': 0.7} if name in ('SGD', 'RMSprop') else {})
    )
    for step in range(5):
        x = torch.randn(4, 2, dtype=torch.float64)
        for model, each in ((ours, optimizer), (theirs, plain)):
            y = model.image_encoder(x)
            each.zero_grad()
            (model.classifier(model.bottleneck(y)) if step % 2 else y).pow(2).sum().backward()
            each.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)
    assert bool(optimizer.defaults.get('fused')) == name.startswith('Adam')


@pytest.mark.parametrize('name', ['adam', 'LBFGS', 'SparseAdam', 'Optimizer', 'lr_scheduler', ''])
def test_other_optimizers_are_rejected(name):
    with pytest.raises(ConfigError, match=f"OPTIMIZER_NAME is '{name}'; choose from 'Adam', .*SGD"):
        load_cfg('', ['SOLVER.STAGE2.OPTIMIZER_NAME', name])


def test_center_optimizer():
    model = {
        'METRIC_LOSS_TYPE': 'center',
        'IF_WITH_CENTER': 'no',
        'IF_LABELSMOOTH': 'on',
        'NO_MARGIN': False,
        'ID_LOSS_WEIGHT': 1.0,
        'TRIPLET_LOSS_WEIGHT': 1.0,
        'I2T_LOSS_WEIGHT': 1.0,
    }
    cfg = config()
    cfg.MODEL, cfg.DATALOADER, cfg.SOLVER.MARGIN = (
        namespace(model),
        namespace({'SAMPLER': 'softmax_triplet'}),
        0.3,
    )
    criterion = make_loss(cfg, num_classes=3, feat_dim=2)
    optimizer = make_optimizer_center(cfg, criterion)
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.param_groups[0]['params'] == [criterion.center.centers]
    assert optimizer.param_groups[0]['lr'] == 0.5
    # With one photo the gradient is twice the distance, so rate 0.5 moves the centre onto it.
    criterion([torch.zeros(1, 3)] * 2, [None, torch.tensor([[3.0, 4.0]]), None], torch.tensor([1]))[
        'center'
    ].backward()
    optimizer.step()
    assert criterion.center.centers[1].tolist() == pytest.approx([3, 4])

    cfg.MODEL.METRIC_LOSS_TYPE = 'triplet'
    assert make_optimizer_center(cfg, make_loss(cfg, num_classes=3)) is None
