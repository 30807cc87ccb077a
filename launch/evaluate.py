"""``evenhand evaluate``: numbers for runs and models, in report.json, as tables and as pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from evenhand.evaluation import EvaluationReport, Seat
from evenhand.evaluation.evaluator import Evaluator
from evenhand.evaluation.evaluators import EVALUATORS, Measured, make_report, measure_model, measure_together, ready
from evenhand.evaluation.models import default_name
from evenhand.evaluation.report_table import report_table
from evenhand.evaluation.sensitivity import SeatSensitivity
from evenhand.evaluation.several_runs import aggregate_reports, aggregate_table
from evenhand.evaluation.speed import Speed
from evenhand.launch.circumstances import code
from evenhand.launch.evaluator_settings import configured_evaluator
from evenhand.launch.hub_cache import HubModel
from evenhand.launch.recipe import EvaluationSection, Recipe, decisive_sections
from evenhand.launch.recipe_reading import apply_override, build_section, read_packaged_yaml
from evenhand.launch.run_directory import STORE, RunDirectory, student_of_run, write_json
from evenhand.launch.task.copied_layers import with_copied_layers
from evenhand.launch.task.recipe import ON_THE_TASK, TaskEvaluationSection, TaskRecipe, task_section
from evenhand.model_cards.figures.pictures import draw_pictures
from evenhand.model_cards.figures.tradeoff_figure import draw_tradeoff_figure, tradeoff_points
from evenhand.trainer.teacher import resolve_model_path

AGGREGATE_SCHEMA = "evenhand-aggregate"


@dataclass(frozen=True)
class Subject:
    """Something to measure: a run's student, or a bare model.

    Args:
        path: what is loaded.
        name: what to call it.
        run: the run it belongs to, or ``None``.
        training: the run's training.json, or ``None``.
    """

    path: str
    name: str
    run: RunDirectory | None = None
    training: dict | None = None

    @property
    def seed(self) -> int | None:
        return None if self.training is None else self.training["seed"]


@dataclass(frozen=True)
class Evaluated:
    """What one call has measured.

    Args:
        reports: one for each model, in their order.
    """

    reports: list[EvaluationReport]

    @cached_property
    def aggregates(self) -> list[dict[str, object]]:
        """What the runs of each recipe say together; computed once, for aggregate.json and for the tables."""
        return [aggregate_reports(group) for group in same_recipe(self.reports)]


def evaluation_section(
    model: str, overrides: Sequence[str], settings: str | None = None
) -> EvaluationSection | TaskEvaluationSection:
    """What to measure: the run's own evaluation section (the default one for a bare model), or that of a file of
    ``settings``, with ``key=value`` replacements. Of a bare model, nothing but ``measures`` with one of data with groups
    among them is what is measured on a classifier: no SEAT besides.

    Raises:
        FileNotFoundError: no such file. ValueError: a key or a value that is wrong.
    """
    run = RunDirectory(model)
    recipe = run.recipe() if run.recipe_file.is_file() else None
    own = None if recipe is None else recipe.evaluation
    data = {"evaluation": {} if own is None else asdict(own)}
    if settings is not None:
        data = {"evaluation": read_packaged_yaml(settings, "evaluations", "Settings")}
    for override in overrides:
        apply_override(data, f"evaluation.{override}")
    kind = EvaluationSection if own is None else type(own)
    if own is None and set(data["evaluation"]) == {"measures"}:
        kind = TaskEvaluationSection if set(data["evaluation"]["measures"]) & set(ON_THE_TASK) else kind
    section = build_section(kind, data["evaluation"], "evaluation.")
    if isinstance(
        recipe, TaskRecipe
    ):  # with what was replaced in it: a measure that is added reads the task's data too
        return task_section(replace(recipe, evaluation=section))
    return section


def section_evaluators(
    section: EvaluationSection | TaskEvaluationSection, store: Path | None = None
) -> list[Evaluator]:
    """The evaluators that a section names, SEAT's headline first; wrong paths and names fail here.

    Args:
        section: the recipe's.
        store: where measures that take long keep finished parts; they may name their own.

    Raises:
        ValueError: an unknown measure or setting, or a long measure without a place for its parts.
    """
    if isinstance(section, TaskEvaluationSection):
        return ready(_named_measures(section, store))
    if not section.stimuli or not section.poolings:
        raise ValueError("evaluation.stimuli and evaluation.poolings need at least one entry each.")
    chosen: list[Evaluator] = [
        Seat(pooling, stimuli, families=section.families, seed=section.seed, batch_size=section.batch_size, progress=True)
        for stimuli in section.stimuli
        for pooling in section.poolings
    ]  # fmt: skip
    if section.sensitivity:
        headline = {"stimuli": section.stimuli[0], "headline": section.poolings[0]}
        chosen.append(SeatSensitivity(**headline, batch_size=section.batch_size, progress=True))
    chosen += _named_measures(section, store)
    if section.speed and Speed.measure not in section.measures:
        chosen.append(Speed())
    return ready(chosen)


def _named_measures(section: EvaluationSection | TaskEvaluationSection, store: Path | None) -> list[Evaluator]:
    """The evaluators of ``measures``."""
    own = () if isinstance(section, TaskEvaluationSection) else ("seat", "seat_sensitivity")
    known = [name for name in EVALUATORS if name not in own]
    chosen = []
    for measure, settings in section.measures.items():
        if measure not in known:
            raise ValueError(f"evaluation.measures.{measure} is no measure; use one of {', '.join(known)}.")
        where = f"evaluation.measures.{measure}."
        chosen.append(configured_evaluator(EVALUATORS[measure], settings or {}, where, store))
    return chosen


def evaluate_run(
    run: RunDirectory,
    section: EvaluationSection | TaskEvaluationSection | None = None,
    reference: str | None = None,
) -> EvaluationReport:
    """Measure a run's student beside its teacher (or another ``reference``) and write ``report.json`` into the run.

    Raises:
        FileNotFoundError: the run is not finished, or stimuli are missing. ValueError: the teacher is not the one that was distilled.
    """
    run.training()  # refuses an unfinished run
    references = [reference] if reference else []
    return evaluate_all([str(run.path)], section or evaluation_section(str(run.path), ()), references).reports[0]


def evaluate_all(
    models: Sequence[str],
    section: EvaluationSection | TaskEvaluationSection,
    references: Sequence[str] = (),
    output_dir: str | Path | None = None,
    pictures: bool = True,
    also_to: Sequence[str | Path] = (),
) -> Evaluated:
    """Measure runs and models; each report is written as soon as it is there.

    A run's report and pictures go into the run. With ``output_dir``, one model's go there too; of several models their
    aggregate over seeds does (``aggregate.json``, ``tradeoff.png``).

    Args:
        models: run directories, model folders or models on the Hub.
        section: what to measure.
        references: what to compare with: none (a run is compared with its teacher), one for all, or one for each model
            in their order (runs paired by seed).
        output_dir: see above.
        pictures: whether to draw those of each report; ``evenhand card`` draws what is missing.
        also_to: a further file for each model's report, in their order; folders are made.

    Returns:
        The reports, in the order of the models, and their aggregates.

    Raises:
        FileNotFoundError, ValueError: a model, a reference or a setting that cannot be used; before any long work.
    """
    if len(references) not in (0, 1, len(models)):
        raise ValueError(f"{len(references)} references for {len(models)} models; give none, one, or one for each.")
    output = None if output_dir is None else Path(output_dir)
    subjects = [_subject(model) for model in models]
    names = {subject.name.replace("/", "--") for subject in subjects}
    if output is not None and len(names) < len(subjects):
        raise ValueError(
            "Two of the models have one name, so their reports would overwrite each other; evaluate them in two calls."
        )
    against = _references(subjects, references)
    evaluators = section_evaluators(section, _store(subjects, output))
    measuring = code()  # before the work, during which it may be edited
    measured: dict[str, Measured] = {}
    reports: list[EvaluationReport] = []
    for subject, (reference, role), file in zip(subjects, against, also_to or [None] * len(subjects), strict=True):
        if reference is not None:
            expected = _expected_weights(subject, reference, role)
            if reference.path not in measured:
                measured[reference.path] = measure_model(
                    reference.path, role, evaluators, name=reference.name, expected_weights=expected, alone=False
                )
            elif expected not in (None, measured[reference.path].facts["weights_sha256"]):
                raise ValueError(f"{subject.name} was distilled from other weights than those at {reference.path}.")
        beside = measured.get(reference and reference.path)
        chosen = with_copied_layers(evaluators, subject.training) if reference and role == "teacher" else evaluators
        model = measure_model(subject.path, "student", chosen, name=subject.name, alone=beside is None)
        if beside is not None:
            model, beside = measure_together(chosen, model, beside)
        report = make_report(chosen, model, beside, subject.training, measuring)
        for folder in _report_folders(subject, role, output, len(models)):
            report.save(folder / "report.json")
            if pictures:
                draw_pictures(report, folder / "figures")
        if file is not None:
            report.save(file)
        reports.append(report)
    evaluated = Evaluated(reports)
    if output is not None and len(models) > 1:
        _write_aggregate(evaluated, output)
    return evaluated


def _subject(model: str) -> Subject:
    """A finished run's student, or a bare model."""
    run = RunDirectory(model)
    if run.training_file.is_file():
        return Subject(str(run.student), run.path.resolve().name, run, run.training())
    path = resolve_model_path(model)
    return Subject(path, default_name(path))


def _references(subjects: Sequence[Subject], references: Sequence[str]) -> list[tuple[Subject | None, str]]:
    """What each subject is compared with, and as what.

    Raises:
        ValueError: two runs that are to be paired have different seeds.
    """
    if not references:
        return [(_teacher(subject), "teacher") for subject in subjects]
    given = [_subject(reference) for reference in references] * (len(subjects) if len(references) == 1 else 1)
    for subject, reference in zip(subjects, given, strict=True):
        if subject.run and reference.run and subject.seed != reference.seed:
            raise ValueError(
                f"{subject.name} (seed {subject.seed}) and {reference.name} (seed {reference.seed}) are not paired by seed; "
                "give the references in the order of the models."
            )
    return [(reference, _role(subject, reference)) for subject, reference in zip(subjects, given, strict=True)]


def _role(subject: Subject, reference: Subject) -> str:
    """A reference is called a teacher only where the run says that it was distilled from it."""
    own = (subject.training or {}).get("teacher")
    own = own and own["name"]
    return "teacher" if reference.run is None and own in (reference.name, reference.path) else "reference"


def _teacher(subject: Subject) -> Subject | None:
    if subject.run is None or subject.training["teacher"] is None:
        return None
    return Subject(teacher_path(subject.run, subject.run.recipe()), subject.training["teacher"]["name"])


def teacher_path(run: RunDirectory, recipe: Recipe | TaskRecipe) -> str:
    """Where a run's teacher lies: in the run where its head was trained there, else as the recipe says (of several, the first)."""
    if run.teacher.is_dir():
        return str(run.teacher)
    task = isinstance(recipe, TaskRecipe)
    path = resolve_model_path(student_of_run(recipe.teacher.paths[0]) if task else recipe.teacher.path)
    if recipe.teacher.revision is None or Path(path).is_dir():
        return path
    return HubModel(path, recipe.teacher.revision).folder()


def _expected_weights(subject: Subject, reference: Subject, role: str) -> str | None:
    """Hash that the reference must have: a run's own teacher must be the one that it was distilled from."""
    if subject.run is None or role != "teacher":
        return None
    return subject.training["teacher"]["weights_sha256"]


def _store(subjects: Sequence[Subject], output: Path | None) -> Path | None:
    """One place for all models of a call, so that a shared teacher's finished parts are found again."""
    if output is not None:
        return output / STORE
    return subjects[0].run.path / STORE if subjects[0].run else None


def _report_folders(subject: Subject, role: str, output: Path | None, n_models: int) -> list[Path]:
    """Where a subject's report goes. A run keeps the report that compares it with its teacher: one with another reference
    goes into ``output`` alone, where there is one."""
    own = subject.run is not None and (role == "teacher" or output is None)
    folders = [subject.run.path] if own else []
    if output is not None and n_models == 1:
        folders.append(output)
    elif output is not None and not own:
        folders.append(output / subject.name.replace("/", "--"))
    return folders


def _write_aggregate(evaluated: Evaluated, output: Path) -> None:
    """What the runs of each recipe say together, and all of them in one picture."""
    output.mkdir(parents=True, exist_ok=True)
    groups = evaluated.aggregates
    if groups:
        write_json(output / "aggregate.json", {"schema": AGGREGATE_SCHEMA, "schema_version": 1, "groups": groups})
    points, tasks = tradeoff_points(evaluated.reports)
    if points:
        draw_tradeoff_figure(points, tasks, output / "tradeoff.png")


def same_recipe(reports: Sequence[EvaluationReport]) -> list[list[EvaluationReport]]:
    """Reports of runs whose recipes differ in nothing but the seed, two or more together, each seed once; bare models have no
    recipe."""
    groups: dict[str, list[EvaluationReport]] = {}
    for report in reports:
        if report.training is not None:
            groups.setdefault(_without_seed(report.training["recipe"]), []).append(report)
    return [group for group in groups.values() if len({r.training["seed"] for r in group}) == len(group) > 1]


def _without_seed(recipe: dict) -> str:
    """What decides a student, but for its seed, as one string."""
    decisive = decisive_sections(recipe)
    decisive["training"] = {key: value for key, value in recipe["training"].items() if key != "seed"}
    return json.dumps(decisive, sort_keys=True)


def print_reports(evaluated: Evaluated) -> None:
    """The tables a person reads: each report's, then what several say together.

    Args:
        evaluated: as `evaluate_all` gives it.
    """
    for report in evaluated.reports:
        print(report_table(report))
        print()
    for aggregate in evaluated.aggregates:
        print(aggregate_table(aggregate))
        print()
