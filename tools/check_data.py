"""Check the data of a config before training.

    python -m tools.check_data --config_file X [--out FOLDER] [KEY VALUE …]

Reports everything that would make training or its results wrong: missing and unreadable photos,
one photo under two labels, train photos in the test, encounters in both training and the test,
queries without a match in the gallery. Also reports what is worth a look. Writes to FOLDER
(default: OUTPUT_DIR/check_data):

    check.html   one page, with the suspicious photos side by side
    check.json   all findings, and a description of each photo file; the next check reads only new
                 and changed files, unless the code or the library that reads photos has changed

Exit codes: 0 = no errors, perhaps warnings; 1 = training or its results would be wrong; 2 = the
config or a list cannot be read. No weights are needed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs import ConfigError, load_cfg
from model.timm_names import resolve_inputs
from utils.errors import InputError, exit_code
from utils.files import atomic_write, write_json, writing
from wildlife.checks.command_line import parse
from wildlife.checks.lists import read_lists
from wildlife.checks.page import make_page
from wildlife.checks.photos import earlier_photos, read_photos
from wildlife.checks.report import make_report, summary
from wildlife.checks.rules import Inspection, Limits, find_all


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Check the data, write page and JSON, and print a summary.

    Returns:
        The content of check.json.

    Raises:
        InputError: If a list cannot be read, or there is nothing to check.
        ConfigError: If the config cannot be read.
    """
    args = parse(argv)
    cfg = resolve_inputs(load_cfg(args.config_file, args.opts))
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
    """Return the folder of the report; create it if it is missing."""
    if not named and not output_dir:
        raise InputError('OUTPUT_DIR is empty; give the folder of the report with --out')
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
