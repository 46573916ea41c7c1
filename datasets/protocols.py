"""Test protocols: the lists, the kind of average precision, what is dropped and what is ignored.

``utils.metrics.rank_metrics`` applies it; ``utils.relevance`` explains the values.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from datasets.records import NOBODY, Record
from utils.errors import InputError
from utils.logger import logger
from utils.relevance import SAME, RankingRules


@dataclass(frozen=True)
class Protocol(RankingRules):
    """The lists of a test, and how its rankings are evaluated.

    Args:
        name: The value of DATASETS.PROTOCOL.
        query_list: The file name of the query list in DATASETS.LIST_DIR.
        gallery_list: The file name of the gallery list.
        ground_truth: The file name of the ground truth.
        text: The protocol in words, printed at the start of a test.
    """

    name: str
    query_list: str = ''
    gallery_list: str = ''
    ground_truth: str = ''
    text: str = ''


APART = (
    'no query photo is in the gallery: nothing is dropped; trapezoid average precision; a query '
    'without a match counts as 0'
)
INSIDE = (
    'query photos are in the gallery: the first of every ranking (the query itself) is dropped; '
    'trapezoid average precision; a query without a match counts as 0'
)

NEVER_ITSELF = (
    'a photo is never compared with itself; average precision; queries without a match are '
    'counted, but skipped in the averages'
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
            'entity within 3 frames of the same camera sequence is ignored; average '
            'precision; a query without a match counts as 0; single- and cross-camera '
            'queries are averaged separately',
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
            f'one, are removed; {NEVER_ITSELF}',
        ),
        Protocol(
            'cross-encounter',
            ap='precision',
            never_itself=True,
            ignore='encounter',
            no_positive='skip',
            text="gallery photos of the query's individual from the same encounter, which may be "
            f'seconds apart, are removed; {NEVER_ITSELF}',
        ),
        Protocol(
            'cross-side',
            ap='precision',
            never_itself=True,
            ignore='side',
            no_positive='skip',
            text="gallery photos of the query's individual from the same side, or of unknown "
            f'side, are removed; {NEVER_ITSELF}',
        ),
        Protocol(
            'market',
            ap='precision',
            ignore='camera',
            no_positive='skip',
            text="Market-1501: gallery photos of the query's individual and camera are removed; "
            'queries without a match are skipped',
        ),
        Protocol(
            'market_one_camera',
            ap='precision',
            no_positive='skip',
            text='Market-1501 without the camera filter (all photos count as one camera); '
            'queries without a match are skipped',
        ),
    )
}


UNFIT_WARNINGS = {  # drop_nearest -> warning
    True: "protocol '%s' drops the first of every ranking as the query itself, but %d of %d query "
    "photos are not in the gallery (DATASETS.PROTOCOL 'query_apart' drops nothing)",
    False: "protocol '%s' drops nothing, but %d of %d query photos are in the gallery and will "
    "find themselves (DATASETS.PROTOCOL 'query_in_gallery' drops them)",
}


def resolve_protocol(
    name: str, species: str, query: Sequence[Record], gallery: Sequence[Record]
) -> Protocol:
    """Return the protocol of a test; log a warning if it does not fit the lists.

    Args:
        name: The value of DATASETS.PROTOCOL. '' means the protocol of the species; if it has none,
            'query_in_gallery' if any query photo is in the gallery, else 'query_apart'.
        species: The value of DATASETS.SPECIES.
        query: The query records, one path per file (see ``datasets.photos``).
        gallery: The gallery records.

    Raises:
        InputError: The name is unknown, or the lists lack what the protocol compares (cameras,
            encounters, sides).
    """
    if not name:
        apart = {record.path for record in query}.isdisjoint(record.path for record in gallery)
        by_lists = 'query_apart' if apart else 'query_in_gallery'
        name = species if species in PROTOCOLS else by_lists
    if name not in PROTOCOLS:  # for example VehicleID's protocol
        raise InputError(
            f"DATASETS.PROTOCOL '{name}' does not suit animals; choose one of "
            f"{', '.join(PROTOCOLS)}, or '' for the one of DATASETS.SPECIES"
        )
    records = [*query, *gallery]
    cameras = {record.camid for record in records if record.pid != NOBODY}
    if name == 'market' and len(cameras) < 2:  # its camera filter would remove every match
        name = 'market_one_camera'
    protocol = PROTOCOLS[name]
    _check_known(protocol, records)
    unfit = unfit_queries(protocol, query, gallery)
    if unfit:
        logger.warning(UNFIT_WARNINGS[protocol.drop_nearest], protocol.name, len(unfit), len(query))
    return protocol


def unfit_queries(
    protocol: Protocol, query: Sequence[Record], gallery: Sequence[Record]
) -> list[int]:
    """Return the rows of the queries whose results the protocol would distort.

    If it drops the nearest photo, these are the queries that are not in the gallery: they lose
    another photo. If it drops nothing, they are the queries in the gallery: they find themselves.
    """
    if protocol.drop_nearest:
        photos = {record.photo for record in gallery}
        return [row for row, record in enumerate(query) if record.photo not in photos]
    if protocol.never_itself or protocol.ignore:
        return []
    paths = {record.path for record in gallery}
    return [row for row, record in enumerate(query) if record.path in paths]


def _check_known(protocol: Protocol, records: Sequence[Record]) -> None:
    """Raise if no record has what the protocol compares; warn if some do not."""
    field, unknown_is_same = SAME.get(protocol.ignore, ('', False))
    if field not in ('camera', 'encounter', 'side'):  # other fields are always known
        return
    values = [getattr(record, field) for record in records if record.pid != NOBODY]
    known = [value for value in values if value is not None]
    if not known or (field == 'camera' and len(set(known)) == 1):
        raise InputError(
            f"protocol '{protocol.name}' needs {field}s, but the lists do not tell two "
            f"{field}s apart; write 'path label side camera encounter' in the lists, with '-' for "
            'unknown, or choose another DATASETS.PROTOCOL'
        )
    if len(known) < len(values):
        removed = f'they are ignored, as if they had the same {field}'
        logger.warning(
            "protocol '%s': %d of %d listed photos have no %s: %s",
            protocol.name,
            len(values) - len(known),
            len(values),
            field,
            removed if unknown_is_same else 'they are compared with all photos',
        )
