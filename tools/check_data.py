"""Check the data of a config before training: python -m tools.check_data --config_file X [--out
FOLDER] [KEY VALUE …]

Looks for what would make training or its results wrong: photos that are missing or cannot be read,
one photo under two labels, train photos in the test, encounters that are cut in two, queries
without a match; and for what is worth a look. FOLDER (default OUTPUT_DIR/check_data) then holds

    check.html   one page, with the suspicious photos side by side
    check.json   all that was found, and what each photo file is: another check reads only new
                 files, unless the program or its libraries now read photos otherwise

Exit code: 0, also with warnings; 1 = training or its results would be wrong; 2 = the config or a
list cannot be read. No weights are needed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs import ConfigError, load_cfg
from utils.errors import InputError, exit_code
from utils.files import atomic_write, write_json, writing
from wildlife.checks.command_line import parse
from wildlife.checks.lists import read_lists
from wildlife.checks.page import make_page
from wildlife.checks.photos import earlier_photos, read_photos
from wildlife.checks.report import make_report, summary
from wildlife.checks.rules import Inspection, Limits, find_all


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Check, write page and JSON, print a summary; return what the JSON holds.

    Raises:
        InputError: a list cannot be read, or there is nothing to check.
        ConfigError: the config cannot be read.
    """
    args = parse(argv)
    cfg = load_cfg(args.config_file, args.opts)
    lists = read_lists(cfg)
    out = _folder(args.out, cfg.OUTPUT_DIR)
    paths = [record.path for records in lists.splits.values() for record in records]
    photos = read_photos(paths, args.workers, earlier_photos(out / 'check.json'))
    data = Inspection(lists, photos, cfg, Limits(args.near, args.tiny, args.closed))
    findings = find_all(data)
    report = make_report(args.config_file, data, findings)
    page = make_page(args.config_file, findings, lists, photos.values(), cfg.INPUT.SIZE_TRAIN)
    write_json(out / 'check.json', report)
    with atomic_write(out / 'check.html') as file:
        file.write(page)
    for line in summary(data, findings, str(out / 'check.html')):
        print(line)
    return report


def _folder(named: str, output_dir: str) -> Path:
    """The folder of the report, made where missing."""
    if not named and not output_dir:
        raise InputError('OUTPUT_DIR is empty; name the folder of the report with --out')
    folder = Path(named or Path(output_dir) / 'check_data')
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def program(argv: Sequence[str] | None = None) -> int:
    """Run ``main`` as a command; return its exit code."""
    reports: list[dict[str, Any]] = []
    code = exit_code(lambda: reports.append(main(argv)), ConfigError)
    return code or int(not reports[0]['fit'])


if __name__ == '__main__':
    sys.exit(program())
