"""The saved calibrator of a catalogue, and how far it can be trusted."""

import shlex
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from utils.errors import InputError
from utils.open_sets import lowest_rate
from wildlife.catalogue.schema import calibrations
from wildlife.catalogue.store import Catalogue
from wildlife.identify.answering import Rule
from wildlife.identify.calibration import Calibrator, trust_notes
from wildlife.identify.calibration_file import DAMAGE, FORMAT, from_json

FACTS = {
    'catalogue',
    'date',
    'individuals',
    'open_set',
    'queries',
    'sides',
}  # that ``trust_lines`` needs
RATE = 0.01  # of false matches


def kept_calibrator(catalogue: Catalogue) -> tuple[Calibrator | None, str]:
    """Return the newest calibrator of the model in use, or None and why there is none.

    Raises:
        InputError: It is damaged, or of another version.
    """
    kept = catalogue.calibration()
    if kept is not None:
        return _read(kept.content, catalogue), ''
    with catalogue.reading() as opened:
        count = opened.execute(sa.select(sa.func.count()).select_from(calibrations)).scalar_one()
    reason = 'the catalogue is not calibrated'
    if count:
        reason = 'the catalogue is calibrated for another model'
    return None, (
        f'No probabilities: {reason}. Ranks and similarities alone do not tell new animals from '
        f'known ones. To calibrate: {_command(catalogue)}'
    )


def _command(catalogue: Catalogue) -> str:
    return f'python -m tools.calibrate {shlex.quote(str(catalogue.folder))}'


def _read(content: Mapping[str, Any], catalogue: Catalogue) -> Calibrator:
    again = f'calibrate again: {_command(catalogue)}'
    version = content.get('format')
    if version != FORMAT:
        raise InputError(
            f'{catalogue.folder}: its calibration has format {version!r:.20}, but this version '
            f'reads {FORMAT}; {again}'
        )
    try:
        made = from_json(content)
        if not made.facts.keys() >= FACTS:
            raise ValueError('facts')
        return made
    except DAMAGE as error:
        raise InputError(
            f'{catalogue.folder}: its calibration is damaged ({type(error).__name__}); {again}'
        ) from None


def rule_of(calibrator: Calibrator, rate: float | None) -> Rule:
    """Return how decisions are made at a stated rate of false matches.

    Args:
        calibrator: The calibrator.
        rate: The rate; None = RATE, or the lowest that the data allow.

    Raises:
        InputError: The data of the calibrator do not allow this rate; it says which they allow.
    """
    if rate is None:
        rate = max(RATE, float(lowest_rate(calibrator.fewest)))
    if not 0 < rate <= 1:
        raise InputError(f'--false-match-rate {rate:g} must be above 0 and at most 1')
    accept, reject = calibrator.thresholds(rate)
    return Rule(calibrator, rate, accept, reject)


def trust_lines(calibrator: Calibrator, individuals: int, sides: str) -> list[str]:
    """Return sentences: what a calibrator was fitted on, and how far it can be trusted now.

    Args:
        calibrator: The calibrator.
        individuals: The number of individuals in the catalogue now.
        sides: 'separate' = only photos of the same side are compared now; 'together' = all.
    """
    facts = calibrator.facts
    lines = [
        f'Calibrated on {facts["date"][:10]} with {facts["queries"]} photos of '
        f'{facts["individuals"]} individuals. The catalogue had {facts["catalogue"]} individuals '
        f'then; now it has {individuals}. P(new) assumes that {100 * calibrator.share:.0f} % of '
        'the animals are known; if more are, it is too high.'
    ]
    if facts['sides'] != sides:
        lines.append(
            f'It was calibrated with --sides {facts["sides"]}, so its probabilities do not hold '
            f'here: calibrate with --sides {sides}.'
        )
    return lines + trust_notes(calibrator, individuals)
