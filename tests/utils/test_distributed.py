"""Several processes: they communicate, train like a single process, and end together.

Real groups over gloo. This file is also the program of their processes (``python -m
tests.utils.test_distributed WHAT``): a start takes seconds, so one start of 2 and one of 3
processes do all the checks.
"""

import json
import os
import socket
import subprocess
import sys
import time
import traceback
import warnings
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from configs import load_cfg
from loss.make_loss import make_loss
from model.make_model_clipreid import make_model
from solver.make_optimizer_prompt import make_optimizer_2stage
from tests.helpers import ROOT, TOY, toy_clip_state, toy_config
from utils import distributed as module
from utils.device import make_runtime
from utils.distributed import SINGLE, Processes, several_processes, start_processes
from utils.errors import InputError, exit_code
from utils.logger import setup_logger
from utils.run.signals import StopRequest

CPU = torch.device('cpu')
SIZES = (2, 3)
CHECKS = {}  # name -> function of the processes, run by all of them; in order


def check(function):
    CHECKS[function.__name__] = function
    return function


# --------------------------------------------------------------------------- what all processes do


@check
def gathers_rows_in_rank_order(processes):
    rank, size = processes.rank, processes.world_size
    for dtype in (torch.int64, torch.float32, torch.float64, torch.float16, torch.bfloat16):
        rows = torch.full((2, 3), rank).to(dtype)
        expected = torch.arange(size).repeat_interleave(2)[:, None].expand(-1, 3).to(dtype)
        assert torch.equal(processes.gather(rows), expected)
    turned = torch.arange(6.0).view(2, 3).T + 100 * rank  # not contiguous
    assert torch.equal(processes.gather(turned)[3 * rank : 3 * rank + 3], turned)
    assert processes.gather(torch.tensor([rank])).tolist() == list(range(size))


@check
def gradient_of_gathered_rows_is_that_of_the_whole_batch(processes):
    """With one weight before the gathering and one after it."""
    torch.manual_seed(0)
    size, own = processes.world_size, slice(4 * processes.rank, 4 * processes.rank + 4)
    photos = torch.randn(4 * size, 5, dtype=torch.float64)
    models = [nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 2)).double()]
    models.append(deepcopy(models[0]))

    def loss(features, behind):  # no sum over the rows
        distance = torch.cdist(behind(features), features[:, :2])
        return distance.logsumexp(1).max() + distance.std()

    loss(models[0][0](photos), models[0][1]).backward()
    loss(processes.gather(models[1][0](photos[own])), models[1][1]).backward()
    processes.average_gradients(models[1].parameters())
    for plain, ours in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(ours.grad, plain.grad, rtol=1e-12, atol=1e-12)


@check
def shards_come_together_in_order(processes):
    for count, batch in ((17, 2), (5, 2), (1, 4), (2, 4), (0, 4), (30, 1)):
        whole = torch.arange(count * 6.0).view(count, 2, 3)
        own = whole[list(processes.shard(count, batch))]
        assert torch.equal(processes.gather_rows(own), whole)
    own = (
        whole[list(processes.shard(1, 4))] if processes.main else torch.empty(0)
    )  # without rows their shape is unknown
    assert torch.equal(processes.gather_rows(own), whole[:1])


@check
def means_flags_and_values(processes):
    rank, size = processes.rank, processes.world_size
    given = torch.full((2,), float(rank))
    parameter, frozen = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    parameter.grad = given
    processes.average_gradients([parameter, frozen])
    assert parameter.grad.tolist() == [(size - 1) / 2] * 2 and frozen.grad is None
    assert processes.any(rank == size - 1) is True
    assert processes.any(False) is False
    value = {'state': 'ü', 'epoch': 3, 'best': 0.1 + 0.2, 'none': None, 'list': [1, 2.5]}
    assert processes.broadcast(value if processes.main else None) == value
    assert processes.broadcast(None) is None
    model = nn.BatchNorm2d(2)
    model.running_mean += rank
    model.num_batches_tracked += rank
    processes.broadcast_buffers(model)
    assert model.running_mean.tolist() == [0, 0] and model.num_batches_tracked == 0


@check
def all_wait_at_a_barrier(processes):
    started = time.monotonic()
    if processes.main:
        time.sleep(0.3)
    processes.barrier()
    assert time.monotonic() - started > 0.25


def step(model, call, criterion, optimizers, batch, texts, gather=lambda tensor: tensor):
    """A training step as in stage 2."""
    images, target, cameras = batch
    score, feature, projected = call(
        images, cam_label=cameras, view_label=torch.zeros_like(cameras)
    )
    target = gather(target)
    loss = sum(criterion(score, feature, target, projected @ texts.T).values())
    for each in optimizers:
        each.zero_grad(set_to_none=True)
    loss.backward()
    for each in optimizers:
        each.step()
    return float(loss.detach())


def toy_model(name, optimizer, dtype, folder):
    """(model, criterion, optimizers, three batches, texts), equal on all processes."""
    weights = {name: str(folder / f'{name}.pth')}
    (folder / 'toy.yml').write_text(
        json.dumps(toy_config(folder, name, weights[name]))
    )  # JSON is YAML
    torch.save(toy_clip_state(name), weights[name])
    cfg = load_cfg(
        str(folder / 'toy.yml'),
        [
            'MODEL.SIE_CAMERA',
            name.startswith('ViT'),
            'MODEL.METRIC_LOSS_TYPE',
            'triplet_center',
            'SOLVER.MARGIN',
            0.3,
            'SOLVER.STAGE2.OPTIMIZER_NAME',
            optimizer,
            'SOLVER.STAGE2.BASE_LR',
            1e-3 if optimizer == 'Adam' else 1e-2,
        ],
    )
    torch.manual_seed(3)
    model = make_model(cfg, num_class=6, camera_num=2, view_num=1).to(dtype)
    model.prompt_learner.requires_grad_(False)
    criterion = make_loss(cfg, 6, model.feature_dim).to(dtype)
    optimizers = [
        make_optimizer_2stage(cfg, model),
        torch.optim.SGD(criterion.parameters(), lr=0.1),
    ]
    batches = [
        (
            torch.randn(12, 3, 32, 32).to(dtype),
            torch.arange(6).repeat_interleave(2),
            torch.arange(12) % 2,
        )
        for _ in range(3)
    ]
    return (
        model.train(),
        criterion,
        optimizers,
        batches,
        F.normalize(torch.randn(6, TOY[name].embed_dim)).to(dtype),
    )


def trained_both_ways(processes, name, optimizer, dtype):
    """The model's and the centres' state after three steps by one process and by all, and the
    model's state before.
    """
    folder = Path(sys.argv[2]) / str(processes.rank)
    folder.mkdir(exist_ok=True)
    model, criterion, optimizers, batches, texts = toy_model(name, optimizer, dtype, folder)
    before = deepcopy(model.state_dict())
    alone = [step(model, model, criterion, optimizers, batch, texts) for batch in batches]
    plain = model.state_dict() | {'centers': criterion.center.centers.detach()}

    model, criterion, optimizers, batches, texts = toy_model(name, optimizer, dtype, folder)
    names = list(model.state_dict())
    model.gather, wrapped = processes.gather, processes.wrap(model, CPU)
    share = 12 // processes.world_size
    own = slice(share * processes.rank, share * processes.rank + share)
    together = [
        step(
            model,
            wrapped,
            criterion,
            optimizers,
            [part[own] for part in batch],
            texts,
            processes.gather,
        )
        for batch in batches
    ]
    processes.broadcast_buffers(model)
    assert list(model.state_dict()) == names == list(before)
    return (
        before,
        plain,
        model.state_dict() | {'centers': criterion.center.centers.detach()},
        alone,
        together,
    )


def differences(one, other):
    """name -> largest difference, of the state's floats."""
    return {
        name: float((tensor - other[name]).abs().max())
        for name, tensor in one.items()
        if tensor.is_floating_point()
    }


def assert_trained_as_one(processes, name, optimizer, dtype, tolerance):
    before, plain, ours, alone, together = trained_both_ways(processes, name, optimizer, dtype)
    moved = differences(before, plain)
    difference = differences(plain, ours)
    assert max(difference.values()) < tolerance, sorted(
        difference.items(), key=lambda item: -item[1]
    )[:5]
    still = [
        n
        for n in moved
        if moved[n] < tolerance and not n.startswith(('text_encoder.', 'prompt_learner.'))
    ]
    assert still == ['bottleneck.bias', 'bottleneck_proj.bias']  # else it would be no wonder
    assert max(abs(a - b) / a for a, b in zip(alone, together)) < max(tolerance, 1e-6)
    assert_same_everywhere(processes, ours)


def assert_same_everywhere(processes, state):
    sums = torch.stack([tensor.double().sum() for tensor in state.values()])
    for others in processes.gather(sums[None]):
        assert torch.equal(others, sums)


@check
def vit_trains_as_one_process_float64_adam(processes):
    """The keys' bias has only a rounding error as gradient (1e-17), of which Adam makes 1e-9.

    Everything else agrees to 1e-14.
    """
    assert_trained_as_one(processes, 'ViT-B-16', 'Adam', torch.float64, 1e-8)


@check
def vit_trains_as_one_process_float32_sgd(processes):
    assert_trained_as_one(processes, 'ViT-B-16', 'SGD', torch.float32, 1e-5)


@check
def rn50_normalises_by_process(processes):
    """That changes the training, but all processes have equal weights and statistics."""
    _, plain, ours, *_ = trained_both_ways(processes, 'RN50', 'SGD', torch.float64)
    assert max(differences(plain, ours).values()) > 1e-3
    assert_same_everywhere(processes, ours)


@check
def gpus_are_compared(processes):
    """Each process sees one GPU, either its own or the same."""

    def device(serial):
        gpu = {
            'is_available': lambda: True,
            'device_count': lambda: 1,
            'set_device': lambda index: None,
            'get_device_properties': lambda index: SimpleNamespace(uuid=serial),
            'is_bf16_supported': lambda **_: True,
        }
        with mock.patch.multiple(torch.cuda, **gpu):
            return make_runtime('cuda', processes=processes).device

    assert str(device(f'GPU {processes.rank}')) == 'cuda:0'
    with pytest.raises(InputError, match='each process needs its own GPU'):
        device('the same GPU')


# ------------------------------------------------------------------------------------ how they end


def fails(processes, how):
    """Fail in one process in the way ``how``, while the others wait."""
    last = processes.rank == processes.world_size - 1
    if last and how == 'bug':
        raise KeyError('a bug')
    if last and how == 'killed':
        os.kill(os.getpid(), 9)
    if last and how in ('input', 'hang'):
        raise InputError('a.png cannot be read')
    if processes.main and how in ('first', 'late'):
        if how == 'late':
            time.sleep(1)  # the others are done, and wait for the end
        raise InputError('a.png cannot be read')
    if how == 'late':
        return
    if how == 'hang':
        time.sleep(60)
    processes.gather(torch.ones(2))


def program(what, folder):
    """Entry point of each process."""
    torch.set_num_threads(1)
    if what != 'checks':

        def main():
            with several_processes(True, 'gloo', StopRequest()) as processes:
                fails(processes, what)

        return exit_code(main)
    warnings.simplefilter('error')
    setup_logger(quiet=True)
    with several_processes(True, 'gloo', StopRequest()) as processes:
        for name, function in CHECKS.items():
            try:
                function(processes)
                outcome = 'ok'
            except BaseException:
                outcome = traceback.format_exc()
            with open(Path(folder) / f'{processes.rank}.jsonl', 'a') as file:
                file.write(f'{json.dumps([name, outcome])}\n')
            if processes.any(outcome != 'ok'):  # from here on they may be out of step
                return 1
    tasks = Path('/proc/self/task')  # Linux
    left = {
        name
        for task in (tasks.iterdir() if tasks.exists() else ())
        if 'gloo' in (name := (task / 'comm').read_text())
    }
    return f'threads of gloo are left and may abort the process at exit: {left}' if left else 0


def start(world_size, what, folder):
    """Run this file in ``world_size`` processes; return [(exit code, stdout, stderr)]."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    running = []
    for rank in range(world_size):
        variables = {
            'RANK': rank,
            'LOCAL_RANK': rank,
            'WORLD_SIZE': world_size,
            'LOCAL_WORLD_SIZE': world_size,
            'MASTER_ADDR': '127.0.0.1',
            'MASTER_PORT': port,
            'OMP_NUM_THREADS': 1,
        }
        running.append(
            subprocess.Popen(
                [sys.executable, '-m', 'tests.utils.test_distributed', what, str(folder)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | {name: str(value) for name, value in variables.items()},
            )
        )
    try:
        outputs = [process.communicate(timeout=120) for process in running]
    finally:
        for process in running:
            process.kill()
    return [(process.returncode, *output) for process, output in zip(running, outputs, strict=True)]


@pytest.fixture(scope='module')
def checked(tmp_path_factory):
    """world size -> ({name: outcomes of the ranks}, [(exit code, stdout, stderr)])"""

    @cache
    def run(world_size):
        folder = tmp_path_factory.mktemp(f'group{world_size}')
        ended = start(world_size, 'checks', folder)
        outcomes = {}
        for rank in range(world_size):
            path = folder / f'{rank}.jsonl'
            for line in path.read_text().splitlines() if path.exists() else []:
                name, outcome = json.loads(line)
                outcomes.setdefault(name, []).append(outcome)
        return outcomes, ended

    return run


@pytest.mark.parametrize('world_size', SIZES)
@pytest.mark.parametrize('name', CHECKS)
def test_in_a_group(name, world_size, checked):
    outcomes, ended = checked(world_size)
    assert name in outcomes, f'not reached: {[error[-500:] for _, _, error in ended]}'
    assert outcomes[name] == ['ok'] * world_size, '\n'.join(outcomes[name])


@pytest.mark.parametrize('world_size', SIZES)
def test_a_group_ends_without_output(world_size, checked):
    """Neither torch's warning about a group left open, nor an abort of a thread."""
    assert checked(world_size)[1] == [(0, '', '')] * world_size


@pytest.mark.parametrize(
    'world_size, how, guilty, message',
    [
        (3, 'input', 2, 'rank 2: a.png cannot be read'),
        (2, 'first', 0, 'rank 0: a.png cannot be read'),
        (3, 'late', 0, 'rank 0: a.png cannot be read'),
        (2, 'bug', 1, "rank 1: KeyError: 'a bug'"),
    ],
)
def test_all_processes_report_an_error_of_one(world_size, how, guilty, message, tmp_path):
    ended = start(world_size, how, tmp_path)
    code, _, stderr = ended.pop(guilty)
    if how == 'bug':
        assert code == 1 and 'Traceback' in stderr
    else:
        assert (code, stderr) == (2, f'error: {message}\n')
    assert ended == [(2, '', f'error: another process failed: {message}\n')] * (world_size - 1)


def test_a_hanging_process_is_ended(tmp_path):
    started = time.monotonic()
    guilty, other = start(2, 'hang', tmp_path)[::-1]
    assert guilty[0] == 2
    assert other == (2, '', 'error: another process failed: rank 1: a.png cannot be read\n')
    assert time.monotonic() - started < 50  # without that it would sleep for a minute


def test_a_lost_process_is_reported(tmp_path):
    *others, killed = start(3, 'killed', tmp_path)
    assert killed == (-9, '', '')
    for rank, other in enumerate(others):
        assert other == (
            2,
            '',
            f'error: rank {rank}: another process ended without a message; was it killed, perhaps '
            'because memory ran out?\n',
        )


# a watch that has seen no other process fail
QUIET = SimpleNamespace(end=lambda: None, first_failure=lambda: None, post=lambda message: None)

SYSTEM = """NCCL error in: ProcessGroupNCCL.cpp:3690, unhandled system error \
(run with NCCL_DEBUG=INFO for details)
ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.
Last error:
socketProgress: Connection closed by remote peer node1<4711>"""
INTERNAL = """NCCL error in: NCCLUtils.cpp:94, internal error - please \
report this issue to the NCCL developers
ncclInternalError: Internal check failed.
Last error:
Net : unexpected transport"""
TIMEOUT = (
    '[Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=7) ran for '
    '3600020 ms before timing out.'
)


@pytest.mark.parametrize(
    ('error', 'detail'),
    [
        (
            dist.DistBackendError(SYSTEM),
            ' (socketProgress: Connection closed by remote peer node1<4711>)',
        ),
        (RuntimeError(INTERNAL), ' (Net : unexpected transport)'),
        (
            dist.DistBackendError('ncclRemoteError: A call failed possibly due to a network error'),
            '',
        ),
        (dist.DistBackendError(TIMEOUT), ''),
        (dist.DistBackendError('NCCL communicator was aborted on rank 1.'), ''),
        (dist.DistNetworkError('failed to recv, got 0 bytes'), ''),
        (dist.DistStoreError('wait timeout after 300000ms, keys: /default_pg/0//cuda//0'), ''),
    ],
)
def test_a_process_lost_over_nccl_is_reported(error, detail, monkeypatch):
    monkeypatch.setattr(module, 'start_processes', lambda *_: Processes(1, 2, 1, 2, QUIET))
    with pytest.raises(InputError) as told, several_processes(True, '', StopRequest()):
        raise error
    assert (
        str(told.value)
        == f'rank 1: another process ended without a message; was it killed, perhaps because '
        f'memory ran out?{detail}'
    )


@pytest.mark.parametrize(
    'text', ['ncclInvalidUsage: Duplicate GPU detected', 'ncclUnhandledCudaError: invalid argument']
)
def test_another_error_of_nccl_is_no_lost_process(text, monkeypatch):
    monkeypatch.setattr(module, 'start_processes', lambda *_: Processes(1, 2, 1, 2, QUIET))
    with (
        pytest.raises(dist.DistBackendError, match=text),
        several_processes(True, '', StopRequest()),
    ):
        raise dist.DistBackendError(text)


# ------------------------------------------------------------------------------------- one process


def test_one_process_needs_no_group():
    tensor = torch.ones(2, 3, requires_grad=True)
    model = nn.BatchNorm2d(3)
    assert SINGLE.main and SINGLE.world_size == 1
    assert SINGLE.gather(tensor) is tensor and SINGLE.gather_rows(tensor) is tensor
    assert SINGLE.wrap(model, CPU) is model
    assert SINGLE.broadcast('a') == 'a' and SINGLE.any(True) is True and SINGLE.any(0) is False
    assert SINGLE.shard(5, 2) == range(5)
    for nothing in (
        SINGLE.barrier(),
        SINGLE.average_gradients([tensor]),
        SINGLE.broadcast_buffers(model),
    ):
        assert nothing is None
    assert not torch.distributed.is_initialized()


def test_shards_are_whole_batches():
    for world_size in range(1, 6):
        for count in range(0, 40):
            for batch in range(1, 8):
                shards = [
                    Processes(rank, world_size).shard(count, batch) for rank in range(world_size)
                ]
                assert [i for shard in shards for i in shard] == list(range(count))
                assert all(shard.start % batch == 0 for shard in shards if shard)
                assert (
                    len(shards[0]) == max(map(len, shards))
                    or max(map(len, shards)) - len(shards[0]) <= batch
                )
                assert shards[0] or not count


@pytest.fixture
def torchrun(monkeypatch):
    """Function that sets torchrun's variables; without arguments it removes them."""

    def set_them(**variables):
        for name in COMPLETE:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    set_them()
    return set_them


COMPLETE = {
    'RANK': 1,
    'WORLD_SIZE': 2,
    'LOCAL_RANK': 1,
    'LOCAL_WORLD_SIZE': 2,
    'MASTER_ADDR': '127.0.0.1',
    'MASTER_PORT': 1,
}


def test_one_process_without_torchrun(torchrun):
    assert start_processes(False, 'gloo') is SINGLE
    with several_processes(False, 'gloo', StopRequest()) as processes:
        assert processes is SINGLE


def test_one_process_with_torchrun(torchrun):
    torchrun(**COMPLETE | {'RANK': 0, 'WORLD_SIZE': 1, 'LOCAL_RANK': 0, 'LOCAL_WORLD_SIZE': 1})
    assert start_processes(True, 'gloo') is SINGLE
    assert start_processes(False, 'gloo') is SINGLE


@pytest.mark.parametrize(
    'wanted, variables, message',
    [
        (
            True,
            {},
            r"is True, but the environment lacks .* \('LOCAL_RANK'\); start with torchrun --nproc",
        ),
        (
            True,
            {**COMPLETE, 'MASTER_PORT': ''},
            r'\(.*MASTER_PORT expected, but not set\); start with torchrun',
        ),
        (True, {**COMPLETE, 'RANK': 'one'}, r"\(.*'one'\); start with torchrun"),
        (False, COMPLETE, 'torchrun has started 2 processes, .* set MODEL.DIST_TRAIN True'),
    ],
)
def test_environment_and_config_must_agree(wanted, variables, message, torchrun):
    torchrun(**variables)
    with pytest.raises(InputError, match=message):
        start_processes(wanted, 'gloo')


def test_other_processes_that_cannot_be_reached(torchrun, monkeypatch):
    torchrun(**COMPLETE)
    monkeypatch.setattr(module, 'START_TIMEOUT', module.timedelta(seconds=1))
    with pytest.raises(
        InputError, match='rank 1 of 2 cannot reach the other processes at 127.0.0.1:1 '
    ):
        start_processes(True, 'gloo')
    assert not torch.distributed.is_initialized()


if __name__ == '__main__':
    sys.exit(program(*sys.argv[1:]))
