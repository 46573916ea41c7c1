"""Weights of open_clip: which activation they need."""

import pytest
import torch

from model.clip.open_clip import CONFIG, WEIGHTS
from model.clip.weights import load_clip
from model.make_model_clipreid import make_model
from tests.helpers import toy_clip_state
from tests.model.open_clip_files import (
    VIT,
    as_safetensors,
    as_training_checkpoint,
    config,
    write_config,
)
from tests.model.weight_files import same, torchscript
from tests.oracles import towers as oracle_towers
from utils.checkpoint import save_state


@pytest.mark.parametrize(
    'write, file, quick_gelu, expected, why',
    [
        (torch.save, 'a.pth', None, 'quickgelu', "OpenAI's, guessed from its name"),
        (torch.save, 'ViT-B-16.pt', None, 'quickgelu', "OpenAI's, guessed from its name"),
        (torchscript, 'ViT-B-16.pt', None, 'quickgelu', "has the format of OpenAI's archives"),
        (torchscript, 'open_clip.pt', False, 'quickgelu', "has the format of OpenAI's archives"),
        (as_safetensors, 'a.safetensors', None, 'gelu', "open_clip's, guessed from its name"),
        (torch.save, 'pytorch_model.bin', None, 'gelu', "open_clip's, guessed from its name"),
        (torch.save, 'open_clip_b16.pth', None, 'gelu', "open_clip's, guessed from its name"),
        (
            torch.save,
            'vit_b_16-laion400m_e32.pt',
            None,
            'gelu',
            "open_clip's, guessed from its name",
        ),
        (
            torch.save,
            'vit_b_16-quickgelu-laion400m_e32.bin',
            None,
            'quickgelu',
            'guessed from its name',
        ),
        (as_training_checkpoint, 'epoch_32.pt', None, 'gelu', "open_clip's, guessed from its name"),
        (as_training_checkpoint, WEIGHTS[1], True, 'quickgelu', 'says quick_gelu true'),
        (as_safetensors, WEIGHTS[0], False, 'gelu', 'says quick_gelu false'),
        (torch.save, WEIGHTS[1], ..., 'gelu', 'has no quick_gelu, which means false'),
        (torch.save, WEIGHTS[1], None, 'gelu', "open_clip's, guessed from its name"),
        (as_safetensors, WEIGHTS[0], 'null', 'gelu', 'has no quick_gelu, which means false'),
        # a config is about files of the hub's names; of others it is a guess, and a name with
        # quickgelu in it a better one
        (
            torch.save,
            'my_openai_vit.pth',
            True,
            'quickgelu',
            f'quick_gelu true, but that describes {" or ".join(WEIGHTS)}, not my_openai_vit.pth',
        ),
        (
            torch.save,
            'my_openai_vit.pth',
            ...,
            'gelu',
            f'means false, but that describes {" or ".join(WEIGHTS)}, not my_openai_vit.pth',
        ),
        (torch.save, 'b16-quickgelu.pth', False, 'quickgelu', 'guessed from its name'),
        (
            lambda state, path: save_state(state, path, {'activation': 'quickgelu'}),
            'a.safetensors',
            False,
            'quickgelu',
            'says so',
        ),
    ],
)
def test_the_kind_of_file_shows_the_activation(
    write, file, quick_gelu, expected, why, tmp_path, log
):
    state = toy_clip_state(VIT)
    write(state, tmp_path / file)
    if quick_gelu is not None:
        values = {True: True, False: False, 'null': None}  # any other writes no such key
        keys = {'quick_gelu': values[quick_gelu]} if quick_gelu in values else {}
        write_config(tmp_path, **keys)
    found, activation = load_clip(VIT, tmp_path / file)
    assert same(found, state) and activation.name == expected and why in activation.why
    assert activation.sure == ('guessed' not in activation.why)
    assert activation.sure or 'set MODEL.ACTIVATION if' in activation.why
    model = make_model(config(tmp_path / file), 3)
    assert model.activation == expected
    lines = [record.getMessage() for record in log.records if 'Activation' in record.getMessage()]
    assert (
        len(lines) == 1
        and f': {expected} (' in lines[0]
        and (file in lines[0] or CONFIG in lines[0])
        and why in lines[0]
    )


@pytest.mark.parametrize('name', ['RN50', VIT])
@pytest.mark.parametrize('activation', ['quickgelu', 'gelu'])
def test_towers_have_the_activation(name, activation, tmp_path):
    as_safetensors(toy_clip_state(name), tmp_path / WEIGHTS[0])
    write_config(tmp_path, quick_gelu=activation == 'quickgelu')
    model = make_model(config(tmp_path / WEIGHTS[0], name), 6).double().eval()
    for parameter in model.parameters():
        parameter.data *= 3  # of toy weights the two are nearly the same
    labels, images = torch.arange(6), torch.randn(3, 3, 32, 32, dtype=torch.float64)
    other = {'quickgelu': 'gelu', 'gelu': 'quickgelu'}[activation]
    with torch.no_grad():
        ours = [model(label=labels, get_text=True), model(images, get_image=True)]
        assert model.activation == activation
        plain = [
            oracle_towers.text_features(model, labels),
            oracle_towers.image_features(model, images)[2],
        ]
        model.activation = other
        wrong = [
            oracle_towers.text_features(model, labels),
            oracle_towers.image_features(model, images)[2],
        ]
    for tower, (a, b, c) in zip(
        ('text', 'image'), zip(ours, plain, wrong, strict=True), strict=True
    ):
        assert (a - b).abs().max() < 1e-10 * b.abs().max()
        if (name, tower) != ('RN50', 'image'):  # which has ReLU
            assert (a - c).abs().max() > 1e-5 * c.abs().max()


def test_an_explicit_activation_wins(tmp_path, log):
    torch.save(toy_clip_state(VIT), tmp_path / WEIGHTS[1])
    assert (
        make_model(config(tmp_path / WEIGHTS[1], ACTIVATION='quickgelu'), 3).activation
        == 'quickgelu'
    )
    assert [r.levelname for r in log.records if 'quickgelu' in r.getMessage()] == [
        'INFO'
    ]  # a guess contradicts nothing
    write_config(tmp_path)
    log.clear()
    assert (
        make_model(config(tmp_path / WEIGHTS[1], ACTIVATION='quickgelu'), 3).activation
        == 'quickgelu'
    )
    line = next(
        r.getMessage()
        for r in log.records
        if r.levelname == 'WARNING' and 'ACTIVATION' in r.getMessage()
    )
    assert 'quickgelu' in line and 'trained with gelu' in line and CONFIG in line
    log.clear()
    assert make_model(config(tmp_path / WEIGHTS[1], ACTIVATION='gelu'), 3).activation == 'gelu'
    assert not [
        r for r in log.records if r.levelname == 'WARNING' and 'ACTIVATION' in r.getMessage()
    ]
