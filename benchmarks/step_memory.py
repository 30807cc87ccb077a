"""Peak memory of one optimiser step above what stays: a process of its own for each measurement.

On the CPU in a process of its own: the peak of the resident set during the step, less the resident set before it (weights, optimiser
state) and the bytes of the gradients. (On a GPU benchmarks/gpu_step.py reads the allocator's own peak.)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.bert_base import Shape, full_batches, models

MIB = 2**20


def peak_in_new_process(side: str, mode: str, shape: Shape, threads: int) -> float:
    """MiB; the allocator is told to hand freed blocks back at once, so that the resident set is what is used."""
    environment = os.environ | {
        "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": str(threads),
    }  # fmt: skip
    request = json.dumps({"side": side, "mode": mode, "shape": asdict(shape)})
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.step_memory", request],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the memory of {side} could not be measured: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])["mib"]


def _resident(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def measure(request: dict) -> float:
    """MiB of one step after a first one, which makes the optimiser's state and warms up."""
    from benchmarks.naive_trainer import NaiveTrainer
    from benchmarks.step_runner import StepRunner
    from evenhand.trainer import DistillationTrainer

    shape = Shape(**request["shape"])
    teacher, (student,) = models(shape)
    side = {"ours": DistillationTrainer, "naive": NaiveTrainer}[request["side"]]
    runner = StepRunner(side, shape, student, teacher, request["mode"], False, use_cpu=True)
    first, second = full_batches(shape, 2)
    runner.step(first, 0)
    gradients = sum(p.numel() * p.element_size() for p in student.parameters() if p.requires_grad)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    runner.step(second, 1)
    return (_resident("VmHWM") - before - gradients) / MIB


if __name__ == "__main__":
    print(json.dumps({"mib": measure(json.loads(sys.argv[1]))}))
