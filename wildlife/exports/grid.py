"""The places of detectors in metres on one grid, by default a zone of UTM."""

from collections.abc import Mapping
from math import atan2, atanh, cos, cosh, floor, hypot, radians, sin, sinh, sqrt

from utils.errors import InputError
from wildlife.exports.places import Place

WIDEST = 12.0  # degrees of longitude: farther from its middle a grid is no plane any more

RADIUS = 6378137.0  # metres: equator of WGS 84
FLATTENING = 1 / 298.257223563
SCALE = 0.9996  # at the central meridian
EAST, SOUTH = 500_000.0, 10_000_000.0  # metres, added to x, and to y in the south

_N = FLATTENING / (2 - FLATTENING)
_MERIDIAN = RADIUS / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64)
_ALPHA = (
    _N / 2 - 2 * _N**2 / 3 + 5 * _N**3 / 16,
    13 * _N**2 / 48 - 3 * _N**3 / 5,
    61 * _N**3 / 240,
)
_ECCENTRICITY = 2 * sqrt(_N) / (1 + _N)

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
    points = {name: project(*point, zone, south) for name, point in known.items()}
    letter = 'S' if south else 'N'
    return f'metres, UTM zone {zone}{letter} (EPSG:{epsg_code(zone, south)})', points


def zone_of(longitude: float) -> int:
    """Return the number of the zone, 1 to 60; the exceptions of Norway are ignored."""
    return floor((longitude + 180) / 6) % 60 + 1


def epsg_code(zone: int, south: bool) -> int:
    """Return the EPSG code of a zone, which programs for maps understand."""
    return (32700 if south else 32600) + zone


def project(latitude: float, longitude: float, zone: int, south: bool) -> tuple[float, float]:
    """Return (x, y) in metres; the error is below 1 mm up to 4 degrees from the zone's middle.

    Krueger's series to the third order of the flattening: Karney, "Transverse Mercator with an
    accuracy of a few nanometers", J. Geodesy 2011, equations 7 to 11 and 35.

    Args:
        latitude: Degrees north, WGS 84.
        longitude: Degrees east, WGS 84.
        zone: The number of the zone, see ``zone_of``.
        south: Whether the grid is that of the southern hemisphere.
    """
    phi, aside = sin(radians(latitude)), radians(longitude - (6 * zone - 183))
    t = sinh(atanh(phi) - _ECCENTRICITY * atanh(_ECCENTRICITY * phi))
    xi, eta = atan2(t, cos(aside)), atanh(sin(aside) / hypot(1, t))
    x, y = eta, xi
    for order, alpha in enumerate(_ALPHA, start=1):
        x += alpha * cos(2 * order * xi) * sinh(2 * order * eta)
        y += alpha * sin(2 * order * xi) * cosh(2 * order * eta)
    return EAST + SCALE * _MERIDIAN * x, SCALE * _MERIDIAN * y + (SOUTH if south else 0.0)
