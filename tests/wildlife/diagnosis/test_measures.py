"""Figures against plain loops, and against what was put into the features."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from tests.wildlife.diagnosis.made_up import features, material, records
from utils.intervals import measure
from wildlife.diagnosis.measures import (
    encounter_figures,
    flank_figures,
    mirror_figures,
    part_figures,
)


def unit(rows):
    rows = rows.numpy().astype(float)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def mean_ap(similarity, is_match, is_compared):
    """Mean over the queries that have a match, by scikit-learn."""
    rows = zip(similarity, is_match & is_compared, is_compared, strict=True)
    return np.mean([average_precision_score(m[c], s[c]) for s, m, c in rows if m.any()])


@pytest.fixture(scope='module')
def pairs():
    """(N, N) whether two photos share individual, encounter, side; whether they differ."""
    photos = records()
    columns = [[getattr(photo, name) for photo in photos] for name in ('pid', 'encounter', 'side')]
    shared = [np.equal.outer(column, column) for column in map(np.array, columns)]
    return *shared, ~np.eye(len(photos), dtype=bool)


def test_parts_are_tests_of_their_own(pairs):
    same, _, _, others = pairs
    views = {'whole': features(1, 0, 0), 'animal': features(0.7, 0, 0, 1)}
    views |= {'background': features(0.3, 0, 0, 2), 'outline': features(0, 0, 0, 3)}
    whole = material(**views)
    found = part_figures(whole)
    for view, rows in views.items():
        similarity = unit(rows) @ unit(rows).T
        expected = mean_ap(similarity, same, others)
        assert found[f'{view}/mAP'].value == pytest.approx(expected, abs=1e-6)
    ids = [record.pid for record in records()]
    measured = measure(whole.ranking, ids, [''] * len(ids), 300, 0)
    assert found['whole/mAP'].interval == measured['intervals']['mAP']
    assert found['chance/rank1'].value == pytest.approx(5 / 83)
    difference = found['animal - whole/mAP']
    assert difference.value == found['animal/mAP'].value - found['whole/mAP'].value
    chance = found['chance/mAP'].value
    share = (found['background/mAP'].value - chance) / (found['whole/mAP'].value - chance)
    assert found['background share'].value == pytest.approx(share)
    # paired: narrower than the two intervals together
    widths = {name: np.ptp(found[name].interval) for name in found}
    assert widths['animal - whole/mAP'] < widths['animal/mAP'] + widths['whole/mAP']


def test_a_random_ranking_has_the_mean_of_chance():
    runs = [part_figures(material(features(0, 0, 0, seed), draws=0)) for seed in range(40)]
    values = np.array([[run['whole/mAP'].value, run['whole/rank1'].value] for run in runs])
    chance = [runs[0]['chance/mAP'].value, runs[0]['chance/rank1'].value]
    error = values.std(axis=0, ddof=1) / len(runs) ** 0.5
    assert (np.abs(values.mean(axis=0) - chance) < 4 * error).all()
    assert runs[0]['whole/mAP'].interval is None  # no draws


def test_mirror_images(pairs):
    same, _, _, others = pairs
    whole, mirrored = features(0.8, 0, 0), features(0.8, 0, 0, 5) + 0.3 * features(0.8, 0, 0)
    found = mirror_figures(material(whole, mirrored=mirrored))
    similarity = unit(whole) @ unit(whole).T
    own = (unit(whole) * unit(mirrored)).sum(axis=1)
    nearest = np.where(same, -1, similarity).max(axis=1)
    expected = {
        'mirror': own.mean(),
        'same': np.mean([row[s & o].mean() for row, s, o in zip(similarity, same, others)]),
        'other': np.mean([row[~s].mean() for row, s in zip(similarity, same)]),
        'mirror first': (own > nearest).mean(),
    }
    assert 0 < expected['mirror first'] < 1
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=1e-6), name


def test_equal_photos_are_not_said_to_differ_from_their_mirror_images():
    whole = features(0, 0, 0)
    whole[:] = whole[0]
    assert mirror_figures(material(whole))['mirror first'].interval == (0.5, 0.5)


@pytest.mark.parametrize('protocol', ['all', 'cross-encounter'])
def test_the_other_flank(pairs, protocol):
    """Besides what the protocol removes, photos of the same side are no matches."""
    same, encounter, side, others = pairs
    whole = features(0.7, 0.3, 0.5)
    found = flank_figures(material(whole, protocol))
    usual = others & ~encounter if protocol == 'cross-encounter' else others
    compared = usual & ~(same & side)
    similarity = unit(whole) @ unit(whole).T
    assert found['flank/mAP'].value == pytest.approx(mean_ap(similarity, same, compared), abs=1e-6)
    assert found['usual/mAP'].value == pytest.approx(mean_ap(similarity, same, usual), abs=1e-6)
    flank = np.mean([row[chosen].mean() for row, chosen in zip(similarity, same & compared)])
    assert found['similarity'].value == pytest.approx(flank, abs=1e-6)
    counts = (same & compared).sum(axis=1) / compared.sum(axis=1)
    assert found['chance/rank1'].value == pytest.approx(counts.mean())


def test_sides_must_be_known():
    one = material(features(1, 0, 0))
    for record in (photos := one.trial.query):
        object.__setattr__(record, 'side', None)
    assert len(photos) and flank_figures(one) == {}


@pytest.mark.parametrize('protocol', ['all', 'cross-encounter', 'market_one_camera'])
def test_frames_of_one_encounter(pairs, protocol):
    """The same figures whichever the config has; a photo never finds itself."""
    same, encounter, _, others = pairs
    whole = features(0.4, 0.8, 0)
    found = encounter_figures(material(whole, protocol))
    similarity = unit(whole) @ unit(whole).T
    together = mean_ap(similarity, same, others)
    apart = mean_ap(similarity, same, others & ~encounter)
    assert found['together/mAP'].value == pytest.approx(together, abs=1e-6)
    assert found['apart/mAP'].value == pytest.approx(apart, abs=1e-6)
    assert found['together - apart/mAP'].above(0)
    nearest = np.where(others, similarity, -2).argmax(axis=1)
    own = encounter[np.arange(len(nearest)), nearest].mean()
    assert 0 < own < 1 and found['nearest'].value == pytest.approx(own)


def test_encounters_must_be_known():
    one = material(features(1, 0, 0))
    for record in one.trial.query:
        object.__setattr__(record, 'encounter', None)
    assert encounter_figures(one) == {}


def test_few_individuals_have_no_intervals():
    few = material(features(1, 0, 0))
    for record in few.trial.query:
        object.__setattr__(record, 'pid', record.pid % 9)
    assert {figure.interval for figure in part_figures(few).values()} == {None}
