"""Calibrators as JSON files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.files import write_json
from utils.logistic import Logistic
from wildlife.identify.calibration import INPUTS, Calibrator, HeldOutErrors

FORMAT = 2  # version of the file; 1 had other errors and one limit of the sets
AGAIN = 'fit one for this model: python -m tools.open_set without --calibrator'
DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


def save_calibrator(calibrator: Calibrator, path: str | Path) -> None:
    """Write a calibrator as JSON, atomically."""
    write_json(path, as_json(calibrator))


def as_json(calibrator: Calibrator) -> dict[str, Any]:
    """Return the content of the file."""
    models = {'right': calibrator.right, 'known': calibrator.known}
    return {
        'format': FORMAT,
        'kind': calibrator.kind,
        **{
            name: {'weights': each.weights.tolist(), 'intercept': each.intercept}
            for name, each in models.items()
        },
        'share': calibrator.share,
        'sharpness': calibrator.sharpness,
        'alpha': calibrator.alpha,
        'set_limits': [limit if np.isfinite(limit) else None for limit in calibrator.set_limits],
        'errors': [_as_lists(each) for each in calibrator.errors],
        'facts': dict(calibrator.facts),
    }


def _as_lists(errors: HeldOutErrors) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in vars(errors).items()}


def load_calibrator(path: str | Path, expected: Mapping[str, Any]) -> Calibrator:
    """Read a calibrator.

    Args:
        path: The file.
        expected: Facts that it must have, such as 'model_sha256', since similarities of another
            model mean other probabilities.

    Raises:
        InputError: The file is not a calibrator, damaged, of another version or of another model.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
        found = content['format']
        calibrator = from_json(content) if found == FORMAT else None
    except DAMAGE as error:
        raise InputError(
            f'{path} is not a calibrator, or is damaged ({type(error).__name__}); {AGAIN}'
        ) from None
    if calibrator is None:
        raise InputError(
            f'{path} has format {found!r:.20}, but this version reads {FORMAT}; {AGAIN}'
        )
    for name, value in json.loads(json.dumps(dict(expected))).items():
        if calibrator.facts.get(name) != value:
            raise InputError(
                f'{path} was fitted for another model or other settings: its {name} is '
                f'{calibrator.facts.get(name)!r:.80}, here it is {value!r:.80}; similarities of '
                f'two models cannot be compared: {AGAIN}'
            )
    return calibrator


def from_json(content: Mapping[str, Any]) -> Calibrator:
    """Return the calibrator of :func:`as_json`.

    Raises:
        ValueError, LookupError, TypeError: The content is damaged.
    """
    kind = content['kind']
    individuals, new = (np.inf if each is None else float(each) for each in content['set_limits'])
    calibrator = Calibrator(
        kind=kind,
        right=_logistic(content['right'], kind),
        known=_logistic(content['known'], kind),
        share=float(content['share']),
        sharpness=float(content['sharpness']),
        alpha=float(content['alpha']),
        set_limits=(individuals, new),
        errors=tuple(
            HeldOutErrors(_sorted(each['new_scores']), _sorted(each['new_doubts']))
            for each in content['errors']
        ),
        facts=dict(content['facts']),
    )
    numbers = (calibrator.sharpness, calibrator.alpha, calibrator.share)
    if not np.isfinite(numbers).all() or np.isnan(calibrator.set_limits).any():
        raise ValueError('numbers')
    return calibrator


def _logistic(content: Mapping[str, Any], kind: str) -> Logistic:
    weights = np.array(content['weights'], float)
    intercept = float(content['intercept'])
    if weights.shape != (len(INPUTS[kind]),) or not np.isfinite([*weights, intercept]).all():
        raise ValueError('weights')
    return Logistic(weights, intercept)


def _sorted(values: Any) -> np.ndarray:
    array = np.array(values, float)
    if array.ndim != 1 or not ((array >= 0) & (array <= 1)).all():
        raise ValueError('probabilities')
    return np.sort(array)
