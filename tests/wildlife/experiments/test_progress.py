"""What counts as done: results of the planned settings."""

from types import SimpleNamespace

import pytest

from tests.timm_worlds import BYOB
from wildlife.experiments import progress
from wildlife.experiments.grid import read_grid
from wildlife.experiments.plan import make_plan
from wildlife.experiments.progress import checkpoint_sha256, is_tested

NETWORK = {
    'MODEL.NAME': f'timm:{BYOB}',
    'SOLVER.STAGE1.MAX_EPOCHS': 0,
    'MODEL.I2T_LOSS_WEIGHT': 0,
}


@pytest.mark.parametrize('size', [[160, 160], 'auto'])
def test_results_of_timm_have_numbers_in_the_place_of_auto(grid_file, tmp_path, monkeypatch, size):
    settings = NETWORK | {'INPUT.SIZE_TRAIN': size}
    plan = make_plan(read_grid(grid_file(train={'encoder': {'timm': settings}})), tmp_path / 'out')
    test = plan.trainings[0].tests[0]
    assert test.checkpoint.name == f'{BYOB}_1.pth'
    test.checkpoint.parent.mkdir(parents=True)
    test.checkpoint.touch()
    numbers = {'INPUT.SIZE_TRAIN': [160, 160], 'INPUT.PIXEL_MEAN': [0.5, 0.5, 0.5]}
    for changed, expected in (({}, True), ({'INPUT.SIZE_TEST': [8, 8]}, False)):
        result = SimpleNamespace(
            facts={'checkpoint_sha256': checkpoint_sha256(test.checkpoint)},
            config=test.values | numbers | changed,
        )
        result.config['SOLVER.STAGE2.STEPS'] = list(test.values['SOLVER.STAGE2.STEPS'])
        monkeypatch.setattr(progress, 'read_result', lambda _, result=result: result)
        assert is_tested(test) is expected
