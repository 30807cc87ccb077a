"""Logged figures and measures while training, as each of two processes sees them; run by two_process_script.py."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from tiny_distillation import ContentMasking, ContentMixup, tiny_tokenizer, tiny_trainer
from transformers import TrainerCallback

from evenhand.trainer import EarlyStopping, Watch, log_window

VALUES = {0: 0.0, 2: 3.0, 4: 1.0, 6: 2.0, 8: 4.0, 10: 5.0}
CHOOSING = {
    "max_steps": 10, "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2,
    "metric_for_best_model": "tradeoff", "load_best_model_at_end": True,
}  # fmt: skip


class Clock(TrainerCallback):
    """Stands for the time: a step takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.now += 1


def figures(folder: Path, batch_size: int, accumulation: int) -> list[dict]:
    """Tokens a second, mixed positions and mean λ of two windows of three steps, effective batch 8, all random parts fixed per sentence."""
    clock, real = Clock(), log_window.time
    log_window.time = clock
    arguments = {
        "per_device_train_batch_size": batch_size, "gradient_accumulation_steps": accumulation, "max_steps": 6, "logging_steps": 3,
    }  # fmt: skip
    parts = {"masking": ContentMasking(), "supervision": ContentMixup(tiny_tokenizer()), "callbacks": [clock]}
    try:
        trainer = tiny_trainer(folder, arguments=arguments, **parts)
        trainer.train()
    finally:
        log_window.time = real
    names = ("tokens_per_second", "mixed_positions_per_batch", "mean_lambda")
    return [{name: entry[name] for name in names} for entry in trainer.state.log_history if "loss" in entry]


def chosen(folder: Path) -> dict:
    """A run that stops early and keeps its best student, as this process sees it."""
    measured_at = []

    def bias(model, tokenizer) -> dict[str, float]:
        measured_at.append(trainer.state.global_step)
        model(
            input_ids=torch.tensor([[2, 5, 6, 3]])
        )  # the student itself: a wrapped one would wait for the other process
        return {"d": VALUES[measured_at[-1]]}

    trainer = tiny_trainer(
        folder, arguments=CHOOSING, dropout=0.2, watch=Watch({"bias": bias}, {"bias_d": 1.0}), callbacks=[EarlyStopping(2)]
    )  # fmt: skip
    trainer.train()
    return {
        "measured_at": measured_at,
        "curve": [
            (entry["step"], entry["eval_bias_d"]) for entry in trainer.state.log_history if "eval_bias_d" in entry
        ],
        "best": (trainer.state.best_global_step, Path(trainer.state.best_model_checkpoint).name),
        "steps": trainer.state.global_step,
        "saved": load_file(folder / "checkpoint-4" / "model.safetensors"),
        "student": {name: value.clone() for name, value in trainer.model.state_dict().items()},
    }


def failing(folder: Path) -> str:
    def broken(model, tokenizer):
        raise KeyError("no such word")

    try:
        tiny_trainer(folder, arguments=CHOOSING, watch=Watch({"bias": broken}, {"bias_d": 1.0})).train()
    except RuntimeError as error:
        return str(error)
    return "none"


def watching(folder: Path) -> dict:
    """All of it, in this process."""
    return {
        "figures": figures(folder / "figures", 2, 2),
        "chosen": chosen(folder / "chosen"),
        "failing": failing(folder / "failing"),
    }
