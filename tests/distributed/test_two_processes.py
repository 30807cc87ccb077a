"""Two processes over gloo give what one process gives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_distillation import (
    ContentMasking,
    ContentMixup,
    largest_difference,
    split_run,
    tiny_dataset,
    tiny_tokenizer,
    tiny_trainer,
)
from two_process_watching import VALUES, figures

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The results of the one launch that all tests here read."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*command, str(Path(__file__).with_name("two_process_script.py")), str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(folder / "results.pt")


def test_gradients_losses_and_counts_equal_those_of_one_process(two, tmp_path):
    one = split_run(tmp_path, 8, 1)
    assert largest_difference(one, two["split"]) < TOLERANCE
    assert two["split"]["counts"] == one["counts"]


def test_so_they_do_with_micro_batches_without_targets(two, tmp_path):
    one = split_run(tmp_path, 8, 1, masking=ContentMasking(spared=lambda length: length % 2 == 0))
    assert largest_difference(one, two["spared"]) < TOLERANCE


def test_evaluation_gathers_sums_over_processes_of_unequal_share(two, tmp_path):
    one = tiny_trainer(
        tmp_path, masking=ContentMasking(), supervision=ContentMixup(tiny_tokenizer()), eval_dataset=tiny_dataset(11, seed=5)
    ).evaluate()  # fmt: skip
    assert two["evaluated"] == pytest.approx(one, rel=TOLERANCE)
    assert two["evaluated"]["eval_mlm_targets"] == one["eval_mlm_targets"]


@pytest.mark.parametrize("process", [0, 1])
def test_a_resumed_run_is_bit_equal_in_both_processes(two, process):
    resumed = two["everyone"][process]["resumed"]
    assert resumed["student"] and resumed["losses"] and resumed["counts"]
    assert resumed["steps"] == (3, 9)
    assert resumed["files"] == ["checkpoint-8", "checkpoint-9"]


def test_a_term_broken_in_one_process_stops_both_by_name(two):
    messages = [mine["broken"] for mine in two["everyone"]]
    assert all(message.startswith("Loss term cos is not finite at step 1;") for message in messages)


def _watching(two) -> list[dict]:
    return [mine["watching"] for mine in two["everyone"]]


def test_logged_figures_are_those_of_one_process(two, tmp_path):
    one = figures(tmp_path, 8, 1)
    assert len(one) == 2 and one[0]["mixed_positions_per_batch"] > 0
    for mine, its in zip(one, _watching(two)[0]["figures"], strict=True):
        assert its == pytest.approx(mine, rel=1e-5)


def test_the_main_process_alone_measures_and_both_have_the_numbers(two):
    main, other = (mine["chosen"] for mine in _watching(two))
    assert main["measured_at"] == [0, 2, 4, 6, 8] and other["measured_at"] == []
    assert main["curve"] == other["curve"] == list(VALUES.items())[:-1]


def test_both_stop_early_and_end_with_the_best_student(two):
    for mine in (mine["chosen"] for mine in _watching(two)):
        assert (mine["steps"], mine["best"]) == (8, (4, "checkpoint-4"))
        assert mine["student"].keys() >= mine["saved"].keys()
        assert all(torch.equal(mine["student"][name], value) for name, value in mine["saved"].items())


@pytest.mark.parametrize("process", [0, 1])
def test_a_measure_that_fails_ends_both_with_one_message(two, process):
    assert _watching(two)[process]["failing"] == "The student could not be measured: KeyError: 'no such word'"
