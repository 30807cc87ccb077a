"""The launcher that test_accelerate_launch.py looks at, in a process of its own: ``launcher_script.py FOLDER``.

Several launches in one process, because its imports take longer than they do. Prints their exit codes as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from evenhand.launch.accelerate_launch import launch
from evenhand.launch.accelerate_plan import LaunchOptions, plan_launch


def stop_when_ready(folder: Path) -> None:
    """SIGUSR1, then SIGTERM to this process alone, as soon as both of its children listen."""
    while len(list(folder.glob("ready*"))) < 2:
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGUSR1)
    while len(list(folder.glob("usr1_*"))) < 2:
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)


def main(folder: Path) -> None:
    ends = {}
    for what in ("environment", "fail", "killed", "stop"):
        plan = plan_launch("cpu", LaunchOptions(), {}, os.environ)
        if what == "stop":
            threading.Thread(target=stop_when_ready, args=(folder,), daemon=True).start()
        ends[what] = launch(plan, [what, str(folder)], module="launched_module")
    handed_on = {what: sorted(ended.handed_on) for what, ended in ends.items()}
    codes = {what: ended.code for what, ended in ends.items()} | {"handed_on": handed_on}
    print(json.dumps(codes | {"imported_deepspeed": "deepspeed" in sys.modules}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
