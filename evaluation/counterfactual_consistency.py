"""Does a fine-tuned classifier change its mind when the gendered words of a sentence are exchanged?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from evenhand.evaluation.counterfactual_result import CounterfactualResult
from evenhand.evaluation.evaluator import NotApplicable
from evenhand.evaluation.gender_swaps import builtin_swaps
from evenhand.evaluation.glue_data import HUB_NAME, HUB_REVISION, GlueSplit, load_task
from evenhand.evaluation.glue_finetuning import FineTuning, check_applicable, train_classifier
from evenhand.evaluation.glue_tasks import TASKS, GlueTask, task_key
from evenhand.evaluation.measure_data import DataFacts, check_settings, content_sha256
from evenhand.evaluation.onednn_linear import onednn_linear
from evenhand.evaluation.tokenized import input_names, max_length


@dataclass(frozen=True)
class CounterfactualConsistency:
    """Counterfactual consistency as an evaluator: ``CounterfactualConsistency(data="glue_data").run(model, tokenizer)``.

    The model is fine-tuned on a GLUE task as `Glue` does it. Every dev example that holds a gendered word is classified
    as it stands and with all its gendered words exchanged (``evenhand.evaluation.gender_swaps``); a sentiment, for one,
    does not hang on whether a film is about his or her childhood. The flip rate is the percentage of these examples
    whose predicted class changes, and the mean change of probability is half the sum over classes of |p − p′|, with two
    classes |Δp|. Both are 0 for a classifier that does not look at gender, or at anything.

    Args:
        data: ``"hub"`` (default) for nyu-mll/glue, or a directory in the layout of the GLUE download.
        task: a GLUE task with classes, ``"sst2"`` by default.
        seed: of head, order of examples and dropout, and of the resamples.
        epochs, learning_rate, train_batch_size, max_length: see `FineTuning`.
        max_train_samples: learn from so many examples only, chosen at random with a fixed seed.
        batch_size: inputs per forward when predicting; it does not change the numbers but by rounding.
        confidence_level: of the intervals.
        progress: show bars.

    Raises:
        ValueError: an argument that cannot be used.
    """

    data: str | Path = "hub"
    task: str = "sst2"
    seed: int = 0
    epochs: int = 3
    learning_rate: float = 2e-5
    train_batch_size: int = 32
    max_length: int = 128
    max_train_samples: int | None = None
    batch_size: int = 64
    confidence_level: float = 0.95
    progress: bool = False

    measure = "counterfactual_consistency"

    def __post_init__(self):
        check_settings(self.confidence_level, self.seed, self.batch_size)
        _ = self.fine_tuning
        if self.glue_task.labels is None:
            raise ValueError(
                f"{self.glue_task.name} has scores, not classes, so no prediction can flip; use another task"
            )
        if self.max_train_samples is not None and self.max_train_samples < 1:
            raise ValueError(f"max_train_samples must be at least 1, not {self.max_train_samples}")

    @property
    def glue_task(self) -> GlueTask:
        return TASKS[task_key(self.task)]

    @cached_property
    def fine_tuning(self) -> FineTuning:
        """How the task is learnt."""
        return FineTuning(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.train_batch_size,
            max_length=self.max_length,
        )

    @cached_property
    def loaded(self) -> tuple[GlueSplit, GlueSplit, GlueSplit, DataFacts, int]:
        """Training examples, dev examples with gendered words, the same exchanged, where they came from, dev size."""
        data, swaps = load_task("hub" if str(self.data) == "hub" else Path(self.data), self.glue_task), builtin_swaps()
        dev = data.dev[self.glue_task.main_split]
        swapped = [tuple(map(swaps.swap, texts)) for texts in dev.texts]
        rows = [row for row, (texts, other) in enumerate(zip(dev.texts, swapped, strict=True)) if texts != other]
        labels = tuple(dev.labels[row] for row in rows)
        original = GlueSplit(tuple(dev.texts[row] for row in rows), labels)
        exchanged = GlueSplit(tuple(swapped[row] for row in rows), labels)
        hub = str(self.data) == "hub"
        name = f"{HUB_NAME}, {self.glue_task.key}, revision {HUB_REVISION}" if hub else Path(self.data).resolve().name
        facts = DataFacts("hub" if hub else "local", name, data.sha256)
        return data.train.subset(self.max_train_samples), original, exchanged, facts, len(dev)

    def settings(self) -> dict[str, object]:
        """What a result of this evaluator is filed under in a report; the data are read and checked here."""
        train, original, exchanged, facts, n_dev = self.loaded
        return {
            "data": facts.to_dict(),
            "task": self.glue_task.key,
            "swaps_sha256": builtin_swaps().sha256,
            "examples_sha256": content_sha256([original.texts, exchanged.texts]),
            **self.fine_tuning.to_dict(),
            "n_train": len(train),
            "max_train_samples": self.max_train_samples,
            "n_dev": n_dev,
        }

    def run(self, model: nn.Module | None, tokenizer, *, classifier: str | Path | None = None) -> CounterfactualResult:
        """Fine-tune a copy of ``model``, which is left as it was, and classify both versions of every example.

        Args:
            model: a transformers encoder; not needed with ``classifier``.
            tokenizer: its tokenizer; likewise.
            classifier: folder of a model that is fine-tuned on the task already; nothing is trained then. Its classes
                must be the task's, in GLUE's order.

        Raises:
            NotApplicable: transformers has no sequence classifier for such a model.
            FileNotFoundError, ValueError: data or a classifier that cannot be read, NaN.
        """
        train, original, exchanged, _, _ = self.loaded
        if classifier is not None:
            fine_tuned, tokenizer = load_classifier(classifier, self.glue_task)
        else:
            if model is None:
                raise ValueError("give a model, or the folder of a classifier that is fine-tuned already")
            try:
                check_applicable(model, tokenizer)
            except NotApplicable as reason:
                raise NotApplicable(str(reason).replace("GLUE", "counterfactual consistency")) from None
            fine_tuned = None
        if fine_tuned is None and len(original):
            fine_tuned, _ = train_classifier(
                *(model, tokenizer, train),
                n_classes=self.glue_task.n_classes,
                seed=self.seed,
                settings=self.fine_tuning,
                progress=self.progress,
            )
        probabilities = [
            class_probabilities(fine_tuned, tokenizer, split.texts, self.max_length, self.batch_size, self.progress)
            if len(split)
            else np.empty((0, self.glue_task.n_classes))
            for split in (original, exchanged)
        ]
        return CounterfactualResult(
            *(self.settings(), np.array(original.labels, dtype=np.int64), *probabilities),
            *(None if classifier is None else str(classifier), self.confidence_level, self.seed),
        )

    def compare(self, result: CounterfactualResult, reference: CounterfactualResult) -> dict[str, object]:
        """``result`` − ``reference``, paired by example."""
        return result.compare(reference)


def load_classifier(folder: str | Path, task: GlueTask) -> tuple[nn.Module, object]:
    """A fine-tuned sequence classifier and its tokenizer.

    Raises:
        FileNotFoundError, ValueError: no such folder; no classifier in it, or one with another number of classes.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder}: no such directory; give the folder of a fine-tuned sequence classifier")
    try:
        model, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ValueError(f"{folder}: cannot be loaded as a classifier: {' '.join(str(error).split())[:200]}") from error
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])[0]
        raise ValueError(
            f"{folder}: is not a fine-tuned classifier, its weights lack {missing}; leave it out to fine-tune"
        )
    if model.config.num_labels != task.n_classes:
        raise ValueError(f"{folder}: has {model.config.num_labels} classes, {task.name} has {task.n_classes}")
    return model, tokenizer


def class_probabilities(
    classifier: nn.Module,
    tokenizer,
    texts: Sequence[tuple[str, ...]],
    longest: int,
    batch_size: int = 64,
    progress: bool = False,
) -> np.ndarray:
    """Probabilities (n, classes) of every example, float64, in the order of ``texts``.

    Examples of one length share a batch, so nothing is padded; each is cut to ``longest`` tokens, or what the model
    takes.

    Raises:
        ValueError: the classifier gives NaN.
    """
    columns = [list(column) for column in zip(*texts, strict=True)]
    limit = min(longest, max_length(classifier, tokenizer))
    encoded = tokenizer(*columns, truncation=True, max_length=limit, padding=False)
    names = input_names(classifier, tokenizer)
    by_length: dict[int, list[int]] = {}
    for row, ids in enumerate(encoded["input_ids"]):
        by_length.setdefault(len(ids), []).append(row)
    batches = [
        rows[start : start + batch_size]
        for _, rows in sorted(by_length.items())
        for start in range(0, len(rows), batch_size)
    ]
    device = next(classifier.parameters()).device
    found = np.empty((len(texts), classifier.config.num_labels))
    classifier.eval()
    with torch.no_grad(), onednn_linear():
        for rows in tqdm(batches, desc="counterfactuals", unit="batch", delay=2, disable=not progress):
            inputs = {name: torch.tensor([encoded[name][row] for row in rows], device=device) for name in names}
            found[rows] = classifier(**inputs).logits.double().softmax(dim=1).cpu().numpy()
    if not np.isfinite(found).all():
        raise ValueError("the fine-tuned classifier gives NaN or infinity: check the model's weights")
    return found
