"""Writes a diagnosis: diagnosis.json and diagnosis.html."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from configs import flatten
from processor.results import SEED
from utils import __version__
from utils.files import keep_earlier, write_json
from utils.intervals import LEVEL
from utils.run.session import Session
from wildlife.diagnosis.diagnose import Diagnosis
from wildlife.diagnosis.figures import as_json
from wildlife.diagnosis.page import make_page
from wildlife.diagnosis.words import THRESHOLDS
from wildlife.report.runs import save_text

FORMAT = 1  # version of diagnosis.json
JSON, PAGE = 'diagnosis.json', 'diagnosis.html'


def write_diagnosis(run: Session, found: Diagnosis, folder: Path) -> Path:
    """Write the files; earlier ones in the folder are kept and numbered.

    Args:
        run: The run.
        found: The diagnosis.
        folder: The folder of the files.

    Returns:
        The path of the page.

    Raises:
        InputError: The folder cannot be written.
    """
    page = make_page(found, run.cfg)
    keep_earlier(folder / JSON)
    write_json(folder / JSON, content(found) | {'config': flatten(run.cfg)})
    save_text(folder / PAGE, page)
    return folder / PAGE


def content(found: Diagnosis) -> dict[str, Any]:
    """Return the content of diagnosis.json."""
    figures = ('parts', 'mirror', 'flank', 'encounters')
    return {
        'format': FORMAT,
        'version': __version__,
        **found.facts,
        'protocol': found.test.protocol.name,
        'data': found.test.fingerprints,
        'queries': {'listed': len(found.test.query), 'counted': found.counted},
        'draws': found.draws,
        'seed': SEED,
        'level': LEVEL,
        'no_intervals_because': found.reason,
        'thresholds': THRESHOLDS,
        'findings': [asdict(finding) for finding in found.findings],
        **{name: as_json(getattr(found, name)) for name in figures},
        'properties': {
            name: {'correlation': correlation.as_json(), 'quarters': _quarters(quarters)}
            for name, (correlation, quarters) in found.properties.items()
        },
        'masks': found.mask_counts,
    }


def _quarters(quarters: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**quarter, 'mAP': quarter['mAP'].as_json()} for quarter in quarters]
