"""What training.json says of a classifier's run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel, Trainer

from evenhand.evaluation.classifiers import number_of_blocks, width_of
from evenhand.evaluation.models import default_name, weights_sha256
from evenhand.launch.origins import teacher_origin
from evenhand.launch.run_directory import RunDirectory
from evenhand.launch.task.data import TaskData
from evenhand.launch.task.recipe import TaskRecipe
from evenhand.launch.training_facts import run_facts
from evenhand.trainer.debiasing import DebiasingMethod
from evenhand.trainer.task_objective import TASK_TERMS

BEFORE_FIT = "held_out_before_fit"
"""Key of the metrics on the validation split that were taken before the debiasing method fitted the student on it."""


@dataclass(frozen=True)
class TaskTeacher:
    """One teacher of a run.

    Args:
        model: with its head.
        path: as the recipe has it.
        revision: as the recipe has it.
    """

    model: PreTrainedModel
    path: str
    revision: str | None = None


def task_training_facts(
    recipe: TaskRecipe,
    trainer: Trainer,
    student: PreTrainedModel,
    plan: dict,
    teachers: list[TaskTeacher],
    data: TaskData,
    method: dict,
    ladder: list[dict],
    counts: dict[str, int],
    validation: dict[str, dict[str, float]],
    circumstances: dict,
    spent: dict,
) -> dict:
    """Contents of training.json.

    Args:
        trainer: that trained the student.
        student: as it is saved.
        plan: how it was made.
        teachers: none for a student that was trained alone.
        method: settings of the debiasing method, and what it found before and after the training.
        ladder: what is known of each model between teacher and student, from the first.
        counts: of its :meth:`total_counts`, which all processes have to call.
        validation: metrics on the validation split, by the name that is true of them: ``held_out`` of the student as it is saved, empty
            where there is no such split or the debiasing method fitted the student on it (``needs_held_out_groups``);
            :data:`BEFORE_FIT` in that case alone, of the network before that fit.
        circumstances: of :func:`evenhand.launch.circumstances.circumstances`.
        spent: of :meth:`evenhand.trainer.expenditure.Expenditure.total`.
    """
    args, history = trainer.args, [entry for entry in trainer.state.log_history if "loss" in entry]
    last = history[-1] if history else {}
    of_teachers = [_teacher_facts(teacher) for teacher in teachers]
    return {
        **run_facts(recipe, args.seed, circumstances, spent),
        "teacher": of_teachers[0] if of_teachers else None,
        **({"teachers": of_teachers, "average": recipe.teacher.average} if len(of_teachers) > 1 else {}),
        "student": classifier_summary(student) | plan,
        "task": {
            "name": data.grouped.name,
            "kind": data.grouped.kind,
            "labels": list(data.grouped.label_names("train")),
            "examples": len(data.train),
            "by_group": data.grouped.group_counts("train"),
            "facts": dict(data.grouped.facts),
            **data.facts,
        },
        "objective": recipe.objective.to_dict(),
        "debiasing": method,
        "ladder": ladder,
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "batch_size": trainer.get_total_train_batch_size(args),
        **counts,
        "final_losses": {name: last.get(name) for name in TASK_TERMS},
        **validation,
        "loss_curve": [{key: entry[key] for key in ("step", "loss", *TASK_TERMS) if key in entry} for entry in history],
    }


def classifier_summary(model: PreTrainedModel) -> dict:
    """What a report says of a classifier."""
    return {
        "model_type": model.config.model_type,
        "layers": number_of_blocks(model.config),
        "hidden_size": width_of(model.config),
        "parameters": model.num_parameters(),
        "weights_sha256": weights_sha256(model),
    }


def _teacher_facts(teacher: TaskTeacher) -> dict:
    # of a folder its name: where it lies on this machine means nothing to others
    name = default_name(teacher.path) if Path(teacher.path).is_dir() else teacher.path
    made = {"name": name, **teacher_origin(teacher.path, teacher.revision)}
    method = _debiased_with(teacher.path)
    return classifier_summary(teacher.model) | made | ({"debiasing": {"name": method}} if method else {})


def _debiased_with(path: str) -> str | None:
    """The debiasing method of a teacher that is a run of ours, given as the run or as its student; None where none is known."""
    for run in (RunDirectory(path), RunDirectory(Path(path).parent)):
        own = Path(path).resolve() in (run.path.resolve(), run.student.resolve())
        if own and run.training_file.is_file():
            name = (run.training().get("debiasing") or {}).get("name")
            return None if name == DebiasingMethod.name else name
    return None
