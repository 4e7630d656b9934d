"""How much longer twice as much takes. Pure."""

import itertools
import math
from collections.abc import Sequence

# (how much there was, what it took); both above 0, by rising amount
Points = Sequence[tuple[float, float]]


def growth_between(points: Points) -> list[float]:
    """For each pair of neighbours, by what doubling the amount multiplied what it took: 2 is a straight line."""
    return [
        2 ** (math.log(after / before) / math.log(more / less))
        for (less, before), (more, after) in itertools.pairwise(points)
    ]


def growth_overall(points: Points) -> float:
    """The same over all points: the slope of the straight line that fits best where both axes are logarithmic."""
    xs = [math.log(amount) for amount, _ in points]
    ys = [math.log(taken) for _, taken in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    shared = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return float(2 ** (shared / sum((x - x_mean) ** 2 for x in xs)))
