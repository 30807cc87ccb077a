"""``evenhand space`` and ``evenhand collection``: what they show of runs and models, and what they refuse."""

import json
import socket
import urllib.request

import pytest
from tiny_text import VOCABULARY
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

from evenhand.evaluation.models import load_model, weights_sha256
from evenhand.launch.command import main
from evenhand.launch.recipe import recipe_from_dict
from evenhand.launch.side_by_side import local_models, published_models
from evenhand.model_cards.space.compared_models import ComparedModel


def save_model(folder, layers=1):
    sizes = {"hidden_size": 8, "num_hidden_layers": layers, "num_attention_heads": 2, "intermediate_size": 8}
    BertForMaskedLM(BertConfig(vocab_size=len(VOCABULARY), max_position_embeddings=32, **sizes)).save_pretrained(folder)
    vocabulary = {token: i for i, token in enumerate(VOCABULARY)}
    BertTokenizerFast(vocab=vocabulary, model_max_length=32).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("models") / "big")


@pytest.fixture
def make_run(tmp_path, teacher):
    """A finished run of the teacher, by the name of its directory; only what the commands read of it."""

    def make(name, weights=None, **publish):
        run = tmp_path / name
        save_model(run / "student")
        sources = {"sources": [{"path": "text.txt"}]}
        recipe = {"teacher": {"path": str(teacher)}, "corpus": sources, "publish": publish}
        recipe_from_dict(recipe).save(run / "recipe.yaml")
        of = {"name": str(teacher), "weights_sha256": weights or weights_sha256(load_model(teacher)[0])}
        (run / "training.json").write_text(json.dumps({"seed": 0, "teacher": of}))
        return run

    return make


def test_runs_of_one_teacher_stand_below_it_under_names_of_their_own(make_run, teacher):
    plain, first, second = make_run("plain"), make_run("one/mixup"), make_run("two/mixup")
    models, expected = local_models(map(str, (plain, first, second)))
    assert models == [
        ComparedModel("big", str(teacher), "teacher"),
        ComparedModel("plain", str(plain / "student"), "student", "big"),
        ComparedModel("one/mixup", str(first / "student"), "student", "big"),
        ComparedModel("two/mixup", str(second / "student"), "student", "big"),
    ]
    of = weights_sha256(load_model(teacher)[0])
    assert expected == [("big", of, "plain"), ("big", of, "mixup"), ("big", of, "mixup")]


def test_models_stand_alone_or_beside_the_teacher_that_is_named(make_run, teacher, tmp_path):
    folder = save_model(tmp_path / "small")
    assert local_models([str(folder)]) == ([ComparedModel("small", str(folder))], [])
    models, expected = local_models([str(folder), "ada/student"], str(teacher))
    assert [(m.name, m.source, m.role, m.teacher) for m in models] == [
        ("big", str(teacher), "teacher", None),
        ("small", str(folder), "student", "big"),
        ("ada/student", "ada/student", "student", "big"),
    ]
    assert expected == []


def test_a_space_names_the_published_ids(make_run):
    run = make_run("plain", repo_id="ada/plain", base_model="somebody/teacher")
    assert published_models([str(run), "ada/other"]) == [
        ComparedModel("somebody/teacher", "somebody/teacher", "teacher"),
        ComparedModel("ada/plain", "ada/plain", "student", "somebody/teacher"),
        ComparedModel("ada/other", "ada/other"),
    ]
    beside = published_models([str(run)], "somebody/else")
    assert [(m.name, m.teacher) for m in beside] == [("somebody/else", None), ("ada/plain", "somebody/else")]


def test_a_dry_run_puts_the_space_together_and_publishes_nothing(make_run, tmp_path, capsys):
    run = make_run("plain", repo_id="ada/plain", base_model="somebody/teacher")
    folder = tmp_path / "space"
    assert main(["space", str(run), "--publish", "ada/compare", "--dry-run", "--output-dir", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "Dry run: nothing was published" in printed and "models.json" in printed
    named = [model["source"] for model in json.loads((folder / "models.json").read_text())]
    assert named == ["somebody/teacher", "ada/plain"]


def test_the_app_is_served_on_this_machine_alone_until_it_is_interrupted(make_run, monkeypatch, capsys):
    gradio = pytest.importorskip("gradio", reason="needs gradio (the extra [space])")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    answers = []

    def ask_instead_of_waiting(blocks):
        address = capsys.readouterr().out.split("side by side: ")[1].split(" ")[0]
        answers.append((address, urllib.request.urlopen(address).status, blocks.share, blocks.analytics_enabled))
        with socket.create_connection(("127.0.0.1", blocks.server_port)):
            taken = main(["space", str(run), "--local", "--port", str(blocks.server_port)])
        answers.append((taken, capsys.readouterr().err))
        blocks.close(verbose=False)

    monkeypatch.setattr(gradio.Blocks, "block_thread", ask_instead_of_waiting)
    run = make_run("plain")
    assert main(["space", str(run), "--local"]) == 0
    (address, status, shared, analytics), (code, line) = answers
    assert address.startswith("http://127.0.0.1:") and status == 200 and not shared and not analytics
    assert code == 1 and line.endswith("(Address already in use); choose another --port.\n") and line.count("\n") == 1


def test_another_teacher_than_the_one_that_was_distilled_is_refused(make_run, capsys):
    pytest.importorskip("gradio", reason="needs gradio (the extra [space])")
    runs = [str(make_run("right")), str(make_run("plain", weights="0" * 64))]
    assert main(["space", *runs, "--local"]) == 2
    assert "plain was distilled from other weights than those at" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["RUN", "--local", "--private"], "--private needs --publish"),
        (["RUN", "--local", "--dry-run"], "--dry-run needs --publish"),
        (["RUN", "--local", "--output-dir", "x"], "--output-dir needs --publish"),
        (["RUN", "--publish", "ada/compare", "--port", "7000"], "--port needs --local"),
        (["RUN", "--local", "--port", "0"], "--port must be between 1 and 65535"),
        (["./nowhere", "--local"], "./nowhere does not exist"),
        (["RUN", "RUN", "--local"], "two models would be called"),
        (["RUN", "--publish", "compare", "--dry-run"], "'compare' is no name for a Space"),
        (["RUN", "--publish", "ada/compare", "--dry-run"], "names no repository on the Hub"),
        (
            ["RUN/student", "--publish", "ada/compare", "--dry-run"],
            "is a folder, and a Space loads models from the Hub",
        ),
        (["ada/a/b", "--publish", "ada/compare", "--dry-run"], "is no id of one there"),
    ],
)
def test_what_cannot_be_shown_is_one_line_and_leaves_nothing(make_run, tmp_path, monkeypatch, capsys, arguments, fault):
    run = str(make_run("plain"))
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()
    assert main(["space", *(word.replace("RUN", run) for word in arguments)]) == 2
    said = capsys.readouterr().err
    assert fault in said and said.count("\n") == 1 and sorted(tmp_path.rglob("*")) == before


def test_where_it_is_to_run_must_be_said(capsys):
    with pytest.raises(SystemExit) as refused:
        main(["space", "ada/student"])
    assert refused.value.code == 2 and "--local --publish is required" in capsys.readouterr().err


def test_a_collection_of_runs_that_were_not_measured_is_refused(make_run, capsys):
    run = make_run("plain")
    capsys.readouterr()
    assert main(["collection", "ada", "A study", str(run), "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert "holds no report.json; measure it first" in said and said.count("\n") == 1
