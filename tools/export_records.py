"""Export a catalogue to a format that other programs read.

    python -m tools.export_records nyala --format secr --places places.csv --occasions week
    --out nyala_secr

    camtrap-dp   a Camtrap DP data package (camtrapdp, camtraptor, GBIF); needs --timezone, --places
    wildbook     sheets for Wildbook's bulk import, 200 encounters each; needs --species
    secr         capture and trap file for secr and DENSITY; needs --places
    mark, rmark  encounter histories for MARK (.inp) and RMark
    basta        individuals by year, for BaSTA
    camtrapr     record and station table for camtrapR
    csv          everything, as plain tables

--out must be a new folder. The command prints and counts what the format cannot hold, and the
photos that it skips. The table of --places has one row per detector: place, latitude, longitude (or
x, y in metres), and, if known, start and end. See docs/exports.md.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from utils.errors import exit_code
from wildlife.exports.command_line import parse
from wildlife.exports.export import export
from wildlife.exports.job import Options
from wildlife.exports.places import read_places
from wildlife.exports.sightings import read_records


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


if __name__ == '__main__':
    sys.exit(exit_code(main))
