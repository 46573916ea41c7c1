"""From photos to distances: each photo is read once; the distances are those of separate lists."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from configs import load_cfg
from configs.defaults import RULES
from datasets.make_dataloader_clipreid import make_dataloader, make_test_dataloader
from processor.inference import do_inference, extract_features, validate
from tests.helpers import World
from tests.oracles.reranking import re_ranking_euclidean_plain
from tests.processor.inference_models import RUNTIME, Pixels
from utils.metrics import rank_metrics
from utils.reranking import ReRanking, re_rank_matrices


@pytest.fixture
def overlapping(tmp_path, toy_weights):
    """A config whose gallery has two thirds of the queries, in another order, and other photos."""
    world = World(tmp_path, toy_weights)
    lists = world.folder / 'lists'
    query, gallery = (
        (lists / f'{name}.txt').read_text().splitlines() for name in ('query', 'gallery')
    )
    (lists / 'query.txt').write_text('\n'.join(query + gallery[:5]))
    (lists / 'gallery.txt').write_text('\n'.join(gallery[4::-1] + gallery[5:]))
    return load_cfg(world.yml())


def separate_features(test):
    """Features of the query list and of the gallery list, each list read by itself."""
    dataset = test.loader.dataset
    place = {record.path: index for index, record in enumerate(dataset.records)}
    with torch.inference_mode():
        found = []
        for records in (test.query, test.gallery):
            photos = [dataset[place[record.path]][0] for record in records]
            found.append(Pixels()(torch.stack(photos)))
        return found


def test_a_test_reads_each_photo_once(overlapping):
    model, test = Pixels(), make_test_dataloader(overlapping)
    result = do_inference(model, test, RUNTIME)
    assert (
        model.seen
        == len({record.path for record in test.query + test.gallery})
        < len(test.query) + len(test.gallery)
    )
    query, gallery = map(F.normalize, separate_features(test))
    np.testing.assert_allclose(result.distance, 1 - query @ gallery.T, atol=1e-6)
    assert result.metrics == rank_metrics(result.distance, test.query, test.gallery, test.protocol)


@pytest.mark.parametrize('ties', RULES['TEST.RERANK_TIES'].choices)
def test_a_re_ranked_test(overlapping, ties):
    """Copies of a photo tie: exactly with 'index'; with 'reference' the rounding of three products
    decides, as in the original.
    """
    test = make_test_dataloader(overlapping)
    rerank = ReRanking(k1=5, k2=3, lambda_value=0.3, ties=ties)
    result = do_inference(Pixels(), test, RUNTIME, rerank)
    query, gallery = map(F.normalize, separate_features(test))
    q_g, q_q, g_g = query @ gallery.T, query @ query.T, gallery @ gallery.T
    if ties == 'index':  # one number for all copies of two photos
        numbers, first = {}, {}
        places = [first.setdefault(record.path, len(first)) for record in test.query + test.gallery]
        q, g = places[: len(query)], places[len(query) :]
        for block, rows, columns in ((q_g, q, g), (q_q, q, q), (g_g, g, g)):
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    block[i, j] = numbers.setdefault(frozenset((row, column)), block[i, j].item())
    expected = re_rank_matrices(q_g, q_q, g_g, rerank)
    np.testing.assert_allclose(result.distance, expected, atol=1e-5)


@pytest.mark.parametrize('normalise', [True, False])
@pytest.mark.parametrize('rerank', [True, False])
def test_validation(overlapping, normalise, rerank):
    test = make_dataloader(overlapping).validation
    metrics = validate(Pixels(), test, RUNTIME, normalise, rerank).metrics
    query, gallery = separate_features(test)
    if normalise:
        query, gallery = F.normalize(query), F.normalize(gallery)
    q_g, q_q, g_g = (
        torch.cdist(a.double(), b.double()).square().numpy()
        for a, b in ((query, gallery), (query, query), (gallery, gallery))
    )
    others = len(query) + len(gallery) - 1
    distance = q_g
    if rerank:
        k1, k2 = min(50, others), min(15, others)
        distance = re_ranking_euclidean_plain(q_g, q_q, g_g, k1, k2, ties='index')
    assert metrics == pytest.approx(
        rank_metrics(distance, test.query, test.gallery, test.protocol), abs=1e-6
    )


def test_a_feature_that_is_not_finite_names_its_photo(overlapping):
    class Damaged(Pixels):
        def forward(self, images, **_):
            features = super().forward(images)
            return features.index_fill(0, torch.tensor(1), float('nan'))

    loader = make_test_dataloader(overlapping).loader
    with pytest.raises(Exception, match=loader.dataset.records[1].path):
        extract_features(Damaged(), loader, RUNTIME)


def test_queries_without_a_match_by_another_camera_are_reported(tmp_path, toy_weights, caplog):
    """One camera took all photos of individual 6, so across cameras its queries have no match."""
    world = World(tmp_path, toy_weights)
    lists = world.folder / 'lists'
    lines = [
        line.split()[:2]
        for name in ('query', 'gallery')
        for line in (lists / f'{name}.txt').read_text().splitlines()
    ]
    text = ''.join(
        f'{path} {pid} - {int(pid != "6" and path.endswith("0.png"))}\n' for path, pid in lines
    )
    (lists / 'query.txt').write_text(text)
    (lists / 'gallery.txt').write_text(text)
    test = make_test_dataloader(load_cfg(world.yml(), ['DATASETS.PROTOCOL', 'cross-camera']))
    result = do_inference(Pixels(), test, RUNTIME)
    assert result.without_positive['queries'] == 4 and len(lines) == 16
    assert result.without_positive['left_out'] == result.metrics
    assert result.without_positive['as_zero']['mAP'] == pytest.approx(
        result.metrics['mAP'] * 12 / 16
    )
