"""Models around networks of timm: features, weights, what is rejected."""

import pytest
import timm
import torch
from torch import nn

from model import timm_model
from model.hub import KEY
from model.make_model_clipreid import make_model, make_test_model
from model.timm_names import resolve_inputs
from tests.model.test_open_clip_hub import hub
from tests.model.weight_files import refused
from tests.timm_worlds import BYOB, VIT, config, save_network
from utils.checkpoint import load_checkpoint, save_state

SIZE = ('INPUT.SIZE_TRAIN', '[32, 48]', 'INPUT.SIZE_TEST', '[32, 48]')
PHOTOS = torch.rand(3, 3, 32, 48, generator=torch.Generator().manual_seed(0))


def model_of(*arguments, individuals=5):
    return make_model(resolve_inputs(config(*arguments)), individuals)


def features(model):
    with torch.no_grad():
        return model.eval()(PHOTOS)


@pytest.mark.parametrize(('name', 'suffix'), [(BYOB, 'pth'), (VIT, 'safetensors')])
def test_the_feature_is_timms_own(tmp_path, name, suffix):
    options = {'img_size': (32, 48)} if name == VIT else {}
    network = save_network(tmp_path / 'a.pth', name, **options)
    path = tmp_path / f'weights.{suffix}'
    save_state(network.state_dict(), path)
    model = model_of(name, path, *SIZE)
    network.reset_classifier(0)
    with torch.no_grad():
        expected = network(PHOTOS)
    assert expected.std() > 1e-3 and model.feature_dim == expected.shape[1]
    assert torch.allclose(features(model), expected, atol=1e-6, rtol=1e-5)


def test_networks_with_other_convolutions_work():
    """As timm's lambda networks."""
    network = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv3d(1, 1, 3))
    timm_model.use_channels_last(network)
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_a_training_batch():
    model = model_of(BYOB, '', 'MODEL.PRETRAIN_CHOICE', 'random', *SIZE).train()
    (score,), (f,), projected = model(PHOTOS)
    assert score.shape == (3, 5) and f is projected and f.shape == (3, model.feature_dim)
    assert torch.equal(
        score,
        model.classifier(
            nn.functional.batch_norm(
                f, None, None, model.bottleneck.weight, model.bottleneck.bias, training=True
            )
        ),
    )
    assert not model.bottleneck.bias.requires_grad and not model.has_prompts
    assert model.changed_names(1) == [] and model.changed_names(2) == list(model.state_dict())


def test_positions_of_another_size_are_resized_as_timm_does(tmp_path):
    network = save_network(tmp_path / 'w.pth', VIT, img_size=(160, 160))
    found = model_of(VIT, tmp_path / 'w.pth', *SIZE).state_dict()
    overlay = {'state_dict': network.state_dict()}
    expected = timm.create_model(
        VIT, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=0, img_size=(32, 48)
    ).state_dict()
    assert expected['pos_embed'].shape != network.pos_embed.shape
    assert all(torch.equal(found[f'image_encoder.network.{n}'], t) for n, t in expected.items())


def test_weights_of_another_network(tmp_path):
    save_network(tmp_path / 'w.pth', VIT)
    refused(
        lambda: model_of(BYOB, tmp_path / 'w.pth', *SIZE),
        KEY,
        'w.pth',
        'missing (stem.',
        'unknown (cls_token, ',
    )
    state = save_network(tmp_path / 'w.pth').state_dict()
    name = next(iter(state))
    torch.save(state | {name: state[name][1:]}, tmp_path / 'w.pth')
    shape = tuple(state[name].shape)
    refused(
        lambda: model_of(BYOB, tmp_path / 'w.pth', *SIZE),
        f'1 of another shape ({name} {(shape[0] - 1, *shape[1:])} instead of {shape})',
    )
    torch.save(state | {'extra.weight': torch.ones(1)}, tmp_path / 'w.pth')
    refused(lambda: model_of(BYOB, tmp_path / 'w.pth', *SIZE), '1 unknown (extra.weight)')
    del state[name]
    torch.save(state, tmp_path / 'w.pth')
    refused(lambda: model_of(BYOB, tmp_path / 'w.pth', *SIZE), f'1 missing ({name})')


def test_counters_of_batch_norms_may_be_missing(tmp_path):
    state = save_network(tmp_path / 'w.pth').state_dict()
    expected = features(model_of(BYOB, tmp_path / 'w.pth', *SIZE))
    short = {name: t for name, t in state.items() if not name.endswith('num_batches_tracked')}
    assert len(short) < len(state)
    torch.save(short, tmp_path / 'w.pth')
    assert torch.equal(features(model_of(BYOB, tmp_path / 'w.pth', *SIZE)), expected)


class Map(nn.Module):
    """A network without pooling."""

    def forward(self, x):
        return x[:, :, ::2, ::2]


def test_a_network_without_a_feature_vector(monkeypatch):
    monkeypatch.setattr(timm_model, 'make_network', lambda *_: Map())
    random = ('MODEL.PRETRAIN_CHOICE', 'random', *SIZE)
    refused(lambda: model_of(BYOB, '', *random), 'no feature vector', 'shape (1, 3, 16, 24)')


RANDOM = ('MODEL.PRETRAIN_CHOICE', 'random', *SIZE)


@pytest.mark.parametrize(
    ('key', 'value'), [('SIE_CAMERA', 'True'), ('STRIDE_SIZE', '[8, 8]'), ('ACTIVATION', 'gelu')]
)
def test_keys_of_clip_are_rejected(key, value):
    arguments = (BYOB, '', *RANDOM, f'MODEL.{key}', value)
    refused(lambda: model_of(*arguments), f'MODEL.{key}', "CLIP's", f'timm:{BYOB}')


@pytest.mark.parametrize('key', ['SOLVER.STAGE1.MAX_EPOCHS', 'MODEL.I2T_LOSS_WEIGHT'])
def test_there_are_no_prompts(key):
    refused(
        lambda: model_of(BYOB, '', *RANDOM, key, 1),
        'SOLVER.STAGE1.MAX_EPOCHS 0 and MODEL.I2T_LOSS_WEIGHT 0',
    )


def test_sizes_that_the_network_does_not_accept():
    other = ('INPUT.SIZE_TEST', '[32, 32]')
    refused(lambda: model_of(VIT, '', *RANDOM, *other), 'SIZE_TRAIN [32, 48]', 'one size')
    assert model_of(BYOB, '', *RANDOM, *other).feature_dim == 256
    tiny = ('INPUT.SIZE_TRAIN', '[8, 8]', 'INPUT.SIZE_TEST', '[8, 8]')
    refused(lambda: model_of(VIT, '', *RANDOM, *tiny), 'photos of 8 x 8 pixels', 'SIZE_TRAIN')


def test_the_log_names_both_sizes(tmp_path, caplog):
    """Features of a catalogue are those of SIZE_TEST."""
    path = tmp_path / 'a.pth'
    save_network(path)
    caplog.set_level('INFO')
    model_of(BYOB, path, *SIZE)
    model_of(BYOB, path, *SIZE, 'INPUT.SIZE_TEST', '[64, 40]')
    told = [record.getMessage().split(', mean')[0] for record in caplog.records]
    size = f'timm:{BYOB}: photos of 32 x 48 pixels'
    assert [line for line in told if 'photos of' in line] == [
        size,
        f'{size} in training and 64 x 40 pixels in tests',
    ]


def test_the_hub(tmp_path, monkeypatch):
    save_network(tmp_path / 'pytorch_model.bin')
    asked = hub(monkeypatch, tmp_path)
    (tmp_path / 'config.json').write_text('{}')
    one, two = (features(model_of(BYOB, path, *SIZE)) for path in ('', 'hf-hub:our/weights'))
    assert torch.equal(one, two)
    assert asked[0] == ('timm/test_byobnet.r160_in1k', 'config.json')
    assert asked[-1] == ('our/weights', 'pytorch_model.bin')
    hub(monkeypatch, tmp_path, json=OSError('no network'))
    refused(lambda: model_of(BYOB, '', *SIZE), f'{KEY} is empty', 'no network', 'test_byobnet')
    without = 'gcvit_xxtiny.in1k'
    refused(lambda: model_of(without, '', *SIZE), f'{KEY} is empty', 'no weights of gcvit', 'https')


def save_trained(path, *arguments):
    model = model_of(*arguments)
    save_state(model.state_dict(), path, model.about)
    return model


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_trained_models(tmp_path, suffix):
    path, random = tmp_path / f'a.{suffix}', ('MODEL.PRETRAIN_CHOICE', 'random', *SIZE)
    model = save_trained(path, VIT, '', *random)
    half = '0.5,0.5,0.5'
    notes = {'timm': VIT, 'mean': half, 'std': half, 'size': '32x48'}
    assert load_checkpoint(path).about == notes
    test = config(VIT, tmp_path / 'gone', *SIZE, 'TEST.WEIGHT', path)
    loaded = make_test_model(resolve_inputs(test))
    assert torch.equal(features(loaded), features(model)) and loaded.num_class == 5
    for choice, individuals in (('self', 5), ('finetune', 7)):
        again = model_of(VIT, path, *SIZE, 'MODEL.PRETRAIN_CHOICE', choice, individuals=individuals)
        assert torch.equal(features(again), features(model))
        same = torch.equal(again.classifier.weight[:5], model.classifier.weight)
        assert same is (choice == 'self')
    refused(lambda: model_of(VIT, path, *SIZE, 'MODEL.PRETRAIN_CHOICE', 'self', individuals=4), '5')


def test_a_trained_model_of_another_encoder(tmp_path):
    path, random = tmp_path / 'a.pth', ('MODEL.PRETRAIN_CHOICE', 'random')
    save_trained(path, BYOB, '', *random, *SIZE)

    def load(name, *others):
        return make_test_model(resolve_inputs(config(name, '', 'TEST.WEIGHT', path, *others)))

    refused(lambda: load(VIT, *SIZE), 'trained with timm:test_byobnet', 'timm:test_vit')
    save_trained(path, VIT, '', *random, *SIZE)
    transposed = ('INPUT.SIZE_TRAIN', '[48, 32]', 'INPUT.SIZE_TEST', '[48, 32]')
    refused(lambda: load(VIT, *transposed), 'INPUT.SIZE_TRAIN 32x48, here 48x32')
    further = ('MODEL.PRETRAIN_CHOICE', 'finetune', *transposed)
    refused(lambda: model_of(VIT, path, *further), 'INPUT.SIZE_TRAIN 32x48, here 48x32')
    mean = ('INPUT.PIXEL_MEAN', '[0.5, 0.5, 0.4]')
    refused(lambda: load(VIT, *SIZE, *mean), 'INPUT.PIXEL_MEAN 0.5,0.5,0.5, here 0.5,0.5,0.4')
    further = ('MODEL.PRETRAIN_CHOICE', 'finetune', *SIZE, 'INPUT.PIXEL_STD', '[0.5, 0.5, 0.4]')
    refused(lambda: model_of(VIT, path, *further), 'INPUT.PIXEL_STD 0.5,0.5,0.5, here 0.5,0.5,0.4')
    load('test_vit.r160_in1k', *SIZE)  # the tag only says which weights it started with
    state = load_checkpoint(path).state
    torch.save(state, path)  # without notes
    load(VIT, *SIZE)
    refused(lambda: load(BYOB, *SIZE), 'does not match', 'image_encoder.network.')
    clip = load_clip_config(path)
    refused(lambda: make_test_model(clip), 'trained with timm:<name>', 'MODEL.NAME is RN50')
    save_state({'classifier.weight': torch.ones(2, 3)}, path)
    refused(lambda: load(VIT, *SIZE), "an encoder of CLIP's", 'timm:test_vit')


def load_clip_config(path):
    cfg = config(BYOB, '', *SIZE, 'TEST.WEIGHT', path)
    cfg.defrost()
    cfg.MODEL.NAME = 'RN50'
    return cfg
