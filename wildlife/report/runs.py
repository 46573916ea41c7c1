"""Finds the results of many runs, checks the names of metrics, and saves a table."""

import os
from collections.abc import Sequence
from pathlib import Path

from utils.errors import InputError
from utils.files import atomic_write, keep_earlier
from utils.words import did_you_mean, shortened
from wildlife.report.results import TestResult, read_result


def find_results(paths: Sequence[str | Path]) -> list[TestResult]:
    """Read the results of tests, each once.

    Args:
        paths: OUTPUT_DIRs of tests, their results.json, or folders with such folders below them.

    Raises:
        InputError: A folder has no result, or a result cannot be read.
    """
    files = dict.fromkeys(file.resolve() for path in paths for file in _result_files(Path(path)))
    return [read_result(file) for file in files]


def _result_files(path: Path) -> list[Path]:
    own = path / 'results.json'
    if not os.path.isdir(path):
        return [path]
    if own.exists():
        return [own]
    found = sorted(path.rglob('results.json'))
    if not found:
        raise InputError(
            f'{path}: no results.json in this folder or below; name OUTPUT_DIRs of tests, or a '
            'folder that contains them'
        )
    return found


def check_metrics(metrics: Sequence[str], results: Sequence[TestResult]) -> None:
    """Check that each metric is known in at least one result.

    Raises:
        InputError: One is not; the nearest name is given.
    """
    known = dict.fromkeys(name for result in results for name in result.metrics)
    for metric in metrics:
        if metric not in known:
            raise InputError(
                f'unknown metric {shortened(metric)!r}{did_you_mean(metric, known)} (these results '
                f'have {", ".join(known)})'
            )


def save_text(path: Path, text: str) -> None:
    """Write a file; an earlier one is kept and numbered.

    Raises:
        InputError: The path is a folder, or cannot be written.
    """
    if os.path.isdir(path):  # False too for a name that is too long
        raise InputError(f'{path} is a folder; name a file in it')
    keep_earlier(path)
    with atomic_write(path) as file:
        file.write(text)
