"""Whole scripts under torchrun on two machines."""

import os
import shutil
import subprocess

import pytest

from tests.faults.groups import (
    SETTINGS,
    SEVERAL,
    TORCHRUN,
    Group,
    largest_difference,
    options,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def two_hosts():
    """[(name, address)] of two network namespaces that are connected only to each other."""
    hosts = [(f'reid-{os.getpid()}-{side}', f'10.99.7.{side}') for side in (1, 2)]

    def ip(*words):
        return subprocess.run(['ip', *words], capture_output=True, text=True)

    if not shutil.which('ip') or ip('netns', 'add', hosts[0][0]).returncode:
        pytest.skip('no network namespaces: they need root, Linux and the command ip')
    try:
        (first, _), (second, _) = hosts
        assert not ip('netns', 'add', second).returncode
        made = ip(
            'link',
            'add',
            'wire',
            'netns',
            first,
            'type',
            'veth',
            'peer',
            'name',
            'wire',
            'netns',
            second,
        )
        if made.returncode:
            pytest.skip(f'no veth pair: {made.stderr.strip()}')
        for name, address in hosts:
            for words in (
                ['addr', 'add', f'{address}/24', 'dev', 'wire'],
                ['link', 'set', 'wire', 'up'],
                ['link', 'set', 'lo', 'up'],
            ):
                done = ip('-n', name, *words)
                assert not done.returncode, done.stderr
        yield hosts
    finally:
        for name, _ in hosts:
            ip('netns', 'del', name)


def test_two_machines(two_hosts, trained, faults_world, tmp_path, monkeypatch):
    """Two torchruns in two network namespaces, one process each, with a shared disk."""
    monkeypatch.setenv('GLOO_SOCKET_IFNAME', 'wire')  # the host name cannot be resolved here
    folder = tmp_path / 'run'
    arguments = faults_world.args(*options(folder), *SETTINGS['ViT-B-16'], name='ViT-B-16')
    groups = []
    for number, (name, _) in enumerate(two_hosts):
        start = [
            *TORCHRUN,
            '--nnodes',
            2,
            '--node_rank',
            number,
            '--master_addr',
            two_hosts[0][1],
            '--master_port',
            29511,
        ]
        groups.append(
            Group(
                tmp_path / f'log{number}',
                1,
                *arguments,
                *SEVERAL,
                start=start,
                before=['ip', 'netns', 'exec', name],
            )
        )
    codes = [group.wait() for group in groups]
    assert codes == [0, 0], [group.log[-2000:] for group in groups]
    assert largest_difference(folder, trained('ViT-B-16', 1)) < 1e-3
    assert 'Validation Results' in groups[0].log and 'Validation Results' not in groups[1].log
