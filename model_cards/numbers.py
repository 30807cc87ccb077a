"""How a card writes numbers; one place, so that a card, its check and a comparison print the same digits."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

ABSENT = Markup("–")


def checked(value: Any) -> float | int | None:
    """`value` if it is a finite number or None. Raises ValueError otherwise (text would pass for a number)."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"the report holds {value!r} where a number belongs; evaluate again")
    return value


def signed(value: Any, digits: int = 3) -> Markup:
    """An effect size with its sign: `+0.124`, or a dash."""
    number = checked(value)
    return ABSENT if number is None else Markup(f"{number:+.{digits}f}")


def fixed(value: Any, digits: int = 3) -> Markup:
    """A number with `digits` decimals, or a dash."""
    number = checked(value)
    return ABSENT if number is None else Markup(f"{number:.{digits}f}")


def short(value: Any) -> Markup:
    """A setting in its shortest form: `5`, `0.7`, `2e-05`, or a dash."""
    number = checked(value)
    return ABSENT if number is None else Markup(f"{number:.6g}")


def count(value: Any) -> Markup:
    """An integer with thousands separators, or a dash."""
    number = checked(value)
    return ABSENT if number is None else Markup(f"{round(number):,}")


def probability(value: Any) -> Markup:
    """A p-value with four decimals; smaller ones print as `&lt;0.0001`."""
    number = checked(value)
    if number is None:
        return ABSENT
    return Markup("&lt;0.0001") if number < 0.0001 else Markup(f"{number:.4f}")


def interval(value: Any) -> Markup:
    """`[lo, hi]` as `[-0.10, +1.20]`, or a dash when an end is missing."""
    if not value or len(value) != 2 or any(end is None for end in value):
        return ABSENT
    return Markup(f"[{signed(value[0], 2)}, {signed(value[1], 2)}]")
