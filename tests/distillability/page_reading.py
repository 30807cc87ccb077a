"""How tests read the made-up study's page: its models by place, its tables by row, its comparisons by kind."""

import numpy as np
from scipy import stats

from evenhand.launch.distillability.models import DISTILLED, NO_REMEDY, all_models

_EVERY = {}
"""Models of a grid, which take a while to list."""


def every_model(grid):
    if id(grid) not in _EVERY:
        _EVERY[id(grid)] = list(all_models(grid))
    return _EVERY[id(grid)]


def models(grid, task="digits", **wanted):
    """Models with these fields, by seed."""
    wanted = {"remedy": NO_REMEDY, **wanted}
    return {
        model.seed: model
        for model in every_model(grid)
        if model.task == task and all(getattr(model, name) == value for name, value in wanted.items())
    }


def g_of(grid, method, teacher, student, how, remedy=NO_REMEDY, task="digits"):
    return models(
        grid, task, role=DISTILLED, method=method, teacher_size=teacher, size=student, student_method=how, remedy=remedy
    )


def differences(number, ours, theirs):
    return [number(ours[seed]) - number(theirs[seed]) for seed in sorted(ours)]


def shown(value, signed=True, digits=1):
    return f"{round(value, digits) + 0.0:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def with_interval(values, signed=True, digits=1):
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    return f"{shown(np.mean(values), signed, digits)} [{shown(low, signed, digits)}, {shown(high, signed, digits)}]"


def whole(folder):
    """README.md and the pages of the tasks, one after the other."""
    pages = [folder / "README.md", *sorted(folder.glob("task_*.md"))]
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def of_task(text, task="coloured digits"):
    return text.split(f"\n# {task}\n")[1].split("\n# ")[0]


def part(text, title, task="coloured digits"):
    return of_task(text, task).split(f"\n## {title}\n")[1].split("\n## ")[0]


def row(text, start):
    found = [line for line in text.splitlines() if line.startswith(f"| {start} ")]
    assert found, start
    return found[0]


def compared(data, kind, task="digits", **place):
    (found,) = (
        one
        for one in data["tasks"][task]["comparisons"]
        if one["kind"] == kind and all(one.get(key) == value for key, value in place.items())
    )
    return found["metrics"]
