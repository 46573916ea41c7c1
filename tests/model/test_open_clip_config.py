"""Weights of open_clip: configs and tensors that differ from ours."""

import pytest
import torch

from model.clip.open_clip import CONFIG, WEIGHTS
from model.clip.weights import load_clip
from model.make_model_clipreid import make_model, make_test_model
from tests.helpers import toy_clip_state
from tests.model.open_clip_files import MODEL_CFG, VIT, as_training_checkpoint, config, write_config
from tests.model.weight_files import refused


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
            ('a text tower unlike', 'SOLVER.STAGE1.MAX_EPOCHS 0'),
        ),
        (lambda n: n.replace('visual.', 'visual.trunk.'), ('timm',)),
        (lambda n: f'vision_model.{n}', ('transformers',)),
        (lambda n: n.replace('visual.', 'image.'), ('part of the CLIP is missing',)),
        (lambda n: n.replace('ln_pre', 'norm'), ('2 missing (image_encoder.ln_pre',)),
    ],
)
def test_other_kinds_of_clip_are_rejected(rename, words, tmp_path):
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
