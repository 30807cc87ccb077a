"""What no other wording changes in a card: its numbers, and what machines read of it.

A card that another version of evenhand wrote reads otherwise, line by line. Its numbers are the report's all the same, so
they are held against the report whatever version it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from evenhand.model_cards.lint.linted_card import LintedCard
from evenhand.model_cards.lint.numbers_in_text import UNITS, TextNumber, measurement_like
from evenhand.model_cards.lint.report_hash import REPORT_HASH
from evenhand.model_cards.lint.report_numbers import leaves, report_numbers
from evenhand.model_cards.verification.report_fields import leaves as fields_of

_NUMBER = re.compile(r"(?<![\w.])[-+−]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?")
# Code, links and HTML hold versions, identifiers and addresses.
_NO_TEXT = re.compile(r"`[^`]*`|\]\([^)]*\)|https?://\S+|<[^>]*>")
# A card may leave them out, but not state others than report and facts give.
_STATED = ("license", "license_name", "license_link", "base_model", "language")


def first_wrong_number(card: LintedCard) -> str | None:
    """Where a card says of something that another version may word otherwise what the report does not give; None where nowhere.

    Args:
        card: with its report and facts, from which it is made again.

    Raises:
        ValueError: it cannot be made again, or its front matter cannot be read.
    """
    again = LintedCard(card.expected, card.report, card.facts, card.files)
    return next(_of_front_matter(card, again), None) or next(_of_text(card, again), None)


def _of_front_matter(card: LintedCard, again: LintedCard) -> Iterator[str]:
    ours, expected = _parsed(card), _parsed(again)
    for key in _STATED:
        if ours.get(key) is not None and ours[key] != expected.get(key):
            yield f"the front matter's {key} is {str(ours[key])[:60]!r}, not {str(expected.get(key))[:60]!r}"
    known, results = set(leaves(card.report)), _results(expected)
    for key, metric in _results(ours).items():
        same = results.get(key, {})
        for field in fields_of(metric):
            value, of_report = _at(metric, field), _at(same, field)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if is_number and value != of_report and (of_report is not None or value not in known):
                yield f"{'.'.join(map(str, field))} of {key[0]} in the model-index is {value}, which the report does not give"


def _parsed(card: LintedCard) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(card.front_matter or "")
    except yaml.YAMLError as error:
        raise ValueError(f"the front matter is no YAML ({type(error).__name__})") from None
    if not isinstance(content, Mapping):
        raise ValueError("the card has no front matter")
    return content


def _results(front_matter: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """The metrics of the model-index by data set, config and metric."""
    found = {}
    try:
        for model in front_matter.get("model-index") or []:
            for result in model["results"]:
                dataset = result["dataset"]
                for metric in result["metrics"]:
                    found[f"{dataset.get('type')} {dataset.get('config')}", str(metric["type"])] = metric
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"the model-index cannot be read ({error!r})") from None
    return found


def _at(value: Any, field: tuple[str | int, ...]) -> Any:
    for key in field:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _of_text(card: LintedCard, again: LintedCard) -> Iterator[str]:
    """Lines that read as one of the report's but for their numbers; of others, numbers that the report does not give."""
    alike: dict[str, list[list[str]]] = {}
    for _, line in _generated(again):
        alike.setdefault(_NUMBER.sub("0", line), []).append(_NUMBER.findall(line))
    printed = {number for lines in alike.values() for line in lines for number in line}
    values = [number.value for number in report_numbers(card.report)]
    for at, line in _generated(card):
        numbers, others = _NUMBER.findall(line), alike.get(_NUMBER.sub("0", line))
        if others is not None and numbers not in others:
            wrong = next((a for a, b in zip(numbers, others[0], strict=True) if a != b), numbers[0])
            yield f"line {at} prints {wrong} where the report gives {', '.join(others[0][:3])}"
        if others is None:
            for number in measurement_like(_NO_TEXT.sub(" ", line)):
                if not {number.text, number.text.rstrip(" %")} & printed and not _rounds(number, values):
                    yield f"line {at} prints {number.text}, which the report does not give"


def _generated(card: LintedCard) -> Iterator[tuple[int, str]]:
    """The lines below the front matter that nobody wrote by hand; the report's hash has a row of its own."""
    for at, line in enumerate(card.lines, start=1):
        if at > card.front_matter_lines and at not in card.hand_written_lines and not REPORT_HASH.search(line):
            yield at, line.strip()


def _rounds(number: TextNumber, values: list[float]) -> bool:
    factors = (1.0, 100.0) if "%" in number.text else (1.0,)
    factors = (1 / UNITS[number.unit][0],) if number.unit else factors
    return any(number.rounds(sign * factor * value) for factor in factors for value in values for sign in (1, -1))
