"""What this machine lacks for what was asked of it, one line of advice each; an empty string where nothing is missing.

The doctor prints these lines; a run raises them before any long work.
"""

from __future__ import annotations

import importlib.util

import torch
from accelerate.utils import parse_flag_from_env

NATIVE_BF16 = (8, 0)
"""CUDA compute capability from which a GPU computes in bf16 itself; torch's own ``is_bf16_supported`` counts slow emulation too."""

PRECISIONS = ("no", "fp16", "bf16")


def refuse(*advice: str) -> None:
    """Raise the first line of ``advice`` that is not empty.

    Raises:
        ValueError: there is one.
    """
    for line in advice:
        if line:
            raise ValueError(f"{line}.")


def launcher_says(variable: str) -> bool:
    """Whether a launcher has set ``variable`` (``ACCELERATE_USE_DEEPSPEED``, ``ACCELERATE_USE_CPU``), in any spelling that ``Trainer`` takes.

    Raises:
        ValueError: it is neither a yes nor a no.
    """
    return parse_flag_from_env(variable)


def visible_gpus() -> int:
    """GPUs that torch can use in this process; counting them makes no CUDA context."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def device_type() -> str:
    """Of the device that a process uses unless it is told to use the CPU: ``cuda``, another of torch's, or ``cpu``."""
    if visible_gpus():
        return "cuda"
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator.type if accelerator else "cpu"


def computes_bf16(index: int | torch.device = 0) -> bool:
    """Whether this CUDA device has bf16 arithmetic of its own (not a V100)."""
    return torch.cuda.get_device_capability(index) >= NATIVE_BF16


def half_dtype(device: torch.device) -> torch.dtype:
    """The fastest precision for a model that is only read: bf16 or, before compute capability 8.0, fp16 on CUDA; fp32 elsewhere."""
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if computes_bf16(device) else torch.float16


def kernel_advice(index: int | torch.device = 0) -> str:
    """A GPU that this torch build has no kernels for: every launch would fail.

    A build's code runs on later minor versions of its major version, and what it carries as PTX (``compute_XX``) on every later GPU.
    """
    if torch.version.hip:
        return ""
    capability = torch.cuda.get_device_capability(index)
    architectures = torch.cuda.get_arch_list()
    if any(_runs_on(architecture, capability) for architecture in architectures):
        return ""
    # the builds made for CUDA 12.8 and later left Volta out
    build = "from the build tag cu126" if capability < (7, 5) else "in a build that has them"
    return (
        f"this torch build has no kernels for sm_{capability[0]}{capability[1]} (it has {' '.join(architectures)}): install torch {build}, "
        "as PyTorch's install page says"
    )


def _runs_on(architecture: str, capability: tuple[int, int]) -> bool:
    kind, _, number = architecture.partition("_")
    built_for = divmod(int(number.rstrip("af")), 10)
    if kind == "compute":
        return built_for <= capability
    return built_for[0] == capability[0] and built_for <= capability


def precision_advice(precision: str, device_type: str, index: int | torch.device = 0) -> str:
    """A mixed precision that the device does not have.

    Args:
        precision: ``no``, ``fp16`` or ``bf16``.
        device_type: ``cpu``, ``cuda`` or another of torch's.
        index: which CUDA device.
    """
    if precision == "fp16" and device_type == "cpu":
        return (
            "fp16 needs a GPU, but this run is on the CPU: set training.fp16=false, and --mixed-precision no where an accelerate config "
            "asks for fp16"
        )
    if precision == "bf16" and device_type == "cuda" and not computes_bf16(index):
        major, minor = torch.cuda.get_device_capability(index)
        return (
            f"bf16 needs a GPU of compute capability 8.0 or above, and this one has {major}.{minor} (a V100 and older GPUs have no bf16): "
            "use fp16 (training.bf16=false training.fp16=true, or --mixed-precision fp16)"
        )
    return ""


def teacher_dtype_advice(teacher_dtype: str, index: int | torch.device = 0) -> str:
    """A precision of the teacher that this CUDA device does not have."""
    if teacher_dtype != "bfloat16" or computes_bf16(index):
        return ""
    return "teacher_dtype bfloat16 needs a GPU of compute capability 8.0 or above: use auto or float16"


def process_advice(processes: int, gpus: int) -> str:
    """More processes on this machine than GPUs: two of them would share one, or fail when they look for theirs."""
    if processes <= gpus:
        return ""
    if gpus == 0:
        return (
            f"{processes} processes were asked for, each with a GPU of its own, but torch sees no GPU on this machine: use --accelerate "
            "cpu, or add training.use_cpu=true to try the recipe on the CPU"
        )
    return (
        f"{processes} processes were asked for on this machine, each with a GPU of its own, but torch sees {gpus}: add --num-processes "
        f"{gpus}, or show more of them with CUDA_VISIBLE_DEVICES"
    )


def data_parallel_advice(gpus: int) -> str:
    """Several GPUs in one process, which ``Trainer`` would put under ``nn.DataParallel``."""
    if gpus <= 1:
        return ""
    return (
        f"{gpus} GPUs are visible to one process, which would use nn.DataParallel; start with `evenhand distill RECIPE --accelerate ddp` "
        "or `accelerate launch -m evenhand.launch.distill RECIPE`, or show one GPU with CUDA_VISIBLE_DEVICES=0"
    )


def deepspeed_advice() -> str:
    """DeepSpeed that is not installed."""
    if importlib.util.find_spec("deepspeed") is not None:
        return ""
    return "ZeRO needs DeepSpeed, which is not installed: pip install 'evenhand[deepspeed]', or use --accelerate ddp"


def sharding_advice(zero_stage: int = 0, fsdp: bool = False) -> str:
    """Sharded *parameters*. A step works (DeepSpeed gathers what a forward reads); what looks at the student outside a step sees shards."""
    if zero_stage < 3 and not fsdp:
        return ""
    return (
        f"{'FSDP' if fsdp else f'ZeRO-{zero_stage}'} is not supported: it leaves each process a shard of every weight, so the student that is "
        "evaluated, measured, hashed and saved would be empty; a student fits on one GPU whole: use --accelerate ddp, zero1 or zero2"
    )
