"""MARK: an .inp file of encounter histories, '0101 1;' for each individual."""

from wildlife.exports.histories import see, write_keys
from wildlife.exports.job import Format, Job


def write(job: Job) -> None:
    """Write histories.inp, occasions.csv and identifiers.csv.

    The comment before each history is the individual, which RMark's convert.inp can use.
    """
    seen = see(job, job.usable('individual', 'date'))
    named = zip(seen.names.values(), seen.histories, strict=True)
    job.write_lines('histories.inp', [f'/* {name} */ {history} 1;' for name, history in named])
    write_keys(job, seen)


FORMAT = Format('MARK', write, frozenset(), frozenset({'occasions'}))
