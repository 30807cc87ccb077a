"""``evenhand card``: a run's card keeps what people wrote into it, is checked as it stands, and shows as a page."""

import json
import shutil

import numpy as np
import pytest

from evenhand.evaluation import Seat
from evenhand.evaluation.evaluators import Measured, make_report
from evenhand.launch.command import main
from evenhand.launch.recipe import recipe_from_dict
from evenhand.launch.run_card import check_card, write_card
from evenhand.model_cards.hand_written import block

SEAT = Seat(tests=["C6", "C6b", "C7", "C7b", "C8", "C8b"])
SIZES = {"model_type": "distilbert", "hidden_size": 12, "vocab_size": 99, "parameters": 1234, "max_length": 64}


def measured(role, seed):
    """Random vectors, partly shared by all, in a model's place."""
    n = len(SEAT.loaded_stimuli.distinct_sentences)
    vectors = np.random.default_rng(0).normal(size=(n, 12)) + 0.5 * np.random.default_rng(seed).normal(size=(n, 12))
    hashes = {"weights_sha256": str(seed) * 64, "tokenizer_sha256": "7" * 64}
    facts = {**SIZES, **hashes, "role": role, "name": f"{role}-{seed}", "layers": 1}
    return Measured(facts, (SEAT.result_of(vectors),), facts["name"])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two evaluated runs, their students without weights."""
    folder, teacher = tmp_path_factory.mktemp("runs"), measured("teacher", 1)
    for seed in (2, 3):
        run = folder / f"run-{seed}"
        (run / "student").mkdir(parents=True)
        config = {"model_type": "distilbert", "_name_or_path": "/home/somebody/teacher"}
        (run / "student" / "config.json").write_text(json.dumps(config, indent=2))
        recipe = {"teacher": {"path": "t"}, "corpus": {"sources": [{"path": "t.txt"}]}, "publish": {"licence": "mit"}}
        recipe_from_dict(recipe).save(run / "recipe.yaml")
        training = {"schema": "evenhand-training", "schema_version": 1, "seed": seed, "steps": 3}
        make_report([SEAT], measured("student", seed), teacher, training).save(run / "report.json")
    return folder


@pytest.fixture
def run(runs, tmp_path):
    return shutil.copytree(runs / "run-2", tmp_path / "run-2")


@pytest.fixture
def written(run, capsys):
    """The run with its card."""
    assert main(["card", str(run)]) == 0
    assert capsys.readouterr().out == f"{run / 'README.md'}\n"
    return run


def put(run, name, text):
    """Write into a hand-written block of the run's card as somebody with an editor would."""
    path = run / "README.md"
    card = path.read_text(encoding="utf-8")
    assert block(name, "") in card
    path.write_text(card.replace(block(name, ""), block(name, text)), encoding="utf-8")
    return path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_card_has_no_problems_and_checking_writes_nothing(written, capsys):
    before = contents(written)
    assert main(["card", str(written), "--check"]) == 0
    assert capsys.readouterr().out == "no problems\n" and contents(written) == before


def test_hand_written_text_survives_when_the_card_is_made_again(written):
    path = put(written, "limits", "Ask us first.\n\n- And again.")
    by_hand = path.read_text(encoding="utf-8")
    assert main(["card", str(written)]) == 0
    assert path.read_text(encoding="utf-8") == by_hand and main(["card", str(written), "--check"]) == 0
    report = json.loads((written / "report.json").read_text())
    report["model"]["parameters"] = 4321
    (written / "report.json").write_text(json.dumps(report))
    assert main(["card", str(written)]) == 0
    again = path.read_text(encoding="utf-8")
    assert again != by_hand and block("limits", "Ask us first.\n\n- And again.") in again and "4,321" in again


@pytest.mark.parametrize(
    "edit",
    [
        lambda card: "# My model\n\nAll of this is mine, 42 lines.\n",
        lambda card: card.replace("\n## ", "\nA remark of mine.\n\n## ", 1),
        lambda card: card.replace("language: en", "language: en\ntags:\n- mine", 1),
    ],
)
def test_text_outside_of_the_blocks_is_kept_in_a_file_of_its_own_and_said(written, edit, capsys):
    path, old = written / "README.md", written / "README.md.old"
    card = path.read_text(encoding="utf-8")
    texts = [edit(card), edit(card) + "More.\n"]
    assert texts[0] != card
    for text, kept in zip(texts, (old, written / "README.md.old.2"), strict=True):
        path.write_text(text, encoding="utf-8")
        assert main(["card", str(written)]) == 0
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and kept.name in error and str(path) in error
        assert kept.read_text(encoding="utf-8") == text and path.read_text(encoding="utf-8") == card
    assert main(["card", str(written)]) == 0 and capsys.readouterr().err == ""
    assert sorted(written.glob("README.md*")) == [path, old, written / "README.md.old.2"]
    assert main(["card", str(written), "--check"]) == 0


def test_a_card_of_other_numbers_and_of_hand_written_text_leaves_no_copy(written, capsys):
    put(written, "limits", "Ask us first.\n\n- And again.")
    report = json.loads((written / "report.json").read_text())
    report["model"]["parameters"] = 4321
    (written / "report.json").write_text(json.dumps(report))
    assert main(["card", str(written)]) == 0
    assert capsys.readouterr().err == "" and not list(written.glob("README.md.old*"))


def test_a_damaged_block_is_refused_before_anything_is_written(written, capsys):
    path = put(written, "limits", "Ask us first.")
    path.write_text(path.read_text().replace("<!-- end of hand-written: limits -->", "<!-- end -->"))
    shutil.rmtree(written / "figures")
    before = contents(written)
    assert main(["card", str(written)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(path) in error and "hand-written block" in error
    with pytest.raises(ValueError, match="hand-written block"):
        write_card(written)
    assert contents(written) == before


def test_each_problem_is_a_line_with_the_place_and_the_exit_code_is_1(written, capsys):
    path = put(written, "limits", "Mean |d| is 9.999 [9.98, 10.02], n = 6.\n\nTODO")
    lines = path.read_text().split("\n")
    assert main(["card", str(written), "--check"]) == 1
    out = capsys.readouterr().out.splitlines()
    number, todo = lines.index("Mean |d| is 9.999 [9.98, 10.02], n = 6.") + 1, lines.index("TODO") + 1
    assert [line.split(": ")[0] for line in out] == [f"{path}:{number}", f"{path}:{number}", f"{path}:{todo}"]
    assert check_card(path) == check_card(written) == out


def test_a_report_measured_anew_makes_the_card_a_problem_until_it_is_written_again(written, capsys):
    report = json.loads((written / "report.json").read_text())
    report["model"]["parameters"] = 4321
    (written / "report.json").write_text(json.dumps(report))
    assert main(["card", str(written), "--check"]) == 1
    out = capsys.readouterr().out
    assert "prints 1,234 where the report and the facts give 4,321" in out and "another report's hash" in out
    assert main(["card", str(written)]) == 0 == main(["card", str(written), "--check"])


def test_what_would_leave_with_the_card_is_checked_too(written, capsys):
    config = written / "student" / "config.json"
    config.write_text(config.read_text().replace('"model_type"', '"cache": "/home/somebody/cache", "model_type"'))
    recipe = written / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("author: null", f"author: hf_{'a1' * 17}"))
    assert main(["card", str(written), "--check"]) == 1
    out = capsys.readouterr().out
    assert f"{written}/student/config.json:2: holds the machine path '/home/somebody/cache'" in out
    assert "card_facts.json:" in out and "holds a Hugging Face token" in out


def test_a_link_may_lead_to_what_is_published_but_not_to_the_rest_of_the_run(written, capsys):
    put(written, "limits", "[Its sizes](config.json), [its numbers](report.json), [how](recipe.yaml).")
    assert main(["card", str(written), "--check"]) == 1
    assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()] == [
        "link 'recipe.yaml' does not exist"
    ]


def test_a_staged_folder_and_a_card_alone_are_checked(written, tmp_path, capsys):
    staged = tmp_path / "staged"
    staged.mkdir()
    (staged / "card_facts.json").write_text("{}")
    assert main(["card", str(staged), "--check"]) == 1
    assert "report.json: missing" in capsys.readouterr().out
    alone = tmp_path / "alone" / "README.md"
    alone.parent.mkdir()
    alone.write_text("---\nlicense: mit\n---\n\n# A model\n\n![x](y.png)\n")
    assert main(["card", str(alone), "--check"]) == 1
    out = capsys.readouterr().out
    assert "its numbers cannot be compared" in out and f"{alone}:7: picture 'y.png' does not exist" in out


def test_a_page_beside_the_card(written, capsys):
    assert main(["card", str(written), "--html"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(written / "README.md"), str(written / "README.html")]
    assert "<html" in (written / "README.html").read_text(encoding="utf-8")
    assert main(["card", str(written), "--check"]) == 0


def test_several_students_get_cards_and_one_page_of_comparison(runs, tmp_path, capsys):
    names = [str(shutil.copytree(runs / name, tmp_path / name)) for name in ("run-2", "run-3")]
    assert main(["card", *names, "--output-dir", str(tmp_path / "both")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "both" / "README.html")
    page = (tmp_path / "both" / "README.md").read_text(encoding="utf-8")
    assert "run-2" in page and "run-3" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none"], "does not exist"),
        (["none", "--check"], "does not exist"),
        (["run-2", "none"], "does not exist"),
        (["run-2", "--output-dir", "out"], "name two runs or more"),
        (["run-2", "--check", "--html"], "--check writes nothing"),
        (["run-2", "--check"], "holds no card; write it first"),
        (["run-2/report.json", "--check"], "is no README.md"),
        (["run-2/student", "--check"], "holds neither a run nor a card"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(run, monkeypatch, capsys, words, message):
    monkeypatch.chdir(run.parent)
    before = contents(run.parent)
    assert main(["card", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("evenhand card: ") and message in error
    assert contents(run.parent) == before


def test_a_card_that_is_no_text_is_refused(written, capsys):
    (written / "README.md").write_bytes("grün".encode("latin-1"))
    for words in ([], ["--check"]):
        assert main(["card", str(written), *words]) == 2
        assert "is not UTF-8 text" in capsys.readouterr().err
