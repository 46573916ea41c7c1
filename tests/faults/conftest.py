"""The faults suite: runs that are killed, full disks, damaged files. ``make faults`` prints what
was tried.
"""

import json
import os
import shutil
import signal
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.faults.groups import SETTINGS, SEVERAL, Group, alone, options
from tests.faults.interrupted import PLACES, arguments
from tests.helpers import World

KILLED, COUNTED_ELSEWHERE = 'test_kill', ('test_kill', 'test_fuzz')  # kills and inputs, not faults


@pytest.fixture(scope='session')
def faults_world(tmp_path_factory, toy_weights):
    """Photos and lists for the whole suite; each run has an OUTPUT_DIR of its own."""
    return World(tmp_path_factory.mktemp('world'), toy_weights)


def pytest_terminal_summary(terminalreporter, config):
    """What the suite has tried, in words and as JSON in $FAULTS_JSON or pytest's temporary folder.

    Tests say so by ``record_property``: 'kill' = where it struck; 'inputs' = [what, how many].
    """
    reports = {
        result: [r for r in terminalreporter.stats.get(result, []) if 'tests/faults/' in r.nodeid]
        for result in ('passed', 'failed', 'error', 'skipped')
    }
    kills, killed, inputs, faults = Counter(), Counter(), Counter(), Counter()
    for result, some in reports.items():
        for report in some:
            if result == 'passed' and report.when != 'call':
                continue
            module = Path(report.nodeid.split('::')[0]).stem
            if module == KILLED:
                killed[result] += 1
            elif module not in COUNTED_ELSEWHERE:
                faults[result] += 1
            for name, value in report.user_properties:
                if name == 'kill':
                    kills[value] += 1
                elif name == 'inputs':
                    inputs[value[0]] += value[1]
    if not any(reports.values()):
        return
    tried = {
        'killed_runs': killed.total() - killed['skipped'],
        'killed_runs_bit_identical': killed['passed'],
        'kills': dict(kills),
        'faults': faults.total() - faults['skipped'],
        'faults_met': faults['passed'],
        'inputs': dict(inputs),
        'skipped': sorted(
            {
                f'{r.nodeid}: {r.longrepr[2] if isinstance(r.longrepr, tuple) else r.longrepr}'
                for r in reports['skipped']
            }
        ),
    }
    path = Path(
        os.environ.get('FAULTS_JSON') or config._tmp_path_factory.getbasetemp() / 'faults.json'
    )
    path.parent.mkdir(parents=True, exist_ok=True)  # pytest removes it if all tests pass
    path.write_text(json.dumps(tried, indent=2) + '\n')
    say = terminalreporter.write_line
    terminalreporter.section('faults')
    say(
        f'kills: {sum(kills.values())} '
        f'({", ".join(f"{n} in {where}" for where, n in kills.most_common()) or "none"}); runs '
        f'killed, resumed and bit-identical at the end: {killed["passed"]}/{tried["killed_runs"]}'
    )
    say(
        f'faults: {tried["faults_met"]}/{tried["faults"]} met as promised, '
        f'{len(tried["skipped"])} skipped'
    )
    say(
        'inputs tried: '
        f'{", ".join(f"{what} {number}" for what, number in inputs.items()) or "none"}'
    )
    say(f'as JSON: {path}')


@pytest.fixture(scope='session')
def trained(faults_world):
    """(name, processes) -> OUTPUT_DIR of a whole run"""

    @cache
    def run(name, processes):
        folder = faults_world.folder / f'{name}-{processes}'
        arguments = faults_world.args(*options(folder), *SETTINGS[name], name=name)
        if processes == 1:
            code, log = alone(*arguments)
        else:
            group = Group(folder, processes, *arguments, *SEVERAL)
            code, log = group.wait(), group.log
        assert code == 0, log[-3000:]
        return folder

    return run


@pytest.fixture(scope='session')
def finished(zygote, faults_world, tmp_path_factory):
    """OUTPUT_DIR of an uninterrupted run."""
    folder = tmp_path_factory.mktemp('finished')
    run = zygote.start(folder / 'run', *arguments(faults_world, folder / 'out', resume=False))
    assert run.wait() == 0, run.err
    return folder / 'out'


@pytest.fixture(scope='session')
def stopped(zygote, faults_world, tmp_path_factory):
    """OUTPUT_DIR of a run that was stopped within stage 2."""
    folder = tmp_path_factory.mktemp('stopped')
    fault = PLACES['stage 2'][0] | {'signal': signal.SIGTERM}
    assert (
        zygote.start(folder / 'run', *arguments(faults_world, folder / 'out'), fault=fault).wait()
        == 143
    )
    return folder / 'out'


@pytest.fixture
def out(stopped, tmp_path):
    """A copy of ``stopped``."""
    shutil.copytree(stopped, tmp_path / 'out')
    return tmp_path / 'out'
