"""Base variants: the checkpoints they start from."""

import pytest
import torch

from model.make_model_clipreid import make_model, make_test_model
from tests.helpers import toy_clip_state
from tests.model.base_variants import BASE, config
from tests.model.weight_files import refused
from utils.checkpoint import save_state


@pytest.mark.parametrize('choice', ['self', 'finetune'])
@pytest.mark.parametrize('before', [BASE, ()])
def test_a_base_variant_from_either_kind(world, choice, before):
    opts = [str(word) for word in (*before, 'MODEL.SIE_VIEW', True)]
    path = world.folder / 'trained.pth'
    trained = make_model(config(world, 'ViT-B-16', *opts), 4, view_num=2)
    save_state(trained.state_dict(), path, trained.about)
    model = make_model(
        config(
            world,
            'ViT-B-16',
            *BASE,
            'MODEL.SIE_VIEW',
            True,
            'MODEL.PRETRAIN_CHOICE',
            choice,
            'MODEL.PRETRAIN_PATH',
            path,
        ),
        4,
        view_num=2,
    )
    assert not model.has_prompts
    ours, theirs = model.state_dict(), trained.state_dict()
    equal = {name for name in ours if torch.equal(ours[name], theirs[name])}
    fresh = {'classifier.weight', 'classifier_proj.weight', 'cv_embed'}
    assert set(ours) - equal == (fresh if choice == 'finetune' else set())


@pytest.mark.parametrize('choice', ['self', 'finetune'])
def test_prompts_need_a_text_encoder(world, choice):
    path = world.folder / 'base.pth'
    save_state(make_model(config(world, 'RN50', *BASE), 4).state_dict(), path)
    refused(
        lambda: make_model(
            config(world, 'RN50', 'MODEL.PRETRAIN_CHOICE', choice, 'MODEL.PRETRAIN_PATH', path), 4
        ),
        'MODEL.PRETRAIN_PATH',
        path,
        'base variant',
        'SOLVER.STAGE1.MAX_EPOCHS 0',
        'MODEL.I2T_LOSS_WEIGHT 0',
    )
    refused(
        lambda: make_model(config(world, 'RN50', *BASE, 'MODEL.PRETRAIN_PATH', path), 4),
        'self or finetune',
    )


def test_broken_base_checkpoints(world):
    path = world.folder / 'base.pth'
    state = dict(make_model(config(world, 'ViT-B-16', *BASE), 4).state_dict())
    cfg = config(world, 'ViT-B-16', 'TEST.WEIGHT', path)
    for name, tensor, words in (
        ('classifier.weight', None, 'not a trained'),
        ('surplus', torch.zeros(1), '1 unknown (surplus)'),
        ('image_encoder.proj', torch.zeros(64), 'visual.proj'),
        ('prompt_learner.cls_ctx', torch.zeros(4, 4, 64), 'prompt_learner.* is missing'),
        ('bottleneck.bias', None, '1 missing'),
        ('cv_embed', torch.tensor(1.0), 'cv_embed'),
        ('cv_embed', torch.zeros(0), 'cv_embed'),
    ):
        torch.save({n: t for n, t in (state | {name: tensor}).items() if t is not None}, path)
        refused(lambda: make_test_model(cfg), 'base.pth', words)


@pytest.mark.parametrize(
    'rename', [lambda n: f'text.{n}', lambda n: None], ids=['another text tower', 'none']
)
def test_an_image_encoder_is_enough(world, rename):
    """Of CLIPs with a text tower unlike OpenAI's, or without."""
    state = toy_clip_state('ViT-B-16')
    names = {name: name if name.startswith('visual.') else rename(name) for name in state}
    torch.save({new: state[name] for name, new in names.items() if new}, world.folder / 'clip.pth')
    model = make_model(
        config(world, 'ViT-B-16', *BASE, 'MODEL.PRETRAIN_PATH', world.folder / 'clip.pth'), 3
    )
    assert torch.equal(model.image_encoder.proj, state['visual.proj'])
    refused(
        lambda: make_model(
            config(world, 'ViT-B-16', 'MODEL.PRETRAIN_PATH', world.folder / 'clip.pth'), 3
        ),
        'MODEL.PRETRAIN_PATH',
        'clip.pth',
    )
    refused(
        lambda: make_model(
            config(world, 'RN50', *BASE, 'MODEL.PRETRAIN_PATH', world.folder / 'clip.pth'), 3
        ),
        'MODEL.NAME is RN50',
        'clip.pth',
    )
