"""The output of tools/check_data.py: check.json, and lines for the terminal."""

from collections.abc import Iterator, Sequence
from typing import Any

from datasets.records import counts_table, individuals
from wildlife.checks.photos import as_dicts, reader
from wildlife.checks.rules import Finding, Inspection


def make_report(config_file: str, data: Inspection, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the content of check.json.

    Args:
        config_file: Config that was checked.
        data: Lists, photos and limits of the check.
        findings: Findings of the rules.
    """
    lists, limits = data.lists, data.limits
    levels = [finding.level for finding in findings]
    splits = {}
    for split, records in lists.splits.items():
        splits[split] = {
            'source': lists.sources[split],
            'photos': len(records),
            'missing': len(lists.missing.get(split, ())),
            'individuals': individuals(records),
        }
    return {
        'config_file': config_file,
        'fit': 'wrong' not in levels,
        'wrong': levels.count('wrong'),
        'warnings': levels.count('warning'),
        'options': {'near': limits.near, 'tiny': limits.tiny, 'closed': limits.closed},
        'protocol': lists.protocol.name if lists.protocol else None,
        'splits': splits,
        'findings': [_finding(finding) for finding in findings],
        'reader': reader(),
        'photos': as_dicts(data.photos.values()),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        'check': finding.check,
        'level': finding.level,
        'title': finding.title,
        'count': finding.count,
        'text': finding.text,
        'meaning': finding.meaning,
        'items': finding.items,
    }


def summary(data: Inspection, findings: Sequence[Finding], page: str) -> Iterator[str]:
    """Yield lines for the terminal, with control characters in names replaced by '?'.

    Args:
        data: Lists and photos that were checked.
        findings: Findings of the rules.
        page: Path of check.html.
    """
    levels = [finding.level for finding in findings]
    yield _printable(counts_table(data.lists.splits))
    for finding in findings:
        yield _printable(
            f'{finding.level:8} {finding.title}: {finding.text}{finding.first_paths()}'
        )
    verdict = 'Training or its results would be wrong' if 'wrong' in levels else 'Fit for training'
    yield _printable(
        f'{verdict} (checks failed: {levels.count("wrong")}, warned: {levels.count("warning")}); '
        f'see {page}'
    )


def _printable(text: str) -> str:
    return ''.join(letter if letter.isprintable() or letter == '\n' else '?' for letter in text)
