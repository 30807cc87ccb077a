"""Plain against mixup over seeds: which runs are made, from what, and what a failure says."""

from types import SimpleNamespace

import pytest

from evenhand.launch import paired_runs
from evenhand.launch.command import main
from evenhand.launch.recipe import load_recipe
from evenhand.launch.run_directory import RunDirectory


@pytest.fixture
def commands(monkeypatch):
    """Runs ``distill`` in this process instead of a new one; keeps every command."""
    seen = []

    def run(command, **kwargs):
        seen.append(command[3:])
        return SimpleNamespace(returncode=main(command[3:]) if command[3] == "distill" else 0)

    monkeypatch.setattr(paired_runs.subprocess, "run", run)
    return seen


def test_each_seed_has_one_student_of_each_arm_from_one_teacher(tiny_recipe, tmp_path, commands, capsys):
    recipe = load_recipe(tiny_recipe(training={"max_steps": 2}))
    output = tmp_path / "pairs"
    output.mkdir()
    paired_runs.run_pairs(recipe, output, seeds=2, jobs=1)
    records = {
        (arm, seed): RunDirectory(output / f"{arm}-seed{seed}").training()
        for arm in ("plain", "mixup")
        for seed in (0, 1)
    }
    assert len({record["teacher"]["weights_sha256"] for record in records.values()}) == 1
    assert {key: record["seed"] for key, record in records.items()} == {key: key[1] for key in records}
    assert all((record["supervision"] is not None) == (arm == "mixup") for (arm, _), record in records.items())
    assert len({record["student"]["weights_sha256"] for record in records.values()}) == 4
    assert [command[0] for command in commands] == ["distill", "evaluate"] * 4


def test_a_failed_run_leaves_the_others_and_is_named(tiny_recipe, tmp_path, monkeypatch):
    recipe, output = load_recipe(tiny_recipe()), tmp_path / "pairs"
    output.mkdir()
    done = []

    def run(command, **kwargs):
        done.append(command[-1])
        return SimpleNamespace(returncode=int("plain-seed1" in command[-1]))

    monkeypatch.setattr(paired_runs.subprocess, "run", run)
    with pytest.raises(RuntimeError, match=r"1 of 4 runs failed; see .*plain-seed1\.log"):
        paired_runs.run_pairs(recipe, output, seeds=2, jobs=1)
    assert any("mixup-seed1" in name for name in done)
