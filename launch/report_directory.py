"""Where a study of any kind keeps reports by key, its logs, and what it knows of failures."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from evenhand.evaluation import EvaluationReport
from evenhand.launch.run_directory import write_json
from evenhand.model_cards.published_report import without_machine_paths


class ReportDirectory:
    """The directory of one study at one scale; it can be moved between runs.

    Args:
        path: of the directory, which need not exist: nothing is made before there is something to write.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.reports, self.failed = self.path / "reports", self.path / "failed"
        self.logs, self.page = self.path / "logs", self.path / "page"

    def report_file(self, key: str) -> Path:
        """Where the report with this key lies or will lie."""
        return self.reports / f"{key}.json"

    def has_report(self, key: str) -> bool:
        return self.report_file(key).is_file()

    def report(self, key: str) -> EvaluationReport:
        return EvaluationReport.load(self.report_file(key))

    def published_report(self, key: str) -> EvaluationReport:
        """Without places of this machine, as it leaves it with a page; the page is made of it too, so that it can be made again from there."""
        return EvaluationReport(without_machine_paths(self.report(key).to_dict()))

    def published_reports(self, keys: Iterable[str]) -> dict[str, EvaluationReport]:
        """Those that are there, by key."""
        return {key: self.published_report(key) for key in keys if self.has_report(key)}

    def mark_failed(self, key: str, log: str, **facts: object) -> None:
        """Remember that what the report would be of could not be made or measured.

        Args:
            log: name of the log file.
            facts: what else is to be known of it, as plain values.
        """
        self.failed.mkdir(parents=True, exist_ok=True)
        write_json(self.failed / f"{key}.json", {**facts, "log": log})

    def forget_failure(self, key: str) -> None:
        """It is tried again."""
        (self.failed / f"{key}.json").unlink(missing_ok=True)

    def failure(self, key: str) -> dict | None:
        """``log`` and the facts of what could not be made, None where that is not known to have happened."""
        file = self.failed / f"{key}.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
