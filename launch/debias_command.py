"""The command line of ``evenhand debias-teacher``."""

from __future__ import annotations

import argparse
import json
from functools import partial

EXAMPLE = (
    "evenhand debias-teacher minilm_cpu --output-dir runs/debiased debias.epochs=2\n"
    "         evenhand distill minilm_cpu --output-dir runs/from_debiased teacher.path=runs/debiased/teacher"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything but ``--debug``."""
    parser.add_argument("recipe", help="a YAML file, or the name of a packaged recipe; its debias section says how")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="values that replace the recipe's")
    parser.add_argument(
        "--output-dir",
        default="debiased_teacher",
        help="where teacher/, debiasing.json and seat_before_after.json go; run again to resume (default: debiased_teacher)",
    )


def run(options: argparse.Namespace) -> int:
    """Debias, and print what it changed."""
    from evenhand.launch.requeue import until_stopped
    from evenhand.launch.run_directory import RunDirectory

    directory = RunDirectory(options.output_dir)
    return until_stopped(directory, partial(_debias_here, options), "evenhand debias-teacher")


def _debias_here(options: argparse.Namespace) -> int:
    from evenhand.launch.debias_teacher import DEBIASING_FILE, SEAT_FILE, debias_teacher
    from evenhand.launch.recipe import load_recipe

    done = debias_teacher(load_recipe(options.recipe, options.overrides), options.output_dir)
    facts, seat = (json.loads((done.path / name).read_text(encoding="utf-8")) for name in (DEBIASING_FILE, SEAT_FILE))
    print(debiasing_table(facts, seat))
    print(f"\nDebiased teacher in {done.teacher}.")
    return 0


def debiasing_table(facts: dict, seat: dict) -> str:
    """SEAT test by test before and after, then the losses.

    Args:
        facts: contents of debiasing.json. seat: of seat_before_after.json.
    """
    before, after, comparison = seat["before"], seat["after"], seat["comparison"]
    level = round(100 * before["confidence_level"])
    header = ["test", "d before", "d after", "change of |d|", f"{level} % interval", "verdict"]
    rows = [header]
    for name, test in before["tests"].items():
        change = comparison["tests"][name]
        rows.append(
            [
                test["label"],
                _number(test["effect_size"], sign=True),
                _number(after["tests"][name]["effect_size"], sign=True),
                _number(change["difference_absolute"], sign=True),
                _interval(change["confidence_interval_absolute"]),
                change["verdict"] or "",
            ]
        )
    for name, family in comparison["families"].items():
        means = [_number(side["families"][name]["mean_absolute_effect_size"]) for side in (before, after)]
        change = [_number(family["difference"], sign=True), _interval(family["confidence_interval"])]
        rows.append([f"mean |d|, {name}", *means, *change, family["verdict"] or ""])
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    stimuli = before["stimuli"].get("name", before["stimuli"].get("source"))
    return "\n".join(
        [
            f"SEAT of the teacher before and after debiasing ({before['pooling']} pooling, stimuli {stimuli}):",
            *lines,
            "",
            *_losses(facts, seat),
        ]
    )


def _losses(facts: dict, seat: dict) -> list[str]:
    start, chosen = facts["losses"][0]["dev"], facts["chosen"]
    best = next(losses["dev"] for losses in facts["losses"] if losses["epoch"] == chosen["epoch"])
    mlm, sentences = facts["held_out_mlm_loss"], facts["sentences"]
    lines = [
        f"Kept epoch {chosen['epoch']} of {facts['settings']['epochs']}: dev loss {start['loss']:.4g} -> {best['loss']:.4g} (projection "
        f"{start['projection']:.4g} -> {best['projection']:.4g}, drift {best['drift']:.4g}); {sentences['kept_of_each_kind']} sentences of each kind.",
    ]
    if mlm["before"] is not None:
        lines.append(
            f"Held-out MLM loss {mlm['before']:.3f} -> {mlm['after']:.3f} {mlm['unit']} ({mlm['n_targets']} targets)."
        )
    if seat["stereotype_words_of_the_tests"]:
        words = seat["stereotype_words_of_the_tests"]
        lines.append(
            f"{len(words)} of the stereotype words are words of these tests ({', '.join(words[:8])}{', …' if len(words) > 8 else ''}): the teacher "
            "was trained on what is measured here."
        )
    return lines


def _number(value: float | None, sign: bool = False) -> str:
    return "-" if value is None else f"{value:{'+' if sign else ''}.3f}"


def _interval(ends: list[float] | None) -> str:
    return "-" if ends is None else f"[{ends[0]:+.3f}, {ends[1]:+.3f}]"
