"""What a training ran with: the commit of a checkout and whether it was changed, the libraries, the machine."""

import os
import subprocess
from importlib import metadata

import pytest
import torch

from evenhand.launch import circumstances
from evenhand.launch.circumstances import code

AUTHOR = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one commit of one file, and that commit."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "code.py").write_text("1\n")
    for words in (["init", "-q"], ["add", "code.py"], [*AUTHOR, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", root, *words], check=True)
    done = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return root, done.stdout.strip()


def test_the_commit_of_a_checkout_and_whether_its_files_differ_from_it(checkout):
    root, commit = checkout
    version = metadata.version("evenhand")
    assert code(root) == {"version": version, "commit": commit, "modified": False}
    (root / "notes.txt").write_text("nobody imports this\n")
    assert code(root)["modified"] is False
    (root / "code.py").write_text("2\n")
    assert code(root) == {"version": version, "commit": commit, "modified": True}


def test_an_installed_package_inside_another_repository_has_no_commit(checkout):
    root, _ = checkout
    (root / "site-packages").mkdir()
    assert code(root / "site-packages")["commit"] is code(root / "site-packages")["modified"] is None


def test_a_variable_for_git_leads_to_no_other_repository(checkout, tmp_path, monkeypatch):
    root, commit = checkout
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", other], check=True)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert code(root)["commit"] == commit


def test_where_git_cannot_say_nothing_is_said(checkout, tmp_path, monkeypatch):
    root, _ = checkout
    empty = tmp_path / "empty"
    subprocess.run(["git", "init", "-q", empty], check=True)
    assert code(empty)["commit"] is None  # no commit yet
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code(root) == {"version": metadata.version("evenhand"), "commit": None, "modified": None}


def test_the_tree_is_not_written_to(checkout):
    root, _ = checkout
    os.utime(root / "code.py", (1e9, 1e9))  # git would refresh its index here
    before = (root / ".git" / "index").read_bytes()
    code(root)
    assert (root / ".git" / "index").read_bytes() == before


def test_libraries_and_machine_are_named():
    found = circumstances.circumstances()
    assert found.keys() == {"code", "environment", "hardware"}
    assert {"python", "platform", "torch", "transformers", "accelerate", "datasets"} <= found["environment"].keys()
    assert found["environment"]["accelerate"] == metadata.version("accelerate")
    assert found["hardware"]["processes"] == 1
    assert found["hardware"]["device"] == ("cuda" if torch.cuda.is_available() else "cpu")
