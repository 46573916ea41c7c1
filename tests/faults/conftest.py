"""The faults suite: runs that are killed, full disks, damaged files. ``make faults`` prints what
was tried.
"""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers import World

from .harness import Zygote

KILLED, COUNTED_ELSEWHERE = 'test_kill', ('test_kill', 'test_fuzz')  # kills and inputs, not faults


@pytest.fixture(scope='session')
def zygote():
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture(scope='session')
def faults_world(tmp_path_factory, toy_weights):
    """Photos and lists for the whole suite; each run has an OUTPUT_DIR of its own."""
    return World(tmp_path_factory.mktemp('world'), toy_weights)


@pytest.fixture(autouse=True)
def _runs_ended(request):
    yield
    if 'zygote' in request.fixturenames:
        request.getfixturevalue('zygote').end_runs()


def pytest_terminal_summary(terminalreporter, config):
    """What the suite has tried, in words and as JSON in $FAULTS_JSON or pytest's temporary folder.

    Tests say so by ``record_property``: 'kill' = where it struck; 'inputs' = [what, how many].
    """
    reports = [
        (result, report)
        for result in ('passed', 'failed', 'error', 'skipped')
        for report in terminalreporter.stats.get(result, [])
        if 'tests/faults/' in report.nodeid and not (result == 'passed' and report.when != 'call')
    ]
    if not reports:
        return
    tried = what_was_tried(reports)
    temporary = config._tmp_path_factory.getbasetemp()
    path = Path(os.environ.get('FAULTS_JSON') or temporary / 'faults.json')
    path.write_text(json.dumps(tried, indent=2) + '\n')
    terminalreporter.section('faults')
    for line in summary(tried):
        terminalreporter.write_line(line)
    terminalreporter.write_line(f'as JSON: {path}')


def what_was_tried(reports):
    """Counts for JSON, from pairs of a result and its report."""
    kills, killed, inputs, faults = Counter(), Counter(), Counter(), Counter()
    skipped = set()
    for result, report in reports:
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
        if result == 'skipped':
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            skipped.add(f'{report.nodeid}: {reason}')
    return {
        'killed_runs': killed.total() - killed['skipped'],
        'killed_runs_bit_identical': killed['passed'],
        'kills': dict(kills.most_common()),
        'faults': faults.total() - faults['skipped'],
        'faults_met': faults['passed'],
        'inputs': dict(inputs),
        'skipped': sorted(skipped),
    }


def summary(tried):
    """The same as lines of text."""
    kills = [f'{number} in {where}' for where, number in tried['kills'].items()]
    inputs = [f'{what} {number}' for what, number in tried['inputs'].items()]
    return [
        f'kills: {sum(tried["kills"].values())} ({", ".join(kills) or "none"}); '
        'runs killed, resumed and bit-identical at the end: '
        f'{tried["killed_runs_bit_identical"]}/{tried["killed_runs"]}',
        f'faults: {tried["faults_met"]}/{tried["faults"]} met as promised, '
        f'{len(tried["skipped"])} skipped',
        f'inputs tried: {", ".join(inputs) or "none"}',
    ]
