"""Copies of photos and distractors in a test."""

import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score

from configs import load_cfg
from datasets.make_dataloader_clipreid import make_dataloader, make_test_dataloader
from datasets.protocols import PROTOCOLS
from processor.inference import do_inference, validate
from processor.results import report_copies
from tests.helpers import World
from tests.processor.inference_models import RUNTIME, Pixels
from utils.metrics import rank_metrics

TESTED_BY = [
    'all',
    'cross-camera',
    'cross-encounter',
    'cross-side',
    'query_in_gallery',
    'query_apart',
    'elephant',
    'market',
]


class Herd:
    """Three photos of each of four individuals, from two sides and two cameras, each photo in its
    own encounter. They are noise, so only chance or a copy leads to a match.
    """

    def __init__(self, world):
        self.world, self.root = world, world.folder / 'test'
        rng = np.random.default_rng(0)
        for path in sorted(world.folder.rglob('*.png')):
            Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)
        self.lines = [
            f'{pid}/{number}.png {pid} {number % 2} {number % 2} {10 * pid + number}'
            for pid in range(6, 10)
            for number in range(3)
        ]

    def test(self, protocol, query, gallery, *opts):
        """Test with these lines as lists; return the test set and the result."""
        for name, lines in (('query', query), ('gallery', gallery)):
            (self.world.folder / 'lists' / f'{name}.txt').write_text('\n'.join(lines))
        test = make_test_dataloader(
            load_cfg(self.world.yml(), ['DATASETS.PROTOCOL', protocol, *opts])
        )
        return test, do_inference(Pixels(), test, RUNTIME)

    def copy(self, name, other):
        (self.root / other).parent.mkdir(exist_ok=True)
        shutil.copyfile(self.root / name, self.root / other)


@pytest.fixture
def herd(tmp_path, toy_weights):
    return Herd(World(tmp_path, toy_weights))


@pytest.mark.parametrize('protocol', TESTED_BY)
def test_spelling_of_paths_does_not_change_the_numbers(herd, protocol, caplog):
    """The gallery spells its paths differently and lists some photos twice."""
    _, expected = herd.test(protocol, herd.lines[::3], herd.lines)
    messages = list(caplog.messages)
    caplog.clear()
    (herd.root / 'link').symlink_to('.')
    (herd.root / 'hard.png').hardlink_to(herd.root / '7/0.png')
    gallery = [
        f'./{herd.lines[0]}',
        herd.lines[1],
        f'6/../{herd.lines[2]}',
        herd.lines[3].replace('7/0.png', 'hard.png'),
        *(f'link/{line}' for line in herd.lines[4:]),
        herd.lines[1],
        herd.lines[0],
    ]
    test, result = herd.test(protocol, herd.lines[::3], gallery)
    assert result.metrics == expected.metrics and result.copies == expected.copies
    assert [os.path.relpath(record.path, herd.root) for record in test.query] == [
        line.split()[0] for line in herd.lines[::3]
    ]
    assert [record.path for record in test.gallery[::3]] == [record.path for record in test.query]
    assert 'gallery.txt: 2 of 14 lines repeat an earlier line and are skipped' in caplog.text
    assert messages == [message for message in caplog.messages if 'repeat' not in message]


def by_hand(test, distance, protocol):
    """mAP and rank-1, one query at a time, without files of the query's bytes and individual."""
    content = {record.path: Path(record.path).read_bytes() for record in test.query + test.gallery}
    aps, firsts = [], []
    for query, row in zip(test.query, distance, strict=True):
        kept = []
        for photo, value in zip(test.gallery, row, strict=True):
            same = photo.pid == query.pid
            removed = same and (
                content[photo.path] == content[query.path]
                or {
                    'cross-camera': photo.camera == query.camera,
                    'market': photo.camid == query.camid,
                    'cross-encounter': photo.encounter == query.encounter,
                    'cross-side': photo.side == query.side,
                }.get(protocol)
            )
            if not removed:
                kept.append((value, same))
        right = np.array([same for _, same in sorted(kept, key=lambda pair: pair[0])])
        aps.append(average_precision_score(right, -np.arange(len(right))))
        firsts.append(right[0])
    return {'mAP': np.mean(aps), 'rank1': np.mean(firsts)}


@pytest.mark.parametrize('protocol', ['all', 'cross-camera', 'cross-encounter', 'cross-side'])
def test_a_copy_is_not_compared_with_its_photo(herd, protocol, caplog):
    """Copies of two queries, which the list assigns to other cameras and encounters, and a copy of
    a gallery photo, which counts.
    """
    for name, copy in (
        ('6/0.png', '6/IMG (1).png'),
        ('7/0.png', 'new/copy.png'),
        ('6/0.png', '6/third.png'),
        ('8/1.png', '8/other.png'),
    ):
        herd.copy(name, copy)
    gallery = [
        *herd.lines,
        '6/IMG (1).png 6 1 1 91',
        'new/copy.png 7 1 1 92',
        '6/third.png 6 - - 93',
        '8/other.png 8 1 1 94',
    ]
    with caplog.at_level('INFO', 'transreid'):
        test, result = herd.test(protocol, herd.lines[::3], gallery)
        report_copies(result, test.protocol, logging.getLogger('transreid'))
    expected = by_hand(test, result.distance, protocol)
    assert {name: result.metrics[name] for name in expected} == pytest.approx(expected)
    assert (result.copies['queries'], result.copies['photos']) == (2, 3)
    assert (
        'Byte-for-byte copies of queries in the gallery: 3 (of 2 queries). They are ignored'
        in caplog.text
    )
    near = result.distance.argsort(axis=1)[:2, 0]
    assert near.tolist() == [0, 3]  # the queries themselves and their copies would be first
    without = herd.test(protocol, herd.lines[::3], gallery[:12] + gallery[15:])[1]
    assert result.metrics['rank1'] == without.metrics['rank1'] < 1


@pytest.mark.parametrize('protocol', ['query_apart', 'query_in_gallery', 'elephant', 'market'])
def test_copies_under_a_published_protocol(herd, protocol, caplog):
    """Its numbers stay, and the log adds those without the copies."""
    itself = PROTOCOLS[protocol].drop_nearest
    gallery = [line for number, line in enumerate(herd.lines) if number % 3 or itself]
    _, plain = herd.test(protocol, herd.lines[::3], gallery)
    assert plain.copies == {'queries': 0, 'photos': 0, 'without': plain.metrics}
    herd.copy('6/0.png', '6/copy.png')
    herd.copy('7/0.png', '7/copy.png')
    caplog.clear()
    test, result = herd.test(
        protocol, herd.lines[::3], ['6/copy.png 6 1 1 90', *gallery, '7/copy.png 7 1 1 91']
    )
    report_copies(result, test.protocol, logging.getLogger('transreid'))
    assert result.metrics == rank_metrics(result.distance, test.query, test.gallery, test.protocol)
    assert (result.copies['queries'], result.copies['photos']) == (2, 2)
    assert result.copies['without']['mAP'] < result.metrics['mAP']
    keep = [index for index, photo in enumerate(test.gallery) if 'copy' not in photo.path]
    for row, query in enumerate(test.query[:2]):  # in lists without its copy
        gallery = [test.gallery[index] for index in keep]
        other = test.gallery[-1 if row == 0 else 0]  # the other query's copy, no match for this one
        distance = result.distance[row : row + 1, [*keep, test.gallery.index(other)]]
        expected = rank_metrics(distance, [query], [*gallery, other], test.protocol)
        found = rank_metrics(
            result.distance[row : row + 1],
            [query],
            test.gallery,
            replace(test.protocol, never_itself=True),
        )
        assert found == pytest.approx(expected)
    share = f'mAP {result.metrics["mAP"]:.1%}, Rank-1 {result.metrics["rank1"]:.1%}'
    ignored = (
        f'mAP {result.copies["without"]["mAP"]:.1%}, Rank-1 {result.copies["without"]["rank1"]:.1%}'
    )
    (line,) = [message for message in caplog.messages if 'Byte-for-byte copies' in message]
    assert (
        'copies of queries in the gallery: 2 (of 2 queries)' in line
        and share in line
        and f'Without them: {ignored}' in line
    )


def test_queries_that_only_find_themselves(herd):
    """Without copies there is nothing to average; this is reported, and the test continues."""
    herd.copy('6/0.png', '6/copy.png')
    test, result = herd.test('market', herd.lines[:1], ['6/copy.png 6 1 1 90', *herd.lines[3:]])
    assert result.metrics['rank1'] == 1 and result.copies['without'] == {}


def test_copies_in_validation(herd, caplog):
    """The number of the protocol stays; the one without copies is reported."""
    folder, lists = herd.world.folder / 'photos', herd.world.folder / 'lists'
    shutil.copyfile(folder / 'train/0/0.png', folder / 'val/0/4.png')
    (lists / 'val.txt').write_text((lists / 'val.txt').read_text() + './train/1/0.png 1\n')
    test = make_dataloader(load_cfg(herd.world.yml())).validation
    result = validate(Pixels(), test, RUNTIME)
    assert result.copies['queries'] == 2
    assert result.metrics == rank_metrics(result.distance, test.query, test.gallery, test.protocol)
    report_copies(result, test.protocol, logging.getLogger('transreid'))
    assert (
        "copies of queries in the gallery: 2 (of 2 queries). Protocol 'market_one_camera' counts "
        'them as matches'
    ) in caplog.text
    ignored = rank_metrics(
        result.distance, test.query, test.gallery, replace(test.protocol, never_itself=True)
    )
    assert ignored == result.copies['without'] and ignored['mAP'] < result.metrics['mAP']


def test_distractors_match_no_query(herd):
    """Photos of individual -1 are ranked but never match and do not count as an individual."""
    herd.copy('6/0.png', 'nobody.png')  # as near as can be
    query, gallery = herd.lines[::3], [line for number, line in enumerate(herd.lines) if number % 3]
    test, result = herd.test('query_apart', query, [*gallery, 'nobody.png -1'])
    assert test.gallery[-1].pid == -1 and result.copies['queries'] == 0
    assert result.distance[0].argmin() == len(gallery)
    stranger = herd.test('query_apart', query, [*gallery, 'nobody.png 77'])[1]
    assert result.metrics == stranger.metrics
    assert result.metrics['mAP'] < herd.test('query_apart', query, gallery)[1].metrics['mAP']
