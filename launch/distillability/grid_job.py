"""A study of distillability at work: the cells that miss a model are run where the launcher runs things."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from evenhand.launch.distillability.grid import ERM, Grid
from evenhand.launch.distillability.grid_directory import GridDirectory
from evenhand.launch.distillability.model_checks import check_task
from evenhand.launch.distillability.models import GridModel, all_models
from evenhand.launch.launchers import Launcher
from evenhand.launch.study_runs import Run

Cell = tuple[str, str, int]
"""Task, method and seed."""


@dataclass(frozen=True)
class GridJob:
    """A study in its directory.

    Args:
        grid: at one scale, all or some of its tasks.
        directory: where it is made.
        file: the study file, or a packaged one's name, as given.
        overrides: ``section.key=value``, as given.
        environment: variables of every process that is started.
    """

    grid: Grid
    directory: GridDirectory
    file: str
    overrides: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def models(self) -> list[GridModel]:
        """Every model of the grid."""
        return list(all_models(self.grid))

    def check(self) -> None:
        """Whether every model that is missing can be made: its data are there, its sizes can be, its method has what it needs.

        Raises:
            ValueError, FileNotFoundError: it cannot; the task is named.
        """
        missing = self.to_make()
        for task in dict.fromkeys(model.task for model in missing):
            # one seed of each model: its seeds differ in nothing that can be checked
            once = {(model.method, model.name): model for model in missing if model.task == task}
            try:
                check_task(list(once.values()))
            except (ValueError, FileNotFoundError) as error:
                raise type(error)(f"Study {self.grid.name}, task {task}: {error}") from None

    def missing(self) -> list[GridModel]:
        """Models without a report."""
        return [model for model in self.models if not self.directory.has_report(model.key)]

    def to_make(self) -> list[GridModel]:
        """Models without a report, and those whose report was taken over without them and that a missing one is distilled from."""
        return self.directory.to_make(self.models)

    def run(self, launcher: Launcher) -> bool:
        """Make what is missing. What fails is remembered and leaves the rest.

        Returns:
            Whether it was stopped and can go on.
        """
        missing = self.to_make()
        for model in missing:
            self.directory.forget_failure(model.key)
        cells = list(dict.fromkeys(map(_cell, missing)))
        print(f"study {self.grid.name}: {len(missing)} models are missing, in {len(cells)} cells", flush=True)
        # some methods begin with models that ERM has trained
        for wave in ([cell for cell in cells if cell[1] == ERM], [cell for cell in cells if cell[1] != ERM]):
            outcomes = launcher.launch([self._run(cell, missing) for cell in wave]) if wave else []
            if any(outcome.stopped for outcome in outcomes):
                return True
            lost = {outcome.name: outcome.log for outcome in outcomes if outcome.code != 0}
            self._mark_lost(missing, lost)
        return False

    def _mark_lost(self, missing: Iterable[GridModel], lost: Mapping[str, object]) -> None:
        """Models of a cell whose process ended before it could say why."""
        for model in missing:
            log = lost.get(_name(_cell(model)))
            unknown = not self.directory.has_report(model.key) and self.directory.failure(model.key) is None
            if log is not None and unknown:
                self.directory.mark_failed(model.key, log.name, name=model.name, reason="its cell ended before")

    def _run(self, cell: Cell, missing: Sequence[GridModel]) -> Run:
        words = ("-m", "evenhand.launch.distillability.cell", self.file, self.grid.scale, str(self.directory.path))
        task, method, seed = cell
        outputs = tuple(self.directory.report_file(model.key) for model in self.models if _cell(model) == cell)
        # of a model that is made again the report is there already; a launcher must not take the cell for done
        outputs += tuple(self.directory.run(model).training_file for model in missing if _cell(model) == cell)
        command = (*words, task, method, str(seed), *self.overrides)
        return Run(_name(cell), (command,), self.directory.logs / f"{_name(cell)}.log", self.environment, (), outputs)


def _cell(model: GridModel) -> Cell:
    return model.task, model.method, model.seed


def _name(cell: Cell) -> str:
    task, method, seed = cell
    return f"{task}-{method}-seed{seed}"
