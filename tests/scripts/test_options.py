"""Every option of the method trains; which weights a run may start from."""

import pytest
import torch

import test_clipreid
import train_clipreid
from utils.checkpoint import load_state

pytestmark = pytest.mark.usefixtures('no_pictures')


@pytest.mark.parametrize(
    'opts',
    [
        ('DATALOADER.SAMPLER', 'softmax'),
        ('MODEL.METRIC_LOSS_TYPE', 'triplet_center'),
        ('MODEL.METRIC_LOSS_TYPE', 'center'),
        ('MODEL.IF_WITH_CENTER', 'yes'),
        ('MODEL.NO_MARGIN', 'True'),
        ('MODEL.IF_LABELSMOOTH', 'off'),
        ('SOLVER.STAGE2.OPTIMIZER_NAME', 'SGD'),
        ('SOLVER.STAGE2.OPTIMIZER_NAME', 'AdamW'),
        ('SOLVER.AMP', 'bf16'),
        ('TEST.FEAT_NORM', 'no'),
        ('TEST.RE_RANKING', 'True'),
        ('SOLVER.STAGE2.LARGE_FC_LR', 'True'),
        ('TEST.NECK_FEAT', 'after'),
        ('MODEL.PRETRAIN_CHOICE', 'imagenet'),
        ('DATALOADER.NUM_WORKERS', 2),
        ('MODEL.PROMPT', 'A photo of a X X X X tiger.'),
        ('DATASETS.SKIP_MISSING', 'True'),
        ('MODEL.I2T_LOSS_WEIGHT', 0),
    ],
)
def test_every_option_trains(world, opts):
    best = train_clipreid.main(
        world.args(*opts, 'SOLVER.STAGE1.MAX_EPOCHS', 1, 'SOLVER.STAGE2.MAX_EPOCHS', 1)
    )
    assert best > 0
    assert (
        test_clipreid.main(world.args(*opts, 'TEST.WEIGHT', world.output / 'RN50_1.pth'))['mAP'] > 0
    )


@pytest.mark.parametrize(
    'opts',
    [
        ('MODEL.SIE_VIEW', 'True'),
        ('MODEL.SIE_CAMERA', 'True'),
        ('MODEL.STRIDE_SIZE', '[8, 8]'),
        ('MODEL.SIE_VIEW', 'True', 'MODEL.SIE_CAMERA', 'True'),
    ],
)
def test_every_vit_option_trains(world, opts):
    train_clipreid.main(
        world.args(
            *opts, 'SOLVER.STAGE1.MAX_EPOCHS', 1, 'SOLVER.STAGE2.MAX_EPOCHS', 1, name='ViT-B-16'
        )
    )
    weight = world.output / 'ViT-B-16_1.pth'
    assert ('cv_embed' in load_state(weight)) == ('SIE' in opts[0])
    assert test_clipreid.main(world.args(*opts, 'TEST.WEIGHT', weight, name='ViT-B-16'))['mAP'] > 0


def test_resuming_and_fine_tuning(world):
    train_clipreid.main(world.args())
    trained = world.output / 'RN50_2.pth'
    before = load_state(trained)
    short = (
        'SOLVER.STAGE1.MAX_EPOCHS',
        0,
        'SOLVER.STAGE2.MAX_EPOCHS',
        1,
        'SOLVER.STAGE2.BASE_LR',
        1e-12,
    )
    for choice in ('self', 'finetune'):
        out = world.folder / choice
        train_clipreid.main(
            world.args(
                'MODEL.PRETRAIN_CHOICE',
                choice,
                'MODEL.PRETRAIN_PATH',
                trained,
                'OUTPUT_DIR',
                out,
                *short,
            )
        )
        after = load_state(out / 'RN50_1.pth')
        encoder, head = 'image_encoder.layer4.0.conv2.weight', 'classifier.weight'
        assert torch.allclose(after[encoder], before[encoder], atol=1e-6)
        assert torch.allclose(after[head], before[head], atol=1e-6) == (choice == 'self')


def test_an_untrained_random_model(world):
    """PRETRAIN_CHOICE random builds the published shapes without any file."""
    lists = world.folder / 'lists'
    (lists / 'train.txt').write_text(
        ''.join(f'train/{i}/{n}.png {i}\n' for i in range(2) for n in range(2))
    )
    (lists / 'val.txt').write_text('val/0/4.png 0\nval/1/4.png 1\n')
    opts = (
        'MODEL.PRETRAIN_CHOICE',
        'random',
        'MODEL.PRETRAIN_PATH',
        '',
        'SOLVER.STAGE1.MAX_EPOCHS',
        1,
        'SOLVER.STAGE2.MAX_EPOCHS',
        1,
        'SOLVER.STAGE2.IMS_PER_BATCH',
        4,
    )
    train_clipreid.main(world.args(*opts))
    assert load_state(world.output / 'RN50_1.pth')['classifier.weight'].shape == (2, 2048)
