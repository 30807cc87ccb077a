"""Runs with everything drawn as in earnest, and ways to make them fail; for any number of processes."""

from __future__ import annotations

import errno
import os
import signal

from tiny_distillation import (
    OTHER_WORDS,
    PAIR_WORDS,
    VOCABULARY,
    ContentMasking,
    ContentMixup,
    FirstGradients,
    losses_of,
    tiny_dataset,
    tiny_tokenizer,
    tiny_trainer,
)
from transformers import Trainer, TrainerCallback

from evenhand.trainer import DistillationTrainer
from evenhand.trainer.batch_shards import EMPTY
from evenhand.trainer.batches import EpochSampler

EFFECTIVE_BATCH = 8
STEPS = 9
CHECKED_STEP = 5
"""Where runs are stopped: inside the second epoch, between two logs, at no checkpoint of the schedule."""


class RecordingTrainer(DistillationTrainer):
    """Keeps what was drawn for each group of sentences that shared a micro-batch, in this process."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.draws: dict[tuple, list] = {}
        self.stand_ins = 0

    def _prepare_batch(self, batch, step, number, evaluating=False):
        sentences = tuple(batch["input_ids"].flatten().tolist())
        prepared = super()._prepare_batch(batch, step, number, evaluating)
        if prepared[EMPTY]:
            self.stand_ins += 1
        else:
            drawn = [prepared[name].tolist() for name in ("input_ids", "row_labels", "rows")]
            self.draws[step, sentences] = [*drawn, prepared["plan"]["lambda"].tolist(), prepared["dropout_seed"]]
        return prepared


def recorded_run(output_dir, accumulation: int, per_device: int = 2, callbacks=(), **settings) -> RecordingTrainer:
    """Three epochs of three steps of eight sentences, the last of six: 22 sentences. Logs every third step, checkpoints every fourth."""
    arguments = {
        "num_train_epochs": 3, "save_strategy": "steps", "save_steps": 4, "logging_steps": 3, "per_device_train_batch_size": per_device,
        "gradient_accumulation_steps": accumulation,
    }  # fmt: skip
    return tiny_trainer(
        output_dir, dropout=0.2, trainer_class=RecordingTrainer, train_dataset=tiny_dataset(22), arguments=arguments | settings,
        callbacks=list(callbacks),
    )  # fmt: skip


def outcome(trainer: RecordingTrainer) -> dict:
    """Everything that another split must agree with; of the draws, those of this process."""
    student = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    return {
        "student": student, "losses": losses_of(trainer), "counts": trainer.total_counts(), "draws": trainer.draws,
        "stand_ins": trainer.stand_ins,
    }  # fmt: skip


class SignalAt(TrainerCallback):
    """Sends this process a signal, and once more, in the middle of training step ``step``."""

    def __init__(self, step: int, number: int) -> None:
        self.step, self.number = step, number

    def on_pre_optimizer_step(self, args, state, control, **kwargs) -> None:
        if state.global_step == self.step - 1:
            os.kill(os.getpid(), self.number)
            os.kill(os.getpid(), self.number)


class FailAt(TrainerCallback):
    """Raises in the middle of training step ``step``."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_pre_optimizer_step(self, args, state, control, **kwargs) -> None:
        if state.global_step == self.step - 1:
            raise ValueError("made to fail")


def die_while_saving(step: int) -> None:
    """SIGKILL after the weights and the optimiser of checkpoint ``step`` were written, before the rest."""
    write = Trainer._save_rng_state

    def write_or_die(self, output_dir):
        if self.state.global_step == step:
            self.accelerator.wait_for_everyone()
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, output_dir)

    Trainer._save_rng_state = write_or_die


def fill_disk_of_process(process: int, at_step: int) -> None:
    """From checkpoint ``at_step`` on, one process cannot write."""
    write = Trainer._save_rng_state

    def write_or_fail(self, output_dir):
        if self.state.global_step >= at_step and self.args.process_index == process:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, output_dir)

    Trainer._save_rng_state = write_or_fail


def one_sided_run(output_dir, accumulation: int) -> dict:
    """One step in which the second half of the eight sentences (process 1 of 2) has no target and no word of a pair.

    Returns:
        Gradients, losses, and how many targets and pair words the two halves had.
    """
    rich = tiny_dataset(EFFECTIVE_BATCH // 2, longest=9, words=(PAIR_WORDS, ["tree", "house"]))
    poor = tiny_dataset(EFFECTIVE_BATCH // 2, longest=7, words=(["dog"], OTHER_WORDS[:5]))
    poor = [{"input_ids": [*row["input_ids"][:-1], VOCABULARY.index("."), VOCABULARY.index("[SEP]")]} for row in poor]
    order = list(EpochSampler(EFFECTIVE_BATCH, 3))
    data: list = [None] * EFFECTIVE_BATCH
    for place, row in zip(order, rich + poor, strict=True):
        data[place] = row
    ends_with_stop = {tuple(row["input_ids"]) for row in poor}

    class Sparing(ContentMasking):
        def corrupt(self, input_ids, attention_mask, generator):
            corrupted = super().corrupt(input_ids, attention_mask, generator)
            for i, n in enumerate(attention_mask.sum(1).tolist()):
                if tuple(input_ids[i, :n].tolist()) in ends_with_stop:
                    corrupted.input_ids[i], corrupted.labels[i] = input_ids[i], -100
            return corrupted

    seen = FirstGradients()
    trainer = tiny_trainer(
        output_dir, train_dataset=data, masking=Sparing(), supervision=ContentMixup(tiny_tokenizer()), callbacks=[seen],
        arguments={"max_steps": 1, "per_device_train_batch_size": EFFECTIVE_BATCH // 2, "gradient_accumulation_steps": accumulation},
    )  # fmt: skip
    trained = [name for name, parameter in trainer.model.named_parameters() if parameter.requires_grad]
    trainer.train()
    mine = dict(trainer._counts)
    return {"gradients": seen.gradients, "trained": trained, "losses": losses_of(trainer), "own_counts": mine}
