"""A study on the Hub: its students, the metric and the app that compares them, held together by a collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evenhand.evaluation.report import EvaluationReport
from evenhand.launch.declared_facts import run_facts
from evenhand.launch.publish import publish_run
from evenhand.launch.run_directory import RunDirectory
from evenhand.model_cards.facts import is_hub_id
from evenhand.model_cards.hub.collection import (
    Item,
    check_collection,
    existing_collection,
    publish_collection,
    student_note,
)
from evenhand.model_cards.hub.metric_space import check_repo_id, publish_metric
from evenhand.model_cards.hub.space import at_newest, check_space_id, publish_space
from evenhand.model_cards.hub.target import HubRepository
from evenhand.model_cards.space.compared_models import ComparedModel

DESCRIPTION = (
    "Students distilled with evenhand, each measured for bias beside its teacher; check any with: evenhand verify"
)
SEAT_NOTE = 'The metric: effect size, interval and word-level p. evaluate.load("{repo_id}")'
SPACE_NOTE = "Teacher and students side by side on word lists and sentences of your own"


@dataclass(frozen=True)
class _Study:
    """What is to be published, and how.

    Args:
        students: runs by the repository that each will have.
        models: as the app shows them.
        options: ``private`` and ``api``.
        others: as `publish_study` takes them.
    """

    owner: str
    title: str
    students: dict[str, RunDirectory]
    models: list[ComparedModel]
    output_dir: Path
    seat: bool
    space: str | None
    accept_amplification: str | None
    options: dict[str, Any]


def publish_study(
    owner: str,
    title: str,
    runs: Sequence[str | Path],
    output_dir: str | Path,
    *,
    seat: bool = False,
    space: str | None = None,
    private: bool = False,
    dry_run: bool = False,
    accept_amplification: str | None = None,
    api: Any = None,
) -> str:
    """Publish every run, the metric and the app, and then the collection that holds them; doing it again changes nothing.

    Every student is staged and checked before the first one leaves, and the collection comes last, so that it never holds
    what is not there.

    Args:
        owner, title: of the collection.
        runs: evaluated run directories.
        output_dir: for the files of the Spaces, and the note of what was cut short.
        seat: publish the metric as OWNER/seat.
        space: name of the app's Space, or ``None`` for none.
        private: what is new is private.
        dry_run: stage and check; publish nothing.
        accept_amplification: as `evenhand.model_cards.publish` takes it.
        api: a `huggingface_hub.HfApi`; by default one with the token of the user's login.

    Returns:
        What was done, for people.

    Raises:
        FileNotFoundError, ValueError: a run, a name or a title that cannot be used, or something is public that was to be private.
            RuntimeError: a check failed, no login, or the Hub refuses or cannot be reached.
    """
    _check_names(owner, title, seat, space)
    students = _students(owner, runs)
    models = _compared(students)
    if api is None and not dry_run:
        from huggingface_hub import HfApi

        api = HfApi()
    options = {"private": private, "api": api}
    study = _Study(owner, title, students, models, Path(output_dir), seat, space, accept_amplification, options)
    if not dry_run:
        study = replace(study, models=_checked_on_the_hub(study))
    said = [_publish_student(study, repo_id, dry_run=True) for repo_id in students]
    if not dry_run:
        said = [_publish_student(study, repo_id, dry_run=False) for repo_id in students]
    return "\n\n".join([*said, *_publish_the_rest(study, dry_run)])


def _check_names(owner: str, title: str, seat: bool, space: str | None) -> None:
    check_collection(owner, title)
    if seat:
        check_repo_id("seat", f"{owner}/seat")
    if space is not None:
        check_space_id(f"{owner}/{space}")
        if seat and space == "seat":
            raise ValueError("--space seat is the metric's name; choose another for the app.")


def _checked_on_the_hub(study: _Study) -> list[ComparedModel]:
    """The models with the teachers at their newest commits; what stands in the way there must not be found out later."""
    private, api = study.options["private"], study.options["api"]
    if private:
        existing_collection(study.owner, study.title, private, api)
    if study.space is None:
        return study.models
    space = f"{study.owner}/{study.space}"
    return [at_newest(model, space, api) if model.role == "teacher" else model for model in study.models]


def _publish_student(study: _Study, repo_id: str, dry_run: bool) -> str:
    how = {"accept_amplification": study.accept_amplification, "dry_run": dry_run, **study.options}
    return publish_run(study.students[repo_id].path, HubRepository(repo_id), **how).summary()


def _publish_the_rest(study: _Study, dry_run: bool) -> list[str]:
    """The metric, the app and the collection of all."""
    owner, output_dir, options = study.owner, study.output_dir, {**study.options, "dry_run": dry_run}
    reports = {repo_id: EvaluationReport.load(run.report_file) for repo_id, run in study.students.items()}
    items = [Item(repo_id, "model", student_note(report)) for repo_id, report in reports.items()]
    said = []
    if study.seat:
        repo_id = f"{owner}/seat"
        said.append(publish_metric("seat", repo_id, output_dir / "seat", **options).summary())
        items.append(Item(repo_id, "space", SEAT_NOTE.format(repo_id=repo_id)))
    if study.space is not None:
        repo_id = f"{owner}/{study.space}"
        said.append(publish_space(study.models, repo_id, output_dir / study.space, **options).summary())
        items.append(Item(repo_id, "space", SPACE_NOTE))
    collection = publish_collection(owner, study.title, items, output_dir, description=DESCRIPTION, **options)
    return [*said, collection.summary()]


def _students(owner: str, runs: Sequence[str | Path]) -> dict[str, RunDirectory]:
    """The runs by the repository that each will have."""
    students: dict[str, RunDirectory] = {}
    for path in runs:
        run = RunDirectory(path)
        run.training()
        if not run.report_file.is_file():
            raise FileNotFoundError(f"{path} holds no report.json; measure it first: evenhand evaluate {path}")
        named = run_facts(run).repo_id or ""
        of, _, name = named.rpartition("/")
        if of not in ("", owner):
            raise ValueError(
                f"{path} is to be {named}, which is not {owner}'s; change publish.repo_id in its recipe.yaml"
            )
        repo_id = f"{owner}/{name or run.path.resolve().name}"
        if not is_hub_id(repo_id):
            raise ValueError(f"{path} cannot be {repo_id} on the Hub; set publish.repo_id in its recipe.yaml")
        if repo_id in students:
            raise ValueError(f"{students[repo_id].path} and {path} would both be {repo_id}; set publish.repo_id in one")
        students[repo_id] = run
    return students


def _compared(students: dict[str, RunDirectory]) -> list[ComparedModel]:
    """The students as the app shows them, with the teachers that are on the Hub."""
    bases = {repo_id: run_facts(run).base_model for repo_id, run in students.items()}
    teachers = [ComparedModel(base, base, "teacher") for base in dict.fromkeys(filter(None, bases.values()))]
    return [*teachers, *(ComparedModel(repo_id, repo_id, "student", base) for repo_id, base in bases.items())]
