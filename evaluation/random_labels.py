"""A negative control: with words labelled at random there is nothing to find, and the tests should say so."""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from evenhand.evaluation.association import WordTable
from evenhand.evaluation.intervals import LARGEST_HALF
from evenhand.evaluation.permutation import Stream, label_p_values, random_partitions, unpack

RELABELLINGS = 200
LEVEL = 0.05
# Coverage that the intervals promise; see tests/evaluation/test_calibration.py.
COVERAGE = 0.92


def random_labels(
    tables: Mapping[str, WordTable],
    seed: int = 0,
    confidence_level: float = 0.95,
    relabellings: int = RELABELLINGS,
) -> dict[str, object] | None:
    """Relabel the target words of each test at random, in sets of the same size, and repeat the statistics.

    The vectors are the model's own, so the control shows whether p-values and intervals can be trusted on its
    associations, whatever their distribution.

    Args:
        tables: of the tests, by name; those without spread or with a set of one word are passed over.
        seed: each test has its own stream.
        confidence_level: of the intervals.
        relabellings: over all tests together, the same number for each (at least one).

    Returns:
        ``relabellings`` (number done), ``seed``, ``rejected``: share with a word-level p ≤ .05, ``excluded_zero``: share
        of intervals that exclude 0 (about .05 of each is right), and ``note``: what is amiss, or ``None``. ``None``
        where no test can be relabelled.
    """
    usable = {name: t for name, t in tables.items() if t.has_spread and min(map(len, t.words.values())) > 1}
    if not usable:
        return None
    each = max(1, relabellings // len(usable))
    rejected, excluded = [], []
    for name, table in usable.items():
        rng = Stream(seed, name, "random labels").generator()
        n_words, n_x = len(table.sums.counts), table.n_x[1]
        labels = np.concatenate(list(random_partitions(n_words, n_x, each, rng)), axis=1)
        p_values, _, _ = label_p_values(table.sums.sums[:, 0], table.sums.counts, n_x, labels, two_sided=True, rng=rng)
        rejected.append(p_values <= LEVEL)
        excluded.append(excludes_zero(table, unpack(labels, n_words).astype(np.float64), confidence_level))
    done = each * len(usable)
    shares = {"rejected": float(np.mean(rejected)), "excluded_zero": float(np.mean(excluded))}
    return {"relabellings": done, "seed": seed, **shares, "note": _note(done, **shares)}


def excludes_zero(table: WordTable, in_x: np.ndarray, confidence_level: float = 0.95) -> np.ndarray:
    """Whether the interval of d excludes 0, for many labels at once; as `intervals.effect_size_interval` has it.

    Args:
        table: of the test.
        in_x: (labels, words) 1 for the words of X, 0 for those of Y.
        confidence_level: of the interval.

    Returns:
        (labels,) booleans; an interval that is not defined excludes nothing.
    """
    n_labels, n_words = in_x.shape
    in_y = 1 - in_x
    keep = 1 - np.eye(n_words)
    without_target = table.sums.effect_sizes(
        (in_x[:, None, :] * keep).reshape(-1, n_words), (in_y[:, None, :] * keep).reshape(-1, n_words), slice(0, 1)
    ).reshape(n_labels, n_words)
    of_all = table.sums.effect_sizes(in_x, in_y)
    n_a = len(table.words["A"])
    groups = (
        (without_target, in_x),
        (without_target, in_y),
        (of_all[:, 1 : 1 + n_a], np.ones((n_labels, n_a))),
        (of_all[:, 1 + n_a :], np.ones((n_labels, len(table.words["B"])))),
    )
    z = _z(of_all[:, 0])
    variance, bias = sum(_variance_and_bias(_z(d), member, z) for d, member in groups)
    freedom = len(set().union(*table.words.values())) - 2
    reach = stats.t.ppf((1 + confidence_level) / 2, freedom) * np.sqrt(variance)
    # The interval is around z less its bias, but always holds z.
    return (np.abs(z - bias) > reach) & (z * (z - bias) > 0)


def _z(d: np.ndarray) -> np.ndarray:
    return np.arctanh(np.clip(d / 2, -LARGEST_HALF, LARGEST_HALF))


def _variance_and_bias(without: np.ndarray, member: np.ndarray, z: np.ndarray) -> np.ndarray:
    """What one set of k words adds to the variance and the bias of z, (2, labels): (k−1)/k · Σ (z without a word − their
    mean)² and (k−1) · (their mean − z)."""
    k = member.sum(axis=1)
    centre = (without * member).sum(axis=1) / k
    variance = (k - 1) / k * ((without - centre[:, None]) ** 2 * member).sum(axis=1)
    return np.array([variance, (k - 1) * (centre - z)])


def _note(done: int, rejected: float, excluded_zero: float) -> str | None:
    """A warning where a share is larger than chance explains (one in a thousand)."""
    most = {"p-values": stats.binom.ppf(0.999, done, LEVEL), "intervals": stats.binom.ppf(0.999, done, 1 - COVERAGE)}
    found = {"p-values": rejected * done, "intervals": excluded_zero * done}
    amiss = [name for name in most if found[name] > most[name] + 0.5]
    if not amiss:
        return None
    return f"random labels find effects more often than chance: do not trust the {' and '.join(amiss)} of this model"
