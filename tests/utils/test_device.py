"""Device, precision and kernel settings. GPUs are simulated; no test here needs one."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

import test_clipreid
import train_clipreid
from tests.helpers import ROOT
from tools import rank_photos
from utils.device import Runtime, make_runtime, process_backend
from utils.distributed import Processes
from utils.errors import InputError


def simulate_gpu(monkeypatch, capability=(8, 0), count=1):
    """Let torch.cuda answer as on a machine with ``count`` GPUs, until a kernel runs."""
    gpu = SimpleNamespace(major=capability[0], minor=capability[1])
    answers = {
        'is_available': lambda: count > 0,
        'device_count': lambda: count,
        'current_device': lambda: 0,
        'get_device_properties': lambda device=None: gpu,
        'set_device': lambda device: None,
        '_check_bf16_tensor_supported': lambda device: True,
    }  # emulation works on all of them
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    return gpu


@pytest.mark.parametrize(
    ('capability', 'precision'),
    [((7, 0), 'fp16'), ((7, 5), 'fp16'), ((8, 0), 'bf16'), ((8, 9), 'bf16'), ((9, 0), 'bf16')],
)
def test_bf16_only_on_gpus_with_native_bf16(monkeypatch, capability, precision):
    simulate_gpu(monkeypatch, capability)
    runtime = make_runtime('cuda')
    assert (runtime.precision, runtime.scaler.is_enabled()) == (precision, precision == 'fp16')


PRECISIONS = """
import torch
torch.cuda.is_available = lambda: True
torch.cuda.is_bf16_supported = lambda including_emulation=True: True
from utils.device import make_runtime
before = torch.backends.cuda.matmul.allow_tf32
runtime = make_runtime('cuda')
print(before, torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32,
      torch.get_float32_matmul_precision(), runtime.precision)
"""


@pytest.mark.parametrize('override', ['0', '1'])
def test_float32_products_have_full_precision(override):
    """Vendors' containers enable TF32 with this variable, which torch reads on import."""
    environment = os.environ | {'TORCH_ALLOW_TF32_CUBLAS_OVERRIDE': override}
    done = subprocess.run(
        [sys.executable, '-W', 'error', '-c', PRECISIONS],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [str(override == '1'), 'False', 'False', 'highest', 'bf16'], (
        done.stderr
    )


@pytest.mark.parametrize(
    ('workspace', 'expected'),
    [(None, ':4096:8'), (':16:8', ':16:8'), (':4096:2:16:8', ':4096:8'), ('', ':4096:8')],
)
def test_deterministic_mode_sets_the_cublas_workspace(monkeypatch, workspace, expected):
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG', raising=False)
    if workspace is not None:
        monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', workspace)
    monkeypatch.setattr(torch, 'use_deterministic_algorithms', lambda mode: None)
    make_runtime('cpu', deterministic=True)
    assert os.environ['CUBLAS_WORKSPACE_CONFIG'] == expected


@pytest.mark.parametrize('script', [train_clipreid, test_clipreid, rank_photos])
def test_the_compiler_is_tried_on_the_device_of_the_run(world, monkeypatch, script):
    """A GPU needs Triton, not the CPU's C++ compiler. Here 'meta' stands for the other device."""
    tried = []

    def compile_function(function):
        def run(x):
            tried.append(x.device.type)
            raise RuntimeError('Cannot find a working triton installation\nmore')

        return run

    monkeypatch.setattr(torch, 'compile', compile_function)
    monkeypatch.setattr('utils.device._device', lambda name, processes: torch.device('meta'))
    args = world.args('MODEL.COMPILE', 'True', 'TEST.WEIGHT', 'x.pth')
    if script is rank_photos:
        args = ['--photos', str(world.folder / 'test'), *args]
    with pytest.raises(
        InputError,
        match='does not work on meta .Cannot find a working triton installation.; .* Triton',
    ):
        script.main(args)
    assert tried == ['meta'] and not list(world.output.iterdir() if world.output.exists() else [])


@pytest.mark.parametrize(('device', 'beside'), [('cuda', True), ('mps', False)])
def test_only_pinned_memory_is_copied_without_waiting(monkeypatch, device, beside):
    """Other memory may be reused before the copy has read it."""
    steps = []

    def pin_memory(tensor):
        steps.append('pinned')
        return tensor

    def to(tensor, device, non_blocking):
        steps.append((device.type, non_blocking))
        return tensor

    monkeypatch.setattr(torch.Tensor, 'pin_memory', pin_memory)
    monkeypatch.setattr(torch.Tensor, 'to', to)
    runtime = Runtime(torch.device(device), None, None, 'fp32')
    numbers = runtime.move_all(torch.arange(3), torch.arange(2))
    assert [part.tolist() for part in numbers] == [[0, 1, 2], [0, 1]]
    assert steps == ['pinned'] * beside + [(device, beside)]


@pytest.mark.parametrize(
    ('device', 'gpus', 'nccl', 'backend'),
    [
        ('cuda', 1, True, 'cpu:gloo,cuda:nccl'),
        ('cuda', 1, False, 'gloo'),
        ('cuda', 0, True, 'gloo'),
        ('cpu', 1, True, 'gloo'),
    ],
)
def test_backend_of_several_processes(monkeypatch, device, gpus, nccl, backend):
    """Torch for Windows has GPUs and no NCCL."""
    simulate_gpu(monkeypatch, count=gpus)
    monkeypatch.setattr(torch.distributed, 'is_nccl_available', lambda: nccl)
    assert process_backend(device) == backend


def test_a_run_on_the_cpu_does_not_initialise_cuda(world, monkeypatch):
    """That takes a second and hundreds of megabytes of GPU memory."""

    def initialise(*_):
        raise AssertionError('CUDA was initialised')

    simulate_gpu(monkeypatch)
    for owner, name in ((torch.cuda, '_lazy_init'), (torch.Tensor, 'is_pinned')):
        monkeypatch.setattr(owner, name, initialise)
    monkeypatch.setattr(
        torch.accelerator, 'current_stream', lambda *_: SimpleNamespace(is_capturing=lambda: False)
    )
    train_clipreid.main(world.args('SOLVER.STAGE1.MAX_EPOCHS', 1, 'SOLVER.STAGE2.MAX_EPOCHS', 1))
    state = torch.load(world.output / 'resume.pth')
    assert state['random']['cuda'] == []
    train_clipreid.main(
        world.args('--resume', 'SOLVER.STAGE1.MAX_EPOCHS', 1, 'SOLVER.STAGE2.MAX_EPOCHS', 2)
    )


def devices_of(monkeypatch, visible):
    """Devices of the processes of a machine; ``visible`` holds their GPUs' serial numbers."""

    def run(rank, all_gather_object):
        simulate_gpu(monkeypatch, count=len(visible[rank]))
        monkeypatch.setattr(
            torch.cuda,
            'get_device_properties',
            lambda index=0: SimpleNamespace(major=9, minor=0, uuid=visible[rank][index]),
        )
        monkeypatch.setattr(torch.distributed, 'all_gather_object', all_gather_object)
        return make_runtime(
            'cuda', processes=Processes(rank, len(visible), rank, len(visible))
        ).device

    class Gathered(Exception):
        pass

    def note(serials, serial):
        gathered.append(serial)
        raise Gathered

    def answer(serials, serial):
        serials[:] = gathered

    gathered = []
    for rank in range(len(visible)):
        with pytest.raises(Gathered):
            run(rank, note)
    return [str(run(rank, answer)) for rank in range(len(visible))]


@pytest.mark.parametrize(
    ('visible', 'devices'),
    [
        ([['a', 'b', 'c']] * 3, ['cuda:0', 'cuda:1', 'cuda:2']),
        ([['a'], ['b'], ['c']], ['cuda:0'] * 3),  # SLURM's --gpus-per-task=1
        ([['b', 'a'], ['c', 'd'], ['e']], ['cuda:0'] * 3),
        ([[], []], ['cpu'] * 2),
    ],
)
def test_each_process_gets_its_own_gpu(monkeypatch, visible, devices):
    assert devices_of(monkeypatch, visible) == devices


@pytest.mark.parametrize(
    'visible', [[['a']] * 4, [['a', 'b']] * 3, [['a'], ['b'], ['a']], [['a'], []]]
)
def test_processes_that_share_a_gpu_are_rejected(monkeypatch, visible):
    with pytest.raises(
        InputError,
        match=rf'its own GPU: {len(visible)} processes were started on this machine, and this one '
        rf'sees {len(visible[0])} GPUs',
    ):
        devices_of(monkeypatch, visible)
