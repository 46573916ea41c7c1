"""Compare two tests of the same photos and protocol.

    python -m tools.compare output/nyala/before output/nyala/cnn

Prints each metric of A and B, the difference B - A with its 95 % interval by a paired bootstrap
over individuals, and p. Settings, checkpoint and re-ranking may differ. Writes to FOLDER (--out;
default: compare_to_<name of A>, in B's folder), where earlier files are kept and numbered:

    compare.html   the metrics, and pictures of the queries that changed at rank 1
    compare.json   all numbers
    compare.csv    a row for each metric
    changed.csv    a row for each query that changed at rank 1

Run it in the folder where the tests ran, so that it finds the photos.
"""

import argparse
import sys
from collections.abc import Sequence

from configs.command_line import path_value, whole_number
from configs.rules import FEWEST_DRAWS, MOST_DRAWS
from utils.errors import exit_code
from wildlife.report.compare import Comparison, compare
from wildlife.report.compare_report import summary, write_comparison
from wildlife.report.results import read_result
from wildlife.report.seeds import DRAWS
from wildlife.words import counted


def main(argv: Sequence[str] | None = None) -> Comparison:
    """Compare the results, write the files and print a summary.

    Raises:
        InputError: A result cannot be read, or the two cannot be compared.
    """
    args = parse(argv)
    a, b = read_result(args.a), read_result(args.b)
    comparison = compare(a, b, args.draws)
    folder = args.out or b.folder / f'compare_to_{a.folder.resolve().name}'
    missing = write_comparison(folder, comparison)
    for line in summary(comparison):
        print(line)
    if missing:
        print(
            f'Not found or unreadable: {counted(missing, "photo")} of the page; run this command '
            'in the folder where the tests ran'
        )
    print(f'Page: {folder / "compare.html"}')
    return comparison


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tools.compare',
        description='Compare two tests of the same photos and protocol: is B better than A?',
    )
    add = parser.add_argument
    add('a', metavar='A', type=path_value, help='OUTPUT_DIR of a test, or its results.json')
    add('b', metavar='B', type=path_value, help='that of the test to compare with A')
    add(
        '--out',
        metavar='FOLDER',
        type=path_value,
        help="folder for the results (default: compare_to_<name of A>, in B's folder)",
    )
    add(
        '--draws',
        type=whole_number(FEWEST_DRAWS, MOST_DRAWS),
        default=DRAWS,
        help=f'draws of the bootstrap over individuals, {FEWEST_DRAWS} to {MOST_DRAWS} '
        '(default: %(default)s)',
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.exit(exit_code(main))
