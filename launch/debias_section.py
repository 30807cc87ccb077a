"""The recipe's section on debiasing the teacher; ``evenhand debias-teacher`` alone reads it."""

from __future__ import annotations

from dataclasses import dataclass

LAYERS = ("all", "first", "last")


@dataclass(frozen=True)
class DebiasSection:
    """Context-debias (Kaneko & Bollegala 2021, "Debiasing Pre-trained Contextualised Embeddings") at the level of tokens.

    The section decides a teacher, not a student: a student depends on the teacher that its recipe names.

    Args:
        alpha: weight of the projection on the attribute vectors. Default .2, as in the paper.
        beta: weight of the drift from the teacher as it was. Default .8, as in the paper.
        layers: whose hidden states both terms see: ``all`` layers (default, the paper's best), the ``first`` or the ``last``.
        learning_rate: of AdamW, decaying linearly to 0. Default 5e-5.
        batch_size: sentences of one optimiser step, of all kinds together. Default 32.
        micro_batch_size: sentences of one forward, where a step does not fit the memory; it changes the dropout alone. Default: all of the step.
        epochs: passes over the sentences; the teacher is the one of the pass with the lowest dev loss. Default 3.
        seed: of the choice of sentences, their order and dropout. Default 0.
        max_sentences: at most so many of each kind (male, female, stereotype). Default 20,000.
        dev_fraction: share of them for the dev loss. Default .1.
        male_words, female_words: ``builtin``, a file with one word a line, or the words. stereotype_words: likewise; words whose
            hidden states are to carry no attribute.

    Raises:
        ValueError: a value out of its range.
    """

    alpha: float = 0.2
    beta: float = 0.8
    layers: str = "all"
    learning_rate: float = 5e-5
    batch_size: int = 32
    micro_batch_size: int | None = None
    epochs: int = 3
    seed: int = 0
    max_sentences: int = 20_000
    dev_fraction: float = 0.1
    male_words: str | list[str] = "builtin"
    female_words: str | list[str] = "builtin"
    stereotype_words: str | list[str] = "builtin"

    def __post_init__(self) -> None:
        if self.layers not in LAYERS:
            raise ValueError(f"debias.layers must be one of {', '.join(LAYERS)}, not {self.layers!r}.")
        for name in ("alpha", "beta"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"debias.{name} must be a number of at least 0, not {getattr(self, name)}.")
        if self.alpha == 0:
            raise ValueError("debias.alpha is 0, so nothing would be debiased; the paper has 0.2.")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"debias.learning_rate must be above 0, not {self.learning_rate}.")
        for name in ("batch_size", "epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"debias.{name} must be at least 1, not {getattr(self, name)}.")
        if self.max_sentences < 2:
            raise ValueError(
                f"debias.max_sentences must be at least 2, one to train on and one for the dev loss, not {self.max_sentences}."
            )
        if not 0 < self.dev_fraction <= 0.5:
            raise ValueError(f"debias.dev_fraction must be above 0 and at most 0.5, not {self.dev_fraction}.")
        micro = self.micro_batch_size
        if micro is not None and (micro < 1 or self.batch_size % micro):
            raise ValueError(f"debias.micro_batch_size must divide debias.batch_size ({self.batch_size}), not {micro}.")
