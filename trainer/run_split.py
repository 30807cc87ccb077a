"""How an optimiser step is split over processes and micro-batches, and which splits may go on from a checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from transformers import TrainingArguments

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSplit:
    """The effective batch and its parts; kept in every checkpoint's ``complete.json``.

    Args:
        processes: of the training.
        per_device_batch_size: sequences of one micro-batch.
        gradient_accumulation_steps: micro-batches of one process in one optimiser step.
        zero_stage: of DeepSpeed; None without it.
    """

    processes: int
    per_device_batch_size: int
    gradient_accumulation_steps: int
    zero_stage: int | None = None

    @property
    def effective_batch_size(self) -> int:
        """Sequences of one optimiser step."""
        return self.processes * self.per_device_batch_size * self.gradient_accumulation_steps

    def __str__(self) -> str:
        parts = (self.processes, self.per_device_batch_size, self.gradient_accumulation_steps)
        return f"{self.effective_batch_size} ({' × '.join(map(str, parts))})"

    @classmethod
    def of(cls, args: TrainingArguments) -> RunSplit:
        """The split of a training with these arguments, in the processes of now."""
        plugin = args.deepspeed_plugin
        return cls(
            args.world_size,
            args.train_batch_size,
            args.gradient_accumulation_steps,
            plugin.zero_stage if plugin is not None else None,
        )

    def facts(self) -> dict:
        """Plain values for :meth:`from_facts`."""
        return asdict(self) | {"effective_batch_size": self.effective_batch_size}

    @classmethod
    def from_facts(cls, facts: dict) -> RunSplit | None:
        """The split that wrote ``facts``; None if an older release did, which kept no such facts."""
        if "per_device_batch_size" not in facts:
            return None
        return cls(**{name: facts[name] for name in cls.__dataclass_fields__})

    def check_continues(self, earlier: RunSplit, checkpoint: str, warn: bool = True) -> None:
        """Warn, or raise, if this split does not go on as ``earlier`` would have.

        With the effective and the per-device batch of before, every micro-batch has the sequences, masks, mixing coefficients and dropout
        that it would have had. With another per-device batch every optimiser step still has the same sequences, but in other groups, and so
        masks, coefficients and dropout are other draws from the same distributions: that is warned about.

        Args:
            earlier: the split that wrote the checkpoint.
            checkpoint: is named in messages.
            warn: whether this process says so where draws will differ.

        Raises:
            ValueError: another effective batch, another DeepSpeed stage, or another number of processes under DeepSpeed.
        """
        if self.effective_batch_size != earlier.effective_batch_size:
            raise ValueError(
                f"{checkpoint} was trained with an effective batch of {earlier} (processes × per-device batch × accumulation), this start has "
                f"{self}; {self._advice(earlier.effective_batch_size)}, or begin anew in another output directory."
            )
        if self.zero_stage != earlier.zero_stage:
            raise ValueError(
                f"{checkpoint} was written {_named(earlier.zero_stage)}, and its optimiser state cannot be read {_named(self.zero_stage)}; start as before, "
                "or begin anew in another output directory."
            )
        if self.zero_stage and self.processes != earlier.processes:
            raise ValueError(
                f"{checkpoint} holds DeepSpeed's optimiser state in {earlier.processes} parts, one a process, but this start has {self.processes} processes; "
                f"start with {earlier.processes}, or begin anew in another output directory."
            )
        if warn and self.per_device_batch_size != earlier.per_device_batch_size:
            _logger.warning(
                "%s was trained with %d sequences a micro-batch, this start has %d: the same sequences in every step, but other masks and mixing "
                "coefficients than an uninterrupted run would have drawn.",
                checkpoint,
                earlier.per_device_batch_size,
                self.per_device_batch_size,
            )

    def _advice(self, wanted: int) -> str:
        at_once = self.processes * self.per_device_batch_size
        if wanted % at_once == 0:
            return f"set gradient_accumulation_steps={wanted // at_once}"
        if wanted % self.processes == 0:
            per_process = wanted // self.processes
            size = max(n for n in range(1, self.per_device_batch_size + 1) if per_process % n == 0)
            return f"set per_device_train_batch_size={size} gradient_accumulation_steps={per_process // size}"
        return f"start a number of processes that divides {wanted}"


def _named(zero_stage: int | None) -> str:
    return "without DeepSpeed" if zero_stage is None else f"under DeepSpeed ZeRO-{zero_stage}"


def check_resumable(args: TrainingArguments) -> None:
    """Refuse settings with which a checkpoint could not be gone on from as if there had been no interruption.

    Raises:
        ValueError: naming the setting.
    """
    loader = args.accelerator_config
    refused = {
        "save_only_model": (
            args.save_only_model,
            "it keeps no optimiser state, so a resumed run would begin anew with old weights",
        ),
        "auto_find_batch_size": (args.auto_find_batch_size, "it changes the batch in the middle of a run"),
        "accelerator_config.split_batches": (loader.split_batches, "micro-batches are dealt to processes whole"),
        "accelerator_config.dispatch_batches": (loader.dispatch_batches, "every process reads its own micro-batches"),
    }
    for name, (on, why) in refused.items():
        if on:
            raise ValueError(f"{name} is not supported: {why}; leave it out.")


def dealt_to(processes: int, rows: list[list[float]]) -> list[list[float]]:
    """What each process had summed up since the last log, for another number of processes.

    Args:
        processes: how many go on.
        rows: one a process of before: sums, of which the log takes the sum over processes, then ``Trainer``'s loss sum, of which it takes the mean.

    Returns:
        One row a process; sum and mean are those of ``rows``.
    """
    if len(rows) == processes:
        return rows
    *sums, loss = (sum(column) for column in zip(*rows, strict=True))
    mean = loss / len(rows)
    return [[*sums, mean], *([0.0] * len(sums) + [mean] for _ in range(processes - 1))]


def summed(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Numbers by name, added up over ``rows``."""
    total: dict[str, float] = {}
    for row in rows:
        for name, number in row.items():
            total[name] = total.get(name, 0) + number
    return total
