"""A teacher with a smaller vocabulary: the head's work falls with it, which on a CPU is most of a distillation's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from transformers import BertTokenizerFast, PreTrainedModel, PreTrainedTokenizerBase

from evenhand.trainer.teacher import LoadedTeacher

CONTINUATION = "##"
PRUNED_FILE = "evenhand_pruned_vocabulary.json"


def prune_vocabulary(
    teacher: LoadedTeacher, token_counts: torch.Tensor, size: int, also: Iterable[str] = ()
) -> tuple[PreTrainedModel, BertTokenizerFast, dict]:
    """The teacher's encoder and a WordPiece tokenizer with ``size`` of its pieces; a word that lost its own piece is spelled with shorter ones.

    Kept are the special tokens, all single ASCII characters and their continuations (so that no ASCII word is unknown), the pieces of ``also``,
    and then those that the corpus uses most. Rows of the word embeddings are taken over, everything else is as it was.

    Args:
        teacher: a BERT encoder with a WordPiece tokenizer; its masked-LM head, if any, is not kept.
        token_counts: ``(vocab_size,)`` counts of each piece in the corpus.
        size: pieces of the new vocabulary.
        also: texts whose pieces are kept whatever their count, e.g. a measure's sentences.

    Returns:
        The encoder (a new object), the tokenizer, and facts: ``vocabulary``, ``of`` (the old size), ``coverage`` (share of the corpus's pieces that are
        kept).

    Raises:
        ValueError: the tokenizer is not WordPiece, or ``size`` is too small for what must be kept, or not smaller than the vocabulary.
    """
    tokenizer = teacher.tokenizer
    vocabulary = tokenizer.get_vocab()
    model_type = type(getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)).__name__
    if model_type != "WordPiece":
        raise ValueError(f"Only a WordPiece vocabulary can be cut down, and {teacher.path} has {model_type}.")
    needed = set(tokenizer.all_special_ids)
    needed |= {i for piece, i in vocabulary.items() if piece.isascii() and len(piece.removeprefix(CONTINUATION)) == 1}
    for text in also:
        needed.update(tokenizer(text, add_special_tokens=False)["input_ids"])
    if not len(needed) <= size < len(vocabulary):
        raise ValueError(
            f"A vocabulary of {size} pieces is not possible: {len(needed)} must be kept, and {teacher.path} has {len(vocabulary)}."
        )
    by_count = sorted(vocabulary.values(), key=lambda i: (-int(token_counts[i]), i))
    kept = sorted([*needed, *[i for i in by_count if i not in needed][: size - len(needed)]])
    pieces = {i: piece for piece, i in vocabulary.items()}
    new = BertTokenizerFast(
        vocab={pieces[i]: index for index, i in enumerate(kept)},
        do_lower_case=_lower_cases(tokenizer),
        model_max_length=tokenizer.model_max_length,
    )
    encoder = teacher.model.base_model
    rows = encoder.get_input_embeddings().weight.detach()[kept].clone()
    encoder.resize_token_embeddings(len(kept))
    with torch.no_grad():
        encoder.get_input_embeddings().weight.copy_(rows)
    encoder.config.pad_token_id = new.pad_token_id
    coverage = float(token_counts[kept].sum() / token_counts.sum().clamp(min=1))
    return encoder, new, {"vocabulary": len(kept), "of": len(vocabulary), "coverage": coverage}


def _lower_cases(tokenizer: PreTrainedTokenizerBase) -> bool:
    normalizer = tokenizer.backend_tokenizer.normalizer
    return normalizer is not None and normalizer.normalize_str("A") == "a"


def read_pruned_facts(path: str) -> dict | None:
    """What was done to the vocabulary of the encoder at ``path``: ``teacher`` (whose it is), ``origin`` and sizes; None if nothing was."""
    file = Path(path) / PRUNED_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def pruned_card(original: str, licence: str | None, facts: dict) -> str:
    """README.md of the pruned encoder: where it comes from, and its licence as the original's own card states it."""
    stated = f"license: {licence}\n" if licence else ""
    return (
        f"---\n{stated}---\n\n# Encoder of {Path(original).name}, vocabulary cut down\n\nThe encoder of {original} with {facts['vocabulary']:,} of its "
        f"{facts['of']:,} word pieces, those that a corpus uses most ({100 * facts['coverage']:.1f} % of its pieces). No weight was trained.\n"
    )
