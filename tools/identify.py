"""Identify animals: which individual of a catalogue it is, or that it is new, or unsure.

    python -m tools.identify nyala new_photos --out answers
    python -m tools.identify nyala --out answers --record

Photos are read like those of tools.catalogue add: a folder, a photo, a table, or a detector's .json
(or --detections); without PHOTOS they are those of the catalogue without an individual. Photos that
are answered together (--units) must show one animal. Probabilities and decisions need a calibrated
catalogue (tools.calibrate); otherwise there are only ranks and similarities. Photos of the same
encounter are not compared. An interrupted call continues with the features that it has. --out gets,
while earlier files are kept and numbered:

    identify.csv     one row per photo: decision, best individual, probability, P(new), 95 % set
    candidates.csv   one row per candidate: rank, individual, probability, its most similar photo
    identify.json    all of it
    identify.html    pictures of the first 200 units
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from configs import ConfigError
from configs.command_line import parse_with_pairs, path_text, path_value, whole_number
from utils.errors import exit_code
from wildlife.catalogue.command_line import user_name
from wildlife.identify.units import UNITS
from wildlife.lists.command_line import SOURCES, add_reading


def main(argv: Sequence[str] | None = None) -> Any:
    """Identify photos, write all files, and return the ``wildlife.identify.results.Result``.

    Raises:
        InputError: Photos, catalogue or calibration cannot be used; no answer is written.
        ConfigError: A KEY VALUE pair is wrong.
    """
    args = parse(argv)

    # Not at the top: --help should not wait for torch.
    from utils.logger import setup_logger
    from wildlife.catalogue.encode import catalogue_encoder
    from wildlife.catalogue.journal import Author
    from wildlife.catalogue.sources import photos_of_source
    from wildlife.catalogue.store import open_catalogue
    from wildlife.identify.job import Options, identify, record
    from wildlife.identify.results import skipped_lines, summary_lines
    from wildlife.lists.options import check_reading

    setup_logger()
    with open_catalogue(args.catalogue) as catalogue:
        new = None
        if args.source:
            margin = float(catalogue.settings()['margin'])
            new = photos_of_source(check_reading(args, margin))
        rule = (args.false_match_rate, args.top, args.units, args.burst_minutes, args.sides)
        result = identify(
            catalogue,
            new,
            lambda: catalogue_encoder(catalogue, args.opts),
            Options(args.out, *rule),
        )
        lines = [*result.question.notes, *skipped_lines(result.question), *summary_lines(result)]
        if args.record:
            count = record(catalogue, Author(args.by, 'tools.identify'), result)
            lines.append(f'{count} decisions recorded; python -m tools.catalogue undo takes back')
    for line in [*lines, *result.words, f'Page: {args.out / "identify.html"}']:
        print(line)
    return result


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tools.identify',
        description='Say which individual of a catalogue photos show, or that it is new.',
    )
    add = parser.add_argument
    add('catalogue', type=path_value, help='folder of the catalogue')
    text = f'{SOURCES} (default: photos of the catalogue without an individual)'
    add('source', nargs='?', type=path_text, default='', metavar='PHOTOS', help=text)
    add('--out', type=path_value, required=True, help='folder for the answers')
    text = 'share of new animals that may be taken for a known one (default: 0.01)'
    add('--false-match-rate', type=float, default=0.01, help=text)
    add('--top', type=whole_number(1, 100), default=5, help='individuals per unit (default: 5)')
    text = 'photos answered together: those of a burst, of an encounter, or each alone'
    add('--units', choices=UNITS, default=UNITS[0], help=f'{text} (default: burst)')
    text = 'shortest break between two bursts (default: 1)'
    add('--burst-minutes', type=float, default=1.0, help=text)
    text = 'separate = compare photos of the same side only (default: together)'
    add('--sides', choices=('together', 'separate'), default='together', help=text)
    text = 'record the decisions in the catalogue; for photos that it has'
    add('--record', action='store_true', help=text)
    text = 'who does this, for the journal (default: the user of this computer)'
    add('--by', default=user_name(), help=text)
    add_reading(parser)
    args = parse_with_pairs(parser, argv)
    if re.fullmatch(r'[A-Z]+(\.[A-Z0-9_]+)+', args.source) and not os.path.exists(args.source):
        args.opts, args.source = [args.source, *args.opts], ''  # it is the first KEY
    args.skip_bad = True  # one broken photo must not stop all others
    return args


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
