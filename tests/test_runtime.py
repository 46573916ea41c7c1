"""Device, precision and the kernels' settings. GPUs are pretended: no test here needs one."""
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from conftest import ROOT

from utils.runtime import make_runtime


def pretend_gpu(monkeypatch, capability=(8, 0), count=1):
    """torch.cuda answers as on a machine with ``count`` GPUs, for what asks before any kernel runs."""
    gpu = SimpleNamespace(major=capability[0], minor=capability[1])
    answers = {'is_available': lambda: count > 0, 'device_count': lambda: count, 'current_device': lambda: 0,
               'get_device_properties': lambda device=None: gpu, 'set_device': lambda device: None,
               '_check_bf16_tensor_supported': lambda device: True}  # emulation works on all of them
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    return gpu


@pytest.mark.parametrize(('capability', 'precision'), [
    ((7, 0), 'fp16'), ((7, 5), 'fp16'), ((8, 0), 'bf16'), ((8, 9), 'bf16'), ((9, 0), 'bf16')])
def test_bf16_only_where_the_gpu_computes_in_it(monkeypatch, capability, precision):
    pretend_gpu(monkeypatch, capability)
    runtime = make_runtime('cuda')
    assert (runtime.precision, runtime.scaler.is_enabled()) == (precision, precision == 'fp16')


PRECISIONS = '''
import torch
torch.cuda.is_available = lambda: True
torch.cuda.is_bf16_supported = lambda including_emulation=True: True
from utils.runtime import make_runtime
before = torch.backends.cuda.matmul.allow_tf32
runtime = make_runtime('cuda')
print(before, torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32,
      torch.get_float32_matmul_precision(), runtime.precision)
'''


@pytest.mark.parametrize('override', ['0', '1'])
def test_float32_keeps_all_its_bits(override):
    """Containers of vendors switch TF32 on by this variable, which torch reads when it is imported."""
    environment = os.environ | {'TORCH_ALLOW_TF32_CUBLAS_OVERRIDE': override}
    done = subprocess.run([sys.executable, '-W', 'error', '-c', PRECISIONS], cwd=ROOT, env=environment,
                          capture_output=True, text=True)
    assert done.stdout.split() == [str(override == '1'), 'False', 'False', 'highest', 'bf16'], done.stderr


@pytest.mark.parametrize(('workspace', 'expected'), [
    (None, ':4096:8'), (':16:8', ':16:8'), (':4096:2:16:8', ':4096:8'), ('', ':4096:8')])
def test_deterministic_products_have_their_workspace(monkeypatch, workspace, expected):
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG', raising=False)
    if workspace is not None:
        monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', workspace)
    monkeypatch.setattr(torch, 'use_deterministic_algorithms', lambda mode: None)
    make_runtime('cpu', deterministic=True)
    assert os.environ['CUBLAS_WORKSPACE_CONFIG'] == expected
