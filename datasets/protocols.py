"""What a test is: its lists, its kind of AP, what is dropped and ignored.
``utils.metrics.rank_metrics`` follows it.
"""

import json
import logging
import os
import reprlib
from dataclasses import dataclass, replace

from datasets.records import NOBODY, read_file
from utils.errors import InputError

logger = logging.getLogger('transreid')


@dataclass(frozen=True)
class Protocol:
    """How rankings are judged.

    ap: 'trapezoid' (the animal tests) or 'precision' (mean over the positives of the precision at
    their rank).
    drop_nearest: the first of every ranking, taken to be the query itself, is dropped, from the
    positives too.
    never_itself: a query's own photo and its copies, byte for byte and of its individual, are
    removed from its ranking;
        ``drop_nearest`` then holds only for queries that the gallery does not have.
    ignore: gallery photos of the query's individual that are removed from its ranking: '' none |
    'camera' those of its camid |
        'known camera' those of its camera, or where one of the cameras is unknown | 'encounter'
        those of its encounter | 'side' those of its side, or where one of the sides is unknown |
        'sequence' (ATRW: those within 3 frames of its camera sequence; and all of individual -1).
    no_positive: a query without positives counts as 0 ('zero') or is left out of the averages
    ('skip').
    query_list, gallery_list, ground_truth: file names in DATASETS.LIST_DIR.
    text: the protocol in words, printed at the start of a test.
    """

    name: str
    ap: str = 'trapezoid'
    drop_nearest: bool = False
    never_itself: bool = False
    ignore: str = ''
    no_positive: str = 'zero'
    query_list: str = ''
    gallery_list: str = ''
    ground_truth: str = ''
    text: str = ''


APART = (
    'query photos apart from the gallery: nothing is dropped; trapezoid AP; a query without '
    'positives counts as 0'
)
INSIDE = (
    'query photos in the gallery: the first of every ranking (the query itself) is dropped; '
    'trapezoid AP; '
    'a query without positives counts as 0'
)

NEVER_ITSELF = (
    'a photo is never compared with itself; average precision; queries without a positive are '
    'counted and left out '
    'of the averages'
)

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            'tiger',
            ap='precision',
            drop_nearest=True,
            ignore='sequence',
            query_list='mytest.txt',
            gallery_list='mytest.txt',
            ground_truth='gt_test_plain.json',
            text='ATRW: the first of every ranking (the query itself) is dropped, the same '
            'entity within 3 frames of '
            'the same camera sequence is masked; average precision; a query without positives '
            'counts as 0; single- and '
            'cross-camera queries apart',
        ),
        Protocol(
            'yak',
            query_list='yak_probe_hard.txt',
            gallery_list='yak_gallery_hard.txt',
            text=f'yak, hard; {APART}',
        ),
        Protocol(
            'h_yak',
            query_list='yak_probe_hard.txt',
            gallery_list='yak_gallery_hard.txt',
            text=f'yak, hard; {APART}',
        ),
        Protocol(
            's_yak',
            query_list='yak_probe_simple.txt',
            gallery_list='yak_gallery_simple.txt',
            text=f'yak, simple; {APART}',
        ),
        Protocol(
            'elephant',
            drop_nearest=True,
            query_list='ele_new_test_probe.txt',
            gallery_list='ele_new_test_gallery.txt',
            text=f'elephant; {INSIDE}',
        ),
        Protocol(
            'debug',
            drop_nearest=True,
            query_list='debug_ele_train.txt',
            gallery_list='debug_ele_train.txt',
            text=f'debug; {INSIDE}',
        ),
        Protocol('query_in_gallery', drop_nearest=True, text=INSIDE),
        Protocol('query_apart', text=APART),
        Protocol(
            'all',
            ap='precision',
            never_itself=True,
            no_positive='skip',
            text=f'every query against the gallery; {NEVER_ITSELF}',
        ),
        Protocol(
            'cross-camera',
            ap='precision',
            never_itself=True,
            ignore='known camera',
            no_positive='skip',
            text="gallery photos of the query's individual by the same camera, or by an unknown "
            'one, are removed; '
            f'{NEVER_ITSELF}',
        ),
        Protocol(
            'cross-encounter',
            ap='precision',
            never_itself=True,
            ignore='encounter',
            no_positive='skip',
            text="gallery photos of the query's individual from the same encounter, which may be "
            'seconds apart, are removed; '
            f'{NEVER_ITSELF}',
        ),
        Protocol(
            'cross-side',
            ap='precision',
            never_itself=True,
            ignore='side',
            no_positive='skip',
            text="gallery photos of the query's individual from the same side, or of unknown "
            'side, are removed; '
            f'{NEVER_ITSELF}',
        ),
        Protocol(
            'market',
            ap='precision',
            ignore='camera',
            no_positive='skip',
            text="Market-1501: gallery photos of the query's individual and camera are removed; "
            'queries without a '
            'positive are left out',
        ),
        Protocol(
            'market_one_camera',
            ap='precision',
            no_positive='skip',
            text='Market-1501 without the camera filter (all photos count as one camera); '
            'queries without a '
            'positive are left out',
        ),
    )
}


def resolve_protocol(name, species, query, gallery):
    """The protocol of a test: ``name`` (DATASETS.PROTOCOL) if set, else the species' own, else by
    the lists.

    A species of one's own is judged as 'query_in_gallery' when any query photo is in the gallery,
    else 'query_apart'.
    query, gallery: records, a path a file (``datasets.copies``). A choice that does not fit them is
    logged as a warning. Raises ``InputError`` for an unknown name, and where the lists do not know
    what the protocol asks for (cameras, encounters, sides).
    """
    paths, photos = {record.path for record in gallery}, {record.photo for record in gallery}
    inside = sum(record.path in paths for record in query)
    outside = sum(record.photo not in photos for record in query)
    name = name or (
        species if species in PROTOCOLS else 'query_in_gallery' if inside else 'query_apart'
    )
    if name not in PROTOCOLS:  # but of VehicleID, say
        raise InputError(
            f"DATASETS.PROTOCOL '{name}' does not suit animals; choose one of "
            f"{', '.join(PROTOCOLS)}, or '' for the one of DATASETS.SPECIES"
        )
    if name == 'market':
        name = market_protocol(query + gallery).name
    protocol = PROTOCOLS[name]
    _check_known(protocol, query + gallery)
    if protocol.drop_nearest and outside:
        logger.warning(
            "protocol '%s' drops the first of every ranking as the query itself, but %d of %d "
            'query photos '
            "are not in the gallery (DATASETS.PROTOCOL 'query_apart' drops nothing)",
            name,
            outside,
            len(query),
        )
    if not (protocol.drop_nearest or protocol.never_itself or protocol.ignore) and inside:
        logger.warning(
            "protocol '%s' drops nothing, but %d of %d query photos are in the gallery and will "
            'find '
            "themselves (DATASETS.PROTOCOL 'query_in_gallery' drops them)",
            name,
            inside,
            len(query),
        )
    return protocol


def _check_known(protocol, records):
    """Whether records know what ``protocol`` looks at: InputError where none does, a warning where
    some do not.
    """
    column = {'known camera': 'camera', 'encounter': 'encounter', 'side': 'side'}.get(
        protocol.ignore
    )
    if column is None:
        return
    records = [
        record for record in records if record.pid != NOBODY
    ]  # compared with all in any case
    known = [getattr(record, column) for record in records if getattr(record, column) is not None]
    if not known or (column == 'camera' and len(set(known)) == 1):
        raise InputError(
            f"protocol '{protocol.name}' needs {column}s, but the lists tell no two {column}s "
            'apart; write '
            "'path label side camera encounter' in the lists, '-' for what is unknown, or "
            'choose another '
            f'DATASETS.PROTOCOL'
        )
    if len(known) < len(records):
        consequence = (
            'they are compared with all'
            if column == 'encounter'
            else f'they are removed as if of the same {column}'
        )
        logger.warning(
            "protocol '%s': %d of %d listed photos have no %s: %s",
            protocol.name,
            len(records) - len(known),
            len(records),
            column,
            consequence,
        )


def market_protocol(records):
    """The protocol of validation: with a single camera the camera filter would remove every
    positive, so it is off.

    Distractors have no say: they are no positives, whatever their camera.
    """
    cameras = {record.camid for record in records if record.pid != NOBODY}
    return PROTOCOLS['market' if len(cameras) > 1 else 'market_one_camera']


def read_atrw(path):
    """Read ATRW's ground truth, a JSON list of ``{imgid, entityid, query: 'sing' | 'multi', frame:
    [a, b, n]}``.

    Returns a dict of imgid to (entityid, group, frame). Raises ``InputError``.
    """
    content = read_file(
        path,
        'ground truth',
        f"{path}: no such file; the tiger test needs ATRW's ground truth: put it there, "
        "set DATASETS.GROUND_TRUTH, or DATASETS.PROTOCOL 'query_in_gallery' to do without",
    )
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: the ground truth is not JSON ({error}); it should be ATRW's "
            'gt_test_plain.json'
        ) from None
    if not isinstance(entries, list) or not entries:
        raise InputError(
            f'{path}: the ground truth should be a list of photos, as in gt_test_plain.json'
        )
    truth = {}
    for number, entry in enumerate(entries, start=1):
        imgid, entity, group, frame = _parse_atrw(entry, where=f'{path}: entry {number}')
        if imgid in truth:
            raise InputError(f'{path}: entry {number}: imgid {imgid} occurs twice')
        truth[imgid] = (entity, group, frame)
    return truth


def _parse_atrw(entry, where):
    fields = ('imgid', 'entityid', 'query', 'frame')
    imgid, entity, group, frame = (
        (entry.get(field) for field in fields) if isinstance(entry, dict) else [None] * 4
    )
    numbers = [imgid, entity, *(frame if isinstance(frame, list) else [])]
    whole = len(numbers) == 5 and all(
        type(number) is int and abs(number) < 2**63 for number in numbers
    )
    if not whole or group not in ('sing', 'multi'):
        raise InputError(
            f'{where}: expected '
            f"{{imgid: integer, entityid: integer, query: 'sing' or 'multi', frame: "
            f'[a, b, n]}}, got {reprlib.repr(entry)[:100]}'
        )
    return imgid, entity, group, tuple(frame)


def attach_atrw(records, truth, path):
    """Give records their frame and group from ATRW's ground truth; ``000012.jpg`` is imgid 12.

    truth: what ``read_atrw`` returned; path: its file, for messages. Raises ``InputError`` where
    photos of the list are not in the ground truth or it names another entity. Photos that only the
    ground truth has are left out of the
    averages, which is logged: its published numbers are for all of them.
    """
    by_name = {f'{imgid:06d}': entry for imgid, entry in truth.items()}
    names = [os.path.splitext(os.path.basename(record.path))[0] for record in records]
    missing = [
        record.path for record, name in zip(records, names, strict=True) if name not in by_name
    ]
    if missing:
        raise InputError(
            f'{path}: {len(missing)} of {len(records)} photos of the list are not in the ground '
            'truth '
            f'({", ".join(missing[:3])}{" …" if len(missing) > 3 else ""}); take the list that '
            'belongs to '
            "it, or set DATASETS.PROTOCOL 'query_in_gallery' to do without"
        )
    attached = []
    for record, name in zip(records, names, strict=True):
        entity, group, frame = by_name[name]
        if entity != record.pid:
            raise InputError(
                f'{path}: {record.path} is entity {entity} there, but its label in the list is '
                f'{record.pid}; take the list that belongs to the ground truth'
            )
        attached.append(replace(record, frame=frame, group=group))
    unlisted = len(by_name.keys() - set(names))
    if unlisted:
        logger.warning(
            '%s: %d of its %d photos are not in the list; averages are over the list',
            path,
            unlisted,
            len(truth),
        )
    return attached
