"""BaSTA: when each individual was seen, by calendar year, for models of survival."""

from dataclasses import replace
from datetime import date

from wildlife.exports.histories import see, write_keys
from wildlife.exports.job import Format, Job

UNKNOWN = 0  # BaSTA's year of an unknown birth or death


def write(job: Job) -> None:
    """Write basta.csv, census.csv, occasions.csv and identifiers.csv.

    basta.csv is what ``basta()`` expects: a row for each individual, years of birth and death (0 =
    unknown; the catalogue has none), and a column of 0 and 1 for each year of the study.
    census.csv has a row for each individual and day on which it was seen, for
    ``CensusToCaptHist()``.
    """
    sightings = job.usable('individual', 'date')
    years = {one.day.year for one in sightings}
    bounds = [str(date(year, 1, 1)) for year in range(min(years), max(years) + 2)]
    seen = see(replace(job, options=replace(job.options, occasions=bounds)), sightings)
    columns = [bound[:4] for bound in bounds[:-1]]
    unknown = {'birth': UNKNOWN, 'death': UNKNOWN}
    rows = [
        {'ID': name, **unknown} | dict(zip(columns, history, strict=True))
        for name, history in zip(seen.names.values(), seen.histories, strict=True)
    ]
    job.write_table('basta.csv', ['ID', 'birth', 'death', *columns], rows)
    days = sorted({(one.name, one.day) for one in sightings})
    census = [{'ID': seen.names[name], 'date': day, 'year': day.year} for name, day in days]
    job.write_table('census.csv', ['ID', 'date', 'year'], census)
    write_keys(job, seen)
    job.note(f'Years of birth and death: unknown ({UNKNOWN}), since the catalogue has none')


FORMAT = Format('BaSTA', write, frozenset(), frozenset())
