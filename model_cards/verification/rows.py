"""The result of checking a published student: one row for each claim."""

from __future__ import annotations

from dataclasses import dataclass

from evenhand.model_cards.escaping import one_line

RECOMPUTED = "recomputed"
HASH_ONLY = "hash-checked only"
UNCHECKED = "not checkable here"


@dataclass(frozen=True)
class Row:
    """One claim and what became of it.

    Args:
        claim: what is claimed, such as "SEAT mean, builtin: sent-weat6".
        status: `RECOMPUTED`, `HASH_ONLY` or `UNCHECKED`.
        claimed, actual: both values as text; None where there is nothing to show.
        passed: whether they agree; None exactly where nothing was checked.
        note: why it failed or was not checked.

    Raises:
        ValueError: an unchecked row that says it passed or failed, or a checked one that says neither.
    """

    claim: str
    status: str
    claimed: str | None = None
    actual: str | None = None
    passed: bool | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        if (self.status == UNCHECKED) != (self.passed is None):
            raise ValueError(f"row {self.claim!r} is {self.status!r} with passed={self.passed}")

    @property
    def verdict(self) -> str:
        """`ok`, `FAILED`, or `-` for what was not checked."""
        return {True: "ok", False: "FAILED", None: "-"}[self.passed]


@dataclass(frozen=True)
class Verification:
    """All rows of one folder."""

    folder: str
    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """No checked claim failed, and at least one SEAT number was recomputed; unchecked rows count for nothing."""
        recomputed = any(row.passed and row.status == RECOMPUTED and row.claim.startswith("SEAT") for row in self.rows)
        return recomputed and not self.failed

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows that were checked and do not agree."""
        return tuple(row for row in self.rows if row.passed is False)

    def table(self) -> str:
        """Claimed beside recomputed, one line a claim, and a summary that counts what was not checked."""
        cells = [("claim", "status", "claimed", "found", "")]
        cells += [(row.claim, row.status, _short(row.claimed), _short(row.actual), row.verdict) for row in self.rows]
        cells = [tuple(map(one_line, line)) for line in cells]
        widths = [max(len(line[column]) for line in cells) for column in range(4)]
        lines = ["  ".join([*(c.ljust(w) for c, w in zip(line[:4], widths, strict=True)), line[4]]) for line in cells]
        notes = [row.note for row in self.rows]
        lines[1:] = [
            f"{line}  ({one_line(note)})" if note else line for line, note in zip(lines[1:], notes, strict=True)
        ]
        unchecked = sum(row.passed is None for row in self.rows)
        passed = sum(row.passed is True for row in self.rows)
        verdict = "verified" if self.ok else "NOT VERIFIED"
        counts = f"{passed} claims agree, {len(self.failed)} fail, {unchecked} not checkable here"
        return "\n".join([*(line.rstrip() for line in lines), f"{verdict}: {counts}"])


def _short(text: str | None) -> str:
    """A hash by its first twelve digits; everything else as it is."""
    if text is None:
        return ""
    return f"{text[:12]}…" if len(text) == 64 and " " not in text else text
