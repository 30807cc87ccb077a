"""A cohort that dies by SIGKILL in the middle of a step of its second epoch: ``python cohort_killed.py FOLDER``."""

from __future__ import annotations

import sys

import torch
from killed_runs import KillAt
from tiny_cohort import tiny_cohort

NAMES = ("mixup", "shallow", "masked")
KILLED_AT = 8
ARGUMENTS = {"max_steps": 10, "save_strategy": "steps", "save_steps": 3, "logging_steps": 4}
"""22 sentences, four a step: the last step of each epoch has one micro-batch. Checkpoint 6 lies at its edge, log 4 before it."""

if __name__ == "__main__":
    torch.set_num_threads(1)
    tiny_cohort(sys.argv[1], NAMES, arguments=ARGUMENTS, callbacks=[KillAt(KILLED_AT)]).train()
