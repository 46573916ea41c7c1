"""Every yml of persons and vehicles: an epoch and a test."""

import json

import pytest
import torch

import test_clipreid
import test_rerank_clipreid
import train_clipreid
from configs import load_cfg
from model.make_model_clipreid import make_test_model
from tests import official_sets
from tests.datasets.official_records import YMLS
from tests.helpers import ROOT

TOY_SIZES = [
    'MODEL.DEVICE',
    'cpu',
    'MODEL.PRETRAIN_CHOICE',
    'clip',
    'INPUT.SIZE_TRAIN',
    '[32, 32]',
    'INPUT.SIZE_TEST',
    '[32, 32]',
    'INPUT.PADDING',
    '2',
    'DATALOADER.NUM_WORKERS',
    '0',
    'DATALOADER.NUM_INSTANCE',
    '2',
    'SOLVER.STAGE1.IMS_PER_BATCH',
    '8',
    'SOLVER.STAGE2.IMS_PER_BATCH',
    '4',
    'SOLVER.STAGE2.MAX_EPOCHS',
    '1',
    'SOLVER.STAGE2.EVAL_PERIOD',
    '1',
    'SOLVER.STAGE2.CHECKPOINT_PERIOD',
    '1',
    'TEST.IMS_PER_BATCH',
    '8',
    'TEST.RERANK_K1',
    '3',
    'TEST.RERANK_K2',
    '2',
]

OVERLAP = (
    'MODEL.STRIDE_SIZE',
    '[12, 12]',
    'INPUT.SIZE_TRAIN',
    '[40, 28]',
    'INPUT.SIZE_TEST',
    '[40, 28]',
)  # 3 x 2 patches

CASES = [
    (yml, {'person': 'market1501'}.get(yml.split('/')[0], yml.split('/')[0]), ()) for yml in YMLS
] + [
    ('person/vit_clipreid', 'dukemtmc', ()),
    ('person/cnn_clipreid', 'occ_duke', ()),
    ('person/vit_base', 'msmt17', ()),
    ('person/vit_clipreid', 'msmt17', ('MODEL.SIE_CAMERA', 'True', *OVERLAP)),
    ('veri/vit_prom', 'veri', ('MODEL.SIE_CAMERA', 'True', 'MODEL.SIE_VIEW', 'True')),
    ('veri/vit_base', 'veri', ('MODEL.SIE_VIEW', 'True', *OVERLAP)),
]


@pytest.mark.parametrize(('yml', 'name', 'more'), CASES)
def test_an_epoch_and_a_test(tmp_path, toy_weights, yml, name, more, capsys):
    official_sets.SETS[name](tmp_path)
    if 'MODEL.SIE_VIEW' in more:
        official_sets.keypoints(tmp_path / 'VeRi')
    encoder = 'RN50' if 'cnn' in yml else 'ViT-B-16'
    args = [
        '--config_file',
        str(ROOT / f'configs/{yml}.yml'),
        'MODEL.PRETRAIN_PATH',
        toy_weights[encoder],
        'DATASETS.NAMES',
        name,
        'DATASETS.ROOT_DIR',
        str(tmp_path),
        'OUTPUT_DIR',
        str(tmp_path / 'output'),
        *TOY_SIZES,
        *more,
    ]
    stage1 = (
        []
        if 'base' in yml
        else ['SOLVER.STAGE1.MAX_EPOCHS', '1', 'SOLVER.STAGE1.CHECKPOINT_PERIOD', '1']
    )
    assert 0 < train_clipreid.main(args + stage1) <= 1
    log = (tmp_path / 'output/train_log.txt').read_text()
    assert ('Stage1 running time' in log) == ('base' not in yml)
    weight = tmp_path / f'output/{encoder}_1.pth'
    for script in (test_clipreid, test_rerank_clipreid):
        assert 0 < script.main([*args, 'TEST.WEIGHT', str(weight)])['mAP'] <= 1
    results = json.loads((tmp_path / 'output/results.json').read_text())
    assert (results['protocol'], results['trials']) == (
        ('vehicleid', 10) if name == 'VehicleID' else ('market', 1)
    )
    trials = 'the metrics are means over 10 trials'
    assert results['measures']['intervals'] == {}
    assert (results['measures']['reason'] == trials) == (name == 'VehicleID')
    assert set(results['counts']) == {'query', 'gallery'}
    card = (tmp_path / 'output/card.md').read_text()
    assert f'No intervals: {results["measures"]["reason"]}.' in card
    assert f'| mAP | {100 * results["metrics"]["mAP"]:.1f} % | – |' in card
    state = torch.load(weight, weights_only=True)
    assert any(key.startswith('prompt_learner.') for key in state) == ('base' not in yml)
    side = {
        ('msmt17', 'MODEL.SIE_CAMERA'): 15,
        ('veri', 'MODEL.SIE_CAMERA'): 20 * 8,
        ('veri', 'MODEL.SIE_VIEW'): 8,
    }
    if more:
        assert state['cv_embed'].shape == (side[name, more[0]], 64)
    if {'MODEL.SIE_CAMERA', 'MODEL.SIE_VIEW'} <= set(more):
        assert make_test_model(load_cfg(args[1], [*args[2:], 'TEST.WEIGHT', str(weight)])).side == (
            20,
            8,
        )
    if 'MODEL.STRIDE_SIZE' in more:
        assert len(state['image_encoder.positional_embedding']) == 1 + 3 * 2
