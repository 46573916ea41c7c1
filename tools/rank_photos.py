"""List the known individuals that look most similar to the animals of new photos.

    python -m tools.rank_photos --photos NEW --config_file datalist/nyala/cnn_clipreid.yml
    TEST.WEIGHT RN50_80.pth

This is tools.identify without a calibrated catalogue: the known individuals are those in the lists
of the config, called as in the ``photos.csv`` that tools.make_lists writes beside the lists, or by
list and label ('train 12'). Each photo is answered alone, and there are ranks only: a new animal
gets candidates, too. Crop the new photos like the known ones; all are read upright (EXIF). The
output folder (--out, default: OUTPUT_DIR/matches) gets identify.html, identify.csv, candidates.csv
and identify.json of tools.identify, and

    matches.csv    one row per candidate: photo, rank, individual, distance (1 - similarity),
                   known_photo; the column problem says why a photo cannot be read

Earlier files are kept and numbered.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from configs import ConfigError, load_cfg
from configs.command_line import parse_with_pairs, path_text, whole_number
from utils.errors import exit_code

WORDS = (
    'These are ranks alone, and new animals get candidates, too: rank_photos is tools.identify '
    'without a calibrated catalogue. For probabilities and "new": {}; python -m tools.calibrate '
    'CATALOGUE; python -m tools.identify CATALOGUE {} --out ANSWERS'
)
CREATE = ('python', '-m', 'tools.catalogue', 'create', 'CATALOGUE', '--config_file')


def main(argv: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Rank the known individuals, write all files and return the rows of matches.csv.

    Raises:
        InputError: Photos, lists or weights cannot be read.
        ConfigError: The config cannot be read.
    """
    args = parse(argv)
    cfg = load_cfg(args.config_file, args.opts)

    # Not at the top: torch takes seconds to import; --help and a wrong yml should not wait for it.
    from model.timm_names import resolve_inputs
    from utils.logger import setup_logger
    from wildlife.identify.from_lists import match_rows, rank_photos
    from wildlife.identify.results import summary_lines

    setup_logger()
    out = args.out or (cfg.OUTPUT_DIR and os.path.join(cfg.OUTPUT_DIR, 'matches'))
    create = shlex.join([*CREATE, args.config_file, *args.opts])
    words = WORDS.format(create, shlex.quote(args.photos))
    result = rank_photos(resolve_inputs(cfg), args.photos, out, args.top, words)
    for line in [*summary_lines(result), *result.words]:
        print(line)
    print(f'Page: {os.path.join(out, "identify.html")}, table: {os.path.join(out, "matches.csv")}')
    unread = len(result.question.left_out)
    if unread:
        count = unread + len(result.question.photos)
        print(
            f'{unread} of {count} photos cannot be read; the column problem of matches.csv says why'
        )
    return match_rows(result)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tools.rank_photos',
        description='For each new photo, list the known individuals that look most similar.',
    )
    add = parser.add_argument
    text = 'folder of new photos, subfolders included, or a single photo'
    add('--photos', type=path_text, required=True, help=text)
    add('--config_file', type=path_text, required=True, help='yml file of the training')
    text = 'individuals listed per photo (default: 5)'
    add('--top', type=whole_number(1, 10**6), default=5, help=text)
    text = 'folder for the results (default: OUTPUT_DIR/matches)'
    add('--out', type=path_text, default='', help=text)
    return parse_with_pairs(parser, argv)


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
