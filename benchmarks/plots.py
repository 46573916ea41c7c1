"""Draw how cost grows: python -m benchmarks.plots [--json FILE] [--out docs]

Draws the results of ``python -m benchmarks --growth`` as performance_rerank.png,
performance_evaluation.png and performance_stage1.png.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.core import Facts
from benchmarks.results import RESULTS, ROOT
from configs.command_line import path_text
from utils.errors import InputError, exit_code

matplotlib.use('Agg')  # no window

LOOK: dict[str, dict[str, Any]] = {
    'ours': {'label': 'ours', 'marker': 'o', 'color': 'tab:blue'},
    'plain': {
        'label': 'plain formulation',
        'marker': 's',
        'color': 'tab:orange',
        'linestyle': '--',
    },
}


def main(argv: Sequence[str] | None = None) -> list[Path]:
    """Write the pictures and return their paths."""
    args = parse(argv)
    growth, machine = read(args.json)
    source = f'{machine["cpu"]}, one thread, torch {machine["torch"]}'
    paths = []
    for name, draw in PICTURES.items():
        if growth.get(name):
            figure = draw(growth[name])
            figure.supxlabel(source, fontsize=7, color='gray', x=0.99, ha='right')
            paths.append(Path(args.out) / f'performance_{name}.png')
            figure.savefig(paths[-1], dpi=100)
            pyplot.close(figure)
    print('\n'.join(map(str, paths)))
    return paths


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.plots',
        description='Draw how the cost of re-ranking, evaluation and stage 1 grows.',
    )
    parser.add_argument(
        '--json',
        type=path_text,
        default=str(RESULTS / 'growth.json'),
        help='file written by python -m benchmarks --growth '
        '(default: benchmarks/results/growth.json)',
    )
    parser.add_argument(
        '--out',
        type=path_text,
        default=str(ROOT / 'docs'),
        help='folder for the pictures (default: docs)',
    )
    return parser.parse_args(argv)


def read(path: str) -> tuple[dict[str, list[Facts]], Facts]:
    """Return growth and machine of a JSON file.

    Raises:
        InputError: If it was not written by ``python -m benchmarks --growth``.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
        return content['growth'], content['machine']
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f'{path} is not a JSON file of the growth of cost ({error!r}); write it with '
            'python -m benchmarks --growth'
        ) from None


def draw_rerank(entries: Sequence[Facts]) -> Figure:
    """Plot seconds and memory against the number of photos."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.8), layout='constrained')
    for axes, field, unit, text in (
        (left, 'seconds', 1, 'seconds'),
        (right, 'extra_bytes', 2**30, 'memory of the call, GiB'),
    ):
        for way in ('plain', 'ours'):
            measured = [entry for entry in entries if entry.get(way, {}).get(field)]
            photos = [entry['photos'] for entry in measured]
            if photos:
                axes.plot(photos, [entry[way][field] / unit for entry in measured], **LOOK[way])
        label(axes, 'photos (query and gallery)', text)
    figure.suptitle('Re-ranking')
    return figure


def draw_evaluation(entries: Sequence[Facts]) -> Figure:
    """Plot seconds against the size of the gallery."""
    figure, axes = pyplot.subplots(figsize=(5.5, 3.8), layout='constrained')
    gallery = [entry['gallery'] for entry in entries]
    for way in ('plain', 'ours'):
        axes.plot(gallery, [entry[way]['seconds'] for entry in entries], **LOOK[way])
    label(axes, 'photos in the gallery', 'seconds')
    figure.suptitle(f'CMC and mAP of {entries[0]["queries"]} queries')
    return figure


def draw_stage1(entries: Sequence[Facts]) -> Figure:
    """Plot seconds per epoch and memory of the prompts against the number of individuals."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.8), layout='constrained')
    individuals = [entry['individuals'] for entry in entries]
    left.plot(individuals, [entry['seconds_per_epoch'] for entry in entries], **LOOK['ours'])
    label(left, 'individuals', 'seconds per epoch', legend=False)
    right.plot(individuals, [entry['prompt_bytes'] / 2**20 for entry in entries], **LOOK['ours'])
    label(right, 'individuals', 'prompts in float32, MiB', legend=False)
    figure.suptitle('Stage 1: ten photos of each individual; time of one step × number of batches')
    return figure


PICTURES = {'rerank': draw_rerank, 'evaluation': draw_evaluation, 'stage1': draw_stage1}


def label(axes: Axes, x: str, y: str, legend: bool = True) -> None:
    """Make the axes logarithmic, and label them with plain numbers.

    Linear growth is then a straight line of slope 1, and quadratic growth one of slope 2.
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
