"""The data of the report: rows of queries, individuals and confusions, and what is left out."""

import json
from collections import defaultdict
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from tests.wildlife.report.small_tests import LONELY, small_test, write_photos
from utils.metrics import rank_queries
from utils.relevance import RankingRules
from wildlife.report import page_data as module
from wildlife.report.page_data import RankedTest, page_data, photo_root


@pytest.fixture
def material(tmp_path):
    test, result, _ = small_test(tmp_path)
    names = {label: f'animal {label}' for label in reversed(range(14))}
    return RankedTest(test, result.rankings[0], result.distance, names)


@pytest.fixture
def data(material, tmp_path):
    return page_data(material, tmp_path / 'output')


def test_queries_have_their_rankings(material, data):
    test, distance = material.test, material.distance
    assert [query['number'] for query in data['queries']] == list(range(1, 71))
    for row, query in enumerate(data['queries']):
        asked = test.query[row]
        shown = [
            column
            for column in distance[row].argsort(kind='stable')
            if test.gallery[column].pid != asked.pid
            or test.gallery[column].encounter != asked.encounter
        ]
        paths = [data['photos'][place]['path'] for place, *_ in query['ranked']]
        assert [Path(path).name for path in paths] == [
            Path(test.gallery[column].path).name for column in shown[:10]
        ]
        matches = [test.gallery[column].pid == asked.pid for column in shown]
        assert [bool(match) for *_, match in query['ranked']] == matches[:10]
        hit = matches.index(True) + 1 if True in matches else 0
        assert (query['first_hit'], query['positives']) == (hit, sum(matches))
        assert bool(hit) == (asked.pid != LONELY)
    hard = [query['ap'] for query in data['queries'] if query['hard']]
    easy = [query['ap'] for query in data['queries'] if query['first_hit'] and not query['hard']]
    assert 16 <= len(hard) <= 18 and max(hard) <= min(easy)
    photo = data['photos'][data['queries'][8]['photo']]
    assert (photo['side'], photo['encounter']) == ('right', 11) and 'camera' not in photo


def test_individuals_are_averaged_and_sorted(material, data):
    of_label = defaultdict(list)
    for record, ap, hit in zip(
        material.test.query, material.ranking.ap, material.ranking.first_hit
    ):
        of_label[record.pid].append((ap, hit == 1))
    rows = {data['names'][row['who']]: row for row in data['individuals']}
    assert len(rows) == 14
    for label, values in of_label.items():
        row = rows[f'animal {label}']
        assert row['queries'] == row['gallery'] == 5
        if label == LONELY:
            assert (row['mAP'], row['rank1'], row['worst']) == (None, None, None)
            continue
        mean_ap, rank1 = np.mean(values, axis=0)
        assert row['mAP'] == pytest.approx(mean_ap, abs=1e-4)
        assert row['rank1'] == pytest.approx(rank1, abs=1e-4)
        worst = min(range(5), key=lambda number: values[number][0])
        assert row['worst'] == 5 * label + worst
    *scores, last = [row['mAP'] for row in data['individuals']]
    assert scores == sorted(scores) and last is None


def test_confusions_count_wrong_nearest_photos(data):
    counts = defaultdict(int)
    for query in data['queries']:
        place, _, match = query['ranked'][0]
        if query['positives'] and not match:
            pair = data['photos'][query['photo']]['who'], data['photos'][place]['who']
            counts[pair] += 1
    assert counts
    shown = {(row['who'], row['other']): row['count'] for row in data['confusions']}
    assert shown.items() <= counts.items()
    assert sorted(shown.values()) == sorted(counts.values())[-len(shown) :]
    for row in data['confusions']:
        query = data['queries'][row['example']]
        assert data['photos'][query['photo']]['who'] == row['who']
        assert data['photos'][query['ranked'][0][0]]['who'] == row['other']


@pytest.fixture
def uneven(material, monkeypatch):
    """Individuals with one to five queries; the queries without a match count as 0; 30 are kept."""
    monkeypatch.setattr(module, 'MOST_QUERIES', 30)
    asked = [row for row in range(70) if row % 5 <= row // 5 % 5]
    test = material.test
    test = test._replace(query=[test.query[row] for row in asked])
    distance = material.distance[asked]
    rules = RankingRules(ap='precision', ignore=test.protocol.ignore, no_positive='zero')
    ranking = rank_queries(distance, test.query, test.gallery, rules)
    return RankedTest(test, ranking, distance, material.names)


def test_numbers_of_an_uneven_test(uneven, tmp_path):
    data = page_data(uneven, tmp_path)
    labels = np.array([record.pid for record in uneven.test.query])
    ranking, numbers = uneven.ranking, [query['number'] - 1 for query in data['queries']]
    assert len(numbers) == 30 < len(labels)
    for query, number in zip(data['queries'], numbers):
        assert query['ap'] == pytest.approx(ranking.ap[number], abs=1e-4)
        assert query['last_hit'] == ranking.last_hit[number]
        assert query['compared'] == ranking.compared[number] < 70
        nearest = np.sort(uneven.distance[number])  # some photos are ignored
        shown = [float(distance) for _, distance, _ in query['ranked']]
        assert shown == sorted(shown) and np.isclose(shown[0], nearest, rtol=0.01).any()
    for row in data['individuals']:
        own = labels == row['who']
        assert (row['queries'], row['gallery']) == (own.sum(), 5)
        assert row['mAP'] == pytest.approx(ranking.ap[own].mean(), abs=1e-4)
        worst = np.flatnonzero(own)[ranking.ap[own].argmin()]
        known = worst in numbers and row['who'] != LONELY
        assert row['worst'] == (numbers.index(worst) if known else None)


def test_a_confusion_shows_its_nearest_example(uneven, tmp_path):
    data = page_data(uneven, tmp_path)
    labels = [record.pid for record in uneven.test.query]
    nearest = defaultdict(dict)  # pair of individuals -> number of the query -> distance
    for number, ((match, hit), who) in enumerate(
        zip([head[0] for head in uneven.heads], labels, strict=True)
    ):
        if not hit and uneven.ranking.positives[number]:
            pair = who, uneven.test.gallery[match].pid
            nearest[pair][number] = uneven.distance[number, match]
    assert max(map(len, nearest.values())) > 1
    for row in data['confusions']:
        found = nearest[row['who'], row['other']]
        assert (row['count'], row['queries']) == (len(found), labels.count(row['who']))
        kept = {query['number'] - 1 for query in data['queries']} & found.keys()
        example = data['queries'][row['example']]['number'] - 1
        assert example == min(kept, key=found.get)
    counts = [row['count'] for row in data['confusions']]
    assert counts == sorted(counts, reverse=True)


def test_a_large_test_is_cut_to_its_hardest_queries(monkeypatch, material, tmp_path):
    write_photos(material.test)
    for name, value in {'QUERIES': 6, 'INDIVIDUALS': 3, 'THUMBNAILS': 4}.items():
        monkeypatch.setattr(module, f'MOST_{name}', value)
    data = page_data(material, tmp_path / 'output')
    found = material.ranking.ap[: 5 * LONELY]  # the lonely one is the last
    hardest = found.argsort(kind='stable')[:6]
    assert [query['number'] - 1 for query in data['queries']] == sorted(hardest)
    assert len(data['individuals']) == 3
    with_thumbnail = [photo['path'] for photo in data['photos'] if 'thumb' in photo]
    assert len(with_thumbnail) == 4
    worst = Path(material.test.query[hardest[0]].path)
    assert any(worst.as_posix().endswith(path) for path in with_thumbnail)
    assert data['totals'] == {
        'queries': 70,
        'individuals': 14,
        'without_thumbnail': len(data['photos']) - 4,
    }


def test_thumbnails_stay_within_their_bytes(monkeypatch, material, tmp_path):
    write_photos(material.test)
    monkeypatch.setattr(module, 'MOST_BYTES', 20_000)
    sizes = [len(photo.get('thumb', '')) for photo in page_data(material, tmp_path)['photos']]
    assert 10_000 < sum(sizes) <= 20_000 and 0 in sizes


def test_photos_that_cannot_be_read_have_no_thumbnail(data):
    assert not any('thumb' in photo for photo in data['photos'])
    assert data['totals']['without_thumbnail'] == 70
    json.dumps(data, allow_nan=False)


def test_the_address_leads_from_the_page_to_the_photos(tmp_path):
    folder = tmp_path / 'out & in'
    paths = [str(tmp_path / 'my photos#1' / name) for name in ('a/1.png', 'b/2.png')]
    address, base = photo_root(paths, folder)
    assert address == '../my%20photos%231' and base == str(tmp_path / 'my photos#1')
    assert (folder / unquote(address)).resolve() == tmp_path / 'my photos#1'
