"""Make split lists, two yml files and a report from photos of any animal.

    python -m tools.make_lists PHOTOS --out datalist/nyala

PHOTOS is one of
    a folder             one subfolder of photos per individual; use --identity-level if there are
                         folders in between
    a .csv or .tsv       a table of wildlife-datasets, a Wildbook bulk import or another table;
                         name unusual columns, for example --column identity=Name
    a COCO-style .json   annotations, their attributes or categories name the individual
    a Camtrap DP         its folder, datapackage.json, media.csv or observations.csv
    a detector's .json   boxes of MegaDetector, SpeciesNet or AddaxAI; folders name the individuals.
                         --detections adds such boxes to one of the others

--protocol says how the photos are split into training and test:
    disjoint             test on animals that are not trained on (the default)
    open                 the same, and some test animals are not in the gallery (tools.open_set)
    closed               test on other encounters of the training animals
    date                 test on photos taken on or after --split-date
    given                use the splits of the source
--test-share 1 makes a test of all animals, without lists for training.

An encounter is never divided between training and test. If the source gives no encounters, photos
of one camera form an encounter if they are of one day or less than an hour apart. The folder --out
then contains:
    train.txt val.txt query.txt gallery.txt   path, label, side (0 left, 1 right), camera,
                                              encounter; - = unknown
    cnn_clipreid.yml vit_clipreid.yml         configs for training and tests; run these from the
                                              project's folder
    report.html report.json photos.csv        what was read, decided and skipped; the individual of
                                              each label; the list of each photo
    photos/                                   prepared copies, if photos are cropped or turned

Originals are never changed. The same photos, options and --seed give the same lists, whatever the
order of rows or folders.
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
    """Make the lists, print a summary, and return the content of report.json."""
    parser = argparse.ArgumentParser(
        prog='python -m tools.make_lists',
        description='Make split lists, yml files and a report from photos of any animal.',
        epilog='For details see tools/make_lists.py and docs/your_own_animals.md.',
    )
    add_options(parser)
    options = check_options(parser.parse_args(argv))

    # Imported late: pandas loads slowly, and --help and option errors do not need it.
    from wildlife.lists.make import make_lists

    lists = make_lists(options)
    facts = lists.facts
    print(counts_table(lists.records))
    for note in facts['notes']:
        print(f'- {note}')
    for reason, count in facts['left_out'].items():
        print(f'- skipped: {count} x {reason}')
    print(f'Test protocol {facts["protocol"]["test"]}: {facts["protocol"]["text"]}')
    print(f'The lists, yml files and report.html are in {options.out}.')
    print("Next, run from the project's folder:")
    for command in facts['commands']:
        print(f'    {command}')
    return facts


if __name__ == '__main__':
    sys.exit(exit_code(main, ConfigError))
