"""Identify new photos: list the known individuals that look most similar.

    python -m tools.rank_photos --photos NEW --config_file datalist/nyala/cnn_clipreid.yml
    TEST.WEIGHT RN50_80.pth

New photos are compared with all photos of known individuals in the lists of the config.
Individuals are named as in the ``photos.csv`` that tools/make_lists.py writes beside the lists, or
by list and label ('train 12') if there is none. Crop the new photos like the known ones. All photos
are read upright (EXIF), as make_lists stores them. The distance of an individual is the cosine
distance of its nearest photo. Every new photo gets candidates, even if it shows an unknown animal,
so look at the photos. These are ranks alone: tools.identify answers from a catalogue, with
probabilities and "new". The output folder (--out, default: OUTPUT_DIR/matches) contains

    matches.csv    one row per candidate: photo, rank, individual, distance, known_photo; the
                   column problem says why a photo cannot be read
    matches.html   pictures of the candidates for the first 200 photos
"""

import argparse
import os
import sys
from collections.abc import Sequence

from configs import ConfigError, load_cfg
from configs.command_line import parse_with_pairs, path_text
from model.timm_names import resolve_inputs
from utils.errors import exit_code
from utils.files import make_output_dir
from utils.logger import setup_logger
from wildlife.matches.photos import known_photos, new_photos
from wildlife.matches.ranking import Row, check_model, find_matches
from wildlife.matches.report import problem_rows, write_matches


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Rank the known individuals, write both files and return the rows of matches.csv.

    Raises:
        InputError: Photos, lists or weights cannot be read.
        ConfigError: The config cannot be read.
    """
    args = parse(argv)
    cfg = resolve_inputs(load_cfg(args.config_file, args.opts))
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
        f'{len(new.paths)} photos were compared with {len(known.records)} photos of '
        f'{len(set(known.names))} individuals; see {folder / "matches.html"} and '
        f'{folder / "matches.csv"}'
    )
    if new.problems:
        print(
            f'{len(new.problems)} of {len(new.paths) + len(new.problems)} photos cannot be read; '
            'the column problem of matches.csv says why'
        )
    return rows


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tools.rank_photos',
        description='For each new photo, list the known individuals that look most similar.',
    )
    add = parser.add_argument
    add(
        '--photos',
        type=path_text,
        required=True,
        help='folder of new photos, subfolders included, or a single photo',
    )
    add('--config_file', type=path_text, required=True, help='yml file of the training')
    add('--top', type=int, default=5, help='individuals listed per photo (default: 5)')
    add(
        '--out',
        type=path_text,
        default='',
        help='folder for the results (default: OUTPUT_DIR/matches)',
    )
    args = parse_with_pairs(parser, argv)
    if args.top < 1:
        parser.error(f'--top must be 1 or more, got {args.top}')
    return args


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
