"""Student's t and Fisher's F distribution, for means of few measurements.

mpmath has the incomplete beta function that both are made of. scipy has it too, at 35 MB, which is
more than all else that a laptop needs for edgeprof.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

#: Of the intervals that are shown.
CONFIDENCE: Final = 0.95


def p_value(t: float, df: float) -> float:
    """Return the probability of a t at least that far from 0, on either side."""
    return _beta(df / 2, 0.5, df / (df + t * t))


def f_p_value(f: float, df_between: float, df_within: float) -> float:
    """Return the probability of an F at least that large."""
    return _beta(df_within / 2, df_between / 2, df_within / (df_within + df_between * f))


def half_width(df: float) -> float:
    """Return the t within which CONFIDENCE lies: what a standard error is multiplied by."""
    return _half_width(round(df, 2))


@lru_cache(maxsize=4096)
def _half_width(df: float) -> float:
    # p falls with x = df / (df + t²) between 0 and 1, so halving always gets there.
    low, high = 0.0, 1.0
    for _ in range(30):
        x = (low + high) / 2
        low, high = (x, high) if _beta(df / 2, 0.5, x) < 1 - CONFIDENCE else (low, x)
    return math.sqrt(df * (1 - x) / x)


def _beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function."""
    from mpmath import betainc  # noqa: PLC0415 - only comparisons need it

    return float(betainc(a, b, 0, x, regularized=True))
