"""Show many tests as one table.

    python -m tools.table output/nyala --metrics mAP rank1 --format latex --out nyala.tex

A run is the OUTPUT_DIR of a test, or its results.json; a folder without results.json is searched.
Runs that differ only in SOLVER.SEED share a row: mean ± standard deviation over the seeds, and
apart from it the 95 % interval over individuals. Each setting that differs has a column. Tests of
other photos or protocols are marked by letters.
"""

import argparse
import sys
from collections.abc import Sequence

from configs.command_line import path_value
from utils.errors import exit_code
from wildlife.report.runs import check_metrics, find_results, save_text
from wildlife.report.seeds import group_by_seed
from wildlife.report.table import KINDS, METRICS, notes_of, table_of, write
from wildlife.words import counted


def main(argv: Sequence[str] | None = None) -> str:
    """Print the table, or write it to a file; return it.

    Raises:
        InputError: A result cannot be read, or a metric is unknown.
    """
    args = parse(argv)
    metrics = list(dict.fromkeys(args.metrics))
    results = find_results(args.runs)
    check_metrics(metrics, results)
    groups = group_by_seed(results)
    notes = notes_of(groups)
    text = write(table_of(groups, metrics), metrics, args.format, notes)
    if args.out:
        save_text(args.out, text)
        print(f'{counted(len(results), "result")} in {counted(len(groups), "row")}: {args.out}')
    else:
        print(text, end='')
    if args.format == 'csv':
        print(*notes, sep='\n', file=sys.stderr)
    return text


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tools.table', description='Show many tests as one table.'
    )
    add = parser.add_argument
    add(
        'runs',
        metavar='RUNS',
        nargs='+',
        type=path_value,
        help='OUTPUT_DIRs of tests, or folders that contain them',
    )
    add(
        '--metrics',
        metavar='METRIC',
        nargs='+',
        default=METRICS,
        help=f'columns, named as in results.json (default: {" ".join(METRICS)})',
    )
    add('--format', choices=KINDS, default=KINDS[0], help='default: %(default)s')
    add(
        '--out',
        metavar='FILE',
        type=path_value,
        help='file for the table; an earlier one is kept and numbered (default: the screen)',
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.exit(exit_code(main))
