"""Warnings of epochs that show few photos."""

import re

import pytest

from datasets.animal import TRAINING_LISTS
from datasets.checks import short_epoch
from datasets.records import read_list
from datasets.sampler import SEEN, draw_epoch
from tests.helpers import PUBLISHED_LISTS, needs_published_lists


def herd(*sizes):
    """Labels of individuals with so many photos."""
    return [label for label, size in enumerate(sizes) for _ in range(size)]


def chosen(line):
    """(individuals, photos of each) of a batch that a warning names, where the present one has four
    photos of each.
    """
    batch, instances = (
        re.search(rf'with .*{key} (\d+)', line) for key in ('IMS_PER_BATCH', 'NUM_INSTANCE')
    )
    instances = int(instances[1]) if instances else 4
    return int(batch[1]) // instances, instances


def test_an_epoch_that_shows_few_photos():
    """One individual has 608 of 636 photos, and all are in each batch: the epoch is one step."""
    labels = herd(*[2] * 7, 608, *[2] * 6, 1, 1)
    line = short_epoch(labels, 64, 4)
    now = draw_epoch(labels, 16, 4)
    assert line.startswith(
        f'an epoch of stage 2 ends after step 1 and shows {now.photos} of 636 train photos: '
        'after it, '
        'fewer than 16 individuals have photos left, because label 7 has 608 of them; with '
    )
    better = draw_epoch(labels, *chosen(line))
    assert better.individuals * better.instances <= 64 and better.photos > 4 * now.photos
    assert f'it ends after step {better.steps} and shows {better.photos}' in line
    assert line.endswith('list fewer photos of label 7 or more of the others')


@pytest.mark.parametrize('processes', [1, 2])
def test_a_smaller_batch_shows_enough(processes):
    labels = herd(*[40] * 5, *[3] * 11)
    line = short_epoch(labels, 64, 4, processes=processes)
    individuals, instances = chosen(line)
    assert (instances, individuals % processes) == (4, 0) and 'list fewer' not in line
    assert draw_epoch(labels, individuals, 4).share >= SEEN > draw_epoch(labels, 16, 4).share


def test_a_batch_that_cannot_be_better_is_not_named():
    line = short_epoch(herd(400, 2), 8, 4)
    assert 'IMS_PER_BATCH' not in line and line.endswith(
        'list fewer photos of label 0 or more of the others'
    )


@pytest.mark.parametrize('sizes', [[8] * 20, [3] * 16, [1] * 16, [12] * 8 + [4] * 8])
def test_epochs_that_show_enough(sizes):
    assert short_epoch(herd(*sizes), 64, 4) is None


@needs_published_lists
@pytest.mark.parametrize('name', dict(TRAINING_LISTS.values()))
def test_the_published_lists_show_enough(name):
    assert short_epoch([record.pid for record in read_list(PUBLISHED_LISTS / name)], 64, 4) is None
