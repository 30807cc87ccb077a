"""Two models on GLUE: differences paired by example, with their tests, and how much of a score was kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evenhand.evaluation.glue_intervals import Estimate, mean_of, seed_variance
from evenhand.evaluation.glue_result import GlueResult, GlueTaskRuns, generator_seed
from evenhand.evaluation.mcnemar import mcnemar
from evenhand.evaluation.multiplicity import holm
from evenhand.evaluation.paired_predictions import bootstrap_scores
from evenhand.evaluation.scores import Difference
from evenhand.evaluation.verdict import verdict


def compare_results(result: GlueResult, reference: GlueResult) -> dict[str, object]:
    """Differences model − reference on the tasks that both ran, in points.

    Examples are resampled for both models at once. Runs are paired by seed where both have the same seeds; else the
    means over all seeds are compared, and the seeds of each model vary by themselves. For an accuracy with one seed the
    p-value is the exact McNemar test's; with several, that of the mean difference, and McNemar's stands beside each
    seed. Holm's correction is over the tasks' main scores.

    Returns:
        ``{"tasks": {task: {"metrics": {...}, ...}}, "mean_of_tasks_run": {...}, "scores": [...], "note"}``.

    Raises:
        ValueError: a task was scored on other examples.
    """
    level = result.confidence_level
    shared = [key for key in result.tasks if key in reference.tasks]
    pairs = {key: PairedTask(result.tasks[key], reference.tasks[key], level) for key in shared}
    tasks = {key: pair.to_dict() for key, pair in pairs.items()}
    adjusted = holm({key: entry["metrics"][entry["main_metric"]]["p_value"] for key, entry in tasks.items()})
    for key, entry in tasks.items():
        entry["p_value_holm"] = adjusted[key]
    return {
        "tasks": tasks,
        "mean_of_tasks_run": _mean_difference(pairs, level),
        "scores": [pair.difference(tasks[key]).to_dict() for key, pair in pairs.items()],
        "multiplicity": f"p_value_holm: Holm over the main scores of {len(shared)} tasks",
        "note": _note(result, reference),
    }


def _note(result: GlueResult, reference: GlueResult) -> str | None:
    only = sorted(set(result.tasks) ^ set(reference.tasks))
    return f"run for one of the two only, not compared: {', '.join(only)}" if only else None


class PairedTask:
    """One task of two models.

    Args:
        model, reference: their runs.
        level: of the intervals.

    Raises:
        ValueError: they were scored on other examples.
    """

    def __init__(self, model: GlueTaskRuns, reference: GlueTaskRuns, level: float):
        self.model, self.reference, self.level = model, reference, level
        for split in model.task.dev_sizes:
            if not np.array_equal(model.labels(split), reference.labels(split)):
                raise ValueError(f"{model.task.name}: model and reference were scored on other examples ({split})")
        self.paired = model.seeds == reference.seeds
        self.estimates: dict[str, Estimate | None] = {}
        self.retained: dict[str, Estimate | None] = {}
        for key in model.measured:
            self.estimates[key], self.retained[key] = self._estimate(key)

    def _estimate(self, key: str) -> tuple[Estimate | None, Estimate | None]:
        """The difference, and 100 · model / reference."""
        (metric, split), k = self.model.measured[key], len(self.model.runs)
        a, b = np.array(self.model.values(key)), np.array(self.reference.values(key))
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            return None, None
        labels = self.model.labels(split)
        predictions = [*self.model.predictions(split), *self.reference.predictions(split)]
        draws = bootstrap_scores(metric, labels, predictions, seed=generator_seed(self.model.task))
        of_model, of_reference = draws[:, :k].mean(1), draws[:, k:].mean(1)
        n = len(labels)
        difference = Estimate(
            float(a.mean() - b.mean()), of_model - of_reference, n, self._seed_variances(a, b, 1.0, -1.0)
        )
        if b.mean() <= 0:
            return difference, None
        share = 100 * a.mean() / b.mean()
        ratio = np.full(len(draws), np.nan)
        np.divide(100 * of_model, of_reference, out=ratio, where=of_reference > 0)
        variances = self._seed_variances(a, b, 100 / b.mean(), -share / b.mean())
        return difference, Estimate(float(share), ratio, n, variances)

    def _seed_variances(self, a: np.ndarray, b: np.ndarray, by_a: float, by_b: float):
        """Of by_a · mean a + by_b · mean b; for a quotient its linear part (delta method)."""
        if self.paired:
            return seed_variance(by_a * a + by_b * b)
        return (*seed_variance(by_a * a), *seed_variance(by_b * b))

    def to_dict(self) -> dict[str, object]:
        """As it stands in report.json, but for ``p_value_holm``."""
        both = sorted({*self.model.seeds, *self.reference.seeds})
        return {
            "name": self.model.task.name,
            "n": len(self.model.labels(self.model.task.main_split)),
            "main_metric": self.model.main_key,
            "pairing": f"by seed, {len(self.model.seeds)}" if self.paired else f"means over unequal seeds {both}",
            "metrics": {key: self._metric_dict(key) for key in self.model.measured},
            "note": self._note(),
        }

    def _metric_dict(self, key: str) -> dict[str, object]:
        metric, split = self.model.measured[key]
        estimate = self.estimates[key]
        tests = self._mcnemar(split) if metric.name == "accuracy" and self.paired else []
        p_value, method = (None, None) if estimate is None else estimate.p_value()
        if len(tests) == 1:
            p_value, method = tests[0]["p_value"], "exact McNemar"
        interval = None if estimate is None else estimate.interval(self.level)
        return {
            "name": metric.name,
            "n": len(self.model.labels(split)),
            "unit": "points",
            "model": _mean(self.model.estimates[key]),
            "reference": _mean(self.reference.estimates[key]),
            "difference": _mean(estimate),
            "confidence_interval": _listed(interval),
            "confidence_level": self.level,
            "interval_method": None if estimate is None else estimate.method,
            "p_value": p_value,
            "p_value_method": method,
            "mcnemar": tests or None,
            "retained": self._retained_dict(key),
            **verdict(interval, "higher"),
            "note": self._metric_note(key),
        }

    def _metric_note(self, key: str) -> str | None:
        if self.estimates[key] is None:
            return "no difference: a score of one of the two is not defined"
        if self.reference.learnt(key, self.level):
            return None
        return "the reference is not above a constant prediction, so nothing can be seen to be kept or lost"

    def _mcnemar(self, split: str) -> list[dict[str, object]]:
        tests = []
        for run, other in zip(self.model.runs, self.reference.runs, strict=True):
            test = mcnemar(run.labels[split], run.predictions[split], other.predictions[split])
            tests.append(
                {
                    "seed": run.seed,
                    "only_model_right": test.only_first_right,
                    "only_reference_right": test.only_second_right,
                    "p_value": test.p_value,
                }
            )
        return tests

    def _retained_dict(self, key: str) -> dict[str, object]:
        """100 · score / reference's score, in percent."""
        retained = self.retained[key]
        interval = None if retained is None else retained.interval(self.level)
        if retained is None:
            undefined = self.estimates[key] is None
            note = "a score is not defined" if undefined else "the reference's score is not above 0"
        else:
            note = self._metric_note(key)
            if interval is None:
                note = "no interval: the reference's score is not above 0 on over 1 % of the resamples"
        return {
            "value": _mean(retained),
            "unit": "%",
            "confidence_interval": _listed(interval),
            "note": note,
        }

    def _note(self) -> str | None:
        notes = [self.model.subset_note]
        if self.model.n_train != self.reference.n_train:
            notes.append(f"the reference learnt from {self.reference.n_train:,} examples, not {self.model.n_train:,}")
        if not self.paired:
            notes.append(f"seeds {self.model.seeds} against {self.reference.seeds}: compared by their means")
        return "; ".join(filter(None, notes)) or None

    def difference(self, entry: dict[str, object]) -> Difference:
        """The main score's difference, for tables; ``entry`` is `to_dict`'s."""
        main = entry["metrics"][entry["main_metric"]]
        interval = main["confidence_interval"]
        return Difference(
            key=self.model.task.key,
            name=self.model.score(self.level).name,
            difference=main["difference"],
            unit="points",
            n=main["n"],
            confidence_interval=None if interval is None else tuple(interval),
            confidence_level=self.level,
            interval_method=main["interval_method"],
            p_value=main["p_value"],
            p_value_method=main["p_value_method"],
            better="higher",
            note="; ".join(filter(None, (main["note"], entry["note"]))) or None,
        )


def _mean_difference(pairs: dict[str, PairedTask], level: float) -> dict[str, object]:
    """Difference of the means of the tasks run; tasks have different examples, so their draws are independent."""
    estimates = {key: pair.estimates[pair.model.main_key] for key, pair in pairs.items()}
    undefined = [pairs[key].model.task.name for key, estimate in estimates.items() if estimate is None]
    mean = mean_of(list(estimates.values())) if estimates and not undefined else None
    interval = None if mean is None else mean.interval(level)
    p_value, method = (None, None) if mean is None else mean.p_value()
    return {
        "name": "mean of the tasks run (not GLUE)",
        "tasks": list(estimates),
        "unit": "points",
        "difference": _mean(mean),
        "confidence_interval": _listed(interval),
        "confidence_level": level,
        "interval_method": None if mean is None else mean.method,
        "p_value": p_value,
        "p_value_method": method,
        **verdict(interval, "higher"),
        "subset": any(pair.model.subset for pair in pairs.values()),
        "note": f"no difference; without a value: {', '.join(undefined)}" if undefined else None,
    }


def _mean(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _listed(interval: Sequence[float] | None) -> list[float] | None:
    return None if interval is None else list(interval)
