"""A launcher that executes a study's runs in this process: importing torch for each of them would take longer than they do."""

import contextlib
import importlib
import traceback

from evenhand.launch import command
from evenhand.launch.study_runs import EVENHAND, Outcome


class InProcess:
    """Executes runs as the local launcher would, one after the other, and keeps the names of those that it was given.

    Args:
        before: called with each run before it is executed; what it returns, where that is an exit code, is the run's.
    """

    def __init__(self, before=lambda run: None):
        self.before, self.launched = before, []

    def launch(self, runs):
        return [self._outcome(run) for run in runs]

    def _outcome(self, run):
        self.launched.append(run.name)
        code = self.before(run)
        run.log.parent.mkdir(parents=True, exist_ok=True)
        with run.log.open("a") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            for words in run.commands:
                code = code or self._execute(words)
        return Outcome(run.name, code, run.log)

    @staticmethod
    def _execute(words):
        try:
            if words[:2] == EVENHAND:
                return command.main(list(words[2:]))
            assert words[0] == "-m"
            return importlib.import_module(words[1]).main(list(words[2:]))
        except Exception:  # as of a process
            traceback.print_exc()
            return 1
