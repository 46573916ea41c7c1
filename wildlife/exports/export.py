"""Writes a catalogue in one of the formats, into a new folder."""

from collections.abc import Mapping
from pathlib import Path

from utils.files import atomic_folder
from wildlife.exports import (
    basta,
    camtrap_dp,
    camtrapr,
    mark,
    rmark,
    secr,
    tables,
    wildbook,
)
from wildlife.exports.job import Format, Job, Options
from wildlife.exports.losses import losses
from wildlife.exports.sightings import Records

FORMATS: Mapping[str, Format] = {
    'camtrap-dp': camtrap_dp.FORMAT,
    'wildbook': wildbook.FORMAT,
    'secr': secr.FORMAT,
    'mark': mark.FORMAT,
    'rmark': rmark.FORMAT,
    'basta': basta.FORMAT,
    'camtrapr': camtrapr.FORMAT,
    'csv': tables.FORMAT,
}


def export(records: Records, name: str, options: Options, out: Path) -> list[str]:
    """Write a folder in a format; if this fails or is interrupted, there is no folder.

    Args:
        records: What is exported.
        name: A key of ``FORMATS``.
        options: How.
        out: The folder; it must be missing or empty.

    Returns:
        Lines for the person who exports: what is missing, what was assumed, what the format cannot
        hold, each counted.

    Raises:
        InputError: The format needs what the records lack, or the folder cannot be written.
    """
    chosen = FORMATS[name]
    with atomic_folder(out) as folder:
        job = Job(chosen.title, records, options, folder)
        if 'detector' in chosen.options:
            job.note(f"Detectors: the photos' {records.detector}s")
        chosen.write(job)
    lost = losses(records, chosen.holds)
    return [*job.notes, *(f'Not in {chosen.title}: {text}' for text in lost)]
