"""A launcher that makes no student: teachers and reports are those of a study that was run before."""

import json
import shutil

from evenhand.launch.study_runs import Outcome


class KeptReports:
    """Does what a study's runs would leave, and keeps the names of those that it was given.

    Args:
        results: of the finished study.
        finished: its directory.
        broken: arms whose training fails, and with it that of the others of its cell; or ``teacher`` for the teachers.
        code: what a broken run ends with.
        stops: whether it counts as stopped, as after a signal.
    """

    def __init__(self, results, finished, broken=(), code=1, stops=False):
        self.results, self.finished, self.broken, self.code, self.stops = results, finished, broken, code, stops
        self.launched, self.trained = [], []

    def launch(self, runs):
        return [self._outcome(run) for run in runs]

    def _outcome(self, run):
        self.launched.append(run.name)
        run.log.parent.mkdir(parents=True, exist_ok=True)
        code = self._teachers(run) if run.name.startswith("teacher") else self._reports(run)
        run.log.write_text(f"ended with {code}\n")
        return Outcome(run.name, code, run.log, self.stops and code != 0)

    def _teachers(self, run):
        if "teacher" in self.broken:
            return self.code
        directory = run.log.parent.parent
        shutil.copytree(self.finished / "teachers", directory / "teachers", dirs_exist_ok=True)
        return 0

    def _reports(self, run):
        cell = json.loads((run.inputs[0].parent / "cell.json").read_text())
        if set(cell["reports"]) & set(self.broken):
            return self.code
        for arm, key in cell["reports"].items():
            self.trained.append((arm, cell["seed"]))
            file = run.log.parent.parent / "reports" / f"{key}.json"
            self.results.reports[arm][cell["seed"]].save(file)
        return 0
