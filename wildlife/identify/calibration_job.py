"""Calibrates a catalogue, from its individuals to what it keeps."""

from configs import ConfigError
from utils.errors import InputError
from wildlife.catalogue.calibrations import save_calibration
from wildlife.catalogue.journal import Author
from wildlife.catalogue.store import Catalogue
from wildlife.identify.calibrating import calibrate, material_of
from wildlife.identify.calibration_file import as_json
from wildlife.identify.calibration_report import (
    PICTURE,
    draw_picture,
    material_lines,
    quality_lines,
)
from wildlife.identify.trained import usable_individuals


def calibrate_catalogue(
    catalogue: Catalogue, author: Author, trained_on: str, chosen: str, draws: int
) -> list[str]:
    """Fit a calibrator, keep it in the catalogue with its picture, and say how good it is.

    Args:
        catalogue: The catalogue.
        author: Who calibrates it.
        trained_on: See ``trained.usable_individuals``.
        chosen: See ``trained.usable_individuals``.
        draws: The draws of the intervals over individuals.

    Raises:
        InputError: There are too few individuals or no encounters, or nobody knows which
            individuals the model was trained on. Nothing is changed.
    """
    try:
        usable = usable_individuals(catalogue, trained_on, chosen)
    except ConfigError as error:
        raise InputError(str(error)) from None
    features, model = catalogue.features(), catalogue.model()
    assert model is not None  # its features were just read
    material = material_of(features, usable.names)
    made = calibrate(features, model, material, draws)
    save_calibration(catalogue, author, as_json(made))
    picture = catalogue.folder / PICTURE
    draw_picture(picture, made.facts)
    return [
        *material_lines(material, usable),
        *quality_lines(made),
        f'Saved in the catalogue; picture: {picture}',
    ]
