"""The places of detectors in metres on one grid, by default a zone of UTM."""

from collections.abc import Mapping
from math import floor

import utm

from utils.errors import InputError
from wildlife.exports.places import Place

WIDEST = 12.0  # degrees of longitude: a wider grid is too distorted

Points = dict[str, tuple[float, float]]  # name of a place -> its two coordinates


def points_of(places: Mapping[str, Place]) -> tuple[str, Points]:
    """Return the name of the grid, and name -> (x, y) in metres of each place.

    x and y of the table are taken if all places have them, else they are computed from latitude
    and longitude, in the UTM zone of the mean longitude.

    Raises:
        InputError: A place has no coordinates, or the places are too far apart for one grid.
    """
    on_grid = {name: place.on_grid for name, place in places.items()}
    points = {name: point for name, point in on_grid.items() if point}
    if len(points) == len(places):
        return 'metres, x and y of the table of places', points
    on_earth = {name: place.on_earth for name, place in places.items()}
    known = {name: point for name, point in on_earth.items() if point}
    missing = next((name for name in places if name not in known), None)
    if missing is not None:
        raise InputError(
            f"--places: '{missing}' has no coordinates; give latitude and longitude of all places, "
            'or x and y in metres of all'
        )
    return _utm(known)


def _utm(known: Points) -> tuple[str, Points]:
    """Project (latitude, longitude) of all places."""
    latitudes, longitudes = zip(*known.values())
    apart = max(longitudes) - min(longitudes)
    if apart > WIDEST:
        raise InputError(
            f'the places are {apart:.0f} degrees of longitude apart, too far for one grid '
            f'({WIDEST:g} degrees); give x and y in metres in --places, or correct the longitudes'
        )
    zone, south = zone_of(sum(longitudes) / len(longitudes)), sum(latitudes) < 0
    points = {name: _project(point, zone, south) for name, point in known.items()}
    letter = 'S' if south else 'N'
    return f'metres, UTM zone {zone}{letter} (EPSG:{epsg_code(zone, south)})', points


def zone_of(longitude: float) -> int:
    """Return the number of the zone, 1 to 60; the exceptions of Norway are ignored."""
    return floor((longitude + 180) / 6) % 60 + 1


def epsg_code(zone: int, south: bool) -> int:
    """Return the EPSG code of a zone, which mapping programs understand."""
    return (32700 if south else 32600) + zone


def _project(point: tuple[float, float], zone: int, south: bool) -> tuple[float, float]:
    """Return (x, y) in metres of a (latitude, longitude) of WGS 84.

    Raises:
        InputError: The place is too near a pole for UTM.
    """
    try:
        x, y, *_ = utm.from_latlon(*point, force_zone_number=zone, force_northern=not south)
    except utm.OutOfRangeError as error:
        raise InputError(
            f'--places: {point[0]:g}, {point[1]:g}: {error}; give x and y in metres of all places'
        ) from None
    return x, y
