"""Whole runs on a device, without a GPU: the results of the CPU, and few waits."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import test_rerank_clipreid
import train_clipreid
from tests.fake_cuda import CUDA, META, FakeCudaTensor, fake_cuda
from tests.without_gpu.overrides import BASE, CENTER
from utils.checkpoint import copy_tree
from utils.reranking import ReRanking, re_rank_features, re_ranking

pytestmark = pytest.mark.usefixtures('no_pictures')


def epochs_of(world):
    lines = map(json.loads, (world.output / 'metrics.jsonl').read_text().splitlines())
    return [
        line for line in lines if line['event'] in ('stage1_epoch', 'stage2_epoch', 'validation')
    ]


@pytest.mark.parametrize(
    'name, amp, opts',
    [
        ('RN50', 'off', ('TEST.RE_RANKING', True)),
        ('ViT-B-16', 'fp16', (*CENTER, 'MODEL.SIE_CAMERA', True)),
        ('ViT-B-16', 'bf16', BASE),
    ],
)
def test_a_training_and_its_test_are_those_of_the_cpu(cuda, world, name, amp, opts):
    opts = (
        *opts,
        'SOLVER.STAGE1.MAX_EPOCHS',
        0 if opts == BASE else 1,
        'SOLVER.STAGE2.MAX_EPOCHS',
        1,
    )
    last = ('TEST.WEIGHT', world.output / f'{name}_1.pth')
    results, epochs = {}, {}
    for device, its_amp in (('cpu', 'off'), ('cuda', amp)):
        args = world.args('MODEL.DEVICE', device, 'SOLVER.AMP', its_amp, *opts, name=name)
        with fake_cuda():
            train_clipreid.main(args)
            results[device] = test_rerank_clipreid.main([*args, *map(str, last)])
        epochs[device] = epochs_of(world)
    assert results['cuda'] == pytest.approx(results['cpu'], abs=1e-6)
    for there, here in zip(epochs['cuda'], epochs['cpu'], strict=True):
        # a fake parameter is not the one of the CPU, so it is without the hook that scales the
        # centers' gradient
        numbers = [
            key
            for key in here
            if key.endswith('loss') and key != 'center_loss' or key in ('mAP', 'acc')
        ]
        assert numbers and {key: there[key] for key in numbers} == pytest.approx(
            {key: here[key] for key in numbers}, rel=1e-3
        )
    assert 'device_memory_gb' in epochs['cuda'][0]


def test_iterations_do_not_wait_for_the_device(cuda, world):
    """Twice as many iterations wait as often: at the ends of epochs and states."""
    counts = []
    for photos in (8, 4):
        opts = [
            'SOLVER.SEED',
            1,
            'MODEL.SIE_CAMERA',
            True,
            'OUTPUT_DIR',
            world.folder / str(photos),
        ]
        for stage in ('STAGE1', 'STAGE2'):
            opts += [
                f'SOLVER.{stage}.IMS_PER_BATCH',
                photos,
                f'SOLVER.{stage}.MAX_EPOCHS',
                1,
                f'SOLVER.{stage}.LOG_PERIOD',
                99,
            ]
        with fake_cuda() as waits:
            train_clipreid.main(world.args('MODEL.DEVICE', 'cuda', *opts, name='ViT-B-16'))
        counts.append(Counter(waits))
    assert counts[0] and counts[0] == counts[1]


class Operations(TorchDispatchMode):
    """Context that counts operations: by name, ``to_device`` those of them that copy from main
    memory to the GPU.
    """

    def __init__(self):
        super().__init__()
        self.names = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        copied = (
            name == '_to_copy'
            and args[0].device.type == 'cpu'
            and (kwargs or {}).get('device') == META
        )
        self.names['to_device' if copied else name] += 1
        return func(*args, **(kwargs or {}))


def test_an_iteration_of_stage_1_copies_once(cuda, world):
    counts = []
    for epochs in (1, 2):
        with fake_cuda(), Operations() as operations:
            train_clipreid.main(
                world.args(
                    'MODEL.DEVICE',
                    'cuda',
                    'SOLVER.STAGE1.MAX_EPOCHS',
                    epochs,
                    'SOLVER.STAGE2.MAX_EPOCHS',
                    0,
                    'OUTPUT_DIR',
                    world.folder / str(epochs),
                )
            )
        counts.append(operations.names['to_device'])
    iterations = 3  # 24 photos, 8 at a time
    assert counts[1] - counts[0] == iterations


def test_a_state_is_copied_once(cuda):
    with fake_cuda():
        there = torch.arange(6.0).view(2, 3).to('cuda')
        here = torch.ones(3)
        with Operations() as operations:
            copy = copy_tree({'there': there, 'here': [here]})
    assert operations.names == Counter({'detach': 2, '_to_copy': 2})
    here.zero_()
    assert torch.equal(copy['there'], torch.arange(6.0).view(2, 3)) and torch.equal(
        copy['here'][0], torch.ones(3)
    )


@pytest.mark.parametrize('metric', ['cosine', 'euclidean'])
def test_re_ranking_is_that_of_the_cpu(cuda, metric):
    generator = torch.Generator().manual_seed(3)
    features = F.normalize(torch.randn(60, 16, generator=generator))
    query, gallery = torch.arange(20), torch.arange(10, 60)
    here = re_rank_features(features, query, gallery, ReRanking(8, 3), metric)
    with fake_cuda():
        there = re_rank_features(features.to('cuda'), query, gallery, ReRanking(8, 3), metric)
        if metric == 'cosine':
            q, g = (features[index].to('cuda') for index in (query, gallery))
            given = re_ranking(q @ g.T, q @ q.T, g @ g.T, k1=8, k2=3)
            np.testing.assert_allclose(given, here, atol=1e-5)
    np.testing.assert_allclose(there, here, atol=1e-6)


def test_the_fake_device_is_as_strict_as_a_gpu(cuda):
    with fake_cuda() as waits:
        here, there = torch.arange(3.0), torch.ones(3, device='cuda')
        assert (
            isinstance(there, FakeCudaTensor)
            and there.device == CUDA
            and (there + 1).device == CUDA
        )
        assert torch.equal((there * torch.tensor(2.0)).cpu(), torch.full((3,), 2.0))
        for mix in (
            lambda: there + here,
            lambda: torch.stack([there, here]),
            lambda: F.linear(here[None], there[None]),
        ):
            with pytest.raises(RuntimeError, match='tensors on cuda and on cpu'):
                mix()
        with pytest.raises((TypeError, RuntimeError)):
            there.numpy()
        waits.clear()
        (
            here.to('cuda', non_blocking=True),
            there[torch.arange(2, device='cuda')],
            there.clone().fill_(2),
        )
        assert not waits
        here.to('cuda'), torch.tensor([1], device='cuda'), there[torch.tensor([1])]
        there.cpu(), there.sum().item(), there.nonzero(), there.tolist()
    assert len(waits) == 7
