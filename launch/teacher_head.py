"""The recipe's teacher: loaded and checked, given a masked-LM head where it has none, and where it comes from."""

from __future__ import annotations

import json
from pathlib import Path

from accelerate import PartialState

from evenhand.launch.debiased_facts import read_debiased_facts
from evenhand.launch.origins import UNKNOWN, teacher_origin
from evenhand.launch.pruned_vocabulary import read_pruned_facts
from evenhand.launch.recipe import Recipe
from evenhand.launch.run_directory import RunDirectory, save_model_folder
from evenhand.launch.training_facts import held_out_loss, machine_arguments
from evenhand.trainer import load_teacher
from evenhand.trainer.corpus import Corpus
from evenhand.trainer.expenditure import Expenditure
from evenhand.trainer.mlm_head import sequences_per_process, train_mlm_head
from evenhand.trainer.teacher import LoadedTeacher

MLM_HEAD_FILE = "evenhand_mlm_head.json"


def checked_teacher(recipe: Recipe) -> LoadedTeacher:
    """The teacher that the recipe names.

    Raises:
        FileNotFoundError: it is not there. ValueError: it has no head, and the recipe does not say how to train one.
    """
    teacher = load_teacher(recipe.teacher.path, recipe.teacher.revision, recipe.teacher.mlm_seed)
    _check_head(recipe, teacher)
    return teacher


def _check_head(recipe: Recipe, teacher: LoadedTeacher) -> None:
    if not teacher.has_mlm_head and recipe.teacher.mlm_steps < 1:
        raise ValueError(
            f"Teacher {recipe.teacher.path} has no masked-LM head (it is an encoder only); set teacher.mlm_steps, e.g. 1000, to train one first."
        )
    if not teacher.has_mlm_head:
        sequences_per_process(recipe.teacher.mlm_batch_size)


def teacher_with_head(
    recipe: Recipe, run: RunDirectory, teacher: LoadedTeacher, corpus: Corpus
) -> tuple[LoadedTeacher, dict | None]:
    """The teacher, after training its masked-LM head where it has none; what was done is kept beside its weights.

    All processes must call this.
    """
    if not teacher.has_mlm_head and not run.teacher.is_dir():
        _train_head(recipe, run, teacher, corpus)
    if run.teacher.is_dir():
        teacher = load_teacher(str(run.teacher.absolute()))
    return teacher, read_head_facts(teacher.path)


def _train_head(recipe: Recipe, run: RunDirectory, teacher: LoadedTeacher, corpus: Corpus) -> None:
    section, folder = recipe.teacher, run.checkpoints / "mlm_head"
    with Expenditure(folder) as spent:
        train_mlm_head(
            teacher.model,
            teacher.tokenizer,
            corpus.train,
            corpus.token_counts,
            folder,
            steps=section.mlm_steps,
            what=section.mlm_train,
            learning_rate=section.mlm_learning_rate,
            batch_size=section.mlm_batch_size,
            seed=section.mlm_seed,
            from_frequencies=section.mlm_from_frequencies,
            callbacks=[spent],
            **machine_arguments(recipe) | section.mlm_training,
        )
    held_out = held_out_loss(teacher.model, teacher.tokenizer, corpus, recipe)[0]
    if PartialState().is_main_process:
        pruned = read_pruned_facts(section.path)
        name = pruned["teacher"] if pruned else section.path
        facts = {
            "teacher": name,
            "steps": section.mlm_steps,
            "trained": section.mlm_train,
            "learning_rate": section.mlm_learning_rate,
            "batch_size": section.mlm_batch_size,
            "seed": section.mlm_seed,
            **({"from_frequencies": True} if section.mlm_from_frequencies else {}),
            **({"training": section.mlm_training} if section.mlm_training else {}),
            "held_out_mlm_loss": held_out,
            "note": f"The teacher {name} had no masked-LM head; one was trained for {section.mlm_steps} steps.",
            "origin": pruned["origin"] if pruned else teacher_origin(section.path, section.revision),
            **({"vocabulary": {key: pruned[key] for key in ("vocabulary", "of", "coverage")}} if pruned else {}),
            **spent.total(),
        }
        save_model_folder(run.teacher, teacher.model, teacher.tokenizer, extra={MLM_HEAD_FILE: facts})
    PartialState().wait_for_everyone()


def read_head_facts(path: str) -> dict | None:
    """What was done to give the teacher at ``path`` its masked-LM head, None if nothing was."""
    file = Path(path) / MLM_HEAD_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def origin_of_teacher(recipe: Recipe, head_facts: dict | None) -> dict:
    """Revision and licence of the teacher as it was published, before it was given a head or debiased; see `teacher_origin`.

    Args:
        head_facts: of `read_head_facts`.
    """
    section = recipe.teacher
    debiased = read_debiased_facts(section.path)
    if debiased is not None:
        return debiased["origin"]
    if head_facts is None:
        return teacher_origin(section.path, section.revision)
    if "origin" in head_facts:
        return head_facts["origin"]
    # an older release did not write it down; a model on the Hub may have changed since, a folder's card is still its own
    origin = teacher_origin(head_facts["teacher"])
    return origin if origin["revision"] is None else UNKNOWN
