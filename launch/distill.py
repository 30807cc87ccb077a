"""``evenhand distill``: from a recipe to a student in its run directory."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from accelerate import PartialState
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evenhand.evaluation.models import tokenizer_sha256, weights_sha256
from evenhand.launch.recipe import Recipe
from evenhand.launch.run_directory import RunDirectory, require_disk, save_model_folder, write_json
from evenhand.trainer import (
    DistillationArguments,
    DistillationTrainer,
    GenderMixup,
    WordPairs,
    load_teacher,
    make_student,
)
from evenhand.trainer.corpus import Corpus, prepare_corpus, stream_corpus
from evenhand.trainer.corpus_sources import Documents
from evenhand.trainer.mlm_head import held_out_mlm_loss, train_mlm_head
from evenhand.trainer.objective import TERMS
from evenhand.trainer.supervision import SupervisionTransform
from evenhand.trainer.teacher import LoadedTeacher, check_widths

TRAINING_SCHEMA = "evenhand-training"
TRAINING_SCHEMA_VERSION = 1
MLM_HEAD_FILE = "evenhand_mlm_head.json"

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
    state = PartialState()
    arguments = _arguments(recipe, run)
    pairs = WordPairs.load(recipe.mixup.pairs) if recipe.mixup.enabled else None
    documents = _opened_sources(recipe)
    teacher = _checked_teacher(recipe)
    student, _ = make_student(teacher.model, seed=arguments.seed, **asdict(recipe.student))
    check_widths(student, teacher.model, recipe.objective.alpha_cos)
    supervision = _supervision(recipe, pairs, teacher.tokenizer)
    require_disk(run.path, _bytes_needed(student, teacher))
    _claim(run, recipe, _inputs(recipe, documents, teacher, pairs))
    if run.training_file.is_file() and run.student.is_dir():
        return run

    with state.main_process_first():
        corpus = _corpus(recipe, run, teacher.tokenizer)
    _check_pair_words(supervision, corpus, run)
    teacher, head_facts = _teacher_with_head(recipe, run, teacher, corpus)
    # made after the teacher's head, which is copied, may have been trained
    student, student_plan = make_student(teacher.model, seed=arguments.seed, **asdict(recipe.student))
    trainer = DistillationTrainer(
        student,
        teacher.model,
        arguments,
        objective=recipe.objective,
        supervision=supervision,
        train_dataset=corpus.train,
        eval_dataset=corpus.held_out if len(corpus.held_out) else None,
        processing_class=teacher.tokenizer,
        teacher_processing_class=teacher.tokenizer,
        token_counts=corpus.token_counts,
    )
    trainer.train(resume_from_checkpoint=True)
    counts = trainer.total_counts()
    held_out = _held_out(student, teacher, corpus, recipe)  # by all processes together: its sums are gathered
    if state.is_main_process:
        save_model_folder(run.student, trainer.accelerator.unwrap_model(student), teacher.tokenizer)
        facts = _training_facts(
            recipe, trainer, teacher, head_facts, student_plan, corpus, supervision, counts, held_out
        )
        write_json(run.training_file, facts)
    state.wait_for_everyone()
    return run


def prepare_teacher(recipe: Recipe, run: RunDirectory) -> str:
    """The path of a teacher with a masked-LM head: the recipe's own, or one trained into ``run`` (once) for several runs."""
    documents = _opened_sources(recipe)
    teacher = _checked_teacher(recipe)
    if teacher.has_mlm_head:
        return recipe.teacher.path
    # only these sections decide the teacher: it stays good when the students' settings change
    _claim(run, Recipe(teacher=recipe.teacher, corpus=recipe.corpus), _inputs(recipe, documents, teacher, None))
    if not run.teacher.is_dir():
        _teacher_with_head(recipe, run, teacher, _corpus(recipe, run, teacher.tokenizer))
    return str(run.teacher.absolute())


def _opened_sources(recipe: Recipe) -> list[Documents]:
    """A wrong path fails here, before anything is written."""
    return [source.open(recipe.corpus.streaming) for source in recipe.corpus.sources]


def _checked_teacher(recipe: Recipe) -> LoadedTeacher:
    teacher = load_teacher(recipe.teacher.path, recipe.teacher.revision, recipe.teacher.mlm_seed)
    _check_head(recipe, teacher)
    return teacher


def _claim(run: RunDirectory, recipe: Recipe, inputs: dict) -> None:
    state = PartialState()
    if state.is_main_process:
        run.claim(recipe, inputs)
    state.wait_for_everyone()


def _arguments(recipe: Recipe, run: RunDirectory) -> DistillationArguments:
    settings = DEFAULT_TRAINING | recipe.training
    if (
        settings["save_strategy"] == "epoch"
        and recipe.training.get("max_steps", -1) > 0
        and "save_strategy" not in recipe.training
    ):
        settings |= {"save_strategy": "steps", "save_steps": max(1, settings["max_steps"] // 4)}
    try:
        return DistillationArguments(output_dir=str(run.checkpoints), **settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"training: {str(error).strip().splitlines()[0]}") from None


def _supervision(recipe: Recipe, pairs: WordPairs | None, tokenizer: PreTrainedTokenizerBase) -> SupervisionTransform:
    if pairs is None:
        return SupervisionTransform()
    settings = asdict(recipe.mixup)
    del settings["enabled"], settings["pairs"]
    return GenderMixup(tokenizer, pairs, **settings)


def _check_head(recipe: Recipe, teacher: LoadedTeacher) -> None:
    if not teacher.has_mlm_head and recipe.teacher.mlm_steps < 1:
        raise ValueError(
            f"Teacher {recipe.teacher.path} has no masked-LM head (it is an encoder only); set teacher.mlm_steps, e.g. 1000, to train one first."
        )


def _bytes_needed(student: PreTrainedModel, teacher: LoadedTeacher) -> int:
    """Three checkpoints (one being written beside two kept) of weights and two Adam moments in fp32, and the model; the same for a
    teacher that needs a head."""
    models = [student] if teacher.has_mlm_head else [student, teacher.model]
    return sum((3 * 3 + 1) * 4 * model.num_parameters() for model in models)


def _inputs(recipe: Recipe, documents: list[Documents], teacher: LoadedTeacher, pairs: WordPairs | None) -> dict:
    """Hashes of what the recipe names by path, so that a run does not go on with other contents."""
    return {
        "teacher": weights_sha256(teacher.model),
        "corpus": None if recipe.corpus.streaming else [opened.sha256() for opened in documents],
        "pairs": pairs.sha256 if pairs else None,
    }


def _corpus(recipe: Recipe, run: RunDirectory, tokenizer: PreTrainedTokenizerBase) -> Corpus:
    section = recipe.corpus
    if section.streaming:
        return stream_corpus(section.sources, tokenizer, section)
    return prepare_corpus(section.sources, tokenizer, section, section.cache_dir or run.cache, section.workers)


def _check_pair_words(supervision: SupervisionTransform, corpus: Corpus, run: RunDirectory) -> None:
    """A mixup that never meets a word of its pairs would be a plain run under another name."""
    if not isinstance(supervision, GenderMixup):
        return
    if not supervision.finds_words(corpus.train, corpus.token_counts):
        run.release()
        raise ValueError(
            f"The corpus holds no word of the pairs ({supervision.compiled.pairs.source}), so the mixup would change nothing; "
            "use a larger corpus, other pairs, or mixup.enabled=false."
        )


def _teacher_with_head(
    recipe: Recipe, run: RunDirectory, teacher: LoadedTeacher, corpus: Corpus
) -> tuple[LoadedTeacher, dict | None]:
    """The teacher, after training its masked-LM head where it has none; what was done is kept beside its weights."""
    if not teacher.has_mlm_head and not run.teacher.is_dir():
        section = recipe.teacher
        train_mlm_head(
            teacher.model,
            teacher.tokenizer,
            corpus.train,
            corpus.token_counts,
            run.checkpoints / "mlm_head",
            steps=section.mlm_steps,
            what=section.mlm_train,
            learning_rate=section.mlm_learning_rate,
            batch_size=section.mlm_batch_size,
            seed=section.mlm_seed,
            **_machine_arguments(recipe),
        )
        facts = {
            "teacher": section.path,
            "steps": section.mlm_steps,
            "trained": section.mlm_train,
            "learning_rate": section.mlm_learning_rate,
            "batch_size": section.mlm_batch_size,
            "seed": section.mlm_seed,
            "held_out_mlm_loss": _loss_or_none(teacher.model, teacher.tokenizer, corpus, recipe)[0],
            "note": f"The teacher {section.path} had no masked-LM head; one was trained for {section.mlm_steps} steps.",
        }
        if PartialState().is_main_process:
            save_model_folder(run.teacher, teacher.model, teacher.tokenizer, extra={MLM_HEAD_FILE: facts})
        PartialState().wait_for_everyone()
    if run.teacher.is_dir():
        teacher = load_teacher(str(run.teacher.absolute()))
    return teacher, read_head_facts(teacher.path)


def read_head_facts(path: str) -> dict | None:
    """What was done to give the teacher at ``path`` its masked-LM head, None if nothing was."""
    file = Path(path) / MLM_HEAD_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _machine_arguments(recipe: Recipe) -> dict:
    """What of ``training`` holds for every training and evaluation of a run: one process has one precision and device."""
    names = ("fp16", "bf16", "tf32", "use_cpu", "dataloader_num_workers", "disable_tqdm", "report_to")
    return {name: recipe.training[name] for name in names if name in recipe.training}


def _loss_or_none(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus, recipe: Recipe
) -> tuple[float | None, int]:
    if len(corpus.held_out) == 0:
        return None, 0
    return held_out_mlm_loss(model, tokenizer, corpus.held_out, corpus.token_counts, **_machine_arguments(recipe))


def _held_out(student: PreTrainedModel, teacher: LoadedTeacher, corpus: Corpus, recipe: Recipe) -> dict:
    (of_student, n_targets), (of_teacher, _) = (
        _loss_or_none(model, teacher.tokenizer, corpus, recipe) for model in (student, teacher.model)
    )
    return {"student": of_student, "teacher": of_teacher, "n_targets": n_targets, "unit": "nats per masked token"}


def _training_facts(recipe, trainer, teacher, head_facts, student_plan, corpus, supervision, counts, held_out) -> dict:
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    last = history[-1] if history else {}
    plain = type(supervision) is SupervisionTransform
    tokens_seen = counts.pop("tokens_seen")
    args = trainer.args
    return {
        "schema": TRAINING_SCHEMA,
        "schema_version": TRAINING_SCHEMA_VERSION,
        "evenhand_version": metadata.version("evenhand"),
        "recipe": recipe.to_dict(),
        "recipe_sha256": recipe.sha256,
        "seed": args.seed,
        "teacher": model_summary(teacher.model)
        | {
            "name": (head_facts or {}).get("teacher", recipe.teacher.path),
            "tokenizer_sha256": tokenizer_sha256(teacher.tokenizer),
            "mlm_head": head_facts,
        },
        "student": model_summary(trainer.model)
        | {key: value for key, value in student_plan.to_dict().items() if key != "family"},
        "corpus": corpus.report,
        "objective": {
            "weights": recipe.objective.weights,
            "temperature": recipe.objective.temperature,
            "ce_positions": recipe.objective.ce_positions,
            "mlm_probability": args.mlm_probability,
            "mlm_smoothing": args.mlm_smoothing,
        },
        "supervision": None if plain else supervision.report() | counts,
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "batch_size": trainer.get_total_train_batch_size(args),
        "tokens_seen": tokens_seen,
        "final_losses": {name: last.get(name) for name in TERMS},
        "held_out_mlm_loss": held_out,
        "loss_curve": [{key: entry[key] for key in ("step", "loss", *TERMS) if key in entry} for entry in history],
    }


def model_summary(model: PreTrainedModel) -> dict:
    """What a report says of a model."""
    return {
        "model_type": model.config.model_type,
        "layers": model.config.num_hidden_layers,
        "hidden_size": model.config.hidden_size,
        "parameters": model.num_parameters(),
        "weights_sha256": weights_sha256(model),
    }


if __name__ == "__main__":
    from evenhand.launch.command import main

    sys.exit(main(["distill", *sys.argv[1:]]))
