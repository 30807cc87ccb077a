"""Teacher, student and batches of BERT-base's shape for the benchmarks, with random weights: speed does not depend on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

from evenhand.trainer import make_student
from evenhand.trainer.batches import EpochSampler

PAIR_WORDS = [
    "man",
    "woman",
    "boy",
    "girl",
    "he",
    "she",
    "father",
    "mother",
    "son",
    "daughter",
    "guy",
    "gal",
    "male",
    "female",
    "his",
    "her",
    "himself",
    "herself",
    "john",
    "mary",
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
FIRST_PAIR_WORD, FIRST_OTHER = len(SPECIAL), len(SPECIAL) + len(PAIR_WORDS)
NATURAL = json.loads(Path(__file__).with_name("natural_lengths.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Shape:
    """Sizes of a benchmark; the defaults are those of the bars."""

    width: int = 768
    heads: int = 12
    teacher_layers: int = 12
    student_layers: int = 6
    vocabulary: int = 30_522
    batch: int = 32
    length: int = 128

    def __str__(self) -> str:
        layers = f"{self.teacher_layers} → {self.student_layers} layers"
        return f"BERT {self.width} wide, {layers}, {self.vocabulary:,} words, batch {self.batch}×{self.length}"


def tokenizer(shape: Shape) -> BertTokenizerFast:
    """A vocabulary of the shape's size in which the ten pairs are words."""
    words = [*SPECIAL, *PAIR_WORDS, *(f"word{i}" for i in range(shape.vocabulary - FIRST_OTHER))]
    return BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}, do_lower_case=True)


def models(shape: Shape, students: int = 1) -> tuple[BertForMaskedLM, list[BertForMaskedLM]]:
    """A teacher and equal students of half its layers, without dropout, so that two ways to compute a step give one loss."""
    config = BertConfig(
        vocab_size=shape.vocabulary, hidden_size=shape.width, num_hidden_layers=shape.teacher_layers,
        num_attention_heads=shape.heads, intermediate_size=4 * shape.width, max_position_embeddings=max(512, shape.length),
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        teacher = BertForMaskedLM(config)
    return teacher, [make_student(teacher, layers=shape.student_layers)[0] for _ in range(students)]


def full_batches(shape: Shape, number: int) -> list[dict]:
    """Batches without padding."""
    return [_batch([shape.length] * shape.batch, shape, seed) for seed in range(number)]


def natural_batches(shape: Shape, number: int, grouped: bool = False) -> list[dict]:
    """Batches of the lengths of real text (the corpus of the recipe minilm_cpu), in random order or as ``group_by_length`` puts them."""
    generator = torch.Generator().manual_seed(1)
    values = torch.tensor([min(int(length), shape.length) for length in NATURAL["lengths"]])
    drawn = torch.multinomial(
        torch.tensor(list(NATURAL["lengths"].values())).double(),
        shape.batch * EpochSampler.POOL,
        True,
        generator=generator,
    )
    lengths = values[drawn]
    order = list(EpochSampler(len(lengths), 0, lengths if grouped else None, shape.batch))
    return [
        _batch(lengths[order[i * shape.batch : (i + 1) * shape.batch]].tolist(), shape, seed)
        for i, seed in enumerate(range(number))
    ]


def _batch(lengths: list[int], shape: Shape, seed: int) -> dict:
    """Random words, words of pairs as often as in the real text; specials at both ends."""
    generator = torch.Generator().manual_seed(seed)
    size = len(lengths), max(lengths)
    ids = torch.randint(FIRST_OTHER, shape.vocabulary, size, generator=generator)
    paired = torch.rand(size, generator=generator) < NATURAL["pair_words_per_token"]
    ids[paired] = torch.randint(FIRST_PAIR_WORD, FIRST_OTHER, (int(paired.sum()),), generator=generator)
    real = torch.tensor(lengths).unsqueeze(1)
    place = torch.arange(size[1])
    ids[:, 0] = SPECIAL.index("[CLS]")
    ids[(place == real - 1).expand(size)] = SPECIAL.index("[SEP]")
    mask = (place < real).long()
    return {"input_ids": ids * mask, "attention_mask": mask}
