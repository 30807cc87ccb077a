"""What a person means by a folder or a repository on the Hub."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.model_cards.hub.target import HubRepository, LocalFolder, parse_target


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with ``published/student`` and the file ``notes.txt``."""
    (tmp_path / "published" / "student").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("publishing", [False, True])
@pytest.mark.parametrize(
    "text", ["published", "published/student", "./new", "../new", "/new/folder", "/b@", ".", "..", "./user/student"]
)
def test_what_exists_or_begins_as_a_path_is_a_folder(text, publishing):
    assert parse_target(text, publishing) == LocalFolder(Path(text))


def test_a_home_directory_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_target("~/student") == LocalFolder(tmp_path / "student")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user/student", HubRepository("user/student")),
        ("user/student@v1.0", HubRepository("user/student", "v1.0")),
        ("user/student@refs/pr/3", HubRepository("user/student", "refs/pr/3")),
        ("user/student@" + "a" * 40, HubRepository("user/student", "a" * 40)),
        ("hf://user/student@dev", HubRepository("user/student", "dev")),
        ("hf://published/student", HubRepository("published/student")),
    ],
)
def test_owner_and_name_are_the_hub(text, expected):
    assert parse_target(text, for_publishing=True) == expected
    assert str(expected) == text.removeprefix("hf://")


def test_a_new_folder_beside_others_is_ambiguous_for_publishing_alone():
    with pytest.raises(ValueError, match=r"write \./published/new or hf://published/new"):
        parse_target("published/new", for_publishing=True)
    assert parse_target("published/new") == HubRepository("published/new")
    assert parse_target("./published/new", for_publishing=True) == LocalFolder(Path("published/new"))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "student",
            "notes.txt",
            "a/b/c",
            "a/b@",
            "a/b@x..y",
            "a/b@x y",
            "a/b@-x",
            "a/b@x@y",
            "a b/c",
            "a--b/c",
        ),
        *("a/b.git", "a/", "a/../b/./c/", "hf://", "hf://a", "hf://./a", "a/b\n", "a/" + "b" * 97, "a\0/b"),
    ],
)
def test_what_is_neither_is_one_line(text):
    with pytest.raises(ValueError) as refused:
        parse_target(text, for_publishing=True)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400


@given(st.text(max_size=30))
def test_any_text_is_a_target_or_one_line(text):
    try:
        target = parse_target(text, for_publishing=True)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(target, (LocalFolder, HubRepository))
