"""Real steps, evaluations and fine-tunings of a study's sizes, timed on this machine: minutes at most, before anything is trained."""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from evenhand.evaluation import Glue
from evenhand.evaluation.evaluator import NotApplicable
from evenhand.evaluation.glue_tasks import TASKS
from evenhand.launch.evaluate import section_evaluators
from evenhand.launch.process_group import settings_here
from evenhand.launch.recipe import EvaluationSection, Recipe
from evenhand.launch.study.busy_clock import BusyClock
from evenhand.launch.study.ground import Ground
from evenhand.launch.study.supervision_here import supervision_here
from evenhand.launch.watching import make_watch
from evenhand.trainer import Arm, CohortTrainer, DistillationArguments, make_student
from evenhand.trainer.device_support import device_type, precision_advice
from evenhand.trainer.mlm_head import MLM_ONLY

FEWEST, MOST = 2, 5
"""Micro-batches that are timed, after one that warms up; fewer of slow ones."""
SECONDS = 4.0
"""After which no further micro-batch of a composition is timed."""
GLUE_EXAMPLES = (32, 96)
"""That each task is fine-tuned on, and scored on, for its time: first the few, then the more."""

_KEPT = (
    *(
        "per_device_train_batch_size",
        "optim",
        "use_cpu",
        "fp16",
        "bf16",
        "tf32",
        "gradient_checkpointing",
        "max_grad_norm",
    ),
    *(
        "mlm_probability",
        "mlm_smoothing",
        "teacher_dtype",
        "freeze_position_embeddings",
        "head_chunk_size",
        "length_pieces",
    ),
)
"""Fields of a recipe's ``training`` that a timed step has too."""


@dataclass(frozen=True)
class StepTime:
    """What a training of some arms takes.

    Args:
        per_token: seconds for each real token of its micro-batches: masks, forwards, backwards.
        per_step: seconds of clipping and the optimiser's update.
        slowed: by how much longer it took because the machine had other work, which the two other numbers leave out.
    """

    per_token: float
    per_step: float
    slowed: float = 1.0

    def seconds(self, tokens: float, steps: float) -> float:
        """Of a training."""
        return self.per_token * tokens + self.per_step * steps


class TimedCohort:
    """A training outside its trainer's loop; see :meth:`of_students` and :meth:`of_teacher`.

    Args:
        arms: by name.
        teacher: None where the arms learn from text alone.
        training: the recipe's section.
        ground: of the scale.
        batches: padded micro-batches, taken in turns.
    """

    def __init__(
        self,
        arms: Mapping[str, Arm],
        teacher: PreTrainedModel | None,
        training: dict,
        ground: Ground,
        batches: Sequence[dict],
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._batches, self._number = list(batches), 0
        self._trainer = CohortTrainer(
            arms,
            teacher,
            _arguments(training, self._folder.name),
            processing_class=ground.tokenizer,
            token_counts=ground.token_counts,
        )
        self._trainer.model.to(self.device)
        self._trainer.create_optimizer()

    @classmethod
    def of_students(cls, recipes: Mapping[str, Recipe], ground: Ground, batches: Sequence[dict]) -> TimedCohort:
        """Arms on one teacher's pass.

        Raises:
            ValueError: an arm that cannot be trained here.
        """
        arms = {
            name: Arm(
                make_student(ground.teacher, seed=0, **asdict(recipe.student))[0],
                recipe.objective,
                supervision_here(recipe, ground),
            )
            for name, recipe in recipes.items()
        }
        # a copy: it is cast and moved to where this training computes
        return cls(arms, copy.deepcopy(ground.teacher), next(iter(recipes.values())).training, ground, batches)

    @classmethod
    def of_teacher(cls, recipe: Recipe, ground: Ground, batches: Sequence[dict]) -> TimedCohort:
        """The training of the teacher itself, on masked tokens alone."""
        training = recipe.training | {"freeze_position_embeddings": False}
        return cls({"teacher": Arm(copy.deepcopy(ground.teacher), MLM_ONLY)}, None, training, ground, batches)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._trainer.args.device

    def one(self) -> StepTime:
        """Time one micro-batch with its update."""
        trainer, batch = self._trainer, dict(self._batches[self._number % len(self._batches)])
        device = trainer.args.device
        trainer.state.global_step = self._number
        self._number += 1
        tokens = int(batch["attention_mask"].sum())
        _wait_for(device)
        start = time.perf_counter()
        (inputs,), counts = trainer.get_batch_samples(iter([batch]), 1, device)
        trainer.training_step(trainer.model, inputs, counts)
        _wait_for(device)
        middle = time.perf_counter()
        trainer._clip_grad_norm(trainer.model)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        _wait_for(device)
        return StepTime((middle - start) / tokens, time.perf_counter() - middle)


def time_in_turns(cohorts: Sequence[TimedCohort]) -> list[StepTime]:
    """The usual time of each cohort, all timed in turns so that what else the machine does weighs on all alike."""
    found: list[list[StepTime]] = [[] for _ in cohorts]
    for cohort in cohorts:
        cohort.one()  # memory is reserved and kernels are chosen in it
    start, clock = time.perf_counter(), BusyClock(cohorts[0].device)
    while len(found[0]) < FEWEST or (len(found[0]) < MOST and time.perf_counter() - start < SECONDS * len(cohorts)):
        for times, cohort in zip(found, cohorts, strict=True):
            times.append(cohort.one())
    slowed = clock.took().slowed  # over all of it: what the system says of its processors is too coarse for one step
    return [
        StepTime(
            statistics.median(each.per_token for each in times) / slowed,
            statistics.median(each.per_step for each in times) / slowed,
            slowed,
        )
        for times in found
    ]


def precision_here(training: dict) -> str | None:
    """Why this machine cannot compute as a recipe's ``training`` says, None where it can: the paper's scale wants a GPU."""
    wanted = "fp16" if training.get("fp16") else "bf16" if training.get("bf16") else "no"
    device = "cpu" if training.get("use_cpu") else device_type()
    return precision_advice(wanted, device, 0) or None


def _arguments(training: dict, folder: str) -> DistillationArguments:
    settings = {key: value for key, value in settings_here(training).items() if key in _KEPT}
    if precision_here(training):
        settings = {key: value for key, value in settings.items() if key not in ("fp16", "bf16", "tf32")}
    return DistillationArguments(output_dir=folder, report_to=[], disable_tqdm=True, warmup_steps=0, **settings)


def _wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


# -- what follows the training --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EvaluationTime:
    """What one evaluation of one student takes.

    Args:
        seconds: of the measures that were timed.
        untimed: names of measures for which there was no time, or no data.
    """

    seconds: float
    untimed: tuple[str, ...] = ()


def stand_in_student(recipe: Recipe, ground: Ground) -> PreTrainedModel:
    """A student of an arm's sizes, to be measured."""
    return make_student(ground.teacher, seed=0, **asdict(recipe.student))[0].eval()


def time_evaluation(
    section: EvaluationSection, student: PreTrainedModel, ground: Ground, budget: float
) -> EvaluationTime:
    """Run the measures of a section but for GLUE, one after the other, until ``budget`` seconds are spent.

    Raises:
        ValueError, FileNotFoundError: a measure whose data are not here.
    """
    others = {name: settings for name, settings in section.measures.items() if name != "glue"}
    quiet = EvaluationSection(**{**asdict(section), "measures": others})
    untimed = []
    with tempfile.TemporaryDirectory() as store, _quiet():
        evaluators = section_evaluators(quiet, store)
        start, clock = time.perf_counter(), BusyClock(student.device)
        for evaluator in evaluators:
            if time.perf_counter() - start >= budget:
                untimed.append(evaluator.measure)
                continue
            try:
                evaluator.run(student, ground.tokenizer)
            except NotApplicable:
                continue
        took = clock.took()
    return EvaluationTime(took.alone, tuple(dict.fromkeys(untimed)))


@dataclass(frozen=True)
class WatchTime:
    """``seconds`` of the measures that are taken of one student at every evaluation during its training."""

    seconds: float


def time_watch(recipe: Recipe, student: PreTrainedModel, ground: Ground) -> WatchTime:
    """See :class:`WatchTime`."""
    with tempfile.TemporaryDirectory() as store, _quiet():
        watch = make_watch(recipe.watch, store)
        if watch is None:
            return WatchTime(0.0)
        clock = BusyClock(student.device)
        watch.measure(student, ground.tokenizer)
        return WatchTime(clock.took().alone)


@dataclass(frozen=True)
class GlueTime:
    """What GLUE takes for one student and one of GLUE's seeds.

    Args:
        tasks: task's name -> seconds with all examples that the settings ask for.
        untimed: tasks for which there was no time; they count as their examples do in the others.
    """

    tasks: Mapping[str, float]
    untimed: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Of all tasks."""
        return sum(self.tasks.values())


def time_glue(settings: dict, student: PreTrainedModel, ground: Ground, budget: float) -> GlueTime:
    """Fine-tune on a few examples of each task, then on a few more: what the further ones took is what all take.

    Args:
        settings: of :class:`evenhand.evaluation.Glue`.
        budget: seconds, after which no further task is timed.

    Raises:
        ValueError, FileNotFoundError: unknown settings, or data that are not here.
    """
    whole, start = Glue(**settings), time.perf_counter()
    limits, rates, untimed = whole.settings(), {}, []
    for task in whole.loaded_data:
        if rates and time.perf_counter() - start >= budget:
            untimed.append(task)
            continue
        few, more = (_glue_seconds(settings, task, n, student, ground) for n in GLUE_EXAMPLES)
        weights = [_glue_weight(whole, task, n, n, 1) for n in GLUE_EXAMPLES]
        # a busy machine can make the few look as slow as the more
        further = (more - few) / max(weights[1] - weights[0], 1e-9)
        rates[task] = further if further > 0 else more / weights[1]
    usual = statistics.mean(rates.values())
    seconds = {
        TASKS[task].name: rates.get(task, usual)
        * _glue_weight(
            whole, task, limits["max_train_samples"].get(task), limits["max_eval_samples"].get(task), whole.epochs
        )
        for task in whole.loaded_data
    }
    return GlueTime(seconds, tuple(TASKS[task].name for task in untimed))


def _glue_seconds(settings: dict, task: str, examples: int, student: PreTrainedModel, ground: Ground) -> float:
    once = {"tasks": [task], "seeds": [0], "epochs": 1, "store": None, "progress": False}
    glue = Glue(**settings | once | {"max_train_samples": {task: examples}, "max_eval_samples": {task: examples}})
    glue.settings()  # the data are read before the clock starts
    clock = BusyClock(student.device)
    with _quiet():
        glue.run(student, ground.tokenizer)
    return clock.took().alone


def _glue_weight(glue: Glue, task: str, trained: int | None, scored: int | None, epochs: int) -> float:
    """Work in training examples; scoring is a forward alone, a third of one. None: all examples."""
    data = glue.loaded_data[task]
    of_dev = sum(min(scored or len(split), len(split)) for split in data.dev.values())
    return epochs * min(trained or len(data.train), len(data.train)) + of_dev / 3


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars of transformers among the plan's own."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
