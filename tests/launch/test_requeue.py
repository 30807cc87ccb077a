"""``evenhand distill`` under a scheduler: stopped, started again, with other micro-batches."""

import json
import os
import signal

import pytest
import yaml
from run_contents import facts_without_costs
from transformers import AutoModelForMaskedLM, AutoTokenizer

from evenhand.launch import distill as distill_module
from evenhand.launch import teacher_head
from evenhand.launch.command import main
from evenhand.launch.requeue import Ended, exit_code_of_processes, until_stopped
from evenhand.launch.run_directory import RunDirectory
from evenhand.trainer import DistillationTrainer
from evenhand.trainer.checkpoints import latest_complete_checkpoint

REQUEUE = 75


def _distill(recipe: str, run, *overrides: str) -> int:
    return main(["distill", recipe, *overrides, "--output-dir", str(run)])


@pytest.fixture
def signal_at(monkeypatch):
    """``signal_at(step)``: the next training gets SIGUSR1 in that step, once."""

    def arrange(step: int) -> None:
        train = DistillationTrainer.training_step

        def training_step(self, *arguments):
            if self.state.global_step == step - 1 and not done:
                done.append(step)
                os.kill(os.getpid(), signal.SIGUSR1)
            return train(self, *arguments)

        done: list[int] = []
        monkeypatch.setattr(DistillationTrainer, "training_step", training_step)

    return arrange


def _student(run) -> bytes:
    return (run / "student" / "model.safetensors").read_bytes()


def test_a_stopped_run_asks_to_be_requeued_and_ends_as_one_that_was_not(tiny_recipe, tmp_path, signal_at, capsys):
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert _distill(tiny_recipe(), whole) == 0
    signal_at(3)
    capsys.readouterr()
    assert _distill(tiny_recipe(), run) == REQUEUE
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("evenhand")]
    assert len(lines) == 1 and lines[0].startswith(
        "evenhand distill: stopped by SIGUSR1 after step 3; checkpoint-3 is in"
    )
    assert (run / "requeue").read_text(encoding="utf-8").startswith("stopped by SIGUSR1")
    assert not (run / "student").exists() and not (run / "training.json").exists()
    assert _distill(tiny_recipe(), run) == 0
    assert not (run / "requeue").exists()
    assert _student(run) == _student(whole)
    assert facts_without_costs(run / "training.json") == facts_without_costs(whole / "training.json")


def test_so_does_one_that_is_stopped_while_the_teacher_gets_its_head(tiny_recipe, tiny_teacher, tmp_path, signal_at):
    encoder = tmp_path / "encoder"
    AutoModelForMaskedLM.from_pretrained(tiny_teacher).base_model.save_pretrained(encoder)
    AutoTokenizer.from_pretrained(tiny_teacher).save_pretrained(encoder)
    recipe = tiny_recipe(teacher={"path": str(encoder), "mlm_steps": 4, "mlm_batch_size": 8}, training={"max_steps": 1})
    run = tmp_path / "run"
    signal_at(3)
    assert _distill(recipe, run) == REQUEUE
    assert latest_complete_checkpoint(run / "checkpoints" / "mlm_head").name == "checkpoint-3"
    assert (run / "requeue").exists() and not (run / "teacher").exists()
    assert _distill(recipe, run) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1], ids=["SIGTERM", "SIGUSR1"])
def test_work_without_steps_is_left_at_once(tiny_recipe, tmp_path, monkeypatch, capsys, number):
    prepare, before = distill_module.prepare_corpus, signal.getsignal(number)

    def prepare_when_signalled(*arguments, **options):
        os.kill(os.getpid(), number)
        return prepare(*arguments, **options)

    monkeypatch.setattr(distill_module, "prepare_corpus", prepare_when_signalled)
    run = tmp_path / "run"
    assert _distill(tiny_recipe(), run) == REQUEUE
    assert f"evenhand distill: the run was stopped by {number.name};" in capsys.readouterr().err
    assert (run / "requeue").exists() and not (run / "checkpoints").exists()
    assert signal.getsignal(number) == before


def test_a_directory_that_is_no_run_gets_no_file(tiny_recipe, tmp_path, monkeypatch):
    def signalled(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(teacher_head, "load_teacher", signalled)
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    assert _distill(tiny_recipe(), foreign) == REQUEUE
    assert list(foreign.iterdir()) == []


def test_a_start_that_fails_is_not_requeued_because_the_one_before_was(tiny_recipe, tmp_path, signal_at):
    run = tmp_path / "run"
    signal_at(2)
    assert _distill(tiny_recipe(), run) == REQUEUE
    assert _distill(tiny_recipe(), run, "objective.temperature=3") == 2
    assert not (run / "requeue").exists()


@pytest.fixture
def begun(tmp_path):
    """A run that a start has claimed."""
    (tmp_path / "recipe.yaml").touch()
    return RunDirectory(tmp_path)


USR1, TERM, INT = signal.SIGUSR1, signal.SIGTERM, signal.SIGINT


@pytest.mark.parametrize(
    ("code", "handed_on", "left_a_file", "expected"),
    [
        (REQUEUE, {USR1}, True, REQUEUE),
        (REQUEUE, {TERM}, False, REQUEUE),  # outside of training they leave no file
        (REQUEUE, (), True, REQUEUE),  # the processes were signalled, not the launcher
        (128 + USR1, {USR1}, False, REQUEUE),  # before the first handler
        (134, {USR1}, True, REQUEUE),
        (134, {USR1}, False, 134),
        (134, (), True, 134),
        (1, (), True, 1),  # one failed, and torch's SIGTERM stopped the others
        (1, {USR1, TERM}, True, 1),  # a full disk at the checkpoint that was asked for
        (128 + TERM, (), True, 128 + TERM),
        (128 + INT, {INT}, True, 128 + INT),
        (2, (), False, 2),
        (0, {USR1}, False, 0),
    ],
)
def test_a_launch_is_to_be_requeued_if_it_was_stopped_and_not_if_a_process_failed_first(
    begun, code, handed_on, left_a_file, expected
):
    begun.requeue_file.write_text("of an earlier start", encoding="utf-8")

    def launch() -> Ended:
        assert not begun.requeue_file.exists()
        if left_a_file:
            begun.requeue_file.write_text("stopped", encoding="utf-8")
        return Ended(code, frozenset(handed_on))

    assert exit_code_of_processes(begun, launch) == expected
    assert begun.requeue_file.exists() == (expected == REQUEUE)


def test_a_launch_that_was_stopped_before_there_was_a_run_leaves_no_file(tmp_path):
    assert exit_code_of_processes(RunDirectory(tmp_path), lambda: Ended(REQUEUE, frozenset({USR1}))) == REQUEUE
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("processes", "number", "asked_for"), [(1, TERM, True), (2, USR1, True), (2, TERM, False)])
def test_a_sigterm_that_may_be_a_launchers_after_a_failure_asks_for_no_requeue(
    begun, monkeypatch, processes, number, asked_for
):
    """torchrun sends it to the processes that are left; outside of training they stop of it at once."""
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    assert until_stopped(begun, lambda: os.kill(os.getpid(), number)) == REQUEUE
    assert begun.requeue_file.exists() == asked_for


# -- other micro-batches ---------------------------------------------------------------------------------------------


def test_the_same_effective_batch_goes_on_in_other_micro_batches(tiny_recipe, tmp_path, signal_at, caplog):
    """As on a GPU with other memory; here 4 × 2 becomes 8 × 1."""
    run, others = tmp_path / "run", ["training.per_device_train_batch_size=8", "training.gradient_accumulation_steps=1"]
    signal_at(3)
    assert _distill(tiny_recipe(), run) == REQUEUE
    assert _distill(tiny_recipe(), run, *others) == 0
    assert "was trained with 4 sequences a micro-batch, this start has 8" in caplog.text
    facts = json.loads((run / "training.json").read_text(encoding="utf-8"))
    assert (facts["batch_size"], facts["steps"]) == (8, 6)
    kept = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))["training"]
    assert (kept["per_device_train_batch_size"], kept["gradient_accumulation_steps"]) == (8, 1)
    assert kept == facts["recipe"]["training"]


def test_another_effective_batch_is_refused_before_any_work_with_both_numbers(tiny_recipe, tmp_path, signal_at, capsys):
    run = tmp_path / "run"
    signal_at(3)
    assert _distill(tiny_recipe(), run) == REQUEUE
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "requeue"}
    capsys.readouterr()
    assert _distill(tiny_recipe(), run, "training.gradient_accumulation_steps=3") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("evenhand distill")]
    assert "checkpoint-3 was trained with an effective batch of 8 (1 × 4 × 2)" in line
    assert "this start has 12 (1 × 4 × 3); set gradient_accumulation_steps=2" in line
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_a_finished_run_stays_what_it_was(tiny_recipe, tmp_path, capsys):
    run = tmp_path / "run"
    assert _distill(tiny_recipe(), run) == 0
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert _distill(tiny_recipe(), run, "training.gradient_accumulation_steps=3") == 2
    assert "a finished run with an effective batch of 8, this start has 12 (1 × 4 × 3)" in capsys.readouterr().err
    same = ["training.per_device_train_batch_size=8", "training.gradient_accumulation_steps=1"]
    assert _distill(tiny_recipe(), run, *same) == 0
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize("setting", ["save_only_model", "auto_find_batch_size"])
def test_settings_that_cannot_be_gone_on_from_are_refused(tiny_recipe, tmp_path, capsys, setting):
    assert _distill(tiny_recipe(), tmp_path / "run", f"training.{setting}=true") == 2
    assert f"training: {setting} is not supported: it " in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_heads_batch_that_cannot_be_dealt_to_the_processes_is_refused(
    tiny_recipe, tiny_teacher, tmp_path, monkeypatch
):
    encoder = tmp_path / "encoder"
    AutoModelForMaskedLM.from_pretrained(tiny_teacher).base_model.save_pretrained(encoder)
    AutoTokenizer.from_pretrained(tiny_teacher).save_pretrained(encoder)
    monkeypatch.setenv("WORLD_SIZE", "3")
    from evenhand.launch.recipe import load_recipe

    recipe = load_recipe(tiny_recipe(teacher={"path": str(encoder), "mlm_steps": 4, "mlm_batch_size": 8}))
    with pytest.raises(
        ValueError, match="mlm_batch_size 8 cannot be dealt evenly to 3 processes; choose a multiple of 3"
    ):
        distill_module.prepare_teacher(recipe, RunDirectory(tmp_path / "run"))
