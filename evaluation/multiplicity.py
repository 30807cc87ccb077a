"""Correction of p-values for having run several tests."""

from collections.abc import Mapping


def holm(p_values: Mapping[str, float | None], absent: int = 0) -> dict[str, float | None]:
    """Adjusted p-values of a family by Holm's step-down method (Holm 1979): the i-th smallest of m times (m − i + 1),
    never below a smaller one's, at most 1. They control the family-wise error whatever the tests' dependence.

    Args:
        p_values: by test; ``None`` for a test without a p-value, which stays ``None`` and does not count in m.
        absent: tests of the family that have not been made yet. They count in m, as if they had found nothing, so that none of the p-values
            can grow when they are made.
    """
    ranked = sorted((name for name, p in p_values.items() if p is not None), key=lambda name: p_values[name])
    adjusted: dict[str, float | None] = dict.fromkeys(p_values)
    floor = 0.0
    for rank, name in enumerate(ranked):
        floor = max(floor, min(1.0, (len(ranked) + absent - rank) * p_values[name]))
        adjusted[name] = floor
    return adjusted


def holm_by_family(
    p_values: Mapping[str, float | None], families: Mapping[str, str], uncorrected: str
) -> dict[str, float | None]:
    """`holm` within each family; the tests of the family ``uncorrected`` have ``None``.

    Args:
        p_values: by test.
        families: the family of each test.
        uncorrected: the name of the family that nothing is claimed of.
    """
    adjusted: dict[str, float | None] = dict.fromkeys(p_values)
    for family in sorted(set(families.values()) - {uncorrected}):
        adjusted |= holm({name: p for name, p in p_values.items() if families[name] == family})
    return adjusted
