"""Parts of the GPU check that need no training: the device, features, re-ranking, steps, cuDNN's
choice of kernels.

A part is a function of (settings, folder) that returns a ``Finding``; ``folder`` is an empty one
for its files.
"""

import contextlib
import functools
import statistics
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from benchmarks import models as benchmark_models
from benchmarks.cases import clustered_features, query_and_gallery
from benchmarks.core import ROUNDS, relative_difference, run_case, seconds_of
from model.clip.weights import ARCHITECTURES, Architecture
from utils.device import make_runtime
from utils.reranking import ReRanking, re_rank_features

CPU = torch.device('cpu')
FEATURES = (
    1e-4  # relative difference of a GPU's features from the CPU's; 1e-5 is usual, 1e-3 means TF32
)
DISTANCES = 1e-3  # the same of re-ranked distances: a last digit may decide who is whose neighbour
TRAIN_PHOTOS = 1887  # of ATRW
PUBLISHED = {'cosine': (20, 6), 'euclidean': (50, 15)}  # k1 and k2 of re-ranking, by metric
TOY = {
    'RN50': Architecture((1, 1, 1, 1), 16, 16, 64, 2, 64, 2),
    'ViT-B-16': Architecture(2, 64, 16, 64, 2, 64, 2),
}
TOY_PHOTOS = ('INPUT.SIZE_TRAIN', '[32,32]', 'INPUT.SIZE_TEST', '[32,32]')


@dataclass
class Finding:
    """What a part has found. text: one line for people; facts: for JSON; wrong: what is not as it
    must be.
    """

    text: str
    facts: dict
    wrong: list = field(default_factory=list)


@contextlib.contextmanager
def toy_models():
    """CLIPs of random weights are tiny within it: to rehearse a part on the CPU in seconds."""
    before = dict(ARCHITECTURES)
    ARCHITECTURES.update(TOY)
    try:
        yield
    finally:
        ARCHITECTURES.update(before)


def device(settings, folder):
    """What there is, and whether float32 keeps all its bits."""
    runtime = make_runtime(settings.device.type)
    backend = torch.get_device_module(settings.device)
    on_gpu = settings.device.type != 'cpu'
    facts = {
        'torch': torch.__version__,
        'cudnn': torch.backends.cudnn.version(),
        'precision': runtime.precision,
        'devices': backend.device_count(),
        'products': torch.get_float32_matmul_precision(),
        'cudnn_tf32': torch.backends.cudnn.allow_tf32,
        'cudnn_benchmark': torch.backends.cudnn.benchmark,
    }
    if on_gpu:
        properties = backend.get_device_properties(settings.device)
        facts |= {
            'name': properties.name,
            'capability': f'{properties.major}.{properties.minor}',
            'memory_gb': properties.total_memory / 1e9,
        }
    tf32 = on_gpu and (facts['products'] != 'highest' or facts['cudnn_tf32'])
    name = (
        f'{facts["name"]}, {facts["memory_gb"]:.0f} GB, capability {facts["capability"]}'
        if on_gpu
        else 'the CPU'
    )
    text = (
        f'{name}; torch {torch.__version__}; auto is {runtime.precision}; TF32 '
        f'{"on" if tf32 else "off"}'
    )
    return Finding(text, facts, ['float32 is computed in TF32'] if tf32 else [])


def features(settings, folder):
    """Test features of both models: the GPU's against the CPU's."""
    facts, wrong = {}, []
    for name in benchmark_models.YML:
        torch.manual_seed(settings.seed)
        _, model, cfg = benchmark_models.random_model(replace(settings, device=CPU), name)
        photos = torch.randn(8, 3, *cfg.INPUT.SIZE_TEST)
        model.eval()
        make_runtime(settings.device.type)  # for its settings
        with torch.inference_mode():
            here = model(photos)
            there = model.to(settings.device)(photos.to(settings.device))
        facts[name] = relative_difference(here, there)
        if not facts[name] <= FEATURES:
            wrong.append(
                f"{name}: features differ from the CPU's by {facts[name]:.1e}, {FEATURES:.0e} is "
                'allowed'
            )
    text = "from the CPU's: " + ', '.join(
        f'{name} {difference:.1e}' for name, difference in facts.items()
    )
    return Finding(text, facts, wrong)


def reranking(settings, folder):
    """ATRW's 3,528 photos on both devices, twice on the GPU and with deterministic kernels; then
    50,000 and their memory.
    """
    queries, large = (100, 300) if settings.quick else (1764, 50_000)
    make_runtime(settings.device.type)  # for its settings
    photos, query, gallery = query_and_gallery(settings, queries, queries)
    tensor = torch.from_numpy(photos).to(settings.device)
    on_device = functools.partial(re_rank_features, tensor, query, gallery)
    here, cpu_s = _call_and_time(functools.partial(re_rank_features, photos, query, gallery))
    there, device_s = _call_and_time(on_device)
    again = on_device()
    with _deterministic():
        ordered, deterministic_s = _call_and_time(on_device)
    facts = {
        'photos': 2 * queries,
        'cpu_s': cpu_s,
        'device_s': device_s,
        'deterministic_s': deterministic_s,
        'difference': relative_difference(here, there),
        'run_to_run': relative_difference(there, again),
        'deterministic_difference': relative_difference(here, ordered),
        'large': [_large(settings, large, metric) for metric in PUBLISHED],
    }
    wrong = []
    for name in ('difference', 'deterministic_difference'):
        if not facts[name] <= DISTANCES:
            wrong.append(f'{name} from the CPU is {facts[name]:.1e}, {DISTANCES:.0e} is allowed')
    if facts['run_to_run']:
        wrong.append(f'the same again differs by {facts["run_to_run"]:.1e}')
    text = (
        f'{2 * queries:,} photos: {facts["device_s"]:.3f} s (CPU {facts["cpu_s"]:.3f}, '
        'deterministic '
        f'{facts["deterministic_s"]:.3f}), difference {facts["difference"]:.0e}; '
    )
    return Finding(
        text
        + '; '.join(
            f'{large:,}, k1 {one["k1"]}: {one["seconds"]:.1f} s, {one["peak_gb"]:.1f} GB'
            for one in facts['large']
        ),
        facts,
        wrong,
    )


def _call_and_time(function):
    """(result of the first call, median seconds of three more)"""
    return function(), statistics.median(seconds_of(function) for _ in range(3))


def _large(settings, photos, metric):
    """One call, a fifth of the photos being queries: seconds, and the device's peak memory."""
    k1, k2 = PUBLISHED[metric]
    queries = photos // 5
    tensor = torch.from_numpy(clustered_features(photos, seed=settings.seed)).to(settings.device)

    def call():
        re_rank_features(
            tensor, np.arange(queries), np.arange(queries, photos), ReRanking(k1, k2), metric
        )

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
def _deterministic():
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def with_peak_memory(device, function):
    """(what ``function`` returns, the device's peak memory meanwhile in 10⁹ bytes; NaN on the
    CPU)
    """
    if device.type == 'cpu':
        return function(), float('nan')
    torch.accelerator.reset_peak_memory_stats()
    result = function()
    return result, torch.accelerator.max_memory_allocated() / 1e9


def steps(name, settings, folder):
    """A stage-2 step at the tiger settings, and the losses of many: both against the plain
    formulation.
    """
    photos = settings.photos or (8 if settings.quick else benchmark_models.BATCH)
    cases = {
        case.name: case
        for case in (
            *benchmark_models.cases(settings),
            *benchmark_models.loss_cases(settings, photos),
        )
    }
    step = run_case(
        cases[f'{name}-step'], settings, torch.get_num_threads(), 1 if settings.quick else ROUNDS
    )
    losses = cases[f'{name}-losses']
    with losses.ways() as ways:
        difference = float(losses.difference(ways.plain(), ways.ours()))
    ours, plain = (step[way]['median_s'] for way in ('ours', 'plain'))
    count = -(-TRAIN_PHOTOS // photos)
    text = (
        f'{ours:.4f} s a step of {photos} photos, plain {plain:.4f} ({step["ratio"]:.2f}×); an '
        f'epoch of {count} such '
        f'steps {count * ours:.1f} s, plain {count * plain:.1f}'
    )
    profile = step.get('profile', {})
    if 'device_idle' in profile:
        kernels = [f'{kernel[:40]} {share:.0%}' for kernel, share in profile['device_kernels'][:3]]
        text += f'; idle {profile["device_idle"]:.0%}, kernels: {", ".join(kernels) or "none"}'
    if 'share_of_limit' in profile:
        text += f'; {profile["share_of_limit"]:.0%} of the limit of {profile["dtype"]} products'
    if 'memory' in step:
        text += f'; peak {step["memory"]["ours"]["peak_bytes"] / 1e9:.1f} GB'
    text += f'; losses differ by {difference:.0e}'
    wrong = [f'the step: {step["failed"]}'] if 'failed' in step else []
    if not difference <= losses.tolerance:
        wrong.append(f'losses differ by {difference:.1e}, {losses.tolerance:.1e} is allowed')
    return Finding(text, {'step': step, 'losses_difference': difference}, wrong)


def cudnn(settings, folder):
    """RN50's step with cuDNN's first kernels, and with those that it finds fastest when it tries
    them (cudnn.benchmark).
    """
    photos = settings.photos or (8 if settings.quick else benchmark_models.BATCH)
    case = next(
        case
        for case in benchmark_models.cases(replace(settings, photos=photos))
        if case.name == 'rn50-step'
    )
    before, facts = torch.backends.cudnn.benchmark, {}
    with case.ways() as ways:
        ways.reset()
        try:
            for name, tried in (('first', False), ('tried', True)):
                torch.backends.cudnn.benchmark = tried
                facts[f'{name}_call_s'] = seconds_of(ways.ours)
                ways.ours()
                facts[f'{name}_s'] = statistics.median(
                    seconds_of(ways.ours) for _ in range(2 if settings.quick else 10)
                )
        finally:
            torch.backends.cudnn.benchmark = before
    text = (
        f'RN50: {facts["first_s"]:.4f} s a step, {facts["tried_s"]:.4f} with cudnn.benchmark '
        f'({facts["first_s"] / facts["tried_s"]:.2f}×), whose first step takes '
        f'{facts["tried_call_s"]:.1f} s'
    )
    return Finding(text, facts)
