"""Many paired comparisons at once: a test for each, corrected for their number.

The test turns the signs of the items' differences at random (R. A. Fisher, *The Design of
Experiments*, 1935, section 21): if two methods were alike, each difference could as well have had
the other sign. The correction is S. Holm, *A Simple Sequentially Rejective Multiple Test
Procedure*, Scandinavian Journal of Statistics 6, 1979.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DRAWS = 20_000
_BLOCK = 8_000_000  # signs in memory at once


def sign_flip_test(differences: Sequence[float], *, draws: int = DRAWS, seed: int = 0) -> float:
    """The two-sided p-value of a mean difference of zero, from the items' own ``differences`` (n,):
    the share of sign patterns whose mean is as far from zero as that found. All patterns are tried
    if there are no more than ``draws``, else so many are drawn, and the one found is added
    (B. Phipson and G. Smyth, 2010), so that p is never 0.

    Raises ValueError for no differences, and for some that are not finite.
    """
    values = np.asarray(differences, dtype=float)
    if not values.size or not np.isfinite(values).all():
        raise ValueError("there are no differences, or some are not finite")
    found = abs(values.sum())
    least = found - 1e-9 * np.abs(values).sum()  # sums of equal size differ in rounding
    count = len(values)
    if count < 31 and 1 << count <= draws:
        patterns = (np.arange(1 << count)[:, None] >> np.arange(count)) & 1
        return float((abs((2 * patterns - 1) @ values) >= least).mean())
    rng, far, left = np.random.default_rng(seed), 0, draws
    while left:
        some = min(left, max(1, _BLOCK // count))
        signs = 2 * rng.integers(0, 2, (some, count), dtype=np.int8) - 1
        far += int((abs(signs @ values) >= least).sum())
        left -= some
    return (far + 1) / (draws + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: those below a level may all be called
    different at that level. Of m values the i-th smallest is multiplied by m - i + 1; none is below
    that of a smaller one, nor above 1.
    """
    out, reached = [0.0] * len(p_values), 0.0
    for n, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        reached = max(reached, min(1.0, (len(p_values) - n) * p_values[place]))
        out[place] = reached
    return out
