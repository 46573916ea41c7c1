"""Requirements, versions, and the commands of CI."""

import ast
import re
import subprocess
import sys

import pytest
import yaml

from tests.helpers import ROOT
from tests.syntax_trees import (
    BENCHMARK,
    MAY_IMPORT,
    OURS,
    PROGRAM,
    SCRIPTS,
    files,
    imports,
    tree,
)
from utils import __version__

TOP_LEVEL = {
    *MAY_IMPORT,
    *(f'{script}.py' for script in SCRIPTS),
    'tools',
    'tests',
    'docs',
    'benchmarks',
    '.ci',
    '.github',
    'requirements.txt',
    'requirements-dev.txt',
    'requirements-docs.txt',
    'requirements-extras.txt',
    'Makefile',
    'mkdocs.yml',
    'pyproject.toml',
    '.pre-commit-config.yaml',
    '.gitignore',
    'README.md',
    'LICENSE',
    'CITATION.cff',
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
}

EXTRAS = 'requirements-extras.txt'

# Where the name to import is not the name to install.
IMPORT_NAME = {
    'ImageHash': 'imagehash',
    'Pillow': 'PIL',
    'PyYAML': 'yaml',
    'SQLAlchemy': 'sqlalchemy',
    'pillow-heif': 'pillow_heif',
    'scikit-image': 'skimage',
    'scikit-learn': 'sklearn',
}

EVERYTHING = [*PROGRAM, *(path for path in files('tests') if 'golden' not in path.parts)]


def required(*names):
    """What the packages named in requirements files are called in an import."""
    lines = [
        line for name in names for line in (ROOT / name).read_text(encoding='utf-8').splitlines()
    ]
    packages = [
        re.match(r'[\w-]+', line).group() for line in lines if line and not line.startswith('#')
    ]
    return {IMPORT_NAME.get(package, package) for package in packages}


def third_party(paths):
    """First part of imported names that are neither ours nor Python's."""
    names = {name.split('.')[0] for path in paths for name in imports(path)}
    return names - OURS - sys.stdlib_module_names


def test_every_import_is_required_and_every_requirement_imported():
    """What happens to be installed beside a requirement may be gone tomorrow."""
    program, needed, extras = (
        third_party(set(PROGRAM) - set(BENCHMARK)),
        required('requirements.txt'),
        required(EXTRAS),
    )
    assert needed <= program <= needed | extras
    assert third_party(EVERYTHING) <= needed | extras | required('requirements-dev.txt')


def test_extras_are_imported_where_they_are_used():
    """Nobody who does without them may need them: no import of theirs at the top of a file."""
    top = {
        alias.name
        for path in PROGRAM
        for node in tree(path).body
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    top |= {
        node.module
        for path in PROGRAM
        for node in tree(path).body
        if isinstance(node, ast.ImportFrom)
    }
    assert not {name.split('.')[0] for name in top} & required(EXTRAS)


def test_every_requirement_has_a_lower_bound_and_a_reason():
    for file in ('requirements.txt', 'requirements-dev.txt', 'requirements-docs.txt', EXTRAS):
        for line in (ROOT / file).read_text(encoding='utf-8').splitlines():
            assert (
                not line
                or line.startswith('#')
                or re.fullmatch(r'[\w-]+(\[\w+\])?>=[\d.]+ +# \S.*', line)
            ), line


def test_top_level_is_the_fixed_one():
    """Of tracked files: a person may keep anything else in the folder."""
    done = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip('not a git checkout')
    assert {name.split('/')[0] for name in done.stdout.split('\0') if name} <= TOP_LEVEL


def test_the_version_is_the_same_everywhere():
    assert (
        yaml.safe_load((ROOT / 'CITATION.cff').read_text(encoding='utf-8'))['version']
        == __version__
    )


def test_ci_runs_the_test_command_of_the_readme():
    ci = (ROOT / '.ci/run').read_text(encoding='utf-8')
    readme = (ROOT / 'README.md').read_text(encoding='utf-8')
    assert re.search(r'^make test\b', ci, re.M) and re.search(r'^make test\b', readme, re.M)
