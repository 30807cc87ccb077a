"""What a cell computes: operations counted from the shapes, steps and tokens from its recipes, bytes that it leaves on the disk."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import torch
from transformers import AutoModelForMaskedLM

from evenhand.launch.recipe import TRANSFORMS, Recipe
from evenhand.launch.study.planning.ground import Ground
from evenhand.launch.study.planning.supervision_here import supervision_here
from evenhand.trainer import DistillationObjective, make_student
from evenhand.trainer.arithmetic import BACKWARD, ModelShape, Tokens
from evenhand.trainer.batch_arithmetic import accumulation_steps
from evenhand.trainer.batches import EpochSampler, PaddingCollator
from evenhand.trainer.distillation_step import prepare_micro_batch
from evenhand.trainer.masking import XlmMasking
from evenhand.trainer.randomness import generator_for
from evenhand.trainer.supervision import SupervisionTransform

MICRO_BATCHES = 4
"""Micro-batches of a sample in which operations are counted."""

ADAM_BYTES, WEIGHT_BYTES = 12, 4
"""Of a parameter in a checkpoint (its value and two moments) and in a student, in fp32."""
CHECKPOINTS = 3
"""One being written beside two kept."""


@dataclass(frozen=True)
class ArmWork:
    """One arm's own share of a cell, in operations for each token of its batches.

    Args:
        student: forward and backward of the student.
        targets: products with the vocabulary that the teacher does for this arm alone, at the rows that its transform changes.
        parameters: of the student.
        teacher: the teacher's pass that this arm would need alone.
    """

    student: float
    targets: float
    parameters: int
    teacher: float

    @property
    def own(self) -> float:
        """Everything that no other arm shares."""
        return self.student + self.targets


@dataclass(frozen=True)
class CellWork:
    """A training of one or several arms.

    Args:
        kind: equal for cells whose steps cost the same.
        shared: operations of the teacher that all arms share, for each token: one forward and one for every different twin.
        arms: by name.
        steps: of the optimiser.
        tokens: that each student sees.
        gpus: that share each step's tokens evenly.
    """

    kind: str
    shared: float
    arms: Mapping[str, ArmWork]
    steps: int
    tokens: float
    gpus: int = 1

    @property
    def operations(self) -> float:
        """Of the whole training."""
        return self.tokens * (self.shared + sum(arm.own for arm in self.arms.values()))

    @property
    def parameters(self) -> int:
        """Of all students."""
        return sum(arm.parameters for arm in self.arms.values())

    @property
    def student_bytes(self) -> int:
        """What stays on the disk."""
        return WEIGHT_BYTES * self.parameters

    @property
    def checkpoint_bytes(self) -> int:
        """What is on the disk while it trains, beside the students."""
        return CHECKPOINTS * ADAM_BYTES * self.parameters


def micro_batch_size(recipe: Recipe) -> int:
    """Sequences that one process works on at a time."""
    return int(recipe.training.get("per_device_train_batch_size", 8))


def batch_size(recipe: Recipe, processes: int = 1) -> int:
    """Sequences of one optimiser step, over all processes.

    Raises:
        ValueError: the numbers do not come out even.
    """
    training, at_once = recipe.training, micro_batch_size(recipe)
    asked = training.get("gradient_accumulation_steps", 1)
    effective = training.get("effective_batch_size")
    if effective is None:
        return at_once * processes * asked
    return at_once * processes * accumulation_steps(effective, at_once, processes, asked)


def steps_of(recipe: Recipe, corpus_sequences: float | None, processes: int = 1) -> int:
    """Steps of the optimiser, from ``max_steps`` or the epochs.

    Raises:
        ValueError: epochs of a stream that does not say its size.
    """
    steps = int(recipe.training.get("max_steps", -1))
    if steps > 0:
        return steps
    if corpus_sequences is None:
        raise ValueError("training.max_steps is needed for a corpus of unknown size.")
    epochs = float(recipe.training.get("num_train_epochs", 3))
    return math.ceil(epochs * max(1.0, corpus_sequences / batch_size(recipe, processes)))


class Workload:
    """Counts the work of cells on one ground.

    Args:
        ground: teacher, tokenizer and text of the scale.
        processes: that a training of this scale has: an optimiser step has the micro-batches of all.
        gpus: of this machine that they run on; 1 also without any.
    """

    def __init__(self, ground: Ground, processes: int = 1, gpus: int = 1) -> None:
        self.ground, self.processes, self.gpus = ground, processes, gpus
        self.teacher = ModelShape.of(ground.teacher.config)
        self._students: dict[str, tuple[ModelShape, int]] = {}

    @cached_property
    def _meta_teacher(self):
        with torch.device("meta"):
            return AutoModelForMaskedLM.from_config(self.ground.teacher.config)

    def _masking(self, training: dict) -> XlmMasking:
        tokenizer, counts = self.ground.tokenizer, self.ground.token_counts
        settings = {
            key.removeprefix("mlm_"): training[key] for key in ("mlm_probability", "mlm_smoothing") if key in training
        }
        return XlmMasking(counts, tokenizer.mask_token_id, tokenizer.all_special_ids, **settings)

    def kind(self, recipes: Mapping[str, Recipe]) -> str:
        """Hash of all that a step's cost depends on, but for the machine: equal for the same arms with other seeds."""
        arms = sorted(json.dumps(_cost(recipe), sort_keys=True) for recipe in recipes.values())
        some = next(iter(recipes.values()))
        settings = {
            "teacher": asdict(self.teacher),
            "max_length": some.corpus.max_length,
            "micro_batch": micro_batch_size(some),
            "batch": batch_size(some, self.processes),
            "training": {key: some.training.get(key) for key in _SPEED_KEYS},
        }
        return hashlib.sha256(json.dumps([arms, settings], sort_keys=True).encode()).hexdigest()

    def cell(self, recipes: Mapping[str, Recipe]) -> CellWork:
        """The work of one training of these arms.

        Raises:
            ValueError, FileNotFoundError: a student or a transform that cannot be made, naming the arm.
        """
        some = next(iter(recipes.values()))
        steps = steps_of(some, self.ground.sequences_of(some.corpus), self.processes)
        batches = self.micro_batches(some)[:MICRO_BATCHES]
        tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
        arms: dict[str, ArmWork] = {}
        prepared: dict[str, list[dict]] = {}
        for name, recipe in recipes.items():
            try:
                supervision = supervision_here(recipe, self.ground)
                shape, parameters = self.student(recipe)
            except (ValueError, FileNotFoundError) as error:
                raise type(error)(f"Arm {name}: {error}") from None
            prepared[name] = [
                self._prepared(batch, recipe, supervision, number) for number, batch in enumerate(batches)
            ]
            own = sum(self._own(shape, ready) for ready in prepared[name])
            targets = sum(self.teacher.decoder(_rows_of_twins(ready)) for ready in prepared[name])
            alone = sum(self._shared([ready], [recipe.objective]) for ready in prepared[name])
            arms[name] = ArmWork(own / tokens, targets / tokens, parameters, alone / tokens)
        objectives = [recipe.objective for recipe in recipes.values()]
        shared = sum(self._shared(of_batch, objectives) for of_batch in zip(*prepared.values(), strict=True))
        seen = self.ground.mean_length * steps * batch_size(some, self.processes)
        return CellWork(self.kind(recipes), shared / tokens, arms, steps, seen, self.gpus)

    def student(self, recipe: Recipe) -> tuple[ModelShape, int]:
        """Sizes of an arm's student, and its parameters; no weight is made."""
        key = json.dumps(asdict(recipe.student), sort_keys=True)
        if key not in self._students:
            with torch.device("meta"):
                student, _ = make_student(self._meta_teacher, seed=0, **asdict(recipe.student))
            self._students[key] = ModelShape.of(student.config), student.num_parameters()
        return self._students[key]

    def micro_batches(self, recipe: Recipe) -> list[dict]:
        """Padded micro-batches of the sample as the trainer would put them together, those of a usual number of tokens first."""
        sequences, size = self.ground.sequences, micro_batch_size(recipe)
        grouped = recipe.training.get("train_sampling_strategy") == "group_by_length"
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        sampler = EpochSampler(len(sequences), 0, lengths if grouped else None, batch_size(recipe, self.processes))
        order = [*sampler] * math.ceil(size / len(sequences))  # a text of fewer sequences than a batch is repeated
        rows = [order[start : start + size] for start in range(0, len(order) - size + 1, size)]
        mean = size * self.ground.mean_length
        rows.sort(key=lambda row: abs(int(lengths[row].sum()) - mean))
        collate = PaddingCollator(self.ground.tokenizer.pad_token_id)
        return [collate([{"input_ids": sequences[i]} for i in row]) for row in rows[: 4 * MICRO_BATCHES]]

    # -- operations of one micro-batch ----------------------------------------------------------------------------

    def _prepared(self, batch: dict, recipe: Recipe, supervision: SupervisionTransform, number: int) -> dict:
        masking = self._masking(recipe.training)
        generators = (generator_for(what, "plan", number) for what in ("masks", "supervision"))
        return prepare_micro_batch(dict(batch), masking, recipe.objective, supervision, *generators)

    def _own(self, shape: ModelShape, ready: dict) -> float:
        """Forward and backward of the student."""
        rows = len(ready["rows"])
        return (1 + BACKWARD) * (shape.body(_lengths([ready])) + shape.transform(rows) + shape.decoder(rows))

    def _shared(self, of_arms: Sequence[dict], objectives: Sequence[DistillationObjective]) -> float:
        """The teacher's pass, its head at the most rows that an arm compares, and every different twin once."""
        needing = [ready for ready, each in zip(of_arms, objectives, strict=True) if each.needs_teacher]
        if not needing:
            return 0.0
        rows = [len(ready["rows"]) for ready, each in zip(of_arms, objectives, strict=True) if each.compares_logits]
        total = self.teacher.body(_lengths(needing[:1]))
        total += self.teacher.transform(max(rows, default=0)) + self.teacher.decoder(max(rows, default=0))
        twins = {
            ready["plan"]["twin_input_ids"].numpy().tobytes(): ready
            for ready in needing
            if "twin_input_ids" in ready["plan"]
        }
        for ready in twins.values():
            mask = ready["plan"]["twin_attention_mask"]
            total += self.teacher.body(_lengths([{"attention_mask": mask}]))
            total += self.teacher.transform(_rows_of_twins(ready))
        return total


_SPEED_KEYS = [
    "train_sampling_strategy",
    "fp16",
    "bf16",
    "tf32",
    "optim",
    "torch_compile",
    "gradient_checkpointing",
    "head_chunk_size",
    "length_pieces",
    "teacher_dtype",
    "use_cpu",
    "mlm_probability",
]
"""Of a recipe's ``training``: what the time of a step depends on, beside its batch."""


def _cost(recipe: Recipe) -> dict:
    """What of an arm its cost depends on: the student, which terms there are and where, and its transform."""
    objective = recipe.objective
    return {
        "student": asdict(recipe.student),
        "terms": [name for name, alpha in objective.weights.items() if alpha > 0],
        "positions": objective.ce_positions,
        "transforms": {name: asdict(getattr(recipe, name)) for name in TRANSFORMS if getattr(recipe, name).enabled},
    }


def _rows_of_twins(ready: dict) -> int:
    """Positions whose teacher logits come from a second view of the sentence."""
    plan = ready["plan"]
    return len(plan["row_index"]) if "twin_input_ids" in plan and "row_index" in plan else 0


def _lengths(batches: Sequence[dict]) -> Tokens:
    """Real tokens of padded batches."""
    return Tokens.of(length for batch in batches for length in batch["attention_mask"].sum(1).tolist())
