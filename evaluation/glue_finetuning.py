"""Fine-tuning a copy of an encoder on one task, and its predictions on the dev set."""

from __future__ import annotations

import copy
import math
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from evenhand.evaluation.encoder import max_length as longest_input
from evenhand.evaluation.evaluator import NotApplicable
from evenhand.evaluation.glue_data import GlueSplit
from evenhand.evaluation.tokenized import input_names


@dataclass(frozen=True)
class FineTuning:
    """How a task is learnt: AdamW (β .9, .999, ε 1e-8, weight decay 0), linear decay to 0 without warm-up, gradients
    clipped at norm 1: the defaults of transformers' run_glue, with which most published numbers were made.

    The model after the last epoch is the one that is scored: picking an epoch on the dev set would flatter its score.

    Args:
        epochs: 3 by default.
        learning_rate: 2e-5 by default.
        batch_size: examples per optimiser step.
        accumulation_steps: forwards that a step is split into, to save memory; must divide ``batch_size``.
        max_length: tokens that an example is cut to (or fewer where the model takes fewer).
        group_by_length: batches of examples of like length (Trainer's sampler: 50 batches' worth of a random order is
            sorted by length at a time), which halves the padding and so the time.

    Raises:
        ValueError: a number out of its range.
    """

    epochs: int = 3
    learning_rate: float = 2e-5
    batch_size: int = 32
    accumulation_steps: int = 1
    max_length: int = 128
    group_by_length: bool = True

    def __post_init__(self):
        for name in ("epochs", "batch_size", "accumulation_steps", "max_length"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
        number = isinstance(self.learning_rate, (int, float)) and not isinstance(self.learning_rate, bool)
        if not number or not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be a positive number, not {self.learning_rate!r}")
        if self.batch_size % self.accumulation_steps:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be split into {self.accumulation_steps} accumulation_steps"
            )

    def to_dict(self) -> dict[str, object]:
        """As it stands in report.json."""
        return asdict(self)


class SummedLossTrainer(Trainer):
    """A Trainer whose gradient is that of the mean over all examples of an optimiser step.

    Trainer scales the plain mean that classification heads compute by accumulation steps × processes when a head takes
    keyword arguments, as BERT's does (transformers#47688). Here the loss is a sum over examples, divided by their
    number in the whole step, so the split of a step into forwards and processes does not change its gradient.
    """

    loss_is_scaled_for_ga = True

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """The micro-batches of a step and, in place of Trainer's count, their number of examples in all processes."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        count = torch.tensor(sum(len(batch["labels"]) for batch in batches), dtype=torch.float32, device=device)
        return batches, self.accelerator.reduce(count, "sum")

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Sum of the losses / examples in the step × processes (over which gradients are averaged)."""
        inputs = dict(inputs)
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        logits = outputs.logits.float()
        if logits.shape[-1] == 1:
            total = F.mse_loss(logits.squeeze(-1), labels.float(), reduction="sum")
        else:
            total = F.cross_entropy(logits, labels, reduction="sum")
        count = len(labels) if num_items_in_batch is None else num_items_in_batch
        loss = total / count * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def log(self, logs, start_time=None):
        """Nothing: what comes of a run is its predictions."""


def check_applicable(model: nn.Module, tokenizer) -> None:
    """Refuse before any work what cannot be fine-tuned as a classifier.

    Raises:
        NotApplicable: transformers has no sequence classifier for the model's kind.
        ValueError: the tokenizer has no padding token, or the model's weights are not finite.
    """
    if type(model.config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise NotApplicable(f"GLUE: transformers has no sequence classifier for a {model.config.model_type!r} model")
    if tokenizer.pad_token_id is None:
        raise ValueError("the tokenizer has no padding token, which GLUE's batches need; set tokenizer.pad_token")
    broken = [name for name, tensor in model.named_parameters() if not torch.isfinite(tensor).all()]
    if broken:
        raise ValueError(f"the model's weights hold NaN or infinity, first in {broken[0]}")


def build_classifier(model: nn.Module, tokenizer, n_classes: int, seed: int) -> tuple[nn.Module, list[str]]:
    """A sequence classifier with a copy of the body of ``model`` and a head drawn from ``seed``, in float32.

    Args:
        model: any transformers encoder, with or without a head; it is left as it was.
        tokenizer: its tokenizer.
        n_classes: outputs; 1 for a regression.
        seed: of the head.

    Returns:
        The classifier, and the names of its tensors that did not come from ``model``: the head, and BERT's pooler
        where the model was trained without one.

    Raises:
        NotApplicable: the classifier of the model's config is built on another body (an encoder-decoder of which only
            the encoder is given).
    """
    config = copy.deepcopy(model.config)
    config.num_labels = n_classes
    config.problem_type = "regression" if n_classes == 1 else "single_label_classification"
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id
    torch.manual_seed(seed)
    classifier = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    body = getattr(model, "base_model", model)
    loaded = classifier.base_model.load_state_dict(body.state_dict(), strict=False)
    other = [name for name in (*loaded.unexpected_keys, *loaded.missing_keys) if not name.startswith("pooler.")]
    if other:
        raise NotApplicable(f"GLUE: the classifier for a {config.model_type!r} model has another body: {other[0]}")
    prefix = classifier.base_model_prefix + "."
    fresh = [name for name in classifier.state_dict() if not name.startswith(prefix)]
    return classifier, sorted(fresh + [prefix + name for name in loaded.missing_keys])


def features(classifier: nn.Module, tokenizer, split: GlueSplit, max_length: int) -> list[dict[str, object]]:
    """Token ids of each example (int32 arrays, as a task may have 400,000), cut to ``max_length``, with ``labels``; only
    what the classifier's forward takes."""
    names, rows = input_names(classifier, tokenizer), []
    for start in range(0, len(split), 1000):
        columns = [list(column) for column in zip(*split.texts[start : start + 1000], strict=True)]
        encoded = tokenizer(*columns, truncation=True, max_length=max_length, padding=False)
        rows += [
            {name: np.array(ids, dtype=np.int32) for name, ids in zip(names, example, strict=True)}
            for example in zip(*(encoded[name] for name in names), strict=True)
        ]
    return [{**row, "labels": label} for row, label in zip(rows, split.labels, strict=True)]


def fine_tune(
    model: nn.Module,
    tokenizer,
    train: GlueSplit,
    dev: dict[str, GlueSplit],
    *,
    n_classes: int,
    seed: int,
    settings: FineTuning,
    progress: bool = False,
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Learn a task and predict its dev sets.

    It runs in float32 on the device that ``model`` is on; ``model`` and the global random generators are left as they
    were. Equal arguments give equal predictions on one machine.

    Args:
        model, tokenizer: the encoder.
        train: examples to learn from.
        dev: examples to predict, by split.
        n_classes: of the task; 1 for a regression.
        seed: of the head, the order of the examples and dropout.
        settings: how.
        progress: show Trainer's own bar.

    Returns:
        By split the predictions (n,): class numbers (int64), or scores (float64); and the names of the tensors that
        did not come from ``model``.

    Raises:
        NotApplicable, ValueError: see `check_applicable` and `build_classifier`; or the outputs are NaN.
    """
    classifier, fresh = train_classifier(
        model, tokenizer, train, n_classes=n_classes, seed=seed, settings=settings, progress=progress
    )
    length = min(settings.max_length, longest_input(model, tokenizer))
    collator = DataCollatorWithPadding(tokenizer)
    predictions = {
        name: _predict(classifier, features(classifier, tokenizer, split, length), collator)
        for name, split in dev.items()
    }
    return predictions, fresh


def train_classifier(
    model: nn.Module,
    tokenizer,
    train: GlueSplit,
    *,
    n_classes: int,
    seed: int,
    settings: FineTuning,
    progress: bool = False,
) -> tuple[nn.Module, list[str]]:
    """A copy of ``model`` with a new head, fine-tuned on ``train``, and the names of the tensors that are not from ``model``.

    Arguments and errors are those of `fine_tune`, which predicts with it.
    """
    check_applicable(model, tokenizer)
    device = next(model.parameters()).device
    length = min(settings.max_length, longest_input(model, tokenizer))
    with _random_state_kept(device), tempfile.TemporaryDirectory() as folder:
        classifier, fresh = build_classifier(model, tokenizer, n_classes, seed)
        trainer = SummedLossTrainer(
            model=classifier,
            args=_arguments(settings, seed, folder, device, progress),
            train_dataset=features(classifier, tokenizer, train, length),
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        trainer.train()
        return trainer.accelerator.unwrap_model(trainer.model).eval(), fresh


def _arguments(settings: FineTuning, seed: int, folder: str, device: torch.device, progress: bool) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=folder,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        per_device_train_batch_size=settings.batch_size // settings.accumulation_steps,
        gradient_accumulation_steps=settings.accumulation_steps,
        train_sampling_strategy="group_by_length" if settings.group_by_length else "random",
        optim="adamw_torch_fused",
        weight_decay=0.0,
        warmup_steps=0,
        lr_scheduler_type="linear",
        max_grad_norm=1.0,
        seed=seed,
        fp16=False,
        bf16=False,
        use_cpu=device.type == "cpu",
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="no",
        report_to="none",
        log_level="error",
        disable_tqdm=not progress,
        dataloader_pin_memory=device.type == "cuda",
        remove_unused_columns=False,
    )
    if arguments.n_gpu > 1:
        # A plain process that sees several GPUs would be wrapped in DataParallel; one is enough here.
        arguments._n_gpu = 1
    return arguments


def _predict(classifier: nn.Module, rows: Sequence[dict], collator) -> np.ndarray:
    """Class numbers or scores (n,) of the rows in their order; batches are of like length."""
    device = next(classifier.parameters()).device
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]["input_ids"]))
    classifier.eval()
    outputs: list[np.ndarray] = []
    with torch.no_grad():
        for start in range(0, len(order), 64):
            batch = collator([rows[row] for row in order[start : start + 64]]).to(device)
            batch.pop("labels")
            outputs.append(classifier(**batch).logits.float().cpu().numpy())
    logits = np.concatenate(outputs)
    if not np.isfinite(logits).all():
        raise ValueError("the fine-tuned model gives NaN or infinity: check the model's weights and the learning rate")
    logits = logits[np.argsort(order)]
    return logits[:, 0].astype(np.float64) if logits.shape[1] == 1 else logits.argmax(axis=1).astype(np.int64)


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    """Python's, NumPy's and torch's global generators are put back after it (Trainer seeds all of them)."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
