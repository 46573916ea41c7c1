"""Write a catalogue in a format that the field's other programs read.

    python -m tools.export_records nyala --format secr --places places.csv --occasions week
    --out nyala_secr

    camtrap-dp   a Camtrap DP data package (camtrapdp, camtraptor, GBIF); needs --timezone, --places
    wildbook     sheets for Wildbook's bulk import, 200 encounters each; needs --species
    secr         capture and trap file for secr and DENSITY; needs --places
    mark, rmark  encounter histories for MARK (.inp) and RMark
    basta        individuals by year, for BaSTA
    camtrapr     record and station table for camtrapR
    csv          everything, as plain tables

--out must be a new folder. Everything that the format cannot hold is printed, counted, and so are
photos that it rejects. The table of --places has a row for each detector: place, latitude,
longitude (or x, y in metres), and, if known, start and end. docs/exports.md says more.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from configs.command_line import path_value
from utils.errors import exit_code
from wildlife.exports.export import FORMATS, export
from wildlife.exports.job import Options
from wildlife.exports.places import read_places
from wildlife.exports.sightings import DETECTORS, read_records


def main(argv: Sequence[str] | None = None) -> Path:
    """Write the folder, print what is in it and what is not, and return its path.

    Raises:
        InputError: The catalogue or a table cannot be read, or the format needs what they lack.
    """
    args = parse(argv)

    # Not at the top: it imports torch, which takes seconds; --help should not wait for it.
    from wildlife.catalogue.store import open_catalogue

    with open_catalogue(args.catalogue) as catalogue:
        records = read_records(catalogue, args.detector)
    options = Options(
        species=args.species,
        timezone=args.timezone,
        places=read_places(args.places) if args.places else None,
        occasions=args.occasions or ['day'],
        metadata=args.metadata,
        submitter=args.submitter,
        copy_photos=args.copy_photos,
    )
    for line in export(records, args.format, options, args.out):
        print(line)
    print(f'{args.out}: {", ".join(sorted(path.name for path in args.out.iterdir()))}')
    return args.out


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tools.export_records',
        description="Write a catalogue in a format that the field's other programs read.",
    )
    add = parser.add_argument
    add('catalogue', metavar='CATALOGUE', type=path_value, help='folder of the catalogue')
    add('--format', choices=FORMATS, required=True, help='what to write')
    add('--out', metavar='FOLDER', type=path_value, required=True, help='new folder to write')
    add('--species', default='', help="scientific name (default: the catalogue's)")
    text = "zone of the photos' times: Africa/Johannesburg, or +02:00"
    add('--timezone', metavar='ZONE', default='', help=text)
    add('--places', metavar='CSV', type=path_value, help='where and when each detector worked')
    text = "what a detector is: the photo's camera or its place (default: the camera, if known)"
    add('--detector', choices=DETECTORS, default='', help=text)
    text = 'day (default), week, or dates: each starts an occasion, the last is the day after'
    add('--occasions', nargs='+', metavar='WHEN', help=text)
    text = 'JSON file with title, contributors, licenses, project … for datapackage.json'
    add('--metadata', metavar='JSON', type=path_value, help=text)
    add('--submitter', metavar='USER', default='', help='your user name in Wildbook')
    add('--copy-photos', action='store_true', help='copy the photos too, under plain names')
    args = parser.parse_args(argv)
    used = FORMATS[args.format].options
    for name in Options.__dataclass_fields__.keys() | {'detector'}:
        if getattr(args, name) and name not in used:
            parser.error(f'--{name.replace("_", "-")} has no use with --format {args.format}')
    return args


if __name__ == '__main__':
    sys.exit(exit_code(main))
