"""Figures as tables show them: rounded down, so that no table promises more than its file."""

import math


def down(value: float, digits: int = 1) -> str:
    """A number with so many digits behind the point, rounded towards minus infinity; what floats lack is forgiven.

    >>> down(98.975), down(99.0), down(100 * 0.29), down(-0.05)
    ('98.9', '99.0', '29.0', '-0.1')
    """
    scale = 10**digits
    return f"{math.floor(value * scale + 1e-6) / scale:.{digits}f}"
