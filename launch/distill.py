"""``evenhand distill``: from a recipe to a student in its run directory."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from accelerate import PartialState
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evenhand.evaluation.measure_data import check_revision
from evenhand.evaluation.models import weights_sha256
from evenhand.launch.circumstances import circumstances
from evenhand.launch.origins import corpus_origins
from evenhand.launch.process_group import first_process_first, join_processes, settings_here
from evenhand.launch.recipe import Recipe
from evenhand.launch.run_directory import STORE, RunDirectory, require_disk, save_model_folder, write_json
from evenhand.launch.supervision import on_corpus, pairs_of, pairs_sha256, supervision_of
from evenhand.launch.teacher_head import checked_teacher, origin_of_teacher, teacher_with_head
from evenhand.launch.training_facts import Background, Trained, held_out_losses, training_facts
from evenhand.launch.watching import (
    check_reporting,
    draw_curve,
    make_watch,
    rehearse,
    watch_arguments,
    watch_facts,
)
from evenhand.trainer import (
    DistillationArguments,
    DistillationTrainer,
    WordPairs,
    make_student,
)
from evenhand.trainer.batch_arithmetic import check_enough_sequences
from evenhand.trainer.best_checkpoint import EarlyStopping
from evenhand.trainer.corpus import Corpus, prepare_corpus, stream_corpus
from evenhand.trainer.corpus_layout import cache_bytes_needed
from evenhand.trainer.documents import Documents
from evenhand.trainer.expenditure import Expenditure
from evenhand.trainer.run_split import RunSplit
from evenhand.trainer.teacher import LoadedTeacher, check_widths
from evenhand.trainer.training_text import TrainingText

DEFAULT_TRAINING = {"report_to": [], "save_strategy": "epoch", "logging_steps": 50}


def distill(recipe: Recipe, output_dir: str | Path) -> RunDirectory:
    """Distil as the recipe says; an interrupted run goes on from its last complete checkpoint, a finished one is left alone.

    Args:
        recipe: from :func:`evenhand.launch.recipe.load_recipe`.
        output_dir: the run directory.

    Returns:
        The run directory, with ``student/``, ``recipe.yaml`` and ``training.json``.

    Raises:
        ValueError, FileNotFoundError: bad input, before any long work. RuntimeError: training failed; checkpoints are kept.
    """
    run = RunDirectory(output_dir)
    state = join_processes(recipe.training)
    arguments = training_arguments(recipe, run)
    watch = make_watch(recipe.watch, run.path / STORE)
    pairs = pairs_of(recipe)
    documents = opened_sources(recipe)
    teacher = checked_teacher(recipe)
    student, _ = make_student(teacher.model, seed=arguments.seed, **asdict(recipe.student))
    check_widths(student, teacher.model, recipe.objective.alpha_cos)
    supervision = supervision_of(recipe, pairs, teacher.tokenizer)
    require_disk(disk_needs(recipe, run, [student], teacher, documents))
    _claim(run, recipe, input_hashes(recipe, documents, teacher, pairs), RunSplit.of(arguments))
    if run.training_file.is_file() and run.student.is_dir():
        return run

    ran_with = circumstances()  # before the work, while the code on the disk is what runs
    rehearse(watch, recipe, student, teacher.tokenizer, run)
    with first_process_first():
        corpus = corpus_of(recipe, run, teacher.tokenizer)
    check_sequences(corpus, arguments, teacher, recipe, run)
    supervision = on_corpus(supervision, recipe, corpus, teacher.tokenizer, run)
    teacher, head_facts = teacher_with_head(recipe, run, teacher, corpus)
    background = background_of(recipe, documents, head_facts, ran_with)
    # made after the teacher's head, which is copied, may have been trained
    student, student_plan = make_student(teacher.model, seed=arguments.seed, **asdict(recipe.student))
    spent = Expenditure(run.checkpoints)
    trainer = DistillationTrainer(
        student,
        teacher.model,
        training_arguments(recipe, run),  # new ones: under DeepSpeed accelerate has one state per set of arguments
        objective=recipe.objective,
        supervision=supervision,
        watch=watch,
        **data_of(corpus, teacher),
        callbacks=[spent, *([EarlyStopping(recipe.watch.patience)] if recipe.watch.patience else [])],
    )
    with spent:
        trainer.train(resume_from_checkpoint=True)
    (held_out,) = held_out_losses([student], teacher, corpus, recipe)
    trained = Trained(
        recipe, student, student_plan, supervision, trainer.state.log_history, trainer.total_counts(), held_out
    )
    watched = watch_facts(recipe.watch, watch, trainer, teacher.model)
    if state.is_main_process:
        save_model_folder(run.student, trainer.accelerator.unwrap_model(student), teacher.tokenizer)
        facts = training_facts(trained, trainer, teacher, head_facts, corpus, background, spent.total())
        write_json(run.training_file, facts | {"watch": watched})
        draw_curve(watched, run)
    state.wait_for_everyone()
    return run


def background_of(
    recipe: Recipe, documents: list[Documents], head_facts: dict | None, ran_with: dict
) -> Background | None:
    """What training.json says beside the student; in the main process alone, which may ask the Hub for the cards."""
    if not PartialState().is_main_process:
        return None
    sources = corpus_origins(recipe.corpus.sources, documents)
    return Background(origin_of_teacher(recipe, head_facts), sources, ran_with)


def data_of(corpus: Corpus, teacher: LoadedTeacher) -> dict:
    """What a trainer is told of the corpus and its tokens, by the names of its arguments."""
    return {
        "train_dataset": corpus.train,
        "eval_dataset": corpus.held_out if len(corpus.held_out) else None,
        "processing_class": teacher.tokenizer,
        "teacher_processing_class": teacher.tokenizer,
        "token_counts": corpus.token_counts,
    }


def prepare_teacher(recipe: Recipe, run: RunDirectory) -> str:
    """The path of a teacher with a masked-LM head: the recipe's own, or one trained into ``run`` (once) for several runs."""
    documents = opened_sources(recipe)
    teacher = checked_teacher(recipe)
    if teacher.has_mlm_head:
        return recipe.teacher.path
    # only these sections decide the teacher: it stays good when the students' settings change
    _claim(run, Recipe(teacher=recipe.teacher, corpus=recipe.corpus), input_hashes(recipe, documents, teacher, None))
    if not run.teacher.is_dir():
        teacher_with_head(recipe, run, teacher, corpus_of(recipe, run, teacher.tokenizer))
    return str(run.teacher.absolute())


def opened_sources(recipe: Recipe) -> list[Documents]:
    """A wrong path, or a cache that offline gives another revision than the recipe's, fails here, before anything is written."""
    TrainingText.of(recipe.corpus)
    opened = [source.open(recipe.corpus.streaming) for source in recipe.corpus.sources]
    for source, documents in zip(recipe.corpus.sources, opened, strict=True):
        if source.hub and source.revision and not recipe.corpus.streaming:
            check_revision(documents.rows, source.hub, source.revision)
    return opened


def _claim(run: RunDirectory, recipe: Recipe, inputs: dict, split: RunSplit | None = None) -> None:
    state = PartialState()
    if state.is_main_process:
        run.claim(recipe, inputs, split)
    state.wait_for_everyone()


def training_arguments(recipe: Recipe, run: RunDirectory) -> DistillationArguments:
    settings = DEFAULT_TRAINING | settings_here(recipe.training) | watch_arguments(recipe.watch, recipe.training)
    if (
        settings["save_strategy"] == "epoch"
        and recipe.training.get("max_steps", -1) > 0
        and "save_strategy" not in recipe.training
    ):
        settings |= {"save_strategy": "steps", "save_steps": max(1, settings["max_steps"] // 4)}
    return checked_arguments(run, settings)


def checked_arguments(run: RunDirectory, settings: dict) -> DistillationArguments:
    """The arguments of a run's trainer.

    Raises:
        ValueError: one of ``settings``, in a line.
    """
    try:
        arguments = DistillationArguments(output_dir=str(run.checkpoints), **settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"training: {str(error).strip().splitlines()[0]}") from None
    check_reporting(arguments.report_to)
    return arguments


def disk_needs(
    recipe: Recipe,
    run: RunDirectory,
    students: list[PreTrainedModel],
    teacher: LoadedTeacher,
    documents: list[Documents],
) -> dict[str, tuple[Path, int]]:
    """Three checkpoints (one being written beside two kept) of weights and two Adam moments in fp32, and the model; the same for a
    teacher that needs a head; and the tokens of the text that is not tokenised yet."""
    models = students if teacher.has_mlm_head else [*students, teacher.model]
    what = "checkpoints and student" if len(students) == 1 else "checkpoints and students"
    needs = {what: (run.path, sum((3 * 3 + 1) * 4 * model.num_parameters() for model in models))}
    if not recipe.corpus.streaming:
        cache = _cache_dir(recipe, run)
        needed = cache_bytes_needed(documents, teacher.tokenizer, recipe.corpus, cache)
        needs["the tokenised corpus"] = (cache, needed)
    return needs


def _cache_dir(recipe: Recipe, run: RunDirectory) -> Path:
    return Path(recipe.corpus.cache_dir) if recipe.corpus.cache_dir else run.cache


def input_hashes(recipe: Recipe, documents: list[Documents], teacher: LoadedTeacher, pairs: WordPairs | None) -> dict:
    """Hashes of what the recipe names by path, so that a run does not go on with other contents."""
    return {
        "teacher": weights_sha256(teacher.model),
        "corpus": None if recipe.corpus.streaming else [opened.sha256() for opened in documents],
        "pairs": pairs_sha256(recipe, pairs),
        **recipe.corpus.pair_hashes(),
    }


def corpus_of(recipe: Recipe, run: RunDirectory, tokenizer: PreTrainedTokenizerBase) -> Corpus:
    section = recipe.corpus
    if section.streaming:
        return stream_corpus(section.sources, tokenizer, section)
    return prepare_corpus(section.sources, tokenizer, section, _cache_dir(recipe, run), section.workers)


def check_sequences(
    corpus: Corpus, arguments: DistillationArguments, teacher: LoadedTeacher, recipe: Recipe, run: RunDirectory
) -> None:
    if recipe.corpus.streaming:
        return
    batches = [
        arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size,
        0 if teacher.has_mlm_head else recipe.teacher.mlm_batch_size,
    ]
    try:
        check_enough_sequences(len(corpus.train), max(batches))
    except ValueError:
        run.release()
        raise


if __name__ == "__main__":
    from evenhand.launch.command import main

    sys.exit(main(["distill", *sys.argv[1:]]))
