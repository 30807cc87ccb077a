"""``evenhand evaluate``: numbers for a run or a model, in report.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from huggingface_hub import snapshot_download

from evenhand.evaluation import EvaluationReport, Seat, evaluate_model
from evenhand.evaluation.table import seat_table
from evenhand.launch.recipe import EvaluationSection, Recipe, apply_override, build_section
from evenhand.launch.run_directory import RunDirectory
from evenhand.trainer.teacher import resolve_model_path


def seat_evaluators(section: EvaluationSection) -> list[Seat]:
    """One SEAT evaluator for each of the stimuli and poolings, the headline first; wrong paths and names fail here."""
    return [
        Seat(pooling=pooling, stimuli=stimuli, seed=section.seed, batch_size=section.batch_size)
        for stimuli in section.stimuli
        for pooling in section.poolings
    ]


def evaluation_section(model: str, overrides: Sequence[str]) -> EvaluationSection:
    """The run's own evaluation section (the default one for a bare model) with ``key=value`` replacements."""
    run = RunDirectory(model)
    data = {"evaluation": asdict(run.recipe().evaluation if run.recipe_file.is_file() else EvaluationSection())}
    for override in overrides:
        apply_override(data, f"evaluation.{override}")
    return build_section(EvaluationSection, data["evaluation"], "evaluation.")


def evaluate_run(
    run: RunDirectory, section: EvaluationSection | None = None, reference: str | None = None
) -> EvaluationReport:
    """Measure a run's student beside its teacher (or another ``reference``) and write ``report.json`` into the run.

    Raises:
        FileNotFoundError: the run is not finished, or stimuli are missing. ValueError: the teacher is not the one that was distilled.
    """
    training, recipe = run.training(), run.recipe()
    evaluators = seat_evaluators(section or recipe.evaluation)
    compared = resolve_model_path(reference) if reference else _teacher_path(run, recipe)
    name = reference or training["teacher"]["name"]
    report = evaluate_model(run.student, compared, evaluators, training, name=run.path.name, reference_name=name)
    if reference is None and report.reference["weights_sha256"] != training["teacher"]["weights_sha256"]:
        raise ValueError(
            f"The teacher at {compared} has changed since the student was distilled from it; restore it or distil again."
        )
    report.save(run.report_file)
    return report


def _teacher_path(run: RunDirectory, recipe: Recipe) -> str:
    if run.teacher.is_dir():
        return str(run.teacher)
    path = resolve_model_path(recipe.teacher.path)
    if recipe.teacher.revision is None or Path(path).is_dir():
        return path
    return snapshot_download(path, revision=recipe.teacher.revision)


def evaluate_any(
    model: str, section: EvaluationSection, reference: str | None = None, output_dir: str | Path | None = None
) -> EvaluationReport:
    """Measure a run directory, a model folder or a model on the Hub.

    Args:
        model: what to measure; a run directory takes its own teacher as reference.
        reference: what to compare with.
        output_dir: where ``report.json`` goes; a run's own directory by default, nowhere for a bare model.
    """
    run = RunDirectory(model)
    if run.training_file.is_file():
        report = evaluate_run(run, section, reference)
    else:
        resolved = [resolve_model_path(path) if path else None for path in (model, reference)]
        report = evaluate_model(*resolved, seat_evaluators(section))
    if output_dir is not None:
        report.save(Path(output_dir) / "report.json")
    return report


def print_report(report: EvaluationReport) -> None:
    """The table a person reads."""
    print(seat_table(report))
