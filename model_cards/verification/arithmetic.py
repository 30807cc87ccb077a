"""Whether a report's numbers were computed with the arithmetic of this machine, to the last digit.

Where they were, a number that differs at all was changed; where they were not, every number moves, by little. So it is
decided once for a whole result: no single number that moved can claim a tolerance for itself. Another kind of processor
moves every d and every word's association; other numbers of threads or sentences move none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# By how much two numbers of the same arithmetic may differ: they were written and read in full.
SAME = 1e-12
# … and by how much what is derived from such numbers may: p-values, intervals, means.
EXACT = 1e-9
# Below it a number says nothing: it is zero, or so to speak.
TRIVIAL = 1e-6
# Units of scores that are shares of items, in percent, but for the correlations among them.
OF_HUNDRED = ("%", "percentage points", "points", "ICAT (0–100)")
# So many GLUE scores do not come out alike by chance, though they are counts of right answers.
ENOUGH_SCORES = 3


def same_tests(claimed: Mapping[str, Any], actual: Mapping[str, Any]) -> bool:
    """Of two `SeatResult.to_dict()`: whether any test has the same d, or most of its d's without a word are the same."""
    pairs = [(test, actual["tests"][name]) for name, test in claimed["tests"].items() if name in actual["tests"]]
    return any(_mostly([(a["effect_size"], b["effect_size"])]) or _mostly(_without_word(a, b)) for a, b in pairs)


def same_grid(claimed: Mapping[str, Any] | None, actual: Mapping[str, Any] | None) -> bool:
    """Of two grids of poolings and layers: whether most d's are the same. (Those of the embeddings may always be.)"""
    pairs = []
    for a, b in zip((claimed or {}).get("cells") or [], (actual or {}).get("cells") or [], strict=False):
        pairs += [(d, b["effect_sizes"].get(name)) for name, d in a["effect_sizes"].items()]
    return _mostly(pairs)


def same_scores(claimed: Sequence[Mapping[str, Any]], actual: Sequence[Mapping[str, Any]], fine_tuned: bool) -> bool:
    """Of the scores of two results: whether any that is no count of items is the same.

    Counts (shares in percent, accuracies) may be the same by chance. Of a fine-tuned model most of three or more are not,
    as every training there is moves every prediction a little.
    """
    pairs = [(_value(a), _value(b), _is_continuous(a)) for a, b in zip(claimed, actual, strict=True)]
    if any(continuous and _mostly([pair]) for *pair, continuous in pairs):
        return True
    alike = sum(_mostly([pair]) for *pair, _ in pairs)
    return fine_tuned and alike >= ENOUGH_SCORES and 2 * alike > len(pairs)


def _value(score: Mapping[str, Any]) -> float | None:
    return score.get("value", score.get("difference"))


def _is_continuous(score: Mapping[str, Any]) -> bool:
    return "correlation" in str(score.get("name")) or score.get("unit") not in OF_HUNDRED


def _without_word(claimed: Mapping[str, Any], actual: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    sides = [test.get("without_word") or {} for test in (claimed, actual)]
    return [(d, sides[1].get(side, {}).get(word)) for side, words in sides[0].items() for word, d in words.items()]


def _mostly(pairs: Sequence[Sequence[Any]]) -> bool:
    """Whether more than half of the pairs that are numbers and not zero are the same."""
    told = [pair for pair in pairs if all(isinstance(value, float) and abs(value) > TRIVIAL for value in pair)]
    return 2 * sum(abs(a - b) <= SAME * max(1.0, abs(a)) for a, b in told) > len(told)
