"""One association test on several models: numbers, table and words for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evenhand.evaluation.evaluator import NotApplicable
from evenhand.evaluation.stimuli import Stimuli
from evenhand.model_cards import numbers
from evenhand.model_cards.escaping import markdown
from evenhand.model_cards.space.compared_models import ComparedModel, LoadedModel

if TYPE_CHECKING:
    from evenhand.evaluation.seat import SeatResult

HEADERS = (
    "Model",
    "d",
    "95 % interval",
    "p (words)",
    "p (sentences)",
    "Δd to teacher",
    "Its 95 % interval",
    "Its p",
)


@dataclass(frozen=True)
class Comparison:
    """One test on each model, in the order of the app.

    Args:
        models: what was measured, or could not be.
        results: by model's name; absent where the test cannot be run on it.
        differences: by the name of a model whose teacher was measured too, as `compare_results` gives them.
        reasons: by name, why a model has no result.
    """

    models: tuple[ComparedModel, ...]
    results: Mapping[str, SeatResult]
    differences: Mapping[str, Mapping[str, Any]]
    reasons: Mapping[str, str]

    def test(self, name: str) -> Mapping[str, Any] | None:
        """The result of the model ``name`` in its JSON form, or ``None``."""
        result = self.results.get(name)
        return None if result is None else next(iter(result.tests.values())).to_dict()


def compare(
    models: Sequence[LoadedModel],
    stimuli: Stimuli,
    pooling: str = "mean",
    steps: Callable[[Iterable], Iterable] = iter,
) -> Comparison:
    """Run SEAT on every model, and compare each with its teacher, paired by word.

    Args:
        models: loaded.
        stimuli: one test.
        pooling: of token vectors, as `Seat` takes it.
        steps: wraps the models while they are measured, to show how far it is.

    Raises:
        ValueError: no model can be measured; the first one's reason.
    """
    from evenhand.evaluation.seat import Seat

    seat = Seat(pooling=pooling, stimuli=stimuli)
    results, reasons = {}, {}
    for loaded in steps(models):
        try:
            results[loaded.about.name] = seat.run(loaded.model, loaded.tokenizer)
        except (ValueError, NotApplicable) as error:
            reasons[loaded.about.name] = " ".join(str(error).split())
    if not results:
        name, reason = next(iter(reasons.items()))
        raise ValueError(f"{name}: {reason}")
    about = tuple(loaded.about for loaded in models)
    differences = {
        m.name: next(iter(seat.compare(results[m.name], results[m.teacher])["tests"].values()))
        for m in about
        if m.name in results and m.teacher in results
    }
    return Comparison(about, results, differences, reasons)


def table(comparison: Comparison) -> list[list[str]]:
    """One row per model, under `HEADERS`; a dash stands for what there is not."""
    rows = []
    for model in comparison.models:
        test = comparison.test(model.name) or {}
        change = comparison.differences.get(model.name) or {}
        rows.append(
            [
                _called(model),
                numbers.signed(test.get("effect_size")),
                numbers.interval(test.get("confidence_interval")),
                numbers.probability(test.get("p_value")),
                numbers.probability(test.get("p_value_legacy")),
                numbers.signed(change.get("difference")),
                numbers.interval(change.get("confidence_interval")),
                numbers.probability(change.get("p_value")),
            ]
        )
    return [[_plain(cell) for cell in row] for row in rows]


def reading(comparison: Comparison) -> str:
    """What the table says, as Markdown: a sentence for each model, what was measured on, and what it does not show."""
    lines = []
    for model in comparison.models:
        name, test = f"**{markdown(_called(model))}**", comparison.test(model.name)
        if test is None:
            lines.append(f"- {name} could not be measured: {markdown(comparison.reasons[model.name])}")
            continue
        lines.append(f"- {name}: {_association(test)}{_change(comparison.differences.get(model.name))}")
    tests = [test for model in comparison.models if (test := comparison.test(model.name))]
    pooling = next(iter(comparison.results.values())).pooling
    return "\n".join([*lines, "", _measured_on(tests, pooling)])


def _association(test: Mapping[str, Any]) -> str:
    if test["effect_size"] is None:
        return f"no d: {markdown(test['note'])}."
    first, second = (markdown(name) for name in test["targets"])
    a, b = (markdown(name) for name in test["attributes"])
    near, far = (first, second) if test["effect_size"] > 0 else (second, first)
    lean = f"{near} lean to {a}, {far} to {b} (d {numbers.signed(test['effect_size'])}"
    if test["confidence_interval"] is None:
        return f"{lean}; {markdown(test['note'])})."
    low, high = test["confidence_interval"]
    reliable = "" if low > 0 or high < 0 else "; the interval holds zero, so the lean may be chance"
    return f"{lean}, interval {numbers.interval([low, high])}{reliable})."


def _change(change: Mapping[str, Any] | None) -> str:
    if change is None or change["difference_absolute"] is None:
        return ""
    interval = numbers.interval(change["confidence_interval_absolute"])
    word = {"better": "weaker than", "worse": "stronger than"}.get(
        change["verdict"], "not distinguishable in strength from"
    )
    moved = f"Δ|d| {numbers.signed(change['difference_absolute'])}, interval {interval}"
    return f" Its association is {word} its teacher's ({moved.replace('|', '&#124;')})."


def _measured_on(tests: Sequence[Mapping[str, Any]], pooling: str) -> str:
    """What all models were measured on, and what the test can see: in every model, so the largest of the models' values."""
    test = tests[0]
    words = ", ".join(f"{test['n_words'][role]} words in {role}" for role in "XYAB")
    sentences = sum(test["n_sentences"].values())
    reach = max((size for t in tests if (size := t["detectable_effect_size"]) is not None), default=None)
    found = f" Such a test finds a true d of {numbers.fixed(reach, 2)} four times in five, smaller ones less often."
    return (
        f"Measured on {words}, {numbers.count(sentences)} sentences, pooling {markdown(pooling)}. p (words) is two-sided, over "
        "partitions of the words; p (sentences) is the published one-sided one, which takes sentences of one word for "
        f"independent and is too small.{'' if reach is None else found} This is one test on lists of your choice: of twenty lists without any "
        "association one is expected to have p below .05."
    )


def _called(model: ComparedModel) -> str:
    return model.name if model.role == "model" else f"{model.name} ({model.role})"


def _plain(cell: Any) -> str:
    """A cell as it is shown: numbers come with HTML entities, names are left as they are."""
    return cell.unescape() if hasattr(cell, "unescape") else str(cell)
