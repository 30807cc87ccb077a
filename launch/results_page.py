"""The page of a paired comparison, written from the runs' reports and nothing else.

    python -m evenhand.launch.results_page runs/minilm_cpu --page docs/results/minilm_cpu.md

after `evenhand evaluate` has measured the runs that ``paired_runs`` made.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from evenhand.evaluation import EvaluationReport
from evenhand.evaluation.paired_seeds import t_interval
from evenhand.launch.errors import exit_code
from evenhand.launch.page_environments import environment_text
from evenhand.launch.results_tables import first_report, number, score_sections, seat_sections, spread
from evenhand.model_cards.figures.tradeoff_figure import draw_tradeoff_figure, tradeoff_points
from evenhand.model_cards.whole_files import write_text

_RUN = re.compile(r"(plain|mixup)-seed(\d+)")


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
    """Write the Markdown page: every measure for teacher and arms, the arms' paired differences, held-out loss.

    The trade-off plot goes beside the page, as ``NAME_tradeoff.png``, where the runs were measured on GLUE.

    Args:
        directory: output of ``paired_runs``.
        page: the file to write.
        command: what was run, quoted in the page.
    """
    runs = load_runs(directory)
    page.parent.mkdir(parents=True, exist_ok=True)
    sections = [
        _opening(runs, command),
        _picture(runs, page),
        seat_sections(runs),
        score_sections(runs),
        _losses(runs),
        _reports(runs, directory),
    ]
    return write_text(page, "\n".join(line for section in sections for line in section) + "\n")


def _picture(runs: dict, page: Path) -> list[str]:
    points, tasks = tradeoff_points([report for reports in runs.values() for report in reports.values()])
    if not points:
        return []
    picture = draw_tradeoff_figure(points, tasks, page.with_name(f"{page.stem}_tradeoff.png"))
    return [f"![Mean |d| of six gender tests against the mean score of {tasks}]({picture.name})", ""]


def _opening(runs: dict, command: str) -> list[str]:
    report, seeds = first_report(runs), sorted(runs["plain"])
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
        f"- Environment: {environment_text(report.data)}; page written at commit {_commit()}.",
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
        f"{len(mixup['pairs']['matched'])} pairs; {np.mean([r.training['supervision']['mixed_positions'] for r in runs['mixup'].values()]):,.0f} positions mixed a run (mean).",
        f"- Seeds: {', '.join(map(str, seeds))}, the same for both arms: same teacher, initial student, data order, masks and dropout.",
        "- Intervals are at 95 %. Those of SEAT cover the choice of words and the training seeds; those of differences of other measures the seeds alone. "
        "p (flips) is over words, of associations averaged over the seeds. Many comparisons stand on this page; none is corrected for the others.",
        "",
    ]


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
        lines.append(f"| {arm} | {' | '.join(f'{v:.4f}' for v in values)} | {spread(values, 4, False)} |")
    i = t_interval([a - b for a, b in zip(losses["mixup"], losses["plain"], strict=True)])
    teacher = first_report(runs).training["held_out_mlm_loss"]
    lines += [
        "",
        f"Teacher: {teacher['teacher']:.4f} ({teacher['n_targets']:,} masked tokens). Mixup − plain, paired: {number(i.mean, digits=4)} [{number(i.low, digits=4)}, {number(i.high, digits=4)}], {i.n} seeds.",
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


def main(argv: list[str] | None = None) -> int:
    """Write the page of runs that were measured."""
    parser = argparse.ArgumentParser(prog="python -m evenhand.launch.results_page", description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="output directory of paired_runs")
    parser.add_argument("--page", type=Path, required=True, help="the Markdown file to write")
    parser.add_argument("--command", help="the commands that made the runs, to be quoted (default: this one)")
    options = parser.parse_args(argv)
    command = options.command or " ".join(["python -m evenhand.launch.results_page", *(argv or sys.argv[1:])])

    def write() -> int:
        print(write_results_page(options.directory, options.page, command))
        return 0

    return exit_code("results_page", write)


if __name__ == "__main__":
    sys.exit(main())
