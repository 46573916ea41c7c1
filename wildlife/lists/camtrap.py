"""Reads media.csv and observations.csv of a Camtrap DP 1.0 as a table."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path

import pandas as pd

from utils.errors import InputError
from wildlife.lists.cells import known_text
from wildlife.lists.dates import parse_date
from wildlife.lists.tables import LeftOut, Table, make_frame, read_rows

FILES = ('media.csv', 'observations.csv')
# Any of these files marks its folder as a Camtrap DP.
SIGNS = (*FILES, 'datapackage.json', 'media.csv.gz', 'observations.csv.gz')
MEDIA = ('mediaID', 'deploymentID', 'timestamp', 'filePath')
MEDIA_MORE = ('fileMediatype',)
OBSERVATIONS = ('deploymentID', 'observationType', 'individualID')
BOX = ('bboxX', 'bboxY', 'bboxWidth', 'bboxHeight')
OBSERVATIONS_MORE = (
    *('mediaID', 'eventID', 'eventStart', 'eventEnd', 'count', 'scientificName'),
    *BOX,
)
COLUMNS = (
    *('filePath', 'individualID', 'deploymentID', 'timestamp', 'eventID', 'bbox'),
    'scientificName',
)
EVENT = ['deploymentID', 'start', 'end']
SEVERAL = 'event of several individuals, not clear which photo shows which'


def is_camtrap(folder: Path) -> bool:
    """Return whether a folder contains a file of a Camtrap DP."""
    return any((folder / name).is_file() for name in SIGNS)


def read_camtrap(folder: Path) -> Table:
    """Read a Camtrap DP: one row per animal on each photo.

    Observations of an event have no mediaID. They apply to the photos of their deployment between
    eventStart and eventEnd. Events with several animals are skipped, because it is not known which
    photo shows which animal.

    Raises:
        InputError: A file or column is missing, or rows contradict each other.
    """
    _check_files(folder)
    media = _read(folder / 'media.csv', MEDIA, MEDIA_MORE)
    observations = _read(folder / 'observations.csv', OBSERVATIONS, OBSERVATIONS_MORE)
    zones: dict[bool, str] = {}
    media = _read_media(media, zones)
    is_animal = observations['observationType'].isin(['', 'animal'])
    others = observations[~is_animal]
    left_out = _left_out(
        others, [f"observationType '{kind}'" for kind in others['observationType']]
    )
    has_photo = observations['mediaID'] != ''
    direct = observations[is_animal & has_photo]
    _check_media(direct, media)
    events = _read_events(observations[is_animal & ~has_photo], zones)
    _check_zones(folder, zones)
    clear = _clear_events(events, left_out)
    rows = pd.concat([direct, _photos_of_events(clear, media, direct, left_out)])
    rows = rows.drop(columns='deploymentID').merge(
        media.drop(columns='where'), on='mediaID', how='left'
    )
    is_usable = rows['unusable'] == ''
    unusable = rows[~is_usable]
    left_out += _left_out(unusable, unusable['unusable'], unusable['filePath'])
    frame = _with_boxes(rows[is_usable])
    return Table(
        folder / 'observations.csv', frame, [folder], left_out, shares=True, kind='Camtrap DP'
    )


def _check_zones(folder: Path, zones: Mapping[bool, str]) -> None:
    if len(zones) > 1:
        raise InputError(
            f'{folder}: some times have a time zone and others do not ({zones[True]}, '
            f'{zones[False]}); write all with their zone, such as 2023-05-01T12:00:00+02:00, or '
            'all without'
        )


def _check_files(folder: Path) -> None:
    missing = [name for name in FILES if not (folder / name).is_file()]
    if not missing:
        return
    packed = [f'{name}.gz' for name in missing if (folder / f'{name}.gz').is_file()]
    remedy = f'unpack {" and ".join(packed)}'
    if not packed:
        remedy = (
            f'it needs {" and ".join(FILES)}; if this is a folder of photos, move media.csv, '
            'observations.csv and datapackage.json elsewhere'
        )
    raise InputError(f'{folder}: this Camtrap DP lacks {" and ".join(missing)}; {remedy}')


def _read(path: Path, needed: Iterable[str], more: Iterable[str]) -> pd.DataFrame:
    """Read the needed columns, '' if unknown, and add ``where``: file and row."""
    frame = read_rows(path)
    missing = [name for name in needed if name not in frame]
    if missing:
        raise InputError(
            f'{path}: Camtrap DP 1.0 needs the columns {", ".join(missing)}, which are missing; '
            f'the columns are {", ".join(frame.columns)}'
        )
    frame = frame.reindex(columns=[*needed, *more], fill_value='').map(known_text)
    return frame.rename_axis('where').reset_index()


def _read_media(media: pd.DataFrame, zones: dict[bool, str]) -> pd.DataFrame:
    """Add the columns ``moment`` and ``unusable``: why a row is not a photo; '' if it is one."""
    double = media[media['mediaID'].duplicated()]
    if len(double):
        row = double.iloc[0]
        raise InputError(f"{row['where']}: mediaID '{row['mediaID']}' occurs twice")
    reasons = []
    for kind, path in zip(media['fileMediatype'], media['filePath']):
        reason = ''
        if kind and not kind.startswith('image/'):
            reason = f'not a photo but {kind}'
        elif re.match(r'\w+://', path):
            reason = 'the photo is at a URL: download it and write its path into filePath'
        reasons.append(reason)
    moments = _moments(media['timestamp'], media['where'], zones)
    return media.assign(moment=moments, unusable=reasons)


def _check_media(observations: pd.DataFrame, media: pd.DataFrame) -> None:
    strange = observations[~observations['mediaID'].isin(media['mediaID'])]
    if len(strange):
        row = strange.iloc[0]
        raise InputError(f"{row['where']}: media.csv has no mediaID '{row['mediaID']}'")


def _read_events(events: pd.DataFrame, zones: dict[bool, str]) -> pd.DataFrame:
    """Add the columns ``start`` and ``end``."""
    events = events.assign(
        start=_moments(events['eventStart'], events['where'], zones),
        end=_moments(events['eventEnd'], events['where'], zones),
    )
    is_open = events['start'].isna() | events['end'].isna()
    strange = events[is_open & (events['individualID'] != '')]
    if len(strange):
        raise InputError(
            f'{strange["where"].iloc[0]}: both mediaID and an event time are missing; fill in '
            'mediaID, or eventStart and eventEnd'
        )
    return events


def _clear_events(events: pd.DataFrame, left_out: list[LeftOut]) -> pd.DataFrame:
    """Return the events of a single known individual; others are skipped."""
    is_group = pd.to_numeric(events['count'], errors='coerce') > 1
    same_event = events.assign(is_group=is_group).groupby(EVENT, dropna=False)
    several = same_event['individualID'].transform('nunique') > 1
    several |= same_event['is_group'].transform('any').astype(bool)
    unknown = events['individualID'] == ''
    reasons = [SEVERAL if named else 'unidentified' for named in ~unknown[several | unknown]]
    left_out += _left_out(events[several | unknown], reasons)
    return events[~several & ~unknown]


def _photos_of_events(
    events: pd.DataFrame, media: pd.DataFrame, direct: pd.DataFrame, left_out: list[LeftOut]
) -> pd.DataFrame:
    """Return a row for each photo of the events, except for those in ``direct``."""
    by_deployment = {str(name): photos for name, photos in media.groupby('deploymentID')}
    seen = set(zip(direct['mediaID'], direct['individualID']))
    rows = []
    for number, (_, event) in enumerate(events.iterrows()):
        individual = event['individualID']
        photos = by_deployment.get(event['deploymentID'], media[:0])
        within = photos[photos['moment'].between(event['start'], event['end'])]
        if within.empty:
            left_out.append(LeftOut(event['where'], '', individual, 'event without photos'))
        for media_id in within['mediaID']:
            if (media_id, individual) not in seen:
                seen.add((media_id, individual))
                rows.append((number, media_id))
    numbers, ids = [number for number, _ in rows], [media_id for _, media_id in rows]
    return events.iloc[numbers].assign(mediaID=ids)[direct.columns]


def _left_out(
    rows: pd.DataFrame, reasons: Iterable[str], paths: Iterable[str] | None = None
) -> list[LeftOut]:
    if paths is None:
        paths = [''] * len(rows)
    return list(map(LeftOut, rows['where'], paths, rows['individualID'], reasons))


def _with_boxes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the table with its final columns, indexed by file and row."""
    filled = (rows[[*BOX]] != '').sum(axis=1)
    partial = rows[filled.between(1, len(BOX) - 1)]
    if len(partial):
        raise InputError(
            f'{partial["where"].iloc[0]}: some of bboxX, bboxY, bboxWidth, bboxHeight are empty; '
            'fill in all four or none'
        )
    boxes = [';'.join(filter(None, box)) for box in rows[[*BOX]].to_numpy()]
    table = rows.assign(bbox=boxes)[[*COLUMNS]]
    return make_frame(table.to_numpy().tolist(), [*COLUMNS], rows['where'].tolist())


def _moments(texts: pd.Series, where: pd.Series, zones: dict[bool, str]) -> pd.Series:
    moments = [_moment(*row, zones) for row in zip(texts, where)]
    return pd.Series(moments, index=texts.index, dtype='datetime64[us, UTC]')


def _moment(text: str, where: str, zones: dict[bool, str]) -> datetime | None:
    """Read a time as UTC, so that times of different zones can be compared; None if empty.

    Args:
        zones: Whether a time has a zone -> the first such time, for a message.
    """
    if not text:
        return None
    moment = parse_date(text)
    if moment is None:
        raise InputError(
            f"{where}: '{text[:60]}' is not a time; write it like 2023-05-01T12:00:00Z"
        )
    zones.setdefault(moment.tzinfo is not None, f"{where}: '{text}'")
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
