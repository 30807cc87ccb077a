"""One of the two models that are looked into, and what it takes for some examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor, nn

from evenhand.evaluation.class_predictions import image_batches
from evenhand.evaluation.classifiers import IMAGE, TEXT, kind_of
from evenhand.evaluation.encoder import evaluation_mode
from evenhand.evaluation.evaluator import NotApplicable
from evenhand.evaluation.internals.anatomy import Anatomy, anatomy
from evenhand.evaluation.onednn_linear import onednn_linear
from evenhand.evaluation.tokenized import input_names, max_length


@dataclass(frozen=True)
class ObservedModel:
    """A classifier with what prepares its inputs.

    Args:
        model, processor: as `evenhand.evaluation.classifiers.load_classifier` gives them.
        parts: `anatomy` of the model.
        matrix: (labels of the model, labels of the data) of `evenhand.evaluation.label_names.label_matrix`.
        longest: tokens of a text at most.
        what: the data are called, for errors.
    """

    model: nn.Module
    processor: object
    parts: Anatomy
    matrix: np.ndarray
    longest: int
    what: str

    @classmethod
    def of(
        cls, model: nn.Module, processor, matrix: np.ndarray, *, kind: str, longest: int, what: str
    ) -> ObservedModel:
        """The model where it can be looked into on data of that kind (``"text"`` or ``"image"``).

        Raises:
            NotApplicable: no classifier, one of another kind, or of a family whose layers are not known.
        """
        takes = kind_of(model)
        if takes is None:
            raise NotApplicable(f"{type(model).__name__} is no classifier of text or images")
        if takes != kind:
            raise NotApplicable(f"{what}: the examples are {kind}s, {type(model).__name__} takes {takes}s")
        return cls(model, processor, anatomy(model), matrix, longest, what)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return next(self.model.parameters()).device

    def inputs(self, rows: Dataset) -> dict[str, Tensor]:
        """What the model takes for all of ``rows`` at once, on its device; texts are padded to the longest of them.

        Raises:
            ValueError: a broken image, or one of another mode than the model takes.
        """
        if kind_of(self.model) == IMAGE:
            ((_, inputs),) = image_batches(self.model, self.processor, rows, len(rows), self.what)
        else:
            inputs = self._texts(rows)
        return {name: tensor.to(self.device) for name, tensor in inputs.items()}

    def _texts(self, rows: Dataset) -> dict[str, Tensor]:
        columns = [name for name in (TEXT, "text_pair") if name in rows.column_names]
        limit = min(self.longest, max_length(self.model, self.processor))
        given = rows.select_columns(columns)[:]
        encoded = self.processor(
            *(list(given[name]) for name in columns),
            truncation=True,
            max_length=limit,
            padding=True,
            return_tensors="pt",
        )
        return {name: encoded[name] for name in input_names(self.model, self.processor)}

    def log_probs(self, logits: Tensor) -> Tensor:
        """(n, labels of the data) float64 log-probabilities: those of labels that are merged are summed."""
        weights = torch.as_tensor(self.matrix, dtype=torch.float64, device=logits.device).log()
        return (logits.double().log_softmax(-1)[:, :, None] + weights).logsumexp(1)

    def forward(self, inputs: Mapping[str, Tensor], **wanted):
        """What the model gives for ``inputs``.

        Args:
            inputs: from `inputs`.
            wanted: further arguments, ``output_attentions`` say.

        Raises:
            ValueError: it refuses them.
        """
        try:
            return self.model(**inputs, **wanted)
        except (ValueError, RuntimeError, IndexError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{self.what}: {type(self.model).__name__} refuses the inputs: {reason}") from error

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Dropout off and no gradients inside; the model is left as it was."""
        with evaluation_mode(self.model), torch.no_grad(), onednn_linear():
            yield
