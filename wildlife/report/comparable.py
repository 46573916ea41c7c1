"""Which results can be compared, and in which settings they differ."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from configs import ignored_keys
from configs.defaults import RULES
from configs.rules import Path as PathRule
from model.names import START
from utils.errors import InputError
from wildlife.report.results import TestResult

# They name a run or say what its test writes, not how its metrics came about.
OWN_KEYS = {
    *('SOLVER.SEED', 'SOLVER.RESUME', 'OUTPUT_DIR'),
    *('TEST.WEIGHT', 'TEST.BOOTSTRAP', 'TEST.REPORT', 'TEST.EXPLAIN', 'TEST.BASELINES'),
}
MISSING = None  # the value of a key that this version and the result do not have


def test_identity(result: TestResult) -> dict[str, Any]:
    """Return what results must share to be compared: fingerprints of the photos, protocol."""
    names = ('data', 'protocol', 'protocol_text')
    return {name: result.facts[name] for name in names}


def why_not_comparable(a: TestResult, b: TestResult) -> str:
    """Say why two results cannot be compared, '' if they can.

    Both need the same photos, in the same order and with the same labels, and the same protocol.
    """
    first, second = test_identity(a), test_identity(b)
    for name in ('protocol', 'protocol_text'):
        if first[name] != second[name]:
            return f'the protocols differ: {first[name]!r} and {second[name]!r}'
    for split in [*first['data'], *second['data']]:
        one, other = first['data'].get(split), second['data'].get(split)
        if one != other:
            return f'the {split} lists differ: {_split_text(one)} and {_split_text(other)}'
    return ''


def _split_text(split: dict[str, Any] | None) -> str:
    if split is None:
        return 'none'
    return f'{split["photos"]} photos, fingerprint {split["sha256"][:8]}'


def check_comparable(a: TestResult, b: TestResult) -> None:
    """Check that two results can be compared.

    Raises:
        InputError: Their photos or protocols differ.
    """
    if reason := why_not_comparable(a, b):
        raise InputError(
            f'{a.folder} and {b.folder} cannot be compared: {reason}; test both checkpoints with '
            'the same lists and the same DATASETS.PROTOCOL'
        )


def settings(result: TestResult) -> dict[str, Any]:
    """Return the config of a test without seed, folder and checkpoint of the run.

    Keys without effect are left out too; keys that are newer than the result have their default.
    Paths below the run's folders begin with '<run>', so that they are equal for runs in different
    folders.
    """
    defaults = {key: rule.default for key, rule in RULES.items()}
    checkpoint = result.facts['checkpoint']
    of_run = checkpoint != START and 'features' not in result.facts  # else it is not in a run
    folders = [Path(checkpoint).parent] if of_run else []
    if output := result.config.get('OUTPUT_DIR'):
        folders.insert(0, Path(output))
    left_out = OWN_KEYS | ignored_keys()
    return {
        key: _without_folders(key, value, folders)
        for key, value in (defaults | result.config).items()
        if key not in left_out
    }


def _without_folders(key: str, value: Any, folders: Sequence[Path]) -> Any:
    """Return a value; in a path, one of the folders is replaced by '<run>'."""
    if not value or not isinstance(value, str) or not isinstance(RULES.get(key), PathRule):
        return value
    for folder in folders:
        if folder.parts and Path(value).is_relative_to(folder):  # in '.' is every relative path
            return str('<run>' / Path(value).relative_to(folder))
    return value


def differing_settings(results: Sequence[TestResult]) -> dict[str, list[Any]]:
    """Return key -> its value in each result, for the :func:`settings` that differ."""
    of_results = [settings(result) for result in results]
    differing = {}
    for key in dict.fromkeys(chain.from_iterable(of_results)):
        values = [each.get(key, MISSING) for each in of_results]
        if any(value != values[0] for value in values):
            differing[key] = values
    return differing
