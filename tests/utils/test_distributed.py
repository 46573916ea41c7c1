"""Several processes: they communicate, train like a single process, and end together."""

import json
import time
from functools import cache
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from torch import nn

from tests.utils.group_checks import CHECKS, CPU
from tests.utils.group_program import start
from utils import distributed as module
from utils.distributed import SINGLE, Processes, several_processes, start_processes
from utils.errors import InputError
from utils.run.signals import StopRequest

SIZES = (2, 3)


@pytest.fixture(scope='module')
def checked(zygote, tmp_path_factory):
    """world size -> ({name: outcomes of the ranks}, [(exit code, stdout, stderr)])"""

    @cache
    def run(world_size):
        folder = tmp_path_factory.mktemp(f'group{world_size}')
        ended = start(zygote, world_size, 'checks', folder)
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
def test_all_processes_report_an_error_of_one(world_size, how, guilty, message, zygote, tmp_path):
    ended = start(zygote, world_size, how, tmp_path)
    code, _, stderr = ended.pop(guilty)
    if how == 'bug':
        assert code == 1 and 'Traceback' in stderr
    else:
        assert (code, stderr) == (2, f'error: {message}\n')
    assert ended == [(2, '', f'error: another process failed: {message}\n')] * (world_size - 1)


def test_a_hanging_process_is_ended(zygote, tmp_path):
    started = time.monotonic()
    guilty, other = start(zygote, 2, 'hang', tmp_path)[::-1]
    assert guilty[0] == 2
    assert other == (2, '', 'error: another process failed: rank 1: a.png cannot be read\n')
    assert time.monotonic() - started < 50  # without that it would sleep for a minute


def test_a_lost_process_is_reported(zygote, tmp_path):
    *others, killed = start(zygote, 3, 'killed', tmp_path)
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
