"""The page of a paired comparison: its numbers come from the reports, its intervals from an independent t-test."""

import copy
import json

import pytest
from scipy import stats

from evenhand.launch.results_page import LABELS, load_runs, t_interval, write_results_page

D = {"plain": [1.10, 0.90, 1.30], "mixup": [0.80, 0.75, 0.95]}
LOSS = {"plain": [4.10, 4.20, 4.15], "mixup": [4.12, 4.21, 4.20]}
TEACHER_D = 0.7


def seat(d):
    tests = {
        f"sent-weat{label[1:]}": {
            "label": label, "family": "gender", "targets": ["a", "b"], "attributes": ["c", "d"],
            "n_sentences": dict.fromkeys("XYAB", 8), "n_words": dict.fromkeys("XYAB", 8),
            "effect_size": d if i % 2 else -d, "effect_size_word_balanced": d, "sign_disagreement": False,
            "confidence_interval": [d - 1, d + 1], "interval_method": "jackknife",
            "p_value": 0.5, "p_value_method": "exact", "p_value_permutations": 70, "p_value_word_balanced": 0.5,
            "p_value_legacy": 0.2, "p_value_legacy_method": "exact", "p_value_legacy_permutations": 70,
            "p_value_holm": 1.0, "note": None,
        }
        for i, label in enumerate(LABELS)
    }  # fmt: skip
    return {
        "measure": "seat", "pooling": "mean", "stimuli": {"source": "builtin", "name": "builtin", "sha256": "0" * 64},
        "seed": 0, "confidence_level": 0.95, "n_distinct_sentences": 48, "tests": tests,
        "mean_absolute_effect_size": d, "mean_absolute_effect_size_tests": list(tests), "note": None,
    }  # fmt: skip


def report(arm, i):
    model = {
        "role": "student", "name": "s", "model_type": "distilbert", "layers": 3, "hidden_size": 8, "vocab_size": 9,
        "parameters": 10, "max_length": 16, "weights_sha256": "1" * 64, "tokenizer_sha256": "2" * 64,
    }  # fmt: skip
    mixup = {
        "name": "gender_mixup", "mix": ["student_inputs"], "alpha": 0.4, "granularity": "occurrence", "second_view": "twin",
        "pairs": {"matched": [["he", "she"]]}, "mixed_positions": 12, "sequences_with_pair_words": 5,
    }  # fmt: skip
    training = {
        "teacher": {"name": "package:some_teacher/model", "layers": 6, "hidden_size": 8, "mlm_head": None},
        "student": {"model_type": "distilbert", "layers": 3, "teacher_layers": [0, 2, 5], "parameters": 10, "weights_sha256": "1" * 64},
        "corpus": {"sources": [{"path": "t.txt"}], "sequences": 5, "tokens": 50, "held_out_sequences": 2},
        "objective": {"weights": {"ce": 5.0}, "temperature": 2.0, "ce_positions": "attended"},
        "supervision": mixup if arm == "mixup" else None,
        "steps": 3, "batch_size": 2, "tokens_seen": 40, "epochs": 1.0, "recipe_sha256": "3" * 64,
        "held_out_mlm_loss": {"student": LOSS[arm][i], "teacher": 3.9, "n_targets": 7},
    }  # fmt: skip
    entry = {"pooling": "mean", "stimuli": {"source": "builtin", "name": "builtin", "sha256": "0" * 64}}
    entry |= {"model": seat(D[arm][i]), "reference": seat(TEACHER_D)}
    return {
        "schema": "evenhand-report", "schema_version": 1, "evenhand_version": "0.1.0", "environment": dict.fromkeys(("python", "torch", "transformers", "platform"), "x"),
        "model": model, "reference": copy.deepcopy(model) | {"role": "teacher"}, "measures": {"seat": [entry]}, "training": training,
    }  # fmt: skip


@pytest.fixture
def runs(tmp_path):
    for arm in D:
        for i in range(3):
            folder = tmp_path / "runs" / f"{arm}-seed{i}"
            folder.mkdir(parents=True)
            (folder / "report.json").write_text(json.dumps(report(arm, i)))
    return tmp_path / "runs"


def test_t_interval_is_the_one_sample_t_test():
    values = [0.3, -0.1, 0.4, 0.2, 0.35]
    ours = t_interval(values)
    theirs = stats.ttest_1samp(values, 0)
    assert (ours.low, ours.high) == pytest.approx(theirs.confidence_interval(0.95))
    assert ours.p_value == pytest.approx(theirs.pvalue)


def test_the_page_holds_every_number_of_the_reports(runs, tmp_path):
    text = write_results_page(runs, tmp_path / "page.md", "the command").read_text()
    for arm, values in D.items():
        for seed, d in enumerate(values):
            row = next(line for line in text.splitlines() if line.startswith(f"| {arm}, seed {seed} |"))
            assert f"−{d:.3f}" in row and f"+{d:.3f}" in row and row.endswith(f"| {d:.3f} |")
    differences = [m - p for m, p in zip(D["mixup"], D["plain"], strict=True)]
    paired = stats.ttest_rel(D["mixup"], D["plain"])
    row = next(line for line in text.splitlines() if line.startswith("| mixup − plain (paired by seed)"))
    assert f"−{abs(sum(differences) / 3):.3f}" in row and f"| {paired.pvalue:.3f} |" in row
    assert "the command" in text and "4.1000" in text


def test_the_verdict_follows_the_interval(runs, tmp_path, monkeypatch):
    text = write_results_page(runs, tmp_path / "page.md", "c").read_text()
    interval = stats.ttest_rel(D["mixup"], D["plain"]).confidence_interval(0.95)
    assert ("**lower with mixup**" in text) == (interval.high < 0)
    for i, d in enumerate([1.2, 0.8, 1.25]):  # nearly the plain values: nothing to tell apart
        changed = report("mixup", i)
        changed["measures"]["seat"][0]["model"] = seat(d)
        (runs / f"mixup-seed{i}" / "report.json").write_text(json.dumps(changed))
    assert "**not distinguishable**" in write_results_page(runs, tmp_path / "page.md", "c").read_text()


def test_only_complete_pairs_enter(runs):
    (runs / "mixup-seed2" / "report.json").unlink()
    assert {arm: list(reports) for arm, reports in load_runs(runs).items()} == {"plain": [0, 1], "mixup": [0, 1]}


def test_no_pair_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no finished pair"):
        load_runs(tmp_path / "empty")
