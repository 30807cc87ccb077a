"""Gender mixup (Ahn et al. 2022, section 4): at words of a pair, student inputs and teacher targets of both sides are mixed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from transformers import PreTrainedTokenizerBase

from evenhand.trainer.changed_rows import ChangedRows
from evenhand.trainer.mlm_parts import Encoded
from evenhand.trainer.supervision import MicroBatch, Plan, SupervisionTransform, TeacherForward, TeacherSignals
from evenhand.trainer.twin_sentences import twin_plan
from evenhand.trainer.word_pairs import CompiledPairs, Occurrences, WordPairs

MIXABLE = ("student_inputs", "teacher_logits", "teacher_hidden")
_CHOICES = {
    "second_view": ("twin", "vocabulary"),
    "granularity": ("occurrence", "sequence", "batch"),
    "words": ("corrupted", "original"),
}


class GenderMixup(SupervisionTransform):
    """``x̄ = λ·x_male + (1−λ)·x_female`` for the student, ``ȳ = λ·y_male + (1−λ)·y_female`` for the teacher, λ ~ Beta(α, α).

    It is no augmentation: the batch keeps its size and the MLM labels stay hard. The defaults are the proposed method;
    the other values of ``mix`` are the rows of the paper's Table 2.

    Args:
        tokenizer: the common tokenizer of student and teacher.
        pairs: the word pairs; default the ten built in. Any two-sided attribute works.
        mix: any subset of ``student_inputs`` (word-embedding rows, before position and LayerNorm), ``teacher_logits`` (before
            temperature and softmax), ``teacher_hidden`` (the target of L_cos). Default: the first two.
        second_view: where the teacher's other view comes from. ``twin`` (default): a second forward of the sentence with every
            pair word swapped at once, after corruption, only for sequences that need it; ``vocabulary``: no second forward, the
            two words' entries of the logit vector exchange places (the reading of Delobelle & Berendt 2022).
        alpha: of Beta(α, α). Default .4.
        granularity: one λ per ``occurrence`` (default), ``sequence`` or ``batch``; always shared by x and y.
        words: ``corrupted`` (default): a position counts by its id after corruption, so a masked word is not mixed and a random id
            that is a pair's word is; ``original``: by the text's id, the masked word is mixed too.
        forms: see :meth:`WordPairs.compile`.
        unequal_pairs: see :meth:`WordPairs.compile`.

    Raises:
        ValueError: an unknown choice, an empty ``mix``, α ≤ 0, ``teacher_hidden`` with the vocabulary view.
    """

    name = "gender_mixup"

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        pairs: WordPairs | None = None,
        *,
        mix: Iterable[str] = ("student_inputs", "teacher_logits"),
        second_view: str = "twin",
        alpha: float = 0.4,
        granularity: str = "occurrence",
        words: str = "corrupted",
        forms: str = "variants",
        unequal_pairs: str = "refuse",
    ) -> None:
        self.mix = tuple(name for name in MIXABLE if name in set(mix))
        unknown = set(mix) - set(MIXABLE)
        if unknown or not self.mix:
            raise ValueError(f"mixup.mix must name some of {', '.join(MIXABLE)}, not {sorted(unknown) or 'nothing'}.")
        for name, value in (("second_view", second_view), ("granularity", granularity), ("words", words)):
            if value not in _CHOICES[name]:
                raise ValueError(f"mixup.{name} must be one of {', '.join(_CHOICES[name])}, not {value!r}.")
        if not 0 < alpha < float("inf"):
            raise ValueError(f"mixup.alpha must be above 0, not {alpha}.")
        if second_view == "vocabulary" and "teacher_hidden" in self.mix:
            raise ValueError(
                "mixup.mix=teacher_hidden needs the twin sentence; second_view=vocabulary has no hidden states."
            )
        self.second_view, self.alpha, self.granularity, self.words = second_view, alpha, granularity, words
        self.forms = forms
        self.compiled: CompiledPairs = (pairs or WordPairs.builtin()).compile(
            tokenizer, forms=forms, unequal=unequal_pairs
        )

    # -- what happens to a micro-batch -----------------------------------------------------------------------------

    def plan(self, batch: MicroBatch, generator: torch.Generator) -> Plan:
        """Positions of pair words, their twins, and the weight of the observed side at each (λ or 1 − λ)."""
        sought = batch.input_ids if self.words == "corrupted" else batch.original_ids
        found = self.compiled.occurrences(sought, batch.original_ids, batch.attention_mask)
        lam = self.draw_lambda(found, batch, generator)
        plan = {
            "positions": found.positions,
            "observed_ids": sought.flatten()[found.positions],
            "twin_ids": found.twin_ids,
            "is_first": found.is_first,
            "observed_weight": torch.where(found.is_first, lam, 1 - lam),
            "lambda": lam,
            "sequences": found.sequence.unique(),
            # with words=original a masked word counts as one, but its input is [MASK] on both sides
            "visible": (batch.input_ids.flatten()[found.positions] == sought.flatten()[found.positions])
            .nonzero()
            .flatten(),
        }
        if "teacher_logits" in self.mix:
            plan |= _index_within(batch.rows, found.positions, "row")
            plan["row_index_on_host"] = plan["row_index"].numpy()  # read without waiting for the device
        if "teacher_hidden" in self.mix:
            plan |= _index_within(batch.attended, found.positions, "hidden")
        if self.second_view == "twin":
            plan |= self._twin_plan(batch, found, plan)
        return plan

    def draw_lambda(self, found: Occurrences, batch: MicroBatch, generator: torch.Generator) -> torch.Tensor:
        """λ ~ Beta(α, α) of each position ``(n,)``; the positions of one word share it."""
        of = {"occurrence": found.word, "sequence": found.sequence, "batch": torch.zeros_like(found.word)}
        size = {"occurrence": found.n_words, "sequence": len(batch.input_ids), "batch": 1}[self.granularity]
        seed = int(
            torch.randint(2**63 - 1, (1,), generator=generator)
        )  # torch draws no Beta from a generator of its own
        lam = np.random.default_rng(seed).beta(self.alpha, self.alpha, size)
        return torch.from_numpy(lam).float()[of[self.granularity]]

    def _twin_plan(self, batch: MicroBatch, found: Occurrences, plan: Plan) -> Plan:
        """The sequences that need a second teacher forward, with the pair words swapped."""
        wanted = torch.zeros(len(found.positions), dtype=torch.bool)
        for index in ("row_of", "hidden_of"):
            if index in plan:
                wanted[plan[index]] = True
        visible, sequences = plan["visible"], found.sequence[wanted].unique()
        twins = twin_plan(batch, found.positions[visible], found.twin_ids[visible], sequences, found.positions[wanted])
        positions = torch.full_like(found.positions, -1)
        positions[wanted] = twins.pop("twin_places")
        return twins | {"twin_positions": positions}

    @property
    def changes_student_embeddings(self) -> bool:
        """Only where the inputs are mixed."""
        return "student_inputs" in self.mix

    # -- the three hooks -------------------------------------------------------------------------------------------

    def student_embeddings(self, embeddings: torch.Tensor, table: torch.Tensor, plan: Plan) -> torch.Tensor:
        """x̄ at pair words, elsewhere x; the gradient reaches both word rows."""
        visible = plan["visible"]
        if "student_inputs" not in self.mix or len(visible) == 0:
            return embeddings
        flat = embeddings.flatten(0, 1)
        weight = plan["observed_weight"][visible].to(flat.dtype).unsqueeze(1)
        observed = F.embedding(plan["observed_ids"][visible], table)
        mixed = weight * observed + (1 - weight) * F.embedding(plan["twin_ids"][visible], table)
        return flat.index_copy(0, plan["positions"][visible], mixed.to(flat.dtype)).view_as(embeddings)

    def teacher_signals(self, signals: TeacherSignals, plan: Plan, encode: TeacherForward, head_rows) -> TeacherSignals:
        """ȳ through the decoder's inputs, and the mixed hidden target where asked for."""
        rows = signals.head_rows is not None and "row_of" in plan
        hidden = signals.hidden is not None and "hidden_of" in plan
        if self.second_view != "twin" or not (rows or hidden) or len(plan["twin_input_ids"]) == 0:
            return signals
        twin: Encoded = encode(plan["twin_input_ids"], plan["twin_attention_mask"], plan["twin_pieces"])
        if rows:
            other = head_rows(twin, plan["twin_positions"][plan["row_of"]])
            signals.head_rows = self._mix(signals.head_rows, other, plan["row_index"], plan, "row_of")
            signals.changed_rows = ChangedRows(plan["row_index"], plan["row_index_on_host"])
        if hidden:
            other = twin.hidden[plan["twin_positions"][plan["hidden_of"]]]
            signals.hidden = self._mix(signals.hidden, other, plan["hidden_index"], plan, "hidden_of")
        return signals

    def teacher_logits(self, logits: torch.Tensor, start: int, plan: Plan) -> torch.Tensor:
        """Vocabulary view: at a pair word, y of the other side is y with the two words' entries exchanged."""
        if self.second_view != "vocabulary" or "row_index" not in plan:
            return logits
        first, last = np.searchsorted(plan["row_index_on_host"], (start, start + len(logits)))
        rows, chosen = plan["row_index"][first:last] - start, plan["row_of"][first:last]
        observed, twin = plan["observed_ids"][chosen], plan["twin_ids"][chosen]
        weight = plan["observed_weight"][chosen].to(logits.dtype)
        one, other = logits[rows, observed], logits[rows, twin]
        logits = logits.index_put((rows, observed), weight * one + (1 - weight) * other)
        return logits.index_put((rows, twin), weight * other + (1 - weight) * one)

    @staticmethod
    def _mix(target: torch.Tensor, other: torch.Tensor, index: torch.Tensor, plan: Plan, chosen: str) -> torch.Tensor:
        weight = plan["observed_weight"][plan[chosen]].unsqueeze(1)
        mixed = weight * target[index].float() + (1 - weight) * other.float()
        return target.index_copy(0, index, mixed.to(target.dtype))

    def finds_words(self, dataset, token_counts: torch.Tensor) -> bool:
        """Whether a corpus holds any whole word of the pairs; a stream is judged by its token counts."""
        return self.compiled.occur_in(dataset, token_counts)

    # -- what is reported ------------------------------------------------------------------------------------------

    def counts(self, plan: Plan) -> dict[str, int]:
        """Positions at which anything is mixed, and sequences that hold a pair word."""
        return {"mixed_positions": int(self._mixed(plan).sum()), "sequences_with_pair_words": len(plan["sequences"])}

    def means(self, plan: Plan) -> dict[str, tuple[float, int]]:
        """λ over the positions at which anything is mixed."""
        lam = plan["lambda"][self._mixed(plan)]
        return {"lambda": (float(lam.double().sum()), len(lam))}

    def _mixed(self, plan: Plan) -> torch.Tensor:
        """``(n,)`` of the plan's positions, whether anything is mixed there."""
        mixed = torch.zeros(len(plan["positions"]), dtype=torch.bool)
        if "student_inputs" in self.mix:
            mixed[plan["visible"]] = True
        for chosen in ("row_of", "hidden_of"):
            if chosen in plan:
                mixed[plan[chosen]] = True
        return mixed

    def report(self) -> dict:
        """Every choice of the method and what the pairs became under this tokenizer."""
        return {
            "name": self.name,
            "mix": list(self.mix),
            "second_view": self.second_view,
            "alpha": self.alpha,
            "granularity": self.granularity,
            "words": self.words,
            "forms": self.forms,
            "pairs": self.compiled.report(),
        }


def _index_within(index: torch.Tensor, positions: torch.Tensor, name: str) -> Plan:
    """Where ``positions`` stand in the ascending ``index``: ``{name}_index`` into it, ``{name}_of`` into positions."""
    place = torch.searchsorted(index, positions)
    present = place < len(index)
    present[present.clone()] = index[place[present]] == positions[present]
    return {f"{name}_index": place[present], f"{name}_of": present.nonzero().flatten()}
