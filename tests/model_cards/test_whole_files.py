"""A text file appears whole or not at all, and a page is such a file."""

import os

import pytest

from evenhand.model_cards import whole_files
from evenhand.model_cards.page import write_page


def test_a_file_that_cannot_be_put_in_place_leaves_the_earlier_one_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("# A card\n")
    page = write_page(tmp_path)
    before = page.read_text()
    (tmp_path / "README.md").write_text("# Another card\n")

    def full(*paths):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_page(tmp_path)
    assert page.read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.html", "README.md"]


def test_two_processes_that_write_one_file_do_not_share_a_temporary_one(tmp_path, monkeypatch):
    replace, names = os.replace, []
    monkeypatch.setattr(os, "replace", lambda old, new: (names.append(old), replace(old, new)))
    for process in (1, 2):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        assert whole_files.write_text(tmp_path / "x.txt", "naïve") == tmp_path / "x.txt"
    assert len(set(names)) == 2 and (tmp_path / "x.txt").read_bytes() == "naïve".encode()
