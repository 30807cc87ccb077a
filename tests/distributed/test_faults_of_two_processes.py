"""Two processes that are stopped, killed or lose each other; and runs that go on with another number of processes."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from faulty_runs import CHECKED_STEP, STEPS, one_sided_run, outcome, recorded_run

from evenhand.trainer.checkpoints import completion_facts, latest_complete_checkpoint
from evenhand.trainer.stop_signals import REQUEUE_EXIT_CODE

MINUTE = 60
TOLERANCE = 1e-5
"""Of sums in another order, after nine steps; relative to the largest."""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """The folder that all scenarios of process_pairs.py have left."""
    folder = tmp_path_factory.mktemp("pairs")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("process_pairs.py")), str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The uninterrupted run of one process."""
    trainer = recorded_run(tmp_path_factory.mktemp("alone"), accumulation=4)
    trainer.train()
    assert trainer.state.global_step == STEPS
    return outcome(trainer)


def _ends(pairs, scenario: str) -> dict:
    return json.loads((pairs / "ends.json").read_text(encoding="utf-8"))[scenario]


def _outcomes(pairs, scenario: str) -> list[dict]:
    assert _ends(pairs, scenario)["codes"] == [0, 0], (pairs / f"{scenario}.0.txt").read_text()[-2000:]
    return [torch.load(pairs / f"{scenario}.{process}.pt") for process in (0, 1)]


def _assert_agree(found: dict, expected: dict, tolerance: float = TOLERANCE) -> None:
    """Weights, every logged number and the totals."""
    size = max(float(value.abs().max()) for value in expected["student"].values())
    for name, value in expected["student"].items():
        if (
            "k_lin.bias" not in name
        ):  # a softmax does not depend on it: its gradient is rounding, which Adam makes as large as any
            assert float((found["student"][name] - value).abs().max()) <= tolerance * size, name
    assert [entry["step"] for entry in found["losses"]] == [entry["step"] for entry in expected["losses"]] == [3, 6, 9]
    for mine, its in zip(found["losses"], expected["losses"], strict=True):
        assert mine == pytest.approx(its, rel=tolerance)
    assert found["counts"] == expected["counts"]


def test_two_processes_draw_what_one_draws_for_the_same_sentences(pairs, alone):
    """Corrupted ids, targets, λ and dropout, by optimiser step and the sentences of a micro-batch."""
    found = _outcomes(pairs, "same_draws")
    draws = found[0]["draws"] | found[1]["draws"]
    assert len(draws) == len(found[0]["draws"]) + len(found[1]["draws"]) == 3 * 11
    assert draws == alone["draws"]
    assert all(len(mine["draws"]) > 12 for mine in found)
    # 11 micro-batches an epoch: in the last turn of each there is none for process 1
    assert (found[0]["stand_ins"], found[1]["stand_ins"], alone["stand_ins"]) == (0, 3, 0)
    lambdas = [lam for *_, drawn, _ in draws.values() for lam in drawn]
    assert len(lambdas) > 50 and len(set(lambdas)) > 50


def test_and_train_the_same_student_to_the_end_of_ragged_epochs(pairs, alone):
    for found in _outcomes(pairs, "same_draws"):
        _assert_agree(found, alone)


def test_a_signal_to_one_process_stops_both_at_the_step_with_a_checkpoint_and_the_requeue_code(pairs):
    assert _ends(pairs, "stopped")["codes"] == [REQUEUE_EXIT_CODE] * 2
    stops = [torch.load(pairs / f"stop.{process}.pt") for process in (0, 1)]
    assert [stop["step"] for stop in stops] == [CHECKED_STEP] * 2
    assert "a signal to another process after step 5" in stops[0]["message"]
    assert "SIGUSR1 after step 5; checkpoint-5 is in" in stops[1]["message"]
    newest = latest_complete_checkpoint(pairs / "stopped")
    assert newest.name == f"checkpoint-{CHECKED_STEP}"
    facts = completion_facts(newest)
    assert (facts["processes"], facts["per_device_batch_size"], facts["gradient_accumulation_steps"]) == (2, 2, 2)
    assert facts["effective_batch_size"] == 8
    assert {"rng_state_0.pth", "rng_state_1.pth", "optimizer.pt"} <= facts["files"].keys()


def test_what_two_processes_left_one_takes_to_the_same_end(pairs, alone):
    """The log of step 6 covers steps of the two processes and of the one."""
    trainer = recorded_run(pairs / "stopped", accumulation=4)
    trainer.train(resume_from_checkpoint=True)
    _assert_agree(outcome(trainer), alone)
    assert len(trainer.draws) == (11 - 4 - 4) + 11  # nothing is drawn again for the steps before
    assert trainer.draws.items() <= alone["draws"].items()


def test_what_one_process_left_two_take_to_the_same_end(pairs, alone):
    assert _ends(pairs, "stopped_alone")["codes"] == [REQUEUE_EXIT_CODE]
    for found in _outcomes(pairs, "continued"):
        _assert_agree(found, alone)


def test_a_kill_of_both_inside_a_save_costs_that_checkpoint_only(pairs):
    assert _ends(pairs, "killed_in_save")["codes"] == [-9, -9]
    whole, resumed = _outcomes(pairs, "same_draws"), _outcomes(pairs, "after_the_kill")
    for mine, its in zip(resumed, whole, strict=True):
        _assert_agree(mine, its, tolerance=0)
        assert 0 < len(mine["draws"]) < len(its["draws"])  # it did go on from a checkpoint
    assert sorted(path.name for path in (pairs / "killed").iterdir()) == ["checkpoint-8", "checkpoint-9"]


def test_the_other_process_ends_with_an_error_within_a_minute_of_a_kill(pairs):
    ends = _ends(pairs, "one_killed")
    assert ends["codes"] == [1, -9]
    assert ends["seconds"][0] - ends["seconds"][1] < MINUTE


def test_a_full_disk_of_one_process_ends_both_and_only_that_one_speaks_of_its_disk(pairs):
    ends = _ends(pairs, "full_disk_of_one")
    assert ends["codes"] == [1, 1]
    assert abs(ends["seconds"][0] - ends["seconds"][1]) < MINUTE
    said = [(pairs / f"full_disk_of_one.{process}.txt").read_text() for process in (0, 1)]
    assert "Checkpoint checkpoint-8 could not be written (" in said[0] and "No space left on device" in said[0]
    assert "could not be written" not in said[1]
    assert [path.name for path in (pairs / "full_disk").iterdir()] == ["checkpoint-4"]


def test_a_step_of_which_one_process_has_neither_target_nor_pair_word(pairs, tmp_path):
    one, (first, second) = one_sided_run(tmp_path, accumulation=2), _outcomes(pairs, "one_sided")
    assert first["own_counts"]["mixed_positions"] > 3 and first["own_counts"]["sequences_with_pair_words"] == 4
    assert second["own_counts"]["mixed_positions"] == second["own_counts"]["sequences_with_pair_words"] == 0
    size = max(float(gradient.abs().max()) for gradient in one["gradients"].values())
    for found in (first, second):
        # DDP's names begin with module., and gradients are those of the mean over processes
        gradients = {name.removeprefix("module."): gradient for name, gradient in found["gradients"].items()}
        assert gradients.keys() == one["gradients"].keys() == set(one["trained"])
        for name, gradient in one["gradients"].items():
            assert gradients[name].isfinite().all()
            assert float((gradients[name] - gradient).abs().max()) < TOLERANCE * size, name
        assert all(math.isfinite(value) for value in found["losses"][0].values())
        assert found["losses"][0] == pytest.approx(one["losses"][0], rel=TOLERANCE)


def test_a_run_that_only_lacks_its_end_takes_it_on_another_number_of_processes(pairs):
    """Steps since the last log are looked at once more, with what one process of before had counted."""
    before = torch.load(pairs / "finished_alone.0.pt")["window"]
    first, second = _outcomes(pairs, "finished_elsewhere")
    assert before and first["planned"].keys() == before.keys() and not second["planned"]
    assert first["figures"] == second["figures"] and 0 < first["figures"]["padding_efficiency"] <= 1
    assert first["counts"] == second["counts"] and first["draws"] == second["draws"] == {}


def test_counts_that_one_process_alone_has_are_logged_and_saved(pairs):
    for found in _outcomes(pairs, "uneven_names"):
        # three steps of two micro-batches
        assert (found["counts"]["rare"], found["counts"]["very_rare"]) == (6, 12)
        assert (found["log"]["rare_per_batch"], found["log"]["very_rare_per_batch"]) == (2, 4)


def test_a_launcher_ends_within_a_minute_when_one_of_its_processes_raises(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "import os, sys, torch\n"
        "from pathlib import Path\n"
        "from faulty_runs import FailAt, recorded_run\n"
        "torch.set_num_threads(1)\n"
        "callbacks = [FailAt(3)] if os.environ['RANK'] == '1' else []\n"
        "recorded_run(Path(sys.argv[1]), accumulation=2, callbacks=callbacks).train()\n",
        encoding="utf-8",
    )
    helpers = str(Path(__file__).parent.parent / "invariant")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc_per_node",
            "2",
            str(script),
            str(tmp_path),
        ],
        env=os.environ
        | {
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": f"{helpers}:{os.environ.get('PYTHONPATH', '')}",
        },
        capture_output=True,
        text=True,
        timeout=MINUTE + 60,  # and the start
    )
    assert done.returncode == 1
    assert "made to fail" in done.stderr
    assert not list(tmp_path.glob("checkpoint-*"))
