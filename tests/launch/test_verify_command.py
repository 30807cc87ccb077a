"""The command line of ``evenhand verify``: what it passes on, what it prints, and how it ends."""

import json
from pathlib import Path

import pytest

from evenhand.launch.command import main
from evenhand.launch.verify_command import measure_settings
from evenhand.model_cards.verification.rows import HEADLINE, RECOMPUTED, UNCHECKED, Row, Verification

ROWS = (
    Row("SEAT mean, builtin: sent-weat6", RECOMPUTED, "d +1", "d +1", True, scope=(HEADLINE,)),
    Row("training record", UNCHECKED, note="cannot be repeated"),
)
WRONG = Row("student: weights", RECOMPUTED, "a", "b", False)


@pytest.fixture
def asked(monkeypatch):
    """What the command asks to be verified; `rows` is what it is answered."""
    calls = {"rows": ROWS}

    def verify(target, stimuli, **options):
        calls.update(target=target, stimuli=stimuli, **options)
        return Verification(str(target), calls["rows"])

    monkeypatch.setattr("evenhand.model_cards.verify", verify)
    return calls


def test_everything_that_is_given_arrives(asked, capsys):
    words = ["verify", "user/student@v1", "--stimuli", "a", "--stimuli", "b.yaml", "--teacher", "some/teacher"]
    words += [
        "--measure",
        "glue",
        "data=glue=data",
        "store=parts",
        "--measure",
        "crows_pairs",
        "data=1",
        "batch_size=8",
    ]
    assert main(words) == 0
    assert asked["target"] == "user/student@v1" and asked["stimuli"] == ["a", "b.yaml"]
    assert asked["teacher"] == "some/teacher" and asked["progress"] is True
    assert asked["measures"] == {
        "glue": {"data": "glue=data", "store": "parts"},
        "crows_pairs": {"data": "1", "batch_size": 8},
    }
    out = capsys.readouterr().out
    assert "training record" in out and "not checkable here" in out and out.splitlines()[-1].startswith("verified")


def test_a_failed_claim_or_an_unchecked_headline_ends_with_1(asked, capsys):
    asked["rows"] = (*ROWS, WRONG)
    assert main(["verify", "folder"]) == 1
    assert "NOT VERIFIED: 1 claims agree, 1 fail, 1 not checkable here" in capsys.readouterr().out
    asked["rows"] = ROWS[1:]
    assert main(["verify", "folder"]) == 1


def test_json_is_the_table_for_programs(asked, capsys):
    assert main(["verify", "folder", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True and [row["verdict"] for row in told["rows"]] == ["ok", "-"]
    assert told["rows"][1] == {
        "claim": "training record", "status": UNCHECKED, "claimed": None, "found": None, "verdict": "-", "note": "cannot be repeated",
    }  # fmt: skip


def test_a_teacher_in_a_package_is_found(asked, monkeypatch):
    monkeypatch.setattr("evenhand.trainer.teacher.resolve_model_path", lambda path: f"/site/{path}")
    assert main(["verify", "folder", "--teacher", "package:some_model/model"]) == 0
    assert asked["teacher"] == Path("/site/package:some_model/model")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["glue", "data"], "'data' is not KEY=VALUE; name what is verified before --measure"),
        (["glue", "batch_size=[1"], "the value of batch_size is not valid YAML"),
    ],
)
def test_a_setting_that_is_none_is_one_line(words, message, capsys):
    assert main(["verify", "folder", "--measure", *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_measure_is_named_once():
    with pytest.raises(ValueError, match="glue is given twice"):
        measure_settings([["glue", "data=a"], ["glue", "data=b"]])
    assert measure_settings([["glue"]]) == {"glue": {}}


@pytest.mark.parametrize("target", ["./none", "no folder", "student.bin@x"])
def test_what_is_not_there_ends_with_2_and_one_line(target, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["verify", target]) == 2
    error = capsys.readouterr().err
    assert error.startswith("evenhand verify: ") and error.count("\n") == 1


def test_a_damaged_report_ends_with_1_and_a_table(tmp_path, capsys):
    (tmp_path / "report.json").write_text('{"schema": "evenhand-report", "schema_version": 99}')
    assert main(["verify", str(tmp_path)]) == 1
    out, error = capsys.readouterr()
    assert "schema version 99" in out and "FAILED" in out and "NOT VERIFIED: " in out and not error
    assert main(["verify", str(tmp_path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit):
        main(["verify", "--help"])
    text = capsys.readouterr().out
    assert all(option in text for option in ("--stimuli", "--measure", "--teacher", "--json", "OWNER/NAME[@REVISION]"))
