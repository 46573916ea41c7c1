"""MARK and RMark: encounter histories, '0101', one for each individual."""

from wildlife.exports.histories import see, write_keys
from wildlife.exports.job import Format, Job

UNKNOWN = 'unknown'  # sex


def write_mark(job: Job) -> None:
    """Write histories.inp with lines such as '0101 1;', occasions.csv and identifiers.csv.

    The comment before each history is the individual, which RMark's convert.inp can use.
    """
    seen = see(job, job.usable('individual', 'date'))
    named = zip(seen.names.values(), seen.histories, strict=True)
    job.write_lines('histories.inp', [f'/*{name}*/ {history} 1;' for name, history in named])
    write_keys(job, seen)


def write_rmark(job: Job) -> None:
    """Write histories.txt, for RMark's import.chdata, occasions.csv and identifiers.csv.

    It is tab-separated, with the columns ch, freq and, if a sex is known, sex. The rows are the
    individuals in the order of identifiers.csv.
    """
    seen = see(job, job.usable('individual', 'date'))
    sexes = [one.sex for one in seen.individuals]
    columns, rows = ['ch', 'freq'], [[history, '1'] for history in seen.histories]
    if any(sexes):
        columns.append('sex')
        rows = [[*row, sex or UNKNOWN] for row, sex in zip(rows, sexes, strict=True)]
    job.write_lines('histories.txt', ['\t'.join(row) for row in [columns, *rows]])
    write_keys(job, seen)


MARK = Format('MARK', write_mark, frozenset(), frozenset({'occasions'}))
RMARK = Format('RMark', write_rmark, frozenset({'sex'}), frozenset({'occasions'}))
