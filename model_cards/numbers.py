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


def interval(value: Any, digits: int = 2, sign: bool = True) -> Markup:
    """`[lo, hi]` as `[-0.10, +1.20]`, or a dash when an end is missing."""
    ends = _ends(value)
    return ABSENT if ends is None else Markup(f"[{', '.join(_digits(end, digits, sign) for end in ends)}]")


def estimate(value: Any, ends: Any, digits: int = 3, sign: bool = False) -> Markup:
    """A number and its interval in one: `0.933 [0.24, 1.38]`, its ends with a decimal less; a dash without a number.

    A number that has no interval says so, `0.933 [none]`, and the text around it says why.
    """
    number = checked(value)
    if number is None:
        return ABSENT
    shown = Markup("[none]") if _ends(ends) is None else interval(ends, max(digits - 1, 0), sign)
    return Markup(f"{_digits(number, digits, sign)} {shown}")


def scored(value: Any, ends: Any, digits: int | None = None, sign: bool = False) -> Markup:
    """As `estimate`, for a score of any unit: number and interval with the same decimals, by default those of `resolution`."""
    number, pair = checked(value), _ends(ends)
    if number is None:
        return ABSENT
    digits = resolution(pair) if digits is None else digits
    return Markup(f"{_digits(number, digits, sign)} {'[none]' if pair is None else interval(pair, digits, sign)}")


def resolution(*intervals: Any) -> int:
    """Decimals, from 1 to 5, that show the width of the widest interval with three digits; 3 where none has a width."""
    pairs = [pair for pair in map(_ends, intervals) if pair is not None and pair[0] != pair[1]]
    if not pairs:
        return 3
    return min(max(2 - math.floor(math.log10(max(abs(high - low) for low, high in pairs))), 1), 5)


def _ends(value: Any) -> tuple[float, float] | None:
    """Both ends of an interval, or None where there is none. Raises ValueError for what is no interval of numbers."""
    if value is None or value == []:
        return None
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ValueError(f"the report holds {value!r} where an interval belongs; evaluate again")
    low, high = checked(value[0]), checked(value[1])
    return None if low is None or high is None else (low, high)


def _digits(number: float, digits: int, sign: bool) -> str:
    return f"{number:+,.{digits}f}" if sign else f"{number:,.{digits}f}"
