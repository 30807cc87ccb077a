"""Labelled data as a classifier's training reads them: labels and bias log-probabilities in the model's order, images not decoded yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import datasets
import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset

from evenhand.trainer.debiasing.training_facts import BIAS, GROUP, LABEL, WEIGHT, TrainingFacts
from evenhand.trainer.label_order import places_of_labels
from evenhand.trainer.model_inputs import IMAGE, TEXT, called

INPUTS = {TEXT: "text", IMAGE: "image"}


class LabelOrder:
    """Turns labels of a data set, numbers with names (``ClassLabel``) or names themselves, into the model's.

    Args:
        data: with ``features`` where it is one of ``datasets``.
        names: the model's labels in its order.
        where: what the data are called in messages.

    Raises:
        ValueError: another set of labels.
    """

    def __init__(self, data: Any, names: Sequence[str], where: str) -> None:
        self.names, self.where = tuple(names), where
        self.of_data = class_names(data, LABEL)
        self.columns: tuple[int, ...] | None = None
        self._numbers: list[int] | None = None
        if self.of_data is not None:
            self.columns = places_of_labels(self.names, self.of_data, "the student", f"the {where}")
            self._numbers = [self.columns.index(number) for number in range(len(self.names))]
        self._by_name = {name.casefold(): number for number, name in enumerate(self.names)}

    def of(self, example: dict) -> int:
        """The example's label as the model numbers it."""
        label = example[LABEL]
        if isinstance(label, str):
            if label.casefold() not in self._by_name:
                raise ValueError(
                    f"{called(example)} of the {self.where} has the label {label!r}; the student's are {', '.join(self.names)}."
                )
            return self._by_name[label.casefold()]
        if self._numbers is None:
            raise ValueError(
                f"{called(example)} of the {self.where} has the label {label!r} without a name; make the column a datasets.ClassLabel, or give names."
            )
        if not 0 <= label < len(self._numbers):
            raise ValueError(f"{called(example)} of the {self.where} has no label ({label}).")
        return self._numbers[label]

    def bias(self, log_probs: Sequence[float]) -> list[float]:
        """Log-probabilities in the order of the data's labels → the model's."""
        return list(log_probs) if self.columns is None else [log_probs[place] for place in self.columns]


class LabelledExamples(Dataset):
    """A map-style data set, each example with its ``number``, ``label`` and ``bias_log_probs`` in the model's order.

    Args:
        data: columns ``text`` (and ``text_pair``) or ``image``, ``label``, perhaps ``group``, ``bias_log_probs``, ``example_weight``.
        kind: ``text`` or ``image``.
        names: the model's labels.
        where: what the data are called in messages.

    Raises:
        ValueError: a column is missing, or the labels are other ones.
    """

    def __init__(self, data: Any, kind: str, names: Sequence[str], where: str) -> None:
        check_columns(data, kind, where)
        self.data, self.order = undecoded(data), LabelOrder(data, names, where)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, number: int) -> dict:
        return own_example(self.data[number], self.order, number)

    def __getitems__(self, numbers: list[int]) -> list[dict]:
        if not hasattr(self.data, "__getitems__"):
            return [self[number] for number in numbers]
        return [
            own_example(row, self.order, number)
            for number, row in zip(numbers, self.data.__getitems__(numbers), strict=True)
        ]


class LabelledStream(IterableDataset):
    """The same of an iterable data set; arguments as of :class:`LabelledExamples`."""

    def __init__(self, data: Any, kind: str, names: Sequence[str], where: str) -> None:
        check_columns(data, kind, where)
        self.data, self.order = undecoded(data), LabelOrder(data, names, where)

    def set_epoch(self, epoch: int) -> None:
        """Shuffle anew, where the stream can."""
        if hasattr(self.data, "set_epoch"):
            self.data.set_epoch(epoch)

    def __iter__(self) -> Iterator[dict]:
        for number, row in enumerate(self.data):
            yield own_example(row, self.order, number)


def own_example(row: dict, order: LabelOrder, number: int) -> dict:
    """A copy of the row with its number, the model's label and bias log-probabilities in the model's order."""
    example = dict(row) | {"number": number}
    example[LABEL] = order.of(example)
    if BIAS in example:
        example[BIAS] = order.bias(example[BIAS])
    return example


def check_columns(data: Any, kind: str, where: str) -> None:
    """Raise ValueError if the input or the label is missing."""
    columns = getattr(data, "column_names", None)
    if columns is None and isinstance(data, Sequence) and len(data):
        columns = list(data[0])
    if columns is None:
        return
    for wanted in (INPUTS[kind], LABEL):
        if wanted not in columns:
            raise ValueError(f"The {where} have no column {wanted!r}; they have {', '.join(columns)}.")


def class_names(data: Any, column: str) -> tuple[str, ...] | None:
    """Names of a ``ClassLabel`` column, None where the data say none."""
    feature = (getattr(data, "features", None) or {}).get(column)
    return tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else None


def undecoded(data: Any) -> Any:
    """The data with images as bytes: they are decoded one micro-batch at a time, where a broken one can be named."""
    feature = (getattr(data, "features", None) or {}).get("image")
    if isinstance(feature, datasets.Image) and feature.decode:
        return data.cast_column("image", datasets.Image(mode=feature.mode, decode=False))
    return data


def training_facts(data: Any, kind: str, names: Sequence[str]) -> TrainingFacts:
    """What a debiasing method may know of the training set: labels, groups and bias log-probabilities, no inputs.

    Raises:
        ValueError: a stream, whose labels and groups are not known beforehand.
    """
    if isinstance(data, IterableDataset):
        raise ValueError(
            "A debiasing method needs to know the training set's groups and labels; give it as a map-style data set."
        )
    examples = LabelledExamples(data, kind, names, "training data")
    columns = {name: column_of(examples.data, name) for name in (LABEL, GROUP, BIAS, WEIGHT)}
    labels = [examples.order.of({LABEL: label, "number": n}) for n, label in enumerate(columns[LABEL])]
    groups = columns[GROUP]
    group_names: tuple[str, ...] = ()
    if groups is not None:
        groups = np.asarray(groups, dtype=np.int64)
        if groups.min(initial=0) < 0:
            raise ValueError(f"Example {int(groups.argmin())} of the training data has no group ({int(groups.min())}).")
        group_names = class_names(data, GROUP) or tuple(map(str, range(int(groups.max(initial=-1)) + 1)))
    bias = columns[BIAS]
    if bias is not None:
        bias = np.asarray([examples.order.bias(row) for row in bias], dtype=np.float64)
    return TrainingFacts(
        len(names), np.asarray(labels, dtype=np.int64), groups, group_names, bias, columns[WEIGHT] is not None
    )


def column_of(data: Any, name: str) -> list | None:
    """A whole column, without the inputs beside it; None where it is missing."""
    if isinstance(data, datasets.Dataset):
        # [:] because a column that is gone through reads its table row by row: 150 times slower
        return list(data[name][:]) if name in data.column_names else None
    return [row[name] for row in data] if len(data) and name in data[0] else None


class LabelledCollator:
    """Micro-batches of labelled examples: the student's inputs, every teacher's, labels, groups and what debiasing methods read.

    Args:
        student: what turns examples into the student's inputs.
        teachers: the same of each teacher; a teacher that reads what the student reads shares its tensors.

    Returns (when called with a list of examples): ``student``, a dict of tensors; ``teachers``, a list of such dicts (None: the
    student's); ``labels`` ``(n,)``; ``group`` ``(n,)``, ``bias_log_probs`` ``(n, n_labels)``, ``example_weight`` ``(n,)`` where the examples have them.
    """

    def __init__(self, student, teachers: Sequence = ()) -> None:
        self.student = student
        self.teachers = [None if inputs.same_as(student) else inputs for inputs in teachers]

    def __call__(self, examples: list[dict]) -> dict:
        batch = {
            "student": self.student(examples),
            "teachers": [None if inputs is None else inputs(examples) for inputs in self.teachers],
            "labels": torch.tensor([example[LABEL] for example in examples]),
        }
        for name, kind in ((GROUP, torch.long), (BIAS, torch.float32), (WEIGHT, torch.float32)):
            if name in examples[0]:
                batch[name] = torch.tensor([example[name] for example in examples], dtype=kind)
        return batch

    def empty(self) -> dict:
        """A micro-batch of one empty text or black image with the first label; whoever reads other columns adds them."""
        return {
            "student": self.student.empty(),
            "teachers": [None if inputs is None else inputs.empty() for inputs in self.teachers],
            "labels": torch.zeros(1, dtype=torch.long),
        }
