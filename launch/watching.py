"""What a recipe wants watched while it trains: measures for the trainer, its arguments, and the record for training.json."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.state import AcceleratorState, GradientState
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer
from transformers.integrations import get_available_reporting_integrations

from evenhand.evaluation.evaluator import Evaluator, NotApplicable
from evenhand.evaluation.evaluators import EVALUATORS
from evenhand.launch.evaluator_settings import configured_evaluator
from evenhand.launch.recipe import Recipe
from evenhand.launch.run_directory import RunDirectory
from evenhand.launch.watch_section import WatchSection
from evenhand.launch.watched_numbers import watched_numbers
from evenhand.trainer.checkpoints import latest_complete_checkpoint
from evenhand.trainer.device_support import launcher_says
from evenhand.trainer.objective import TERMS
from evenhand.trainer.watching import TRADEOFF, Watch, in_main_process, without_prefix

_OWNED = (
    *("do_eval", "eval_strategy", "eval_steps", "eval_delay", "eval_on_start"),
    *("metric_for_best_model", "greater_is_better", "load_best_model_at_end"),
)
"""Fields of ``training`` that follow from a ``watch`` section."""


@dataclass(frozen=True)
class EvaluatorMeasure:
    """An evaluator as a measure of the trainer."""

    name: str
    evaluator: Evaluator

    def __call__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, float]:
        # an evaluator turns gradients off where it wants none; one that fine-tunes needs them
        with torch.enable_grad(), _accelerate_kept():
            try:
                result = self.evaluator.run(model, tokenizer)
            except NotApplicable as reason:
                raise ValueError(f"watch.measures.{self.name} cannot be taken on this student: {reason}") from None
        return watched_numbers(result.to_dict())

    @property
    def fine_tunes(self) -> bool:
        """Whether it trains a classifier, with a ``Trainer`` of its own."""
        return hasattr(type(self.evaluator), "fine_tuning")

    def describe(self) -> dict:
        """For training.json."""
        return {"measure": self.evaluator.measure, **self.evaluator.settings()}


def make_watch(section: WatchSection, store: Path) -> Watch | None:
    """The measures of a recipe, their data read; None where nothing is watched.

    Args:
        store: where measures that take long keep finished parts.

    Raises:
        ValueError, FileNotFoundError: an unknown measure or setting, data that cannot be read, a measure that these processes cannot take, a
            trade-off of unknown numbers.
    """
    if section.every_steps == 0:
        return None
    measures = {name: _measure(name, settings or {}, store) for name, settings in section.measures.items()}
    try:
        return Watch(measures, section.tradeoff)
    except ValueError as error:
        raise ValueError(f"watch.{error}") from None


def _measure(name: str, settings: dict, store: Path) -> EvaluatorMeasure:
    kind = settings.get("measure", name)
    if kind not in EVALUATORS:
        raise ValueError(f"watch.measures.{name}: {kind} is no measure; use one of {', '.join(EVALUATORS)}.")
    settings = {key: value for key, value in settings.items() if key != "measure"}
    evaluator = configured_evaluator(EVALUATORS[kind], settings, f"watch.measures.{name}.", store, progress=False)
    measure = EvaluatorMeasure(name, evaluator)
    if measure.fine_tunes and (PartialState().num_processes > 1 or launcher_says("ACCELERATE_USE_DEEPSPEED")):
        raise ValueError(
            f"watch.measures.{name} fine-tunes a classifier, which one process of a distributed training cannot do; train with one "
            "process, or take it afterwards with `evenhand evaluate`."
        )
    evaluator.settings()
    return measure


def watch_arguments(section: WatchSection, training: dict) -> dict:
    """Fields of ``DistillationArguments`` that follow from the section.

    Args:
        training: the recipe's own.

    Raises:
        ValueError: the recipe sets one of them too.
    """
    if section.every_steps == 0:
        return {}
    own = [*_OWNED, *(("save_strategy",) if section.keep_best else ())]
    both = [name for name in own if name in training]
    if both:
        raise ValueError(f"training.{both[0]} and watch say the same thing twice; leave it out of training.")
    arguments = {"eval_strategy": "steps", "eval_steps": section.every_steps}
    if section.chooses:
        arguments["metric_for_best_model"] = TRADEOFF
    if section.keep_best:
        if training.get("save_steps", section.every_steps) != section.every_steps:
            raise ValueError(
                f"watch.keep_best saves the student whenever it is measured, after {section.every_steps} steps; leave out training.save_steps."
            )
        arguments |= {"load_best_model_at_end": True, "save_strategy": "steps", "save_steps": section.every_steps}
    return arguments


def rehearse(
    watch: Watch | None,
    recipe: Recipe,
    student: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    run: RunDirectory,
) -> None:
    """Take every measure once, on the untrained student: what cannot be measured, and a trade-off of unknown numbers, should cost no run.

    Measures that fine-tune are left for the training's start. A run that has a checkpoint has passed this. All processes must call it.

    Raises:
        ValueError: a measure fails, or the trade-off names a number that is not measured; the message lists those that are. ``run`` is
            released.
    """
    if watch is None or latest_complete_checkpoint(run.checkpoints) is not None:
        return
    try:
        _check_measures(watch, recipe, student, tokenizer)
    except (ValueError, RuntimeError) as error:
        run.release()
        raise ValueError(f"watch: {error}") from None


def _check_measures(watch: Watch, recipe: Recipe, student: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    late = [name for name, measure in watch.measures.items() if measure.fine_tunes]
    now = Watch({name: measure for name, measure in watch.measures.items() if name not in late})
    known = in_main_process(lambda: now.measure(student, tokenizer))
    if recipe.corpus.held_out > 0:
        weights = recipe.objective.weights
        known = dict.fromkeys([*(name for name in TERMS if weights[name] > 0), "loss"], 0.0) | known
    if not known and not late:
        raise ValueError("there is nothing to measure; name watch.measures, or hold text out with corpus.held_out.")
    unknown_yet = tuple(f"{name}_" for name in late)
    named = [name for name in watch.tradeoff if not without_prefix(name).startswith(unknown_yet)]
    Watch(tradeoff=dict.fromkeys(named, 1.0)).check_names(known)


def check_reporting(report_to: list[str]) -> None:
    """Refuse a logger that is not installed, before any work.

    Raises:
        ValueError: naming it.
    """
    absent = [name for name in report_to if name not in get_available_reporting_integrations()]
    if absent:
        raise ValueError(f"training.report_to names {absent[0]}, which is not installed here; pip install {absent[0]}.")


def watch_facts(
    section: WatchSection,
    watch: Watch | None,
    trainer: Trainer,
    teacher: PreTrainedModel,
    history: list[dict] | None = None,
    of_teacher: dict | None = None,
) -> dict | None:
    """What training.json says of it: settings, the curve, the same numbers of the teacher, and how the student was chosen; None without
    evaluations. All processes must call this.

    Args:
        history: the student's log, if not all of the trainer's.
        of_teacher: the teacher's numbers, if they have been measured already.
    """
    curve = [
        {"step": entry["step"]}
        | {without_prefix(name): value for name, value in entry.items() if name.startswith("eval_") and name != "eval_mlm_targets"}
        for entry in (trainer.state.log_history if history is None else history)
        if any(name.startswith("eval_") for name in entry)
    ]  # fmt: skip
    if not curve:
        return None
    if of_teacher is None:
        of_teacher = in_main_process(lambda: watch.measure(teacher, trainer.processing_class)) if watch else {}
    return {
        "every_steps": section.every_steps or None,
        "measures": {name: measure.describe() for name, measure in watch.measures.items()} if watch else {},
        "tradeoff": section.tradeoff or None,
        "curve": curve,
        "teacher": of_teacher or None,
        "chosen": _chosen(section, trainer, curve),
    }


def _chosen(section: WatchSection, trainer: Trainer, curve: list[dict]) -> dict | None:
    """How the numbers decided which student came out, None if they did not."""
    args, state = trainer.args, trainer.state
    keeps = args.load_best_model_at_end and state.best_global_step is not None
    if not keeps and section.patience is None:
        return None
    metric = without_prefix(args.metric_for_best_model)
    step = state.best_global_step if keeps else state.global_step
    return {
        "metric": metric,
        "lower_is_better": not args.greater_is_better,
        "step": step,
        "value": next(entry[metric] for entry in curve if entry["step"] == step),
        "measurements": sum(entry["step"] > 0 for entry in curve),
        "kept_best": keeps,
        "patience": section.patience,
        "stopped_early": state.global_step < state.max_steps,
    }


def draw_curve(facts: dict | None, run: RunDirectory) -> None:
    """``figures/bias_over_training.png`` of what `watch_facts` gave, where there is a curve."""
    # here: a run without a curve needs no matplotlib
    from evenhand.model_cards.figures.watch_figure import draw_watch_figure
    from evenhand.model_cards.figures.watch_panels import watch_panels

    if watch_panels(facts):
        draw_watch_figure(facts, run.figures / "bias_over_training.png")


@contextmanager
def _accelerate_kept() -> Iterator[None]:
    """accelerate's process-wide states as they were, after an evaluator with a ``Trainer`` of its own has made new ones."""
    states = [(kind, dict(kind._shared_state)) for kind in (PartialState, AcceleratorState, GradientState)]
    try:
        yield
    finally:
        for kind, before in states:
            kind._shared_state.clear()
            kind._shared_state.update(before)
