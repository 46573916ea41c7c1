"""Runs the open-set test of a config: features, calibration, measures."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import torch
import torch.nn.functional as F

from datasets.loaders import TestSet
from datasets.records import NOBODY, Record, individuals
from processor.encoder import (
    FEATURE_FACTS,
    feature_facts,
    load_model,
    make_encoder,
    whitening_facts,
)
from processor.inference import distance_settings, extract_features, trial_distance
from utils import __version__
from utils.errors import InputError
from utils.open_set_intervals import counts
from utils.run.session import Session
from wildlife.features.evaluate import read_test_features
from wildlife.identify.answers import Similarities, similarities, without_unclear
from wildlife.identify.calibration import Calibrator
from wildlife.identify.calibration_file import load_calibrator
from wildlife.identify.draws import draw_groups, repeat_draws
from wildlife.identify.encounters import encounter_means, encounter_numbers, with_encounters
from wildlife.identify.fitting import fit_calibrator
from wildlife.identify.open_set import (
    OpenSetTest,
    Row,
    check_both_sides,
    cross_fitted_test,
    measure_rows,
    open_set_test,
)

AVERAGES = re.compile('; (?:trapezoid )?average precision')  # of a protocol: not measured here


@dataclass(frozen=True)
class Tested:
    """What an open-set test is run on.

    Attributes:
        run: The run.
        test: The test set.
        features: (N, D) of its photos.
        model: What the features depend on.
        units: What is asked: a 'photo', or the photos of an 'encounter' together.
    """

    run: Session
    test: TestSet
    features: torch.Tensor
    model: dict[str, Any]
    units: str = 'photo'

    @property
    def bootstrap(self) -> int:
        """The draws of the intervals over individuals; 0 = none."""
        return self.run.cfg.TEST.BOOTSTRAP

    @property
    def facts(self) -> dict[str, Any]:
        """The facts of any open-set test, for open_set.json."""
        facts = {'units': self.units, 'data': self.test.fingerprints, 'bootstrap': self.bootstrap}
        return facts | {'model': self.model, 'version': __version__}


@dataclass(frozen=True)
class OpenSetResult:
    """The result of an open-set test.

    Attributes:
        rows: The measures.
        tests: The tests: one, or one for each draw of individuals.
        facts: For open_set.json: 'mode' ('lists' or 'draws'), 'catalogue' (individuals in it),
            'counts', 'protocol', 'calibration', 'model', …
        calibrator: A calibrator fitted on all queries of the lists; None with draws, with another
            calibrator, and for features of an unknown model.
    """

    rows: list[Row]
    tests: list[OpenSetTest]
    facts: dict[str, Any]
    calibrator: Calibrator | None = None


def features_of_test(run: Session, test: TestSet, file: str) -> tuple[torch.Tensor, dict[str, Any]]:
    """Return the features (N, D) of all photos of a test, and what they depend on.

    Args:
        run: The run.
        test: The test set.
        file: A file of features; '' = extract those of TEST.WEIGHT.

    Raises:
        InputError: The model or the file cannot be read, or a feature is not finite.
    """
    cfg = run.cfg
    if distance_settings(cfg)[1] != 'cosine':
        raise InputError("the open-set test is only for animals: DATASETS.NAMES must be 'animals'")
    whitening = (whitening_facts(cfg) or {}).get('sha256')
    if file:
        features, origin = read_test_features(file, test, cfg)
        about = origin['features']['about']
        facts = {name: about.get(name) for name in FEATURE_FACTS}
        whitening = whitening or (about.get('whitening') or {}).get('sha256')
        return features.to(run.runtime.ranking_device), facts | {'whitening': whitening}
    model, weights = load_model(cfg, test.query + test.gallery)
    encoder = make_encoder(cfg, model, run.runtime.device)
    features = extract_features(encoder, test.loader, run.runtime)
    facts = feature_facts(cfg, model, weights['checkpoint_sha256'])
    return features, facts | {'whitening': whitening}


def lists_result(tested: Tested, calibrator: str) -> OpenSetResult:
    """Test the lists: the gallery is the catalogue; some queries show individuals that it lacks.

    Args:
        tested: What is tested.
        calibrator: A file of a calibrator; '' = each query is calibrated by those of other
            individuals.

    Raises:
        InputError: The queries are all known or all unknown, no encounter is known, or the
            calibrator does not fit.
    """
    loaded = load_calibrator(calibrator, tested.model) if calibrator else None
    table, asked, skipped = _queries(tested)
    result = open_set_test(loaded, asked) if loaded else cross_fitted_test(asked)
    rows = measure_rows(result, tested.bootstrap)
    is_named = bool(tested.model['model_sha256'])  # nothing tells one unnamed model from another
    fitted = _fitted(tested, table) if is_named and not loaded else None
    facts = {
        'mode': 'lists',
        'catalogue': len(table.labels),
        'counts': counts(result.queries),
        'skipped': skipped,
        'protocol': tested.test.protocol.name,
        'protocol_text': AVERAGES.split(tested.test.protocol.text)[0],
        'calibration': calibrator or 'cross-fitted by individual',
    }
    return OpenSetResult(rows, [result], facts | tested.facts, fitted)


def _queries(tested: Tested) -> tuple[Similarities, Similarities, int]:
    """Return the photos that are known or new, the same as units, and the number of the others."""
    test, is_encounter = tested.test, tested.units == 'encounter'
    if is_encounter:
        check_encounters(test.query, '--units encounter')
    trial = test.trials[0]
    distance = trial_distance(F.normalize(tested.features), trial, None, 'cosine')
    everything = similarities(distance, trial, test.protocol)
    table = without_unclear(everything)
    check_both_sides(table)
    asked = table
    if is_encounter:
        asked = encounter_means(table, encounter_numbers(test.query)[table.queries])
    return table, asked, len(everything.individuals) - len(table.individuals)


def _fitted(tested: Tested, table: Similarities) -> Calibrator:
    """Fit a calibrator on all queries of the lists, as photos and as encounters."""
    numbers = encounter_numbers(tested.test.query)[table.queries]
    queries, (photos, whole) = with_encounters(table, numbers, seed=0)
    stated = photos if tested.units == 'photo' else whole
    made = fit_calibrator(queries, [stated], tested.bootstrap)
    now = datetime.now(timezone.utc).isoformat(timespec='seconds')
    data = tested.test.fingerprints
    return made.with_facts(**tested.model, data=data, date=now, version=__version__)


def draws_result(tested: Tested, draws: tuple[int, int, int]) -> OpenSetResult:
    """Test with draws of three groups of individuals from all photos of the lists.

    Args:
        tested: What is tested.
        draws: The number of draws; of individuals to calibrate; of those to enrol (0 = a share).

    Raises:
        InputError: No encounter is known, or there are too few individuals.
    """
    records = tested.test.loader.dataset.records
    check_encounters(records, '--draws')
    number, fit, known = draws
    groups = draw_groups(records, fit, known)
    drawn = repeat_draws(tested.features, records, groups, number, tested.bootstrap, tested.units)
    sizes = [len(each.table.labels) for each in drawn.tests]
    facts = {
        'mode': 'draws',
        'draws_of_individuals': number,
        'catalogue': sum(sizes) / len(sizes),
        'counts': {'photos': len(records), 'individuals': individuals(records)},
        'protocol': 'cross-encounter',
        'protocol_text': 'a query is never compared with photos of its own encounter',
        'calibration': 'on individuals that are neither enrolled nor queries; the share of known '
        'animals to expect is that of the design',
        **drawn.facts,
    }
    return OpenSetResult(drawn.rows, drawn.tests, facts | tested.facts)


def check_encounters(records: Sequence[Record], option: str) -> None:
    """Raise InputError if no photo of an individual has a known encounter, as an option needs."""
    if all(record.encounter is None for record in records if record.pid != NOBODY):
        raise InputError(
            f'{option} needs encounters, but the lists have none, and photos taken seconds apart '
            "make any model look good; write 'path label side camera encounter' in the lists "
            '(python -m tools.make_lists reads encounters from dates or names)'
        )
