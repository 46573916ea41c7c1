"""The code's syntax trees: files, imports, calls."""

import ast
from functools import cache

from tests.helpers import ROOT

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


@cache
def tree(path):
    return ast.parse((ROOT / path).read_text(encoding='utf-8'), filename=str(path))


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
