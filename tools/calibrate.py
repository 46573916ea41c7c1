"""Calibrate a catalogue: from similarities to probabilities.

    python -m tools.calibrate nyala

Fits P(who it is) and P(new) on the individuals of the catalogue that its model was not trained on,
each judged by a fit without it, and never on two photos of one encounter. At least 20 of them need
two encounters. The calibration is kept in the catalogue, for its model alone, and tools.identify
uses it; calibration.png in the catalogue shows whether the probabilities are right.

Which individuals the model was trained on is read from the config.yml beside its weights
(--trained-on names another). Starting weights were trained on none.
"""

import argparse
import sys
from collections.abc import Sequence

from configs.command_line import path_text, path_value, whole_number
from utils.errors import exit_code
from wildlife.catalogue.command_line import user_name


def main(argv: Sequence[str] | None = None) -> None:
    """Calibrate, save the result, and print how good it is.

    Raises:
        InputError: There are too few individuals, no encounters, or nobody knows which individuals
            the model was trained on. Nothing is changed.
    """
    args = parse(argv)

    # Not at the top: --help should not wait for the database.
    from utils.logger import setup_logger
    from wildlife.catalogue.journal import Author
    from wildlife.catalogue.store import open_catalogue
    from wildlife.identify.calibration_job import calibrate_catalogue

    setup_logger()
    author = Author(args.by, 'tools.calibrate')
    with open_catalogue(args.catalogue) as catalogue:
        lines = calibrate_catalogue(
            catalogue, author, args.trained_on, args.individuals, args.draws
        )
    for line in lines:
        print(line)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tools.calibrate',
        description='Calibrate a catalogue: from similarities to probabilities.',
    )
    add = parser.add_argument
    add('catalogue', type=path_value, help='folder of the catalogue')
    text = "yml of the model's training (default: config.yml beside its weights)"
    add('--trained-on', type=path_text, default='', metavar='YML', help=text)
    text = (
        'file with names of individuals that the model was not trained on, one per line, or all '
        '(default: all that are not in the lists of the training)'
    )
    add('--individuals', type=path_text, default='', metavar='FILE', help=text)
    text = 'draws of the intervals over individuals (default: 1000)'
    add('--draws', type=whole_number(0, 10**5), default=1000, help=text)
    text = 'who does this, for the journal (default: the user of this computer)'
    add('--by', default=user_name(), help=text)
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.exit(exit_code(main))
