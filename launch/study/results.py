"""What a study has found so far: the reports of its arms by seed, and what failed; and what of it lies beside a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evenhand.evaluation import EvaluationReport
from evenhand.launch.run_directory import write_json
from evenhand.launch.study.directory import TEACHERS_FILE, kept_name
from evenhand.launch.study.execution import StudyJob
from evenhand.launch.study.report_archive import ARCHIVE, write_archive
from evenhand.launch.study.study_file import Study
from evenhand.launch.study.teachers import planted_strengths
from evenhand.model_cards.published_report import without_machine_paths


@dataclass(frozen=True)
class StudyResults:
    """Everything that a study's page is made of.

    Args:
        study: at one scale.
        reports: arm -> seed -> report; what is absent has not been run yet. Arms of equal recipes have the same reports.
        failed: (arm, seed) -> name of the log file that says why.
        teacher_changes: name of a teacher made from the original one (``debiased``) -> ``before`` and ``after``, each a
            `SeatResult.to_dict()`; or seed -> such a mapping, where every seed has a teacher of its own.
        planted: SEAT test's label -> planted strength; None where the truth is not known.
        command: that makes the study.
    """

    study: Study
    reports: Mapping[str, Mapping[int, EvaluationReport]]
    failed: Mapping[tuple[str, int], str] = field(default_factory=dict)
    teacher_changes: Mapping[str, Mapping] = field(default_factory=dict)
    planted: Mapping[str, float] | None = None
    command: str = ""


def results_of(job: StudyJob, command: str) -> StudyResults:
    """All reports that are there, without places of this machine, and what failed; a link to each finished student is made beside them.

    Args:
        job: finished or not.
        command: that makes the study, as a reader of the page would give it.
    """
    study, directory = job.study, job.directory
    directory.link_students({f"{arm}-seed{seed}": key for (arm, seed), key in job.student_keys.items()})
    reports: dict[str, dict] = {name: {} for name in study.arms}
    failed = {}
    loaded: dict[str, EvaluationReport] = {}
    for (arm, seed), key in job.wanted.items():
        if directory.has_report(key):
            if key not in loaded:
                loaded[key] = directory.published_report(key)
            reports[arm][seed] = loaded[key]
        elif failure := directory.failure(key):
            failed[arm, seed] = failure["log"]
    changes = {name: directory.teacher_changes(study, name) for name in study.settings.teachers}
    changes = {name: without_machine_paths(found) for name, found in changes.items() if found}
    return StudyResults(study, reports, failed, changes, planted_strengths(study), command)


def keep_beside(
    page: Path, job: StudyJob, results: StudyResults, others: Mapping[str, EvaluationReport] | None = None
) -> None:
    """Write what the page was made of into its folder, so that it can be made again, and the study go on, without the students: every report in
    ``reports.jsonl.xz``, what is known of its teachers in ``teachers.json``.

    Args:
        page: the folder.
        job: of which the page is.
        results: everything on the page.
        others: further reports of the study by key: a page of a few sections must not cost the archive the others.
    """
    reports = {
        key: results.reports[arm][seed] for (arm, seed), key in job.wanted.items() if seed in results.reports[arm]
    }
    write_archive({**(others or {}), **reports}, page / ARCHIVE)
    known = {
        kept_name(job.study, name, seed): change
        for name, of_seeds in results.teacher_changes.items()
        for seed, change in of_seeds.items()
    }
    if known:
        write_json(page / TEACHERS_FILE, known)
