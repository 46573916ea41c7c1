"""RMark: a tab-separated table of encounter histories with the columns ch, freq and sex."""

from wildlife.exports.histories import UNKNOWN, see, write_keys
from wildlife.exports.job import Format, Job


def write(job: Job) -> None:
    """Write histories.txt, for RMark's import.chdata, occasions.csv and identifiers.csv.

    The rows are the individuals in the order of identifiers.csv. The column sex is there if a sex
    is known.
    """
    seen = see(job, job.usable('individual', 'date'))
    sexes = [one.sex for one in seen.individuals]
    columns, rows = ['ch', 'freq'], [[history, '1'] for history in seen.histories]
    if any(sexes):
        columns.append('sex')
        rows = [[*row, sex or UNKNOWN] for row, sex in zip(rows, sexes, strict=True)]
    job.write_lines('histories.txt', ['\t'.join(row) for row in [columns, *rows]])
    write_keys(job, seen)


FORMAT = Format('RMark', write, frozenset({'sex'}), frozenset({'occasions'}))
