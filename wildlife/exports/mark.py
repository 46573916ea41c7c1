"""MARK: an .inp file of encounter histories, '0101 1;' for each individual."""

from wildlife.exports.histories import see, write_identifiers
from wildlife.exports.job import Format, Job


def write(job: Job) -> None:
    """Write histories.inp and identifiers.csv.

    The comment before each history is the individual, which RMark's convert.inp can use.
    """
    seen = see(job, job.usable('individual', 'date'))
    lines = [f'/* {seen.occasions} */']
    for name, history in zip(seen.names.values(), seen.histories, strict=True):
        lines.append(f'/* {name} */ {history} 1;')
    job.write_lines('histories.inp', lines)
    write_identifiers(job, seen)


FORMAT = Format('MARK', write, frozenset(), frozenset({'occasions'}))
