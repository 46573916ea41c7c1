"""What a checkpoint notes about its model: activation, cameras, views, factor, map."""

import shutil

import pytest
import torch

import test_clipreid
import train_clipreid
from model.clip.open_clip import WEIGHTS
from model.make_model_clipreid import make_model, make_test_model
from tests.helpers import toy_clip_state
from tests.model.open_clip_files import VIT, as_safetensors, config, write_config
from tests.model.weight_files import refused
from utils.checkpoint import load_checkpoint, save_state


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_a_checkpoint_says_its_activation(suffix, tmp_path, log):
    torch.save(toy_clip_state(VIT), tmp_path / 'clip.bin')
    model = make_model(config(tmp_path / 'clip.bin'), 3).eval()
    path = tmp_path / f'trained.{suffix}'
    save_state(model.state_dict(), path, model.about)
    assert load_checkpoint(path).about == {'activation': 'gelu', 'side': '0,0', 'positions': '2x2'}
    cfg = config(tmp_path / 'clip.bin')
    cfg.TEST.WEIGHT = str(path)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(make_test_model(cfg).eval()(images), model(images))
        for choice in ('self', 'finetune'):
            cfg.MODEL.PRETRAIN_CHOICE, cfg.MODEL.PRETRAIN_PATH = choice, str(path)
            assert make_model(cfg, 3).eval().activation == 'gelu'
        log.clear()
        cfg.MODEL.ACTIVATION = 'quickgelu'
        assert make_test_model(cfg).activation == 'quickgelu'
        assert 'the weights were trained with gelu' in log.text
    save_state(model.state_dict(), path)  # as the original and earlier versions do
    cfg.MODEL.ACTIVATION = 'auto'
    assert make_test_model(cfg).activation == 'quickgelu'


@pytest.mark.parametrize(
    'about, words',
    [
        ({'activation': 'swish\x1b[31m'}, ("'swish\\x1b[31m'", 'MODEL.ACTIVATION')),
        ({'side': '3,0'}, ('3,0', '0 embeddings')),
        ({'side': 'many'}, ("'many'",)),
        ({'side': '99999999999,1'}, ('damaged',)),
        ({'side': '-1,0'}, ('damaged',)),
        ({'positions': '1\n'}, ('positions (rows x columns) 1\\n, here 2x2',)),
    ],
)
def test_made_up_notes_of_a_checkpoint(about, words, tmp_path):
    torch.save(toy_clip_state(VIT), tmp_path / 'clip.pth')
    model = make_model(config(tmp_path / 'clip.pth'), 3)
    save_state(model.state_dict(), tmp_path / 'a.pth', about)
    cfg = config(tmp_path / 'clip.pth')
    cfg.TEST.WEIGHT = str(tmp_path / 'a.pth')
    assert refused(lambda: make_test_model(cfg), 'a.pth', *words).isprintable()
    save_state(model.state_dict(), tmp_path / 'a.pth', model.about | {'colour': 'red'})
    assert make_test_model(cfg).activation == 'quickgelu'


@pytest.mark.parametrize(
    'switches, side', [((True, True), (6, 2)), ((True, False), (6, 0)), ((False, True), (0, 2))]
)
def test_a_checkpoint_says_how_many_cameras_and_views(switches, side, tmp_path):
    torch.save(toy_clip_state(VIT), tmp_path / 'clip.pth')
    cfg = config(tmp_path / 'clip.pth', SIE_CAMERA=switches[0], SIE_VIEW=switches[1])
    model = make_model(cfg, 3, camera_num=6, view_num=2).eval()
    cfg.TEST.WEIGHT = str(tmp_path / 'a.pth')
    save_state(model.state_dict(), tmp_path / 'a.pth', model.about)
    loaded = make_test_model(cfg).eval()
    assert model.side == loaded.side == side
    numbers = {'cam_label': torch.tensor([5, 1, 3]), 'view_label': torch.tensor([1, 0, 1])}
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(images, **numbers), model(images, **numbers))
    for other in {(True, True), (True, False), (False, True), (False, False)} - {switches}:
        cfg.MODEL.SIE_CAMERA, cfg.MODEL.SIE_VIEW = other
        refused(lambda: make_test_model(cfg), 'a.pth', 'MODEL.SIE_CAMERA / SIE_VIEW as in training')
    cfg.MODEL.SIE_CAMERA, cfg.MODEL.SIE_VIEW = switches
    cfg.MODEL.PRETRAIN_CHOICE, cfg.MODEL.PRETRAIN_PATH = 'self', str(tmp_path / 'a.pth')
    assert make_model(cfg, 3, camera_num=6, view_num=2).side == side
    refused(
        lambda: make_model(cfg, 3, camera_num=12 if switches[0] else 6, view_num=1),
        'MODEL.PRETRAIN_PATH',
        'a.pth',
        'cameras, views',
        'finetune',
    )


@pytest.mark.parametrize('data, side', [('veri', (2, 8)), ('market1501', (16, 1))])
def test_checkpoints_of_the_original_tell_the_product_alone(data, side, tmp_path):
    torch.save(toy_clip_state(VIT), tmp_path / 'clip.pth')
    cfg = config(tmp_path / 'clip.pth', SIE_CAMERA=True, SIE_VIEW=True)
    cfg.DATASETS.NAMES, cfg.TEST.WEIGHT = data, str(tmp_path / 'a.pth')
    save_state(make_model(cfg, 3, camera_num=16, view_num=1).state_dict(), tmp_path / 'a.pth')
    assert make_test_model(cfg).side == side
    save_state(make_model(cfg, 3).state_dict() | {'cv_embed': torch.zeros(0)}, tmp_path / 'a.pth')
    refused(lambda: make_test_model(cfg), '0 embeddings', 'MODEL.SIE_CAMERA / SIE_VIEW as in')


@pytest.mark.parametrize(
    'rows, switch, accepted',
    [
        (160, 'SIE_CAMERA', False),
        (24, 'SIE_CAMERA', False),
        (16, 'SIE_CAMERA', True),
        (20, 'SIE_CAMERA', True),
        (21, 'SIE_CAMERA', True),
        (160, 'SIE_VIEW', False),
        (8, 'SIE_VIEW', True),
    ],
)
def test_veris_pairs_are_not_taken_for_cameras(rows, switch, accepted, tmp_path):
    torch.save(toy_clip_state(VIT), tmp_path / 'clip.pth')
    cfg = config(tmp_path / 'clip.pth', **{switch: True})
    cfg.DATASETS.NAMES, cfg.TEST.WEIGHT = 'veri', str(tmp_path / 'a.pth')
    save_state(make_model(cfg, 3, camera_num=rows, view_num=rows).state_dict(), tmp_path / 'a.pth')
    if accepted:
        assert max(make_test_model(cfg).side) == rows
    else:
        refused(
            lambda: make_test_model(cfg),
            f'{rows} embeddings',
            f'{rows // 8} cameras x 8 views',
            'SIE_VIEW True',
        )
    cfg.DATASETS.NAMES = 'market1501'
    assert max(make_test_model(cfg).side) == rows


def test_a_checkpoint_says_its_factor_and_its_map(tmp_path):
    """What no shape tells: SIE_COE, and whether a map is 3 x 2 or 2 x 3."""
    torch.save(toy_clip_state(VIT), tmp_path / 'clip.pth')
    cfg, sizes = config(tmp_path / 'clip.pth', SIE_CAMERA=True, SIE_COE=1.5), ([48, 32], [32, 48])
    cfg.INPUT.SIZE_TRAIN = cfg.INPUT.SIZE_TEST = sizes[0]
    cfg.TEST.WEIGHT = str(tmp_path / 'a.pth')
    model = make_model(cfg, 3, camera_num=4)
    assert model.about == {
        'activation': 'quickgelu',
        'side': '4,0',
        'positions': '3x2',
        'sie_coe': '1.5',
    }
    save_state(model.state_dict(), cfg.TEST.WEIGHT, model.about)
    make_test_model(cfg)
    cfg.MODEL.SIE_COE = 3.0
    refused(
        lambda: make_test_model(cfg),
        'TEST.WEIGHT',
        'a.pth was trained with MODEL.SIE_COE 1.5, here 3.0',
    )
    cfg.MODEL.PRETRAIN_PATH, cfg.MODEL.PRETRAIN_CHOICE = cfg.TEST.WEIGHT, 'self'
    refused(
        lambda: make_model(cfg, 3, camera_num=4),
        'MODEL.PRETRAIN_PATH',
        'trained with MODEL.SIE_COE 1.5',
    )
    cfg.MODEL.PRETRAIN_CHOICE = 'finetune'  # fresh embeddings
    make_model(cfg, 3, camera_num=4)
    cfg.MODEL.SIE_COE = 1.5
    cfg.INPUT.SIZE_TRAIN = cfg.INPUT.SIZE_TEST = sizes[1]
    words = (
        'trained with positions (rows x columns) 3x2, here 2x3; set INPUT.SIZE_TRAIN and '
        'MODEL.STRIDE_SIZE as in training'
    )
    refused(lambda: make_test_model(cfg), 'TEST.WEIGHT', words)
    refused(lambda: make_model(cfg, 3, camera_num=4), 'MODEL.PRETRAIN_PATH', words)
    save_state(model.state_dict(), cfg.TEST.WEIGHT, {})  # the original's say nothing
    make_test_model(cfg)


def test_trained_from_open_clip_and_tested_with_auto(world):
    """The whole way, and that a run does not resume with another activation."""
    folder = world.folder / 'clip'
    folder.mkdir()
    as_safetensors(toy_clip_state(VIT), folder / WEIGHTS[0])
    write_config(folder)
    short = (
        'SOLVER.STAGE1.MAX_EPOCHS',
        1,
        'SOLVER.STAGE2.MAX_EPOCHS',
        1,
        'MODEL.PRETRAIN_PATH',
        folder,
    )
    train_clipreid.main(world.args(*short, name=VIT))
    weight = world.output / f'{VIT}_1.pth'
    for path in (weight, world.output / f'{VIT}_stage1_1.pth'):
        assert load_checkpoint(path).about == {
            'activation': 'gelu',
            'side': '0,0',
            'positions': '2x2',
        }
    assert "Activation of CLIP's transformers: gelu" in (world.output / 'train_log.txt').read_text()
    found = test_clipreid.main(
        world.args('TEST.WEIGHT', weight, name=VIT)
    )  # whose MODEL.PRETRAIN_PATH is a .pth
    assert found == test_clipreid.main(
        world.args('TEST.WEIGHT', weight, 'MODEL.ACTIVATION', 'gelu', name=VIT)
    )
    log = (world.output / 'test_log.txt').read_text()
    assert f'gelu ({weight} says so)' in (world.output / 'test_log.1.txt').read_text() + log

    longer = ('--resume', *short[:2], 'SOLVER.STAGE2.MAX_EPOCHS', 2, 'MODEL.PRETRAIN_PATH')
    shutil.move(
        folder / WEIGHTS[0], world.folder / 'weights.pth'
    )  # away from its config: auto is another one now
    refused(
        lambda: train_clipreid.main(world.args(*longer, world.folder / 'weights.pth', name=VIT)),
        'SOLVER.RESUME',
        'gelu',
        'quickgelu',
        'MODEL.ACTIVATION',
    )
    shutil.move(world.folder / 'weights.pth', folder / WEIGHTS[0])
    assert train_clipreid.main(world.args(*longer, folder, name=VIT)) > 0
