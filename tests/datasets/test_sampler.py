"""The P x K sampler, the shuffled one, and the batches they make."""

import hashlib
import json
import random
from collections import Counter

import numpy as np
import pytest
import torch

from datasets.records import read_list
from datasets.sampler import (
    SEEN,
    EpochBatches,
    RandomIdentitySampler,
    ShuffleSampler,
    choose_batch,
    draw_epoch,
)
from tests.helpers import PUBLISHED_LISTS, ROOT, needs_published_lists
from utils.errors import InputError

GOLDEN = {
    name: case
    for name, case in json.loads((ROOT / 'tests/golden/data.json').read_text())['sampler'].items()
    if isinstance(case, dict)
}
SIZES = [1, 3, 4, 5, 8, 9, 2, 17, 6, 4]  # photos of each individual
LABELS = [label for label, size in enumerate(SIZES) for _ in range(size)]


def chunks(indices, size):
    return [indices[start : start + size] for start in range(0, len(indices), size)]


@needs_published_lists
@pytest.mark.parametrize('name', GOLDEN)
def test_draws_as_the_original(name):
    case = GOLDEN[name]
    labels = [record.pid for record in read_list(PUBLISHED_LISTS / case['list'])]
    sampler = RandomIdentitySampler(labels, case['batch'], case['instances'], seed=case['seed'])
    epoch = list(sampler)
    assert len(sampler) == case['nominal_length']
    assert len(epoch) == case['true_length']
    assert chunks(epoch, case['batch'])[: len(case['first_batches'])] == case['first_batches']
    assert hashlib.sha256(' '.join(map(str, epoch)).encode()).hexdigest() == case['sha256_of_epoch']
    batches = EpochBatches(sampler, case['batch'], group=case['instances'])
    assert len(batches) == case['dataloader_len']
    assert len(list(batches)) == case['true_batches']


def epoch_by_hand(labels, p, k, seed):
    """The original's epoch with the global generators and plain lists."""
    random.seed(seed)
    np.random.seed(seed)
    groups, pids, epoch = {}, list(dict.fromkeys(labels)), []
    for pid in pids:
        photos = [index for index, label in enumerate(labels) if label == pid]
        if len(photos) < k:
            photos = np.random.choice(photos, size=k, replace=True)
        random.shuffle(photos)
        groups[pid] = [
            photos[start : start + k]
            for start in range(0, len(photos), k)
            if start + k <= len(photos)
        ]
    while len(pids) >= p:
        for pid in random.sample(pids, p):
            epoch.extend(int(index) for index in groups[pid].pop(0))
            if not groups[pid]:
                pids.remove(pid)
    return epoch


@pytest.mark.parametrize('seed', [0, 1, 1234])
def test_first_epoch_by_hand(seed):
    shuffled = random.Random(seed).sample(LABELS, len(LABELS))
    assert list(RandomIdentitySampler(shuffled, 12, 4, seed=seed)) == epoch_by_hand(
        shuffled, 3, 4, seed
    )


@pytest.mark.parametrize(('p', 'k'), [(2, 4), (3, 2), (10, 4), (4, 1), (5, 3)])
@pytest.mark.parametrize('epoch', [0, 1, 7])
def test_properties(p, k, epoch):
    sampler = RandomIdentitySampler(LABELS, p * k, k, seed=3)
    sampler.epoch = epoch
    indices = list(sampler)
    assert len(indices) % (p * k) == 0
    assert 0 < len(indices) <= len(sampler) == sum(max(n, k) - max(n, k) % k for n in SIZES)
    used = Counter()
    for batch in chunks(indices, p * k):
        groups = chunks([LABELS[index] for index in batch], k)
        assert all(len(set(group)) == 1 for group in groups)
        assert len({group[0] for group in groups}) == p
        used.update(group[0] for group in groups)
    assert all(times <= max(SIZES[label], k) // k for label, times in used.items())
    assert (
        sum(used[label] < max(n, k) // k for label, n in enumerate(SIZES)) < p
    )  # it ends when fewer than P are left
    times = Counter(indices)
    assert all(times[index] <= 1 for index, label in enumerate(LABELS) if SIZES[label] >= k)


@pytest.mark.parametrize(
    'make',
    [lambda: RandomIdentitySampler(LABELS, 8, 4, seed=5), lambda: ShuffleSampler(30, seed=5)],
)
def test_order_is_a_function_of_seed_and_epoch(make):
    state, numpy_state, torch_state = (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state(),
    )
    sampler, later = make(), make()
    epochs = []
    for epoch in range(4):
        sampler.epoch = epoch
        epochs.append(list(sampler))
        assert list(sampler) == epochs[-1]
    assert len({tuple(epoch) for epoch in epochs}) == 4
    later.epoch = 3  # a resumed run does not draw the first ones
    assert list(later) == epochs[3]
    assert random.getstate() == state
    assert np.random.get_state()[1].tolist() == numpy_state
    assert torch.equal(torch.get_rng_state(), torch_state)


@pytest.mark.parametrize(
    ('labels', 'batch', 'instances', 'complaint'),
    [
        (
            LABELS,
            10,
            4,
            'IMS_PER_BATCH 10 must be a multiple of DATALOADER.NUM_INSTANCE 4, 8 or more',
        ),
        (LABELS, 4, 4, 'at least two individuals'),
        (LABELS, 8, 0, 'must be a multiple'),
        (LABELS, 44, 4, 'has 10 individuals, but a batch needs 11 .* lower IMS_PER_BATCH to 40'),
        ([0, 0, 0], 8, 4, 'has 1 individuals, but a batch needs 2 .* or list more individuals'),
        ([], 8, 4, 'has 0 individuals'),
    ],
)
def test_impossible_batches(labels, batch, instances, complaint):
    with pytest.raises(InputError, match=complaint):
        RandomIdentitySampler(labels, batch, instances)


def test_shuffled_batches_drop_a_single_last_photo():
    for length, expected in [(9, [4, 4]), (10, [4, 4, 2]), (12, [4, 4, 4]), (3, [3])]:
        batches = EpochBatches(ShuffleSampler(length), 4)
        drawn = list(batches)
        assert [len(batch) for batch in drawn] == expected
        assert len(batches) == len(expected)
        indices = [index for batch in drawn for index, _ in batch]
        assert len(set(indices)) == len(indices) and set(indices) <= set(range(length))


def test_sample_seeds_differ_and_repeat():
    batches = EpochBatches(RandomIdentitySampler(LABELS, 8, 4, seed=1), 8, seed=1, group=4)
    first, again = list(batches), list(batches)
    assert first == again
    seeds = [seed for batch in first for _, seed in batch]
    assert len(set(seeds)) == len(seeds)  # the same photo twice is augmented twice
    batches.set_epoch(1)
    assert set(seeds).isdisjoint(seed for batch in batches for _, seed in batch)


@pytest.mark.parametrize('world_size', [1, 2, 4])
@pytest.mark.parametrize('kind', ['softmax', 'softmax_triplet'])
def test_processes_share_the_batches(kind, world_size):
    def batches(rank, world_size):
        sampler = (
            ShuffleSampler(64, seed=2)
            if kind == 'softmax'
            else RandomIdentitySampler(LABELS, 16, 4, seed=2)
        )
        group = 1 if kind == 'softmax' else 4
        shared = EpochBatches(sampler, 16, seed=2, group=group, rank=rank, world_size=world_size)
        shared.set_epoch(5)
        return list(shared)

    slices = [batches(rank, world_size) for rank in range(world_size)]
    assert [sum(parts, []) for parts in zip(*slices, strict=True)] == batches(0, 1)
    assert all(len(batch) == 16 // world_size for part in slices for batch in part)


def test_batches_that_cannot_be_shared():
    sampler = RandomIdentitySampler(LABELS, 8, 4)
    with pytest.raises(InputError, match='IMS_PER_BATCH 8 cannot be shared by 4 processes'):
        EpochBatches(sampler, 8, group=4, world_size=4)
    with pytest.raises(InputError, match='each needs at least two photos'):
        EpochBatches(ShuffleSampler(9), 1)


def test_uneven_last_batch_is_shared_evenly():
    for rank in (0, 1):
        part = EpochBatches(ShuffleSampler(21), 8, rank=rank, world_size=2)
        assert [len(batch) for batch in part] == [4, 4, 2]


def test_large_lists_are_quick():
    sampler = RandomIdentitySampler([index % 25000 for index in range(100_000)], 64, 4)
    assert len(list(sampler)) > 99_000


def herd(*sizes):
    """Labels of individuals with so many photos."""
    return [label for label, size in enumerate(sizes) for _ in range(size)]


def test_what_an_epoch_shows():
    """Two photos of the third individual, 22 of the first, of which two do not make a group."""
    labels = herd(22, 4, 2)
    sampler = RandomIdentitySampler(labels, 12, 4, seed=5)
    sampler.epoch = 1
    photos = len(set(sampler))
    assert draw_epoch(labels, 3, 4, seed=5) == (3, 4, 1, photos, photos / (20 + 4 + 2))
    assert draw_epoch(herd(8, 8), 2, 4) == (2, 4, 2, 16, 1.0)


def test_the_largest_batch_that_shows_enough():
    assert choose_batch(herd(*[8] * 20), 16, 4)[:3] == (16, 4, 2)
    assert choose_batch(herd(4, 4, 3), 16, 4)[:3] == (3, 4, 1)
    labels = herd(40, 36, 30, 4, 4, 3)
    chosen = choose_batch(labels, 16, 4)
    assert (
        2 <= chosen.individuals < 6
        and chosen == draw_epoch(labels, chosen.individuals, 4)
        and chosen.share >= SEEN
    )
    assert draw_epoch(labels, chosen.individuals + 1, 4).share < SEEN
    assert choose_batch(labels, 5, 4, step=2).individuals in (2, 4)
    unequal = herd(400, 2, 2, 2, 2)
    most = max(
        (draw_epoch(unequal, individuals, 4) for individuals in range(2, 6)),
        key=lambda epoch: epoch.photos,
    )
    assert choose_batch(unequal, 16, 4) == most and most.share < SEEN
    assert choose_batch(herd(9), 16, 4).individuals == 0
