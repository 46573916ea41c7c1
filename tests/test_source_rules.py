"""What only some files may say: CUDA, print, code from text, encodings."""

import ast
import re
from pathlib import Path

import pytest

from tests.syntax_trees import (
    BENCHMARK,
    PACKAGES,
    PROGRAM,
    imports,
    tree,
)

PICKLE = {  # who may import it, and none of these runs what a file says
    Path('datasets/workers.py'),  # to workers
    Path('model/clip/archive.py'),  # an unpickler that imports and calls nothing
    Path('utils/weights_files.py'),  # its errors
}
PROCESSES = {  # who may start programs besides the benchmark: lists of words, never a shell
    Path('utils/run/provenance.py'),  # git
    Path('wildlife/experiments/runs.py'),  # our own training and test
}


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


def test_cuda_is_named_in_one_file():
    """Everything else asks utils/device.py; the config may hold the word as a value."""
    wrong = []
    for path in PROGRAM:
        if path.parts[0] == 'configs' or path == Path('utils/device.py'):
            continue
        said = docstrings(path)
        for node in ast.walk(tree(path)):
            text = (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in said
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


def safe_yaml_loaders(path):
    """Classes of ``path`` whose only base is yaml.SafeLoader."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base) for base in node.bases]
            if bases == ['yaml.SafeLoader']:
                found.add(node.name)
    return found


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
        safe = safe_yaml_loaders(path)
        for name, node in calls(path):
            if name == 'yaml.load' and not (
                len(node.args) == 2 and ast.unparse(node.args[1]) in safe
            ):
                wrong.append(f'{path}:{node.lineno} {name}')
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            shell = given.get('shell', 'False') != 'False'
            pickled = given.get('allow_pickle', 'False') != 'False'
            code_in_weights = name == 'torch.load' and given.get('weights_only') != 'True'
            program = name.startswith('subprocess.') and path not in {*BENCHMARK, *PROCESSES}
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
    found, wrong = 0, []
    for path in PROGRAM:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and opens_text(node):
                found += 1
                if not any(word.arg == 'encoding' for word in node.keywords):
                    wrong.append(f'{path}:{node.lineno}')
    assert found > 10
    assert not wrong


def test_every_program_ends_by_its_exit_code():
    """Where errors become one line, and what a terminal cannot show an escape."""
    for path in PROGRAM:
        for node in tree(path).body:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
                assert re.fullmatch(
                    r'sys\.exit\((exit_code\(main.*\)|program\(\))\)', ast.unparse(node.body[-1])
                ), path
