"""A folder appears whole or not at all, and nothing else is left beside it."""

import os

import pytest
from folder_contents import contents

from evenhand.model_cards.whole_folders import whole_folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_folder_appears_at_the_end_with_its_parents(tmp_path):
    folder = tmp_path / "deep" / "folder"
    with whole_folder(folder) as new:
        (new / "sub").mkdir()
        (new / "sub" / "file").write_text("text")
        assert not folder.exists()
    assert contents(folder) == {"sub/file": b"text"}
    assert names(tmp_path / "deep") == ["folder"]


def test_others_may_read_it_as_any_folder_that_is_made_here(tmp_path):
    (tmp_path / "plain").mkdir()
    with whole_folder(tmp_path / "folder"):
        pass
    assert (tmp_path / "folder").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_existing_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").write_text("old")
    with whole_folder(folder) as new:
        (new / "new").write_text("new")
        assert contents(folder) == {"old": b"old"}
    assert contents(folder) == {"new": b"new"}
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("there", [{}, {"old": b"old"}], ids=["no folder", "a folder"])
def test_a_failure_in_the_middle_changes_nothing(tmp_path, there):
    folder = tmp_path / "folder"
    for name, content in there.items():
        folder.mkdir()
        (folder / name).write_bytes(content)
    before = names(tmp_path)
    with pytest.raises(ZeroDivisionError), whole_folder(folder) as new:
        (new / "new").write_text("half")
        raise ZeroDivisionError
    assert names(tmp_path) == before and contents(folder) == there


def test_what_stood_there_comes_back_where_the_new_folder_cannot_be_moved(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").write_text("old")
    rename = os.replace

    def refuse(source, target):
        if source.name == "new":
            raise PermissionError("no")
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError), whole_folder(folder) as new:
        (new / "new").write_text("new")
    assert contents(folder) == {"old": b"old"} and names(tmp_path) == ["folder"]
