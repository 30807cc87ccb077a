"""The card, its facts and its pictures, held against the report that they are made from."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from evenhand.model_cards.facts import CardFacts
from evenhand.model_cards.figures.compared_pictures import compared_picture
from evenhand.model_cards.figures.pictures import REPORT_PICTURES, draw_pictures
from evenhand.model_cards.hand_written import read_blocks
from evenhand.model_cards.hub.benchmark_results import glue_entries
from evenhand.model_cards.lint.linted_card import LintedCard
from evenhand.model_cards.lint.report_hash import printed_report_hash
from evenhand.model_cards.published_report import canonical_sha256
from evenhand.model_cards.staging import CARD, FACTS, FIGURES, REPORT, staged_figures
from evenhand.model_cards.verification.gate_rows import gate_rows
from evenhand.model_cards.verification.other_version import first_wrong_number
from evenhand.model_cards.verification.rows import HASH_ONLY, RECOMPUTED, UNCHECKED, Row


def card_rows(folder: Path, report: Mapping[str, Any], installed: str) -> list[Row]:
    """The hash that the card prints, the card made again from the report and the declared facts, and those facts.

    Args:
        folder: of a published student.
        report: what its report.json holds.
        installed: version of this evenhand.
    """
    path = folder / CARD
    if not path.is_file():
        return [Row(CARD, HASH_ONLY, passed=False, note="is missing")]
    card, actual = path.read_text(encoding="utf-8", errors="replace"), canonical_sha256(report)
    printed = printed_report_hash(card)
    rows = [Row(f"{REPORT}: hash in the card", HASH_ONLY, printed, actual, printed == actual)]
    try:
        facts = CardFacts.from_dict(json.loads((folder / FACTS).read_text(encoding="utf-8")))
        notes = read_blocks(card)
        made = LintedCard(card, report, dataclasses.replace(facts, notes=notes), _pictures(folder))
        rows.append(_text_row(made, report["evenhand_version"], installed))
    except (OSError, ValueError) as error:
        note = f"{FACTS} or the card cannot be read: {' '.join(str(error).split())[:200]}"
        return [*rows, Row(f"{CARD}: text", RECOMPUTED, passed=False, note=note)]
    rows += gate_rows(report, facts)
    if notes:
        edited = "; changed since it was published" if notes != dict(facts.notes) else ""
        note = f"written by hand ({', '.join(sorted(notes))}): its words and numbers are not checked{edited}"
        rows.append(Row(f"{CARD}: hand-written text", UNCHECKED, note=note))
    note = "licence, author and what else whoever publishes declares"
    return [*rows, Row(f"{FACTS}: declared facts", UNCHECKED, note=note)]


def _text_row(card: LintedCard, version: str, installed: str) -> Row:
    """The whole text where this evenhand wrote it; of another version's the numbers and what machines read."""
    claim = f"{CARD}: text"
    if card.text == card.expected:
        return Row(claim, RECOMPUTED, passed=True)
    if version == installed:
        number, line, expected = _first_difference(card.text, card.expected)
        note = f"line {number} is not what the report and the facts give: {line[:60]!r} for {expected[:60]!r}"
        return Row(claim, RECOMPUTED, passed=False, note=note)
    wrong = first_wrong_number(card)
    if wrong:
        return Row(claim, RECOMPUTED, passed=False, note=wrong)
    note = f"written by evenhand {version}, whose words {installed} may not reproduce; its numbers are the report's"
    return Row(claim, UNCHECKED, note=note, missed=True)


def _pictures(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in map(str, staged_figures(folder))}


def _first_difference(card: str, again: str) -> tuple[int, str, str]:
    """1-based number of the first line that differs, and from where it does in both."""
    ours, theirs = [*card.split("\n"), ""], [*again.split("\n"), ""]
    line = next(i for i in range(len(ours) + len(theirs)) if ours[i : i + 1] != theirs[i : i + 1])
    pair = [lines[line] if line < len(lines) else "" for lines in (ours, theirs)]
    same = next((i for i, (a, b) in enumerate(zip(*pair, strict=False)) if a != b), min(map(len, pair)))
    start = max(0, same - 20)
    return line + 1, pair[0][start:], pair[1][start:]


def benchmark_rows(folder: Path, report: Mapping[str, Any]) -> list[Row]:
    """`.eval_results/`: each entry made again from the report; which task of the Hub's it is, the Hub alone knows."""
    rows = []
    for path in sorted(folder.glob(".eval_results/*.yaml")):
        try:
            glue = (report["measures"].get("glue") or [{}])[0].get("model")
            expected = [] if glue is None else _without_task_id(eval_result_entries_to_yaml(_all_entries(glue)))
            entries = _without_task_id(yaml.safe_load(path.read_text(encoding="utf-8")))
            unknown = [entry for entry in entries if entry not in expected]
            note = f"{len(unknown)} of its results are not the report's" if unknown or not entries else None
        except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
            note = f"cannot be read ({type(error).__name__})"
        rows.append(Row(path.relative_to(folder).as_posix(), RECOMPUTED, passed=note is None, note=note))
    return rows


def _all_entries(glue: Mapping[str, Any]) -> list[EvalResultEntry]:
    """Of every task that was measured whole."""
    main = {key: task["metrics"][task["main_metric"]] for key, task in glue["tasks"].items()}
    return list(glue_entries(glue, [{"id": key, "config": key, "split": main[key]["split"]} for key in main]))


def _without_task_id(entries: Any) -> list[dict[str, Any]]:
    return [
        {**entry, "dataset": {key: value for key, value in entry["dataset"].items() if key != "task_id"}}
        for entry in entries
    ]


def picture_rows(folder: Path, report: Mapping[str, Any]) -> list[Row]:
    """Every picture: drawn again from the report where it can be, and compared pixel by pixel.

    Other versions of matplotlib draw the same numbers with other pixels, so only those of the version here are checked; the
    summary names the others.
    """
    names = [Path(name).name for name in staged_figures(folder)]
    if not names:
        return []
    with tempfile.TemporaryDirectory(prefix="evenhand-verify-") as scratch:
        try:
            draw_pictures(report, scratch)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            note = f"cannot be drawn from the report ({error!r})"[:200]
            return [Row("pictures", RECOMPUTED, passed=False, note=note)]
        return [_picture_row(name, folder / FIGURES / name, Path(scratch) / name) for name in names]


def _picture_row(name: str, path: Path, again: Path) -> Row:
    claim = f"picture {name}"
    if name not in REPORT_PICTURES:
        return Row(claim, UNCHECKED, note="it is not drawn from the report")
    try:
        is_same, note = compared_picture(path, again)
    except (OSError, ValueError) as error:
        return Row(claim, RECOMPUTED, passed=False, note=" ".join(str(error).split()))
    if is_same is None:
        return Row(claim, UNCHECKED, note=note, missed=True)
    return Row(claim, RECOMPUTED, passed=is_same, note=note)
