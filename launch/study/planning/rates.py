"""Seconds that the cells of a study take: of cells that it has finished, of real steps timed on this machine, and of both by operations.

What was timed is kept in ``rates.json`` in the study's directory, under the machine and the sizes it was timed with, so that the next plan
times only what is new.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from evenhand.launch.run_directory import write_json
from evenhand.launch.study.planning.calibration import StepTime
from evenhand.launch.study.planning.workload import CellWork

SCHEMA, SCHEMA_VERSION = "evenhand-study-rates", 1

BUSY = 1.25
"""From here on a machine was too busy for times that are to be kept: the next plan takes them again."""

Timed = TypeVar("Timed")


class RatesFile:
    """What was timed before, by what it was timed with.

    Args:
        path: of ``rates.json``; made at the first :meth:`get`.
        machine: of :func:`evenhand.evaluation.hardware.hardware`: another machine's times are kept beside, and not used.
    """

    def __init__(self, path: Path, machine: Mapping[str, object]) -> None:
        self.path, self.machine = path, dict(machine)
        self._entries: dict[str, dict] = {}
        if path.is_file():
            try:
                held = json.loads(path.read_text(encoding="utf-8"))
                if (held["schema"], held["schema_version"]) == (SCHEMA, SCHEMA_VERSION):
                    self._entries = {key: entry for key, entry in held["entries"].items() if not _disturbed(entry)}
            except (ValueError, KeyError, TypeError):
                pass  # times can be taken again

    def known(self, what: str, sizes: object) -> bool:
        """Whether :meth:`get` would have to time nothing."""
        return self._key(what, sizes) in self._entries

    def get(self, kind: Callable[..., Timed], what: str, sizes: object, take: Callable[[], Timed]) -> Timed:
        """The time of ``what`` with ``sizes`` on this machine: kept, or taken now and kept.

        Args:
            kind: the dataclass of the time.
            what: is timed, in words, e.g. ``"step"``.
            sizes: plain values on which the time depends.
            take: times it.
        """
        key = self._key(what, sizes)
        if key not in self._entries:
            taken = take()
            self._entries[key] = {"what": what, "machine": self.machine, "time": asdict(taken)}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path, {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "entries": self._entries})
        return kind(**self._entries[key]["time"])

    def _key(self, what: str, sizes: object) -> str:
        return hashlib.sha256(json.dumps([what, self.machine, sizes], sort_keys=True, default=str).encode()).hexdigest()


def _disturbed(entry: dict) -> bool:
    return entry["time"].get("slowed", 1.0) >= BUSY


@dataclass(frozen=True)
class Shares:
    """Teacher's pass and one student, timed apart: a training of one arm, and of the same arm twice on one teacher's pass.

    Args:
        work: of the one arm.
        one, two: the two trainings.
    """

    work: CellWork
    one: StepTime
    two: StepTime

    @property
    def student_per_token(self) -> float:
        """Seconds of one student for each token."""
        return min(max(self.two.per_token - self.one.per_token, 0.0), self.one.per_token)

    @property
    def teacher_per_token(self) -> float:
        """Seconds of the teacher for each token."""
        return self.one.per_token - self.student_per_token

    def per_token(self, work: CellWork) -> float:
        """Seconds of a token of any cell of this teacher, in proportion to the operations of teacher and students."""
        own, shared = sum(arm.own for arm in self.work.arms.values()), self.work.shared
        students = self.student_per_token / own * sum(arm.own for arm in work.arms.values())
        if not shared:
            return students
        # a machine too busy to tell the two apart gives no share to one of them: then all operations count alike
        if min(self.student_per_token, self.teacher_per_token) <= 0.02 * self.one.per_token:
            return self.one.per_token / (own + shared) * (work.shared + sum(arm.own for arm in work.arms.values()))
        return students + self.teacher_per_token / shared * work.shared

    def saved(self, work: CellWork) -> float:
        """By what factor the arms would take longer if each had a teacher's pass of its own."""
        alone = sum(
            self.per_token(dataclasses.replace(work, shared=arm.teacher, arms={name: arm}))
            for name, arm in work.arms.items()
        )
        return alone / self.per_token(work)

    def step_time(self, work: CellWork) -> StepTime:
        """Of any cell of this teacher; the optimiser's part in proportion to the parameters."""
        return StepTime(self.per_token(work), self.one.per_step / self.work.parameters * work.parameters)


@dataclass(frozen=True)
class Finished:
    """A cell that this study has trained on this machine.

    Args:
        kind: see :class:`CellWork`.
        seconds: of its training, evaluations and checkpoints included.
        tokens: that each of its students saw.
    """

    kind: str
    seconds: float
    tokens: float


HOW = {
    "finished": "as cells of the same arms took here",
    "timed": "from real steps of these arms, timed here",
    "shares": "from the teacher's and a student's timed shares, by operations",
}
"""Where a cell's seconds come from."""


class CellSeconds:
    """Seconds of any cell of one teacher.

    Args:
        shares: see there.
        timed: kind of a cell -> its own timed step.
        finished: cells that this study has trained on this machine.
        aside: seconds of a cell that a timed step leaves out (evaluations during its training), from its work.
    """

    def __init__(
        self,
        shares: Shares,
        timed: Mapping[str, StepTime],
        finished: list[Finished],
        aside: Callable[[CellWork], float],
    ) -> None:
        self.shares, self.timed, self.aside = shares, timed, aside
        self._finished: dict[str, list[Finished]] = {}
        for cell in finished:
            self._finished.setdefault(cell.kind, []).append(cell)

    def of(self, work: CellWork) -> tuple[float, str]:
        """Seconds of a whole training, and where they come from, a key of :data:`HOW`."""
        if same := self._finished.get(work.kind):
            return work.tokens * sum(cell.seconds for cell in same) / sum(cell.tokens for cell in same), "finished"
        how = "timed" if work.kind in self.timed else "shares"
        step = self.timed[work.kind] if how == "timed" else self.shares.step_time(work)
        return step.seconds(work.tokens / work.gpus, work.steps) + self.aside(work), how
