"""``evenhand distill`` of a task recipe: from labelled examples, and perhaps a teacher, to a classifier in its run directory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from evenhand.evaluation.groups import split_sha256
from evenhand.evaluation.models import weights_sha256
from evenhand.launch.circumstances import circumstances
from evenhand.launch.distill import DEFAULT_TRAINING, checked_arguments
from evenhand.launch.kept_predictions import KeptPredictions
from evenhand.launch.process_group import first_process_first, join_processes, settings_here
from evenhand.launch.run_directory import RunDirectory, require_disk, save_model_folder, write_json
from evenhand.launch.task_data import TaskData, load_task_data, with_bias_model
from evenhand.launch.task_facts import TaskTeacher, task_training_facts
from evenhand.launch.task_recipe import TaskRecipe, check_teacher
from evenhand.launch.task_student import NewStudent, load_teachers, new_student, taught_by
from evenhand.trainer import DistillationTrainer
from evenhand.trainer.classifier_fit import ClassifierFit, finish
from evenhand.trainer.classifiers import LoadedClassifier
from evenhand.trainer.debiasing import debiasing_method
from evenhand.trainer.expenditure import Expenditure
from evenhand.trainer.run_split import RunSplit

KEPT = "bias_models"
"""Folder where predictions of bias-only and identification models are kept."""
LADDER = "ladder"
"""Folder of a run that holds the runs of the models between teacher and student."""


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
    require_disk({"checkpoints and student": (run.path, (3 * 3 + 1) * 4 * student.model.num_parameters())})
    if state.is_main_process:
        run.claim(recipe, _inputs(data, teachers), RunSplit.of(arguments))
    state.wait_for_everyone()
    if run.training_file.is_file() and run.student.is_dir():
        return run

    ran_with = circumstances()  # before the work, while the code on the disk is what runs
    nearest, rungs = _climbed(recipe, run, teachers, store)
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
        **(taught_by(nearest, recipe.teacher.average) if recipe.objective.needs_teacher else {}),
    )
    with spent:
        trainer.train(resume_from_checkpoint=True)
    model = trainer.accelerator.unwrap_model(student.model)
    found |= finish(method, model, data.held_out, student.processor, arguments.max_length, arguments.seed)
    held_out = trainer.evaluate() if data.held_out is not None else {}
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
            method.report() | found,
            rungs,
            counts,
            {name.removeprefix("eval_"): value for name, value in held_out.items()},
            ran_with,
            spent.total(),
        )
        write_json(run.training_file, facts)
    state.wait_for_everyone()
    return run


def _inputs(data: TaskData, teachers: list[LoadedClassifier]) -> dict:
    """Hashes of what the recipe names by path, so that a run does not go on with other contents."""
    splits = {"train": data.grouped.splits["train"], "validation": data.held_out}
    hashes = {name: split_sha256(rows) for name, rows in splits.items() if rows is not None}
    return hashes | {f"teacher {number}": weights_sha256(one.model) for number, one in enumerate(teachers, 1)}


def _climbed(
    recipe: TaskRecipe, run: RunDirectory, teachers: list[LoadedClassifier], store: Path | None
) -> tuple[list[LoadedClassifier], list[dict]]:
    """The last model of the ladder as teacher, each made in its own run inside this one; without a ladder, the teachers themselves.

    Returns:
        The teachers of the student, and what is known of each rung.
    """
    if not recipe.ladder:
        return teachers, []
    paths, facts = recipe.teacher.path, []
    for number, section in enumerate(recipe.ladder, 1):
        rung = dataclasses.replace(
            recipe, teacher=dataclasses.replace(recipe.teacher, path=paths), student=section, ladder=[]
        )
        made = distill_task(rung, run.path / LADDER / str(number), store)
        paths = str(made.student)
        training = made.training()
        facts.append({"student": training["student"], "steps": training["steps"], "held_out": training["held_out"]})
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
