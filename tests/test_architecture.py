"""Who imports whom, and which files there are."""

import ast
import graphlib
from pathlib import Path

import pytest

from tests import syntax_trees
from tests.syntax_trees import (
    BENCHMARK,
    MAY_IMPORT,
    OURS,
    PACKAGES,
    PROGRAM,
    SCRIPTS,
    files,
    imports,
)


def module_name(path):
    """'model/clip/__init__.py' → 'model.clip', 'utils/metrics.py' → 'utils.metrics'."""
    parts = path.with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def test_the_files_are_found():
    """An empty list would pass every test below."""
    assert {path.parts[0] for path in PACKAGES} == set(MAY_IMPORT)
    assert {path.stem for path in files()} >= SCRIPTS
    assert files('tools')


def test_relative_imports_are_resolved(monkeypatch):
    source = (
        'import os.path\nfrom . import a\nfrom .b import c\nfrom ..utils import d\nfrom '
        'utils.e import f\n'
    )
    monkeypatch.setattr(syntax_trees, 'tree', lambda path: ast.parse(source))
    assert imports(Path('model/clip/towers.py')) == {
        'os.path',
        'model.clip.a',
        'model.clip.b.c',
        'model.utils.d',
        'utils.e.f',
    }


@pytest.mark.parametrize('package', MAY_IMPORT)
def test_imports_point_downwards(package):
    allowed = {package} | MAY_IMPORT[package]
    wrong = [
        f'{path} imports {name}'
        for path in files(package)
        for name in imports(path)
        if name.split('.')[0] in OURS - allowed
    ]
    assert not wrong


def test_nobody_imports_tools():
    """They are commands. Only the demo is several files."""
    others = [path for path in PROGRAM if path.parts[:2] != ('tools', 'demo')]
    wrong = [
        f'{path} imports {name}'
        for path in others
        for name in imports(path)
        if name.split('.')[0] == 'tools'
    ]
    wrong += [
        f'{path} imports {name}'
        for path in files('tools/demo')
        for name in imports(path)
        if name.split('.')[0] == 'tools' and not name.startswith('tools.demo.')
    ]
    assert not wrong


def test_the_program_does_without_tests():
    """The benchmark may import the oracles, the plain formulations that it times."""
    wrong = [
        f'{path} imports {name}'
        for path in PROGRAM
        for name in imports(path)
        if name.split('.')[0] == 'tests'
        and not (name.startswith('tests.oracles.') and path in BENCHMARK)
    ]
    wrong += [
        f'{path} imports {name}'
        for path in PACKAGES
        for name in imports(path)
        if name.split('.')[0] in {'benchmarks', *SCRIPTS}
    ]
    assert not wrong


def test_no_module_imports_itself_in_a_circle():
    modules = {module_name(path): path for path in PROGRAM}
    graph = {}
    for module, path in modules.items():
        ancestors = {name if name in modules else name.rpartition('.')[0] for name in imports(path)}
        graph[module] = ancestors & set(modules) - {module}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle
