"""What ``evenhand distill --accelerate NAME`` will start: a config of accelerate and the command line, checked against this machine."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file

from evenhand.trainer.device_support import (
    PRECISIONS,
    deepspeed_advice,
    kernel_advice,
    precision_advice,
    process_advice,
    refuse,
    sharding_advice,
    visible_gpus,
)

CONFIGS = Path(__file__).parent / "accelerate_configs"
DEFAULT_PORT = 29500


@dataclass(frozen=True)
class LaunchOptions:
    """What the command line says in the place of a config; None leaves the config's value.

    ``num_processes`` counts all machines. The names are those of ``accelerate launch``.
    """

    num_processes: int | None = None
    num_machines: int | None = None
    machine_rank: int | None = None
    main_process_ip: str | None = None
    main_process_port: int | None = None
    mixed_precision: str | None = None

    @classmethod
    def of(cls, namespace: Namespace) -> LaunchOptions:
        """From parsed arguments of these names."""
        return cls(**{name: getattr(namespace, name) for name in cls.__dataclass_fields__})

    def given(self) -> list[str]:
        """Those that were given, as flags of ``evenhand distill``."""
        return [f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value is not None]


@dataclass(frozen=True)
class LaunchPlan:
    """``arguments`` of ``accelerate launch`` without the module; ``processes_here``: how many of them this machine will run."""

    arguments: list[str]
    processes_here: int
    on_cpu: bool


def find_config(name: str) -> Path:
    """A config file: ``name`` as a path, or a packaged one.

    Raises:
        FileNotFoundError: neither; the packaged ones are named.
    """
    path, packaged = Path(name), CONFIGS / f"{name.removesuffix('.yaml')}.yaml"
    if path.is_file():
        return path
    if path.parent == Path() and packaged.is_file():
        return packaged
    known = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
    raise FileNotFoundError(
        f"Accelerate config {name} does not exist; packaged ones: {', '.join(known)}, or name a YAML file."
    )


def plan_launch(name: str, options: LaunchOptions, training: dict, environment: Mapping[str, str]) -> LaunchPlan:
    """What to start, after every check that this machine allows before the start.

    Args:
        name: a packaged config or a file.
        training: the recipe's section: ``use_cpu``, ``fp16`` and ``bf16`` of it win over the config.
        environment: of the command; a config that leaves its numbers open takes them from ``SLURM_NNODES``, ``SLURM_NODEID``,
            ``MASTER_ADDR`` and ``MASTER_PORT``.

    Raises:
        ValueError: an unreadable config, or something that cannot run here. FileNotFoundError: no such config.
    """
    path = find_config(name)
    config = _read(path)
    on_cpu = config.use_cpu or training.get("use_cpu", False)
    machines, processes = _numbers(config, options, environment, name, on_cpu)
    here = processes // machines
    precision = options.mixed_precision or config.mixed_precision or "no"
    in_effect = "fp16" if training.get("fp16") else "bf16" if training.get("bf16") else precision
    refuse(*_strategy_advice(config))
    if not on_cpu:
        refuse(process_advice(here, visible_gpus()))
        refuse(*(kernel_advice(index) for index in range(here)))
    refuse(precision_advice(in_effect, "cpu" if on_cpu else "cuda"))
    arguments = ["--config_file", str(path), "--num_processes", str(processes), "--num_machines", str(machines)]
    arguments += ["--mixed_precision", precision, *_meeting_place(config, options, environment, name, machines)]
    return LaunchPlan(arguments, here, on_cpu)


def _read(path: Path) -> ClusterConfig:
    try:
        config = load_config_from_file(str(path))
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"Accelerate config {path} cannot be used: {' '.join(str(error).split())}") from None
    if not isinstance(config, ClusterConfig):
        raise ValueError(f"Accelerate config {path} is for Amazon SageMaker, which is not supported.")
    if (config.mixed_precision or "no") not in PRECISIONS:
        raise ValueError(
            f"Accelerate config {path}: mixed_precision must be one of {', '.join(PRECISIONS)}, not {config.mixed_precision!r}."
        )
    return config


def _numbers(
    config: ClusterConfig, options: LaunchOptions, environment: Mapping[str, str], name: str, on_cpu: bool
) -> tuple[int, int]:
    """Machines, and processes on all of them."""
    machines, processes = options.num_machines or config.num_machines, options.num_processes or config.num_processes
    if config.num_processes < 1:  # left open
        machines = options.num_machines or _number(environment, "SLURM_NNODES")
        if machines is None:
            raise ValueError(f"Accelerate config {name} needs --num-machines (or SLURM_NNODES).")
        processes = options.num_processes or machines * (1 if on_cpu else max(1, visible_gpus()))
    if machines < 1 or processes < 1 or processes % machines:
        raise ValueError(
            f"{processes} processes on {machines} machines do not come out even; --num-processes counts those of all machines."
        )
    return machines, processes


def _meeting_place(
    config: ClusterConfig, options: LaunchOptions, environment: Mapping[str, str], name: str, machines: int
) -> list[str]:
    """The arguments that say where the processes meet."""
    if machines == 1:
        # 0, any free port: another job on this machine may have the usual one
        return ["--main_process_port", str(options.main_process_port or 0)]
    rank, address = options.machine_rank, options.main_process_ip
    rank = _number(environment, "SLURM_NODEID") if rank is None else rank
    address = address or environment.get("MASTER_ADDR") or config.main_process_ip
    port = options.main_process_port or _number(environment, "MASTER_PORT") or config.main_process_port or DEFAULT_PORT
    wanted = {"--machine-rank (or SLURM_NODEID)": rank, "--main-process-ip (or MASTER_ADDR)": address}
    missing = [flag for flag, value in wanted.items() if value is None]
    if missing:
        raise ValueError(f"Accelerate config {name} on {machines} machines needs {' and '.join(missing)}.")
    if not 0 <= rank < machines:
        raise ValueError(f"--machine-rank must lie between 0 and {machines - 1}, not {rank}.")
    return ["--machine_rank", str(rank), "--main_process_ip", address, "--main_process_port", str(port)]


def _number(environment: Mapping[str, str], variable: str) -> int | None:
    text = environment.get(variable, "")
    return int(text) if text.isdigit() else None


def _strategy_advice(config: ClusterConfig) -> list[str]:
    strategy = str(config.distributed_type.value)
    if strategy == "DEEPSPEED":
        return [deepspeed_advice(), sharding_advice(int(config.deepspeed_config.get("zero_stage", 2)))]
    if strategy == "FSDP":
        return [sharding_advice(fsdp=True)]
    known = strategy in ("NO", "MULTI_GPU", "MULTI_CPU")
    return ["" if known else f"distributed_type {strategy} is not supported: use MULTI_GPU or DEEPSPEED"]
