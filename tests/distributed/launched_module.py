"""What test_accelerate_launch.py starts in two processes: ``python -m launched_module WHAT FOLDER``. Imports nothing slow."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path


def main(what: str, folder: Path) -> int:
    rank = int(os.environ["RANK"])
    if what == "environment":
        names = (
            "WORLD_SIZE",
            "LOCAL_WORLD_SIZE",
            "ACCELERATE_MIXED_PRECISION",
            "CUDA_VISIBLE_DEVICES",
            "OMP_NUM_THREADS",
        )
        (folder / f"environment{rank}").write_text(" ".join(os.environ[name] for name in names), encoding="utf-8")
    if what == "fail" and rank == 1:
        return 7
    if what == "killed" and rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if what in ("fail", "killed"):
        time.sleep(60)
    if what == "stop":
        signal.signal(signal.SIGUSR1, lambda signum, frame: (folder / f"usr1_{rank}").touch())
        signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(75))
        (folder / f"ready{rank}").touch()
        while True:
            time.sleep(0.05)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
