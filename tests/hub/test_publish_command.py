"""``evenhand publish``: what it prints, and its exit codes."""

import json

import pytest

from evenhand.launch.command import main


@pytest.fixture
def command(api, run, quick, monkeypatch, tmp_path):
    """``evenhand publish RUN …`` as ada, in a folder of its own; the run has a recipe that names a licence."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: api)  # the user's login and HF_ENDPOINT, read at import
    recipe = {
        "teacher": {"path": "/somewhere/teacher"},
        "corpus": {"sources": [{"path": "text.txt"}]},
        "publish": {"licence": "mit", "title": "A student"},
    }
    (run / "recipe.yaml").write_text(json.dumps(recipe))
    return lambda *words: main(["publish", str(run), *words])


def test_the_command_lists_publishes_and_prints_the_address(command, hub, capsys):
    assert command("ada/student", "--dry-run") == 0
    assert "Dry run: nothing was published" in capsys.readouterr().out and hub.requests == []
    assert command("ada/student") == 0
    printed = capsys.readouterr().out
    assert f"Published ada/student: {hub.address}/ada/student" in printed and "model.safetensors" in printed
    assert "license: mit" in hub.repository("ada/student").files()["README.md"].decode()
    assert command("ada/student@tested", "--output-dir", "elsewhere") == 0
    assert "model.safetensors" in hub.repository("ada/student").files("tested")
    assert command("./folder") == 0 and command("folder") == 0
    assert "nothing changed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["student"], 2, "'student' is neither an existing folder nor OWNER/NAME; write ./PATH for a new folder"),
        (
            ["run/new"],
            2,
            "run/new may be a new folder in ./run or a repository on the Hub; write ./run/new or hf://run/new",
        ),
        (["a/b/c"], 2, "neither an existing folder nor OWNER/NAME"),
        (["ada/stu dent"], 2, "no repository of the Hub"),
        (["./folder", "--private"], 2, "--private is for the Hub, and folder is a folder"),
        (["./folder", "--create-pr"], 2, "--create-pr is for the Hub"),
        (["./folder", "--output-dir", "x"], 2, "--output-dir is for the Hub"),
        (["ada/student", "--create-pr", "--revision", "dev"], 2, "leave the revision out"),
        (["ada/student", "--create-pr", "--private"], 2, "give one of them"),
        (["ada/student@dev", "--revision", "main"], 2, "name two revisions"),
        (["ada/student@" + "a" * 40], 2, "is a commit, which cannot be changed"),
        (["ada/student@refs/pr/7"], 2, "ada/student has no refs/pr/7"),
        (["ada/student", "--create-pr"], 2, "ada/student does not exist"),
        (["eve/student"], 1, "eve/student was not published: eve is not ada: use a name of yours"),
    ],
)
def test_what_cannot_be_is_one_line_and_an_exit_code(command, hub, run, capsys, words, code, line):
    assert command(*words) == code
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("evenhand publish: ") and line in error
    assert all(repository.private for repository in hub.repositories.values()) and hub.shown in ([], [{}])
