"""Schedules: every golden epoch."""

from functools import partial

import pytest

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
)
from tests.solver.golden_solver import SOLVER, Toy, config, golden_config


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
