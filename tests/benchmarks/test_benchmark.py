"""The benchmark's harness on toy cases; what it times is tested elsewhere."""

import contextlib
import functools
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import __main__ as benchmark
from benchmarks import cases as benchmark_cases
from benchmarks import core as benchmark_core
from benchmarks import growth as benchmark_growth
from benchmarks import models as benchmark_models
from benchmarks import plots as plot_benchmarks
from benchmarks.core import Case, Settings, Ways, relative_difference
from tests.helpers import ROOT
from utils.device import make_runtime
from utils.errors import InputError


class Clock:
    """Time that only passes when a way says so."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def way(self, name, seconds, result):
        """A way that takes the next of ``seconds`` at every call."""
        seconds = iter(seconds)

        def call():
            self.calls.append(name)
            self.now += next(seconds)
            return result

        return call


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(benchmark_core.time, 'perf_counter', lambda: clock.now)
    return clock


def toy(name='toy', plain=1.0, ours=1.0, **facts):
    """A case whose ways return these numbers."""

    @contextlib.contextmanager
    def ways():
        yield Ways(ours=lambda: ours, plain=(lambda: plain) if plain is not None else None)

    return Case(name, f'the {name}', ways, **facts)


def test_in_turns_after_a_warm_up(clock):
    ways = Ways(
        plain=clock.way('plain', [100, 8, 1, 6, 7], 2.0),
        ours=clock.way('ours', [50, 2, 9, 3, 4], 2.5),
        reset=lambda: clock.calls.append('reset'),
    )
    facts = benchmark_core.time_in_turns(ways, rounds=4)
    assert clock.calls == ['reset', 'plain', 'ours', *['plain', 'ours', 'ours', 'plain'] * 2]
    assert facts['plain'] == {'median_s': 6.5, 'seconds': [8, 1, 6, 7]}
    assert facts['ours'] == {'median_s': 3.5, 'seconds': [2, 9, 3, 4]}
    assert facts['ratio'] == 6.5 / 3.5 and facts['rounds'] == 4
    assert facts['difference'] == 0.25


@pytest.mark.parametrize(
    ('plain', 'ours', 'difference'),
    [
        (np.array([1, -4.0]), np.array([1, -3.0]), 0.25),
        (
            (1.0, {'a': torch.tensor([2.0, 4.0], requires_grad=True)}),
            (1.0, {'a': torch.tensor([2.5, 4.0])}),
            0.125,
        ),
        ([0.0, 0.5], [0.0, 0.5], 0),
        (np.zeros(2), np.array([0, 0.5]), 0.5),
        (np.zeros(0), np.zeros(0), 0),
        (np.zeros(2), np.zeros(3), math.inf),
        ({'a': 1}, {'b': 1}, math.inf),
        ([1, 2], [1], math.inf),
        (np.array([1.0, math.nan]), np.array([1.0, 2.0]), math.inf),
    ],
)
def test_relative_difference(plain, ours, difference):
    assert relative_difference(plain, ours) == difference


@pytest.mark.parametrize(
    ('facts', 'threads', 'reached'),
    [
        ({'goal': 2}, 1, True),
        ({'goal': 4}, 1, False),
        ({'goal': 4}, 2, None),
        ({}, 1, None),
        ({'goal': 4, 'threaded': False}, 2, False),
    ],
)
def test_goal_is_of_one_thread(monkeypatch, facts, threads, reached):
    monkeypatch.setattr(
        benchmark_core,
        'time_in_turns',
        lambda *_: {'difference': 0.0, 'ratio': 3.0, 'rounds': 5, 'ours': {'median_s': 1}},
    )
    row = benchmark_core.run_case(toy(**facts), Settings(), threads, rounds=5)
    assert row['reached'] is reached
    assert ('profile' in row) is (reached is False)


@pytest.mark.parametrize(('limit', 'reached'), [(3, True), (0.5, False)])
def test_limit_in_seconds(clock, monkeypatch, limit, reached):
    monkeypatch.setattr(benchmark_core, 'profile', lambda *_: 'why')
    ways = Ways(clock.way('ours', [1, 1, 1], None))
    row = benchmark_core.run_case(
        Case('a', 'a', lambda: contextlib.nullcontext(ways), limit=limit), Settings(), 1, rounds=2
    )
    assert row['reached'] is reached and row['ratio'] is None and row['difference'] is None


def test_threads_are_set_and_put_back():
    seen = []

    @contextlib.contextmanager
    def ways():
        yield Ways(lambda: seen.append(torch.get_num_threads()))

    before = torch.get_num_threads()
    benchmark_core.run_case(Case('a', 'a', ways), Settings(), threads=before + 1, rounds=1)
    assert seen == [before + 1] * 2 and torch.get_num_threads() == before


PEAKS = {torch.float32: 1e9, torch.bfloat16: 16e9}


def test_the_limit_is_that_of_the_rows_precision(monkeypatch):
    monkeypatch.setattr(benchmark_core, 'product_peak', lambda threads, device, dtype: PEAKS[dtype])
    ways = Ways(lambda: None, flops=lambda: 1e9, dtype=torch.bfloat16)
    facts = benchmark_core.profile(ways, 0.5, 1, torch.device('cpu'))
    assert facts['share_of_limit'] == pytest.approx(2e9 / 16e9)
    row = {'name': 'a', 'threads': 1, 'profile': facts}
    assert (
        '12% of the arithmetic limit 16 GFLOP/s (bfloat16 products)'
        in benchmark.profile_lines(row)[-1]
    )


def test_rows_of_mixed_precision_say_so(monkeypatch):
    runtime = make_runtime('cpu', 'bf16')
    monkeypatch.setattr(benchmark_models, 'make_runtime', lambda device: runtime)
    monkeypatch.setattr(benchmark_models, 'random_model', lambda *_: (runtime, None, None))
    monkeypatch.setattr(
        benchmark_models, '_two_ways', lambda *_: ({'ours': int, 'plain': int}, int)
    )
    for rows in (
        benchmark_models._texts(Settings(), 3),
        benchmark_models._stage2_step(Settings(), 'RN50', 8),
    ):
        with rows as ways:
            assert ways.dtype == torch.bfloat16


def test_the_peak_is_measured_in_the_asked_precision(monkeypatch):
    monkeypatch.setattr(benchmark_core, 'PRODUCT', 64)
    dtypes = []
    monkeypatch.setattr(benchmark_core, 'linear', lambda a, b: dtypes.append(a.dtype))
    assert benchmark_core.product_peak.__wrapped__(1, torch.device('cpu'), torch.bfloat16) > 0
    assert set(dtypes) == {torch.bfloat16}


def test_an_accelerator_is_warm_when_a_call_is_timed(clock, monkeypatch):
    monkeypatch.setattr(benchmark_core, 'make_runtime', lambda device: clock.calls.append(device))
    monkeypatch.setattr(torch.accelerator, 'max_memory_allocated', lambda: 7)
    ways = functools.partial(contextlib.nullcontext, Ways(clock.way('ours', [100, 2], None)))
    facts = benchmark_core.measure(ways, 'ours', 1, torch.device('meta'))
    assert (
        facts['seconds'] == 2
        and facts['device_peak_bytes'] == 7
        and clock.calls == ['meta', 'ours', 'ours']
    )


def test_growth_times_the_device_it_measures(monkeypatch):
    monkeypatch.setattr(
        benchmark_growth,
        'in_fresh_process',
        lambda ways, name, threads, accelerator: (name, accelerator),
    )
    cpu, other = torch.device('cpu'), torch.device('meta')
    assert benchmark_growth._rerank(1000, Settings(device=cpu))['ours'] == ('ours', None)
    found = benchmark_growth._rerank(1000, Settings(device=other))
    assert (found['ours'], found['plain']) == (('ours', other), ('plain', None))


def test_profile_names_the_kernel_and_the_arithmetic(monkeypatch):
    monkeypatch.setattr(benchmark_core, 'product_peak', lambda threads, device, dtype: PEAKS[dtype])
    a = torch.ones(200, 200)
    flops = benchmark_core.count_flops(lambda: a @ a)
    assert flops == 2 * 200**3
    facts = benchmark_core.profile(
        Ways(lambda: [a @ a for _ in range(50)], flops=lambda: flops), 0.1, 1, torch.device('cpu')
    )
    assert (
        facts['share_of_limit'] == pytest.approx(2 * 200**3 / 0.1 / 1e9)
        and facts['dtype'] == 'float32'
    )
    assert facts['kernels'][0][0] == 'aten::mm' and 0 < facts['kernels'][0][1] <= 1
    assert facts['functions'] and all(share >= 0.01 for _, share in facts['functions'])


@contextlib.contextmanager
def allocate():
    """Ways that touch 30 and 90 MB."""

    def way(megabytes):
        return lambda: np.ones((megabytes, 1_000_000), dtype=np.uint8).sum()

    yield Ways(ours=way(30), plain=way(90))


def test_memory_is_that_of_the_call():
    memory = {
        name: benchmark_core.in_fresh_process(allocate, name, 1) for name in ('ours', 'plain')
    }
    if memory['ours']['peak_bytes'] is None:
        pytest.skip('no /proc here')
    assert memory['plain']['extra_bytes'] == pytest.approx(90e6, rel=0.2)
    assert memory['ours']['extra_bytes'] == pytest.approx(30e6, rel=0.2)
    assert memory['ours']['peak_bytes'] > memory['ours']['extra_bytes']
    assert benchmark_core.memory_ratio(memory) == pytest.approx(1 / 3, rel=0.3)


@pytest.fixture
def toys(monkeypatch):
    """The program with two toy cases instead of its own."""
    cases = [toy('one-plus', threaded=False), toy('two', 1.0, 1.5, tolerance=0.5)]
    monkeypatch.setattr(benchmark, 'all_cases', lambda settings: cases)
    monkeypatch.setattr(benchmark, 'product_peak', lambda threads, device: threads * 1e9)
    return cases


def test_table_and_json(toys, tmp_path, capsys):
    benchmark.main(['--out', str(tmp_path), '--rounds', '2'])
    content = json.loads((tmp_path / 'cpu.json').read_text())
    assert [(row['name'], row['threads'], row['difference']) for row in content['rows']] == [
        ('one-plus', 1, 0),
        ('two', 1, 0.5),
        ('two', 2, 0.5),
    ]
    assert all(
        len(row[way]['seconds']) == row['rounds'] == 2
        for row in content['rows']
        for way in ('plain', 'ours')
    )
    assert content['machine'].keys() >= {
        'cpu',
        'cores',
        'memory_bytes',
        'os',
        'python',
        'torch',
        'numpy',
        'git',
        'date',
        'command',
    }
    assert content['peak_flops'] == {'1': 1e9, '2': 2e9}
    lines = [
        line.split()[:2]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith(('one', 'two'))
    ]
    assert lines == [['one-plus', '1'], ['two', '1'], ['two', '2']]


def test_quick_is_one_thread_and_a_file_of_its_own(toys, tmp_path):
    benchmark.main(['--out', str(tmp_path), '--quick'])
    rows = json.loads((tmp_path / 'cpu-quick.json').read_text())['rows']
    rounds = benchmark_core.QUICK_ROUNDS
    assert [(row['name'], row['threads'], row['rounds']) for row in rows] == [
        ('one-plus', 1, rounds),
        ('two', 1, rounds),
    ]


def test_only_some_rows(toys, tmp_path):
    benchmark.main(['--out', str(tmp_path), '--only', 'plus', '--rounds', '1'])
    content = json.loads((tmp_path / 'cpu-plus.json').read_text())  # the file of all rows stays
    assert [row['name'] for row in content['rows']] == ['one-plus']


def test_unknown_row_is_refused(toys, tmp_path):
    with pytest.raises(InputError, match='--only three: .* one-plus, two'):
        benchmark.main(['--out', str(tmp_path), '--only', 'two', 'three'])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('argument', 'least'), [('--threads', 1), ('--rounds', 1), ('--photos', 8), ('--seed', 0)]
)
def test_numbers_that_are_too_small(argument, least):
    with pytest.raises(
        InputError, match=f'{argument} {least - 1} is not possible; give at least {least}'
    ):
        benchmark.main([argument, str(least - 1)])


def test_an_empty_word_is_refused():
    with pytest.raises(InputError, match='names no row'):
        benchmark.main(['--only', ''])


def test_too_large_a_difference_fails(toys, tmp_path, capsys):
    toys.append(toy('three', 1.0, 1.5, tolerance=0.49, threaded=False))
    with pytest.raises(SystemExit) as stop:
        benchmark.main(['--out', str(tmp_path), '--rounds', '1'])
    assert stop.value.code == 1
    assert 'FAILED three' in capsys.readouterr().out
    failed = [
        row['name']
        for row in json.loads((tmp_path / 'cpu.json').read_text())['rows']
        if 'failed' in row
    ]
    assert failed == ['three']


def test_an_error_is_kept_and_the_others_go_on(toys, tmp_path):
    def broken():
        raise RuntimeError('no memory')

    toys.insert(0, Case('broken', 'broken', broken, threaded=False))
    with pytest.raises(SystemExit):
        benchmark.main(['--out', str(tmp_path), '--rounds', '1'])
    rows = json.loads((tmp_path / 'cpu.json').read_text())['rows']
    assert rows[0]['failed'] == 'RuntimeError: no memory' and len(rows) == 4


def test_not_a_number_becomes_null():
    assert benchmark.finite({'a': [math.nan, 1.5], 'b': (math.inf, 'x', None)}) == {
        'a': [None, 1.5],
        'b': [None, 'x', None],
    }


def test_names_are_unique_and_of_both_settings():
    for quick in (False, True):
        names = [case.name for case in benchmark.all_cases(Settings(quick=quick))]
        assert len(names) == len(set(names)) > 4


def test_features_overlap_but_can_be_told_apart():
    """Neighbourhoods neither trivial nor noise, or re-ranking would have an easier time than on
    real photos.
    """
    features = benchmark_cases.clustered_features(400, seed=0)
    similarity = features @ features.T
    np.fill_diagonal(similarity, -1)
    individual = np.random.default_rng(0).permutation(np.arange(400) // benchmark_cases.CLUSTER)
    same = individual[(-similarity).argsort(axis=1)] == individual[:, None]
    assert (
        0.5 < same[:, 0].mean() < 1.0 and 0.2 < same[:, : benchmark_cases.CLUSTER - 1].mean() < 0.9
    )
    assert features.dtype == np.float32 and np.allclose(
        np.linalg.norm(features, axis=1), 1, atol=1e-3
    )
    exact = (features.astype(np.float64) @ features.T.astype(np.float64)).astype(np.float32)
    assert np.array_equal(features @ features.T.copy(), exact) and np.array_equal(
        features @ features.T, exact
    )


def test_plots(tmp_path):
    way = {'seconds': 2.0, 'peak_bytes': 3e9, 'extra_bytes': 1e9}
    growth = {
        'rerank': [{'photos': 1000, 'ours': way, 'plain': way}, {'photos': 50_000, 'ours': way}],
        'evaluation': [
            {'gallery': size, 'queries': 200, 'ours': way, 'plain': way} for size in (1000, 5000)
        ],
        'stage1': [{'individuals': 100, 'seconds_per_epoch': 3.0, 'prompt_bytes': 800_000}],
    }
    (tmp_path / 'growth.json').write_text(
        json.dumps({'growth': growth, 'machine': {'cpu': 'a CPU', 'torch': '2'}})
    )
    paths = plot_benchmarks.main(['--json', str(tmp_path / 'growth.json'), '--out', str(tmp_path)])
    assert [path.name for path in paths] == [
        f'performance_{name}.png' for name in ('rerank', 'evaluation', 'stage1')
    ]
    for path in paths:
        with Image.open(path) as image:
            assert (
                image.size[0] > 400 and len(set(image.convert('L').resize((60, 40)).tobytes())) > 5
            )
        assert path.stat().st_size < 100_000


def test_plot_of_another_file_is_refused(tmp_path):
    with pytest.raises(InputError, match='--growth'):
        plot_benchmarks.main(
            ['--json', str(ROOT / 'tests/golden/eval.json'), '--out', str(tmp_path)]
        )
