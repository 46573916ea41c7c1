"""Identify animals: a known individual of a catalogue, a new one, or unsure.

    python -m tools.identify nyala new_photos --out answers
    python -m tools.identify nyala --out answers --record

PHOTOS can be what tools.catalogue add reads: a folder, a photo, a table, or a detector's .json (or
--detections). Without PHOTOS, the unidentified photos of the catalogue are identified. The photos
of a unit (--units) get one answer, so they must show one animal. Probabilities and decisions need a
calibrated catalogue (tools.calibrate); otherwise there are only ranks and similarities. Photos of
the same encounter are not compared. To resume an interrupted call, repeat the command. It writes to
--out, where earlier files are kept and numbered:

    identify.csv     one row per photo: decision, best individual, probability, P(new), 95 % set
    candidates.csv   one row per candidate: rank, individual, probability, its most similar photo
    identify.json    all results
    identify.html    a page with the pictures of the first 200 units of each decision
"""

import sys
from collections.abc import Sequence
from typing import Any

from configs import ConfigError
from utils.errors import exit_code
from wildlife.identify.command_line import parse_identify


def main(argv: Sequence[str] | None = None) -> Any:
    """Identify photos, write all files, and return the ``wildlife.identify.results.Result``.

    Raises:
        InputError: Photos, catalogue or calibration cannot be used; no answer is written.
        ConfigError: A KEY VALUE pair is wrong.
    """
    args = parse_identify(argv)

    # Not at the top: --help should not wait for torch.
    from utils.logger import setup_logger
    from wildlife.catalogue.encode import catalogue_encoder
    from wildlife.catalogue.journal import Author
    from wildlife.catalogue.sources import photos_of_source
    from wildlife.catalogue.store import open_catalogue
    from wildlife.identify.job import Options, identify, record
    from wildlife.identify.results import recorded_line, skipped_lines, summary_lines
    from wildlife.lists.options import check_reading

    setup_logger()
    rule = (args.false_match_rate, args.top, args.units, args.burst_minutes, args.sides)
    options = Options(args.out, *rule, record=args.record)
    with open_catalogue(args.catalogue) as catalogue:
        new = None
        if args.source:
            new = photos_of_source(check_reading(args, catalogue.margin()))
        result = identify(
            catalogue,
            new,
            lambda: catalogue_encoder(catalogue, args.opts),
            options,
        )
        lines = [*result.question.notes, *skipped_lines(result.question), *summary_lines(result)]
        if args.record:
            count = record(catalogue, Author(args.by, 'tools.identify'), result)
            lines.append(recorded_line(args.catalogue, count))
    for line in [*lines, *result.words, f'Page: {args.out / "identify.html"}']:
        print(line)
    return result


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
