"""Weights of open_clip: files, folders and the hub, the activation, and that a trained model keeps
it.
"""

import json
import logging
import shutil
import sys
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from yacs.config import CfgNode

import test_clipreid
import train_clipreid
from model.clip.open_clip import CONFIG, WEIGHTS, find_weights
from model.clip.weights import load_clip
from model.make_model_clipreid import make_model, make_test_model
from tests.helpers import get_defaults, toy_clip_state, toy_config
from tests.model.test_weights import refused, same, torchscript
from tests.oracles import towers as oracle_towers
from utils.checkpoint import load_checkpoint, save_state

VIT = 'ViT-B-16'
MODEL_CFG = {
    'embed_dim': 64,
    'vision_cfg': {'image_size': 32, 'layers': 2, 'width': 64, 'patch_size': 16},
    'text_cfg': {'context_length': 77, 'vocab_size': 49408, 'width': 64, 'heads': 1, 'layers': 2},
}


def as_safetensors(state, path):
    save_file(
        {name: tensor.contiguous() for name, tensor in state.items()},
        path,
        metadata={'format': 'pt'},
    )


def as_training_checkpoint(state, path):
    torch.save(
        {
            'epoch': 32,
            'name': 'run',
            'state_dict': {f'module.{name}': tensor for name, tensor in state.items()},
            'optimizer': {'state': {}, 'param_groups': [{'lr': 1e-3}]},
        },
        path,
    )


def write_config(folder, **model_cfg):
    (folder / CONFIG).write_text(
        json.dumps({'model_cfg': MODEL_CFG | model_cfg, 'preprocess_cfg': {'mean': [0.5] * 3}})
    )


def config(path, name=VIT, **model):
    cfg = get_defaults()
    cfg.merge_from_other_cfg(CfgNode(toy_config(path.parent, name, str(path))))
    cfg.MODEL.update(model)
    return cfg


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, 'transreid')
    return caplog


# -------------------------------------------------------------------------------- which activation


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
        write_config(
            tmp_path,
            **(
                {}
                if quick_gelu is ...
                else {'quick_gelu': None if quick_gelu == 'null' else quick_gelu}
            ),
        )
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


# ----------------------------------------------------------------------------- what is not as ours


@pytest.mark.parametrize(
    'text, words',
    [
        ('', ('is not a valid config of open_clip',)),
        ('[]', ('is not a valid config of open_clip',)),
        ('{"model_cfg": 3}', ('is not a valid config',)),
        ('{"model_cfg": {"vision_cfg": 3}}', ('is not a valid config',)),
        ('{}', ('is not a valid config', 'model_cfg')),
        ('[' * 100_000, ('is not a valid config',)),
        ('\udcff', ('is not a valid config',)),
        ('{"model_cfg": {"quick_gelu": "yes"}}', ('quick_gelu must be true or false',)),
        (
            '{"model_cfg": {"vision_cfg": {"head_width": 80}}}',
            ('vision_cfg head_width 80', 'only 64'),
        ),
        ('{"model_cfg": {"text_cfg": {"pool_type": "eos"}}}', ('text_cfg pool_type', "'argmax'")),
        (
            '{"model_cfg": {"text_cfg": {"heads": 2}}}',
            ('text_cfg heads 2 (only 8)', 'move them to another folder'),
        ),
        ('{"model_cfg": {"text_cfg": {"width": 768}}}', ('text_cfg heads 8 (only 12)',)),
        ('{"model_cfg": {"text_cfg": {"width": "768"}}}', ('is not a valid config of open_clip',)),
        ('{"model_cfg": {"vision_cfg": {"heads": 12}}}', ('vision_cfg heads 12 (unknown)',)),
        (
            '{"model_cfg": {"vision_cfg": {"act_kwargs": {"approximate": "tanh"}}}}',
            ("act_kwargs {'approximate': 'tanh'}",),
        ),
        (
            '{"model_cfg": {"text_cfg": {"norm_kwargs": {"eps": 1e-6}}}}',
            ("text_cfg norm_kwargs {'eps': 1e-06}", "{'eps': 1e-05}"),
        ),
        (
            '{"model_cfg": {"vision_cfg": {"mlp_ratio": 3, "qk_norm": true}}}',
            ('mlp_ratio 3 (only 4), vision_cfg qk_norm True',),
        ),
        ('{"model_cfg": {"vision_cfg": {"a\\nb": 1}}}', ('vision_cfg a\\nb 1 (unknown)',)),
    ],
)
def test_configs_that_cannot_be_used(text, words, tmp_path):
    torch.save(toy_clip_state(VIT), tmp_path / WEIGHTS[1])
    (tmp_path / CONFIG).write_text(text, errors='surrogateescape')
    refused(lambda: make_model(config(tmp_path), 3), 'MODEL.PRETRAIN_PATH', CONFIG, *words)


def test_configs_of_supported_towers(tmp_path):
    torch.save(toy_clip_state(VIT), tmp_path / WEIGHTS[1])
    usual = {
        'mlp_ratio': 4.0,
        'act_kwargs': {},
        'norm_kwargs': {'eps': 1e-5},
        'ls_init_value': None,
        'output_tokens': False,
    }
    write_config(
        tmp_path,
        vision_cfg=MODEL_CFG['vision_cfg'] | usual | {'patch_dropout': 0.5, 'head_width': 64},
        text_cfg=MODEL_CFG['text_cfg'] | usual | {'no_causal_mask': False, 'hf_tokenizer_name': ''},
    )
    assert load_clip(VIT, tmp_path)[1] == (
        'gelu',
        f'{tmp_path / CONFIG} has no quick_gelu, which means false',
        True,
    )


def test_a_base_variant_does_not_look_at_the_text_tower(tmp_path):
    torch.save(toy_clip_state(VIT), tmp_path / WEIGHTS[1])
    write_config(tmp_path, text_cfg={'hf_model_name': 'roberta-base'})
    assert load_clip(VIT, tmp_path, text=False)[1].sure
    refused(lambda: load_clip(VIT, tmp_path), "text_cfg hf_model_name 'roberta-base'")


@pytest.mark.parametrize(
    'rename, words',
    [
        (
            lambda n: n if n.startswith('visual.') else f'text.{n}',
            ('another text tower', 'SOLVER.STAGE1.MAX_EPOCHS 0'),
        ),
        (lambda n: n.replace('visual.', 'visual.trunk.'), ('timm',)),
        (lambda n: f'vision_model.{n}', ('transformers',)),
        (lambda n: n.replace('visual.', 'image.'), ('part of the CLIP is missing',)),
        (lambda n: n.replace('ln_pre', 'norm'), ('2 missing (image_encoder.ln_pre',)),
    ],
)
def test_other_kinds_of_clip_are_refused(rename, words, tmp_path):
    torch.save({rename(n): t for n, t in toy_clip_state(VIT).items()}, tmp_path / 'a.bin')
    refused(
        lambda: make_model(config(tmp_path / 'a.bin'), 3), 'MODEL.PRETRAIN_PATH', 'a.bin', *words
    )


def test_another_vocabulary_and_other_heads(tmp_path):
    state = toy_clip_state(VIT)
    torch.save(state | {'token_embedding.weight': torch.zeros(50_000, 64)}, tmp_path / 'a.bin')
    refused(
        lambda: make_model(config(tmp_path / 'a.bin'), 3),
        'token_embedding.weight has 50000 words',
        '49408',
    )
    state['visual.positional_embedding'] = torch.zeros(257, 1280)
    torch.save(state, tmp_path / 'a.bin')
    refused(
        lambda: make_model(config(tmp_path / 'a.bin'), 3),
        'a.bin is a ViT-H',
        'use a ViT-B or ViT-L',
    )


def test_extra_tensors_of_open_clip(tmp_path):
    state = toy_clip_state(VIT)
    torch.save(
        state | {'logit_bias': torch.zeros(()), 'attn_mask': torch.zeros(77, 77)},
        tmp_path / 'a.bin',
    )
    model = make_model(config(tmp_path / 'a.bin'), 3)
    assert torch.equal(model.image_encoder.proj, state['visual.proj'])
    assert torch.equal(model.text_encoder.ln_final.weight, state['ln_final.weight'])


def test_a_training_checkpoint_is_no_checkpoint_of_ours(tmp_path):
    as_training_checkpoint(toy_clip_state(VIT), tmp_path / 'a.pt')
    cfg = config(tmp_path / 'a.pt')
    cfg.TEST.WEIGHT = cfg.MODEL.PRETRAIN_PATH
    refused(
        lambda: make_test_model(cfg), 'TEST.WEIGHT', 'a.pt', 'not a trained re-identification model'
    )
    for inner in ({}, {'a': 3}, []):
        torch.save({'state_dict': inner}, tmp_path / 'odd.pt')
        refused(
            lambda: load_clip(VIT, tmp_path / 'odd.pt'),
            'MODEL.PRETRAIN_PATH',
            'odd.pt',
            'not a plain state dict',
        )


# ----------------------------------------------------------------------------- folders and the hub


def test_a_folder_as_downloaded(tmp_path):
    refused(lambda: find_weights(str(tmp_path)), 'MODEL.PRETRAIN_PATH', tmp_path, *WEIGHTS)
    (tmp_path / WEIGHTS[1]).touch()
    assert find_weights(str(tmp_path)) == str(tmp_path / WEIGHTS[1])
    (tmp_path / WEIGHTS[0]).touch()
    assert find_weights(str(tmp_path)) == str(tmp_path / WEIGHTS[0])
    refused(lambda: load_clip(VIT, tmp_path / 'gone'), 'there is no file', 'gone')


def hub(monkeypatch, folder, **broken):
    """Replace huggingface_hub by one that has the files in ``folder``; return the requests to it.

    ``broken``: suffix of a file -> the exception that it raises.
    """

    class EntryNotFoundError(Exception):
        pass

    asked = []

    def hf_hub_download(repo_id, filename):
        asked.append((repo_id, filename))
        error = broken.get(filename.rsplit('.', 1)[1])
        if error:
            raise error
        if not (folder / filename).is_file():
            raise EntryNotFoundError(f'404 {filename}\nand more')
        return str(folder / filename)

    monkeypatch.setitem(
        sys.modules, 'huggingface_hub', SimpleNamespace(hf_hub_download=hf_hub_download)
    )
    monkeypatch.setitem(
        sys.modules, 'huggingface_hub.utils', SimpleNamespace(EntryNotFoundError=EntryNotFoundError)
    )
    return asked


@pytest.mark.parametrize('write, file', [(as_safetensors, WEIGHTS[0]), (torch.save, WEIGHTS[1])])
def test_the_hub(write, file, tmp_path, monkeypatch):
    asked = hub(monkeypatch, tmp_path)
    state = toy_clip_state(VIT)
    write(state, tmp_path / file)
    write_config(tmp_path)
    found, activation = load_clip(VIT, 'hf-hub:imageomics/bioclip')
    assert same(found, state) and activation.name == 'gelu' and CONFIG in activation.why
    assert {repository for repository, _ in asked} == {'imageomics/bioclip'}
    assert asked[0][1] == CONFIG and asked[-1][1] == file


def test_missing_files_and_errors_of_the_hub(tmp_path, monkeypatch):
    hub(monkeypatch, tmp_path)
    refused(
        lambda: find_weights('hf-hub:a/b'),
        'hf-hub:a/b',
        f'404 {CONFIG}',
        'into a folder and give that folder',
    )
    write_config(tmp_path)  # without weights
    refused(lambda: find_weights('hf-hub:a/b'), 'hf-hub:a/b', f'404 {WEIGHTS[1]}')
    asked = hub(monkeypatch, tmp_path, safetensors=OSError(28, 'No space left on device'))
    refused(lambda: find_weights('hf-hub:a/b'), 'hf-hub:a/b', 'No space left on device')
    assert asked[-1][1] == WEIGHTS[0]  # the other file would not help
    hub(monkeypatch, tmp_path, bin=TimeoutError('too slow'))  # and the first is not there
    refused(lambda: find_weights('hf-hub:a/b'), 'TimeoutError: too slow')
    hub(monkeypatch, tmp_path, json=ConnectionError('no\x1b[31m network\nat all'))
    assert refused(
        lambda: find_weights('hf-hub:a/b'), 'ConnectionError', 'check the name, the network'
    ).isprintable()


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    refused(
        lambda: find_weights('hf-hub:imageomics/bioclip'),
        'hf-hub:imageomics/bioclip',
        'pip install -r requirements-extras.txt',
        'into a folder and give that folder',
        *WEIGHTS,
    )


# ---------------------------------------------------------------------------------- trained models


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
    """The whole way, and that a run does not go on with another activation."""
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
