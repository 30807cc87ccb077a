"""Whether the Hub would read the front matter, and read out of it what the report measured."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from huggingface_hub import ModelCard

from evenhand.model_cards.lint.linted_card import LintedCard
from evenhand.model_cards.lint.problem import Problem, shortened
from evenhand.model_cards.lint.report_numbers import leaves, report_numbers


def front_matter_validity(card: LintedCard) -> Iterator[Problem]:
    """No front matter, no YAML, no results; NaN; no model name; results that the Hub would merge; values of another report."""
    if card.front_matter is None:
        yield Problem(1, "has no front matter; make the card again")
        return
    try:
        parsed = ModelCard(card.text, ignore_metadata_errors=False).data
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        mark = getattr(error, "problem_mark", None)
        yield Problem(mark.line + 2 if mark else 1, f"front matter cannot be read ({shortened(str(error), 120)})")
        return
    if not parsed.eval_results:
        yield Problem(1, "front matter has no results (model-index)")
        return
    if not str(parsed.model_name or "").strip():
        yield Problem(_line(card, "model-index"), "the model-index has no model name")
    yield from _merged(card, parsed.eval_results)
    yield from _values(card, parsed.eval_results)


def _merged(card: LintedCard, results: list) -> Iterator[Problem]:
    """The Hub keeps one result for each task, data set, config, split and revision, and joins the metrics of those that share them."""
    counts = Counter(result.unique_identifier for result in results)
    for (_, dataset, config, *_), count in counts.items():
        if count > 1:
            text = f"{count} results of the model-index share the data set {dataset} and the config {config}, so the Hub would merge them"
            yield Problem(_line(card, config), text)


def _values(card: LintedCard, results: list) -> Iterator[Problem]:
    """Every number of a result is one of the report, exactly: a front matter has no rounding. Counts of two sides may be added up."""
    measured = {float(value) for value in leaves(card.report or {})}
    measured |= {number.value for number in report_numbers(card.report)} if card.report else set()
    # Where the text differs from what the report gives, the comparison of the two names the number.
    compared = card.report is not None and _is_expected(card)
    for result in results:
        for name, value in (("value", result.metric_value), *_numbers(result.metric_args or {})):
            what = f"{name} of {result.dataset_config}"
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                yield Problem(_line(card, result.dataset_config), f"{what} in the model-index is {value!r}, no number")
            elif not math.isfinite(value):
                yield Problem(_line(card, result.dataset_config), f"{what} in the model-index is {value}")
            elif compared and float(value) not in measured:
                yield Problem(
                    _line(card, result.dataset_config),
                    f"{what} in the model-index is {value}, which the report does not hold",
                )


def _is_expected(card: LintedCard) -> bool:
    try:
        return card.expected.startswith(f"---\n{card.front_matter}---\n")
    except ValueError:
        return True


def _numbers(args: Mapping[str, Any], name: str = "args") -> Iterator[tuple[str, Any]]:
    for key, value in args.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                yield from _numbers(item, f"{name}.{key}")
            elif isinstance(item, (int, float)) and not isinstance(item, bool):
                yield f"{name}.{key}", item


def _line(card: LintedCard, text: str | None) -> int:
    """The line of the front matter on which `text` stands as a value or a key; its first line where it does not."""
    sign = re.compile(rf"(?::\s|^)['\"]?{re.escape(str(text))}['\"]?:?\s*$", re.MULTILINE)
    match = sign.search(card.front_matter or "")
    return 2 + card.front_matter.count("\n", 0, match.end()) if match else 1
