"""The rules of tools/check_data.py: they turn lists and photos into findings."""

from collections.abc import Iterator

from wildlife.checks.rules.inspection import Finding, Inspection, Limits, make_item
from wildlife.checks.rules.labels import check_individuals, check_known, check_two_labels
from wildlife.checks.rules.leaks import check_copies, check_encounters, check_leaks, check_near
from wildlife.checks.rules.photos import check_missing, check_pictures, check_shapes
from wildlife.checks.rules.protocol import check_itself, check_positives
from wildlife.checks.rules.table import CHECKS, Rule

__all__ = ['CHECKS', 'Finding', 'Inspection', 'Limits', 'Rule', 'find_all']


def check_reading(data: Inspection) -> Iterator[Finding]:
    """Report the errors, warnings and notes that came up while the lists were read."""
    for check, lines in (
        ('refused', data.lists.errors),
        ('warned', data.lists.warnings),
        ('unchecked', data.lists.notes),
    ):
        yield Finding(check, len(lines), '; '.join(lines), [make_item([], line) for line in lines])


RULES = (
    check_reading,
    check_missing,
    check_pictures,
    check_two_labels,
    check_leaks,
    check_near,
    check_encounters,
    check_known,
    check_positives,
    check_itself,
    check_copies,
    check_shapes,
    check_individuals,
)


def find_all(data: Inspection) -> list[Finding]:
    """Apply all rules; return their findings in the order of ``CHECKS``."""
    found = [finding for rule in RULES for finding in rule(data) if finding.count]
    order = list(CHECKS)
    return sorted(found, key=lambda finding: order.index(finding.check))
