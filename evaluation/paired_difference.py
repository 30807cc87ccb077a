"""Two results of SEAT on the same stimuli: how the model's effects differ from the reference's, word by word.

Everything is computed from the results' JSON form, so a report is enough to compare with.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from evenhand.evaluation.families import CONTROL, mean_magnitude
from evenhand.evaluation.intervals import METHOD_OF_DIFFERENCE, SEEDS, Jackknifed, MeanEffect, difference_interval
from evenhand.evaluation.multiplicity import holm_by_family
from evenhand.evaluation.permutation import Stream, byte_table, group_sums, random_bits
from evenhand.evaluation.verdict import verdict

EXACT_WORDS = 16
"""Up to this many words all 2^words sign patterns are enumerated."""
SAMPLES = 99_999
_CHUNK = 16_384
# What two results must share to be compared at all.
_SETTINGS = ("measure", "pooling", "layer", "confidence_level")

Result = Mapping[str, object]


def compare_results(model: Result, reference: Result) -> dict[str, object]:
    """The model's effects minus the reference's, paired by word.

    Δd is tested by swapping, word by word, the two models' values of s, standardised within each model (s minus its mean
    over X ∪ Y, over its standard deviation): under no difference every swap is as likely as the other. s as it stands is
    not comparable between models; a student whose cosines are all twice as large would differ "significantly".

    Intervals leave the same word out of both models. Noise has no sign left in \\|d\\|, so it adds to an effect near 0 and
    Δ\\|d\\| is drawn towards 0 when the other effect is large; its interval is widened by that amount.

    The verdicts are on Δ\\|d\\| and on Δ mean \\|d\\|, lower being better; controls have none.

    Args:
        model, reference: `SeatResult.to_dict()` of each.

    Returns:
        ``{"tests": {name: …}, "families": {family: …}}``.

    Raises:
        ValueError: different stimuli, pooling or confidence level; one line.
    """
    return compare_runs([model], [reference])


def compare_runs(models: Sequence[Result], references: Sequence[Result]) -> dict[str, object]:
    """As `compare_results`, of the means over runs paired in order (see `over_seeds.aggregate_differences`)."""
    check_comparable([*models, *references])
    first, level = models[0], models[0]["confidence_level"]
    method = METHOD_OF_DIFFERENCE + (SEEDS if len(models) > 1 else "")
    tests = {
        name: _compare_test(
            name,
            [model["tests"][name] for model in models],
            [reference["tests"][name] for reference in references],
            level,
            method,
            first["seed"],
        )
        for name in first["tests"]
    }
    families = {name: test["family"] for name, test in first["tests"].items()}
    adjusted = holm_by_family({name: test["p_value"] for name, test in tests.items()}, families, CONTROL)
    for name, test in tests.items():
        test["p_value_holm"] = adjusted[name]
    return {
        "tests": tests,
        "families": {
            family: _compare_family(
                [[model["tests"][name] for name in of_family["tests"]] for model in models],
                [[reference["tests"][name] for name in of_family["tests"]] for reference in references],
                level,
                method,
            )
            for family, of_family in first["families"].items()
            if family != CONTROL
        },
    }


def check_comparable(results: Sequence[Result]) -> None:
    """Refuse results that do not measure the same thing.

    Raises:
        ValueError: they differ in stimuli (by hash), pooling, layer or confidence level, or there are none.
    """
    if not results:
        raise ValueError("there is no result to compare; give at least one")
    first = results[0]
    for other in results[1:]:
        for key in _SETTINGS:
            if first.get(key) != other.get(key):
                raise ValueError(
                    f"results with {key} {first.get(key)!r} and {other.get(key)!r} cannot be compared; "
                    "evaluate both models with the same settings"
                )
        if first["stimuli"]["sha256"] != other["stimuli"]["sha256"]:
            raise ValueError(
                f"results on different stimuli ({first['stimuli']['name']} {first['stimuli']['sha256'][:8]} and "
                f"{other['stimuli']['name']} {other['stimuli']['sha256'][:8]}) cannot be compared; evaluate both models "
                "on the same tests"
            )


def _compare_test(name: str, models, references, level: float, method: str, seed: int) -> dict[str, object]:
    """One test; ``models`` and ``references`` are its JSON form in each run."""
    result = {
        "difference": None,
        "confidence_interval": None,
        "confidence_level": level,
        "interval_method": method,
        "p_value": None,
        "p_value_method": None,
        "p_value_flips": None,
        "p_value_holm": None,
        "difference_absolute": None,
        "confidence_interval_absolute": None,
        "verdict": None,
        "worst_case": None,
        "note": None,
    }
    sizes = [[test["effect_size"] for test in side] for side in (models, references)]
    if any(None in side for side in sizes):
        return {**result, "note": "no difference: one of the results has no d"}
    result["difference"] = float(np.mean(sizes[0]) - np.mean(sizes[1]))
    result["difference_absolute"] = float(np.mean(np.abs(sizes[0])) - np.mean(np.abs(sizes[1])))
    result["p_value"], exact, result["p_value_flips"] = sign_flip_test(
        _word_differences(models, references), Stream(seed, name, "flips").generator()
    )
    result["p_value_method"] = "exact" if exact else "monte_carlo"
    jackknifed = [[Jackknifed.of_test(test) for test in side] for side in (models, references)]
    if any(None in side for side in jackknifed):
        result["note"] = "no interval: it takes two words in every set, and d without each of them"
    else:
        signed = [MeanEffect.of([[d] for d in side]) for side in jackknifed]
        magnitudes = [MeanEffect.of([[d] for d in side], magnitudes=True) for side in jackknifed]
        result["confidence_interval"] = list(difference_interval(*signed, level))
        result["confidence_interval_absolute"] = list(difference_interval(*magnitudes, level))
    if models[0]["family"] != CONTROL:
        result |= verdict(result["confidence_interval_absolute"], "lower")
    return result


def _compare_family(models, references, level: float, method: str) -> dict[str, object]:
    """Δ mean |d| of one family; the tests' JSON forms by run."""
    means = [mean_magnitude(side) for side in (models, references)]
    undefined = any(test["effect_size"] is None for side in (models, references) for tests in side for test in tests)
    difference = interval = note = None
    if undefined:
        note = "no difference: a test of the family has no d"
    else:
        of_runs = [
            [np.mean([abs(test["effect_size"]) for test in tests]) for tests in side] for side in (models, references)
        ]
        difference = float(np.mean(of_runs[0]) - np.mean(of_runs[1]))
    if None not in means:
        interval = list(difference_interval(*means, level))
    elif not undefined:
        note = "no interval: it takes two words in every set, and d without each of them"
    words = {word for test in models[0] for of_set in (test["without_word"] or {}).values() for word in of_set}
    return {
        "difference": difference,
        "confidence_interval": interval,
        "confidence_level": level,
        "interval_method": method,
        **verdict(interval, "lower"),
        "n_words": len(words),
        "note": note,
    }


def _word_differences(models, references) -> np.ndarray:
    """(words,) what each word adds to Δd: sentences-weighted difference of standardised s, negative for words of Y.

    Words are sorted within X and within Y: the order of keys in a JSON file must not decide which signs are drawn.
    """
    parts = []
    for role, sign in (("X", 1), ("Y", -1)):
        words = sorted(models[0]["associations"][role])
        counts = np.array([models[0]["associations"][role][word][0] for word in words], dtype=np.float64)
        means = [
            np.mean([[test["associations"][role][word][1] for word in words] for test in side], axis=0)
            for side in (models, references)
        ]
        parts.append(sign * counts / counts.sum() * (means[0] - means[1]))
    return np.concatenate(parts)


def sign_flip_test(values: np.ndarray, rng: np.random.Generator) -> tuple[float, bool, int]:
    """Two-sided p-value of Σ values against all sums with some signs flipped; ties count.

    Args:
        values: (words,).
        rng: used only for more than 16 words; then p = (1 + #) / 100,000 over 99,999 random sign patterns.

    Returns:
        p, whether it is exact, and the number of sign patterns.
    """
    observed = abs(values.sum()) - 1e-12 * np.abs(values).sum()
    if len(values) <= EXACT_WORDS:
        sums = np.zeros(1)
        for value in values:
            sums = np.concatenate([sums + value, sums - value])
        return float(np.mean(np.abs(sums) >= observed)), True, len(sums)
    table, reached = byte_table(values), 0
    for start in range(0, SAMPLES, _CHUNK):
        flipped = group_sums(random_bits(len(values), min(_CHUNK, SAMPLES - start), rng), table)
        reached += int(np.count_nonzero(np.abs(values.sum() - 2 * flipped) >= observed))
    return (1 + reached) / (SAMPLES + 1), False, SAMPLES
