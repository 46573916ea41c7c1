"""Saves calibrators in a catalogue, each for one model."""

import json
from collections.abc import Mapping
from typing import Any

from utils.errors import InputError
from wildlife.catalogue.journal import Author
from wildlife.catalogue.queries import read_model
from wildlife.catalogue.schema import calibrations
from wildlife.catalogue.store import Catalogue


def save_calibration(catalogue: Catalogue, author: Author, content: Mapping[str, Any]) -> int:
    """Save a calibrator for the model in use; earlier ones stay. Return the journal's entry.

    Args:
        catalogue: The catalogue.
        author: Who fitted it.
        content: Anything that JSON can hold.

    Raises:
        InputError: The catalogue has no model.
    """
    text = json.dumps(dict(content), allow_nan=False)
    with catalogue.writing(author, 'save a calibration') as change:
        model = read_model(change.connection)
        if model is None:
            raise InputError('a calibration needs a model, but the catalogue has none yet')
        row = {'model_id': model.id, 'content': text, 'by': author.by, 'at': change.at}
        change.insert(calibrations, [row])
        return change.entry
