"""The fields of a report, and where two of them differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Field = tuple[str | int, ...]
"""The keys and list positions that lead to a value of the report: `("measures", "seat", 0, "model", "seed")`."""

Tolerance = Callable[[Field], float | None]
"""By how much a number at a field may differ; None for a field that is not compared."""


def exactly(field: Field) -> float:
    """No difference is tolerated."""
    return 0.0


def leaves(value: Any, field: Field = ()) -> Iterator[Field]:
    """The fields below `field` that hold no others; an empty object or list is one."""
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    found = False
    for key, item in inner:
        found = True
        yield from leaves(item, (*field, key))
    if not found:
        yield field


def field_text(field: Field) -> str:
    """`measures.seat[0].model.seed`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in field)
    return text.removeprefix(".")


def uncovered(report: Mapping[str, Any], scopes: Iterable[Field]) -> list[Field]:
    """The leaves of a report that lie under none of `scopes`."""
    known = set(scopes)
    return [leaf for leaf in leaves(report) if not any(leaf[:length] in known for length in range(1, len(leaf) + 1))]


def differing(claimed: Any, actual: Any, tolerance: Tolerance = exactly, field: Field = ()) -> list[Field]:
    """The fields where two JSON values differ by more than is tolerated, in the order of the claim.

    Numbers differ by their distance where one of the two is no integer; all else must be equal, integers too. A field
    that only one of the two has differs.

    Args:
        claimed, actual: JSON data.
        tolerance: of a field, whose keys start below `field`.
        field: what the fields of the result start with; it is not shown to `tolerance`.
    """
    return [(*field, *found) for found in _differing(claimed, actual, tolerance, ())]


def _differing(claimed: Any, actual: Any, tolerance: Tolerance, field: Field) -> Iterator[Field]:
    if tolerance(field) is None:
        return
    if isinstance(claimed, Mapping) and isinstance(actual, Mapping):
        for key in [*claimed, *(key for key in actual if key not in claimed)]:
            if key in claimed and key in actual:
                yield from _differing(claimed[key], actual[key], tolerance, (*field, key))
            elif tolerance((*field, key)) is not None:
                yield (*field, key)
    elif isinstance(claimed, list) and isinstance(actual, list) and len(claimed) == len(actual):
        for index, pair in enumerate(zip(claimed, actual, strict=True)):
            yield from _differing(*pair, tolerance, (*field, index))
    elif not _alike(claimed, actual, tolerance(field)):
        yield field


def _alike(claimed: Any, actual: Any, tolerance: float) -> bool:
    numbers = [type(value) in (int, float) for value in (claimed, actual)]
    if all(numbers) and float in (type(claimed), type(actual)):
        return abs(claimed - actual) <= tolerance
    return type(claimed) is type(actual) and claimed == actual
