"""Student's t distribution for whole degrees of freedom, in closed form.

Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, equations 26.7.3 and 26.7.4.
"""

import math


def share_within(t: float, freedom: int) -> float:
    """Return the probability that Student's T lies between -t and t.

    Args:
        t: The bound, 0 … infinity.
        freedom: The degrees of freedom, 1 or more.
    """
    angle = math.atan2(t, math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (power + 1) / (power + 2)
    share = math.sin(angle) * total
    return 2 / math.pi * (angle + share) if odd else share


def bound_of_share(share: float, freedom: int) -> float:
    """Return the t with ``share`` of Student's T between -t and t, by bisection.

    Args:
        share: The probability, 0 … 0.9999.
        freedom: The degrees of freedom, 1 or more.
    """
    low, high = 0.0, 1.0
    while share_within(high, freedom) < share:
        high *= 2
    for _ in range(60):  # halves the error each time, to the precision of floats
        middle = (low + high) / 2
        low, high = (middle, high) if share_within(middle, freedom) < share else (low, middle)
    return high
