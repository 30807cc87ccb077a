"""The page of a paired comparison, written from the runs' reports and nothing else."""

from __future__ import annotations

import hashlib
import math
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from evenhand.evaluation import EvaluationReport
from evenhand.launch.whole_files import write_text

LABELS = ("C6", "C6b", "C7", "C7b", "C8", "C8b")
_RUN = re.compile(r"(plain|mixup)-seed(\d+)")
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over paired seeds with its Student-t interval."""

    mean: float
    low: float
    high: float
    n: int
    p_value: float


def t_interval(values: list[float]) -> Interval:
    """Mean of ``values`` with its two-sided 95 % Student-t interval and the p-value of the mean being 0 (one-sample t-test).

    Raises:
        ValueError: fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"An interval over seeds needs at least two seeds, not {len(values)}.")
    data = np.asarray(values, dtype=np.float64)
    error = data.std(ddof=1) / math.sqrt(len(data))
    reach = stats.t.ppf((1 + LEVEL) / 2, len(data) - 1) * error
    p_value = float(2 * stats.t.sf(abs(data.mean()) / error, len(data) - 1)) if error > 0 else float(data.mean() == 0)
    return Interval(float(data.mean()), float(data.mean() - reach), float(data.mean() + reach), len(data), p_value)


def load_runs(directory: Path) -> dict[str, dict[int, EvaluationReport]]:
    """Reports by arm and seed.

    Raises:
        FileNotFoundError: no finished pair.
    """
    runs: dict[str, dict[int, EvaluationReport]] = {"plain": {}, "mixup": {}}
    for path in sorted(directory.iterdir()):
        match = _RUN.fullmatch(path.name)
        if match and (path / "report.json").is_file():
            runs[match[1]][int(match[2])] = EvaluationReport.load(path / "report.json")
    seeds = sorted(runs["plain"].keys() & runs["mixup"].keys())
    if not seeds:
        raise FileNotFoundError(
            f"{directory} holds no finished pair of runs (plain-seedN and mixup-seedN with report.json)."
        )
    return {arm: {seed: reports[seed] for seed in seeds} for arm, reports in runs.items()}


def write_results_page(directory: Path, page: Path, command: str) -> Path:
    """Write the Markdown page: d per test, mean |d| with the spread over seeds, paired difference, held-out loss.

    Args:
        directory: output of ``paired_runs``.
        page: the file to write.
        command: what was run, quoted in the page.
    """
    runs = load_runs(directory)
    text = "\n".join([*_opening(runs, command), *_measures(runs), *_losses(runs), *_reports(runs, directory)])
    page.parent.mkdir(parents=True, exist_ok=True)
    return write_text(page, text + "\n")


def _first(runs: dict) -> EvaluationReport:
    return next(iter(runs["plain"].values()))


def _opening(runs: dict, command: str) -> list[str]:
    report, seeds = _first(runs), sorted(runs["plain"])
    training, corpus = report.training, report.training["corpus"]
    teacher, student = training["teacher"], training["student"]
    mixup = next(iter(runs["mixup"].values())).training["supervision"]
    objective = training["objective"]
    weights = " / ".join(f"{name} {value:g}" for name, value in objective["weights"].items())
    head = teacher["mlm_head"]
    return [
        f"# {_title(teacher['name'])}: plain distillation against gender mixup",
        "",
        "Written by a command from the runs' reports; no number here was typed.",
        "",
        f"- Command: `{command}`",
        f"- Environment: {', '.join(f'{key} {value}' for key, value in report.data['environment'].items())}; evenhand "
        f"{report.data['evenhand_version']}; page written at commit {_commit()}.",
        f"- Teacher: `{teacher['name']}`, {teacher['layers']} layers, width {teacher['hidden_size']}."
        + (
            f" {head['note']} Trained: {head['trained']}. Its SEAT numbers below are those of the teacher after that training."
            if head
            else ""
        ),
        f"- Student: {student['model_type']}, {student['layers']} layers from teacher layers {student['teacher_layers']}, "
        f"{student['parameters']:,} parameters.",
        f"- Corpus: {', '.join(source['path'] for source in corpus['sources'])}; {corpus['sequences']:,} sequences, {corpus['tokens']:,} tokens; "
        f"{corpus['held_out_sequences']:,} sequences held out by document.",
        f"- Training: {training['steps']} steps of {training['batch_size']} sequences ({training['tokens_seen']:,} tokens, {training['epochs']:.3f} epochs); "
        f"weights {weights}; T = {objective['temperature']:g}; soft targets at {objective['ce_positions']} positions.",
        f"- Mixup: {', '.join(mixup['mix'])}; λ ~ Beta({mixup['alpha']:g}, {mixup['alpha']:g}) per {mixup['granularity']}; second view: {mixup['second_view']}; "
        f"{len(mixup['pairs']['matched'])} pairs; {_mean([r.training['supervision']['mixed_positions'] for r in runs['mixup'].values()]):,.0f} positions mixed a run (mean).",
        f"- Seeds: {', '.join(map(str, seeds))}, the same for both arms: same teacher, initial student, data order, masks and dropout.",
        "",
    ]


def _measures(runs: dict) -> list[str]:
    lines = []
    for number, entry in enumerate(_first(runs).measures["seat"]):
        stimuli = "built-in stimuli" if entry["stimuli"]["source"] == "builtin" else "sent-bias files"
        lines += [f"## SEAT, {stimuli}, pooling `{entry['pooling']}`", ""]
        names = {test["label"]: name for name, test in entry["model"]["tests"].items()}
        labels = [label for label in LABELS if label in names]
        lines += [f"| model | {' | '.join(labels)} | mean \\|d\\| |", "|---" * (len(labels) + 2) + "|"]
        lines.append(_row("teacher", entry["reference"], labels, names))
        for arm, reports in runs.items():
            lines += [
                _row(f"{arm}, seed {seed}", r.measures["seat"][number]["model"], labels, names)
                for seed, r in reports.items()
            ]
        for arm, reports in runs.items():
            results = [r.measures["seat"][number]["model"] for r in reports.values()]
            cells = [_spread([result["tests"][names[label]]["effect_size"] for result in results]) for label in labels]
            lines.append(
                f"| **{arm}, mean ± s.d.** | {' | '.join(cells)} | {_spread([_mean_d(r) for r in results], signed=False)} |"
            )
        lines.append(_paired_row(runs, number, [names[label] for label in labels]))
        lines += ["", *_differences(runs, number, labels, names), ""]
    return lines


def _paired_row(runs: dict, number: int, names: list[str]) -> str:
    """Difference of d per test, paired by seed; the last cell, of mean |d|, stands in the table below with its p."""

    def effects(arm: str, name: str) -> list[float]:
        return [r.measures["seat"][number]["model"]["tests"][name]["effect_size"] for r in runs[arm].values()]

    cells = []
    for name in names:
        i = t_interval([m - p for m, p in zip(effects("mixup", name), effects("plain", name), strict=True)])
        cells.append(f"{_number(i.mean)} [{_number(i.low)}, {_number(i.high)}]")
    return f"| mixup − plain, paired, 95 % | {' | '.join(cells)} | see below |"


def _row(title: str, result: dict, labels: list[str], names: dict) -> str:
    cells = [_number(result["tests"][names[label]]["effect_size"]) for label in labels]
    return f"| {title} | {' | '.join(cells)} | {_number(_mean_d(result), False)} |"


def _mean_d(result: dict) -> float:
    return result["mean_absolute_effect_size"]


def _differences(runs: dict, number: int, labels: list[str], names: dict) -> list[str]:
    """Paired differences over seeds; positive mean |d|: the first named is more associated."""

    def values(arm: str) -> list[float]:
        return [_mean_d(r.measures["seat"][number]["model"]) for r in runs[arm].values()]

    teacher = _mean_d(_first(runs).measures["seat"][number]["reference"])
    pairs = [a - b for a, b in zip(values("mixup"), values("plain"), strict=True)]
    lines = [
        "| difference in mean \\|d\\| | mean | 95 % interval (t over seeds) | p | seeds |",
        "|---|---|---|---|---|",
    ]
    for title, differences in (
        ("mixup − plain (paired by seed)", pairs),
        ("plain − teacher", [v - teacher for v in values("plain")]),
        ("mixup − teacher", [v - teacher for v in values("mixup")]),
    ):
        i = t_interval(differences)
        lines.append(
            f"| {title} | {_number(i.mean)} | [{_number(i.low)}, {_number(i.high)}] | {_probability(i.p_value)} | {i.n} |"
        )
    i = t_interval(pairs)
    reach = (i.high - i.low) / 2
    verdict = (
        "not distinguishable" if i.low <= 0 <= i.high else "lower with mixup" if i.high < 0 else "higher with mixup"
    )
    lines += [
        "",
        f"Mixup against plain: **{verdict}** at 95 % over seeds (half-width of the interval {reach:.3f}; several comparisons stand on this page, none is corrected for the others). The interval is over training seeds only; the eight words a side add uncertainty of their own.",
    ]
    return lines


def _losses(runs: dict) -> list[str]:
    seeds = sorted(runs["plain"])
    lines = [
        "## Held-out masked-LM loss",
        "",
        "Nats per masked token on documents that no student saw; the same masks for all.",
        "",
    ]
    lines += [
        "| model | " + " | ".join(f"seed {seed}" for seed in seeds) + " | mean ± s.d. |",
        "|---" * (len(seeds) + 2) + "|",
    ]
    losses = {
        arm: [r.training["held_out_mlm_loss"]["student"] for r in reports.values()] for arm, reports in runs.items()
    }
    for arm, values in losses.items():
        lines.append(f"| {arm} | {' | '.join(f'{v:.4f}' for v in values)} | {_spread(values, 4, False)} |")
    i = t_interval([a - b for a, b in zip(losses["mixup"], losses["plain"], strict=True)])
    teacher = _first(runs).training["held_out_mlm_loss"]
    lines += [
        "",
        f"Teacher: {teacher['teacher']:.4f} ({teacher['n_targets']:,} masked tokens). Mixup − plain, paired: {_number(i.mean, digits=4)} [{_number(i.low, digits=4)}, {_number(i.high, digits=4)}], {i.n} seeds.",
        "",
    ]
    return lines


def _reports(runs: dict, directory: Path) -> list[str]:
    lines = ["## Reports", "", "| run | recipe | student weights | report.json (sha256) |", "|---|---|---|---|"]
    for arm, reports in runs.items():
        for seed, report in reports.items():
            name = f"{arm}-seed{seed}"
            digest = hashlib.sha256((directory / name / "report.json").read_bytes()).hexdigest()
            training = report.training
            lines.append(
                f"| {name} | `{training['recipe_sha256'][:12]}` | `{training['student']['weights_sha256'][:12]}` | `{digest[:12]}` |"
            )
    return lines


def _title(name: str) -> str:
    """``package:NAME/FOLDER`` and long paths by the part that says what the model is."""
    return name.removeprefix("package:").split("/")[0] if name.startswith("package:") else Path(name).name


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent
    )
    return found.stdout.strip() or "unknown"


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def _number(value: float, signed: bool = True, digits: int = 3) -> str:
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def _probability(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def _spread(values: list[float], digits: int = 3, signed: bool = True) -> str:
    mean = _number(float(np.mean(values)), signed, digits)
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else mean
