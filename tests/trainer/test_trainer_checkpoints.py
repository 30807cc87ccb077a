"""A checkpoint is complete or not there."""

import json

from evenhand.trainer.checkpoints import (
    completion_facts,
    discard_unfinished,
    latest_complete_checkpoint,
    publish_checkpoint,
)


def saving(folder, name, content="weights"):
    target = folder / ".saving" / name
    target.mkdir(parents=True)
    (target / "model.safetensors").write_text(content)


def test_publishing_renames_and_leaves_nothing_behind(tmp_path):
    saving(tmp_path, "checkpoint-10")
    inode = (tmp_path / ".saving" / "checkpoint-10" / "model.safetensors").stat().st_ino
    path = publish_checkpoint(tmp_path, "checkpoint-10", {"step": 10, "counts": {"tokens_seen": 3}})
    assert path == tmp_path / "checkpoint-10" and (path / "model.safetensors").stat().st_ino == inode
    assert completion_facts(path) == {"step": 10, "counts": {"tokens_seen": 3}}
    assert json.loads((path / "complete.json").read_text())["step"] == 10
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-10"]


def test_publishing_replaces_a_checkpoint_of_that_name(tmp_path):
    (tmp_path / "checkpoint-10").mkdir()
    (tmp_path / "checkpoint-10" / "torn").write_text("")
    saving(tmp_path, "checkpoint-10", "new")
    path = publish_checkpoint(tmp_path, "checkpoint-10", {"step": 10})
    assert sorted(p.name for p in path.iterdir()) == ["complete.json", "model.safetensors"]


def test_torn_checkpoints_are_passed_over_and_steps_are_compared_as_numbers(tmp_path):
    assert latest_complete_checkpoint(tmp_path) is None
    assert latest_complete_checkpoint(tmp_path / "nowhere") is None
    for step in (900, 1000):
        saving(tmp_path, f"checkpoint-{step}")
        publish_checkpoint(tmp_path, f"checkpoint-{step}", {"step": step})
    (tmp_path / "checkpoint-2000").mkdir()  # a kill during a save by somebody else's code
    (tmp_path / "checkpoint-2000" / "model.safetensors").write_text("half")
    saving(tmp_path, "checkpoint-3000")  # a kill during a save by ours
    assert latest_complete_checkpoint(tmp_path) == tmp_path / "checkpoint-1000"
    assert completion_facts(tmp_path / "checkpoint-2000") == {}


def test_unfinished_saves_are_discarded(tmp_path):
    saving(tmp_path, "checkpoint-5")
    discard_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == []
    discard_unfinished(tmp_path)
