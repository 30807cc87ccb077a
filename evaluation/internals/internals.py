"""What differs inside a student and its teacher, where the data follow a shortcut and where they go against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from datasets import Dataset
from torch import nn

from evenhand.evaluation.evaluator import NotApplicable
from evenhand.evaluation.groups import NEVER_BY_DEFAULT, Groups
from evenhand.evaluation.internals.cka import FEWEST_EXAMPLES
from evenhand.evaluation.internals.component_ablation import Ablation, LabelledBatch, ablate, check_replacement
from evenhand.evaluation.internals.component_overlap import HEADS, UNITS, check_top_share, overlap
from evenhand.evaluation.internals.internals_result import Between, InternalsResult
from evenhand.evaluation.internals.layer_map import LayerMap, LayerPairs, check_layer_map, map_layers
from evenhand.evaluation.internals.layer_outputs import check_pooling
from evenhand.evaluation.internals.matched_examples import FEWEST, MatchedExamples, choose_examples
from evenhand.evaluation.internals.observed_model import ObservedModel
from evenhand.evaluation.internals.similarity import compare_insides
from evenhand.evaluation.label_names import label_matrix, model_labels
from evenhand.evaluation.measure_data import check_settings


@dataclass(frozen=True)
class Internals:
    """A look inside as an evaluator: ``Internals(data={"name": "digits"}).run_pair(student, processor, teacher, processor)``.

    As many bias-aligned as bias-conflicting examples, each label as often on either side (`choose_examples`), go through both classifiers:

    - **CKA** of every layer of the teacher with every layer of the student (`cka`), on either side, and the difference;
    - **divergence of attention maps** of every layer pair (`attention_divergence`), where both models have attention over the same tokens;
    - **ablation** of every head, attention and MLP sublayer or residual block of each model (`component_ablation`), and how far the components that matter
      most are the same (`component_overlap`): sublayers or blocks, and single heads where the student began as a copy of these layers.

    Layers are matched by ``layer_map``, else by ``copied_layers``, else by relative depth (`map_layers`). Of a model alone only the ablation is taken. It
    is a diagnosis: no number is better high or low.

    Args:
        data: as of `Groups`.
        split: the split whose examples are taken; by default the one, ``train`` and ``validation`` apart, with the most examples on its smaller side.
        examples: of either side at most.
        ablation_examples: of either side at most, the first of these; 0 for no ablation. It costs a forward pass for every component and minibatch: with
            the default ones some 1,400 of BERT-base.
        minibatch: examples of a forward pass, and of a minibatch of CKA, at most; of few examples smaller ones are made (`MatchedExamples.minibatches`).
        pooling: of a layer's output to a vector an example (`layer_outputs.POOLINGS`).
        replacement: of a component that is taken out (`component_ablation.REPLACEMENTS`).
        top_share: which share of the shared components counts as the most important.
        layer_map: for each layer of the student the teacher's, from 0; by stack where there are several.
        copied_layers: the same of a student that was made of its teacher's layers (`evenhand.evaluation.internals.layer_map.LayerMap`); ``None`` of any
            other. ``evenhand evaluate`` takes it from the run's training.json.
        max_length: tokens of a text at most.
        seed: of the draw of examples.
        confidence_level: of the intervals.
        progress: show bars.

    Raises:
        ValueError: an argument that cannot be used.
    """

    data: Mapping[str, object]
    split: str | None = None
    examples: int = 512
    ablation_examples: int = 128
    minibatch: int = 32
    pooling: str = "mean"
    replacement: str = "mean"
    top_share: float = 0.25
    layer_map: LayerMap | None = None
    copied_layers: LayerMap | None = None
    max_length: int = 128
    seed: int = 0
    confidence_level: float = 0.95
    progress: bool = False

    measure = "internals"
    takes = "classifier"

    def __post_init__(self):
        check_settings(self.confidence_level, self.seed, self.minibatch)
        check_pooling(self.pooling)
        check_replacement(self.replacement)
        check_top_share(self.top_share)
        check_layer_map(self.layer_map)
        check_layer_map(self.copied_layers, "copied_layers")
        if self.minibatch < FEWEST_EXAMPLES:
            raise ValueError(f"minibatch must be at least {FEWEST_EXAMPLES}, not {self.minibatch}")
        if self.examples < FEWEST:
            raise ValueError(f"examples must be at least {FEWEST}, not {self.examples}")
        if self.ablation_examples and self.ablation_examples < FEWEST_EXAMPLES:
            raise ValueError(f"ablation_examples must be 0 or at least {FEWEST_EXAMPLES}, not {self.ablation_examples}")
        _ = self._groups  # checks data and max_length

    @cached_property
    def _groups(self) -> Groups:
        return Groups(self.data, None if self.split is None else [self.split], max_length=self.max_length)

    @cached_property
    def split_name(self) -> str:
        """The split that is looked at.

        Raises:
            ValueError: the data do not have the one that is asked for, or none with both sides.
        """
        data = self._groups.grouped
        if self.split is not None:
            return self._groups.split_names[0]
        sizes = {name: data.side_counts(name) for name in data.splits if name not in NEVER_BY_DEFAULT}
        smaller = {name: min(counts[True], counts[False]) for name, counts in sizes.items()}
        best = max(smaller, key=smaller.get, default=None)
        if best is None or not smaller[best]:
            raise ValueError(
                f"internals: no split of {data.name} but {' and '.join(NEVER_BY_DEFAULT)} has bias-aligned and bias-conflicting "
                "examples; name one, split: …"
            )
        return best

    @property
    def _rows(self) -> Dataset:
        return self._groups.grouped.splits[self.split_name]

    @cached_property
    def chosen(self) -> MatchedExamples:
        """The examples.

        Raises:
            ValueError: the split is not there, or a side has too few examples.
        """
        data = self._groups.grouped
        return choose_examples(data.name, self.split_name, self._rows, data.aligned, self.examples, self.seed)

    @cached_property
    def _settings(self) -> dict[str, object]:
        of_split = replace(self._groups, splits=[self.split_name])
        vars(of_split)["grouped"] = self._groups.grouped  # so that its cached property does not load the data again
        about, chosen = of_split.settings(), self.chosen
        return {
            **{key: about[key] for key in ("data", "kind", "max_length") if key in about},
            "split": self.split_name,
            **{name: getattr(self, name) for name in ("examples", "ablation_examples", "minibatch", "pooling")},
            **{name: getattr(self, name) for name in ("replacement", "top_share")},
            **{name: _plain(getattr(self, name)) for name in ("layer_map", "copied_layers")},
            "examples_of_a_side": chosen.count,
            "labels": {name: dict(counts) for name, counts in chosen.labels.items()},
            "labels_matched": chosen.matched,
        }

    def settings(self) -> dict[str, object]:
        """What a result of this evaluator is filed under in a report; the data are read and checked here."""
        return dict(self._settings)

    def of_copied_layers(self, layers: LayerMap) -> Internals:
        """The same evaluator for a student that was made of these layers of its teacher; the data are not loaded again."""
        other = replace(self, copied_layers=layers)
        vars(other).update(
            {name: vars(self)[name] for name in ("_groups", "split_name", "chosen") if name in vars(self)}
        )
        return other

    def run(self, model: nn.Module, processor) -> InternalsResult:
        """Take out the components of one model; there is nothing to compare its layers with.

        Raises:
            NotApplicable: ablation is off, the model is of another kind than the data, or its layers are not known.
            ValueError: labels of model and data differ, a broken image, NaN.
        """
        if not self.ablation_examples:
            raise NotApplicable("it compares a student with its teacher; give a reference, or ablation_examples")
        observed = self._observed(model, processor)
        return InternalsResult(*self._head(observed), self._ablated(observed), None)

    def run_pair(self, model: nn.Module, processor, reference: nn.Module, reference_processor):
        """Look into a student and its teacher on the same examples; both are left as they were.

        Args:
            model, processor: the student.
            reference, reference_processor: the teacher.

        Returns:
            (result of the student, which holds the comparison, result of the teacher).

        Raises:
            NotApplicable: as `run`, of either.
            ValueError: as `run`; a ``layer_map`` that does not fit.
        """
        student, teacher = self._observed(model, processor), self._observed(reference, reference_processor)
        pairs, copied = self._pairs(teacher, student)
        found = compare_insides(
            *(teacher, student, pairs, self.chosen.minibatches(self.minibatch, several=True), self._some),
            pooling=self.pooling,
            progress=self.progress,
        )
        ablations = [self._ablated(one) if self.ablation_examples else None for one in (teacher, student)]
        overlaps = {} if None in ablations else self._overlaps(*ablations, pairs, copied)
        names = [tuple(layer.name for layer in one.parts.layers) for one in (teacher, student)]
        between = Between(*names, pairs, found, overlaps, self.pooling, self.confidence_level)
        return (
            InternalsResult(*self._head(student), ablations[1], between),
            InternalsResult(*self._head(teacher), ablations[0], None),
        )

    def compare(self, result: InternalsResult, reference: InternalsResult) -> dict[str, object]:
        """How the insides of ``result`` differ from those of ``reference``, from one `run_pair`."""
        return result.compare()

    def _observed(self, model: nn.Module, processor) -> ObservedModel:
        data = self._groups.grouped
        what = f"internals, {data.name}, {self.split_name}"
        labels = self._rows.features["label"].names
        merged = data.merged_labels.get(self.split_name) or {}
        matrix = label_matrix(model_labels(model.config), labels, merged, what)
        return ObservedModel.of(model, processor, matrix, kind=data.kind, longest=self.max_length, what=what)

    def _some(self, numbers: np.ndarray) -> Dataset:
        return self._rows.select(numbers)

    def _head(self, observed: ObservedModel) -> tuple:
        """What every result begins with."""
        layers = tuple(layer.name for layer in observed.parts.layers)
        return self._settings, layers, self.confidence_level, self.seed

    def _ablated(self, observed: ObservedModel) -> Ablation:
        pieces = self.chosen.minibatches(self.minibatch, self.ablation_examples)

        def batches():
            for side, numbers in pieces:
                rows = self._some(numbers)
                labels = np.array(rows.with_format(None)["label"][:], dtype=np.int64)
                yield LabelledBatch(observed.inputs(rows), torch.from_numpy(labels), side)

        with observed.ready():
            return ablate(
                *(observed.model, observed.parts, batches),
                replacement=self.replacement,
                log_probs=observed.log_probs,
                progress=self.progress,
            )

    def _pairs(self, teacher: ObservedModel, student: ObservedModel) -> tuple[LayerPairs, bool]:
        """Mapped layers, and whether each of the student's began as a copy of the teacher's beside it."""
        models = teacher.parts, student.parts
        copied = None if self.copied_layers is None else map_layers(*models, self.copied_layers)
        pairs = copied if self.layer_map is None and copied is not None else map_layers(*models, self.layer_map)
        return pairs, pairs == copied

    def _overlaps(self, teacher: Ablation, student: Ablation, pairs: LayerPairs, copied: bool) -> dict:
        """By unit, by side; units that the models do not share are left out, and single heads of layers that are no copies."""
        found = {
            unit: {side: overlap(teacher, student, pairs, side, unit, self.top_share) for side in self.chosen.rows}
            for unit in UNITS
            if copied or unit != HEADS
        }
        return {unit: sides for unit, sides in found.items() if None not in sides.values()}


def _plain(layers: LayerMap | None) -> object:
    """As it stands in report.json."""
    if layers is None:
        return None
    return {name: list(own) for name, own in layers.items()} if isinstance(layers, Mapping) else list(layers)
