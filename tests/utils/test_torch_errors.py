"""Errors of torch that the user can fix become one line."""

import pytest
import torch

from utils.errors import InputError
from utils.torch_errors import translated_errors

ACCELERATOR_ERROR = getattr(torch, 'AcceleratorError', RuntimeError)
ASYNCHRONOUS = '\nCUDA kernel errors might be asynchronously reported at some other API call.'
OUTSIDE = "CUDA ran out of memory outside PyTorch's allocator."
PINNED = (
    'Caught RuntimeError in pin memory thread for device 0.\nTraceback: line '
    '5\nRuntimeError: CUDA error: out of memory'
)


@pytest.mark.parametrize(
    ('error', 'reason'),
    [
        (
            torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB\nmore'),
            'CUDA out of memory. Tried to allocate 2 GiB',
        ),
        (MemoryError(), 'MemoryError'),
        (
            RuntimeError(
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            ),
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
        ),
        (
            ACCELERATOR_ERROR('CUDA error: out of memory' + ASYNCHRONOUS),
            'CUDA error: out of memory',
        ),
        (RuntimeError('CUDA error: out of memory' + ASYNCHRONOUS), 'CUDA error: out of memory'),
        (RuntimeError(PINNED), 'RuntimeError: CUDA error: out of memory'),
        (
            RuntimeError(
                'CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`'
            ),
            'CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`',
        ),
        (
            RuntimeError('cuDNN error: CUDNN_STATUS_ALLOC_FAILED'),
            'cuDNN error: CUDNN_STATUS_ALLOC_FAILED',
        ),
        (
            RuntimeError('cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED'),
            'cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED',
        ),
        (
            RuntimeError(
                'CUDA error: insufficient resources when calling `cusparseSpGEMM_compute()`'
            ),
            'CUDA error: insufficient resources when calling `cusparseSpGEMM_compute()`',
        ),
        (
            RuntimeError(
                'GET was unable to find an engine to execute this computation; '
                'CUDNN_STATUS_ALLOC_FAILED'
            ),
            (
                'GET was unable to find an engine to execute this computation; '
                'CUDNN_STATUS_ALLOC_FAILED'
            ),
        ),
        (RuntimeError(OUTSIDE), OUTSIDE),
        (
            RuntimeError('Pin memory thread exited unexpectedly'),
            'Pin memory thread exited unexpectedly',
        ),
    ],
)
def test_out_of_memory_in_one_line(error, reason):
    with pytest.raises(InputError) as caught, translated_errors('TEST.IMS_PER_BATCH'):
        raise error
    assert (
        str(caught.value)
        == f'out of memory ({reason}); lower TEST.IMS_PER_BATCH, or use smaller photos'
    )


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (
            'CUDA error: no kernel image is available for execution on the device',
            'has no kernels for this GPU; install a torch built for it',
        ),
        (
            'CUDA error: CUDA-capable device(s) is/are busy or unavailable',
            'another process has exclusive use of the GPU',
        ),
        (
            'GET was unable to find an engine to execute this computation',
            'cuDNN cannot .* full, or this GPU does not support .*; lower X,',
        ),
    ],
)
def test_a_gpu_that_cannot_be_used(text, message):
    with pytest.raises(InputError, match=message) as caught, translated_errors('X'):
        raise ACCELERATOR_ERROR(text + ASYNCHRONOUS)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'text', ['CUDA error: device-side assert triggered', 'expected scalar type Half']
)
def test_other_errors_are_not_changed(text):
    with pytest.raises(RuntimeError, match=text), translated_errors('X'):
        raise ACCELERATOR_ERROR(text)
