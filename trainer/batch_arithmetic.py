"""Micro-batches, accumulation and processes: what makes up one optimiser step."""

from __future__ import annotations


def accumulation_steps(
    effective_batch_size: int, per_device_batch_size: int, processes: int, asked_for: int = 1
) -> int:
    """Micro-batches per process and optimiser step that make ``effective_batch_size`` sequences.

    Args:
        asked_for: ``gradient_accumulation_steps`` as it was set; 1, the default, leaves the choice to this function.

    Raises:
        ValueError: it does not come out even, or differs from what was asked for.
    """
    at_once = per_device_batch_size * processes
    if effective_batch_size < 1 or effective_batch_size % at_once:
        raise ValueError(
            f"effective_batch_size {effective_batch_size} cannot be made of micro-batches: per_device_train_batch_size "
            f"{per_device_batch_size} × {processes} processes = {at_once}, and {effective_batch_size} is no multiple of it; "
            f"change one of them, e.g. effective_batch_size {_nearest(effective_batch_size, at_once)}."
        )
    steps = effective_batch_size // at_once
    if asked_for not in (1, steps):
        raise ValueError(
            f"effective_batch_size {effective_batch_size} needs gradient_accumulation_steps {steps} (per_device_train_batch_size "
            f"{per_device_batch_size} × {processes} processes × {steps}), but {asked_for} were asked for; leave one of the two out."
        )
    return steps


def _nearest(effective: int, at_once: int) -> int:
    return max(1, round(effective / at_once)) * at_once


def check_steps(per_device_batch_size: int, accumulation: int, max_steps: int, epochs: float) -> None:
    """Refuse a training of no steps or of empty batches.

    Args:
        max_steps: optimiser steps; -1, the default of ``Trainer``, means ``epochs`` decide. ``Trainer`` itself takes 0 for -1.

    Raises:
        ValueError: naming the setting.
    """
    if per_device_batch_size < 1:
        raise ValueError(f"per_device_train_batch_size must be at least 1, not {per_device_batch_size}.")
    if accumulation < 1:
        raise ValueError(f"gradient_accumulation_steps must be at least 1, not {accumulation}.")
    if max_steps != -1 and max_steps < 1:
        raise ValueError(f"max_steps must be at least 1, or -1 for num_train_epochs to decide, not {max_steps}.")
    if max_steps == -1 and not epochs > 0:
        raise ValueError(f"num_train_epochs must be above 0 where max_steps is not set, not {epochs:g}.")


def check_enough_sequences(sequences: int, batch_size: int, what: str = "The corpus") -> None:
    """Refuse data that do not fill one optimiser step: each step would see all of them, however large the batch is said to be.

    Args:
        batch_size: sequences of one optimiser step, over all micro-batches and processes.

    Raises:
        ValueError: with both numbers.
    """
    if sequences < batch_size:
        raise ValueError(
            f"{what} has {sequences} sequences for training, fewer than the {batch_size} of one optimiser step (batch size × accumulation × "
            "processes); use more text or a smaller batch."
        )
