"""What the columns of a wildlife table mean, and what their cells say. For tools/make_lists.py."""

import math
import re
from datetime import datetime

from utils.errors import InputError

# Names without case, blanks and punctuation; the first that a table has is taken. '|' parts ranks
# of identities: within a
# rank they mean the same thing, so where a table has two of them and they differ somebody has to
# choose.
MEANINGS = {
    meaning: [rank.split() for rank in names.split('|')]
    for meaning, names in {
        'identity': 'identity individual individualid individualname '
        'markedindividualindividualid encounterindividualid animalid '
        'animal animalname identityid individualcode subjectid | name entity entityid pid label '
        '| id | category',
        'path': (
            'path filepath imagepath photopath mediaasset filename imagefile imagename file '
            'image photo img fname picture'
        ),
        'camera': 'camera cam cameraid camid cameraname deploymentid deployment station '
        'stationid trap trapid location locationid '
        'encounterlocationid site encounterverbatimlocality',
        'side': 'side flank orientation viewpoint view position',
        'date': (
            'datetime timestamp date datecaptured datetimeoriginal captured dateobserved '
            'eventdate photodate'
        ),
        'time': 'time timeofday',
        'encounter': 'encounter encounterid sighting sightingid occurrenceid '
        'occurrenceoccurrenceid sequence sequenceid seqid '
        'eventid event burst video',
        'bbox': 'bbox box boundingbox',
        'theta': 'theta',
        'split': 'split subset originalsplit set',
        'species': 'species scientificname category',
    }.items()
}
BOXES = [
    names.split()
    for names in (
        'bboxx bboxy bboxwidth bboxheight',
        'bboxx bboxy bboxw bboxh',
        'x y w h',
        'x y width height',
        'left top width height',
        'xmin ymin xmax ymax',
        'x1 y1 x2 y2',
    )
]
CORNERS = {'xmax', 'x2'}
ANGLES = {'rotation', 'angle'}  # of something, in some unit: not read as theta
DATE_PARTS = [
    names.split()
    for names in (
        'year encounteryear',
        'month encountermonth',
        'day encounterday',
        'hour encounterhour',
        'minute minutes encounterminutes',
    )
]

UNKNOWN = {
    '',
    'na',
    'n/a',
    '<na>',
    'nan',
    'nat',
    'none',
    'null',
    'unknown',
    'unidentified',
    '-',
    '?',
    '-1',
}  # R's NA too
NUMBERED_SIDES = {'0': 'left', '0.0': 'left', '1': 'right', '1.0': 'right'}  # as in the lists
SPLITS = {
    name: split
    for split, names in {
        'train': 'train training',
        'val': 'val valid validation',
        'test': 'test testing',
        'query': 'query probe',
        'gallery': 'gallery database',
    }.items()
    for name in names.split()
}
SMALL_ANGLE = 1e-4  # radians: moves the corner of a box of 10,000 pixels by half a pixel
COMMA, THOUSANDS = re.compile(r'[-+]?\d+(,\d+)?'), re.compile(r'[-+]?[1-9]\d{0,2},\d{3}')
PLAIN_DATE = re.compile(r'(\d{4})[-:/.](\d{1,2})[-:/.](\d{1,2})')
LOCAL_DATE = re.compile(r'(\d{1,2})([-/.])(\d{1,2})\2(\d{4})')
CLOCK = re.compile(
    r'[T ]?\s*(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,6})\d*)?)?'
    r'\s*([AaPp][Mm])?\s*(Z|[+-]\d\d:?\d\d)?|\s*'
)


def simple(name):
    """A column's name without case, blanks and punctuation: 'Encounter.sightingID' ->
    'encountersightingid'.
    """
    return re.sub(r'[\W_]', '', name.lower())


def choose_columns(table, given, needed=('identity', 'path')):
    """Which column is which.

    given: meaning -> column of the user's, '' = none for this meaning. needed: meanings that there
    must be.

    Returns (columns, notes): meaning -> name of a column, of bbox and date a list of names where
    they are spread over several. Raises ``InputError`` where two columns could be the identity,
    where a needed one is not found, and for a column that is not there.
    """
    names, columns, notes = {}, dict(given), []
    for column in table.columns:
        names.setdefault(simple(column), []).append(column)
    for meaning, column in given.items():
        if column and column not in table.columns:
            raise InputError(
                f'--column {meaning}={column}: {table.file} has no such column; it has '
                f'{", ".join(table.columns)}'
            )
    for meaning, ranks in MEANINGS.items():
        free = [
            [
                column
                for name in rank
                for column in names.get(name, ())
                if column not in columns.values()
            ]
            for rank in ranks
        ]
        found = [column for rank in free for column in rank]
        if meaning in given or not found:
            continue
        if meaning == 'identity':
            _see_same(table, next(rank for rank in free if rank))
        columns[meaning] = found[0]
        if found[1:]:
            notes.append(
                f"{meaning}: column '{found[0]}' was taken, not "
                f'{" or ".join(map(repr, found[1:]))}; --column '
                f'{meaning}=… takes another'
            )
    spread = next((box for box in BOXES if all(name in names for name in box)), None)
    if spread and 'bbox' not in columns:
        columns['bbox'] = [names[name][0] for name in spread]
    *day, hour, minute = [
        [names[name][0] for name in part if name in names][:1] for part in DATE_PARTS
    ]
    if all(day) and 'date' not in columns:
        columns['date'] = [column for part in (*day, hour, hour and minute) for column in part]
    columns = {meaning: column for meaning, column in columns.items() if column}
    for meaning in needed:
        if meaning not in columns:
            what = {'identity': 'who the animal is', 'path': 'where the photo is'}[meaning]
            raise InputError(
                f'{table.file}: no column says {what}; name it with --column {meaning}=… (columns: '
                f'{", ".join(table.columns)})'
            )
    return columns, notes


def _see_same(table, candidates):
    for other in candidates[1:]:
        for where, row in table.rows:
            if known(row[candidates[0]]) != known(row[other]):
                raise InputError(
                    f"{where}: the columns '{candidates[0]}' and '{other}' could both be the "
                    'identity and differ '
                    f"('{row[candidates[0]]}', '{row[other]}'); choose with --column "
                    f'identity={candidates[0]} or '
                    f'--column identity={other}'
                )


# ---------------------------------------------------------------- cells


def known(text):
    """What a cell says, '' where that is a word for nothing: NA, nan, unknown, -, ____ …"""
    return '' if text.lower() in UNKNOWN or not text.strip('_') else text


def read_sides(texts):
    """``read_side`` of a column; where it knows nothing but 0 and 1 these are left and right."""
    texts = [known(text) for text in texts]
    numbered = all(text in NUMBERED_SIDES for text in texts if text)
    return [read_side(NUMBERED_SIDES.get(text, text) if numbered else text) for text in texts]


def read_side(text):
    """0 = left, 1 = right, None = neither or both: front, back, unknown. A view of the left front
    counts as left.
    """
    words = text.lower()
    if words in ('l', 'r'):
        return int(words == 'r')
    left, right = 'left' in words, 'right' in words
    return None if left == right else int(right)


def read_box(text, corners, where, decimal_commas=None):
    """(x, y, width, height) as written, in pixels or shares; None where there is none.

    corners: written as x1, y1, x2, y2. decimal_commas: whether those of its column are, None = this
    box tells; between numbers with commas there are semicolons or blanks. Raises ``InputError``.
    """
    text = text.strip('[](){} ')
    words = [word for word in re.split(r'[\s,;]+', text) if word]
    if not any(map(known, words)):
        return None
    if parts := _with_commas(text):
        if not (has_decimal_commas([text]) if decimal_commas is None else decimal_commas):
            comma = next(part for part in parts if ',' in part)
            raise InputError(
                f"{where}: is {comma} in the box '{text[:60]}' {comma.replace(',', '')} or "
                f'{comma.replace(",", ".")}? write it in one of these ways'
            )
        words = [part.replace(',', '.') for part in parts]
    elif len(words) > 4 and re.fullmatch(r'\d+(,\d+)*', text):
        raise InputError(
            f"{where}: the box '{text[:60]}' has {len(words)} numbers, or decimal commas and "
            'commas between its '
            'numbers; write a semicolon between them, or decimals with points'
        )
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise InputError(
            f"{where}: the box '{text[:60]}' is not four numbers x, y, width, height; correct it "
            '(--column bbox= '
            'ignores all boxes)'
        )
    x, y, width, height = numbers
    if corners:
        width, height = width - x, height - y
    return x, y, width, height


def has_decimal_commas(texts) -> bool:
    """Whether a column of boxes has numbers as 10,5 or 0,125; 1,250 alone may be a thousand and
    more.
    """
    return any(
        ',' in part and not THOUSANDS.fullmatch(part)
        for text in texts
        for part in _with_commas(text.strip('[](){} '))
    )


def _with_commas(text):
    """The four numbers of a box some of which have commas, parted by semicolons or blanks; [] of
    any other box.
    """
    parts = [part.strip(' ,') for part in (text.split(';') if ';' in text else text.split())]
    return (
        parts
        if len(parts) == 4 and ',' in ''.join(parts) and all(map(COMMA.fullmatch, parts))
        else []
    )


def read_theta(text, where):
    """Radians by which a box is turned about its centre, within half a turn; 0 where unknown.
    Raises ``InputError``.
    """
    try:
        theta = float(text.replace(',', '.'))
    except ValueError:
        theta = math.nan
    if math.isnan(theta) and not known(text):
        return 0.0
    if not abs(theta) <= 2 * math.pi + SMALL_ANGLE:
        raise InputError(
            f"{where}: theta '{text[:60]}' is no angle in radians (-6.28 to 6.28), by which "
            'boxes are turned '
            'about their centre; correct the column, or --column theta= ignores it'
        )
    theta = math.remainder(theta, 2 * math.pi)
    return theta if abs(theta) > SMALL_ANGLE else 0.0


def parse_date(text, order=None):
    """A datetime, or None where the text is none: ISO 8601, EXIF's 2023:05:01 12:00:00, 2023/5/1;
    with ``order`` 'day' or 'month' (which of the two comes first) 1/5/2023 too. A zone, where
    written, is kept.
    """
    text = text.strip()
    local = LOCAL_DATE.match(text)
    if local:
        if order is None:
            return None
        first, _, second, year = local.groups()
        day, month = (first, second) if order == 'day' else (second, first)
        rest = text[local.end() :]
    elif plain := PLAIN_DATE.match(text):
        year, month, day = plain.groups()
        rest = text[plain.end() :]
    else:
        return None
    clock = CLOCK.fullmatch(rest)
    if not clock:
        return None
    hour, minute, second, fraction, half, zone = clock.groups()
    hour = int(hour or 0)
    if half:
        hour = hour % 12 + 12 * (half.lower() == 'pm')
    try:
        moment = datetime(
            int(year),
            int(month),
            int(day),
            hour,
            int(minute or 0),
            int(second or 0),
            int((fraction or '0').ljust(6, '0')),
        )
        if zone:
            zone = '+00:00' if zone == 'Z' else zone if ':' in zone else f'{zone[:3]}:{zone[3:]}'
            moment = datetime.fromisoformat(f'{moment.isoformat()}{zone}')
    except ValueError:
        return None
    return moment


def read_dates(texts, form=''):
    """Dates of a column, local and without zone. form: as in strptime, '' = recognise them.

    Returns (list of datetime or None, texts that are no date). Raises ``InputError`` where days and
    months cannot be told apart.
    """
    order = None if form else _order(texts)
    dates, strange = [], []
    for text in texts:
        date = None
        if known(text):
            date = _by_form(text, form) if form else parse_date(text, order)
            if date is None:
                strange.append(text)
        dates.append(date.replace(tzinfo=None) if date else None)
    return dates, strange


def _by_form(text, form):
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None


def _order(texts):
    """Whether 1/5/2023 is the first of May: other dates of the column tell."""
    local = [match for match in map(LOCAL_DATE.match, texts) if match]
    first, second = (any(int(match[group]) > 12 for match in local) for group in (1, 3))
    if not local:
        return None
    dotted = all(match[2] == '.' for match in local)  # only written day first
    if first == second and not dotted:
        raise InputError(
            f"the date '{local[0][0]}' may be day/month or month/day; say --date-format "
            "'%d/%m/%Y' or '%m/%d/%Y', "
            "with '%H:%M' where there is a time"
        )
    return 'month' if second and not dotted else 'day'
