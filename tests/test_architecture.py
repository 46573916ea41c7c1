"""The rules of the code's structure, read off its syntax trees: who imports whom, and what only one
file may say.
"""

import ast
import graphlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from utils import __version__

ROOT = Path(__file__).resolve().parents[1]

# Arrows point downwards: what each package may import of ours, besides itself.
MAY_IMPORT = {
    'configs': set(),
    'utils': set(),
    'loss': set(),
    'solver': set(),
    'datasets': {'utils'},
    'model': {'utils'},
    'processor': {'datasets', 'loss', 'model', 'solver', 'utils'},
    'wildlife': {'configs', 'datasets', 'model', 'processor', 'utils'},
}
SCRIPTS = {'train_clipreid', 'test_clipreid', 'test_rerank_clipreid'}
OURS = {*MAY_IMPORT, *SCRIPTS, 'tools', 'benchmarks', 'tests'}
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
PICKLE = {  # who may import it, and none of these runs what a file says
    Path('datasets/workers.py'),  # to workers
    Path('model/clip/archive.py'),  # an unpickler that imports and calls nothing
    Path('utils/weights_files.py'),  # its errors
}
# Where the name to import is not the name to install.
IMPORT_NAME = {
    'ImageHash': 'imagehash',
    'Pillow': 'PIL',
    'PyYAML': 'yaml',
    'pillow-heif': 'pillow_heif',
    'scikit-learn': 'sklearn',
}


def files(*folders):
    """Python files below ``folders``, as paths relative to the root; without folders the
    scripts.
    """
    found = (
        [path for folder in folders for path in (ROOT / folder).rglob('*.py')]
        if folders
        else ROOT.glob('*.py')
    )
    return sorted(path.relative_to(ROOT) for path in found)


PACKAGES = files(*MAY_IMPORT)
BENCHMARK = files('benchmarks')  # for developers: it may need more
PROGRAM = [*PACKAGES, *files(), *files('tools'), *BENCHMARK]
EVERYTHING = [*PROGRAM, *(path for path in files('tests') if 'golden' not in path.parts)]


@cache
def tree(path):
    return ast.parse((ROOT / path).read_text(encoding='utf-8'), filename=str(path))


def module_name(path):
    """'model/clip/__init__.py' → 'model.clip', 'utils/metrics.py' → 'utils.metrics'."""
    parts = path.with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def imports(path):
    """Absolute names that ``path`` imports, wherever in the file; 'from a import b' gives 'a.b'."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = path.parts[: len(path.parts) - node.level] if node.level else ()
            source = '.'.join([*above, *([node.module] if node.module else [])])
            names |= {f'{source}.{alias.name}' for alias in node.names}
    return names


def calls(path):
    """(dotted name of what is called, node) for every call by name: 'print', 'os.system',
    'self.model.eval'.
    """
    found = [
        (ast.unparse(node.func), node)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
    ]
    return [(name, node) for name, node in found if re.fullmatch(r'[\w.]+', name)]


def docstrings(path):
    """Constants that stand alone as a statement."""
    return {id(node.value) for node in ast.walk(tree(path)) if isinstance(node, ast.Expr)}


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
    monkeypatch.setitem(globals(), 'tree', lambda path: ast.parse(source))
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


def test_cuda_is_named_in_one_file():
    """Everything else asks utils/device.py; the config may hold the word as a value."""
    wrong = []
    for path in PROGRAM:
        if path.parts[0] == 'configs' or path == Path('utils/device.py'):
            continue
        for node in ast.walk(tree(path)):
            text = (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in docstrings(path)
            )
            if (text and 'cuda' in node.value) or (
                isinstance(node, ast.Attribute) and node.attr == 'cuda'
            ):
                wrong.append(f'{path}:{node.lineno}')
        wrong += [f'{path} imports {name}' for name in imports(path) if 'cuda' in name.split('.')]
    assert not wrong


def test_packages_log_and_do_not_print():
    assert not [
        f'{path}:{node.lineno}'
        for path in PACKAGES
        for name, node in calls(path)
        if name == 'print'
    ]


def test_no_text_is_run_as_code():
    """Lists, ymls and weights come from strangers: none of them may become code or a shell
    command.
    """
    forbidden = {
        'eval',
        'exec',
        'compile',
        '__import__',
        'os.system',
        'os.popen',
        'pickle.load',
        'pickle.loads',
        'pickle.Unpickler',
        'torch.jit.load',
        'yaml.unsafe_load',
        'yaml.full_load',
        'yaml.load_all',
    }
    wrong = []
    for path in PROGRAM:
        safe = {
            node.name
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ClassDef)
            and [ast.unparse(base) for base in node.bases] == ['yaml.SafeLoader']
        }
        for name, node in calls(path):
            if name == 'yaml.load' and not (
                len(node.args) == 2 and ast.unparse(node.args[1]) in safe
            ):
                wrong.append(f'{path}:{node.lineno} {name}')
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            shell = given.get('shell', 'False') != 'False'
            pickled = given.get('allow_pickle', 'False') != 'False'
            code_in_weights = name == 'torch.load' and given.get('weights_only') != 'True'
            git = path == Path('utils/run/provenance.py')
            program = name.startswith('subprocess.') and path not in BENCHMARK and not git
            if name in forbidden or program or shell or pickled or code_in_weights:
                wrong.append(f'{path}:{node.lineno} {name}')
    wrong += [str(path) for path in PROGRAM if path not in PICKLE and 'pickle' in imports(path)]
    assert not wrong


def opens_text(call):
    """Whether this call reads or writes text in some encoding."""
    name = ast.unparse(call.func).rpartition('.')[2]
    given = {word.arg for word in call.keywords}
    if name in ('run', 'Popen', 'check_output'):
        return bool(given & {'text', 'universal_newlines', 'encoding'})
    if name in ('open', 'fdopen', 'NamedTemporaryFile', 'TemporaryFile'):
        words = [*call.args, *(word.value for word in call.keywords if word.arg == 'mode')]
        modes = [
            word.value
            for word in words
            if isinstance(word, ast.Constant) and re.fullmatch('[rwxabt+]+', str(word.value))
        ]
        by_default = (
            isinstance(call.func, ast.Name) and len(call.args) == 1 and 'mode' not in given
        )  # open(path)
        return by_default or bool(modes and 'b' not in modes[0])
    return name in ('read_text', 'write_text', 'TextIOWrapper', 'FileHandler', '_LogFile')


@pytest.mark.parametrize(
    'source, text',
    [
        ('open(path)', True),
        ("open(path, 'a')", True),
        ("open(path, mode='w')", True),
        ("open(path, 'rb')", False),
        ("(folder / 'list').open('w')", True),
        ("(folder / 'list').write_text('x')", True),
        ("gzip.open(path, 'rt')", True),
        ('Image.open(path)', False),
        ("subprocess.run(['git'], text=True)", True),
        ("subprocess.run(['git'])", False),
    ],
)
def test_text_is_recognised(source, text):
    assert opens_text(ast.parse(source).body[0].value) == text


def test_text_names_its_encoding():
    """Without one Windows takes cp1252, which has neither Łucja nor 虎."""
    found = [
        (f'{path}:{node.lineno}', {word.arg for word in node.keywords})
        for path in PROGRAM
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and opens_text(node)
    ]
    assert len(found) > 10
    assert not [where for where, given in found if 'encoding' not in given]


def test_every_program_ends_by_its_exit_code():
    """Where errors become one line, and what a terminal cannot show an escape."""
    for path in PROGRAM:
        for node in tree(path).body:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
                assert re.fullmatch(
                    r'sys\.exit\((exit_code\(main.*\)|program\(\))\)', ast.unparse(node.body[-1])
                ), path


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
