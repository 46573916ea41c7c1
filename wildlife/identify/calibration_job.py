"""Calibrates a catalogue, from its individuals to the saved calibrator."""

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
from wildlife.identify.trained import Usable


def calibrate_catalogue(
    catalogue: Catalogue, author: Author, usable: Usable, draws: int, sides: str
) -> list[str]:
    """Fit a calibrator, save it in the catalogue with its picture; return lines on its quality.

    Args:
        catalogue: The catalogue.
        author: Who calibrates it.
        usable: The individuals that the model was not trained on.
        draws: The bootstrap draws of individuals for the intervals.
        sides: 'separate' = compare only photos of the same side; 'together' = all.

    Raises:
        InputError: There are too few individuals or no encounters. Nothing is changed.
    """
    features, model = catalogue.features(), catalogue.model_in_use()
    material = material_of(features, usable.names)
    made = calibrate(features, model, material, draws, sides)
    save_calibration(catalogue, author, as_json(made))
    picture = catalogue.folder / PICTURE
    draw_picture(picture, made.facts)
    return [
        *material_lines(material, usable),
        *quality_lines(made),
        f'Saved in the catalogue; picture: {picture}',
    ]
