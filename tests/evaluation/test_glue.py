"""GLUE as an evaluator: runs, the store, subsets, bad input, and the comparison of two models."""

import errno
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from filelock import FileLock
from tiny_glue import WORDS, make_tokenizer, write_glue_data
from transformers import BertConfig, BertForMaskedLM

from evenhand.evaluation import glue, glue_data
from evenhand.evaluation.evaluator import NotApplicable
from evenhand.evaluation.glue import Glue
from evenhand.evaluation.glue_tasks import TASKS
from evenhand.evaluation.models import weights_sha256


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_glue_data(tmp_path_factory.mktemp("data") / "glue_data")


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return BertForMaskedLM(BertConfig(vocab_size=len(WORDS) + 5, max_position_embeddings=64, **sizes)).eval()


@pytest.fixture
def quick(monkeypatch):
    """Fine-tuning replaced by predictions from (task, seed); gives the list of runs that were made."""
    made = []

    def fine_tune(model, tokenizer, train, dev, *, n_classes, seed, settings, progress):
        made.append((n_classes, seed, len(train), {name: len(split) for name, split in dev.items()}))
        draw = np.random.default_rng(seed)
        return {name: draw.permutation(np.array(split.labels)) for name, split in dev.items()}, ["classifier.weight"]

    monkeypatch.setattr(glue, "fine_tune", fine_tune)
    return made


def test_all_nine_tasks_run_and_the_report_is_plain_json(folder, model, tokenizer):
    before = weights_sha256(model)
    evaluator = Glue(data=folder, epochs=1, batch_size=8)
    result = evaluator.run(model, tokenizer)
    report = result.to_dict()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert list(report["tasks"]) == list(TASKS) == [score["key"] for score in report["scores"]]
    assert list(report["tasks"]["mnli"]["metrics"]) == ["accuracy_matched", "accuracy_mismatched"]
    assert list(report["tasks"]["mrpc"]["metrics"]) == ["accuracy", "f1"]
    assert report["tasks"]["stsb"]["n"] == 10 and report["tasks"]["stsb"]["n_train"] == 16
    assert report["tasks"]["rte"]["initialised"] == [
        "bert.pooler.dense.bias",
        "bert.pooler.dense.weight",
        "classifier.bias",
        "classifier.weight",
    ]
    assert report["tasks"]["rte"]["max_length"] == 64  # what the model takes, not the 128 that were asked for
    assert set(report["data"]["sha256"]) == set(TASKS) and report["data"]["name"] == "glue_data"
    assert weights_sha256(model) == before
    comparison = evaluator.compare(result, result)
    json.dumps(comparison, allow_nan=False)
    assert [score["key"] for score in comparison["scores"]] == list(TASKS)


def test_a_finished_run_is_not_made_again(folder, model, tokenizer, quick, tmp_path):
    store = tmp_path / "store"
    evaluator = Glue(data=folder, tasks=["CoLA", "mnli"], seeds=(0, 1), store=store)
    first = evaluator.run(model, tokenizer).to_dict()
    assert len(quick) == 4 and len(list(store.iterdir())) == 4
    assert evaluator.run(model, tokenizer).to_dict() == first
    assert len(quick) == 4
    replace(evaluator, tasks=["cola", "rte"], seeds=(1, 2)).run(model, tokenizer)
    assert len(quick) == 4 + 3  # cola with seed 1 was there


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 2},
        {"learning_rate": 1e-4},
        {"batch_size": 8},
        {"max_length": 32},
        {"group_by_length": False},
        {"accumulation_steps": 2},
        {"max_train_samples": 5},
        {"max_eval_samples": {"cola": 3}},
    ],
)
def test_another_setting_is_another_run(folder, model, tokenizer, quick, tmp_path, change):
    evaluator = Glue(data=folder, tasks=["cola"], store=tmp_path)
    evaluator.run(model, tokenizer)
    replace(evaluator, **change).run(model, tokenizer)
    assert len(quick) == 2


def test_other_weights_tokenizer_or_data_are_another_run(folder, model, tokenizer, quick, tmp_path):
    evaluator = Glue(data=folder, tasks=["cola"], store=tmp_path / "store")
    evaluator.run(model, tokenizer)
    other = BertForMaskedLM(model.config)
    evaluator.run(other, tokenizer)
    spare = make_tokenizer()
    spare.add_tokens(["cat"])
    evaluator.run(model, spare)
    elsewhere = write_glue_data(tmp_path / "more", n_train=20)
    replace(evaluator, data=elsewhere).run(model, tokenizer)
    assert len(quick) == 4
    # The same examples in another place, the same body under another head: the same run.
    copy = write_glue_data(tmp_path / "copy")
    replace(evaluator, data=copy).run(model.bert, tokenizer)
    assert len(quick) == 4


def test_a_limit_that_leaves_nothing_out_is_no_subset(folder, model, tokenizer, quick, tmp_path):
    evaluator = Glue(data=folder, tasks=["cola"], store=tmp_path)
    evaluator.run(model, tokenizer)
    replace(evaluator, max_train_samples=16, max_eval_samples=1000).run(model, tokenizer)
    assert len(quick) == 1


def test_a_run_that_is_cut_off_leaves_nothing_and_starts_anew(folder, model, tokenizer, quick, tmp_path, monkeypatch):
    evaluator = Glue(data=folder, tasks=["cola", "rte"], store=tmp_path)
    kept = glue.fine_tune

    def killed(*args, **kwargs):
        if len(quick) == 1:
            raise KeyboardInterrupt
        return kept(*args, **kwargs)

    monkeypatch.setattr(glue, "fine_tune", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluator.run(model, tokenizer)
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["cola"]
    monkeypatch.setattr(glue, "fine_tune", kept)
    evaluator.run(model, tokenizer)
    assert len(quick) == 2 and len(list(tmp_path.iterdir())) == 2


def test_a_failing_write_leaves_no_torn_file(folder, model, tokenizer, quick, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evenhand.evaluation.glue_store.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Glue(data=folder, tasks=["cola"], store=tmp_path).run(model, tokenizer)
    assert not list(tmp_path.iterdir())


def test_a_damaged_stored_run_is_named(folder, model, tokenizer, quick, tmp_path):
    evaluator = Glue(data=folder, tasks=["cola"], store=tmp_path)
    evaluator.run(model, tokenizer)
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:200])
    with pytest.raises(ValueError, match=r"cola-seed0-\w+\.json: is not a stored GLUE run .* delete it") as raised:
        evaluator.run(model, tokenizer)
    assert "\n" not in str(raised.value)


def test_subsets_are_marked_and_never_averaged(folder, model, tokenizer, quick):
    limits = {"cola": 4}
    result = Glue(data=folder, tasks=["cola", "rte"], max_train_samples=limits, max_eval_samples=6).run(
        model, tokenizer
    )
    assert [made[2:] for made in quick] == [(4, {"validation": 6}), (16, {"validation": 6})]
    report = result.to_dict()
    assert report["tasks"]["cola"]["subset"] == {"train": {"n": 4, "of": 8551}, "validation": {"n": 6, "of": 1043}}
    assert report["scores"][0]["note"].endswith("subset: train 4 of 8,551, validation 6 of 1,043 examples")
    assert "RTE subset: train 16 of 2,490" in report["note"] and report["max_train_samples"] == {"cola": 4}
    assert all(average["value"] is None for average in report["averages"])
    assert report["mean_of_tasks_run"]["subset"] is True and report["mean_of_tasks_run"]["value"] is not None


def test_a_whole_run_has_no_subset_and_its_averages(folder, model, tokenizer, quick, monkeypatch):
    sizes = {
        key: replace(task, train_size=16, dev_sizes=dict.fromkeys(task.dev_sizes, 10)) for key, task in TASKS.items()
    }
    monkeypatch.setattr(glue, "TASKS", sizes)
    report = Glue(data=folder).run(model, tokenizer).to_dict()
    assert all(task["subset"] is None for task in report["tasks"].values()) and report["note"] is None
    main = {key: task["metrics"][task["main_metric"]]["mean"] for key, task in report["tasks"].items()}
    eight, nine = report["averages"]
    assert nine["value"] == pytest.approx(np.mean(list(main.values())))
    assert eight["value"] == pytest.approx(np.mean([value for key, value in main.items() if key != "wnli"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": ["rtee"]}, "no task 'rtee'; did you mean 'rte'"),
        ({"seeds": ()}, "seeds must be a list of at least one number"),
        ({"seeds": 3}, "seeds must be a list"),
        ({"seeds": (1, 1)}, "seeds names one seed twice"),
        ({"seeds": (-1,)}, "seeds must be whole numbers"),
        ({"epochs": 0}, "epochs must be a whole number"),
        ({"max_train_samples": 0}, "max_train_samples must be a whole number of at least 1, not 0"),
        ({"max_eval_samples": {"clo": 3}}, "no task 'clo'; did you mean 'cola'"),
        ({"tasks": ["rte"], "max_train_samples": {"cola": 3}}, "limits 'cola', which is not among the tasks"),
        ({"confidence_level": 1.5}, "confidence_level must lie between 0 and 1"),
    ],
)
def test_bad_arguments_give_one_line_at_once(arguments, message):
    with pytest.raises(ValueError, match=message) as raised:
        Glue(data="nowhere", **arguments)
    assert "\n" not in str(raised.value)


def test_bad_data_and_stores_are_found_before_any_training(folder, model, tokenizer, quick, tmp_path):
    data = write_glue_data(tmp_path / "data")
    (data / "WNLI" / "dev.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"WNLI/dev\.tsv: no such file"):
        Glue(data=data).run(model, tokenizer)
    with pytest.raises(FileNotFoundError, match=r"WNLI/dev\.tsv: no such file"):
        Glue(data=data).settings()
    (tmp_path / "taken").write_text("")
    with pytest.raises(ValueError, match="taken: cannot be the directory of finished GLUE runs"):
        Glue(data=folder, tasks=["rte"], store=tmp_path / "taken").run(model, tokenizer)
    assert not quick


def test_a_model_without_a_classifier_is_not_applicable(folder, tokenizer):
    class Other(torch.nn.Module):
        config = type("Config", (), {"model_type": "other"})()

    with pytest.raises(NotApplicable, match="no sequence classifier for a 'other' model"):
        Glue(data=folder, tasks=["rte"]).run(Other(), tokenizer)


def test_the_data_are_read_once(folder, model, tokenizer, quick, monkeypatch):
    reads = []
    original = glue_data._read
    monkeypatch.setattr(glue_data, "_read", lambda path, task: reads.append(path.name) or original(path, task))
    evaluator = Glue(data=str(folder), tasks=["rte"])
    evaluator.settings()
    evaluator.run(model, tokenizer)
    evaluator.run(model, tokenizer)
    assert sorted(reads) == ["dev.tsv", "train.tsv"]


def test_a_run_that_another_process_is_making_is_waited_for_and_what_it_leaves_is_taken(
    folder, model, tokenizer, quick, tmp_path
):
    evaluator = Glue(data=folder, tasks=["cola", "rte"], store=tmp_path)
    first = evaluator.run(model, tokenizer).to_dict()
    stored = next(tmp_path.glob("cola-*"))
    elsewhere = stored.rename(tmp_path.parent / stored.name)
    next(tmp_path.glob("rte-*")).unlink()
    quick.clear()
    with ThreadPoolExecutor() as pool:
        with FileLock(tmp_path / f".{stored.name}.lock"):
            measured = pool.submit(evaluator.run, model, tokenizer)
            end = time.monotonic() + 20
            while not list(tmp_path.glob("rte-*")):  # the task that nobody is at comes first
                assert not measured.done() and time.monotonic() < end
                time.sleep(0.01)
            elsewhere.rename(stored)
            assert not measured.done()
        assert measured.result(timeout=60).to_dict() == first
    assert len(quick) == 1
    assert sorted(path.name[:3] for path in tmp_path.iterdir()) == ["col", "rte"]


def test_a_file_system_without_locks_costs_no_run(folder, model, tokenizer, quick, tmp_path, monkeypatch):
    def without(*args, **kwargs):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("evenhand.evaluation.glue_store.FileLock.acquire", without)
    Glue(data=folder, tasks=["cola"], store=tmp_path).run(model, tokenizer)
    assert len(quick) == 1 and len(list(tmp_path.glob("cola-*"))) == 1
