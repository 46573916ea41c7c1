"""Chooses the photos of each batch. Every order is a pure function of (seed, epoch)."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from utils.errors import InputError

SEEN = 0.5  # share of the photos that an epoch should show, see Epoch


class RandomIdentitySampler(Sampler):
    """Batches of P individuals x K photos, as one sequence of indices.

    At the start of an epoch, the photos of each individual are shuffled and split into groups of K.
    A remainder is dropped; from fewer than K photos, K are drawn with replacement. Then, while at
    least P individuals have a group left, P of them are drawn and give one group each.

    ``len()`` is the nominal length, Σ max(n, K) − max(n, K) mod K; an epoch is a little shorter.

    Args:
        labels: Label of the individual on each photo.
        batch_size: P · K.
        num_instances: K.
        seed: The seed of the order, together with the attribute ``epoch``, to be set before each
            epoch. Epoch 0 is drawn as in the original after seeding ``random`` and
            ``numpy.random``.

    Raises:
        InputError: No batch can be drawn.
    """

    def __init__(self, labels: Sequence[int], batch_size: int, num_instances: int, seed: int = 0):
        k = num_instances
        if k < 1 or batch_size % k or batch_size < 2 * k:
            raise InputError(
                f'SOLVER.STAGE2.IMS_PER_BATCH {batch_size} must be a multiple of '
                f'DATALOADER.NUM_INSTANCE {k}, {2 * k} or more: a batch has at least two '
                'individuals with NUM_INSTANCE photos each'
            )
        self.num_instances = k
        self.ids_per_batch = batch_size // k
        self.seed = seed
        self.epoch = 0
        # indices of each individual's photos; individuals in order of appearance
        self.indices: dict[int, list[int]] = defaultdict(list)
        for index, label in enumerate(labels):
            self.indices[int(label)].append(index)
        ids = len(self.indices)
        if ids < self.ids_per_batch:
            raise InputError(
                f'the train list has {ids} individuals, but a batch needs {self.ids_per_batch} '
                f'(SOLVER.STAGE2.IMS_PER_BATCH {batch_size} / DATALOADER.NUM_INSTANCE {k}); '
                f'lower IMS_PER_BATCH to {max(2, ids) * k} or less, or list more individuals'
            )

    def __len__(self) -> int:
        sizes = (max(len(photos), self.num_instances) for photos in self.indices.values())
        return sum(size - size % self.num_instances for size in sizes)

    def __iter__(self) -> Iterator[int]:
        seed = _epoch_seed(self.seed, self.epoch)
        rng, numpy_rng = random.Random(seed), np.random.RandomState(seed)
        groups = [self._groups(photos, rng, numpy_rng) for photos in self.indices.values()]
        available = list(range(len(groups)))
        while len(available) >= self.ids_per_batch:
            positions = rng.sample(range(len(available)), self.ids_per_batch)
            for position in positions:
                yield from groups[available[position]].pop()
            for position in sorted(positions, reverse=True):  # from the end: the others stay
                if not groups[available[position]]:
                    del available[position]

    def _groups(
        self, photos: Sequence[int], rng: random.Random, numpy_rng: np.random.RandomState
    ) -> list[list[int]]:
        """Split the photos of one individual into groups of K. The last group is used first."""
        k = self.num_instances
        order = list(photos)
        if len(order) < k:
            order = numpy_rng.choice(order, size=k, replace=True).tolist()
        rng.shuffle(order)
        return [order[start : start + k] for start in range(0, len(order) - k + 1, k)][::-1]


class Epoch(NamedTuple):
    """Epoch 1 with batches of ``individuals`` x ``instances`` photos.

    Args:
        individuals: The number of individuals in a batch.
        instances: The number of photos of each individual in a batch.
        steps: The number of batches.
        photos: The number of different photos that the epoch shows.
        share: ``photos`` divided by the number that the epoch would show if it continued until all
            groups were drawn.
    """

    individuals: int
    instances: int
    steps: int
    photos: int
    share: float


def draw_epoch(labels: Sequence[int], individuals: int, instances: int, seed: int = 0) -> Epoch:
    """Draw the ``Epoch`` of train photos with these labels. Raises the errors of the sampler."""
    sampler = RandomIdentitySampler(labels, individuals * instances, instances, seed)
    sampler.epoch = 1
    drawn = list(sampler)
    photos = len(set(drawn))
    sizes = map(len, sampler.indices.values())
    shown = sum(size - size % instances if size > instances else size for size in sizes)
    steps = len(drawn) // (individuals * instances)
    return Epoch(individuals, instances, steps, photos, photos / shown)


def choose_batch(
    labels: Sequence[int], most: int, instances: int, seed: int = 0, step: int = 1
) -> Epoch:
    """Find the largest batch whose epoch shows enough of the photos, or else as many as possible.

    An epoch ends when too few individuals for a batch have photos left. If every batch needs all
    individuals, it ends when the first of them has none left.

    Args:
        labels: The labels of the train photos.
        most: The largest number of individuals in a batch.
        instances: The number of photos of each individual in a batch.
        seed: The seed of the epoch.
        step: The number of individuals is a multiple of it.

    Returns:
        The ``Epoch`` of that batch.
    """
    best = Epoch(0, instances, 0, 0, 0.0)
    most = min(most, len(set(labels)))
    for individuals in range(most - most % step, 1, -step):
        epoch = draw_epoch(labels, individuals, instances, seed)
        best = max(best, epoch, key=attrgetter('share'))
        if best.share >= SEEN:
            break
    return best


@dataclass(eq=False)
class ShuffleSampler(Sampler):
    """All ``length`` indices in a new order for each epoch."""

    length: int
    seed: int = 0
    epoch: int = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        generator = np.random.RandomState(_epoch_seed(self.seed, self.epoch))
        yield from generator.permutation(self.length).tolist()


class EpochBatches(Sampler):
    """The batch sampler of the training loader. A batch is a list of (index, sample_seed).

    ``sample_seed`` (32 bits) determines the random steps of the transform for this photo at this
    position of the epoch. Every process draws the same epoch and takes its own slice of each batch,
    batch_size / world_size photos. The last batch is dropped if it leaves a process a single photo:
    batch norm cannot train on one photo.

    ``len()`` is the nominal number of batches, which the log shows as the total; with
    ``RandomIdentitySampler`` an epoch is a little shorter.

    Args:
        sampler: Draws the order of the photos.
        batch_size: The number of photos in a batch, over all processes.
        seed: The seed of the sample seeds, together with the epoch.
        group: The number of consecutive photos that must stay in one process (K).
        rank: The rank of this process.
        world_size: The number of processes.
    """

    def __init__(
        self,
        sampler: RandomIdentitySampler | ShuffleSampler,
        batch_size: int,
        seed: int = 0,
        group: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ):
        if batch_size % (group * world_size) or batch_size // world_size < 2:
            raise InputError(
                f'SOLVER.STAGE2.IMS_PER_BATCH {batch_size} cannot be shared by {world_size} '
                f'processes: each needs at least two photos and a multiple of {group}; choose a '
                f'multiple of {group * world_size}, or another number of processes'
            )
        self.sampler = sampler
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = self.skip = 0

    def set_epoch(self, epoch: int, skip: int = 0) -> None:
        """Set the epoch (>= 0) that the next iteration draws, and how many batches it skips."""
        self.epoch = self.sampler.epoch = epoch
        self.skip = skip

    def __len__(self) -> int:
        whole, rest = divmod(len(self.sampler), self.batch_size)
        return whole + 1 if rest // self.world_size >= 2 else whole

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        indices = list(self.sampler)
        # the 1 makes these numbers differ from those of the order
        generator = np.random.default_rng([self.seed, self.epoch, 1])
        seeds = generator.integers(2**32, size=len(indices)).tolist()
        samples = list(zip(indices, seeds, strict=True))
        for start in range(self.skip * self.batch_size, len(samples), self.batch_size):
            batch = samples[start : start + self.batch_size]
            share = len(batch) // self.world_size
            if share >= 2:
                yield batch[self.rank * share : (self.rank + 1) * share]


def _epoch_seed(seed: int, epoch: int) -> int:
    """Return a 32-bit seed: ``seed`` itself for epoch 0, mixed with the epoch from 1 on."""
    mixed = np.random.SeedSequence([seed, epoch]).generate_state(1)[0]
    return int(mixed) if epoch else seed
