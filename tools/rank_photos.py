"""Who is this? For new photos the known individuals that look most like them.

    python -m tools.rank_photos --photos NEW --config_file datalist/nyala/cnn_clipreid.yml
    TEST.WEIGHT RN50_80.pth

Known are all photos in the lists of the config, by the names in ``photos.csv`` of
tools/make_lists.py where that lies beside the lists, else by list and label ('train 12'). New
photos should show what the known ones do (cut out as they were). New and known ones are read
upright (EXIF), as make_lists stores them. An individual is as near as its nearest photo (cosine
distance). Nothing says that a new animal is none of the known ones: look at the photos. FOLDER
(--out, default OUTPUT_DIR/matches) then holds

    matches.csv    photo, rank, individual, distance, known_photo: one row per candidate; problem:
                   why a photo cannot be read
    matches.html   the same as pictures, of the first 200 photos
"""

import argparse
import os
import sys
from collections.abc import Sequence

from configs import ConfigError, load_cfg
from configs.command_line import parse_with_pairs, path_text
from utils.errors import exit_code
from utils.files import make_output_dir
from utils.logger import setup_logger
from wildlife.matches.photos import known_photos, new_photos
from wildlife.matches.ranking import Row, check_model, find_matches
from wildlife.matches.report import problem_rows, write_matches


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Rank, write both files; return the rows of matches.csv.

    Raises:
        InputError: photos, lists or weights cannot be read.
        ConfigError: the config cannot be read.
    """
    args = parse(argv)
    cfg = load_cfg(args.config_file, args.opts)
    setup_logger()
    check_model(cfg)
    new = new_photos(args.photos)
    known = known_photos(cfg)
    rows = find_matches(new.paths, known, cfg, args.top) + problem_rows(new.problems)
    folder = make_output_dir(
        args.out or (cfg.OUTPUT_DIR and os.path.join(cfg.OUTPUT_DIR, 'matches'))
    )
    write_matches(folder, rows)
    print(
        f'{len(new.paths)} photos against {len(known.records)} of {len(set(known.names))} '
        f'individuals: {folder / "matches.csv"}, {folder / "matches.html"}'
    )
    if new.problems:
        print(
            f'{len(new.problems)} of {len(new.paths) + len(new.problems)} photos cannot be read; '
            'why: column problem of matches.csv'
        )
    return rows


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='For new photos the known individuals that look most like them.'
    )
    add = parser.add_argument
    add(
        '--photos',
        type=path_text,
        required=True,
        help='a folder, with all that is below it, or one photo',
    )
    add('--config_file', type=path_text, required=True, help='the yml of the training')
    add('--top', type=int, default=5, help='individuals per photo; 5')
    add('--out', type=path_text, default='', help='folder of the results; OUTPUT_DIR/matches')
    args = parse_with_pairs(parser, argv)
    if args.top < 1:
        parser.error(f'--top must be 1 or more, got {args.top}')
    return args


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
