"""Metrics as plain loops over one ranking, and made-up distances for them."""

from dataclasses import replace

import numpy as np

from datasets.records import Record


def is_ignored(photo, query, ignore):
    """Whether the protocol's ``ignore`` drops this gallery record for the query."""
    if ignore == 'sequence' and photo.pid == -1:
        return True
    if photo.pid != query.pid:
        return False
    if ignore == 'camera':
        return photo.camid == query.camid
    if ignore == 'encounter':
        return photo.encounter is not None and photo.encounter == query.encounter
    if ignore == 'known camera':
        return None in (photo.camera, query.camera) or photo.camera == query.camera
    if ignore == 'side':
        return None in (photo.side, query.side) or photo.side == query.side
    if ignore == 'sequence' and photo.frame and query.frame:
        return photo.frame[:2] == query.frame[:2] and abs(photo.frame[2] - query.frame[2]) <= 3
    return False


def ranking_by_hand(distance, query, gallery, protocol):
    """Gallery records of one query in order, without what is dropped or ignored: list of (record,
    is a positive).
    """
    order = sorted(range(len(gallery)), key=lambda index: (distance[index], index))
    itself = [
        index
        for index in order
        if gallery[index].pid == query.pid and gallery[index].photo == query.photo
    ]
    if protocol.drop_nearest and not (protocol.never_itself and itself):
        order = order[1:]
    if protocol.never_itself:
        order = [index for index in order if index not in itself]
    ranking = []
    for photo in (gallery[index] for index in order):
        if not is_ignored(photo, query, protocol.ignore):
            ranking.append((photo, photo.pid == query.pid))
    return ranking


def ap_by_hand(right, kind):
    """right: list of bool in the order of the ranking."""
    total, found = 0.0, 0
    for position, hit in enumerate(right):
        if hit:
            before = found / position if position else 1.0
            found += 1
            precision = found / (position + 1)
            total += precision if kind == 'precision' else (before + precision) / 2
    return total / found if found else 0.0


def metrics_by_hand(distance, query, gallery, protocol):
    aps, firsts = [], []
    for row, one in zip(distance, query):
        right = [hit for _, hit in ranking_by_hand(row, one, gallery, protocol)]
        if any(right) or protocol.no_positive == 'zero':
            aps.append(ap_by_hand(right, protocol.ap))
            firsts.append(right.index(True) + 1 if any(right) else np.inf)
    metrics = {'mAP': sum(aps) / len(aps)}
    for k in (1, 5, 10):
        metrics[f'rank{k}'] = sum(first <= k for first in firsts) / len(firsts)
    return metrics


def fabricated(seed, ties):
    """12 queries, 40 gallery photos of 5 individuals (-1 among them), the first 6 photos the same;
    cameras, frames close to each other, sides and encounters that may be unknown. Every fourth
    photo of the gallery is a copy of another, some of the same individual.
    """
    generator = np.random.default_rng(seed)

    def maybe(count):
        return int(generator.integers(count)) if generator.random() < 0.7 else None

    def photos(count):
        return [
            Record(
                f'{index}.jpg',
                int(generator.integers(-1, 5)),
                camid=int(generator.integers(3)),
                frame=tuple(map(int, generator.integers(0, (2, 2, 12))))
                if generator.random() < 0.9
                else None,
                side=maybe(2),
                encounter=maybe(3),
                camera=maybe(3),
            )
            for index in range(count)
        ]

    query = photos(12)
    gallery = query[:6] + photos(40)[6:]
    for index in range(8, 40, 4):
        photo = gallery[index // 4]
        gallery[index] = replace(
            gallery[index], copy_of=photo.photo, pid=photo.pid if index % 8 else gallery[index].pid
        )
    distance = generator.random((12, 40))
    return (np.round(distance, 1) if ties else distance), query, gallery
