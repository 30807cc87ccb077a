"""Two processes that wait for each other, for test_process_group.py: ``torchrun --nproc_per_node 2 waiting_script.py FOLDER``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from evenhand.launch.process_group import first_process_first, join_processes

TIMEOUT = 2


def main(folder: Path) -> None:
    state = join_processes({"use_cpu": True, "ddp_timeout": TIMEOUT})
    mine = folder / f"process{state.process_index}"
    with first_process_first():
        if state.is_main_process:
            time.sleep(TIMEOUT + 1)
            (folder / "prepared").touch()
        mine.with_suffix(".found").write_text(str((folder / "prepared").exists()), encoding="utf-8")
    try:
        with first_process_first():
            if state.is_main_process:
                raise ValueError("broken corpus")
    except (ValueError, RuntimeError) as error:
        mine.with_suffix(".failed").write_text(str(error), encoding="utf-8")
    if not state.is_main_process:
        time.sleep(60)  # a process that hangs
    start = time.monotonic()
    try:
        state.wait_for_everyone()
    except RuntimeError:
        (folder / "noticed").write_text(str(time.monotonic() - start), encoding="utf-8")
        raise


if __name__ == "__main__":
    main(Path(sys.argv[1]))
