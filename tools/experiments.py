"""Compare settings: train and test a grid of settings × seeds, then print the table.

    python -m tools.experiments configs/experiments/text.yml --jobs 2
    python -m tools.experiments configs/experiments/text.yml --config_file my.yml --dry-run

configs/experiments/ has grids for the demo, whose photos python -m tools.demo draws; --config_file
runs them on your own animals. wildlife/experiments/grid.py explains the format. Every training and
every test has its own folder below --out/runs; grids with the same --out share the trainings that
they have in common. Finished runs are skipped and interrupted ones resume: to continue, repeat the
command. The table is in --out/<name of the grid>: table.md, table.csv, table.json and table.png.
The exit code is 1 if a run has failed.
"""

import argparse
import sys
from collections.abc import Sequence

from configs import ConfigError
from configs.command_line import parse_with_pairs, path_text, path_value, whole_number
from utils.errors import Stopped, exit_code
from wildlife.experiments.main import prepare, run
from wildlife.words import counted


def main(argv: Sequence[str] | None = None) -> None:
    """Run the grid of the command line.

    Raises:
        ConfigError, InputError: Bad input; nothing is written.
        SystemExit: 1 if a run has failed; 130 after Ctrl-C.
    """
    args = parse(argv)
    experiment = prepare(args.file, args.config_file, args.opts, args.out)
    if args.dry_run:
        print(experiment.states())
    print(experiment.cost(args.jobs), flush=True)
    if args.dry_run:
        return
    try:
        failed = run(experiment, args.jobs, lambda line: print(line, flush=True))
    except Stopped as stopped:
        print('Interrupted. To continue, repeat the command.', file=sys.stderr)
        sys.exit(stopped.code)
    if failed:
        folders = ', '.join(map(str, failed))
        print(f'{counted(len(failed), "run")} failed: {folders}', file=sys.stderr)
        sys.exit(1)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tools.experiments',
        description='Train and test a grid of settings x seeds, and print the table.',
    )
    add = parser.add_argument
    add('file', type=path_value, help='grid, such as configs/experiments/text.yml')
    add('--config_file', type=path_text, default='', help='yml of the runs, instead of its own')
    add(
        '--out',
        type=path_value,
        default='output/experiments',
        help='folder for runs and tables (default: %(default)s)',
    )
    add('--jobs', type=whole_number(1, 64), default=1, help='runs at once, 1 to 64 (default: 1)')
    add('--dry-run', action='store_true', help='list the runs and what they cost, then end')
    return parse_with_pairs(parser, argv)


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
