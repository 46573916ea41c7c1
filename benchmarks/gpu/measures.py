"""Parts that need no training: the device, features, re-ranking, steps, kernels of cuDNN.

A part is a function of (settings, folder) that returns a ``Finding``. ``folder`` is an empty folder
for its files.
"""

import contextlib
import functools
import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from benchmarks import inputs, stage2
from benchmarks.core import ROUNDS, Facts, Settings, relative_difference, seconds_of
from benchmarks.gpu.findings import Finding
from benchmarks.inputs import clustered_features, photos_in_batch, query_and_gallery
from benchmarks.rows import run_case
from utils.device import make_runtime
from utils.photo_distances import Metric
from utils.reranking import ReRanking, re_rank_features

CPU = torch.device('cpu')
# Largest relative difference between features of GPU and CPU; 1e-5 is usual, 1e-3 means TF32.
FEATURES = 1e-4
# Largest relative difference between re-ranked distances, where rounding may change neighbours.
DISTANCES = 1e-3
TRAIN_PHOTOS = 1887  # in ATRW
# k1 and k2 of re-ranking.
PUBLISHED: dict[Metric, tuple[int, int]] = {'cosine': (20, 6), 'euclidean': (50, 15)}
Result = TypeVar('Result')


def device(settings: Settings, folder: Path) -> Finding:
    """Describe the device, and check that float32 is not computed in TF32."""
    runtime = make_runtime(settings.device.type)
    backend = torch.get_device_module(settings.device)
    facts: Facts = {
        'torch': torch.__version__,
        'cudnn': torch.backends.cudnn.version(),
        'precision': runtime.precision,
        'devices': backend.device_count(),
        'products': torch.get_float32_matmul_precision(),
        'cudnn_tf32': torch.backends.cudnn.allow_tf32,
        'cudnn_benchmark': torch.backends.cudnn.benchmark,
    }
    name, tf32 = 'the CPU', False
    if not settings.on_cpu:
        properties = backend.get_device_properties(settings.device)
        facts |= {
            'name': properties.name,
            'capability': f'{properties.major}.{properties.minor}',
            'memory_gb': properties.total_memory / 1e9,
        }
        name = f'{facts["name"]}, {facts["memory_gb"]:.0f} GB, capability {facts["capability"]}'
        tf32 = facts['products'] != 'highest' or facts['cudnn_tf32']
    text = (
        f'{name}; torch {torch.__version__}; SOLVER.AMP auto is {runtime.precision}; TF32 is '
        f'{"on" if tf32 else "off"}'
    )
    return Finding(text, facts, ['float32 is computed in TF32'] if tf32 else [])


def features(settings: Settings, folder: Path) -> Finding:
    """Compare the test features of both models between GPU and CPU."""
    facts, wrong = {}, []
    for name in inputs.YML:
        torch.manual_seed(settings.seed)
        _, model, cfg = inputs.random_model(replace(settings, device=CPU), name)
        photos = torch.randn(8, 3, *cfg.INPUT.SIZE_TEST)
        model.eval()
        make_runtime(settings.device.type)  # sets the kernel options of torch as in training
        with torch.inference_mode():
            on_cpu = model(photos)
            on_device = model.to(settings.device)(photos.to(settings.device))
        facts[name] = relative_difference(on_cpu, on_device)
        if not facts[name] <= FEATURES:
            wrong.append(
                f'{name}: features differ from those of the CPU by {facts[name]:.1e}, at most '
                f'{FEATURES:.0e} is allowed'
            )
    differences = [f'{name} {difference:.1e}' for name, difference in facts.items()]
    return Finding(f'difference from the CPU: {", ".join(differences)}', facts, wrong)


# Re-ranking


def reranking(settings: Settings, folder: Path) -> Finding:
    """Re-rank as many photos as in ATRW (3,528) on both devices, and 50,000 on the GPU.

    On the GPU the 3,528 photos are re-ranked twice, and once more with deterministic kernels. For
    the 50,000 the memory is measured.
    """
    queries, large = (100, 300) if settings.quick else (1764, 50_000)
    facts = _both_devices(settings, queries)
    facts['large'] = [_large(settings, large, metric) for metric in PUBLISHED]
    wrong = []
    for name in ('difference', 'deterministic_difference'):
        if not facts[name] <= DISTANCES:
            wrong.append(
                f'{name} from the CPU is {facts[name]:.1e}, at most {DISTANCES:.0e} is allowed'
            )
    if facts['run_to_run']:
        wrong.append(f'a repeated run differs by {facts["run_to_run"]:.1e}')
    texts = [
        f'{2 * queries:,} photos: {facts["device_s"]:.3f} s (CPU {facts["cpu_s"]:.3f}, '
        f'deterministic {facts["deterministic_s"]:.3f}), difference {facts["difference"]:.0e}'
    ]
    for one in facts['large']:
        texts.append(
            f'{large:,} photos, k1 {one["k1"]}: {one["seconds"]:.1f} s, {one["peak_gb"]:.1f} GB'
        )
    return Finding('; '.join(texts), facts, wrong)


def _both_devices(settings: Settings, queries: int) -> Facts:
    """Return seconds and differences of re-ranking photos that are both query and gallery."""
    make_runtime(settings.device.type)  # sets the kernel options of torch as in training
    photos, query, gallery = query_and_gallery(settings, queries, queries)
    tensor = torch.from_numpy(photos).to(settings.device)
    call = functools.partial(re_rank_features, tensor, query, gallery)
    on_cpu, cpu_s = _call_and_time(functools.partial(re_rank_features, photos, query, gallery))
    on_device, device_s = _call_and_time(call)
    repeated = call()
    with _deterministic():
        ordered, deterministic_s = _call_and_time(call)
    return {
        'photos': 2 * queries,
        'cpu_s': cpu_s,
        'device_s': device_s,
        'deterministic_s': deterministic_s,
        'difference': relative_difference(on_cpu, on_device),
        'run_to_run': relative_difference(on_device, repeated),
        'deterministic_difference': relative_difference(on_cpu, ordered),
    }


def _call_and_time(function: Callable[[], Result]) -> tuple[Result, float]:
    """Return the result of the first call, and the median seconds of three further calls."""
    return function(), statistics.median(seconds_of(function) for _ in range(3))


def _large(settings: Settings, photos: int, metric: Metric) -> Facts:
    """Return seconds and peak memory of one call in which a fifth of the photos are queries."""
    k1, k2 = PUBLISHED[metric]
    features = torch.from_numpy(clustered_features(photos, seed=settings.seed)).to(settings.device)
    query, gallery = np.split(np.arange(photos), [photos // 5])

    def call() -> None:
        re_rank_features(features, query, gallery, ReRanking(k1, k2), metric)

    seconds, peak = with_peak_memory(settings.device, lambda: seconds_of(call))
    return {
        'photos': photos,
        'metric': metric,
        'k1': k1,
        'k2': k2,
        'seconds': seconds,
        'peak_gb': peak,
    }


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def with_peak_memory(device: torch.device, function: Callable[[], Result]) -> tuple[Result, float]:
    """Return the result of ``function`` and the peak memory of the device.

    The memory is in 10⁹ bytes, and NaN on the CPU.
    """
    if device.type == 'cpu':
        return function(), math.nan
    torch.accelerator.reset_peak_memory_stats()
    result = function()
    return result, torch.accelerator.max_memory_allocated() / 1e9


# Steps


def steps(name: str, settings: Settings, folder: Path) -> Finding:
    """Compare a stage-2 step, and the losses of many steps, with the plain formulation.

    Args:
        name: 'RN50' or 'ViT', with the tiger settings.
        settings: Device and number of photos.
        folder: Not used.
    """
    rounds = 1 if settings.quick else ROUNDS
    step = run_case(stage2.step_case(settings, name), settings, torch.get_num_threads(), rounds)
    losses = stage2.loss_case(settings, name)
    with losses.ways() as ways:
        calls = ways.by_name()
        difference = float(losses.difference(calls['plain'](), calls['ours']()))
    wrong = [f'the step: {step["failed"]}'] if 'failed' in step else []
    if not difference <= losses.tolerance:
        wrong.append(
            f'losses differ by {difference:.1e}, at most {losses.tolerance:.1e} is allowed'
        )
    texts = [*_step_texts(step, photos_in_batch(settings)), f'losses differ by {difference:.0e}']
    return Finding('; '.join(texts), {'step': step, 'losses_difference': difference}, wrong)


def _step_texts(step: Facts, photos: int) -> list[str]:
    """Describe the row of a step with this number of photos."""
    ours, plain = (step[way]['median_s'] for way in ('ours', 'plain'))
    count = math.ceil(TRAIN_PHOTOS / photos)
    texts = [
        f'{ours:.4f} s per step of {photos} photos, plain {plain:.4f} ({step["ratio"]:.2f}×); an '
        f'epoch of {count} such steps {count * ours:.1f} s, plain {count * plain:.1f}'
    ]
    profile = step.get('profile', {})
    if 'device_idle' in profile:
        kernels = [f'{kernel[:40]} {share:.0%}' for kernel, share in profile['device_kernels'][:3]]
        largest = ', '.join(kernels) or 'none'
        texts.append(f'idle {profile["device_idle"]:.0%}, kernels: {largest}')
    if 'share_of_limit' in profile:
        share = profile['share_of_limit']
        texts.append(f'{share:.0%} of the arithmetic limit of {profile["dtype"]} products')
    if 'memory' in step:
        texts.append(f'peak {step["memory"]["ours"]["peak_bytes"] / 1e9:.1f} GB')
    return texts


def cudnn(settings: Settings, folder: Path) -> Finding:
    """Time a step of RN50 with and without ``cudnn.benchmark``, which chooses the kernels."""
    before, facts = torch.backends.cudnn.benchmark, {}
    calls = 2 if settings.quick else 10
    with stage2.step_case(settings, 'RN50').ways() as ways:
        if ways.reset:
            ways.reset()
        try:
            for name, benchmark in (('first', False), ('tried', True)):
                torch.backends.cudnn.benchmark = benchmark
                facts[f'{name}_call_s'] = seconds_of(ways.ours)
                ways.ours()
                facts[f'{name}_s'] = statistics.median(seconds_of(ways.ours) for _ in range(calls))
        finally:
            torch.backends.cudnn.benchmark = before
    text = (
        f'RN50: {facts["first_s"]:.4f} s per step, {facts["tried_s"]:.4f} with cudnn.benchmark '
        f'({facts["first_s"] / facts["tried_s"]:.2f}×), with which the first step takes '
        f'{facts["tried_call_s"]:.1f} s'
    )
    return Finding(text, facts)
