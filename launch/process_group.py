"""The processes of one run: how they find each other, on which device, and how long they wait for each other.

``accelerate launch`` and ``torchrun`` start processes and set variables; what is left out for machines without a GPU, and the timeout,
which ``Trainer`` passes on only where there is one, is filled in here, before anything of accelerate exists.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import PartialState

from evenhand.trainer.device_support import (
    deepspeed_advice,
    device_type,
    launcher_says,
    process_advice,
    refuse,
    visible_gpus,
)

DEFAULT_TIMEOUT = 1800
"""Seconds, as ``TrainingArguments.ddp_timeout``."""

FOREVER = timedelta(days=365)

_turns = 0


def join_processes(training: dict) -> PartialState:
    """Join the processes that a launcher started; in one started without a launcher, only find the device.

    Args:
        training: the recipe's section; of it ``use_cpu`` and ``ddp_timeout`` (seconds after which waiting for another process is an error).

    Raises:
        ValueError: more processes than GPUs; ZeRO without DeepSpeed; ZeRO on the CPU where GPUs are visible.
    """
    timeout = {"timeout": timedelta(seconds=training.get("ddp_timeout", DEFAULT_TIMEOUT))} if _launched() else {}
    on_cpu = _on_cpu(training)
    if _launched() and not on_cpu:
        refuse(process_advice(int(os.environ.get("LOCAL_WORLD_SIZE", 1)), visible_gpus()))
    if _zero():
        refuse(deepspeed_advice())
        if on_cpu:
            _prepare_deepspeed_on_cpu()
            return PartialState(backend="gloo", **timeout)
    return PartialState(cpu=on_cpu, **timeout)


def settings_here(training: dict) -> dict:
    """``training`` with what this machine needs for it, for every :class:`DistillationArguments` of a run.

    Without a GPU, accelerate makes a process group only if it is told to use the CPU; under DeepSpeed that would switch DeepSpeed off, and
    naming the backend does it instead.
    """
    if not _launched() or not _on_cpu(training):
        return dict(training)
    if _zero():
        return training | {"use_cpu": False, "ddp_backend": "gloo"}
    return training | {"use_cpu": True}


@contextmanager
def first_process_first() -> Iterator[None]:
    """Let process 0 go through the block before the others enter it, however long it takes.

    As accelerate's ``main_process_first``, but without a collective: tokenising a large corpus may take longer than any timeout of one.

    Raises:
        RuntimeError: in the other processes, if process 0 failed inside.
    """
    global _turns
    _turns += 1
    state = PartialState()
    if state.num_processes == 1:
        yield
        return
    key = f"evenhand/first_process_first/{_turns}"
    store = torch.distributed.TCPStore(
        os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=FOREVER
    )
    if not state.is_main_process:
        if store.get(key) != b"done":  # waits until it is there
            raise RuntimeError("Process 0 failed; its own message says why.")
        yield
        return
    try:
        yield
    except BaseException:
        store.set(key, "failed")
        raise
    store.set(key, "done")


def _launched() -> bool:
    return int(os.environ.get("LOCAL_RANK", -1)) != -1


def _zero() -> bool:
    return launcher_says("ACCELERATE_USE_DEEPSPEED")


def _on_cpu(training: dict) -> bool:
    told = training.get("use_cpu", False) or launcher_says("ACCELERATE_USE_CPU")
    return told or device_type() == "cpu"


def _prepare_deepspeed_on_cpu() -> None:
    """DeepSpeed's own switches for a machine without a GPU; it is imported by the first run that uses it, here."""
    if visible_gpus():
        raise ValueError(
            "ZeRO on the CPU needs the GPUs hidden from the processes: start with CUDA_VISIBLE_DEVICES=-1, or use "
            "`evenhand distill RECIPE --accelerate zero1 training.use_cpu=true`, which does it."
        )
    os.environ["DS_ACCELERATOR"] = "cpu"
    os.environ.setdefault("LOCAL_SIZE", os.environ.get("LOCAL_WORLD_SIZE", "1"))
    os.environ.pop("ACCELERATE_USE_CPU", None)
    import deepspeed

    # it would compile this kernel for shared memory, most of a minute and a C++ compiler, for inference alone
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
