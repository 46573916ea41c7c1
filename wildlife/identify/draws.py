"""Repeats the open-set test with random groups of individuals: calibrate, enrol, never enrol."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from datasets.loaders import Trial
from datasets.protocols import PROTOCOLS, Protocol
from datasets.records import NOBODY, Record
from processor.inference import trial_distance
from utils.errors import InputError
from utils.logger import progress
from wildlife.identify.answers import Similarities, similarities, without_unclear
from wildlife.identify.encounters import encounter_means, encounter_numbers, with_encounters
from wildlife.identify.fitting import fit_calibrator, leave_out
from wildlife.identify.open_set import OpenSetTest, Row, mean_rows, measure_rows, open_set_test

PROTOCOL = PROTOCOLS['cross-encounter']
ENROLLED = 0.5  # share of the encounters of an enrolled individual that are in the catalogue
FIT_SHARE, KNOWN_SHARE = 0.35, 0.4  # of all individuals; of those that are not for the fit
LEAST_FIT, LEAST_SIDE = 4, 2  # individuals
FIT_BOOTSTRAP = 200  # draws: can new animals be told from known ones at all?


@dataclass(frozen=True)
class Groups:
    """The labels of three disjoint groups of individuals."""

    fit: np.ndarray
    known: np.ndarray
    unknown: np.ndarray

    @property
    def share(self) -> float:
        """The share of known animals to expect, if all have equally many photos."""
        asked = (1 - ENROLLED) * len(self.known)
        return asked / (asked + len(self.unknown))


@dataclass(frozen=True)
class Drawn:
    """The tests of all draws.

    Attributes:
        rows: The means of their measures.
        tests: The tests.
        facts: For open_set.json: 'individuals' of each group and 'calibrators', how often each
            kind was chosen.
    """

    rows: list[Row]
    tests: list[OpenSetTest]
    facts: dict[str, Any]


def repeat_draws(
    features: torch.Tensor,
    records: Sequence[Record],
    groups: Callable[[np.random.Generator], Groups],
    draws: int,
    bootstrap: int,
    units: str = 'photo',
) -> Drawn:
    """Calibrate and test with ``draws`` draws of three groups of individuals.

    Args:
        features: (N, D) of the photos.
        records: N photos.
        groups: Draws the groups; see :func:`draw_groups`.
        draws: The number of draws.
        bootstrap: Draws of the intervals over the individuals of each test; 0 = none.
        units: What is asked: a 'photo', or the photos of an 'encounter' together.
    """
    features, encounters = F.normalize(features), encounter_numbers(records)
    tests, rows, kinds = [], [], list[str]()
    numbers: dict[str, list[int]] = {'fit': [], 'known': [], 'unknown': []}
    for seed in progress(range(draws), 'draws'):
        rng = np.random.default_rng(seed)
        drawn = groups(rng)
        own = leave_out(fit_table(features, records, drawn.fit, rng), seed)
        asked, stated = drawn_table(features, records, drawn, rng), list[np.ndarray]()
        if units == 'encounter':
            own, (_, whole) = with_encounters(own, encounters[own.queries], seed)
            stated = [whole]
            asked = encounter_means(asked, encounters[asked.queries])
        calibrator = fit_calibrator(own, stated, FIT_BOOTSTRAP, seed)
        test = open_set_test(calibrator, asked, drawn.share)
        tests.append(test)
        rows.append(measure_rows(test, bootstrap))
        kinds.append(calibrator.kind)
        for name, labels in vars(drawn).items():
            numbers[name].append(len(labels))
    counts = {name: [min(each), max(each)] for name, each in numbers.items()}
    chosen = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
    return Drawn(mean_rows(rows), tests, {'individuals': counts, 'calibrators': chosen})


def draw_groups(records: Sequence[Record], fit: int, known: int) -> Callable[..., Groups]:
    """Return a function that draws the groups with a random generator.

    Half of the individuals for the fit, and all that are enrolled, have two encounters; the rest of
    all individuals is never enrolled.

    Args:
        records: The photos.
        fit: The number of individuals for the fit; 0 = 35 % of all.
        known: The number of those enrolled; 0 = 40 % of the others.

    Raises:
        InputError: There are too few individuals, or too few with two encounters.
    """
    encounters: dict[int, set[Hashable]] = {}
    for record in records:
        if record.pid != NOBODY:
            encounters.setdefault(record.pid, set()).add(unit_of(record))
    labels = np.array(sorted(encounters))
    repeated = np.array([label for label in labels.tolist() if len(encounters[label]) > 1])
    fit = fit or round(FIT_SHARE * len(labels))
    both = (fit + 1) // 2
    known = known or min(round(KNOWN_SHARE * (len(labels) - fit)), len(repeated) - both)
    enough = len(repeated) >= both + known and len(labels) - fit - known >= LEAST_SIDE
    if fit < LEAST_FIT or known < LEAST_SIDE or not enough:
        raise InputError(
            f'{len(labels)} individuals, {len(repeated)} of them with two encounters, are too few '
            f'for {fit} to fit the calibrator (at least {LEAST_FIT}, half of them with two '
            f'encounters), {known} to enrol (at least {LEAST_SIDE}, with two encounters) and '
            f'{LEAST_SIDE} others; choose another --fit or --known'
        )

    def draw(rng: np.random.Generator) -> Groups:
        order = rng.permutation(repeated)
        first, enrolled = order[:both], order[both : both + known]
        rest = rng.permutation(np.setdiff1d(labels, np.concatenate([first, enrolled])))
        others = fit - both
        return Groups(np.concatenate([first, rest[:others]]), enrolled, rest[others:])

    return draw


def unit_of(record: Record) -> Hashable:
    """Return what stays together: the encounter, or the photo if that is unknown."""
    return record.photo if record.encounter is None else record.encounter


def fit_table(
    features: torch.Tensor,
    records: Sequence[Record],
    labels: np.ndarray,
    rng: np.random.Generator,
) -> Similarities:
    """Return all photos of some individuals as queries, for ``fitting.leave_out``.

    Their catalogue is made like that of the test: half of the encounters of each.
    """
    chosen = set(labels.tolist())
    query = [row for row, record in enumerate(records) if record.pid in chosen]
    enrolled = enrolled_units(records, chosen, rng)
    gallery = [row for row in query if unit_of(records[row]) in enrolled]
    return table_of(features, records, query, gallery)


def drawn_table(
    features: torch.Tensor, records: Sequence[Record], groups: Groups, rng: np.random.Generator
) -> Similarities:
    """Return the queries of a draw against its catalogue.

    The catalogue has half of the encounters of each known individual. The queries are the photos
    of the others, and all of unknown individuals, except from encounters in the catalogue.
    """
    known, unknown = set(groups.known.tolist()), set(groups.unknown.tolist())
    enrolled = enrolled_units(records, known, rng)
    gallery, query = [], []
    for row, record in enumerate(records):
        is_enrolled = unit_of(record) in enrolled
        if record.pid in known and is_enrolled:
            gallery.append(row)
        elif not is_enrolled and record.pid in known | unknown:
            query.append(row)
    return table_of(features, records, query, gallery)


def enrolled_units(
    records: Sequence[Record], labels: set[int], rng: np.random.Generator
) -> set[Hashable]:
    """Draw half of the encounters of each individual; at least one, and one is left if it can."""
    units: dict[int, list[Hashable]] = {label: [] for label in sorted(labels)}
    for record in records:
        own = units.get(record.pid)
        if own is not None and unit_of(record) not in own:
            own.append(unit_of(record))
    enrolled: set[Hashable] = set()
    for own in units.values():
        count = max(1, min(round(ENROLLED * len(own)), len(own) - 1))
        enrolled |= {own[place] for place in rng.permutation(len(own))[:count]}
    return enrolled


def table_of(
    features: torch.Tensor,
    records: Sequence[Record],
    query: Sequence[int],
    gallery: Sequence[int],
    protocol: Protocol = PROTOCOL,
) -> Similarities:
    """Return the similarities of some photos to the individuals of others; queries are rows.

    Args:
        features: (N, D), normalised.
        records: N photos.
        query: The rows of the queries.
        gallery: The rows of the catalogue.
        protocol: Which photos of the catalogue a query is not compared with.
    """
    trial = Trial(
        [records[row] for row in query],
        [records[row] for row in gallery],
        torch.tensor(query, device=features.device),
        torch.tensor(gallery, device=features.device),
    )
    distance = trial_distance(features, trial, None, 'cosine')
    found = without_unclear(similarities(distance, trial, protocol))
    return replace(found, queries=np.array(query, int)[found.queries])
