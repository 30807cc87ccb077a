"""``evenhand distill`` of a task recipe: from labelled examples, and perhaps a teacher, to a classifier in its run directory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from transformers import PreTrainedModel

from evenhand.evaluation.models import weights_sha256
from evenhand.launch.circumstances import circumstances
from evenhand.launch.distill import DEFAULT_TRAINING, checked_arguments
from evenhand.launch.process_group import first_process_first, join_processes, settings_here
from evenhand.launch.run_directory import RunDirectory, require_disk, save_model_folder, write_json
from evenhand.launch.task.data import TaskData, load_task_data, with_bias_model
from evenhand.launch.task.facts import BEFORE_FIT, TaskTeacher, task_training_facts
from evenhand.launch.task.kept_predictions import KeptPredictions
from evenhand.launch.task.recipe import TaskRecipe, check_teacher, named_settings
from evenhand.launch.task.student import NewStudent, load_teachers, new_student, taught_by
from evenhand.trainer import DistillationTrainer
from evenhand.trainer.bias_models import bias_model
from evenhand.trainer.classifier_fit import ClassifierFit, finish
from evenhand.trainer.classifiers import LoadedClassifier
from evenhand.trainer.debiasing import DebiasingMethod, debiasing_method
from evenhand.trainer.distillation_config import DistillationArguments
from evenhand.trainer.expenditure import Expenditure
from evenhand.trainer.labelled_examples import training_facts
from evenhand.trainer.labelled_work import LabelledWork
from evenhand.trainer.model_inputs import kind_of
from evenhand.trainer.run_split import RunSplit

KEPT = "bias_models"
"""Folder where predictions of bias-only and identification models are kept."""
LADDER = "ladder"
"""Folder of a run that holds the runs of the models between teacher and student."""
RUNG_SEED = 10_000
"""Times the number of a rung, added to the seed of its training."""


def distill_task(recipe: TaskRecipe, output_dir: str | Path, store: Path | None = None) -> RunDirectory:
    """Train as the recipe says; an interrupted run goes on from its last complete checkpoint, a finished one is left alone.

    Args:
        recipe: with the path of its teacher, if it has one.
        output_dir: the run directory.
        store: where predictions of bias-only and identification models are kept, for several runs; default in the run.

    Returns:
        The run directory, with ``student/``, ``recipe.yaml`` and ``training.json``.

    Raises:
        ValueError, FileNotFoundError: bad input, before any long work. RuntimeError: training failed; checkpoints are kept.
    """
    run = RunDirectory(output_dir)
    state = join_processes(recipe.training)
    check_teacher(recipe)
    arguments = checked_arguments(run, DEFAULT_TRAINING | settings_here(recipe.training))
    with first_process_first():
        data = load_task_data(recipe)
    teachers = load_teachers(recipe)
    student = new_student(recipe.student, data, teachers, arguments.seed)
    # before the directory is claimed: a corrected recipe would be refused there as another run's
    _check_together(recipe, data, student, teachers, arguments)
    require_disk({"checkpoints and student": (run.path, (3 * 3 + 1) * 4 * student.model.num_parameters())})
    if state.is_main_process:
        run.claim(recipe, _inputs(data, teachers), RunSplit.of(arguments))
    state.wait_for_everyone()
    if run.training_file.is_file() and run.student.is_dir():
        return run

    ran_with = circumstances()  # before the work, while the code on the disk is what runs
    nearest, rungs = _climbed(recipe, run, teachers, store, arguments.seed)
    if rungs:  # it may be made from the last of them
        student = new_student(recipe.student, data, nearest, arguments.seed)
    data, method, found = _debiased_data(recipe, run, data, student, nearest, store, arguments.seed)
    spent = Expenditure(run.checkpoints)
    trainer = DistillationTrainer(
        student.model,
        args=arguments,
        objective=recipe.objective,
        debiasing=method,
        train_dataset=data.train,
        eval_dataset=data.held_out,
        processing_class=student.processor,
        aligned=data.grouped.aligned,
        callbacks=[spent],
        **_taught(recipe, nearest),
    )
    with spent:
        trainer.train(resume_from_checkpoint=True)
    model = trainer.accelerator.unwrap_model(student.model)
    of_end, validation = _finished(trainer, method, model, data, student.processor)
    counts = trainer.total_counts()  # all processes add theirs
    if state.is_main_process:
        save_model_folder(run.student, model, student.processor)
        facts = task_training_facts(
            recipe,
            trainer,
            model,
            student.plan,
            [TaskTeacher(teacher.model, teacher.path, recipe.teacher.revision) for teacher in teachers],
            data,
            method.report() | found | of_end,
            rungs,
            counts,
            validation,
            ran_with,
            spent.total(),
        )
        write_json(run.training_file, facts)
    state.wait_for_everyone()
    return run


def _taught(recipe: TaskRecipe, teachers: list[LoadedClassifier]) -> dict:
    return taught_by(teachers, recipe.teacher.average) if recipe.objective.needs_teacher else {}


def _check_together(
    recipe: TaskRecipe,
    data: TaskData,
    student: NewStudent,
    teachers: list[LoadedClassifier],
    arguments: DistillationArguments,
) -> None:
    """Whether teachers, ladder, student, data and debiasing method fit each other, by the trainer's own rules and before any training.

    The models of the ladder are made as they begin, each from the one before: what does not fit is known by shape and labels.

    Raises:
        ValueError: something does not.
    """
    method = debiasing_method(recipe.debiasing.method, **recipe.debiasing.settings)
    if recipe.debiasing.bias_model:
        kind, settings = named_settings(recipe.debiasing.bias_model, "debiasing.bias_model", "kind")
        bias_model(kind, **settings).check(data.train)
    for number, section in enumerate(recipe.ladder, 1):
        rung = new_student(section, data, teachers, arguments.seed)
        _check_pair(recipe, data, rung, teachers, method, arguments)
        teachers = [LoadedClassifier(rung.model, rung.processor, kind_of(rung.model), True, f"{LADDER}/{number}")]
    if recipe.ladder:
        student = new_student(recipe.student, data, teachers, arguments.seed)
    _check_pair(recipe, data, student, teachers, method, arguments)


def _check_pair(
    recipe: TaskRecipe,
    data: TaskData,
    student: NewStudent,
    teachers: list[LoadedClassifier],
    method: DebiasingMethod,
    arguments: DistillationArguments,
) -> None:
    """The same of one student and its teachers."""
    work = LabelledWork(
        student.model,
        objective=recipe.objective,
        debiasing=method,
        args=arguments,
        processing_class=student.processor,
        **({"teacher": None} | _taught(recipe, teachers)),
    )
    work.examples(data.train)
    if data.held_out is not None:
        work.examples(data.held_out, "held-out data")
    facts = training_facts(data.train, work.kind, work.names)
    # predictions of a bias-only model are not there yet
    (method.check_groups if method.needs_bias_log_probs else method.check)(facts)
    if method.needs_held_out_groups:
        held_out = None if data.held_out is None else training_facts(data.held_out, work.kind, work.names)
        method.check_held_out(student.model, facts, held_out, work.names)


def _finished(
    trainer: DistillationTrainer, method: DebiasingMethod, model: PreTrainedModel, data: TaskData, processor
) -> tuple[dict, dict[str, dict[str, float]]]:
    """What the method does after the training, and the numbers on the validation split.

    A method that fits on that split is measured before it does: afterwards the examples are not held out, and what the student is right
    about there says nothing of others.

    Returns:
        Facts of the method, and ``validation`` of :func:`task_training_facts`.
    """

    def measured() -> dict[str, float]:
        found = trainer.evaluate() if data.held_out is not None else {}
        return {name.removeprefix("eval_"): value for name, value in found.items()}

    before = {"held_out": {}, BEFORE_FIT: measured()} if method.needs_held_out_groups else None
    facts = finish(method, model, data.held_out, processor, trainer.args.max_length, trainer.args.seed)
    return facts, before or {"held_out": measured()}


def _inputs(data: TaskData, teachers: list[LoadedClassifier]) -> dict:
    """Hashes of what the recipe names by path, so that a run does not go on with other contents."""
    return data.sha256 | {f"teacher {number}": weights_sha256(one.model) for number, one in enumerate(teachers, 1)}


def _climbed(
    recipe: TaskRecipe, run: RunDirectory, teachers: list[LoadedClassifier], store: Path | None, seed: int
) -> tuple[list[LoadedClassifier], list[dict]]:
    """The last model of the ladder as teacher, each made in its own run inside this one; without a ladder, the teachers themselves.

    Each rung has a seed of its own: a rung of the student's size would otherwise begin with the student's first weights and see its batches.

    Returns:
        The teachers of the student, and what is known of each rung.
    """
    if not recipe.ladder:
        return teachers, []
    paths, facts = recipe.teacher.path, []
    for number, section in enumerate(recipe.ladder, 1):
        rung = dataclasses.replace(
            recipe,
            teacher=dataclasses.replace(recipe.teacher, path=paths),
            student=section,
            training=recipe.training | {"seed": seed + number * RUNG_SEED},
            ladder=[],
        )
        made = distill_task(rung, run.path / LADDER / str(number), store)
        paths = str(made.student)
        training = made.training()
        told = ("student", "steps", "held_out", BEFORE_FIT)
        facts.append({name: training[name] for name in told if name in training})
    last = dataclasses.replace(recipe, teacher=dataclasses.replace(recipe.teacher, path=paths))
    return load_teachers(last), facts


def _debiased_data(
    recipe: TaskRecipe, run: RunDirectory, data: TaskData, student: NewStudent, teachers, store: Path | None, seed: int
):
    """The training data as the debiasing method wants them, the method, and what it found."""
    method = debiasing_method(recipe.debiasing.method, **recipe.debiasing.settings)
    fit = ClassifierFit(
        lambda seed: new_student(recipe.student, data, teachers, seed).model,
        settings_here(recipe.training),
        student.processor,
    )
    kept = KeptPredictions(store or run.path / KEPT)
    with first_process_first():
        data = with_bias_model(data, recipe, fit, kept, seed)
    decisive = [
        weights_sha256(student.model),
        recipe.training,
    ]  # not yet trained: the weights that such a model begins with
    train, found = method.before_training(data.train, kept.fit(fit, decisive), seed)
    return dataclasses.replace(data, train=train), method, found
