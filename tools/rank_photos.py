"""For each new photo, list the known individuals that look most similar.

    python -m tools.rank_photos --photos NEW --config_file datalist/nyala/cnn_clipreid.yml
    TEST.WEIGHT RN50_80.pth

This is tools.identify without a calibrated catalogue: the known individuals are those in the lists
of the config. Their names are those in the ``photos.csv`` that tools.make_lists writes beside the
lists, or else list and label ('train 12'). Each photo is ranked alone, and new animals get
candidates, too. Crop the new photos like the known ones; all are turned upright (EXIF). Writes to
--out (default: OUTPUT_DIR/matches), where earlier files are kept and numbered: identify.html,
identify.csv, candidates.csv and identify.json as tools.identify does, and

    matches.csv    one row per candidate: photo, rank, individual, distance (1 - similarity),
                   known_photo; the column problem says why a photo cannot be read
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

from configs import ConfigError, load_cfg
from utils.errors import exit_code
from wildlife.identify.command_line import parse_rank_photos


def main(argv: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Rank the known individuals, write all files and return the rows of matches.csv.

    Raises:
        InputError: Photos, lists or weights cannot be read.
        ConfigError: The config cannot be read.
    """
    args = parse_rank_photos(argv)
    cfg = load_cfg(args.config_file, args.opts)

    # Not at the top: torch takes seconds to import; --help and a wrong yml should not wait for it.
    from model.timm_names import resolve_inputs
    from utils.logger import setup_logger
    from wildlife.identify.from_lists import match_rows, rank_photos
    from wildlife.identify.results import summary_lines

    setup_logger()
    out = args.out or (cfg.OUTPUT_DIR and os.path.join(cfg.OUTPUT_DIR, 'matches'))
    command = [args.config_file, *args.opts]
    result = rank_photos(resolve_inputs(cfg), args.photos, out, args.top, command)
    unread = len(result.question.left_out)
    if unread:
        count = unread + len(result.question.photos)
        print(
            f'{unread} of {count} photos cannot be read; the column problem of matches.csv says why'
        )
    page, table = (os.path.join(out, name) for name in ('identify.html', 'matches.csv'))
    for line in [*summary_lines(result), *result.words, f'Page: {page}, table: {table}']:
        print(line)
    return match_rows(result)


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
