"""Make split lists, two ymls and a report of photos of any animal.

    python -m tools.make_lists PHOTOS --out datalist/nyala

PHOTOS is one of
    a folder             with a folder of photos for each individual (--identity-level where there
                         are folders in between)
    a .csv or .tsv       wildlife-datasets, Wildbook bulk import and others: usual column names, or
                         --column identity=Name
    a COCO-style .json   whose annotations, their attributes or categories name the individual
    a Camtrap DP         its folder, datapackage.json, media.csv or observations.csv

--protocol says who is tested:
    disjoint             (the default) animals that were never trained on
    closed               other encounters of the animals trained on
    date                 with --split-date: what was seen from that day on
    given                as the source says
An encounter (given; else the photos of a camera of one day, or less than an hour apart) is never
cut in two. In the folder --out afterwards:
    train.txt val.txt query.txt gallery.txt   path, label, side (0 left, 1 right), camera,
                                              encounter; - = unknown
    cnn_clipreid.yml vit_clipreid.yml         for train_clipreid.py and the tests, from the
                                              project's folder
    report.html report.json photos.csv        what was read, decided, left out; which label is
                                              who; where each photo went
    photos/                                   prepared copies, where boxes are cut out or cameras
                                              were turned

Originals are only read. The same photos, options and --seed give the same lists, in whatever order
rows or folders are listed.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from configs import ConfigError
from datasets.records import counts_table
from utils.errors import exit_code
from wildlife.lists.command_line import add_options
from wildlife.lists.options import check_options


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Make the lists and print what was made. Returns what report.json holds."""
    parser = argparse.ArgumentParser(
        description='Make split lists, ymls and a report of photos of any animal.',
        epilog='More in the head of tools/make_lists.py and in docs/your_own_animals.md.',
    )
    add_options(parser)
    options = check_options(parser.parse_args(argv))

    # Loads pandas, which --help and wrong options need not wait for.
    from wildlife.lists.make import make_lists

    lists = make_lists(options)
    facts = lists.facts
    print(counts_table(lists.records))
    for note in facts['notes']:
        print(f'- {note}')
    for reason, count in facts['left_out'].items():
        print(f'- left out: {count} x {reason}')
    print(f'The test is judged by {facts["protocol"]["test"]}: {facts["protocol"]["text"]}')
    print(f"Lists, ymls and report.html are in {options.out}. Next, from the project's folder:")
    for command in facts['commands']:
        print(f'    {command}')
    return facts


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
