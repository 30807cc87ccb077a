"""The numbers of a sentence that look like measurements."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_NUMBER = re.compile(
    r"(?<![\w.,])(?P<sign>[-+−±]?)(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?P<exponent>[eE][-+]?\d+)?(?![\d]|\.\d)"
)
_SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "b": 1e9, "billion": 1e9}
_SCALE = re.compile(r"\s?(thousand|million|billion|[kMB])\b")
UNITS = {
    "hours": (3600.0, "seconds"),
    "minutes": (60.0, "seconds"),
    "seconds": (1.0, "seconds"),
    "kWh": (1.0, "kwh"),
    "Wh": (1e-3, "kwh"),
}
"""What a number of hours, minutes, … is compared with: the report's value under that key, divided by the factor."""
_UNIT = re.compile(
    r"\s?(?P<hours>h|hours?)\b|\s?(?P<minutes>min|minutes?)\b|\s?(?P<seconds>s|seconds?)\b|\s?(?P<kWh>kWh)\b|\s?(?P<Wh>Wh)\b"
)
_COMPARED = r"(?:faster|slower|quicker|cheaper|more|less|fewer|smaller|larger|bigger|greater|lower|higher|better|worse|as|the|its|speed-?up)\b"
_QUANTITY = re.compile(
    r"(?P<percent>\s*(?:%|percent\b|per cent\b))|(?P<points>\s?(?:percentage )?(?:points?|pts|pp)\b)"
    # not "we ran it 3 times", and not "2x A100"
    rf"|(?P<times>\s?[x×](?=\s+{_COMPARED}|\s*(?:[.,;:!?)]|$))|\s?times(?=\s+{_COMPARED}))",
    re.IGNORECASE,
)
# Versions, licences, parts of a text, sizes of hardware: numbers with a point that measure nothing of the model.
_NAMED = re.compile(
    r"(?:\bv|\b(?:version|release|python|pytorch|torch|transformers|cuda|evenhand|apache|mit|bsd|cc(?:[ -](?:by|sa|nc|nd))+|gpl|lgpl|licen[cs]e"
    r"|section|sections|chapter|figure|fig\.|table|appendix|equation|page)[\s-]*(?:v\s?)?|\b[A-Za-z]+-)$",
    re.IGNORECASE,
)
_HARDWARE = re.compile(r"\s?(?:[KMGT]i?B|[KMG]?Hz|k?W|V|TFLOPS?|cores?|GPUs?)\b")
_LEVEL_BEFORE = re.compile(
    r"(?:\balpha|α|\b(?:level|significance|threshold|cut-?off)s?(?: of)?|\bp\s*[<>≤≥]|\bat)\s*=?\s*$", re.IGNORECASE
)
_CONFIDENCE_AFTER = re.compile(r"\s?(?:%|percent)\s?-?(?:confidence|interval|CI\b|level)", re.IGNORECASE)
_ASSIGNED = re.compile(r"[=:≈~]\s*$")
_MODEL_NOUN = re.compile(
    r"(?:\s?(?:thousand|million|billion|[kMB]))?\s(parameters|layers|steps|tokens)\b", re.IGNORECASE
)
# Where a whole number ends what is said with it: "is 99.", "99 on", but not "99 words".
_STANDS_ALONE = re.compile(
    r"\s*(?:$|[.,;:!?)\]]|(?:and|or|but|on|in|at|for|with|to|over|against|than|while|where|which|whereas|versus|vs|compared|instead|from|when|as)\b)",
    re.IGNORECASE,
)
_NUMBERED = re.compile(
    r"(?:\b(?:layer|step|epoch|seed|run|row|column|number|part|test|group|fold|day|item|task|GPU|WEAT|SEAT)s?|\bno\.|#)\s*$",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_LEVELS = {0.05, 0.01, 0.001, 0.1}
_CONFIDENCES = {80, 90, 95, 99}


@dataclass(frozen=True)
class TextNumber:
    """A number as it is written, and the range of values that are written so.

    Args:
        text: with its sign and what follows it, as in `+1.48`, `74.3 %`, `17.4M`, `85 points`, `2x`.
        start, end: place in the sentence, of the digits with their sign.
        value: what it says, in units (`17.4M` is 17,400,000).
        half_step: half of the last digit, in the same units.
        signed: it carries a plus or a minus.
        unit: key of `UNITS` of a number of time or energy, else None.
        quantity: `percent`, `points` or `times` where such a sign or word follows, else None.
        scaled: it is written in thousands, millions or billions.
        noun: the report's name of what is counted (parameters, layers, steps, tokens), else None.
    """

    text: str
    start: int
    end: int
    value: float
    half_step: float
    signed: bool
    unit: str | None = None
    quantity: str | None = None
    scaled: bool = False
    noun: str | None = None

    def rounds(self, value: float) -> bool:
        """Whether ``value`` is printed so."""
        return abs(value - self.value) <= self.half_step * (1 + 1e-9) + 1e-12


def measurement_like(sentence: str, names_measure: bool = False) -> Iterator[TextNumber]:
    """Numbers with a decimal point, a sign, a percent sign or a scale, of points or times, after ``=``, or of parameters, layers, steps and tokens.

    Left out: whole numbers in a text (years, "three seeds on 2 machines"), versions and licences, numbered parts of a text, sizes of
    hardware, and the usual levels (p < .05, a 95 % interval). Code is no part of a sentence.

    Args:
        sentence: plain text.
        names_measure: it speaks of a measure, test or score, so that whole numbers that count nothing are measurements too ("accuracy is 99").
    """
    for match in _NUMBER.finditer(sentence):
        before, after = sentence[: match.start()], sentence[match.end() :]
        number = _read(match, after)
        is_level = abs(number.value) in _LEVELS and _LEVEL_BEFORE.search(before)
        is_confidence = number.value in _CONFIDENCES and _CONFIDENCE_AFTER.match(after)
        if is_level or is_confidence or _NAMED.search(before) or _HARDWARE.match(after):
            continue
        shown = "." in match["digits"] or match["sign"] or match["exponent"] or number.text != match[0]
        says_score = names_measure and _STANDS_ALONE.match(after) and not _NUMBERED.search(before)
        says_score = says_score and not _YEAR.fullmatch(match["digits"])
        if shown or _ASSIGNED.search(before) or number.noun or says_score:
            yield number


def _read(match: re.Match, after: str) -> TextNumber:
    digits, exponent = match["digits"].replace(",", ""), match["exponent"] or ""
    decimals = len(digits.partition(".")[2])
    scale, quantity = _SCALE.match(after), _QUANTITY.match(after)
    factor = _SCALES[scale[1].lower()] if scale else 1.0
    factor *= float(f"1{exponent}") if exponent else 1.0
    unit, noun = _UNIT.match(after), _MODEL_NOUN.match(after)
    negative = match["sign"] in ("-", "−")
    suffix = next((found[0] for found in (scale, quantity, unit) if found), "")
    return TextNumber(
        text=f"{match[0]}{suffix}".strip(),
        start=match.start(),
        end=match.end(),
        value=(-1.0 if negative else 1.0) * float(digits) * factor,
        half_step=0.5 * 10.0**-decimals * factor,
        signed=match["sign"] in ("+", "-", "−"),
        unit=unit.lastgroup if unit else None,
        quantity=quantity.lastgroup if quantity else None,
        scaled=scale is not None,
        noun=noun[1].lower() if noun else None,
    )


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """The sentences of a passage, each with the place where it begins. An abbreviation's full stop ends none."""
    start = 0
    for match in re.finditer(r"[.!?][\"')\]*]*\s+(?=[A-Z\"'(\[*])", text):
        if not re.search(
            r"\b(?:e\.g|i\.e|et al|vs|cf|approx|ca|resp|Fig|Eq|Sec|No|St|Dr)\.$", text[: match.start() + 1]
        ):
            yield start, text[start : match.end()]
            start = match.end()
    yield start, text[start:]
