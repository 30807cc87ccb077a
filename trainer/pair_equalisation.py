"""Pair equalisation (Delobelle & Berendt 2022, FairDistillation): the teacher finds both words of a pair equally likely, everywhere."""

from __future__ import annotations

import math

import torch
from transformers import PreTrainedTokenizerBase

from evenhand.trainer.supervision import MicroBatch, Plan, SupervisionTransform
from evenhand.trainer.word_pairs import CompiledPairs, WordPairs

ON = ("logits", "probabilities")


class PairEqualisation(SupervisionTransform):
    """The two words of each pair get the mean of their teacher logits, or of their probabilities, at every compared position.

    On logits: ``t_i, t_j ← (t_i + t_j) / 2``. Where the two differed, their probabilities together shrink: they get the geometric mean.
    On probabilities: ``p_i, p_j ← (p_i + p_j) / 2`` with ``p = softmax(t/T)``, so their sum and all other words' probabilities stay. As
    the normaliser stays too, that is ``t_i, t_j ← T·log((e^(t_i/T) + e^(t_j/T)) / 2)`` and nothing else of the logits.

    Each form of a word (he, He, …) is equalised with its like. Inputs, hidden states and MLM labels are left alone.

    Args:
        tokenizer: the common tokenizer of student and teacher.
        pairs: the word pairs; default the ten built in.
        on: ``logits`` (default) or ``probabilities``.
        temperature: T of ``on="probabilities"``; the objective's own, so that what the student is compared with is equal. Default 2.
        forms: see :meth:`WordPairs.compile`.
        unequal_pairs: what to do with pairs that are not one token on both sides: ``refuse`` (default) or ``skip``.

    Raises:
        ValueError: an unknown choice, T ≤ 0, a pair of more than one token under ``refuse``, no pair of one token a side.
    """

    name = "pair_equalisation"

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        pairs: WordPairs | None = None,
        *,
        on: str = "logits",
        temperature: float = 2.0,
        forms: str = "variants",
        unequal_pairs: str = "refuse",
    ) -> None:
        if on not in ON:
            raise ValueError(f"equalisation.on must be one of {', '.join(ON)}, not {on!r}.")
        if not 0 < temperature < float("inf"):
            raise ValueError(f"Pair equalisation: the temperature must be above 0, not {temperature}.")
        self.on, self.temperature, self.forms = on, temperature, forms
        self.compiled: CompiledPairs = (pairs or WordPairs.builtin()).compile(
            tokenizer, forms=forms, unequal=unequal_pairs, section="equalisation"
        )
        if self.compiled.multi_token and unequal_pairs == "refuse":
            listed = "; ".join("/".join(pair) for pair in self.compiled.multi_token)
            raise ValueError(
                f"Pairs of words of more than one token cannot be equalised: {listed}. "
                "Remove them or set equalisation.unequal_pairs=skip."
            )
        one_token = self.compiled.patterns.get(1, {}).items()
        both = [(ids[0], twins[0]) for ids, (twins, is_first) in one_token if is_first]
        if not both:
            raise ValueError(
                f"No word pair of {self.compiled.pairs.source} is one token on both sides with this tokenizer, so nothing "
                "can be equalised; give other pairs."
            )
        # columns of the logits: first sides, then their partners in the same order
        self.columns = torch.tensor(both).T.flatten()

    def plan(self, batch: MicroBatch, generator: torch.Generator) -> Plan:
        """Which columns of the logits; the same for every micro-batch."""
        return {"columns": self.columns, "n_rows": len(batch.rows)}

    def teacher_logits(self, logits: torch.Tensor, start: int, plan: Plan) -> torch.Tensor:
        """Both words' entries of each row replaced by what they have in common."""
        columns = plan["columns"]
        first, second = logits.index_select(1, columns).chunk(2, dim=1)
        if self.on == "logits":
            common = (first + second) / 2
        else:
            heat = self.temperature
            common = heat * (torch.logaddexp(first / heat, second / heat) - math.log(2))
        return logits.index_copy(1, columns, torch.cat([common, common], dim=1))

    def counts(self, plan: Plan) -> dict[str, int]:
        """Positions at which the teacher's logits were equalised: all that were compared."""
        return {"equalised_positions": plan["n_rows"]}

    def report(self) -> dict:
        """Every choice of the method and what the pairs became under this tokenizer; ``n_patterns`` counts all equalised forms."""
        pairs = self.compiled.report()
        skipped = [{"pair": pair, "reason": "more than one token"} for pair in pairs["multi_token"]]
        pairs |= {"multi_token": [], "skipped": pairs["skipped"] + skipped, "n_patterns": len(self.columns) // 2}
        of_probabilities = {"temperature": self.temperature} if self.on == "probabilities" else {}
        return {"name": self.name, "on": self.on, **of_probabilities, "forms": self.forms, "pairs": pairs}
