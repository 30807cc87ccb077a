"""``evenhand distill --arms``: several students, the arms of a study, distilled together on one teacher's pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from evenhand.launch.circumstances import circumstances
from evenhand.launch.cohort_directory import CohortDirectory, check_common, copy_folder
from evenhand.launch.distill import (
    background_of,
    check_sequences,
    corpus_of,
    data_of,
    disk_needs,
    input_hashes,
    opened_sources,
    training_arguments,
)
from evenhand.launch.process_group import first_process_first, join_processes
from evenhand.launch.recipe import Recipe
from evenhand.launch.run_directory import STORE, RunDirectory, require_disk, save_model_folder, write_json
from evenhand.launch.supervision import on_corpus, pairs_of, pairs_sha256, supervision_of
from evenhand.launch.teacher_head import checked_teacher, teacher_with_head
from evenhand.launch.training_facts import Background, Trained, held_out_losses, training_facts
from evenhand.launch.watching import draw_curve, make_watch, rehearse, watch_facts
from evenhand.trainer import Arm, CohortTrainer, WordPairs, make_student
from evenhand.trainer.cohort_trainer import check_cohort_arguments
from evenhand.trainer.corpus import Corpus
from evenhand.trainer.expenditure import Expenditure
from evenhand.trainer.run_split import RunSplit
from evenhand.trainer.student import StudentPlan
from evenhand.trainer.supervision import SupervisionTransform
from evenhand.trainer.teacher import LoadedTeacher, check_widths
from evenhand.trainer.watching import Watch


def distill_cohort(recipes: Mapping[str, Recipe], output_dir: str | Path) -> dict[str, RunDirectory]:
    """Distil all arms together; an interrupted cohort goes on from its last complete checkpoint, a finished one is left alone.

    Every arm ends as :func:`evenhand.launch.distill.distill` with its recipe would have left it: its run directory, ``output_dir/NAME``, has
    the same student and the same facts, and training.json says with whom it was trained. What the arms share (checkpoints, the tokenised
    corpus, a teacher's masked-LM head) is in ``output_dir/cohort``.

    Args:
        recipes: by the name of the arm; they may differ in student, objective and mixup (and in evaluation and publish).
        output_dir: of the cohort.

    Returns:
        The run directories by name.

    Raises:
        ValueError, FileNotFoundError: bad input, before any long work. RuntimeError: training failed; checkpoints are kept.
    """
    folder = CohortDirectory(output_dir, recipes)
    check_common(recipes)
    common = next(iter(recipes.values()))
    state = join_processes(common.training)
    arguments = training_arguments(common, folder)
    check_cohort_arguments(arguments)
    watch = make_watch(common.watch, folder.path / STORE)
    pairs = {name: pairs_of(recipe) for name, recipe in recipes.items()}
    documents = opened_sources(common)
    teacher = checked_teacher(common)
    students = {name: student for name, (student, _) in _students(recipes, teacher, arguments.seed).items()}
    supervisions = _supervisions(recipes, pairs, teacher)
    require_disk(disk_needs(common, folder, list(students.values()), teacher, documents))
    if state.is_main_process:
        inputs = input_hashes(common, documents, teacher, None)  # once: the corpus may be large
        of_arms = {name: inputs | {"pairs": pairs_sha256(recipes[name], own)} for name, own in pairs.items()}
        folder.claim_all(recipes, of_arms, RunSplit.of(arguments))
    state.wait_for_everyone()
    if folder.finished:
        return folder.arms

    ran_with = circumstances()  # before the work, while the code on the disk is what runs
    for name, recipe in recipes.items():
        rehearse(watch, recipe, students.pop(name), teacher.tokenizer, folder)
    with first_process_first():
        corpus = corpus_of(common, folder, teacher.tokenizer)
    check_sequences(corpus, arguments, teacher, common, folder)
    for name, recipe in recipes.items():
        supervisions[name] = on_corpus(supervisions[name], recipe, corpus, teacher.tokenizer, folder)
    teacher, head_facts = teacher_with_head(common, folder, teacher, corpus)
    background = background_of(common, documents, head_facts, ran_with)
    # made after the teacher's head, which is copied, may have been trained
    made = _students(recipes, teacher, arguments.seed)
    arms = {name: Arm(made[name][0], recipe.objective, supervisions[name]) for name, recipe in recipes.items()}
    spent = Expenditure(folder.checkpoints)
    trainer = CohortTrainer(
        arms,
        teacher.model,
        training_arguments(common, folder),  # new ones: under DeepSpeed accelerate has one state per set of arguments
        watch=watch,
        **data_of(corpus, teacher),
        callbacks=[spent],
    )
    with spent:
        trainer.train(resume_from_checkpoint=True)
    plans = {name: plan for name, (_, plan) in made.items()}
    _finish(folder, recipes, plans, trainer, teacher, head_facts, corpus, watch, background, spent)
    state.wait_for_everyone()
    return folder.arms


def _students(recipes: Mapping[str, Recipe], teacher: LoadedTeacher, seed: int) -> dict[str, tuple]:
    """Each arm's student and its plan; what cannot be made is named by its arm."""
    made = {}
    for name, recipe in recipes.items():
        try:
            made[name] = make_student(teacher.model, seed=seed, **asdict(recipe.student))
            check_widths(made[name][0], teacher.model, recipe.objective.alpha_cos)
        except ValueError as error:
            raise ValueError(f"Arm {name}: {error}") from None
    return made


def _supervisions(
    recipes: Mapping[str, Recipe], pairs: Mapping[str, WordPairs | None], teacher: LoadedTeacher
) -> dict[str, SupervisionTransform]:
    made = {}
    for name, recipe in recipes.items():
        try:
            made[name] = supervision_of(recipe, pairs[name], teacher.tokenizer)
        except ValueError as error:
            raise ValueError(f"Arm {name}: {error}") from None
    return made


def _finish(
    folder: CohortDirectory,
    recipes: Mapping[str, Recipe],
    plans: Mapping[str, StudentPlan],
    trainer: CohortTrainer,
    teacher: LoadedTeacher,
    head_facts: dict | None,
    corpus: Corpus,
    watch: Watch | None,
    background: Background | None,
    spent: Expenditure,
) -> None:
    """Write every arm's run directory; all processes call it."""
    names = list(trainer.arms)
    losses = held_out_losses(
        [trainer.arms[name].student for name in names], teacher, corpus, next(iter(recipes.values()))
    )
    members = {name: recipe.sha256 for name, recipe in recipes.items()}
    of_teacher = None
    for name, held_out in zip(names, losses, strict=True):
        recipe, arm, run = recipes[name], trainer.arms[name], folder.arms[name]
        history = trainer.arm_history(name)
        trained = Trained(
            recipe, arm.student, plans[name], arm.supervision, history, trainer.arm_counts(name), held_out
        )
        watched = watch_facts(recipe.watch, watch, trainer, teacher.model, history, of_teacher)
        of_teacher = watched and (watched["teacher"] or {})
        if trainer.accelerator.is_main_process:
            if folder.teacher.is_dir():
                copy_folder(folder.teacher, run.teacher)
            save_model_folder(run.student, arm.student, teacher.tokenizer)
            facts = training_facts(trained, trainer, teacher, head_facts, corpus, background, _of_all(spent, names))
            write_json(run.training_file, facts | {"watch": watched, "cohort": {"arm": name, "arms": members}})
            draw_curve(watched, run)


def _of_all(spent: Expenditure, names: list[str]) -> dict:
    """Time and energy cannot be told apart by arm: each arm's facts have those of the cohort, and say so."""
    total = spent.total()
    if total["energy"]:
        total["energy"]["note"] += f"; all {len(names)} arms of the cohort together"
    return total
