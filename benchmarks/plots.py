"""Draw how cost grows: python -m benchmarks.plots [--json benchmarks/results/growth.json] [--out
docs]

Three pictures from what `benchmarks/__main__.py --growth` measured: performance_rerank.png,
performance_evaluation.png and performance_stage1.png.
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from configs.command_line import path_text
from utils.errors import InputError, exit_code

matplotlib.use('Agg')  # no window

ROOT = Path(__file__).resolve().parents[1]
LOOK = {
    'ours': {'label': 'ours', 'marker': 'o', 'color': 'tab:blue'},
    'plain': {
        'label': 'plain formulation',
        'marker': 's',
        'color': 'tab:orange',
        'linestyle': '--',
    },
}


def main(argv=None):
    """Write the pictures; returns their paths."""
    parser = argparse.ArgumentParser(
        description='Draw how the cost of re-ranking, evaluation and stage 1 grows.'
    )
    parser.add_argument(
        '--json',
        type=path_text,
        default=str(ROOT / 'benchmarks/results/growth.json'),
        help='written by benchmark.py --growth',
    )
    parser.add_argument(
        '--out', type=path_text, default=str(ROOT / 'docs'), help='folder for the pictures'
    )
    args = parser.parse_args(argv)
    growth, machine = read(args.json)
    paths = []
    for name, draw in (
        ('rerank', draw_rerank),
        ('evaluation', draw_evaluation),
        ('stage1', draw_stage1),
    ):
        if growth.get(name):
            figure = draw(growth[name])
            figure.supxlabel(
                f'{machine["cpu"]}, one thread, torch {machine["torch"]}',
                fontsize=7,
                color='gray',
                x=0.99,
                ha='right',
            )
            paths.append(Path(args.out) / f'performance_{name}.png')
            figure.savefig(paths[-1], dpi=100)
            pyplot.close(figure)
    print('\n'.join(map(str, paths)))
    return paths


def read(path):
    """(growth, machine) of a JSON file; InputError if it is not one of benchmark.py --growth."""
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
        return content['growth'], content['machine']
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f'{path} is no JSON of the growth of cost ({error!r}); write it with python -m '
            'benchmarks '
            '--growth'
        ) from None


def draw_rerank(entries):
    """Seconds and memory over the number of photos."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.8), layout='constrained')
    for axes, field, unit, text in (
        (left, 'seconds', 1, 'seconds'),
        (right, 'extra_bytes', 2**30, 'memory of the call, GiB'),
    ):
        for way in ('plain', 'ours'):
            points = [
                (entry['photos'], entry[way][field] / unit)
                for entry in entries
                if entry.get(way, {}).get(field)
            ]
            if points:
                axes.plot(*zip(*points), **LOOK[way])
        label(axes, 'photos (query and gallery)', text)
    figure.suptitle('Re-ranking')
    return figure


def draw_evaluation(entries):
    """Seconds over the size of the gallery."""
    figure, axes = pyplot.subplots(figsize=(5.5, 3.8), layout='constrained')
    for way in ('plain', 'ours'):
        axes.plot(
            [entry['gallery'] for entry in entries],
            [entry[way]['seconds'] for entry in entries],
            **LOOK[way],
        )
    label(axes, 'photos in the gallery', 'seconds')
    figure.suptitle(f'CMC and mAP of {entries[0]["queries"]} queries')
    return figure


def draw_stage1(entries):
    """Seconds of an epoch, and memory of the learned prompts, over the number of individuals."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.8), layout='constrained')
    individuals = [entry['individuals'] for entry in entries]
    left.plot(individuals, [entry['seconds_per_epoch'] for entry in entries], **LOOK['ours'])
    label(left, 'individuals', 'seconds an epoch', legend=False)
    right.plot(individuals, [entry['prompt_bytes'] / 2**20 for entry in entries], **LOOK['ours'])
    label(right, 'individuals', 'prompts in float32, MiB', legend=False)
    figure.suptitle('Stage 1: ten photos of each individual; time of one step × number of batches')
    return figure


def label(axes, x, y, legend=True):
    """Logarithmic axes with plain numbers, so that a straight line of slope 1 or 2 is linear or
    quadratic growth.
    """
    axes.set(xscale='log', yscale='log', xlabel=x, ylabel=y)
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1,) if high > 100 * low else (1, 2, 5)))
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:,.10g}'))
    axes.grid(True, which='major', linewidth=0.4)
    if legend:
        axes.legend(frameon=False)


if __name__ == '__main__':
    sys.exit(exit_code(main))
