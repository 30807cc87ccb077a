"""The joint bootstrap of predictions of the same examples."""

import numpy as np
import pytest

from evenhand.evaluation.glue_metrics import METRICS
from evenhand.evaluation.paired_predictions import bootstrap_scores


def test_bootstrap_has_the_spread_of_the_binomial():
    labels = np.ones(400, dtype=int)
    predictions = np.r_[np.ones(300, dtype=int), np.zeros(100, dtype=int)]
    draws = bootstrap_scores(METRICS["accuracy"], labels, [predictions])[:, 0]
    assert draws.shape == (2000,)
    assert draws.std() == pytest.approx(100 * np.sqrt(0.75 * 0.25 / 400), rel=0.08)
    assert draws.mean() == pytest.approx(75, abs=0.2)


def test_bootstrap_equals_drawing_examples_one_by_one():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 150)
    predictions = np.where(generator.random(150) < 0.8, labels, 1 - labels)
    draws = bootstrap_scores(METRICS["matthews"], labels, [predictions], resamples=4000)[:, 0]
    rows = generator.integers(0, 150, (4000, 150))
    plain = [float(METRICS["matthews"](labels[r], predictions[r])) for r in rows]
    np.testing.assert_allclose(
        np.quantile(draws, [0.025, 0.5, 0.975]), np.quantile(plain, [0.025, 0.5, 0.975]), atol=1.2
    )


def test_columns_are_drawn_together():
    generator = np.random.default_rng(0)
    labels = generator.normal(size=300)
    predictions = labels + generator.normal(size=300)
    draws = bootstrap_scores(METRICS["pearson"], labels, [predictions, 3 * predictions + 1], resamples=200)
    np.testing.assert_allclose(draws[:, 0], draws[:, 1], atol=1e-9)
    assert draws[:, 0].std() > 1


def test_the_draws_do_not_depend_on_the_chunks(monkeypatch):
    labels, predictions = np.arange(50.0), np.arange(50.0) ** 2
    whole = bootstrap_scores(METRICS["spearman"], labels, [predictions, -labels], resamples=100)
    monkeypatch.setattr("evenhand.evaluation.paired_predictions._CHUNK", 350)
    np.testing.assert_array_equal(
        bootstrap_scores(METRICS["spearman"], labels, [predictions, -labels], resamples=100), whole
    )
