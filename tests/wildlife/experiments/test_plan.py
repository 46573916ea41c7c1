"""The runs of a grid, and their folders."""

from pathlib import Path

import pytest
import yaml

from configs import ConfigError, flatten, load_cfg
from configs.command_line import parse_config
from tests.helpers import ROOT
from tests.timm_worlds import BYOB
from utils.run.resume import HARMLESS
from wildlife.experiments.grid import WITHOUT_EFFECT, read_grid
from wildlife.experiments.plan import decisive, folder_name, make_plan

OUT = Path('out')


def plan_of(path, *arguments):
    return make_plan(read_grid(path, *arguments), OUT)


def test_trainings_and_tests(grid_file, world):
    neck = {'before': {'TEST.NECK_FEAT': 'before'}, 'after': {'TEST.NECK_FEAT': 'after'}}
    plan = plan_of(grid_file(test={'neck': neck}))
    assert [cell.name for cell in plan.cells] == [
        *('learned, before', 'learned, after', 'none, before', 'none, after'),
    ]
    seeds = [training.run.changes['SOLVER.SEED'] for training in plan.trainings]
    assert seeds == [1, 1, 2, 2]  # a stopped grid has whole seeds
    for training in plan.trainings:
        folder = training.run.folder
        assert [test.folder.name for test in training.tests] == [
            'test_default',
            'test_TEST.NECK_FEAT=after',
        ]
        assert all(test.folder.parent == folder for test in training.tests)
        assert {test.checkpoint for test in training.tests} == {folder / 'RN50_1.pth'}
    tests = [test for training in plan.trainings for test in training.tests]
    assert sorted(str(test.folder) for cell in plan.cells for test in cell.tests) == sorted(
        str(test.folder) for test in tests
    )


TIMM = {
    'MODEL.NAME': f'timm:{BYOB}',
    'SOLVER.STAGE1.MAX_EPOCHS': 0,
    'MODEL.I2T_LOSS_WEIGHT': 0,
}
SIZES = {'INPUT.SIZE_TRAIN': [384, 128], 'INPUT.SIZE_TEST': [384, 128]}  # the default of CLIP's


def test_commands_with_other_networks_give_the_config_of_the_plan(grid_file, world):
    """Sizes, mean and std that nothing sets depend on the network."""
    encoders = {'clip': {'MODEL.NAME': 'RN50'}, 'timm': TIMM, 'sizes': TIMM | SIZES}
    path = grid_file(train={'encoder': encoders}, seeds=[1])
    yml = Path(world.yml())
    content = yaml.safe_load(yml.read_text())
    for key in ('SIZE_TRAIN', 'SIZE_TEST'):
        del content['INPUT'][key]
    for of_yml in ({}, {'NAME': f'timm:{BYOB}'}):
        content['MODEL'] |= of_yml
        yml.write_text(yaml.safe_dump(content))
        runs = [training.run for training in plan_of(path).trainings]
        for run in runs:
            args = parse_config(run.command[2:], 'text', resumes=True)
            assert decisive(flatten(load_cfg(args.config_file, args.opts))) == run.values
        clip, auto, sizes = runs
        assert clip.values['INPUT.SIZE_TRAIN'] == sizes.values['INPUT.SIZE_TRAIN'] == [384, 128]
        assert auto.values['INPUT.SIZE_TRAIN'] == auto.values['INPUT.PIXEL_MEAN'] == 'auto'
        assert 'INPUT' not in auto.folder.parent.name and 'INPUT' in sizes.folder.parent.name


def test_a_command_gives_the_config_of_the_plan(grid_file, world):
    odd = "A 'rather' shy X X X X, \\ 20 %"
    path = grid_file(
        train={'text': {'odd': {'MODEL.PROMPT': odd, 'SOLVER.STAGE2.STEPS': [1, 2]}}},
        test={'list': {'~': {'DATASETS.QUERY_LIST': '--x y.txt', 'TEST.RE_RANKING': True}}},
    )
    training = plan_of(path).trainings[0]
    for run in (training.run, training.tests[0]):
        args = parse_config(run.command[2:], 'text', resumes=not run.is_test)
        cfg = load_cfg(args.config_file, args.opts)
        assert decisive(flatten(cfg)) == run.values
        found = flatten(cfg)
        assert found['OUTPUT_DIR'] == str(run.folder) and found['MODEL.PROMPT'] == odd
        assert found['SOLVER.RESUME'] == ('' if run.is_test else 'auto')
    assert found['TEST.WEIGHT'] == str(training.run.checkpoint)


def test_equal_trainings_of_two_grids_have_one_folder(grid_file):
    weights = {'1': {'MODEL.I2T_LOSS_WEIGHT': 1}, '0': {'MODEL.I2T_LOSS_WEIGHT': 0}}
    one = plan_of(grid_file())
    other = plan_of(grid_file(train={'weight': weights}))
    first, second = ([t.run.folder for t in plan.trainings] for plan in (one, other))
    assert len(set(first) & set(second)) == 2  # learned = weight 1, for two seeds
    assert one.trainings[0].run == other.trainings[0].run


def test_runs_with_other_results_have_other_folders(grid_file, world):
    base = plan_of(grid_file()).trainings[0].run.folder
    for opts, same in (
        (['DATALOADER.NUM_WORKERS', '3'], True),
        (['SOLVER.STAGE2.BASE_LR', '0.1'], False),
        (['MODEL.I2T_LOSS_WEIGHT', '0.3'], False),
    ):
        assert (plan_of(grid_file(), '', opts).trainings[0].run.folder == base) == same
    (world.folder / 'sub').mkdir()
    copy = world.folder / 'sub' / 'RN50.yml'
    copy.write_text(Path(world.yml()).read_text())
    assert plan_of(grid_file(), str(copy)).trainings[0].run.folder != base


def test_a_resumed_run_may_change_what_has_no_effect():
    assert WITHOUT_EFFECT <= HARMLESS  # else a repeated grid would be rejected
    assert {'TEST.REPORT', 'TEST.BASELINES'} <= WITHOUT_EFFECT  # they only add lines and pages


def test_names_of_folders():
    assert folder_name({'SOLVER.SEED': 3}) == folder_name({}) == 'default'
    assert folder_name({'B': 0.5, 'A': 'x'}) == 'A=x,B=0.5'
    names = [folder_name({'A': value}) for value in ('a/b', 'a b', 'a_b', 'x' * 300, 'x' * 301)]
    assert len(set(names)) == 5
    assert all(len(name) < 120 and not set(name) & set('/\\ :') for name in names)


@pytest.mark.parametrize(
    'words, complaint',
    [
        (
            {'train': {'w': {'a': {}, 'b': {'MODEL.I2T_LOSS_WEIGHT': 1.0}}}},
            "'a' and 'b' are the same runs, in one folder",
        ),
        (
            {'train': {'w': {'a': {}, 'b': {'DATALOADER.NUM_WORKERS': 5}}}},
            "'a' and 'b' are the same runs, in one folder",
        ),
        (
            {'train': {'w': {'a': {}, 'b': {'MODEL.DROP_OUT': 0.5}}}},  # a key without effect
            "'a' and 'b' are the same runs, in one folder",
        ),
        (
            {'test': {'w': {'a': {}, 'b': {'TEST.RE_RANKING': False}}}},
            "'learned, a' and 'learned, b' are the same runs",
        ),
        (
            {'train': {'e': {'0': {'SOLVER.STAGE2.MAX_EPOCHS': 0}}}},
            'SOLVER.STAGE2.MAX_EPOCHS is 0',
        ),
        (
            {'train': {'b': {'7': {'SOLVER.STAGE2.IMS_PER_BATCH': 7}}}},
            'with SOLVER.STAGE2.IMS_PER_BATCH=7: SOLVER.STAGE2.IMS_PER_BATCH 7 is not a multiple',
        ),
    ],
)
def test_a_plan_that_cannot_be_run(grid_file, words, complaint):
    with pytest.raises(ConfigError) as caught:
        plan_of(grid_file(**words))
    assert complaint in str(caught.value) and '\n' not in str(caught.value)


def test_the_shipped_grids_share_trainings(monkeypatch):
    monkeypatch.chdir(ROOT)
    paths = sorted((ROOT / 'configs/experiments').glob('*.yml'))
    folders = [[t.run.folder for t in plan_of(path).trainings] for path in paths]
    assert sum(map(len, folders)) == 50
    assert len({folder for each in folders for folder in each}) == 35
    assert yaml.safe_load(paths[0].read_text())['config'] == 'configs/demo/cnn_clipreid.yml'
