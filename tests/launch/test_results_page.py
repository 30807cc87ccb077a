"""The page of a paired comparison: its numbers come from the reports, its intervals from an independent t-test."""

import copy
import json

import numpy as np
import pytest
from scipy import stats

from evenhand.evaluation import Seat
from evenhand.evaluation.over_seeds import aggregate_differences
from evenhand.evaluation.paired_seeds import t_interval
from evenhand.evaluation.scores import Score
from evenhand.launch.results_page import load_runs, main, write_results_page

SEAT = Seat(tests=["C6", "C7"])
GLUE = {"plain": [70.0, 71.0, 69.5], "mixup": [70.5, 71.2, 70.6]}
LOSS = {"plain": [4.10, 4.20, 4.15], "mixup": [4.12, 4.21, 4.20]}


@pytest.fixture(scope="module")
def seat():
    """SEAT results of the teacher (``None``) and of each arm and seed, on vectors that are partly shared."""
    n, hidden = len(SEAT.loaded_stimuli.distinct_sentences), 12
    shared = np.random.default_rng(0).normal(size=(n, hidden))
    keys = [None, *((arm, seed) for arm in GLUE for seed in range(3))]
    return {
        key: SEAT.result_of(shared + 0.5 * np.random.default_rng(i).normal(size=(n, hidden))).to_dict()
        for i, key in enumerate(keys)
    }


def glue(value):
    score = Score("cola", "CoLA", value, "points", 1043, (value - 2, value + 2), better="higher", note="a subset")
    mean = {"value": value, "tasks": ["cola"], "confidence_interval": [value - 2, value + 2]}
    return {"measure": "glue", "scores": [score.to_dict()], "note": None, "mean_of_tasks_run": mean}


def report(arm, i, seat):
    model = {
        "role": "student", "name": f"{arm}-seed{i}", "model_type": "distilbert", "layers": 3, "hidden_size": 8, "vocab_size": 9,
        "parameters": 10, "max_length": 16, "weights_sha256": f"{arm}{i}", "tokenizer_sha256": "2" * 64,
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
    both = {"comparison": None, "not_applicable": {"model": None, "reference": None}}
    measures = {"seat": [{**SEAT.settings(), "model": seat[arm, i], "reference": seat[None], **both}]}
    if i < 2:  # the third pair was not fine-tuned
        measures["glue"] = [{"model": glue(GLUE[arm][i]), "reference": glue(75.0), **both}]
    return {
        "schema": "evenhand-report", "schema_version": 2, "evenhand_version": "0.1.0", "environment": dict.fromkeys(("python", "torch", "transformers", "platform"), "x"),
        "model": model, "reference": copy.deepcopy(model) | {"role": "teacher", "weights_sha256": "t"}, "measures": measures, "training": training,
    }  # fmt: skip


@pytest.fixture
def runs(tmp_path, seat):
    for arm in GLUE:
        for i in range(3):
            folder = tmp_path / "runs" / f"{arm}-seed{i}"
            folder.mkdir(parents=True)
            (folder / "report.json").write_text(json.dumps(report(arm, i, seat)))
    return tmp_path / "runs"


def row(text, start):
    return next(line for line in text.splitlines() if line.startswith(start))


def minus(number):
    return f"{number:+.3f}".replace("-", "−")


def test_t_interval_is_the_one_sample_t_test():
    values = [0.3, -0.1, 0.4, 0.2, 0.35]
    ours = t_interval(values)
    theirs = stats.ttest_1samp(values, 0)
    assert (ours.low, ours.high) == pytest.approx(theirs.confidence_interval(0.95))
    assert ours.p_value == pytest.approx(theirs.pvalue)


def test_seat_means_and_differences_over_seeds(runs, seat, tmp_path):
    text = write_results_page(runs, tmp_path / "page.md", "the command").read_text()
    sizes = {arm: [seat[arm, i]["tests"]["sent-weat7"]["effect_size"] for i in range(3)] for arm in GLUE}
    line = row(text, "| C7 |")
    for values in sizes.values():
        assert minus(np.mean(values)) in line
    assert minus(np.mean(sizes["mixup"]) - np.mean(sizes["plain"])) in line
    arms = [[seat[arm, i] for i in range(3)] for arm in ("mixup", "plain")]
    verdict = aggregate_differences(*arms)["families"]["gender"]["verdict"]
    assert f"mixup − plain: **{verdict}" in text
    assert "the command" in text and "4.1000" in text


def test_other_measures_are_over_the_pairs_that_have_them(runs, tmp_path):
    text = write_results_page(runs, tmp_path / "page.md", "c").read_text()
    line = row(text, "| CoLA |")
    paired = stats.ttest_rel(GLUE["mixup"][:2], GLUE["plain"][:2]).confidence_interval(0.95)
    assert "| 75.000 |" in line and "70.500 ± 0.707" in line and line.endswith("| 2 |")
    assert f"[{minus(paired.low)}, {minus(paired.high)}]" in line
    assert "- CoLA: a subset" in text and (tmp_path / "page_tradeoff.png").stat().st_size > 5000


def test_only_complete_pairs_enter(runs):
    (runs / "mixup-seed2" / "report.json").unlink()
    assert {arm: list(reports) for arm, reports in load_runs(runs).items()} == {"plain": [0, 1], "mixup": [0, 1]}


def test_the_command_writes_the_page_and_quotes_itself(runs, tmp_path, capsys):
    page = tmp_path / "page.md"
    assert main([str(runs), "--page", str(page)]) == 0
    assert f"results_page {runs} --page" in page.read_text()
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), "--page", str(page)]) == 2
    assert "no finished pair" in capsys.readouterr().err
