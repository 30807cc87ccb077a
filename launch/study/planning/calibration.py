"""Real steps, evaluations and fine-tunings of a study's sizes, timed on this machine: minutes at most, before anything is trained."""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from transformers import PreTrainedModel

from evenhand.launch.process_group import settings_here
from evenhand.launch.recipe import Recipe
from evenhand.launch.study.planning.busy_clock import BusyClock
from evenhand.launch.study.planning.ground import Ground
from evenhand.launch.study.planning.supervision_here import supervision_here
from evenhand.trainer import Arm, CohortTrainer, DistillationArguments, make_student
from evenhand.trainer.device_support import device_type, precision_advice
from evenhand.trainer.mlm_head import MLM_ONLY

FEWEST, MOST = 2, 5
"""Micro-batches that are timed, after one that warms up; of those that take long a single one."""
SECONDS = 4.0
"""After which no further micro-batch of a composition is timed."""

_KEPT = frozenset(
    [
        "per_device_train_batch_size",
        "optim",
        "use_cpu",
        "fp16",
        "bf16",
        "tf32",
        "gradient_checkpointing",
        "max_grad_norm",
        "mlm_probability",
        "mlm_smoothing",
        "teacher_dtype",
        "freeze_position_embeddings",
        "head_chunk_size",
        "length_pieces",
    ]
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
    clock = BusyClock(cohorts[0].device)
    for cohort in cohorts:
        cohort.one()  # memory is reserved and kernels are chosen in it
    fewest = FEWEST if clock.spent() < SECONDS * len(cohorts) else 1
    clock = BusyClock(cohorts[0].device)
    while len(found[0]) < fewest or (len(found[0]) < MOST and clock.spent() < SECONDS * len(cohorts)):
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
