"""A distillation small enough to be run many times in a test: 16 wide, 2 layers, under 100 tokens.

Also used by scripts that run in processes of their own, so nothing here may depend on pytest.
"""

from __future__ import annotations

import random

import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast, TrainerCallback

from evenhand.trainer import (
    DistillationArguments,
    DistillationObjective,
    DistillationTrainer,
    GenderMixup,
    make_student,
)
from evenhand.trainer.masking import IGNORED, CorruptedBatch
from evenhand.trainer.randomness import derive_seed

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAIR_WORDS = ["he", "she", "man", "woman", "boy", "girl", "father", "mother", "his", "her"]
OTHER_WORDS = [
    "the",
    "a",
    "nurse",
    "doctor",
    "engineer",
    "teacher",
    "said",
    "that",
    "is",
    "was",
    "went",
    "to",
    "home",
    "work",
    "school",
    "and",
    "saw",
    "big",
    "red",
    "old",
    "house",
    "dog",
    "cat",
    "tree",
    "river",
    "with",
    "from",
    "into",
    "over",
    "under",
    "slowly",
    "quickly",
    "every",
    "day",
    "some",
    "people",
    "walked",
    "read",
    "wrote",
    "book",
    "letter",
    "city",
    ".",
]
VOCABULARY = [*SPECIAL, *PAIR_WORDS, *OTHER_WORDS]
ALL_TERMS = DistillationObjective(alpha_ce=5.0, alpha_mlm=2.0, alpha_cos=1.0, alpha_mse=0.02)


def tiny_tokenizer() -> BertTokenizerFast:
    return BertTokenizerFast(
        vocab={token: i for i, token in enumerate(VOCABULARY)}, do_lower_case=True, model_max_length=32
    )


def tiny_teacher(dropout: float = 0.0, hidden_size: int = 16) -> BertForMaskedLM:
    """Weights of a large spread, so that teacher and student disagree and no loss term is near 0."""
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=hidden_size, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, initializer_range=0.3, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return BertForMaskedLM(config)


def tiny_dataset(size: int, seed: int = 0, longest: int = 20, words=(PAIR_WORDS, OTHER_WORDS)) -> list[dict]:
    """Sentences of 3 to ``longest`` words, about every fourth one a word of a pair."""
    draw, vocabulary = random.Random(seed), {token: i for i, token in enumerate(VOCABULARY)}
    rows = []
    for _ in range(size):
        text = [draw.choice(words[0] if draw.random() < 0.25 else words[1]) for _ in range(draw.randint(3, longest))]
        rows.append({"input_ids": [vocabulary[word] for word in ("[CLS]", *text, "[SEP]")]})
    return rows


class ContentMasking:
    """Masks that depend on the sentence alone: the same however sentences are put into batches.

    ``spared`` sentences (by their length) get no target at all.
    """

    def __init__(self, spared=lambda length: False) -> None:
        self.spared = spared

    def corrupt(self, input_ids, attention_mask, generator) -> CorruptedBatch:
        corrupted, labels = input_ids.clone(), torch.full_like(input_ids, IGNORED)
        for row, n in enumerate(attention_mask.sum(1).tolist()):
            if self.spared(n):
                continue
            draw = random.Random(derive_seed("mask", *input_ids[row, :n].tolist()))
            for position in draw.sample(range(1, n - 1), 1 + n // 5):
                labels[row, position] = input_ids[row, position]
                corrupted[row, position] = draw.choice([VOCABULARY.index("[MASK]"), draw.randrange(5, len(VOCABULARY))])
        return CorruptedBatch(corrupted, labels)


class ContentMixup(GenderMixup):
    """λ of a word depends on its sentence and its place in it alone."""

    def draw_lambda(self, found, batch, generator):
        length = batch.input_ids.shape[1]
        places = zip(found.sequence.tolist(), (found.positions % length).tolist(), strict=True)
        real = batch.attention_mask.sum(1).tolist()
        seeds = [derive_seed(place, *batch.original_ids[row, : real[row]].tolist()) for row, place in places]
        return torch.tensor([random.Random(seed).betavariate(0.4, 0.4) for seed in seeds], dtype=torch.float32)


class FirstGradients(TrainerCallback):
    """Keeps the gradients of the first optimiser step."""

    def __init__(self) -> None:
        self.gradients: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs) -> None:
        if state.global_step == 0:
            self.gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def tiny_arguments(output_dir, **changes) -> DistillationArguments:
    settings = {
        "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "per_device_eval_batch_size": 3, "learning_rate": 2e-3,
        "max_grad_norm": 1e9, "logging_steps": 1, "save_strategy": "no", "use_cpu": True, "disable_tqdm": True, "report_to": [],
        "seed": 3, "mlm_probability": 0.25,
    }  # fmt: skip
    return DistillationArguments(output_dir=str(output_dir), **settings | changes)


def tiny_trainer(output_dir, *, dropout: float = 0.0, trainer_class=DistillationTrainer, arguments=None, **parts):
    """A trainer with all four terms and the mixup on; ``arguments`` change :func:`tiny_arguments`, ``parts`` the trainer's own."""
    tokenizer, teacher = tiny_tokenizer(), tiny_teacher(dropout)
    student, _ = make_student(teacher, layers=2, family="distilbert", initialisation="random", seed=7)
    defaults = {
        "objective": ALL_TERMS, "supervision": GenderMixup(tokenizer, unequal_pairs="skip"), "train_dataset": tiny_dataset(40),
        "processing_class": tokenizer, "teacher_processing_class": tokenizer,
    }  # fmt: skip
    args = tiny_arguments(output_dir, **arguments or {})
    return trainer_class(student, teacher, args, **defaults | parts)


def split_run(output_dir, batch_size: int, accumulation: int, **parts) -> dict:
    """Ten steps of effective batch 8, with everything random fixed per sentence: first gradients, and the log of each step."""
    seen = FirstGradients()
    parts = {"masking": ContentMasking(), "supervision": ContentMixup(tiny_tokenizer())} | parts
    arguments = {
        "per_device_train_batch_size": batch_size,
        "gradient_accumulation_steps": accumulation,
        "max_steps": 10,
    }
    trainer = tiny_trainer(output_dir, arguments=arguments, callbacks=[seen], **parts)
    trainer.train()
    return {"gradients": seen.gradients, "losses": losses_of(trainer), "counts": trainer.total_counts()}


def losses_of(trainer) -> list[dict[str, float]]:
    """The losses, terms and gradient norms that were logged."""
    kept = ("step", "loss", "ce", "mlm", "cos", "mse", "grad_norm")
    return [{name: entry[name] for name in kept} for entry in trainer.state.log_history if "loss" in entry]


def equality_of(whole, resumed) -> dict:
    """Whether a resumed trainer ended as the uninterrupted one: weights, log, counts; and how many steps were logged and taken."""
    pairs = zip(whole.model.state_dict().values(), resumed.model.state_dict().values(), strict=True)
    return {
        "student": all(torch.equal(one, other) for one, other in pairs),
        "losses": losses_of(whole) == losses_of(resumed),
        "counts": whole.total_counts() == resumed.total_counts(),
        "steps": (len(losses_of(whole)), whole.state.global_step),
    }


def largest_difference(one: dict, other: dict) -> float:
    """Largest difference between two runs of :func:`split_run`: of gradients, relative to the largest; of logs, relative."""
    assert one["gradients"].keys() == other["gradients"].keys()
    assert len(one["losses"]) == len(other["losses"]) == 10
    size = max(float(g.abs().max()) for g in one["gradients"].values())
    differences = [float((g - other["gradients"][name]).abs().max()) / size for name, g in one["gradients"].items()]
    for mine, its in zip(one["losses"], other["losses"], strict=True):
        differences += [abs(mine[name] - its[name]) / max(abs(mine[name]), 1) for name in mine]
    return max(differences)
