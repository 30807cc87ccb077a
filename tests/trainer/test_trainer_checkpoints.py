"""A checkpoint is complete or not there."""

import json
import os
import pathlib
import shutil

import pytest

from evenhand.trainer.checkpoints import (
    completion_facts,
    damage,
    discard_damaged,
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
    assert completion_facts(path) == {"step": 10, "counts": {"tokens_seen": 3}, "files": {"model.safetensors": 7}}
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


# -- damage after completion -----------------------------------------------------------------------------------------


@pytest.fixture
def two_checkpoints(tmp_path):
    """The newer one with a folder inside, as DeepSpeed writes it."""
    for step in (4, 8):
        saving(tmp_path, f"checkpoint-{step}")
        inside = tmp_path / ".saving" / f"checkpoint-{step}" / f"global_step{step}"
        inside.mkdir()
        (inside / "zero_pp_rank_0_optim_states.pt").write_bytes(b"moments" * 100)
        publish_checkpoint(tmp_path, f"checkpoint-{step}", {"step": step})
    return tmp_path


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES = {
    "a shorter file": (lambda c: _truncate(c / "model.safetensors"), "model.safetensors has 6 of 7 bytes"),
    "an emptied file": (lambda c: (c / "model.safetensors").write_bytes(b""), "model.safetensors has 0 of 7 bytes"),
    "a lost file": (lambda c: (c / "model.safetensors").unlink(), "model.safetensors is missing"),
    "a shorter file in a folder": (
        lambda c: _truncate(c / "global_step8" / "zero_pp_rank_0_optim_states.pt"),
        "global_step8/zero_pp_rank_0_optim_states.pt has 699 of 700 bytes",
    ),
    "a lost folder": (
        lambda c: shutil.rmtree(c / "global_step8"),
        "global_step8/zero_pp_rank_0_optim_states.pt is missing",
    ),
    "an emptied mark": (lambda c: (c / "complete.json").write_bytes(b""), "complete.json is not readable"),
    "half a mark": (lambda c: (c / "complete.json").write_bytes(b'{"step": 8, "fil'), "complete.json is not readable"),
}


@pytest.mark.parametrize(("do", "said"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_checkpoint_that_was_damaged_after_its_completion_is_passed_over_with_one_line(
    two_checkpoints, caplog, do, said
):
    newest = two_checkpoints / "checkpoint-8"
    assert latest_complete_checkpoint(two_checkpoints) == newest and damage(newest) is None
    do(newest)
    assert latest_complete_checkpoint(two_checkpoints) == two_checkpoints / "checkpoint-4"
    assert [record.getMessage() for record in caplog.records] == [
        f"Checkpoint {newest} is damaged ({said}) and is passed over."
    ]
    discard_damaged(two_checkpoints)
    assert [path.name for path in two_checkpoints.iterdir()] == ["checkpoint-4"]


def test_files_that_came_later_do_no_damage_and_older_releases_named_none(two_checkpoints):
    (two_checkpoints / "checkpoint-8" / "notes.txt").write_text("mine")
    assert damage(two_checkpoints / "checkpoint-8") is None
    (two_checkpoints / "checkpoint-8" / "complete.json").write_text('{"step": 8}')
    assert latest_complete_checkpoint(two_checkpoints) == two_checkpoints / "checkpoint-8"


def test_everything_is_on_the_disk_before_the_checkpoint_has_its_name(tmp_path, monkeypatch):
    saving(tmp_path, "checkpoint-4")
    (tmp_path / ".saving" / "checkpoint-4" / "inside").mkdir()
    (tmp_path / ".saving" / "checkpoint-4" / "inside" / "state.pt").write_text("state")
    synced, rename, fsync = [], pathlib.Path.rename, os.fsync

    def renamed(self, target):
        synced.append("renamed")
        return rename(self, target)

    def synced_to_disk(handle):
        synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", synced_to_disk)
    monkeypatch.setattr(pathlib.Path, "rename", renamed)
    publish_checkpoint(tmp_path, "checkpoint-4", {"step": 4})
    before = synced[: synced.index("renamed")]
    assert {"model.safetensors", "state.pt", "complete.json", "inside", "checkpoint-4"} == set(before)
    assert before.index("complete.json") > before.index("state.pt")
    assert synced[-1] == tmp_path.name  # the new name itself
