"""``evenhand evaluate``: one run, runs against runs, several seeds together, and what it refuses before any work."""

import json
import re

import pytest
import torch
import yaml
from transformers import BertTokenizerFast, DistilBertConfig, DistilBertForMaskedLM

from evenhand.evaluation import EvaluationReport
from evenhand.evaluation.models import load_model, weights_sha256
from evenhand.evaluation.stimulus_sources import load_stimuli
from evenhand.launch.command import main
from evenhand.launch.recipe import recipe_from_dict

QUICK = ["families=[gender]", "poolings=[mean]", "sensitivity=false", "speed=false"]


@pytest.fixture(scope="session")
def save_model(tmp_path_factory):
    """Writes a tiny model that knows the built-in words: ``save_model(folder, seed)``."""
    words = {word for text in load_stimuli("builtin").distinct_sentences for word in re.findall(r"\w+", text.lower())}
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *sorted(words)]
    tokenizer = BertTokenizerFast(vocab={t: i for i, t in enumerate(tokens)}, do_lower_case=True, model_max_length=64)

    def save(folder, seed):
        config = DistilBertConfig(
            vocab_size=len(tokens), dim=16, n_layers=1, n_heads=2, hidden_dim=16, max_position_embeddings=64,
            initializer_range=0.3,
        )  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            DistilBertForMaskedLM(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def make_run(save_model, tmp_path):
    """Writes a finished run: ``make_run("plain", seed=3)``; all runs share one teacher."""
    teacher = save_model(tmp_path / "teacher", 100)
    digest = weights_sha256(load_model(teacher)[0])

    def make(arm, seed, mixup=False):
        run = tmp_path / f"{arm}-seed{seed}"
        save_model(run / "student", seed + (50 if mixup else 0))
        recipe = recipe_from_dict(
            {
                "teacher": {"path": str(teacher)},
                "corpus": {"sources": [{"path": "text.txt"}]},
                "mixup": {"enabled": mixup},
                "training": {"seed": seed},
            }
        )
        recipe.save(run / "recipe.yaml")
        facts = {"seed": seed, "recipe": recipe.to_dict(), "teacher": {"name": "the teacher", "weights_sha256": digest}}
        (run / "training.json").write_text(json.dumps(facts), encoding="utf-8")
        return run

    return make


def evaluate(*words) -> int:
    return main(["evaluate", *map(str, words)])


def refused(capsys, *words) -> str:
    """The error's line; bars of loading models may stand before it."""
    assert evaluate(*words) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return next(line for line in error.splitlines() if line.startswith("evenhand evaluate: "))


def test_a_run_is_measured_beside_its_teacher_and_drawn(make_run, capsys):
    run = make_run("plain", 0)
    assert evaluate(run, "families=[gender]", "poolings=[mean]") == 0
    report = EvaluationReport.load(run / "report.json")
    entry = report.measures["seat"][0]
    assert report.reference["name"] == "the teacher" and report.training["seed"] == 0
    test = entry["comparison"]["tests"]["sent-weat6"]
    sides = [entry[side]["tests"]["sent-weat6"]["effect_size"] for side in ("model", "reference")]
    assert test["difference"] == pytest.approx(sides[0] - sides[1])
    assert {path.name for path in (run / "figures").iterdir()} == {
        "seat.png",
        "sensitivity.png",
        "sensitivity_reference.png",
    }
    printed = capsys.readouterr().out
    assert "SEAT, pooling mean" in printed and "sensitivity" in printed and "by chance alone" in printed


def test_the_speed_of_both_is_measured_unless_it_is_left_out_or_has_settings_of_its_own(make_run, capsys):
    run, quick = make_run("plain", 0), QUICK[:3]
    assert evaluate(run, *quick) == 0
    (entry,) = EvaluationReport.load(run / "report.json").measures["speed"]
    assert entry["batch_size"] == 32
    value, reference = (entry[side]["scores"][0]["value"] for side in ("model", "reference"))
    (change,) = entry["comparison"]["scores"]
    assert change["ratio"] == pytest.approx(value / reference)
    assert f"{change['ratio']:.2f} times the teacher's" in capsys.readouterr().out
    assert evaluate(run, *quick, "measures.speed.batch_size=4") == 0
    (entry,) = EvaluationReport.load(run / "report.json").measures["speed"]  # one, not two
    assert entry["batch_size"] == 4
    assert evaluate(run / "student", *quick, "speed=true", "--output-dir", run / "alone") == 0
    (entry,) = EvaluationReport.load(run / "alone" / "report.json").measures["speed"]
    assert entry["model"]["scores"][0]["value"] > 0 and entry["reference"] is entry["comparison"] is None
    assert evaluate(run, *QUICK) == 0
    assert "speed" not in EvaluationReport.load(run / "report.json").measures


def test_a_shared_teacher_is_timed_again_beside_each_student(make_run, tmp_path):
    runs = [make_run("plain", seed) for seed in (0, 1)]
    assert evaluate(*runs, *QUICK[:3], "measures.speed.seconds=0.01", "--output-dir", tmp_path / "out") == 0
    entries = [EvaluationReport.load(run / "report.json").measures["speed"][0] for run in runs]
    assert all(entry["comparison"]["scores"][0]["ratio"] > 0 for entry in entries)
    assert entries[0]["reference"]["scores"][0]["value"] != entries[1]["reference"]["scores"][0]["value"]


def test_the_code_that_measured_is_in_the_report(make_run, monkeypatch):
    run, measuring = make_run("plain", 0), {"version": "0.1.0", "commit": "d" * 40, "modified": True}
    monkeypatch.setattr("evenhand.launch.evaluate.code", lambda: measuring)
    assert evaluate(run, *QUICK) == 0
    assert EvaluationReport.load(run / "report.json").data["code"] == measuring


def test_another_run_as_reference_is_no_teacher(make_run, tmp_path):
    mixup, plain = make_run("mixup", 0, mixup=True), make_run("plain", 0)
    assert evaluate(mixup, *QUICK, "--reference", plain, "--output-dir", tmp_path / "out") == 0
    report = EvaluationReport.load(tmp_path / "out" / "report.json")
    assert (report.reference["role"], report.reference["name"]) == ("reference", "plain-seed0")
    assert not (mixup / "report.json").exists()  # kept for the comparison with the teacher
    assert evaluate(mixup, *QUICK, "--reference", plain) == 0
    assert EvaluationReport.load(mixup / "report.json").sha256 == report.sha256
    assert main(["card", str(mixup)]) == 2  # a card says what the student was distilled from


def test_runs_paired_by_seed_are_summed_up_over_seeds(make_run, tmp_path, capsys):
    mixup, plain = ([make_run(arm, seed, arm == "mixup") for seed in (0, 1, 2)] for arm in ("mixup", "plain"))
    assert evaluate(*mixup, *QUICK, "--reference", *plain, "--output-dir", tmp_path / "out") == 0
    (group,) = json.loads((tmp_path / "out" / "aggregate.json").read_text())["groups"]
    assert [run["seed"] for run in group["runs"]] == [0, 1, 2]
    assert [run["reference"] for run in group["runs"]] == [run.name for run in plain]
    folders = [tmp_path / "out" / run.name for run in mixup]
    reports = [EvaluationReport.load(folder / "report.json").measures["seat"][0] for folder in folders]
    differences = [r["comparison"]["tests"]["sent-weat7"]["difference"] for r in reports]
    summed = group["measures"]["seat"][0]["comparison"]["tests"]["sent-weat7"]
    assert summed["difference"] == pytest.approx(sum(differences) / 3)
    assert summed["confidence_interval"][0] < summed["difference"] < summed["confidence_interval"][1]
    assert "3 runs together (seeds 0, 1, 2)" in capsys.readouterr().out


def test_runs_of_two_recipes_are_two_groups_and_bare_models_none(make_run, save_model, tmp_path):
    runs = [make_run(arm, seed, arm == "mixup") for arm in ("mixup", "plain") for seed in (0, 1)]
    assert evaluate(*runs, *QUICK, "--output-dir", tmp_path / "out") == 0
    groups = json.loads((tmp_path / "out" / "aggregate.json").read_text())["groups"]
    assert [[run["model"] for run in group["runs"]] for group in groups] == [
        ["mixup-seed0", "mixup-seed1"],
        ["plain-seed0", "plain-seed1"],
    ]
    models = [save_model(tmp_path / name, 7) for name in ("one", "two")]
    assert evaluate(*models, *QUICK, "--output-dir", tmp_path / "bare") == 0
    assert {path.name for path in (tmp_path / "bare").iterdir()} == {"one", "two"}


def test_a_changed_teacher_is_refused_before_anything_is_measured(make_run, save_model, capsys, tmp_path):
    run = make_run("plain", 0)
    save_model(tmp_path / "teacher", 101)
    assert "has changed since the student was distilled" in refused(capsys, run, *QUICK)
    assert not (run / "report.json").exists()


def test_references_that_do_not_pair_are_refused(make_run, capsys):
    mixup, plain = ([make_run(arm, seed, arm == "mixup") for seed in (0, 1)] for arm in ("mixup", "plain"))
    assert "not paired by seed" in refused(capsys, *mixup, "--reference", *reversed(plain), *QUICK)
    other = make_run("plain", 2)
    assert "3 references for 2 models" in refused(capsys, *mixup, "--reference", *plain, other, *QUICK)
    assert "not paired by seed" in refused(capsys, mixup[0], "--reference", other, *QUICK)


def test_a_word_without_a_model_and_models_of_one_name_are_refused(save_model, tmp_path, capsys):
    assert "No model or run is named" in refused(capsys, "sensitivity=false")
    assert "at least one entry" in refused(capsys, save_model(tmp_path / "one" / "bert", 1), "stimuli=[]")
    both = [tmp_path / "one" / "bert", save_model(tmp_path / "two" / "bert", 2)]
    assert "one name" in refused(capsys, *both, *QUICK, "--output-dir", tmp_path / "out")


def test_settings_of_a_file_replace_the_run_s_own(make_run, tmp_path, capsys):
    run, settings = make_run("plain", 0), tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"families": ["gender"], "poolings": ["cls"], "sensitivity": False}))
    assert evaluate(run, "--settings", settings) == 0
    assert [entry["pooling"] for entry in EvaluationReport.load(run / "report.json").measures["seat"]] == ["cls"]
    assert "packaged evaluations: minilm_local" in refused(capsys, run, "--settings", "nothing")


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("measures.glu.data=x", "evaluation.measures.glu is no measure; use one of glue"),
        ("measures.glue.epoch=1", "the nearest known one is evaluation.measures.glue.epochs"),
        ("measures.glue.data=/nowhere", "/nowhere"),
        ("measures.crows_pairs.data=/nowhere", "/nowhere"),
        ("measures=glue", "evaluation.measures must hold keys and values"),
    ],
)
def test_a_wrong_measure_is_named(make_run, capsys, setting, named):
    run = make_run("plain", 0)
    assert named in refused(capsys, run, *QUICK, setting)
    assert not (run / "report.json").exists()


def test_a_long_measure_of_a_bare_model_needs_a_place(save_model, tmp_path, capsys):
    model = save_model(tmp_path / "model", 3)
    assert "--output-dir is needed" in refused(capsys, model, *QUICK, f"measures.glue.data={tmp_path}")


SETS = "{x: {class: noun, words: [man, boy]}, y: {class: noun, words: [woman, girl]}, a: {class: noun, words: [salary, office]}, b: {class: noun, words: [home, wedding]}}"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("[woman, girl]", "[woman, girl, sister]", "give both the same number"),
        ("[woman, girl]", "[woman, woman]", "woman"),
        ("[woman, girl]", "[woman, boy]", "boy"),
        ("[man, boy]", "[man, zyx]", "zyx"),
    ],
    ids=["unequal sets", "a word twice", "a word in both sets", "a word that the tokenizer maps to [UNK]"],
)
def test_word_lists_that_make_no_test_are_refused(save_model, tmp_path, capsys, old, new, named):
    file = tmp_path / "words.yaml"
    file.write_text(f"sets: {SETS.replace(old, new)}\ntests: {{t: {{X: x, Y: y, A: a, B: b}}}}\n", encoding="utf-8")
    model = save_model(tmp_path / "model", 3)
    line = refused(capsys, model, f"stimuli=[{file}]", "sensitivity=false", "--output-dir", tmp_path / "out")
    assert named in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rows", "named"),
    [(None, "dev.tsv"), ("0\\tA man.\\tA person.\\tmaybe\\n", "maybe"), ("", "dev.tsv")],
    ids=["no file", "a label out of range", "no rows"],
)
def test_glue_files_that_cannot_be_used_are_refused(save_model, tmp_path, capsys, rows, named):
    folder = tmp_path / "glue_data" / "RTE"
    folder.mkdir(parents=True)
    header = "index\tsentence1\tsentence2\tlabel\n"
    (folder / "train.tsv").write_text(f"{header}0\tA man slept.\tHe slept.\tentailment\n", encoding="utf-8")
    if rows is not None:
        (folder / "dev.tsv").write_text(header + rows.encode().decode("unicode_escape"), encoding="utf-8")
    model, settings = save_model(tmp_path / "model", 3), f"measures.glue.data={tmp_path / 'glue_data'}"
    line = refused(capsys, model, *QUICK, settings, "measures.glue.tasks=[rte]", "--output-dir", tmp_path / "out")
    assert named in line
    assert not (tmp_path / "out").exists()


def test_a_model_that_gives_nan_is_refused(save_model, tmp_path, capsys):
    folder = save_model(tmp_path / "model", 3)
    broken = DistilBertForMaskedLM.from_pretrained(folder)
    with torch.no_grad():
        broken.distilbert.transformer.layer[0].ffn.lin2.bias.fill_(float("nan"))
    broken.save_pretrained(folder)
    assert "NaN" in refused(capsys, folder, *QUICK, "--output-dir", tmp_path / "out")
    assert not (tmp_path / "out").exists()
