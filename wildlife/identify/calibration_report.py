"""Reports a calibration: lines of text and a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from utils.open_sets import lowest_rate
from utils.plots import reliability_diagram
from wildlife.identify.calibrating import Material
from wildlife.identify.calibration import Calibrator, told_apart
from wildlife.identify.trained import Usable
from wildlife.words import counted, number_text

PICTURE = 'calibration.png'
ROWS = {  # (part of the facts, measure) -> its name for people
    ('right', 'Brier'): 'Brier score of P(best)',
    ('right', 'ECE'): 'ECE of P(best)',
    ('known', 'Brier'): 'Brier score of P(known)',
    ('known', 'ECE'): 'ECE of P(known)',
    ('open_set', 'AUROC'): 'AUROC, known or new',
    ('open_set', 'rank1'): 'rank-1 of known animals',
    ('open_set', 'sqrt'): '√(BAKS · BAUS)',
}


def material_lines(material: Material, usable: Usable) -> list[str]:
    """Return lines that say what a calibration is fitted on."""
    lines = [
        f'Fitted on {counted(len(material.photos), "photo")} of {len(usable.names)} individuals '
        f'that the model was not trained on ({usable.source}); {material.repeated} of them have '
        f'two encounters. They are compared with {len(material.gallery.names)} individuals.'
    ]
    if usable.trained:
        lines.append(f'Not fitted on: {counted(usable.trained, "other individual")}.')
    if material.skipped:
        lines.append(f'Skipped: {counted(material.skipped, "photo")} without an encounter.')
    if material.drawn > len(material.photos):
        lines.append(f'Encounters were drawn from {material.drawn} photos to save memory.')
    return lines


def quality_lines(calibrator: Calibrator) -> list[str]:
    """Return the quality of a calibrator: a table, and sentences that say what it means."""
    facts = calibrator.facts
    lines = [f'{"held-out animals":28}{"value":>7}  {"95 % interval":16}{"no skill":>9}']
    for (part, name), text in ROWS.items():
        found = facts[part]
        pair = found['intervals'].get(name)
        shown = '[{:.3f}, {:.3f}]'.format(*pair) if pair else ''
        value, guess = number_text(found['values'][name]), number_text(found['no_skill'][name])
        lines.append(f'{text:28}{value:>7}  {shown:16}{guess:>9}'.rstrip())
    opened = facts['open_set']
    lines += ['', told_apart(opened['values']['AUROC'], opened['intervals'].get('AUROC'))]
    lines.append(f'Chosen: {calibrator.kind}; held-out log loss: {_losses(facts["log_loss"])}.')
    return [*lines, rates_text(calibrator)]


def rates_text(calibrator: Calibrator) -> str:
    """Return a sentence on the rates of false matches that the data allow."""
    lowest = lowest_rate(calibrator.fewest)
    return f'--false-match-rate can be {lowest} or more; lower rates need more encounters.'


def _losses(losses: Mapping[str, float]) -> str:
    return ', '.join(f'{kind} {loss:.3f}' for kind, loss in losses.items())


def draw_picture(path: Path, facts: Mapping[str, Any]) -> None:
    """Draw the reliability diagram of a calibrator as PNG."""
    bins: Mapping[str, Sequence[float]] = facts['reliability']
    predicted, observed = np.array(bins['predicted']), np.array(bins['observed'])
    count = np.array(bins['count'])
    title = f'Are the probabilities right? {int(count.sum())} answers'
    reliability_diagram(path, predicted, observed, count, title)
