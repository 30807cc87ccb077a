"""Checking a published student from its folder alone: hashes, the card, and SEAT computed again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenhand.evaluation.report import EvaluationReport
from evenhand.model_cards.card import build_card
from evenhand.model_cards.facts import CardFacts
from evenhand.model_cards.lint.staged_folder import printed_report_hash
from evenhand.model_cards.published_report import canonical_sha256, published_report
from evenhand.model_cards.staging import CARD, FACTS, REPORT, staged_figures, unexpected_files
from evenhand.model_cards.verification.rows import HASH_ONLY, RECOMPUTED, UNCHECKED, Row, Verification
from evenhand.model_cards.verification.seat_comparison import compare_seat

# The evaluators are imported where they run: they bring torch, which making a card does not need.
if TYPE_CHECKING:
    from evenhand.evaluation.seat import Seat

# Beside safetensors these run code or change which weights are loaded: a folder for strangers has none of them.
_UNSAFE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack", ".py", ".so")
_UNSAFE_NAMES = ("modules.json", "adapter_config.json")


def verify(folder: str | Path, stimuli: str | Path | None = None) -> Verification:
    """Check what a staged folder claims, with nothing but the folder and this package.

    The student is loaded from its safetensors, without remote code; SEAT is computed again with the report's pooling,
    tests, seed and confidence level. Numbers computed on imported stimuli need `stimuli`; the teacher's numbers and
    the training record cannot be computed from the folder and are marked so.

    Args:
        folder: a staged folder.
        stimuli: directory of the sent-bias files that the report's imported numbers were computed on.

    Returns:
        One row for each claim. `.ok` is False when any checked claim fails or no SEAT number could be recomputed.

    Raises:
        FileNotFoundError: no such folder, or no report in it.
        ValueError: the report is none, the folder holds files that staging never writes (a pickle must not be loaded),
            the model cannot be loaded, or `stimuli` are not those of the report.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"folder {folder} does not exist; give one that `evenhand publish` made")
    if not (folder / REPORT).is_file():
        raise FileNotFoundError(f"{folder} holds no {REPORT}; give a folder that `evenhand publish` made")
    _refuse_executable(folder)
    report = EvaluationReport.load(folder / REPORT).to_dict()
    published_report(report)  # raises where a report has no SEAT
    from evenhand.evaluation.models import load_model, model_facts

    model, tokenizer = load_model(folder)
    facts = model_facts(model, tokenizer, "student", report["model"]["name"])
    rows = [*_card_rows(folder, report), *_model_rows(report["model"], facts)]
    rows += _seat_rows(report, model, tokenizer, stimuli)
    rows += [Row(f"measure {name}", UNCHECKED) for name in sorted(set(report["measures"]) - {"seat"})]
    if report["reference"] is not None:
        rows.append(Row("teacher: hashes and sizes", UNCHECKED, note="the teacher is not in the folder"))
    if report["training"] is not None:
        rows.append(Row("training record", UNCHECKED, note="training cannot be repeated from the folder"))
    figures, others = staged_figures(folder), unexpected_files(folder)
    if figures:
        rows.append(Row(f"pictures: {len(figures)}", UNCHECKED, note="they are not compared with the report"))
    if others:
        rows.append(Row(f"other files: {len(others)}", UNCHECKED, note=f"staging does not write {others[0]}"))
    return Verification(str(folder), tuple(rows))


def changed_since_measured(folder: str | Path) -> list[str]:
    """Problems of a staged folder whose weights or tokenizer are not those that its report measured."""
    from evenhand.evaluation.models import load_model, model_facts

    report = EvaluationReport.load(Path(folder) / REPORT)
    facts = model_facts(*load_model(folder), "student", report.model["name"])
    failed = [row for row in _model_rows(report.model, facts) if row.passed is False]
    return [f"{row.claim}: not what {REPORT} measured; evaluate the run again: evenhand evaluate RUN" for row in failed]


def _refuse_executable(folder: Path) -> None:
    """Raise where a file could run code when the folder is loaded, or change which weights are."""
    for name in unexpected_files(folder):
        if name.lower().endswith(_UNSAFE_SUFFIXES) or name.split("/")[-1] in _UNSAFE_NAMES:
            raise ValueError(
                f"{folder} holds {name}, which could run code or change the weights when loaded; nothing was checked"
            )


def _card_rows(folder: Path, report: Mapping[str, Any]) -> list[Row]:
    """The hash that the card prints, and the card made again from the report and the declared facts."""
    path = folder / CARD
    if not path.is_file():
        return [Row(CARD, HASH_ONLY, passed=False, note="is missing")]
    card, actual = path.read_text(encoding="utf-8"), canonical_sha256(report)
    printed = printed_report_hash(card)
    rows = [Row(f"{REPORT}: hash in the card", HASH_ONLY, printed, actual, printed == actual)]
    try:
        facts = CardFacts.from_dict(json.loads((folder / FACTS).read_text(encoding="utf-8")))
        again = build_card(report, facts, staged_figures(folder))
    except (OSError, ValueError) as error:
        return [*rows, Row(f"{CARD}: text", HASH_ONLY, passed=False, note=f"{FACTS}: {' '.join(str(error).split())}")]
    installed = metadata.version("evenhand")
    if again != card and report["evenhand_version"] != installed:
        note = f"written by evenhand {report['evenhand_version']}, whose card {installed} may not reproduce"
        return [*rows, Row(f"{CARD}: text", UNCHECKED, note=note)]
    note = None if again == card else f"line {_first_difference(card, again)} is not what the report and the facts give"
    return [*rows, Row(f"{CARD}: text", RECOMPUTED, passed=again == card, note=note)]


def _first_difference(card: str, again: str) -> int:
    """1-based number of the first line that differs."""
    ours, theirs = card.splitlines(), again.splitlines()
    same = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    return same + 1


def _model_rows(claimed: Mapping[str, Any], facts: Mapping[str, Any]) -> list[Row]:
    """Hashes of weights and tokenizer, and the sizes that the card prints."""
    rows = [
        Row(f"student: {name}", HASH_ONLY, claimed[key], facts[key], claimed[key] == facts[key])
        for name, key in (("weights", "weights_sha256"), ("tokenizer", "tokenizer_sha256"))
    ]
    sizes = ("model_type", "layers", "hidden_size", "vocab_size", "parameters", "max_length")
    return rows + [
        Row(f"student: {key}", RECOMPUTED, str(claimed[key]), str(facts[key]), claimed[key] == facts[key])
        for key in sizes
    ]


def _seat_rows(report: Mapping[str, Any], model: Any, tokenizer: Any, stimuli: str | Path | None) -> list[Row]:
    """Every SEAT entry: recomputed, or one row that says why it is not."""
    rows, used = [], stimuli is None
    for entry in report["measures"]["seat"]:
        source, claimed = entry["stimuli"]["source"], entry["model"]
        title = f"SEAT {entry['pooling']}, {source}"
        if entry["pooling"] != claimed["pooling"] or entry["stimuli"] != claimed["stimuli"]:
            rows.append(Row(title, RECOMPUTED, passed=False, note="entry and result name different pooling or stimuli"))
            continue
        if source != "builtin" and stimuli is None:
            rows.append(Row(title, UNCHECKED, note="imported stimuli: give their directory"))
        else:
            seat, reason = _evaluator(claimed, "builtin" if source == "builtin" else stimuli)
            used = used or (seat is not None and source != "builtin")
            if seat is None:
                rows.append(Row(title, UNCHECKED, note=reason))
            else:
                rows += compare_seat(title, claimed, seat.run(model, tokenizer).to_dict())
        if entry["reference"] is not None:
            rows.append(Row(f"{title}: teacher", UNCHECKED, note="the teacher is not in the folder"))
    if not used:
        raise ValueError(f"stimuli: {stimuli} are not those of any number in the report (their hash differs)")
    return rows


def _evaluator(claimed: Mapping[str, Any], source: str | Path) -> tuple[Seat | None, str | None]:
    """The evaluator that the claim names, or None and why it cannot be had here."""
    from evenhand.evaluation.seat import Seat

    seat = Seat(
        pooling=claimed["pooling"],
        stimuli=source,
        tests=sorted(claimed["tests"]),
        seed=claimed["seed"],
        confidence_level=claimed["confidence_level"],
    )
    try:
        actual = seat.loaded_stimuli.sha256
    except ValueError as error:
        return None, " ".join(str(error).split())
    if actual != claimed["stimuli"]["sha256"]:
        return None, f"the stimuli here have the hash {actual[:12]}…, the report's {claimed['stimuli']['sha256'][:12]}…"
    return seat, None
