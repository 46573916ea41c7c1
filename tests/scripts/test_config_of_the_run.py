"""A config that does not fit the checkpoint: the error names the config of its run."""

import shlex

import pytest

import test_clipreid
import train_clipreid
from configs import load_cfg
from model import make_model_clipreid
from tools import rank_photos
from utils.checkpoint import save_state
from utils.errors import InputError, Mismatch

pytestmark = pytest.mark.usefixtures('no_pictures')


@pytest.mark.parametrize(
    'name, opts, again',
    [
        ('ViT-B-16', {'INPUT.SIZE_TRAIN': [48, 32], 'INPUT.SIZE_TEST': [48, 32]}, {}),
        ('RN50', {'INPUT.SIZE_TRAIN': [48, 32], 'INPUT.SIZE_TEST': [48, 32]}, {}),
        (
            'RN50',
            {'INPUT.SIZE_TRAIN': [48, 32], 'INPUT.SIZE_TEST': [48, 32]},
            {'INPUT.SIZE_TEST': [48, 32]},
        ),
        ('ViT-B-16', {'MODEL.STRIDE_SIZE': [8, 8]}, {}),
        ('ViT-B-16', {'MODEL.SIE_CAMERA': True}, {}),
        ('ViT-B-16', {'MODEL.SIE_VIEW': True}, {'MODEL.SIE_CAMERA': True}),
        ('ViT-B-16', {'MODEL.SIE_CAMERA': True, 'MODEL.SIE_COE': 1.5}, {'MODEL.SIE_CAMERA': True}),
        ('RN50', {'MODEL.PROMPT': 'X X X X'}, {}),
        ('RN50', {}, {'MODEL.NAME': 'ViT-B-16'}),
        ('RN50', {}, {'MODEL.SIE_CAMERA': True}),
        ('RN50', {}, {'MODEL.STRIDE_SIZE': [8, 8]}),
    ],
)
def test_a_mismatch_names_the_config_of_the_run(world, name, opts, again):
    """Where it lies beside the checkpoint; with it the model is made."""

    def config(opts, file=None):
        words = [str(word) for pair in opts.items() for word in pair]
        return load_cfg(file or world.yml(name), [*words, 'TEST.WEIGHT', str(weight)])

    weight, saved = world.folder / 'my run.pth', world.folder / 'config.yml'
    model = make_model_clipreid.make_model(config(opts), 3, camera_num=2, view_num=2)
    save_state(model.state_dict(), weight, model.about)
    with pytest.raises(Mismatch) as alone:
        make_model_clipreid.make_test_model(config(again))
    saved.write_text(config(opts).dump())
    with pytest.raises(Mismatch) as beside:
        make_model_clipreid.make_test_model(config(again))
    assert str(beside.value) == (
        f"{alone.value}; or use the config of its run: --config_file {saved} TEST.WEIGHT '{weight}'"
    )
    make_model_clipreid.make_test_model(config({}, saved))


def test_the_command_for_a_run_of_several_processes_is_for_one(world):
    """Without torchrun the test of such a config would only ask for it."""
    weight = world.folder / 'a.pth'
    model = make_model_clipreid.make_model(load_cfg(world.yml()), 3)
    save_state(model.state_dict(), weight, model.about)
    (world.folder / 'config.yml').write_text(
        load_cfg(world.yml(), ['MODEL.DIST_TRAIN', 'True']).dump()
    )
    with pytest.raises(Mismatch) as caught:
        test_clipreid.main(world.args('TEST.WEIGHT', weight, 'INPUT.SIZE_TEST', '[48, 32]'))
    words = shlex.split(str(caught.value).partition('the config of its run: ')[2])
    assert words[2:] == ['TEST.WEIGHT', str(weight), 'MODEL.DIST_TRAIN', 'False']
    assert test_clipreid.main(words)['mAP'] > 0


def test_resuming_with_another_config_names_the_config_too(world):
    cfg = load_cfg(
        world.yml(),
        ['MODEL.PRETRAIN_CHOICE', 'self', 'MODEL.PRETRAIN_PATH', str(world.folder / 'a.pth')],
    )
    model = make_model_clipreid.make_model(load_cfg(world.yml()), 3)
    save_state(model.state_dict(), cfg.MODEL.PRETRAIN_PATH, model.about)
    (world.folder / 'config.yml').touch()
    with pytest.raises(
        Mismatch,
        match=f'knows 3 individuals.*; the config of its run is {world.folder}/config.yml$',
    ):
        make_model_clipreid.make_model(cfg, 4)
    (world.folder / 'a.pth').write_bytes(b'PK')  # damaged: no config helps
    with pytest.raises(InputError) as caught:
        make_model_clipreid.make_model(cfg, 4)
    assert 'config' not in str(caught.value)


def test_the_command_that_the_error_names_works(world, monkeypatch):
    """The training's overrides need not be repeated: the words of the error do, with relative
    paths.
    """
    monkeypatch.chdir(world.folder)
    text = (
        (world.folder / world.yml())
        .read_text()
        .replace(f'{world.folder}/', './')
        .replace(f'{world.folder}\n', '.\n')
    )
    (world.folder / 'my.yml').write_text(text)
    size = ['INPUT.SIZE_TRAIN', '[48, 32]', 'INPUT.SIZE_TEST', '[48, 32]']
    train_clipreid.main(
        [
            '--config_file',
            'my.yml',
            *size,
            'OUTPUT_DIR',
            './my runs',
            'SOLVER.STAGE1.MAX_EPOCHS',
            '1',
            'SOLVER.STAGE2.MAX_EPOCHS',
            '1',
            'TEST.NECK_FEAT',
            'after',
        ]
    )
    asked = ['--config_file', 'my.yml', 'TEST.WEIGHT', './my runs/RN50_1.pth']
    expected = test_clipreid.main([*asked, *size, 'TEST.NECK_FEAT', 'after'])
    commands = []
    for main, words in (
        (test_clipreid.main, asked),
        (test_clipreid.main, [*asked, *size[2:]]),
        (rank_photos.main, [*asked, '--photos', 'test']),
    ):
        with pytest.raises(InputError) as caught:
            main(words)
        commands.append(shlex.split(str(caught.value).partition('the config of its run: ')[2]))
    assert (
        commands
        == [['--config_file', 'my runs/config.yml', 'TEST.WEIGHT', './my runs/RN50_1.pth']] * 3
    )
    assert test_clipreid.main(commands[0]) == expected
    assert rank_photos.main([*commands[0], '--photos', 'test/6'])
