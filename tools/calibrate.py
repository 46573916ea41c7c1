"""Calibrate a catalogue: turn similarities into probabilities.

    python -m tools.calibrate nyala

Fits the probabilities P(individual) and P(new) on individuals of the catalogue that its model was
not trained on. At least 20 of them need two encounters. Each individual is evaluated by a fit
without it, and photos of one encounter are never compared. The calibration is saved in the
catalogue, for this model only, and tools.identify uses it. calibration.png in the catalogue shows
whether the probabilities are right.

Which individuals the model was trained on is read from the config.yml beside its weights
(--trained-on names another yml). Starting weights were not trained on any of them.
"""

import sys
from collections.abc import Sequence

from configs import ConfigError
from utils.errors import exit_code
from wildlife.identify.command_line import parse_calibrate


def main(argv: Sequence[str] | None = None) -> None:
    """Calibrate, save the result, and print how good it is.

    Raises:
        InputError: There are too few individuals, no encounters, or it is not known which
            individuals the model was trained on. Nothing is changed.
    """
    args = parse_calibrate(argv)

    # Not at the top: --help should not wait for the database.
    from utils.logger import setup_logger
    from wildlife.catalogue.journal import Author
    from wildlife.catalogue.store import open_catalogue
    from wildlife.identify.calibration_job import calibrate_catalogue
    from wildlife.identify.trained import usable_individuals

    setup_logger()
    author = Author(args.by, 'tools.calibrate')
    with open_catalogue(args.catalogue) as catalogue:
        usable = usable_individuals(catalogue, args.trained_on, args.individuals)
        lines = calibrate_catalogue(catalogue, author, usable, args.draws, args.sides)
    for line in lines:
        print(line)


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
