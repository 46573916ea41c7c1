"""Check the data of a config before training: python -m tools.check_data --config_file X [--out
FOLDER] [KEY VALUE …]

Looks for what would make training or its results wrong: photos that are missing or cannot be read,
one photo under two labels, train photos in the test, encounters that are cut in two, queries
without a right answer; and for what is worth a look. FOLDER (default OUTPUT_DIR/check_data) then
holds

    check.html   one page, with the suspicious photos side by side
    check.json   all that was found, and what each photo file is: another check reads only what is
    new, unless the program
                 or its libraries now read photos otherwise

Exit code: 0, also with warnings; 1 = training or its results would be wrong; 2 = the config or a
list cannot be read. No weights are needed.
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

from configs import ConfigError, load_cfg
from configs.command_line import parse_with_pairs, path_text
from datasets.records import count, counts_table
from utils.errors import InputError, exit_code
from utils.files import atomic_write, write_json, writing
from wildlife.checks.findings import Inspection
from wildlife.checks.lists import read_lists
from wildlife.checks.page import make_page
from wildlife.checks.photos import as_dicts, earlier_photos, read_photos, reader

MAX_NEAR = 64  # bits: beyond, different photos are nearly the same


def main(argv=None):
    """Check, write page and JSON, print a summary; returns what the JSON holds. Raises
    ``InputError`` and ``ConfigError``.
    """
    args = parse(argv)
    cfg = load_cfg(args.config_file, args.opts)
    lists = read_lists(cfg)
    out = _folder(args.out, cfg.OUTPUT_DIR)

    paths = [record.path for records in lists.splits.values() for record in records]
    photos = read_photos(paths, args.workers, earlier_photos(out / 'check.json'))
    findings = Inspection(lists, photos, cfg, args.near, args.tiny, args.closed).findings()
    levels = Counter(finding.level for finding in findings)
    report = {
        'config_file': args.config_file,
        'fit': not levels['wrong'],
        'wrong': levels['wrong'],
        'warnings': levels['warning'],
        'options': {'near': args.near, 'tiny': args.tiny, 'closed': args.closed},
        'protocol': lists.protocol.name if lists.protocol else None,
        'splits': {
            split: {
                'source': lists.sources[split],
                'photos': len(records),
                'missing': len(lists.missing.get(split, ())),
                'individuals': count(records).ids,
            }
            for split, records in lists.splits.items()
        },
        'findings': [
            {
                'check': finding.check,
                'level': finding.level,
                'title': finding.title,
                'count': finding.count,
                'text': finding.text,
                'meaning': finding.meaning,
                'items': finding.items,
            }
            for finding in findings
        ],
        'reader': reader(),
        'photos': as_dicts(photos.values()),
    }
    page = make_page(args.config_file, findings, lists, photos, cfg.INPUT.SIZE_TRAIN)
    write_json(out / 'check.json', report)
    with atomic_write(out / 'check.html', 'wb') as file:
        file.write(page)
    _say(counts_table(lists.splits))
    for finding in findings:
        _say(f'{finding.level:8} {finding.title}: {finding.text}{finding.first_paths()}')
    verdict = 'Training or its results would be wrong' if levels['wrong'] else 'Fit for training'
    _say(
        f'{verdict}: {levels["wrong"]} checks wrong, {levels["warning"]} with warnings; see '
        f'{out / "check.html"}'
    )
    return report


def parse(argv):
    parser = argparse.ArgumentParser(
        description='Check the photos and lists of a config before training.',
        epilog='Exit code 1: training or results would be wrong; 2: config or list unreadable.',
    )
    parser.add_argument(
        '--config_file', type=path_text, required=True, help='a yml of configs/, or your own'
    )
    parser.add_argument(
        '--out',
        type=path_text,
        default='',
        help='folder for check.html and check.json (default OUTPUT_DIR/check_data)',
    )
    parser.add_argument(
        '--near',
        type=_number(0, MAX_NEAR),
        default=24,
        help='bits of 256 of the perceptual hash in which '
        'nearly the same photos may differ; copies of other size or quality do in a dozen '
        '(default 24)',
    )
    parser.add_argument(
        '--tiny',
        type=_number(1, 10_000),
        default=32,
        help='pixels: a shorter side below is told (default 32)',
    )
    parser.add_argument(
        '--closed',
        action='store_true',
        help='the test asks for individuals of the train list, on purpose',
    )
    parser.add_argument(
        '--workers',
        type=_number(1, 64),
        default=min(2, os.cpu_count() or 1),
        help='threads that read photos',
    )
    return parse_with_pairs(parser, argv)


def _number(least, most):
    def parsed(text):
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f'{text!r} is no whole number of {least} … {most}')
        return int(text)

    return parsed


def _folder(named, output_dir):
    """The folder of the report, made where missing."""
    if not named and not output_dir:
        raise InputError('OUTPUT_DIR is empty; name the folder of the report with --out')
    folder = Path(named or Path(output_dir) / 'check_data')
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _say(text):
    """Print what may hold a stranger's text: no control characters of theirs."""
    print(''.join(letter if letter.isprintable() or letter == '\n' else '?' for letter in text))


def program(argv=None):
    """``main`` as a command: its exit code."""
    reports = []
    return exit_code(lambda: reports.append(main(argv)), ConfigError) or int(not reports[0]['fit'])


if __name__ == '__main__':
    sys.exit(program())
