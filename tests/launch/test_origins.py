"""Revision and licence of a teacher and of data sets, as their own cards state them: read, and never guessed."""

import json
import shutil
from pathlib import Path

import datasets
import pytest
from made_up_cache import COMMIT, OTHER_COMMIT, cache_dataset, cache_model
from tiny_text import write_text

from evenhand.launch import hub_cache, origins
from evenhand.launch.origins import UNKNOWN, corpus_origins, stated_licence, teacher_origin
from evenhand.launch.recipe import recipe_from_dict
from evenhand.launch.teacher_head import origin_of_teacher
from evenhand.trainer.corpus_sources import CorpusSource
from evenhand.trainer.documents import RowDocuments

NOTHING_STATED = {"licence": None, "name": None, "link": None}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty HF_HOME, and a Hub that does not answer."""
    folder = tmp_path / "home"
    monkeypatch.setattr(hub_cache.constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "datasets")
    monkeypatch.setattr(origins, "hub_answers", lambda: False)
    monkeypatch.setattr(origins, "getproxies", dict)
    monkeypatch.setattr(origins.constants, "is_offline_mode", lambda: False)
    monkeypatch.setattr(origins, "hf_hub_download", lambda *args, **kwargs: pytest.fail("the Hub was asked"))
    return folder


def card(folder: Path, front_matter: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "README.md"
    file.write_text(f"---\n{front_matter}\n---\n# Model\nlicense: not-this-one\n", encoding="utf-8")
    return file


def snapshot(home, kind: str, name: str, front_matter: str, commit=COMMIT, reference="main") -> None:
    """A card in the Hub's cache."""
    folder = cache_model(home, name, {}, commit, reference)
    card(folder, front_matter)
    if kind == "dataset":
        repository = folder.parent.parent
        target = repository.with_name(repository.name.replace("models--", "datasets--"))
        shutil.copytree(repository, target, dirs_exist_ok=True)
        shutil.rmtree(repository)


@pytest.mark.parametrize(
    ("front_matter", "stated"),
    [
        ("license: apache-2.0", {"licence": "apache-2.0"}),
        ("license: [mit]", {"licence": "mit"}),
        ("license:\n- mit\n- cc-by-4.0", {"licence": "mit, cc-by-4.0"}),
        (
            "license: other\nlicense_name: my-own\nlicense_link: LICENSE",
            {"licence": "other", "name": "my-own", "link": "LICENSE"},
        ),
        ("language: en", {}),
        ("license:", {}),
        ("license: 3", {}),
        ("license: {a: b}", {}),
        ("license: []", {}),
        ("", {}),
    ],
)
def test_a_licence_is_what_the_front_matter_says(tmp_path, front_matter, stated):
    found = stated_licence(card(tmp_path, front_matter), "some/model")
    assert found == {**NOTHING_STATED, **stated, "source": "the card of some/model"}


@pytest.mark.parametrize("content", [b"---\nlicense: [mit\n---\n", b"---\n- mit\n---\n", b"\xff\xfe---"])
def test_a_card_that_cannot_be_read_states_nothing(tmp_path, content):
    (tmp_path / "README.md").write_bytes(content)
    assert stated_licence(tmp_path / "README.md", "some/model") == {**NOTHING_STATED, "source": None}


def test_a_card_without_front_matter_states_no_licence_and_none_is_guessed_from_its_text(tmp_path):
    (tmp_path / "README.md").write_text("License: MIT\n")
    assert stated_licence(tmp_path / "README.md", "m")["licence"] is None


def test_a_teacher_in_a_folder_has_the_licence_of_its_own_card_and_no_machine_path(tmp_path, home):
    card(tmp_path / "my-teacher", "license: cc-by-sa-4.0")
    origin = teacher_origin(str(tmp_path / "my-teacher"))
    assert origin["revision"] is None
    assert (origin["licence"]["licence"], origin["licence"]["source"]) == ("cc-by-sa-4.0", "the card of my-teacher")
    (tmp_path / "bare").mkdir()
    assert teacher_origin(str(tmp_path / "bare")) == UNKNOWN


def test_so_has_one_that_a_package_carries(tmp_path, home, monkeypatch):
    card(tmp_path / "a_package" / "model", "license: mit")
    (tmp_path / "a_package" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    licence = teacher_origin("package:a_package/model")["licence"]
    assert (licence["licence"], licence["source"]) == ("mit", "the card of package:a_package/model")
    assert teacher_origin("package:not_installed/model") == UNKNOWN


def test_a_teacher_on_the_hub_has_a_commit_and_the_licence_at_that_commit(home):
    cache_model(home, "user/model", {"config.json": b"{}"}, OTHER_COMMIT, "v2")
    cache_model(home, "user/model", {"config.json": b"{}", "README.md": b"---\nlicense: mit\n---\n"})
    found = teacher_origin("user/model")
    assert (found["revision"], found["licence"]["licence"]) == (COMMIT, "mit")
    assert found["licence"]["source"] == "the card of user/model"
    assert teacher_origin("user/model", COMMIT) == found
    of_v2 = teacher_origin("user/model", "v2")  # its card is not here, and that of main is another's
    assert of_v2 == {"revision": OTHER_COMMIT, "licence": {**NOTHING_STATED, "source": None}}
    assert teacher_origin("user/unknown") == UNKNOWN


@pytest.mark.parametrize("way", ["answers", "behind a proxy"])
def test_a_card_that_is_not_in_the_cache_is_asked_for_at_the_commit_of_the_weights(home, tmp_path, monkeypatch, way):
    cache_model(home, "user/model", {"config.json": b"{}"})
    monkeypatch.setattr(origins, "hub_answers", lambda: way == "answers")
    monkeypatch.setattr(origins, "getproxies", lambda: {} if way == "answers" else {"https": "http://proxy"})
    asked = []

    def download(name, file, **where):
        asked.append((name, file, where))
        return str(card(tmp_path / "downloaded", "license: bsd-3-clause"))

    monkeypatch.setattr(origins, "hf_hub_download", download)
    assert teacher_origin("user/model")["licence"]["licence"] == "bsd-3-clause"
    assert asked == [("user/model", "README.md", {"revision": COMMIT, "repo_type": "model"})]


@pytest.mark.parametrize("failure", ["no answer", "offline", "refused"])
def test_a_hub_that_cannot_be_asked_costs_the_licence_alone(home, monkeypatch, failure):
    cache_model(home, "user/model", {"config.json": b"{}"})
    monkeypatch.setattr(origins, "hub_answers", lambda: failure != "no answer")
    monkeypatch.setattr(origins.constants, "is_offline_mode", lambda: failure == "offline")
    if failure == "refused":

        def refuse(*args, **kwargs):
            raise ConnectionError("401")

        monkeypatch.setattr(origins, "hf_hub_download", refuse)
    assert teacher_origin("user/model") == {"revision": COMMIT, "licence": {**NOTHING_STATED, "source": None}}


def test_of_an_unknown_commit_no_card_is_asked_for(home, monkeypatch):
    monkeypatch.setattr(origins, "hub_answers", lambda: True)
    assert teacher_origin("user/model") == UNKNOWN


def head_facts(teacher: str, **more) -> dict:
    return {"teacher": teacher, "steps": 4, **more}


def test_a_teacher_that_was_given_a_head_comes_from_where_it_was_published(tmp_path, home):
    recipe = recipe_from_dict({"teacher": {"path": str(tmp_path)}, "corpus": {"sources": [{"path": "a.txt"}]}})
    written = {"revision": COMMIT, "licence": {"licence": "mit"}}
    assert origin_of_teacher(recipe, head_facts("user/model", origin=written)) == written
    card(tmp_path / "original", "license: mit")
    folder = head_facts(str(tmp_path / "original"))
    assert origin_of_teacher(recipe, folder)["licence"]["licence"] == "mit"
    # an older release wrote no revision down; what main is today may not be what it was
    cache_model(home, "user/model", {"config.json": b"{}", "README.md": b"---\nlicense: mit\n---\n"})
    assert origin_of_teacher(recipe, head_facts("user/model")) == UNKNOWN
    card(tmp_path, "license: bsd-3-clause")
    assert origin_of_teacher(recipe, None)["licence"]["licence"] == "bsd-3-clause"


def test_a_source_on_the_hub_has_the_commit_that_was_prepared_and_its_cards_licence(home, tmp_path):
    prepared = cache_dataset(home, "user/text", {"train": [{"text": "he read the book"}]})
    rows = datasets.Dataset.from_file(str(next(prepared.glob("*.arrow"))))
    snapshot(home, "dataset", "user/text", "license: cc-by-sa-3.0", COMMIT, None)
    snapshot(home, "dataset", "user/text", "license: mit", OTHER_COMMIT)  # main has moved on since
    local = write_text(tmp_path / "corpus.txt", 3)
    sources = [CorpusSource(hub="user/text", name="default"), CorpusSource(path=str(local))]
    opened = [RowDocuments(sources[0], rows, None, streaming=False), sources[1].open()]
    found = corpus_origins(sources, opened)
    assert found[0]["licence"] == {
        **NOTHING_STATED, "licence": "cc-by-sa-3.0", "source": "the card of user/text",
    }  # fmt: skip
    assert (found[0]["hub"], found[0]["name"], found[0]["revision"]) == ("user/text", "default", COMMIT)
    assert found[1] == {"hub": None, "name": None, "revision": None, "licence": None}
    assert json.dumps(found)  # it stands in training.json


def test_a_stream_has_the_commit_of_the_card_that_was_fetched_with_it(home):
    snapshot(home, "dataset", "user/text", "license: mit", OTHER_COMMIT)
    stream = type("Stream", (), {"rows": object()})
    (found,) = corpus_origins([CorpusSource(hub="user/text")], [stream])
    assert (found["revision"], found["licence"]["licence"]) == (OTHER_COMMIT, "mit")
