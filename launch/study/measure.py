"""Measure finished students of a study and keep their reports; one step of ``evenhand study``.

python -m evenhand.launch.study.measure MEASURE.json
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from functools import partial
from pathlib import Path

from evenhand.launch.errors import exit_code
from evenhand.launch.evaluate import evaluate_all
from evenhand.launch.recipe import EvaluationSection
from evenhand.launch.recipe_reading import build_section
from evenhand.launch.study.sole_process import one_after_the_other


def measure_students(file: Path) -> list[Path]:
    """Measure what ``file`` lists, skip what has its report.

    Args:
        file: JSON: ``students``, each with ``run`` (run directory), ``report`` (the file to write) and ``evaluation`` (plain values of the
            section); and ``checkpoints``, a folder that nobody needs once all reports are there, or None.

    Returns:
        The reports.

    Raises:
        FileNotFoundError: a run is not finished. ValueError: a setting that cannot be used.
    """
    data = json.loads(file.read_text(encoding="utf-8"))
    with one_after_the_other(file.parent):
        return _measure(data)


def _measure(data: dict) -> list[Path]:
    groups: dict[str, list[dict]] = {}
    # arms of equal recipes have one report
    for student in {student["report"]: student for student in data["students"]}.values():
        if not Path(student["report"]).is_file():
            groups.setdefault(json.dumps(student["evaluation"], sort_keys=True), []).append(student)
    for students in groups.values():
        section = build_section(EvaluationSection, students[0]["evaluation"], "evaluation.")
        runs, files = ([student[key] for student in students] for key in ("run", "report"))
        evaluate_all(runs, section, pictures=False, also_to=files)  # each as soon as it is there: a kill costs one
    if data["checkpoints"]:
        shutil.rmtree(data["checkpoints"], ignore_errors=True)
    return [Path(student["report"]) for student in data["students"]]


def main(argv: list[str] | None = None) -> int:
    """Measure the students that a file lists."""
    parser = argparse.ArgumentParser(
        prog="python -m evenhand.launch.study.measure", description=__doc__.splitlines()[0]
    )
    parser.add_argument("file", type=Path)
    options = parser.parse_args(argv)

    def work() -> int:
        print(*measure_students(options.file), sep="\n")
        return 0

    return exit_code("study.measure", partial(work))


if __name__ == "__main__":
    sys.exit(main())
