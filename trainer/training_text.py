"""What becomes of a document's text before it is trained on: lines are chosen, then augmented. Held-out text never comes here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from evenhand.trainer.corpus_settings import CorpusSettings
from evenhand.trainer.counterfactual_text import COUNTED, CounterfactualText
from evenhand.trainer.pair_dense_text import LEFT_OUT, PairDenseText


@dataclass(frozen=True)
class TrainingText:
    """The two steps, each None where the settings do not ask for it."""

    dense: PairDenseText | None
    other: CounterfactualText | None

    @classmethod
    def of(cls, settings: CorpusSettings) -> TrainingText:
        """As the settings of a corpus ask for it.

        Raises:
            FileNotFoundError, ValueError: of a file of pairs, as :meth:`WordPairs.load`.
        """
        return cls(PairDenseText.of(settings), CounterfactualText.of(settings))

    def of_document(self, text: str, fates: Counter) -> str:
        """The lines that are trained on, which ``fates`` counts under :attr:`counted`."""
        if self.dense is not None:
            text = self.dense.kept(text, fates)
        return text if self.other is None else self.other.augmented(text, fates)

    @property
    def counted(self) -> tuple[str, ...]:
        """Names of what is counted."""
        return (LEFT_OUT,) * (self.dense is not None) + (COUNTED,) * (self.other is not None)

    def report(self) -> dict:
        """What a corpus's report says of it, beside the settings."""
        chosen = {} if self.dense is None else {"pair_share_source": self.dense.pairs.source}
        return chosen | ({} if self.other is None else self.other.report())
