"""Metres east and north of a place, in a zone of the Universal Transverse Mercator grid."""

from math import atan2, atanh, cos, cosh, floor, hypot, radians, sin, sinh, sqrt

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
