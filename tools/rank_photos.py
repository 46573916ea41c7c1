"""Who is this? For new photos the known individuals that look most like them.

    python -m tools.rank_photos --photos NEW --config_file datalist/nyala/cnn_clipreid.yml
    TEST.WEIGHT RN50_80.pth

Known are all photos in the lists of the config, by the names in ``photos.csv`` of
tools/make_lists.py where that lies beside the lists, else by list and label ('train 12'). New
photos should show what the known ones do (cut out as they were). New and known ones are read
upright (EXIF), as make_lists stores them. An individual is as near as its nearest photo (cosine
distance). Nothing says that a new animal is none of the known ones: look at the photos. FOLDER
(--out, default OUTPUT_DIR/matches) then holds

    matches.csv    photo, rank, individual, distance, known_photo: one row a candidate; problem: why
    a photo cannot be read matches.html   the same as pictures, of the first 200 photos
"""

import argparse
import csv
import logging
import os
import sys
from collections import Counter
from html import escape
from pathlib import Path

import torch.nn.functional as F

from configs import ConfigError, load_cfg
from configs.command_line import parse_with_pairs, path_text
from datasets.animal import TEST_LISTS
from datasets.dataset import ImageDataset
from datasets.images import find_unreadable
from datasets.make_dataloader_clipreid import loader_options
from datasets.records import NOBODY, Record
from datasets.sources import load_test, load_train
from datasets.transforms import make_test_transform
from datasets.workers import ImageLoader
from model.make_model_clipreid import make_test_model
from processor.inference import extract_features
from utils.device import make_runtime
from utils.errors import InputError, exit_code
from utils.files import atomic_write, make_output_dir
from utils.logger import setup_logger
from utils.metrics import distance_text
from utils.torch_errors import translated_errors
from wildlife.lists.folders import photo_extensions, photos_below
from wildlife.thumbnails import thumbnail

logger = logging.getLogger('transreid')

COLUMNS = ('photo', 'rank', 'individual', 'distance', 'known_photo', 'problem')
SHOWN = 200  # photos on the page
SIDE = 160  # pixels of a picture there
BLOCK = 1024  # new photos whose distances are held at a time
STYLE = (
    'body { font: 15px/1.4 system-ui, sans-serif; margin: 1em; color: #222 } td { padding: .3em '
    '.5em; '
    'vertical-align: top; border-bottom: 1px solid #ddd } small { color: #555; overflow-wrap: '
    'anywhere; display: block; '
    'max-width: 11em }'
)


def main(argv=None):
    """Rank, write both files; returns the rows of matches.csv as dicts. Raises ``InputError`` and
    ``ConfigError``.
    """
    args = parse(argv)
    cfg = load_cfg(args.config_file, args.opts)
    setup_logger()
    if cfg.MODEL.SIE_CAMERA or cfg.MODEL.SIE_VIEW:
        raise InputError(
            'MODEL.SIE_CAMERA / SIE_VIEW: the model asks for the camera or side of a photo, '
            'which nobody knows of '
            'new ones; rank with a model trained without'
        )
    found = find_photos(args.photos)
    known, names = known_photos(cfg)
    problems = find_problems(found, args.photos)
    new = [path for path in found if path not in problems]
    with translated_errors('TEST.IMS_PER_BATCH'):
        runtime = make_runtime(
            cfg.MODEL.DEVICE, cfg.SOLVER.AMP, cfg.SOLVER.DETERMINISTIC, compiles=cfg.MODEL.COMPILE
        )
        model = make_test_model(cfg).to(runtime.device)
        photos = [*(Record(path, 0) for path in new), *known]
        features = F.normalize(_features(model, photos, cfg, runtime))
    rows = rank(
        new,
        features[: len(new)],
        [record.path for record in known],
        features[len(new) :],
        names,
        args.top,
    )
    rows += [
        dict.fromkeys(COLUMNS, '') | {'photo': path, 'problem': problem}
        for path, problem in problems.items()
    ]
    folder = make_output_dir(
        args.out or (cfg.OUTPUT_DIR and os.path.join(cfg.OUTPUT_DIR, 'matches'))
    )
    with atomic_write(folder / 'matches.csv') as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator='\n')
        table.writeheader()
        table.writerows(rows)
    with atomic_write(folder / 'matches.html') as file:
        file.write(page(rows))
    print(
        f'{len(new)} photos against {len(known)} of {len(set(names))} individuals: '
        f'{folder / "matches.csv"}, '
        f'{folder / "matches.html"}'
    )
    if problems:
        print(
            f'{len(problems)} of {len(found)} photos cannot be read; why: column problem of '
            'matches.csv'
        )
    return rows


def parse(argv):
    parser = argparse.ArgumentParser(
        description='For new photos the known individuals that look most like them.'
    )
    parser.add_argument(
        '--photos',
        type=path_text,
        required=True,
        help='a folder, with all that is below it, or one photo',
    )
    parser.add_argument(
        '--config_file', type=path_text, required=True, help='the yml of the training'
    )
    parser.add_argument('--top', type=int, default=5, help='individuals a photo; 5')
    parser.add_argument(
        '--out', type=path_text, default='', help='folder of the results; OUTPUT_DIR/matches'
    )
    args = parse_with_pairs(parser, argv)
    if args.top < 1:
        parser.error(f'--top must be 1 or more, got {args.top}')
    return args


def find_photos(place):
    """Paths of the photos below a folder, sorted, or of the one photo; what is skipped is counted.
    ``InputError`` for none.
    """
    if os.path.isfile(place):
        return [place]
    photos, skipped = photos_below(place)
    counts = Counter(reason for _, reason in skipped)
    first = {reason: path for path, reason in reversed(skipped)}
    told = ', '.join(
        f'{count} x {reason}, as {first[reason]}' for reason, count in counts.most_common(6)
    )
    if not photos:
        raise InputError(
            f'{place}: no photo there{told and f" (skipped: {told})"}; name a folder of photos '
            f'({", ".join(sorted(photo_extensions()))}), or one photo'
        )
    if told:
        logger.warning('skipped below %s: %s', place, told)
    return [str(Path(place, path)) for path in photos]


def find_problems(photos, place):
    """{path: why it cannot be read} of the new ``photos`` found at ``place``. ``InputError`` where
    that is all of them.
    """
    problems = find_unreadable(photos)
    if len(problems) == len(photos):
        first, problem = next(iter(problems.items()))
        raise InputError(
            f'{place}: none of {len(photos)} photos can be read; the first, {first}: {problem}'
        )
    return problems


def known_photos(cfg):
    """(records, names of their individuals) of all photos in the config's lists, each once;
    distractors show nobody.
    """
    train = load_train(cfg)
    tested = (
        bool(cfg.DATASETS.QUERY_LIST)
        or cfg.DATASETS.NAMES != 'animals'
        or cfg.DATASETS.SPECIES in TEST_LISTS
    )
    parts = [('train', train.root, [*train.train, *train.query])]
    if tested:
        test = load_test(cfg)
        shown = [record for record in test.gallery if record.pid != NOBODY]
        parts.append(('test', test.root, [*test.query, *shown]))
    given = (
        _given_names(os.path.join(cfg.DATASETS.LIST_DIR, 'photos.csv'))
        if cfg.DATASETS.NAMES == 'animals'
        else {}
    )
    records, names = {}, {}
    for part, root, photos in parts:
        for record in photos:
            place = os.path.realpath(record.path)
            listed = os.path.relpath(record.path, root).replace(os.sep, '/')
            records.setdefault(place, record)
            names.setdefault(place, given.get(listed, f'{part} {record.pid}'))
    return list(records.values()), list(names.values())


def _given_names(path):
    """{listed path: individual} of make_lists' photos.csv, {} where there is none."""
    if not os.path.isfile(path):
        return {}
    try:
        with open(path, encoding='utf-8', newline='') as file:
            return {row['listed']: row['identity'] for row in csv.DictReader(file) if row['listed']}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise InputError(
            f'{path}: not the photos.csv that tools/make_lists.py writes ({error}); make the '
            'lists again, or move '
            f'it away'
        ) from None


def _features(model, records, cfg, runtime):
    transform = make_test_transform(
        size=cfg.INPUT.SIZE_TEST, mean=cfg.INPUT.PIXEL_MEAN, std=cfg.INPUT.PIXEL_STD, upright=True
    )
    options = loader_options(cfg, False, runtime.device, [(cfg.TEST.IMS_PER_BATCH, transform)])
    loader = ImageLoader(
        ImageDataset(records, transform), batch_size=cfg.TEST.IMS_PER_BATCH, **options
    )
    try:
        return extract_features(model, loader, runtime)
    finally:
        loader.close()


def rank(new, features, known, known_features, names, top):
    """Rows of matches.csv: for each readable photo the ``top`` nearest individuals, each by its
    nearest photo.

    new, known: N and M paths; features (N, D), known_features (M, D): L2-normalised; names:
    individuals of the known photos.
    """
    rows = []
    for start in range(0, len(new), BLOCK):
        distances = (1 - features[start : start + BLOCK] @ known_features.T).cpu().numpy()
        for path, distance in zip(new[start : start + BLOCK], distances, strict=True):
            nearest = {}
            for place in distance.argsort(kind='stable'):
                nearest.setdefault(names[place], place)
                if len(nearest) == top:
                    break
            rows += [
                {
                    'photo': path,
                    'rank': number,
                    'individual': name,
                    'distance': distance_text(distance[place]),
                    'known_photo': known[place],
                    'problem': '',
                }
                for number, (name, place) in enumerate(nearest.items(), start=1)
            ]
    return rows


def page(rows):
    """One HTML file: the photos that cannot be read, then a row a new photo with its candidates."""
    photos, problems = {}, []
    for row in rows:
        if row['problem']:
            name = os.path.basename(row['photo'])
            problems.append(f'<li>{escape(name)}: {escape(row["problem"])}</li>')
        else:
            photos.setdefault(row['photo'], []).append(row)
    lines = []
    for photo, candidates in list(photos.items())[:SHOWN]:
        line = _cell(photo, os.path.basename(photo))
        for row in candidates:
            line += _cell(
                row['known_photo'], f'{row["rank"]}. {row["individual"]}, {row["distance"]}'
            )
        lines.append(f'<tr>{line}</tr>')
    unread = ''
    if problems:
        unread = f'<p>{len(problems)} photos cannot be read:</p><ul>{"".join(problems)}</ul>'
    more = (
        f'<p>… and {len(photos) - SHOWN} more photos, all of them in matches.csv.</p>'
        if len(photos) > SHOWN
        else ''
    )
    return (
        '<!doctype html><html lang="en"><meta '
        f'charset="utf-8"><title>Matches</title><style>{STYLE}</style>'
        '<h1>Who is this?</h1><p>Left the new photo, then the individuals nearest to it, each '
        'with its nearest photo and '
        f'the cosine distance.</p>{unread}<table>{"".join(lines)}</table>{more}</html>\n'
    )


def _cell(path, text):
    picture = thumbnail(path, SIDE, upright=True)
    return f'<td><img alt="" src="{picture}"><small>{escape(text)}</small></td>'


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
