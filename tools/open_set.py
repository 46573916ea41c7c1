"""Test whether a model tells new animals from known ones, and whether its probabilities are right.

    python -m tools.make_lists PHOTOS --out datalist/nyala --protocol open
    python -m tools.open_set --config_file datalist/nyala/cnn_clipreid.yml TEST.WEIGHT …

The gallery list is the catalogue; some queries must show new individuals, which it lacks, as in the
lists of make_lists --protocol open. With --draws 30, any lists with encounters will do: 30 times,
their individuals are split at random into three groups, to calibrate, to enrol, and never enrolled.
Prints a table and writes to --out, where earlier files are kept and numbered:

    open_set.html          the measures with intervals, and curves
    open_set.json          all numbers
    open_set_answers.csv   one row per query (without --draws)
    reliability.png        stated probabilities against observed frequencies
    calibrator.json        the calibrator (without --draws and --calibrator)
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from configs import ConfigError, load_cfg
from utils.errors import exit_code
from utils.files import make_output_dir
from wildlife.identify.command_line import parse_open_set


def main(argv: Sequence[str] | None = None) -> dict[str, float | None]:
    """Run the test; return the measures by name.

    Raises:
        InputError: Lists, weights, features or the calibrator cannot be read, or do not fit.
        ConfigError: The config cannot be read.
    """
    args = parse_open_set(argv)
    cfg = load_cfg(args.config_file, args.opts)

    # Not at the top: torch takes seconds to import; --help and a wrong yml should not wait for it.
    from configs import flatten
    from datasets.make_dataloader_clipreid import make_test_dataloader
    from model.timm_names import resolve_inputs
    from utils.run.session import evaluation_session
    from wildlife.identify.report import table_lines, write_open_set
    from wildlife.identify.run import Tested, draws_result, features_of_test, lists_result
    from wildlife.names import names_of_labels

    cfg = resolve_inputs(cfg)
    if args.out:
        make_output_dir(args.out, '--out')  # before the work, which may take hours
    with evaluation_session(cfg, 'open_set') as run:
        test = make_test_dataloader(cfg)
        run.cleanup.callback(test.loader.close)
        features, model = features_of_test(run, test, args.features)
        if not run.main:
            return {}
        tested = Tested(run, test, features, model, args.units)
        if args.draws:
            numbers = (args.draws, args.fit, args.known)
            result = draws_result(tested, numbers)
        else:
            result = lists_result(tested, args.calibrator)
        names = names_of_labels([*test.query, *test.gallery], flatten(cfg))
        folder = Path(args.out) if args.out else run.folder / 'open_set'
        write_open_set(folder, result, test.query, names)
        for line in table_lines(result):
            print(line)
        print(f'Page: {folder / "open_set.html"}')
    return {row.name: row.value for row in result.rows}


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
