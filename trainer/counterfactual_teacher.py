"""Counterfactual teacher (Gupta et al. 2022): the teacher's word on a sentence and on the same sentence with roles reversed, combined."""

from __future__ import annotations

import math

import torch
from transformers import PreTrainedTokenizerBase

from evenhand.trainer.changed_rows import ChangedRows
from evenhand.trainer.loss_terms import at_least_fp32
from evenhand.trainer.mlm_parts import Encoded
from evenhand.trainer.supervision import MicroBatch, Plan, SupervisionTransform, TeacherForward, TeacherSignals
from evenhand.trainer.twin_sentences import twin_plan
from evenhand.trainer.word_pairs import CompiledPairs, WordPairs

COMBINE = ("mean", "max", "expmean", "swap")


class CounterfactualTeacher(SupervisionTransform):
    """Teacher logits z of the sentence and z′ of its counterfactual become one target, at every compared position of the sentence.

    The counterfactual is the corrupted sentence with every whole word of a pair exchanged at once (same masks, same length), the
    twin of :class:`~evenhand.trainer.mixup.GenderMixup`. Sentences without such a word keep their z. Gupta et al. 2022 (section 3.1,
    for GPT-2) combine

    - ``mean``: (z + z′) / 2
    - ``max``: max(z, z′), word by word
    - ``expmean``: log((e^z + e^z′) / 2), word by word
    - ``swap``: z′ alone

    before temperature and softmax; here for a masked language model. Student inputs, hidden states and MLM labels stay those of the
    sentence itself, also where a word of a pair stands: the paper's other half, role-reversed training text, is ``corpus.cda``.

    Args:
        tokenizer: the common tokenizer of student and teacher.
        pairs: the word pairs; default the ten built in.
        combine: see above. Default ``mean``.
        forms: see :meth:`WordPairs.compile`.
        unequal_pairs: see :meth:`WordPairs.compile`.

    Raises:
        ValueError: an unknown choice; what :meth:`WordPairs.compile` refuses.
    """

    name = "counterfactual_teacher"

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        pairs: WordPairs | None = None,
        *,
        combine: str = "mean",
        forms: str = "variants",
        unequal_pairs: str = "refuse",
    ) -> None:
        if combine not in COMBINE:
            raise ValueError(f"counterfactual.combine must be one of {', '.join(COMBINE)}, not {combine!r}.")
        self.combine, self.forms = combine, forms
        self.compiled: CompiledPairs = (pairs or WordPairs.builtin()).compile(
            tokenizer, forms=forms, unequal=unequal_pairs, section="counterfactual"
        )

    def plan(self, batch: MicroBatch, generator: torch.Generator) -> Plan:
        """The sentences that hold a word of a pair, their counterfactuals, and which compared rows are theirs."""
        found = self.compiled.occurrences(batch.input_ids, batch.original_ids, batch.attention_mask)
        holds_word = torch.zeros(len(batch.input_ids), dtype=torch.bool)
        holds_word[found.sequence] = True
        sequence_of_row = batch.rows // batch.input_ids.shape[1]
        row_index = holds_word[sequence_of_row].nonzero().flatten()
        sequences = sequence_of_row[row_index].unique()
        plan = {
            "row_index": row_index,
            "row_index_on_host": row_index.numpy(),  # read without waiting for the device
            "n_sequences": int(holds_word.sum()),
        }
        return plan | twin_plan(batch, found.positions, found.twin_ids, sequences, batch.rows[row_index])

    def teacher_signals(self, signals: TeacherSignals, plan: Plan, encode: TeacherForward, head_rows) -> TeacherSignals:
        """Mean and swap through the decoder's inputs, as the decoder is affine; max and expmean of the logits, a chunk at a time."""
        index, on_host = plan["row_index"], plan["row_index_on_host"]
        if signals.head_rows is None or len(on_host) == 0:
            return signals
        twin: Encoded = encode(plan["twin_input_ids"], plan["twin_attention_mask"], plan["twin_pieces"])
        other = head_rows(twin, plan["twin_places"])
        if self.combine in _OF_LOGITS:
            signals.changed_rows = ChangedRows(index, on_host, other, _OF_LOGITS[self.combine])
            return signals
        if self.combine == "mean":
            own = signals.head_rows.index_select(0, index)
            other = ((at_least_fp32(own) + at_least_fp32(other)) / 2).to(own.dtype)
        signals.head_rows = signals.head_rows.index_copy(0, index, other)
        signals.changed_rows = ChangedRows(index, on_host)
        return signals

    def counts(self, plan: Plan) -> dict[str, int]:
        """Positions whose target is a combined one, and sequences that hold a pair word."""
        return {"combined_positions": len(plan["row_index"]), "sequences_with_pair_words": plan["n_sequences"]}

    def report(self) -> dict:
        """Every choice of the method and what the pairs became under this tokenizer."""
        return {"name": self.name, "combine": self.combine, "forms": self.forms, "pairs": self.compiled.report()}


def _expmean(own: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.logaddexp(own, other).sub_(math.log(2))


_OF_LOGITS = {"max": torch.maximum, "expmean": _expmean}
"""What is no affine function of the two, by name."""
