"""Numbers in hand-written text: those of the report, with interval and n in their sentence, or somebody's with a source."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from evenhand.model_cards.lint.linted_card import LintedCard
from evenhand.model_cards.lint.numbers_in_text import UNITS, TextNumber, measurement_like, sentences
from evenhand.model_cards.lint.problem import Problem
from evenhand.model_cards.lint.report_numbers import (
    COUNT,
    ESTIMATE,
    INTERVAL,
    OTHER,
    PROBABILITY,
    ReportNumber,
    mentions,
    report_numbers,
)

_PAIR = re.compile(r"(?:\s*%)?\s*(?:,|;|to|and|–|—|-|\.\.)\s*")
_COUNTED = r"(?:tests?|words?|sentences?|pairs?|items?|examples?|occupations?|templates?|sequences?|seeds?|runs?|tasks?|targets?)"
_N = re.compile(
    r"\bn\s*[=:]\s*\d"
    r"|(?:\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve))\)?\s+(?:[a-z-]+\s+){0,2}"
    rf"{_COUNTED}\b",
    re.IGNORECASE,
)
_COUNT_BEFORE = re.compile(
    rf"\b(?:n|counts?|numbers?|sizes?|batch|lengths?|epochs?|resamples|permutations|{_COUNTED})\s*(?:(?:of|is|was|were)\s+|[=:]\s*)*\(?$",
    re.IGNORECASE,
)
_COUNT_AFTER = re.compile(rf"\s+(?:[a-z-]+\s+){{0,2}}(?:epochs?|resamples|permutations|{_COUNTED})\b", re.IGNORECASE)
# After these a difference is told without its sign: "0.31 lower", "a drop of 0.31".
_DIRECTION = re.compile(
    r"\b(?:lower|less|fewer|below|under|behind|worse|smaller|drops?|dropped|falls?|fell|loses?|lost|decreas\w+|reduc\w+|declin\w+|absolute)\b|\|",
    re.IGNORECASE,
)
_SPOKEN_OF = {
    PROBABILITY: re.compile(r"\b(?:p|p-values?|probability)\b", re.IGNORECASE),
    INTERVAL: re.compile(
        r"\b(?:intervals?|bounds?|limits?|ends?|between|from|up to|at most|at least)\b|\[", re.IGNORECASE
    ),
}
# What else a sentence may call a measure.
_ALSO = {
    "seat": re.compile(r"\|d\||\bd\s*=|\beffect sizes?\b", re.IGNORECASE),
    "speed": re.compile(
        r"\b(?:faster|slower|quicker|speed-?ups?|times as fast|sentences (?:per|a) second)\b", re.IGNORECASE
    ),
}
_SCORE = re.compile(r"\b(?:accurac(?:y|ies)|scores?|F1|correlations?)\b", re.IGNORECASE)
_PERCENT_UNITS = {"%", "points", "percentage points"}
# Keys of shares of 1, and what a sentence that gives one in percent speaks of.
_SHARES = {
    "mlm_probability": re.compile(r"\bmask", re.IGNORECASE),
    "held_out": re.compile(r"\bheld[ -]out\b", re.IGNORECASE),
    "rejected": re.compile(r"\breject|\brandom labels?\b", re.IGNORECASE),
    "excluded_zero": re.compile(r"\bexclud|\brandom labels?\b", re.IGNORECASE),
    "ratio": re.compile(r"\bspeed\b|\bfast\b", re.IGNORECASE),
}
_STUDENT = re.compile(r"\b(?:students?|this model|our model|distilled model)\b", re.IGNORECASE)
_TEACHER = re.compile(r"\bteachers?\b", re.IGNORECASE)


def hand_written_numbers(card: LintedCard) -> Iterator[Problem]:
    """Measurement-like numbers of hand-written blocks that the report does not hold, rounded as they are printed, or that lack interval or n.

    A sentence that names a measure, test or score is compared with the numbers of that one, and one that names the student or the teacher
    alone with those of that side. Numbers of others belong in a block quote with a link to their source, which is not compared.
    """
    if not card.hand_written_lines:
        return
    known = report_numbers(card.report)
    for passage in card.markdown.passages():
        if passage.is_sourced_quotation:
            continue
        for start, sentence in sentences(passage.text):
            line = passage.line + passage.text.count("\n", 0, start)
            if line in card.hand_written_lines:
                yield from _sentence_problems(line, sentence, known)


def _sentence_problems(line: int, sentence: str, known: Sequence[ReportNumber]) -> Iterator[Problem]:
    measures, names = _named(sentence, known)
    numbers = list(measurement_like(sentence, bool(measures or names - {"mean"} or _SCORE.search(sentence))))
    in_scope = _in_scope(sentence, known, measures, names)
    of_intervals, has_interval, wrong = _intervals(sentence, numbers, in_scope)
    yield from (Problem(line + _lines_before(sentence, number), text) for number, text in wrong)
    estimates: list[TextNumber] = []
    for number in numbers:
        if number in of_intervals:
            continue
        matches = [other for other in in_scope if _says(number, other, sentence)]
        if not (measures or names):
            matches = [other for other in matches if other.kind != INTERVAL]
        if not matches:
            text = _not_held(number, sentence, known, bool(measures or names))
            yield Problem(line + _lines_before(sentence, number), text)
        elif _is_estimate(number, matches, in_scope):
            estimates.append(number)
    missing = [name for name, there in (("interval", has_interval), ("n", _N.search(sentence))) if not there]
    if estimates and missing:
        shown = ", ".join(number.text for number in estimates)
        text = f"{shown} in the hand-written text stands without {' and '.join(missing)} in its sentence; give {'them' if missing[1:] else 'it'}"
        yield Problem(line + _lines_before(sentence, estimates[0]), text)


def _is_estimate(number: TextNumber, matches: Sequence[ReportNumber], in_scope: Sequence[ReportNumber]) -> bool:
    """Whether a number that is in the report is one that needs an interval, where several of the report's are printed like it."""
    if number.half_step >= 0.5 and any(match.kind == COUNT for match in matches):
        return False
    names_no_measure = len({other.measure for other in in_scope if other.measure and other.kind == ESTIMATE}) > 1
    if names_no_measure and any(match.measure is None for match in matches):
        return False  # a setting of the training: no measure is named that it could be a number of
    return any(match.kind == ESTIMATE for match in matches)


def _lines_before(sentence: str, number: TextNumber) -> int:
    return sentence.count("\n", 0, number.start)


def _named(sentence: str, known: Sequence[ReportNumber]) -> tuple[set[str], set[str]]:
    """The measures, and the tests and scores, that a sentence speaks of."""
    names = {name for name in {name for number in known for name in number.names} if mentions(sentence, name)}
    measures = {number.measure for number in known if number.measure}
    return {
        measure
        for measure in measures
        if mentions(sentence, measure) or (measure in _ALSO and _ALSO[measure].search(sentence))
    }, names


def _in_scope(sentence: str, known: Sequence[ReportNumber], measures: set[str], named: set[str]) -> list[ReportNumber]:
    """The numbers that a sentence can mean by what it names: its measures and tests, and whose they are.

    One that names none can mean no estimate: of so many, some number would be printed like nearly any.
    """
    teacher, student = _TEACHER.search(sentence), _STUDENT.search(sentence)
    other_side = None if bool(teacher) == bool(student) else ("student" if teacher else "teacher")
    specific = {name for other in known if other.measure in measures or not measures for name in other.names & named}

    def fits(number: ReportNumber) -> bool:
        if other_side and number.side == other_side:
            return False
        if number.kind == COUNT:
            return True
        if number.measure is None:
            return not (measures or specific) or _speaks_of(sentence, number.where)
        if measures and number.measure not in measures and not named & number.names:
            return False
        if number.kind == OTHER and not _speaks_of(sentence, number.where):
            return False
        if specific:
            return bool(specific & number.names)
        return bool(measures) or number.kind not in (OTHER, ESTIMATE)

    return [number for number in known if fits(number)]


def _speaks_of(sentence: str, where: str) -> bool:
    """Whether a word of the last two parts of a number's place in the report stands in the sentence: `temperature`, `mean_cosine`."""
    # Of a metric the last part alone: its own name is that of the score.
    parts = where.split(".")[1:][-1 if ".metrics." in where else -2 :]
    words = re.split(r"[._\[\]0-9]+", ".".join(parts))
    words += ["constant"] if "baseline" in words else []
    return any(len(word) > 4 and word in sentence.lower() for word in words)


def _says(number: TextNumber, other: ReportNumber, sentence: str) -> bool:
    """Whether the text's number is the report's, rounded as printed; a share may be written in percent, seconds in hours.

    A count is one only where the words around it say what is counted, and what stands in percent, points or times is none. P-values and ends of intervals are so many that a number is compared with them only where the sentence speaks of such.
    """
    if number.unit:
        divisor, key = UNITS[number.unit]
        return other.where.endswith(f".{key}") and number.rounds(other.value / divisor)
    if number.noun:
        return re.search(rf"\.{number.noun}(_[a-z]+)?$", other.where) is not None and number.rounds(other.value)
    if other.kind in _SPOKEN_OF and not _SPOKEN_OF[other.kind].search(sentence):
        return False
    if other.kind == COUNT and not _is_counted(number, sentence):
        return False
    values = _values_as_written(number, other, sentence)
    if not number.signed and (other.side == "difference" or "|" in sentence) and _DIRECTION.search(sentence):
        values += [-value for value in values]
    return any(number.rounds(value) for value in values)


def _is_counted(number: TextNumber, sentence: str) -> bool:
    if number.quantity:
        return False
    before, after = sentence[: number.start], sentence[number.end :]
    return bool(number.scaled or _COUNT_BEFORE.search(before) or _COUNT_AFTER.match(after))


def _values_as_written(number: TextNumber, other: ReportNumber, sentence: str) -> list[float]:
    """The report's number as a number with the text's sign or word behind it would say it; empty where it would not."""
    key = re.sub(r"(\[\d+\])+$", "", other.where).rpartition(".")[2]
    if number.quantity == "times":
        return [other.value] if key in ("ratio", "ratio_confidence_interval") else []
    if number.quantity == "points":
        return [other.value] if other.unit in _PERCENT_UNITS else []
    if number.quantity is None:
        return [other.value]
    if other.kind == PROBABILITY or (key in _SHARES and _SHARES[key].search(sentence)):
        return [100 * other.value]
    # Details of a measure of percentages stand without their unit.
    is_percentage = other.unit is None and other.measure not in (None, "seat", "seat_sensitivity")
    return [other.value] if is_percentage or other.unit in _PERCENT_UNITS else []


def _intervals(
    sentence: str, numbers: Sequence[TextNumber], in_scope: Sequence[ReportNumber]
) -> tuple[set[TextNumber], bool, list[tuple[TextNumber, str]]]:
    """The numbers that are ends of an interval, whether there is one of the report, and what is wrong with the others."""
    ends: dict[str, list[float]] = {}
    for number in in_scope:
        if number.kind == INTERVAL:
            ends.setdefault(number.where, []).append(number.value)
    used: set[TextNumber] = set()
    right, wrong = False, []
    for low, high in pairwise(numbers):
        if low in used or not _PAIR.fullmatch(sentence[low.end : high.start]):
            continue
        held = any(len(pair) == 2 and low.rounds(pair[0]) and high.rounds(pair[1]) for pair in ends.values())
        bracketed = sentence[: low.start].rstrip().endswith("[") and re.match(r"[\s%]*\]", sentence[high.end :])
        if held or bracketed:
            used |= {low, high}
            right |= held
        if bracketed and not held:
            shown = f"[{low.text}, {high.text}]"
            wrong.append(
                (
                    low,
                    f"the interval {shown} in the hand-written text is none of the report's for what its sentence names",
                )
            )
    return used, right or bool(wrong), wrong


def _not_held(number: TextNumber, sentence: str, known: Sequence[ReportNumber], names_something: bool) -> str:
    text = f"{number.text} in the hand-written text is not in the report"
    elsewhere = next((other for other in known if other.kind == ESTIMATE and _says(number, other, sentence)), None)
    if elsewhere is not None and not names_something:
        return f"{number.text} in the hand-written text: its sentence names no measure, test or score that it is of; name it"
    if elsewhere is not None:
        return f"{text} for what its sentence names ({elsewhere.where} holds it)"
    return f"{text}; correct it, or quote it with a link to its source (> …)"
