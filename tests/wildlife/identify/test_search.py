"""Exact search, against plain loops."""

import numpy as np
import pytest

from tests.wildlife.identify.catalogues import make_herd
from utils.errors import InputError
from wildlife.identify import search
from wildlife.identify.answers import REMOVED
from wildlife.identify.gallery import gallery_of
from wildlife.identify.search import Asked, best_matches, individual_scores


@pytest.fixture(scope='module')
def features(tmp_path_factory):
    return make_herd(tmp_path_factory.mktemp('herd'), 6).features()


def plain_scores(features, asked_photos, vectors, allowed):
    """{individual: best similarity} of each photo, pair by pair."""
    found = []
    for photo, vector in zip(asked_photos, vectors):
        best = {}
        for row, known in zip(features.rows, features.photos):
            if allowed(photo, known):
                value = float(np.dot(vector.astype(float), features.matrix[row].astype(float)))
                best[known.individual] = max(best.get(known.individual, REMOVED), value)
        found.append(best)
    return found


@pytest.mark.parametrize('rows', [7, 1000])
@pytest.mark.parametrize('sides', [False, True])
def test_the_best_photo_of_each_individual(features, rows, sides, monkeypatch):
    """Neither photos of the own encounter are compared, nor, if asked, of the other side."""
    monkeypatch.setattr(search, 'ROWS', rows)
    gallery, photos = gallery_of(features), features.photos[::3]
    vectors = features.of(photos)
    removed = [gallery.not_compared(photo, photo.sha256) for photo in photos]
    own = np.array([photo.side for photo in photos], np.int8) if sides else None
    scores = individual_scores(gallery, Asked(vectors, removed, own))

    def allowed(photo, known):
        return photo.encounter != known.encounter and (not sides or photo.side == known.side)

    expected = plain_scores(features, photos, vectors, allowed)
    assert scores.shape == (len(photos), 6)
    for line, best in zip(scores, expected):
        for name, value in zip(gallery.names, line):
            assert value == pytest.approx(best[name], abs=1e-6)


def test_photos_without_an_individual_are_not_compared(features):
    gallery = gallery_of(features, features.photos[:6])  # those of the first individual
    assert gallery.names == ['A00'] and (gallery.individuals >= 0).sum() == 6
    none = np.array([], int)
    scores = individual_scores(gallery, Asked(features.of(features.photos[6:8]), [none, none]))
    expected = (features.of(features.photos[6:8]) @ features.of(features.photos[:6]).T).max(axis=1)
    np.testing.assert_allclose(scores[:, 0], expected, atol=1e-6)


def test_an_individual_with_nothing_to_compare(features):
    """All its photos are removed: its similarity is REMOVED, not 0."""
    gallery = gallery_of(features)
    vectors = features.of(features.photos[:1])
    scores = individual_scores(gallery, Asked(vectors, [gallery.rows_of(2)]))
    assert scores[0, 2] == REMOVED and np.isfinite(np.delete(scores[0], 2)).all()
    assert best_matches(gallery, Asked(vectors, [gallery.rows_of(2)]), 2, 3) == []
    unknown = Asked(vectors, [np.array([], int)], np.array([-1], np.int8))
    assert (individual_scores(gallery, unknown) == REMOVED).all()


def test_features_that_are_not_numbers(features):
    gallery = gallery_of(features)
    vectors = features.of(features.photos[:2])
    vectors[1, 3] = np.nan
    with pytest.raises(InputError, match='not numbers; find .* tools.catalogue verify'):
        individual_scores(gallery, Asked(vectors, [np.array([], int)] * 2))


def test_the_same_file_is_not_compared(features):
    gallery, photo = gallery_of(features), features.photos[0]

    class Elsewhere:
        encounter, side = '', None

    rows = gallery.not_compared(Elsewhere, photo.sha256)
    assert [gallery.photos[row].id for row in rows.tolist()] == [photo.id]
    second = features.photos[1]  # the rows are sorted, as the search needs
    assert gallery.not_compared(second, second.sha256).tolist() == [0, 1]


def test_the_best_photos_of_an_individual(features):
    gallery = gallery_of(features)
    asked = Asked(features.of(features.photos[:2]), [gallery.rows_of(1)[:2], np.array([], int)])
    rows = gallery.rows_of(1)
    similar = np.array(gallery.matrix[rows]) @ asked.features.T
    similar[:2, 0] = -9
    order = np.argsort(-similar.max(axis=1))[:4]
    found = best_matches(gallery, asked, 1, 4)
    assert [match.row for match in found] == rows[order].tolist()
    assert [match.asked for match in found] == similar.argmax(axis=1)[order].tolist()
    np.testing.assert_allclose([match.similarity for match in found], similar.max(axis=1)[order])
