"""Configs and records of the official sets of persons and vehicles."""

import os

from configs import load_cfg


def cfg_of(root, name, *opts):
    return load_cfg(
        '',
        [
            'DATASETS.NAMES',
            name,
            'DATASETS.ROOT_DIR',
            str(root),
            'DATASETS.LIST_DIR',
            str(root / 'lists'),
            *map(str, opts),
        ],
    )


def rows(records, root):
    """(path below root, pid, camid, viewid)"""
    return [
        (os.path.relpath(record.path, root), record.pid, record.camid, record.viewid)
        for record in records
    ]


def short(records):
    """(pid, camid), without the paths."""
    return [(record.pid, record.camid) for record in records]


KINDS = ('cnn_base', 'vit_base', 'cnn_clipreid', 'vit_clipreid')
YMLS = [
    f'{folder}/{kind}'
    for folder in ('person', 'veri', 'VehicleID')
    for kind in KINDS + (('cnn_prom', 'vit_prom') if folder == 'veri' else ())
]
