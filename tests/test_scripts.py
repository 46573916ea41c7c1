"""The three scripts, in-process, on a toy world: files, log lines, numbers."""

import csv
import json
import re
import shlex
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

import test_clipreid
import test_rerank_clipreid
import train_clipreid
from configs import flatten, load_cfg
from model import make_model_clipreid
from processor import inference
from tests.helpers import TIMES
from tools import rank_photos
from utils.checkpoint import load_state, save_state
from utils.device import Runtime
from utils.errors import InputError, Mismatch
from utils.metrics import distance_text
from utils.run.lock import output_lock

LOG_LINE = re.compile(
    r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} transreid(\.train|\.test)? (INFO|WARNING): '
)


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize('name', ['RN50', 'ViT-B-16'])
def test_train_then_test_then_rerank(world, name):
    best = train_clipreid.main(world.args(name=name))
    assert 0 < best <= 1

    files = {p.name for p in world.output.iterdir()}
    assert files == {
        'train_log.txt',
        'metrics.jsonl',
        'config.yml',
        'run.json',
        'resume.pth',
        f'{name}_stage1_2.pth',
        f'{name}_2.pth',
        f'{name}_best.pth',
    }
    log = (world.output / 'train_log.txt').read_text()
    for pattern in (
        r'Epoch\[1\] Iteration\[2/3\] Loss: \d+\.\d{3}, Base Lr: \d\.\d\de-\d\d$',
        r'Stage1 running time: \d:\d\d:\d\d\.\d+$',
        r'Epoch\[2\] Iteration\[1/3\] Loss: \d+\.\d{3}, Acc: \d\.\d{3}, Base Lr: \d\.\d\de-\d\d$',
        r'Epoch 2 done\. Time per batch: \d+\.\d{3}\[s\] Speed: \d+\.\d\[samples/s\]$',
        r'Validation Results - Epoch: 2$',
        r'mAP: \d+\.\d%$',
        r'CMC curve, Rank-1  :\d+\.\d%$',
        r'CMC curve, Rank-10 :\d+\.\d%$',
        r'Total running time: \d:\d\d:\d\d\.\d+$',
    ):
        assert re.search(pattern, log, re.MULTILINE), pattern
    assert all(LOG_LINE.match(line) for line in log.splitlines() if ' transreid' in line[:40])

    events = read_lines(world.output / 'metrics.jsonl')
    validations = [e for e in events if e['event'] == 'validation']
    assert [e['epoch'] for e in validations] == [1, 2]
    assert max(e['mAP'] for e in validations) == best
    steps = [e for e in events if e['event'] == 'stage2']
    assert all(np.isfinite(e['loss']) for e in steps)
    first = steps[0]
    assert first['loss'] == pytest.approx(
        first['id_loss'] + first['triplet_loss'] + first['i2t_loss'], rel=1e-5
    )

    assert flatten(load_cfg(world.output / 'config.yml')) == flatten(load_cfg(world.yml(name)))
    run = json.loads((world.output / 'run.json').read_text())
    assert run['seed'] == 1234 and run['device'].startswith('cpu') and run['version'] and run['git']

    weight = world.output / f'{name}_2.pth'
    plain = test_clipreid.main(world.args('TEST.WEIGHT', weight, name=name))
    results = json.loads((world.output / 'results.json').read_text())
    assert results['metrics'] == plain
    assert set(plain) == {'mAP', 'rank1', 'rank5', 'rank10'}
    assert results['protocol'] == 'query_apart' and results['re_ranking'] is None
    assert results['counts'] == {
        'query': {'photos': 4, 'individuals': 4},
        'gallery': {'photos': 12, 'individuals': 4},
    }
    assert len(results['checkpoint_sha256']) == 64
    test_log = (world.output / 'test_log.txt').read_text()
    assert (
        f'mAP: {plain["mAP"]:.1%}' in test_log
        and f'CMC curve, Rank-5  :{plain["rank5"]:.1%}' in test_log
    )
    assert (
        'Protocol query_apart: no query photo is in the gallery' in test_log.split('SOLVER')[0]
    )  # before the config
    rows = list(csv.DictReader((world.output / 'ranked_lists.csv').read_text().splitlines()))
    assert {row['query'] for row in rows} == {
        str(world.folder / f'test/{n}/0.png') for n in range(6, 10)
    }
    assert all(row['distance'] == distance_text(float(row['distance'])) for row in rows)
    assert [row['rank'] for row in rows[:10]] == [str(rank) for rank in range(1, 11)]
    assert all((row['right'] == '1') == (row['label'] == row['query_label']) for row in rows)
    assert sum(row['right'] == '1' for row in rows if row['rank'] == '1') / 4 == pytest.approx(
        plain['rank1']
    )
    with Image.open(world.output / 'ranked_lists.png') as picture:
        assert picture.width > 300 and picture.height > 300

    reranked = test_rerank_clipreid.main(world.args('TEST.WEIGHT', weight, name=name))
    assert reranked != plain or reranked['mAP'] == 1
    assert json.loads((world.output / 'results.json').read_text())['re_ranking'] == {
        'k1': 5,
        'k2': 2,
        'lambda_value': 0.3,
        'ties': 'index',
    }
    assert json.loads((world.output / 'results.1.json').read_text())['metrics'] == plain
    assert (
        test_clipreid.main(world.args('TEST.WEIGHT', weight, 'TEST.RE_RANKING', 'True', name=name))
        == reranked
    )


def test_same_seed_same_run(world):
    for folder in 'ab':
        train_clipreid.main(world.args('OUTPUT_DIR', world.folder / folder))
    a, b = (load_state(world.folder / f / 'RN50_2.pth') for f in 'ab')
    assert all(torch.equal(a[n], b[n]) for n in a)
    train_clipreid.main(world.args('OUTPUT_DIR', world.folder / 'c', 'SOLVER.SEED', 7))
    c = load_state(world.folder / 'c' / 'RN50_2.pth')
    assert not torch.equal(a['classifier.weight'], c['classifier.weight'])


def test_stages_train_what_they_should(world):
    train_clipreid.main(world.args())
    start = load_state(world.weights['RN50'])
    one = load_state(world.output / 'RN50_stage1_2.pth')
    two = load_state(world.output / 'RN50_2.pth')
    assert torch.equal(
        one['image_encoder.layer1.0.conv1.weight'], start['visual.layer1.0.conv1.weight']
    )
    assert not torch.equal(
        two['image_encoder.layer1.0.conv1.weight'], start['visual.layer1.0.conv1.weight']
    )
    assert torch.equal(two['text_encoder.ln_final.weight'], start['ln_final.weight'])
    assert torch.equal(one['prompt_learner.cls_ctx'], two['prompt_learner.cls_ctx'])
    assert not two['bottleneck.bias'].any()


def test_second_run_keeps_the_earlier_log(world):
    train_clipreid.main(world.args('SOLVER.STAGE2.MAX_EPOCHS', 0))
    first = (world.output / 'train_log.txt').read_text()
    train_clipreid.main(world.args('SOLVER.STAGE2.MAX_EPOCHS', 0))
    assert (world.output / 'train_log.1.txt').read_text() == first
    assert 'already holds a run' in (world.output / 'train_log.txt').read_text()
    assert (world.output / 'metrics.1.jsonl').exists()


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


def test_going_on_and_fine_tuning(world):
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


def test_the_log_does_not_depend_on_when_the_loss_is_looked_at(world, monkeypatch):
    """On an accelerator the loops look every LOG_PERIOD: the same means, the same weights."""
    found = []
    for number, period in enumerate((1, 3)):
        monkeypatch.setattr(Runtime, 'fetch_period', lambda self, _, period=period: period)
        out = world.folder / f'out{number}'
        train_clipreid.main(
            world.args(
                'OUTPUT_DIR', out, 'SOLVER.STAGE2.LOG_PERIOD', 3, 'SOLVER.STAGE1.LOG_PERIOD', 3
            )
        )
        lines = [json.loads(line) for line in (out / 'metrics.jsonl').read_text().splitlines()]
        timeless = [{k: v for k, v in line.items() if k not in TIMES} for line in lines]
        found.append((timeless, load_state(out / 'RN50_2.pth')))
    (one, state), (three, other) = found
    assert one == three and any(line['event'] == 'stage1' for line in one)
    assert all(torch.equal(state[name], other[name]) for name in state)


def test_checkpoints_are_in_the_usual_memory_format(world):
    """Convolutions work in channels_last; what is saved is as the original saves it."""
    train_clipreid.main(world.args('SOLVER.STAGE1.MAX_EPOCHS', 1, 'SOLVER.STAGE2.MAX_EPOCHS', 1))
    for name in ('RN50_stage1_1.pth', 'RN50_1.pth'):
        state = torch.load(world.output / name, weights_only=True)
        assert all(tensor.is_contiguous() for tensor in state.values())
        assert state['image_encoder.layer1.0.conv2.weight'].dim() == 4


def test_workers_change_nothing(world):
    """0, 2 and 4: the same losses and the same weights, bit for bit."""
    found = []
    for workers in (0, 2, 4):
        out = world.folder / f'workers{workers}'
        train_clipreid.main(
            world.args(
                'OUTPUT_DIR', out, 'DATALOADER.NUM_WORKERS', workers, 'DATALOADER.CACHE_GB', 0
            )
        )
        lines = [
            {k: v for k, v in line.items() if k not in TIMES}
            for line in read_lines(out / 'metrics.jsonl')
        ]
        found.append((lines, load_state(out / 'RN50_2.pth')))
    (lines, state), *others = found
    for other_lines, other in others:
        assert other_lines == lines and all(torch.equal(state[name], other[name]) for name in state)


@pytest.fixture
def _any_kernels():
    yield
    torch.use_deterministic_algorithms(False)


ONE_EPOCH = ('SOLVER.STAGE1.MAX_EPOCHS', 1, 'SOLVER.STAGE2.MAX_EPOCHS', 1)
DETERMINISTIC = [
    ('RN50', ()),
    ('RN50', ('MODEL.METRIC_LOSS_TYPE', 'triplet_center', 'MODEL.IF_LABELSMOOTH', 'off')),
    ('ViT-B-16', ('MODEL.SIE_CAMERA', 'True', 'SOLVER.AMP', 'bf16')),
]


@pytest.mark.parametrize(('name', 'opts'), DETERMINISTIC)
@pytest.mark.usefixtures('_any_kernels')
def test_deterministic_kernels(world, name, opts):
    """Training, re-ranked validation, test, re-ranked test; the result is that of the usual kernels
    on the CPU.
    """
    found = []
    for choice in ('True', 'False'):
        out = world.folder / choice
        args = world.args(
            *opts,
            *ONE_EPOCH,
            'SOLVER.DETERMINISTIC',
            choice,
            'TEST.RE_RANKING',
            'True',
            'OUTPUT_DIR',
            out,
            'TEST.WEIGHT',
            out / f'{name}_1.pth',
            name=name,
        )
        best = train_clipreid.main(args)
        assert torch.are_deterministic_algorithms_enabled() is (choice == 'True')
        reranked = test_rerank_clipreid.main(args)
        found.append(
            (
                best,
                reranked,
                test_clipreid.main([*args, 'TEST.RE_RANKING', 'False']),
                load_state(out / f'{name}_1.pth'),
            )
        )
    (*metrics, state), (*others, other) = found
    assert metrics == others and all(torch.equal(state[tensor], other[tensor]) for tensor in state)


# Operations that fail on CUDA in deterministic mode: all that torch 2.14's library rejects, and
# kthvalue, as earlier ones do.
FAIL_ON_CUDA = {
    'put_',
    'kthvalue',
    'median',
    'nanmedian',
    'histc',
    'scatter_reduce',
    'scatter_reduce_',
    'index_reduce',
    'index_reduce_',
    '_ctc_loss_backward',
    'grid_sampler_2d_backward',
    'grid_sampler_3d_backward',
    'cudnn_grid_sampler_backward',
    'replication_pad1d_backward',
    'replication_pad2d_backward',
    'replication_pad3d_backward',
    'reflection_pad1d_backward',
    'reflection_pad2d_backward',
    'reflection_pad3d_backward',
    'max_unpool2d',
    'max_unpool3d',
    '_adaptive_avg_pool2d_backward',
    '_adaptive_avg_pool3d_backward',
    'adaptive_max_pool2d_backward',
    'adaptive_max_pool3d_backward',
    'fractional_max_pool2d_backward',
    'fractional_max_pool3d_backward',
    'max_pool3d_with_indices_backward',
    'avg_pool3d_backward',
    'nll_loss2d_forward',
    'upsample_linear1d_backward',
    'upsample_bilinear2d_backward',
    '_upsample_bilinear2d_aa_backward',
    'upsample_bicubic2d_backward',
    '_upsample_bicubic2d_aa_backward',
    'upsample_trilinear3d_backward',
    '_embedding_bag_dense_backward',
    'bincount of weights',
}


class Operations(TorchDispatchMode):
    """Context that notes the names of all operations."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name, kwargs = function.overloadpacket.__name__, kwargs or {}
        weights = [*args[1:2], kwargs.get('weights')] if name == 'bincount' else []
        self.names.add('bincount of weights' if any(w is not None for w in weights) else name)
        return function(*args, **kwargs)


@pytest.mark.parametrize(('name', 'opts'), DETERMINISTIC)
def test_every_operation_has_a_deterministic_kernel_on_cuda(world, name, opts):
    args = world.args(
        *opts,
        *ONE_EPOCH,
        'TEST.RE_RANKING',
        'True',
        'TEST.WEIGHT',
        world.output / f'{name}_1.pth',
        name=name,
    )
    with Operations() as operations:
        train_clipreid.main(args)
        test_rerank_clipreid.main(args)
    assert {'convolution_backward', 'sort'} <= operations.names
    assert not operations.names & FAIL_ON_CUDA


def test_safetensors_checkpoints(world):
    train_clipreid.main(world.args('OUTPUT_DIR', world.folder / 'pth'))
    train_clipreid.main(world.args('SOLVER.CHECKPOINT_FORMAT', 'safetensors'))
    names = {'RN50_stage1_2.safetensors', 'RN50_2.safetensors', 'RN50_best.safetensors'}
    assert {path.name for path in world.output.iterdir() if path.suffix == '.safetensors'} == names
    assert [path.name for path in world.output.glob('*.pth')] == ['resume.pth']
    for name in names:
        a, b = (
            load_state(world.output / name),
            load_state((world.folder / 'pth' / name).with_suffix('.pth')),
        )
        assert a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)
    weight = world.output / 'RN50_2.safetensors'
    assert test_clipreid.main(world.args('TEST.WEIGHT', weight)) == test_clipreid.main(
        world.args('TEST.WEIGHT', world.folder / 'pth' / 'RN50_2.pth')
    )
    train_clipreid.main(
        world.args(
            'MODEL.PRETRAIN_CHOICE',
            'self',
            'MODEL.PRETRAIN_PATH',
            weight,
            'OUTPUT_DIR',
            world.folder / 'self',
        )
    )


def test_run_json_tells_what_the_run_was(world):
    train_clipreid.main(world.args('SOLVER.STAGE1.MAX_EPOCHS', 0, 'SOLVER.STAGE2.MAX_EPOCHS', 1))
    run = json.loads((world.output / 'run.json').read_text())
    for library in ('torch', 'numpy', 'Pillow', 'safetensors'):
        assert re.match(r'\d+\.\d+', run[library])
    assert (
        run['config']['SOLVER.STAGE2.MAX_EPOCHS'] == 1 and run['processes'] == 1 and run['python']
    )
    assert {split: data['photos'] for split, data in run['data'].items()} == {'train': 24, 'val': 6}
    assert all(re.fullmatch('[0-9a-f]{64}', data['sha256']) for data in run['data'].values())


def test_the_data_are_looked_at(world):
    """Individuals of the test among the train list's, and one photo under two labels."""
    lists, photos = world.folder / 'lists', world.folder / 'photos'
    photo = (photos / 'train/0/0.png').read_bytes()
    (photos / 'train/1/0.png').write_bytes(photo)
    (world.folder / 'test/6/0.png').write_bytes(photo)
    lines = (lists / 'train.txt').read_text().splitlines()
    (lists / 'train.txt').write_text(
        '\n'.join(line for line in lines if not line.startswith('train/5/') or '/0.png' in line)
    )
    train_clipreid.main(world.args('SOLVER.STAGE1.MAX_EPOCHS', 0, 'SOLVER.STAGE2.MAX_EPOCHS', 0))
    log = (world.output / 'train_log.txt').read_text()
    assert re.search('WARNING: 1 of 6 train individuals have a single photo', log)
    assert re.search(
        'WARNING: 1 photos are in the train and validation lists under two labels', log
    )
    assert re.search('WARNING: 1 of 16 test photos are train photos too', log)


def test_two_trainings_in_one_folder(world):
    world.output.mkdir()
    with output_lock(world.output), pytest.raises(InputError, match='is in use by process'):
        train_clipreid.main(world.args())
    assert not list(world.output.iterdir())


def test_a_checkpoint_that_is_replaced_while_it_is_read(world, monkeypatch):
    """results.json must not give the SHA-256 of other weights than were tested."""
    train_clipreid.main(world.args('SOLVER.STAGE1.MAX_EPOCHS', 0, 'SOLVER.STAGE2.MAX_EPOCHS', 1))
    weight = world.output / 'RN50_best.pth'
    make = inference.make_test_model

    def replaced(cfg):
        model = make(cfg)
        (world.output / 'new').write_bytes(weight.read_bytes())
        (world.output / 'new').replace(weight)
        return model

    monkeypatch.setattr(inference, 'make_test_model', replaced)
    with pytest.raises(InputError, match='was replaced while it was read'):
        test_clipreid.main(world.args('TEST.WEIGHT', weight))
    assert not (world.output / 'results.json').exists()


# ---------------------------------------------------------------------------- the run's own config


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


def test_who_trains_on_is_told_the_config_too(world):
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


def test_copies_and_distractors_in_a_test(world):
    """The published protocol counts copies, with a warning; where a photo is never itself, they are
    in no ranked list.
    """
    weight, photos = world.folder / 'toy.pth', world.folder / 'test'
    save_state(make_model_clipreid.make_model(load_cfg(world.yml()), 6).state_dict(), weight)
    for name in ('6/copy.png', 'nobody.png'):
        shutil.copy(photos / '6/0.png', photos / name)
    with open(world.folder / 'lists/gallery.txt', 'a') as file:
        file.write('6/copy.png 6\n./6/copy.png 6\nnobody.png -1\n')

    def tested(*opts):
        metrics = test_clipreid.main(world.args('TEST.WEIGHT', weight, *opts))
        results = json.loads((world.output / 'results.json').read_text())
        assert results['metrics'] == metrics
        assert results['counts']['gallery'] == {
            'photos': 14,
            'individuals': 4,
        }  # the repeated line counts once
        copies = results['copies_in_gallery']
        assert (copies['queries'], copies['photos']) == (1, 1)
        rows = list(csv.DictReader((world.output / 'ranked_lists.csv').read_text().splitlines()))
        first = {
            row['photo'].rpartition('test/')[2] for row in rows if row['query'].endswith('6/0.png')
        }
        return metrics, copies['without'], first, (world.output / 'test_log.txt').read_text()

    metrics, ignored, first, log = tested()
    assert {'6/copy.png', 'nobody.png'} <= first and metrics['mAP'] > ignored['mAP']
    assert (
        "Byte-for-byte copies of queries in the gallery: 1 (of 1 queries). Protocol 'query_apart' "
        'counts them as matches: '
        f'mAP {metrics["mAP"]:.1%}'
    ) in log and f'Without them: mAP {ignored["mAP"]:.1%}' in log
    metrics, ignored, first, log = tested('DATASETS.PROTOCOL', 'all')
    assert '6/copy.png' not in first and 'nobody.png' in first and metrics == ignored
    assert 'Byte-for-byte copies of queries in the gallery: 1 (of 1 queries)' in log
