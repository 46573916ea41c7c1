"""The same run gives the same result: workers, kernels, log intervals."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import test_clipreid
import test_rerank_clipreid
import train_clipreid
from tests.helpers import timeless_metrics
from utils.checkpoint import load_state
from utils.device import Runtime

pytestmark = pytest.mark.usefixtures('no_pictures')


def test_the_log_does_not_depend_on_when_the_loss_is_fetched(world, monkeypatch):
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
        found.append((timeless_metrics(out), load_state(out / 'RN50_2.pth')))
    (one, state), (three, other) = found
    assert one == three and any(line['event'] == 'stage1' for line in one)
    assert all(torch.equal(state[name], other[name]) for name in state)


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
        found.append((timeless_metrics(out), load_state(out / 'RN50_2.pth')))
    (lines, state), *others = found
    for other_lines, other in others:
        assert other_lines == lines and all(torch.equal(state[name], other[name]) for name in state)


def test_one_process_on_the_cpu_ignores_sync_bn(world):
    """RN50 with MODEL.SYNC_BN: the same losses and the same weights, bit for bit."""
    found = []
    for shared in (False, True):
        out = world.folder / f'sync_bn_{shared}'
        train_clipreid.main(world.args('OUTPUT_DIR', out, 'MODEL.SYNC_BN', shared, *ONE_EPOCH))
        found.append((timeless_metrics(out), load_state(out / 'RN50_1.pth')))
    (lines, state), (other_lines, other) = found
    assert other_lines == lines and state.keys() == other.keys()
    assert all(torch.equal(state[name], other[name]) for name in state)


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
