"""Cards of models: what the checkpoints of a folder are, for those who use them later.

A training describes itself in ``card.json`` beside its checkpoints; each test adds its metrics.
``card.md`` says the same in words. What is not known is None there, and 'unknown' in the text.
"""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from datasets.loaders import Loaders
from datasets.records import individuals
from model.clip.architecture import find_architecture
from model.names import START, is_timm
from processor.results import ShownMetric, shown_metrics
from utils import __version__
from utils.errors import InputError
from utils.files import atomic_write, keep_earlier, write_json
from utils.run.lock import waiting_lock
from utils.run.provenance import CARD, CARD_TEXT
from utils.run.session import Session
from wildlife.pages import render_markdown
from wildlife.report.checkpoints import list_checkpoints
from wildlife.report.results import TestResult, read_result
from wildlife.report.run_facts import describe_config, describe_run
from wildlife.report.use import commands, limits

logger = logging.getLogger('transreid')

Card = dict[str, Any]
FORMAT = 1  # version of card.json
PATIENCE = 60.0  # seconds to wait for another process that writes the same card
# facts of a test; a later test that has the same ones replaces the earlier test
SAME_TEST = (
    *('checkpoint_sha256', 'protocol', 'data', 're_ranking', 'neck_feat'),
    *('whitening', 'precision'),
)
DAMAGE = (ValueError, TypeError, LookupError, AttributeError, RecursionError, TemplateError)


def write_training_card(run: Session, loaders: Loaders) -> None:
    """Describe a training run and its checkpoints; only the main process writes.

    If the card cannot be written, a warning is logged.
    """
    if run.main:
        data = data_facts(loaders)
        _update(run.folder, lambda card: _of_training(run.folder, data, card))


def add_to_card(folder: Path) -> None:
    """Add the test whose results are in ``folder`` to the card beside the tested checkpoint.

    A test of the starting weights has no checkpoint; its card is in ``folder``.
    If the card cannot be written, a warning is logged.

    Args:
        folder: The OUTPUT_DIR of the test.
    """
    result = read_result(folder)
    checkpoint = result.facts['checkpoint']
    beside = folder if checkpoint == START else Path(checkpoint).parent
    _update(beside, lambda card: _with_test(beside, result, card))


def data_facts(loaders: Loaders) -> dict[str, Any]:
    """Return the photos, individuals and fingerprint of each split of a training."""
    records = {'train': loaders.train_loader_stage1.dataset.records}
    if loaders.validation:
        records |= {'val': loaders.validation.query, 'val gallery': loaders.validation.gallery}
    return {
        name: {**facts, 'individuals': individuals(records[name])}
        for name, facts in loaders.fingerprints.items()
    }


def test_facts(result: TestResult) -> dict[str, Any]:
    """Return what a card says about a test."""
    facts, queries = result.facts, result.queries
    names = ('checkpoint_sha256', 'protocol', 'protocol_text', 'data', 'counts', 'trials')
    return {name: facts[name] for name in (*names, 're_ranking', 'metrics', 'measures')} | {
        'checkpoint': Path(facts['checkpoint']).name,
        'starting_weights': facts.get('starting_weights'),
        'neck_feat': result.config['TEST.NECK_FEAT'],
        'whitening': (facts.get('whitening') or {}).get('sha256'),  # older results lack it
        'precision': result.config.get('TEST.PRECISION', 'fp32'),
        'cameras': queries['camera'].nunique() or None,
        'encounters': queries['encounter'].nunique() or None,
        'version': facts['version'],
        'git': facts['git'],
    }


def metric_rows(test: Mapping[str, Any]) -> list[ShownMetric]:
    """Return the metrics of a test with their intervals."""
    measures = test['measures']
    return shown_metrics(test['metrics'] | measures['values'], measures['intervals'])


def render_card(card: Card) -> str:
    """Return card.md."""
    return render_markdown('card.md', card=card, metric_rows=metric_rows)


def _of_training(folder: Path, data: Mapping[str, Any], earlier: Card | None) -> Card:
    """Return the card of a training; a resumed run keeps the tests of its ``earlier`` card."""
    known = earlier or {}
    about = describe_run(folder, data) or {}
    return _assemble(folder, about, known.get('tests', []), known.get('checkpoints', []))


def _with_test(folder: Path, result: TestResult, earlier: Card | None) -> Card:
    """Return the ``earlier`` card, or a new one, with a test of one of its checkpoints.

    A card of other starting weights, without a training, is replaced: a card is about one model.
    """
    described = describe_config(result.config, folder)
    if earlier and earlier['start'] and described['start'] and not earlier['training']:
        same = all(earlier[name] == described[name] for name in ('model', 'start'))
        earlier = earlier if same else None
    about = earlier or describe_run(folder) or described
    new, tests = test_facts(result), about.get('tests', [])
    tests = [*(old for old in tests if not _is_same_test(old, new)), new]
    return _assemble(
        folder, about, tests, about.get('checkpoints', []), result.facts['config_file']
    )


def _is_same_test(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    older = {'whitening': None, 'precision': 'fp32'}  # cards of older versions lack these
    return _is_untrained(a) == _is_untrained(b) and all(
        (older | dict(a)).get(name) == (older | dict(b)).get(name) for name in SAME_TEST
    )


def _is_untrained(test: Mapping[str, Any]) -> bool:
    """Return whether a test is one of starting weights, which may be those of a trained file."""
    return bool(test.get('starting_weights'))


def _assemble(
    folder: Path,
    about: Mapping[str, Any],
    tests: list[dict[str, Any]],
    known: list[dict[str, Any]],
    config_file: str | None = None,
) -> Card:
    """Return a card.

    Args:
        folder: The folder of the checkpoints.
        about: The facts of the run: model, start, training, data.
        tests: See :func:`test_facts`.
        known: The checkpoints of the earlier card.
        config_file: The yml of the newest test, if any.
    """
    description = {name: about[name] for name in ('model', 'start', 'training', 'data')}
    card = {'format': FORMAT, 'version': __version__, **description}
    card['checkpoints'] = list_checkpoints(folder, about['model']['name'], tests, known)
    card['tests'] = tests
    card['use'] = commands(folder, card, config_file)
    card['limits'] = limits(card)
    return card


def _update(folder: Path, change: Callable[[Card | None], Card]) -> None:
    """Replace the card in ``folder`` by ``change`` of it; one process at a time does so."""
    try:
        with waiting_lock(folder, 'card', PATIENCE):
            earlier = read_card(folder)
            try:
                card = change(earlier)
            except DAMAGE as error:
                if earlier is None:
                    raise
                _set_aside(folder / CARD, error)
                earlier, card = None, change(None)
            if earlier is None:
                keep_earlier(folder / CARD_TEXT)
            write_json(folder / CARD, card)
            with atomic_write(folder / CARD_TEXT) as file:
                file.write(render_card(card))
    except (InputError, OSError) as error:
        logger.warning('no card of the model was written: %s', error)


def read_card(folder: Path) -> Card | None:
    """Read the card in ``folder``; a damaged one is renamed to card.N.json, with a warning.

    Returns:
        The card; None if there is none, or it is damaged.

    Raises:
        InputError: The file system does not let us read or rename it.
    """
    path = folder / CARD
    try:
        card = json.loads(path.read_bytes())
        if card['format'] != FORMAT:
            raise ValueError(f'format {card["format"]}, this version reads {FORMAT}')
        if not is_timm(card['model']['name']):
            find_architecture(card['model']['name'])
        render_card(card)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f'cannot read {path}: {error.strerror}') from error
    except DAMAGE as error:
        _set_aside(path, error)
        return None
    return card


def _set_aside(path: Path, error: Exception) -> None:
    """Rename a damaged card to card.N.json, with a warning."""
    kept = keep_earlier(path)
    reason = ' '.join(str(error).split()) or type(error).__name__
    logger.warning('%s is damaged (%s); it is kept as %s', path, reason, kept)
