"""The programs and their parsers."""

import importlib

from tests.helpers import ROOT

PROGRAMS = sorted(
    path.relative_to(ROOT).with_suffix('').as_posix().replace('/', '.')
    for path in [
        *ROOT.glob('*.py'),
        *(ROOT / 'tools').rglob('*.py'),
        *(ROOT / 'benchmarks').rglob('*.py'),
    ]
    if "__name__ == '__main__'" in path.read_text(encoding='utf-8')
)


def main_of(name):
    return importlib.import_module(name).main


# The options of each program that are paths.
PATHS = {
    'train_clipreid': '--config_file',
    'test_clipreid': '--config_file',
    'test_rerank_clipreid': '--config_file',
    'tools.demo.__main__': '--config --data',
    'tools.rank_photos': '--config_file --photos --out',
    'tools.extract_features': '--config_file --photos --onnx --out',
    'tools.export': '--config_file --out',
    'tools.explain': '--config_file --out',
    'tools.catalogue': 'catalogue source --config_file --photos --detections',
    'tools.diagnose': '--config_file --masks --out',
    'tools.evaluate_features': 'file --config_file',
    'tools.open_set': '--config_file --features --calibrator --out',
    'tools.identify': 'catalogue source --out --photos --detections',
    'tools.calibrate': 'catalogue --trained-on --individuals',
    'tools.export_records': 'catalogue --out --places --metadata',
    'tools.fit_whitening': '--config_file --features --out',
    'tools.check_data': '--config_file --out',
    'tools.convert_weights': 'source target',
    'tools.compare': 'a b --out',
    'tools.table': 'runs --out',
    'tools.experiments': 'file --config_file --out',
    'tools.demo.data': '--out',
    'tools.make_lists': 'source --out --photos --photos-out --detections',
    'tools.remove_background': 'src dst --masks --save-masks --sheet --list',
    'benchmarks.__main__': '--out',
    'benchmarks.gpu.__main__': '--out',
    'benchmarks.plots': '--json --out',
    **dict.fromkeys(
        ('tools.prepare_atrw', 'tools.prepare_elephant', 'tools.prepare_yak'),
        'release --out --lists --like',
    ),
}
# The command of a program that has several, and options that it requires besides.
COMMANDS = {'tools.catalogue': ['add']}
REQUIRED = {'tools.convert_weights': ['--timm=resnet18'], 'tools.export_records': ['--format=csv']}


def with_paths(name, value):
    """A command line of the program with ``value`` for each path."""
    words = [
        f'{option}={value}' if option.startswith('--') else value for option in PATHS[name].split()
    ]
    return COMMANDS.get(name, []) + words + REQUIRED.get(name, [])
