"""The command line of ``tools.export_records``."""

import argparse
from collections.abc import Sequence
from dataclasses import fields

from configs.command_line import path_value
from wildlife.exports.export import FORMATS
from wildlife.exports.job import Options
from wildlife.exports.sightings import DETECTORS


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line of ``tools.export_records``."""
    parser = argparse.ArgumentParser(
        prog='python -m tools.export_records',
        description='Export a catalogue to a format that other programs read.',
    )
    add = parser.add_argument
    add('catalogue', metavar='CATALOGUE', type=path_value, help='folder of the catalogue')
    add('--format', choices=FORMATS, required=True, help='format of the export')
    add('--out', metavar='FOLDER', type=path_value, required=True, help='new folder for the export')
    add('--species', default='', help="scientific name (default: the catalogue's)")
    text = "time zone of the photos' times: a name such as Africa/Johannesburg, or +02:00"
    add('--timezone', metavar='ZONE', default='', help=text)
    add('--places', metavar='CSV', type=path_value, help='where and when each detector worked')
    text = (
        'whether a detector is a camera or a place (default: camera, if any photo has one, else '
        'place)'
    )
    add('--detector', choices=DETECTORS, default='', help=text)
    text = (
        'day (default), week, or dates: each date starts an occasion, and the last one is the day '
        'after the end'
    )
    add('--occasions', nargs='+', metavar='WHEN', help=text)
    text = 'JSON file with the title, contributors, licenses, project … of datapackage.json'
    add('--metadata', metavar='JSON', type=path_value, help=text)
    add('--submitter', metavar='USER', default='', help='your user name in Wildbook')
    add('--copy-photos', action='store_true', help='also copy the photos, under plain names')
    args = parser.parse_args(argv)
    used = FORMATS[args.format].options
    for name in {field.name for field in fields(Options)} | {'detector'}:
        if getattr(args, name) and name not in used:
            parser.error(f'--{name.replace("_", "-")} has no effect with --format {args.format}')
    return args
