"""Names of timm's networks, and sizes, mean and std of photos: timm's unless set."""

import json
import sys

import pytest

from configs import ConfigError, load_cfg, rules
from model.names import TIMM, is_timm
from model.timm_names import resolve_inputs, timm_name
from tests.model.weight_files import refused
from tests.timm_worlds import BYOB, VIT, config, save_network

LITE = 'tf_efficientnet_lite0'
HALF = [0.5, 0.5, 0.5]


def inputs(cfg):
    found = resolve_inputs(cfg).INPUT
    return [list(found[key]) for key in ('SIZE_TRAIN', 'SIZE_TEST', 'PIXEL_MEAN', 'PIXEL_STD')]


def test_names():
    assert is_timm('timm:x') and not is_timm('RN50')
    assert timm_name('timm:test_vit') == VIT and timm_name('test_vit.r160_in1k')
    refused(lambda: timm_name('timm:test_vti'), "'test_vti'", 'did you mean test_vit', '?')
    refused(lambda: timm_name('timm:test_vit.r160'), "'r160'", 'test_vit.r160_in1k')
    refused(lambda: timm_name('timm:test_vit.'), "no weights '' of test_vit", 'r160_in1k')
    refused(lambda: timm_name('timm:ResNet50'), 'did you mean resnet50')
    refused(lambda: timm_name('timm:qqqqqqqqqq'), 'timm.list_models()')


@pytest.mark.parametrize('name', ['timm:', 'timm:a b', 'timm:hf-hub:x/y', 'resnet50'])
def test_the_form_of_a_name(name):
    with pytest.raises(ConfigError, match="or give a network of the library timm as 'timm:<name>'"):
        load_cfg('', ['MODEL.NAME', name])


def test_timm_decides_what_is_not_set():
    size = [224, 224]
    assert inputs(config(LITE)) == [size, size, HALF, HALF]
    # one size alone holds for both; mean and std that are set stay
    others = ('INPUT.SIZE_TEST', '[64, 48]', 'INPUT.PIXEL_MEAN', '[0.1, 0.2, 0.3]')
    assert inputs(config(LITE, '', *others)) == [[64, 48], [64, 48], [0.1, 0.2, 0.3], HALF]
    clip = load_cfg('', [])
    assert resolve_inputs(clip) is clip and clip.INPUT.SIZE_TRAIN == [384, 128]


def test_a_yml_may_set_or_leave_them(tmp_path):
    yml = tmp_path / 'own.yml'
    yml.write_text(f"MODEL:\n  NAME: 'timm:{LITE}'\nINPUT:\n  SIZE_TRAIN: [32, 48]\n")
    assert inputs(load_cfg(yml))[:2] == [[32, 48], [32, 48]]
    assert inputs(load_cfg(yml, ['INPUT.SIZE_TRAIN', 'auto']))[0] == [224, 224]


def test_auto_is_for_timm_only():
    with pytest.raises(ConfigError, match="PIXEL_STD 'auto' needs an encoder of timm.*RN50"):
        load_cfg('', ['INPUT.PIXEL_STD', 'auto'])
    with pytest.raises(ConfigError, match='INPUT.SIZE_TEST'):
        load_cfg('', ['MODEL.NAME', 'timm:x', 'INPUT.SIZE_TEST', 'large'])


def write_config(folder, **about):
    text = json.dumps({'architecture': BYOB, 'pretrained_cfg': about})
    (folder / 'config.json').write_text(text)


def test_the_config_beside_the_weights(tmp_path):
    save_network(tmp_path / 'pytorch_model.bin')
    write_config(tmp_path, mean=[0.1, 0.2, 0.3], input_size=[3, 64, 32])
    expected = [[64, 32], [64, 32], [0.1, 0.2, 0.3], [0.229, 0.224, 0.225]]
    assert inputs(config(BYOB, tmp_path)) == expected  # the folder
    assert inputs(config(BYOB, tmp_path / 'pytorch_model.bin')) == expected
    other = tmp_path / 'mine.pth'  # the config describes another file
    assert inputs(config(BYOB, other))[0] == [160, 160]
    trained = config(BYOB, tmp_path, 'MODEL.PRETRAIN_CHOICE', 'random')
    assert inputs(trained)[0] == [160, 160]


def test_without_the_hub_numbers_are_enough(monkeypatch):
    """'auto' reads the config on the hub; a test of a trained model needs no more than that."""
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    cfg = config(BYOB, 'hf-hub:owner/name', 'INPUT.SIZE_TEST', '[32, 32]')
    refused(
        lambda: inputs(cfg),
        'MODEL.PRETRAIN_PATH: hf-hub:owner/name cannot be downloaded',
        "'auto' stands for INPUT.SIZE_TRAIN, INPUT.PIXEL_MEAN, INPUT.PIXEL_STD",
    )
    numbers = ('INPUT.SIZE_TRAIN', '[32, 32]', 'INPUT.PIXEL_MEAN', '[0, 0, 0]')
    given = [*map(str, (*numbers, 'INPUT.PIXEL_STD', '[1, 1, 1]', 'INPUT.SIZE_TEST', '[32, 32]'))]
    assert inputs(config(BYOB, 'hf-hub:owner/name', *given))[3] == [1, 1, 1]


def test_the_prefix_is_that_of_the_configs():
    """The arrows let neither import the other."""
    for name in (f'{TIMM}x', f'{TIMM}a.b-c'):
        assert rules.TIMM.fullmatch(name) and is_timm(name)
    for name in ('RN50', TIMM[:-1], f'x{TIMM}y'):
        assert not rules.TIMM.fullmatch(name) and not is_timm(name)


def test_bad_configs_beside_the_weights(tmp_path):
    save_network(tmp_path / 'model.safetensors')
    for about in ({'mean': [0.1]}, {'std': 'x'}):
        write_config(tmp_path, **about)
        refused(lambda: inputs(config(BYOB, tmp_path)), 'config.json', 'not a valid config')
    write_config(tmp_path)
    refused(lambda: inputs(config(VIT, tmp_path)), f'timm:{VIT}', f'timm:{BYOB}', 'MODEL.NAME')
    text = {'architecture': BYOB, 'model_args': {'global_pool': 'max', 'img_size': 32}}
    (tmp_path / 'config.json').write_text(json.dumps(text))
    refused(lambda: inputs(config(BYOB, tmp_path)), 'made with global_pool')
    refused(lambda: inputs(config('no_such', tmp_path)), "no network 'no_such'")
