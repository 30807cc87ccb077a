"""What training.json says of a run, and the held-out losses that stand in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

from evenhand.evaluation.models import tokenizer_sha256, weights_sha256
from evenhand.launch.debiased_facts import read_debiased_facts
from evenhand.launch.process_group import settings_here
from evenhand.launch.recipe import Recipe
from evenhand.launch.task.recipe import TaskRecipe
from evenhand.launch.unigram_loss import unigram_loss
from evenhand.trainer.corpus import Corpus
from evenhand.trainer.mlm_head import held_out_mlm_loss
from evenhand.trainer.objective import TERMS
from evenhand.trainer.student import StudentPlan
from evenhand.trainer.supervision import SupervisionTransform
from evenhand.trainer.teacher import LoadedTeacher

TRAINING_SCHEMA = "evenhand-training"
TRAINING_SCHEMA_VERSION = 1


def run_facts(recipe: Recipe | TaskRecipe, seed: int, circumstances: dict, spent: dict) -> dict:
    """How every training.json begins, whatever was trained.

    Args:
        seed: of the training.
        circumstances: of :func:`evenhand.launch.circumstances.circumstances`.
        spent: of :meth:`evenhand.trainer.expenditure.Expenditure.total`.
    """
    return {
        "schema": TRAINING_SCHEMA,
        "schema_version": TRAINING_SCHEMA_VERSION,
        "evenhand_version": metadata.version("evenhand"),
        **circumstances,
        **spent,
        "recipe": recipe.to_dict(),
        "recipe_sha256": recipe.sha256,
        "seed": seed,
    }


@dataclass(frozen=True)
class Trained:
    """One student at the end of its training, alone or as an arm of a cohort.

    Args:
        recipe: its own.
        student: the model.
        plan: how it was made.
        supervision: the transform it was trained with.
        history: the log of its training.
        counts: tokens seen, and what the transform counted.
        held_out: of :func:`held_out_losses`.
    """

    recipe: Recipe
    student: PreTrainedModel
    plan: StudentPlan
    supervision: SupervisionTransform
    history: list[dict]
    counts: dict[str, int]
    held_out: dict


@dataclass(frozen=True)
class Background:
    """What training.json says of a training beside its student, the same for all arms of a cohort; put together before the training.

    Args:
        teacher: of :func:`evenhand.launch.teacher_head.origin_of_teacher`.
        sources: of :func:`evenhand.launch.origins.corpus_origins`.
        circumstances: of :func:`evenhand.launch.circumstances.circumstances`.
    """

    teacher: dict
    sources: list[dict]
    circumstances: dict


def machine_arguments(recipe: Recipe) -> dict:
    """What of ``training`` holds for every training and evaluation of a run: one process has one precision and device."""
    names = (
        "fp16",
        "bf16",
        "tf32",
        "use_cpu",
        "ddp_backend",
        "ddp_timeout",
        "dataloader_num_workers",
        "disable_tqdm",
        "report_to",
    )
    settings = settings_here(recipe.training)
    return {name: settings[name] for name in names if name in settings}


def held_out_loss(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus, recipe: Recipe
) -> tuple[float | None, int]:
    """Masked-LM loss on the text that is held out, and over how many targets; (None, 0) where none is. All processes call this together."""
    if len(corpus.held_out) == 0:
        return None, 0
    # one number, no curve: a logger would begin a run of its own for it, where the command was started
    arguments = machine_arguments(recipe) | {"report_to": []}
    return held_out_mlm_loss(model, tokenizer, corpus.held_out, corpus.token_counts, **arguments)


def held_out_losses(
    students: Sequence[PreTrainedModel], teacher: LoadedTeacher, corpus: Corpus, recipe: Recipe
) -> list[dict]:
    """For each student its held-out loss beside the teacher's and that of guessing by frequency. All processes call this together: its sums are gathered."""
    of_teacher, n_targets = held_out_loss(teacher.model, teacher.tokenizer, corpus, recipe)
    guessing = unigram_loss(teacher.tokenizer, corpus, recipe)
    return [
        {
            "student": held_out_loss(student, teacher.tokenizer, corpus, recipe)[0],
            "teacher": of_teacher,
            "unigram": guessing,
            "n_targets": n_targets,
            "unit": "nats per masked token",
        }
        for student in students
    ]


def training_facts(
    trained: Trained,
    trainer: Trainer,
    teacher: LoadedTeacher,
    head_facts: dict | None,
    corpus: Corpus,
    background: Background,
    spent: dict,
) -> dict:
    """Contents of training.json, without a watch.

    Args:
        trainer: that trained the student, with others or alone; read for what holds for all of them.
        head_facts: what was done to give the teacher its masked-LM head, None if nothing was.
        spent: of :meth:`evenhand.trainer.expenditure.Expenditure.total`.
    """
    recipe, supervision, args = trained.recipe, trained.supervision, trainer.args
    history = [entry for entry in trained.history if "loss" in entry]
    last = history[-1] if history else {}
    plain = type(supervision) is SupervisionTransform
    counts = {name: n for name, n in trained.counts.items() if name != "tokens_seen"}
    return {
        **run_facts(recipe, args.seed, background.circumstances, spent),
        "teacher": model_summary(teacher.model)
        | {
            "name": (read_debiased_facts(teacher.path) or head_facts or {}).get("teacher", recipe.teacher.path),
            "tokenizer_sha256": tokenizer_sha256(teacher.tokenizer),
            **background.teacher,
            "mlm_head": head_facts and {name: fact for name, fact in head_facts.items() if name != "origin"},
        }
        | _debiasing(teacher),
        "student": model_summary(trained.student)
        | {key: value for key, value in trained.plan.to_dict().items() if key != "family"},
        "corpus": corpus.report
        | {
            "sources": [
                source | origin for source, origin in zip(corpus.report["sources"], background.sources, strict=True)
            ]
        },
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
        "tokens_seen": trained.counts["tokens_seen"],
        "final_losses": {name: last.get(name) for name in TERMS},
        "held_out_mlm_loss": trained.held_out,
        "loss_curve": [{key: entry[key] for key in ("step", "loss", *TERMS) if key in entry} for entry in history],
    }


def _debiasing(teacher: LoadedTeacher) -> dict:
    """``debiasing``: how the teacher was debiased; nothing for any other teacher, as before there were such."""
    facts = read_debiased_facts(teacher.path)
    return {} if facts is None else {"debiasing": {name: fact for name, fact in facts.items() if name != "origin"}}


def model_summary(model: PreTrainedModel) -> dict:
    """What a report says of a model."""
    return {
        "model_type": model.config.model_type,
        "layers": model.config.num_hidden_layers,
        "hidden_size": model.config.hidden_size,
        "parameters": model.num_parameters(),
        "weights_sha256": weights_sha256(model),
    }
