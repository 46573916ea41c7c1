"""P(k), P(new), the decision and the set of an encounter, computed again in plain Python."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.wildlife.identify.catalogues import make_herd
from utils.logistic import Logistic
from wildlife.identify import answering
from wildlife.identify.answering import NEW, Answerer, Rule
from wildlife.identify.calibration import Calibrator, HeldOutErrors
from wildlife.identify.gallery import gallery_of
from wildlife.identify.results import set_text
from wildlife.identify.search import Asked

NAMES = ['Ama', 'Bo', 'Cleo', 'Duma', 'Eli']
COUNTS = [4, 2, 9, 1, 3]  # photos
SHARP, ALPHA, LIMITS = 9.0, 0.4, (0.93, 0.6)
RIGHT, KNOWN = (14.0, -9.0, -1.0), (14.0, -8.5, -0.5)  # weights of score and photos; intercept
UNITS = [[0, 1, 2], [3], [4, 5], [6], [7, 8]]
REMOVED = -math.inf


def calibrator(**changes):
    models = [Logistic(np.array(each[:2]), each[2]) for each in (RIGHT, KNOWN)]
    return Calibrator('platt', *models, 0.5, SHARP, ALPHA, LIMITS, **changes)


@pytest.fixture
def scores(monkeypatch):
    """Made-up similarities of nine photos to five individuals."""
    table = np.random.default_rng(3).uniform(0.3, 0.95, (9, 5)).astype(np.float32)
    table[3] = [0.99, 0.31, 0.32, 0.33, 0.34]  # clearly known
    table[7:] = [[0.3, 0.02, 0.0, 0.01, 0.03], [0.28, 0.03, 0.01, 0.0, 0.01]]  # clearly new
    table[4, 1] = table[5, 1] = table[0, 2] = REMOVED
    table[6] = REMOVED  # compared with nothing

    def found(gallery, asked):
        return table[asked.features[:, 0].astype(int)]

    monkeypatch.setattr(answering, 'individual_scores', found)
    monkeypatch.setattr(answering, 'best_matches', lambda *_: [])
    return table.astype(float)


def answer_all(rule, top=5):
    gallery = SimpleNamespace(names=NAMES, counts=np.array(COUNTS))
    asked = Asked(np.arange(9.0)[:, None].astype(np.float32), [np.array([], int)] * 9)
    return list(Answerer(gallery, rule, top)(asked, UNITS))


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def expected_probabilities(scores, unit):
    """{label: P}: two regressions for the best individual, the rest of P(known) by similarity."""
    means, compared = {}, [place for place in unit if max(scores[place]) > REMOVED]
    for column, name in enumerate(NAMES):
        kept = [scores[place][column] for place in unit if scores[place][column] > REMOVED]
        if kept:
            means[name] = sum(kept) / len(kept)
    best = max(means, key=means.get)
    evidence = len(compared) ** (1 - ALPHA)
    right, known = (
        sigmoid(score * evidence * means[best] + count * evidence + intercept)
        for score, count, intercept in (RIGHT, KNOWN)
    )
    known = max(right, known)
    right = max(right, known / len(means))
    weights = {
        name: math.exp(-SHARP * evidence * (means[best] - mean))
        for name, mean in means.items()
        if name != best
    }
    total = sum(weights.values())
    shares = {name: (known - right) * weight / total for name, weight in weights.items()}
    assert max(shares.values()) <= right  # else they would be drawn towards equal ones
    return {**shares, best: right, NEW: 1 - known}


def test_probabilities_decisions_and_sets(scores):
    rule = Rule(calibrator(), 0.05, accept=0.8, reject=0.75)
    answers = answer_all(rule)
    decisions = set()
    for unit, answer in zip(UNITS, answers):
        assert list(answer.photos) == unit
        if unit == [6]:
            assert (answer.candidates, answer.new, answer.compared) == ((), None, 0)
            assert answer.decision == 'unsure' and answer.size is None
            continue
        expected = expected_probabilities(scores, unit)
        found = {each.name: each.probability for each in answer.candidates} | {NEW: answer.new}
        assert found == pytest.approx(expected, abs=1e-6)
        assert sum(expected.values()) == pytest.approx(1)
        ranked = sorted(expected, key=expected.get, reverse=True)
        assert [each.name for each in answer.candidates] == [n for n in ranked if n != NEW]
        best = max(p for name, p in expected.items() if name != NEW)
        decision = 'known' if best > 0.8 else 'new' if expected[NEW] > 0.75 else 'unsure'
        assert answer.decision == decision
        decisions.add(decision)
        limits = dict.fromkeys(NAMES, LIMITS[0]) | {NEW: LIMITS[1]}
        inside = [name for name in ranked if 1 - expected[name] <= limits[name]] or ranked[:1]
        assert list(answer.labels) == inside and answer.size == len(inside)
    assert decisions == {'known', 'new', 'unsure'}


def test_equally_probable_individuals_come_from_the_most_similar(scores, monkeypatch):
    """So a set that is cut off has the candidates, and the text says how many more there are."""
    monkeypatch.setattr(answering, 'LISTED', 1)
    flat = replace(calibrator(), sharpness=0.0, set_limits=(1.0, 0.0))
    for answer in answer_all(Rule(flat, 0.05, accept=0.8, reject=0.75), top=2):
        if answer.compared:
            assert answer.size == 5 or answer.labels[0] == NEW
            labels = [label for label in answer.labels if label != NEW]
            assert labels[:2] == [each.name for each in answer.candidates]
            assert len(answer.labels) == 3
            left = answer.size - 1
            assert set_text(answer, 1) == f'{answer.labels[0]}; and {left} others'


def test_an_answer_must_be_more_likely_than_not(scores):
    rule = Rule(calibrator(), 0.05, accept=-math.inf, reject=0.0)
    for answer in answer_all(rule):
        best = answer.candidates[0].probability if answer.candidates else 0
        assert (answer.decision == 'known') == (best > 0.5)


def test_a_set_has_a_label_and_names_the_first_of_many(scores, monkeypatch):
    strict = replace(calibrator(), set_limits=(0.0, 0.0))
    for answer in answer_all(Rule(strict, 0.05, 0.8, 0.75)):
        found = {each.name: each.probability for each in answer.candidates} | {NEW: answer.new}
        compared = answer.compared > 0
        assert answer.labels == ((max(found, key=found.get),) if compared else ())
        assert answer.size == (1 if compared else None)
    monkeypatch.setattr(answering, 'LISTED', 2)
    everything = replace(calibrator(), set_limits=(math.inf, math.inf))
    first = answer_all(Rule(everything, 0.05, 0.8, 0.75), top=1)[0]
    assert first.size == 6 and len(first.labels) == 2


def test_photos_of_the_best_individual_count(scores):
    """P(known) here is sigmoid(log n) = n / (n + 1)."""
    by_photos = Logistic(np.array([0.0, 0.0, 0.0, 1.0, 0.0]), 0.0)
    made = replace(calibrator(), kind='logistic', right=by_photos, known=by_photos)
    answers = answer_all(Rule(made, 0.05, 0.8, 0.75))
    assert sum(bool(answer.candidates) for answer in answers) == len(UNITS) - 1
    for answer in answers:
        if answer.candidates:
            count = COUNTS[NAMES.index(answer.candidates[0].name)]
            assert answer.new == pytest.approx(1 / (count + 1))


def test_weights_that_cannot_tell_new_animals_never_say_new():
    facts = {'open_set': {'intervals': {'AUROC': [0.43, 0.65]}}}
    blind = calibrator(
        facts=facts, errors=(HeldOutErrors(np.array([0.2, 0.9]), np.array([0.1, 0.2])),)
    )
    assert blind.thresholds(0.5)[1] == 1.0


def test_without_a_calibrator(scores):
    """Ranks and similarities alone."""
    for unit, answer in zip(UNITS, answer_all(None, top=2)):
        assert (answer.new, answer.decision, answer.size, answer.labels) == (None, '', None, ())
        assert len(answer.candidates) == (0 if unit == [6] else 2)
        assert all(each.probability is None for each in answer.candidates)
        similar = [each.similarity for each in answer.candidates]
        assert similar == sorted(similar, reverse=True)


@pytest.mark.parametrize('most', [1, 3])
def test_batches_do_not_matter(tmp_path, monkeypatch, most):
    """Units stay whole, and every answer is the same with few photos at once as with all."""
    features = make_herd(tmp_path, 6).features()
    gallery, photos = gallery_of(features), features.photos
    removed = [gallery.not_compared(photo, photo.sha256) for photo in photos]
    asked = Asked(features.of(photos), removed)
    units = [list(range(start, start + 2)) for start in range(0, len(photos), 2)]
    whole = list(Answerer(gallery, Rule(calibrator(), 0.1, 0.7, 0.7))(asked, units))
    monkeypatch.setattr(answering, 'PHOTOS', most)
    parts = list(Answerer(gallery, Rule(calibrator(), 0.1, 0.7, 0.7))(asked, units))
    assert len(whole) == 18 and {len(each.candidates) for each in whole} == {5}
    for one, other in zip(whole, parts):
        assert [each.name for each in one.candidates] == [each.name for each in other.candidates]
        assert one.new == pytest.approx(other.new, abs=1e-5)
        assert one.candidates[0].matches[0].row == other.candidates[0].matches[0].row
        own = {photos[place].encounter for place in one.photos}
        shown = [gallery.photos[match.row] for each in one.candidates for match in each.matches]
        assert not own & {photo.encounter for photo in shown}
