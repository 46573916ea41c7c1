"""Optimizers: groups compared with golden counts and by hand."""

import copy
import json

import pytest
import torch
from torch import nn

from configs import ConfigError, load_cfg
from configs.defaults import OPTIMIZERS
from loss.make_loss import make_loss
from solver.make_optimizer_prompt import (
    make_optimizer_1stage,
    make_optimizer_2stage,
    make_optimizer_center,
)
from tests.helpers import GOLDEN
from tests.solver.golden_solver import SOLVER, Toy, config, golden_config, namespace


def groups(optimizer, model):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [
        (names[id(parameter)], group['lr'], group['weight_decay'])
        for group in optimizer.param_groups
        for parameter in group['params']
    ]


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
        'ID_LOSS_TYPE': 'softmax',
        'METRIC_LOSS_TYPE': 'center',
        'TRIPLET_DISTANCE': 'euclidean',
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
