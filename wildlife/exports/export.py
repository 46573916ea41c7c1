"""Writes a catalogue in one of the formats, into a new folder."""

from collections.abc import Mapping
from pathlib import Path

from utils.files import atomic_folder
from wildlife.exports import basta, camtrap_dp, camtrapr, mark, secr, tables, wildbook
from wildlife.exports.job import NEEDS, Format, Job, Options
from wildlife.exports.losses import losses
from wildlife.exports.sightings import Records
from wildlife.exports.times import has_time

FORMATS: Mapping[str, Format] = {
    'camtrap-dp': camtrap_dp.FORMAT,
    'wildbook': wildbook.FORMAT,
    'secr': secr.FORMAT,
    'mark': mark.MARK,
    'rmark': mark.RMARK,
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
        has_detectors = any(map(NEEDS['detector'], records.sightings))
        if 'detector' in chosen.options and has_detectors:
            job.note(f"Detectors: the photos' {records.detector}s")
        chosen.write(job)
        if 'time' in chosen.holds:
            _note_missing_times(job)
    lost = losses(records, chosen.holds)
    return [*job.notes, *(f'Not in {chosen.title}: {text}' for text in lost)]


def _note_missing_times(job: Job) -> None:
    dates = [one.photo.date for one in job.records.sightings if one.photo.date]
    count = sum(not has_time(date) for date in dates)
    job.note_count(count, 'photo', 'at 00:00:00: perhaps only their day is known')
