"""``tools.rank_photos``: identification without a catalogue, from the lists of a config."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from yacs.config import CfgNode

from utils.errors import InputError
from utils.files import keep_earlier, make_output_dir, write_csv
from utils.metrics import distance_text
from wildlife.catalogue.encode import ModelEncoder
from wildlife.catalogue.kept_features import Vectors, kept_features
from wildlife.catalogue.new_photos import Boxed, NewPhoto
from wildlife.catalogue.queries import Key
from wildlife.catalogue.records import Photo
from wildlife.catalogue.store import Features
from wildlife.features.photos import find_photos, photos_of_lists
from wildlife.identify.asking import Question
from wildlife.identify.gallery import gallery_of
from wildlife.identify.job import Known, Options, answer_question
from wildlife.identify.results import Result
from wildlife.lists.tables import LeftOut

COLUMNS = ('photo', 'rank', 'individual', 'distance', 'known_photo', 'problem')
NO_MARGIN = 0.0  # there are no boxes
WORDS = (
    'These are only ranks, and new animals get candidates, too: rank_photos is tools.identify '
    'without a calibrated catalogue. For probabilities and "new": python -m tools.catalogue create '
    'CATALOGUE --config_file {}; python -m tools.calibrate CATALOGUE; python -m tools.identify '
    'CATALOGUE {} --out ANSWERS'
)

Row = dict[str, Any]  # of matches.csv


def rank_photos(cfg: CfgNode, source: str, out: str, top: int, command: Sequence[str]) -> Result:
    """Rank the individuals in the lists of a config for each photo of a source.

    The encounters of the photos are unknown, so they are compared with all photos of the lists,
    even with themselves. All files of ``identify`` are written, and matches.csv.

    Args:
        cfg: The config; TEST.WEIGHT names the model.
        source: A folder, or a photo.
        out: The folder for the results.
        top: The number of individuals per photo.
        command: The words that give this config: the yml, KEY, VALUE, …

    Raises:
        InputError: Photos, lists or weights cannot be read. No answer is written.
    """
    encoder = ModelEncoder(cfg)
    found = find_photos(source)
    asked = [NewPhoto(path) for path in found.paths]
    listed = _listed(cfg)
    folder = make_output_dir(out)
    words = WORDS.format(shlex.join(command), shlex.quote(source))
    left_out = [LeftOut(source, path, '', why) for path, why in found.problems.items()]
    all_photos: list[Boxed] = [*asked, *listed]
    photos = {_key(photo.path): photo for photo in all_photos}
    with kept_features(photos, encoder, NO_MARGIN, folder) as vectors:
        question = _question(asked, vectors, source, left_out)
        rows = np.arange(len(listed))
        gallery = gallery_of(Features(_matrix(listed, vectors), listed, rows, rows))
        known = Known(gallery, None, [words], NO_MARGIN)
        result = answer_question(question, known, Options(folder, top=top, units='photo'))
    table = folder / 'matches.csv'
    keep_earlier(table)
    write_csv(table, COLUMNS, match_rows(result))
    return result


def _listed(cfg: CfgNode) -> list[Photo]:
    """Return the photos of individuals in all lists, each file once, under its first name.

    Their number is 0: no catalogue has them.
    """
    table = photos_of_lists(cfg)
    found: dict[str, NewPhoto] = {}
    for record, name in zip(table.records, table.individuals, strict=True):
        if name:  # not a distractor
            photo = NewPhoto(record.path, individual=name)
            found.setdefault(os.path.realpath(record.path), photo)
    unknown: dict[str, Any] = {'id': 0, 'sha256': '', 'bytes': 0, 'individual_id': None}
    return [Photo(**asdict(photo), **unknown) for photo in found.values()]


def _question(
    photos: Sequence[NewPhoto], vectors: Vectors, source: str, left_out: list[LeftOut]
) -> Question:
    count = len(photos)
    return Question(
        photos=photos,
        hashes=[''] * count,
        numbers=[0] * count,
        names=[''] * count,
        features=_matrix(photos, vectors),
        source=source,
        left_out=left_out,
    )


def _matrix(photos: Sequence[Boxed], vectors: Vectors) -> np.ndarray:
    """Return the features (N, D) of photos."""
    return np.stack([vectors[_key(photo.path)] for photo in photos])


def _key(path: str) -> Key:
    """Return what tells a file from others, and from itself after a change."""
    try:
        return ascii(path), str(os.stat(path).st_mtime_ns)
    except OSError as error:
        raise InputError(f'{path}: the photo cannot be read ({error.strerror})') from None


def match_rows(result: Result) -> list[Row]:
    """Return the rows of matches.csv: the candidates of each photo, then unreadable photos."""
    rows: list[Row] = []
    for answer in result.answers:
        photo = result.question.photos[answer.photos[0]].path
        for rank, candidate in enumerate(answer.candidates, start=1):
            known = result.gallery.photos[candidate.matches[0].row].path
            distance = distance_text(1 - candidate.similarity)
            row = (photo, rank, candidate.name, distance, known, '')
            rows.append(dict(zip(COLUMNS, row, strict=True)))
    for problem in result.question.left_out:
        rows.append(dict.fromkeys(COLUMNS, '') | {'photo': problem.path, 'problem': problem.reason})
    return rows
