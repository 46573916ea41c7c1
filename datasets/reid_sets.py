"""What the person and vehicle sets share: where they lie, photos named by identity and camera,
published counts, protocols.
"""

import logging
import os
import re
from dataclasses import replace

from datasets.copies import as_photos
from datasets.photos import TestPhotos, TrainPhotos
from datasets.protocols import market_protocol, resolve_protocol
from datasets.records import Record, check_contiguous, locate
from utils.errors import InputError

logger = logging.getLogger('transreid')

TEST = ('query', 'gallery')
SPLITS = ('train', *TEST)
PROTOCOL_NAMES = ('market', 'cross-camera', 'all')  # the others need what these sets do not tell
JUNK = -1
NAME = re.compile(r'(-1|\d{1,18})_c(\d{1,4})(?!\d)[ -~]*\.jpg', re.ASCII)  # identity, camera from 1


def find_root(cfg, folder, parts, layout):
    """ROOT_DIR/folder, where the set is. ``InputError``, with the ``layout``, where one of its
    ``parts`` lacks.
    """
    root = os.path.join(cfg.DATASETS.ROOT_DIR, folder)
    missing = [
        os.path.join(folder, part) for part in parts if not os.path.exists(os.path.join(root, part))
    ]
    if missing:
        raise InputError(
            f"DATASETS.ROOT_DIR '{cfg.DATASETS.ROOT_DIR}': there is no "
            f'{", ".join(missing) if os.path.isdir(root) else folder} in it; '
            f'{cfg.DATASETS.NAMES} is expected as '
            f'{layout}'
        )
    return root


def read_folder(root, folder, view=0):
    """Records of root/folder/*.jpg by name, paths relative to root: identity as named, camera from
    0; junk is left out.

    Raises ``InputError`` for a photo of another name and where there is none.
    """
    records = []
    for name in sorted(os.listdir(os.path.join(root, folder))):
        if not name.endswith('.jpg') or name.startswith('.'):  # as the original's *.jpg
            continue
        match = NAME.fullmatch(name)
        if not match or match[2].strip('0') == '':
            raise InputError(
                f'{os.path.join(root, folder)}: photo {ascii(name)[:100]} is not named by '
                'identity and camera '
                f'(from 1), as 0002_c1s1_000451_03.jpg; rename it or take it out'
            )
        if int(match[1]) != JUNK:
            camera = int(match[2]) - 1
            records.append(
                Record(f'{folder}/{name}', int(match[1]), camid=camera, viewid=view, camera=camera)
            )
    if not records:
        raise InputError(
            f'{os.path.join(root, folder)}: no photo (*.jpg) in it but junk; unpack the archive '
            'again'
        )
    return records


def warn_of_counts(name, splits, published):
    """One warning where there are other numbers of photos or train identities than published.

    splits: name -> records; published: split -> photos, 'ids' -> train identities.
    """
    found = {split: len(records) for split, records in splits.items()}
    if 'train' in splits:
        found['ids'] = len({record.pid for record in splits['train']})
    words = {'ids': 'train identities'}
    other = [
        f'{number} {words.get(key, f"{key} photos")} (published: {published[key]})'
        for key, number in found.items()
        if number != published[key]
    ]
    if other:
        logger.warning(
            '%s: %s; is it a part of the set, or another version?', name, ', '.join(other)
        )


def train_photos(cfg, root, splits, trials=None, protocol=None):
    """``TrainPhotos`` of listed records, with labels 0 … n-1 by identity; the validation is
    Market's, or as in ``test_photos``.

    splits: records by SPLITS, 'train' alone where there are ``trials``. Raises ``InputError``.
    """
    name, train = cfg.DATASETS.NAMES, splits['train']
    labels = {pid: label for label, pid in enumerate(sorted({record.pid for record in train}))}
    train = [replace(record, pid=labels[record.pid]) for record in train]
    check_contiguous(train, f'{name} train')  # so there are two identities
    train = located(cfg, root, train, 'train')
    if len({record.pid for record in train}) < 2:
        raise InputError(
            f'{name} train: photos of one identity only; telling identities apart needs at least '
            'two'
        )
    validation = test_photos(cfg, root, splits, trials, protocol)
    if trials is None:
        validation = replace(
            validation, protocol=market_protocol([*validation.query, *validation.gallery])
        )
    return TrainPhotos(train, len(labels), root, validation)


def test_photos(cfg, root, splits, trials=None, protocol=None):
    """``TestPhotos`` of listed records, or of located ``trials`` with a ``protocol`` of their own.
    Raises ``InputError``.
    """
    if trials is None:
        name = check_protocol_name(cfg, PROTOCOL_NAMES)
        trials = [
            tuple(
                as_photos(
                    *(
                        (f'{cfg.DATASETS.NAMES} {split}', located(cfg, root, splits[split], split))
                        for split in TEST
                    )
                )
            )
        ]
        protocol = resolve_protocol(name, '', *trials[0])
    return TestPhotos(trials, protocol, root)


def located(cfg, root, records, split):
    """Records of a split with their files: see ``datasets.records.locate``."""
    data = cfg.DATASETS
    return locate(
        records,
        root=root,
        skip_missing=data.SKIP_MISSING,
        what=f'{data.NAMES} {split}',
        key='DATASETS.ROOT_DIR',
        allow_outside=data.ALLOW_OUTSIDE,
        skip_broken=data.SKIP_BROKEN,
    )


def check_protocol_name(cfg, names):
    """DATASETS.PROTOCOL, '' = the first of the ``names`` that suit the set; any other is an
    ``InputError``.
    """
    name = cfg.DATASETS.PROTOCOL or names[0]
    if name not in names:
        raise InputError(
            f"DATASETS.PROTOCOL '{name}' does not suit {cfg.DATASETS.NAMES}; choose one of "
            f'{", ".join(names)}, '
            f"or '' for {names[0]}"
        )
    return name
