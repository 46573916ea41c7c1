"""Draws of three groups of individuals: who is where, and what comes out for easy and hard sets."""

import numpy as np
import pytest

from datasets.records import NOBODY, Record
from tests.wildlife.identify.worlds import photos
from utils.errors import InputError
from wildlife.identify import draws
from wildlife.identify.calibration import told_apart
from wildlife.identify.draws import (
    Groups,
    draw_groups,
    drawn_table,
    fit_table,
    repeat_draws,
    unit_of,
)


def test_groups_are_disjoint_and_hold_all():
    _, records = photos(individuals=30)
    single = [Record(f's{n}', 100 + n, encounter=9000 + n) for n in range(6)]
    draw = draw_groups([*records, *single, Record('x', NOBODY)], 12, 8)
    for seed in range(20):
        drawn = draw(np.random.default_rng(seed))
        everyone = np.concatenate([drawn.fit, drawn.known, drawn.unknown])
        assert sorted(everyone) == [*range(30), *range(100, 106)]
        assert (len(drawn.fit), len(drawn.known)) == (12, 8)
        assert max(drawn.known) < 30  # they have two encounters
        assert sum(label < 30 for label in drawn.fit) >= 6
    others = draw(np.random.default_rng(1)).known
    assert set(others) != set(draw(np.random.default_rng(2)).known)


def test_the_share_of_known_animals():
    assert Groups(np.arange(3), np.arange(8), np.arange(16)).share == pytest.approx(4 / 20)


def test_shares_by_default():
    _, records = photos(individuals=40)
    drawn = draw_groups(records, 0, 0)(np.random.default_rng(0))
    assert [len(labels) for labels in vars(drawn).values()] == [14, 10, 16]


@pytest.mark.parametrize('fit, known, single', [(3, 0, 0), (0, 30, 0), (24, 15, 0), (0, 0, 40)])
def test_too_few_individuals(fit, known, single):
    _, records = photos(individuals=40, encounters=1 if single else 2)
    with pytest.raises(InputError, match='40 individuals, (40|0) of them with two encounters'):
        draw_groups(records, fit, known)


def test_the_catalogue_has_half_of_the_encounters_of_known_individuals_only():
    features, records = photos(individuals=12, encounters=4)
    groups = Groups(np.arange(4), np.arange(4, 8), np.arange(8, 12))
    table = drawn_table(features, records, groups, np.random.default_rng(0))
    assert table.labels.tolist() == [4, 5, 6, 7]
    assert table.photos.tolist() == [8] * 4  # two of four encounters, four photos each
    assert set(table.individuals.tolist()) == set(range(4, 12))
    assert (np.bincount(table.individuals)[4:] == [8] * 4 + [16] * 4).all()
    assert (table.known == (table.individuals < 8)).all()
    assert np.isfinite(table.scores).all()


def test_encounters_of_the_catalogue_are_not_asked(monkeypatch):
    """Two animals met together: photos of the unknown one would have the same background."""
    features, records = photos(individuals=4, encounters=4)
    together = [
        Record(record.path, record.pid, encounter=record.encounter % 100) for record in records
    ]
    monkeypatch.setattr(draws, 'table_of', lambda *arguments: arguments[2:])
    groups = Groups(np.arange(0), np.array([0]), np.array([2, 3]))
    query, gallery = drawn_table(features, together, groups, np.random.default_rng(0))
    asked, enrolled = ({together[row].encounter for row in rows} for rows in (query, gallery))
    assert asked | enrolled == set(range(4)) and len(asked) == len(enrolled) == 2
    assert {together[row].pid for row in query} == {0, 2, 3}


def test_photos_for_the_fit_are_not_compared_within_an_encounter():
    rng = np.random.default_rng(0)
    features, records = photos(individuals=5, encounters=1)
    table = fit_table(features, records, np.arange(3), rng)
    assert table.labels.tolist() == [0, 1, 2] and len(table.queries) == 0  # neither known nor new
    features, records = photos(individuals=5, encounters=2)
    table = fit_table(features, records, np.arange(3), rng)
    assert table.photos.tolist() == [4] * 3  # one of two encounters
    assert table.known.all() and len(table.queries) == 12  # the photos of the other one


def test_encounters_as_queries():
    features, records = photos(individuals=24, encounters=3, each=3)
    groups = draw_groups(records, 10, 6)
    by_photo, by_encounter = (
        repeat_draws(features, records, groups, 1, 0, units).tests[0]
        for units in ('photo', 'encounter')
    )
    table = by_encounter.table
    assert (table.sizes == 3).all() and len(table.sizes) == len(by_photo.table.sizes) / 3
    for row, query in enumerate(table.queries.tolist()):
        asked = records[query].encounter
        same = [records[each].encounter == asked for each in by_photo.table.queries.tolist()]
        expected = by_photo.table.scores[same].mean(axis=0)
        np.testing.assert_allclose(table.scores[row], expected, rtol=1e-5)
    assert by_encounter.queries.known.sum() == by_photo.queries.known.sum() / 3


def test_photos_without_encounter_are_units():
    assert unit_of(Record('a', 1)) == 'a' and unit_of(Record('a', 1, encounter=7)) == 7


@pytest.mark.parametrize(
    'noise, said, low, high',
    [(0.5, 'weights tell new', 0.95, 1.0), (30.0, 'cannot tell new', 0.35, 0.65)],
)
def test_easy_and_hopeless_sets_are_told_apart(noise, said, low, high):
    features, records = photos(individuals=44, noise=noise)
    drawn = repeat_draws(features, records, draw_groups(records, 20, 12), 2, 200)
    rows = {row.name: row for row in drawn.rows}
    auroc = rows['AUROC']
    assert low <= auroc.value <= high and said in told_apart(auroc.value, auroc.pair)
    assert rows['false matches@0.05'].value < 0.12
    if noise > 1:
        assert rows['answered@0.05'].value < 0.2  # unsure for nearly all
        assert rows['false new@0.05'].value < 0.1
    assert drawn.facts['individuals'] == {'fit': [20, 20], 'known': [12, 12], 'unknown': [12, 12]}
    assert sum(drawn.facts['calibrators'].values()) == 2
