"""``evenhand distill`` from a recipe file to a run directory."""

import json
import shutil

import fake_codecarbon
import pytest
import torch
import yaml
from run_contents import contents, facts_without_costs
from transformers import AutoModelForMaskedLM, AutoTokenizer

from evenhand.launch.command import main
from evenhand.launch.recipe import load_recipe
from evenhand.trainer.checkpoints import latest_complete_checkpoint

TRAINING_KEYS = {
    "schema", "schema_version", "evenhand_version", "recipe", "recipe_sha256", "seed", "teacher", "student", "corpus", "objective",
    "supervision", "steps", "epochs", "batch_size", "tokens_seen", "final_losses", "held_out_mlm_loss", "loss_curve", "code",
    "environment", "hardware", "seconds", "energy",
}  # fmt: skip
SUBKEYS = {
    "teacher": {
        "name", "model_type", "layers", "hidden_size", "parameters", "weights_sha256", "tokenizer_sha256", "mlm_head",
        "revision", "licence",
    },
    "code": {"version", "commit", "modified"},
    "environment": {"python", "torch", "transformers", "platform"},
    "hardware": {"device", "name", "processes", "cpu_cores"},
    "student": {"model_type", "layers", "teacher_layers", "parameters", "initialisation", "weights_sha256"},
    "corpus": {
        "sources", "fraction", "documents", "sequences", "tokens", "dropped_short", "dropped_unknown", "cut", "held_out_sequences",
        "content_sha256",
    },
    "objective": {"weights", "temperature", "ce_positions", "mlm_probability", "mlm_smoothing"},
    "supervision": {
        "name", "mix", "second_view", "alpha", "granularity", "pairs", "mixed_positions", "sequences_with_pair_words",
    },
    "held_out_mlm_loss": {"student", "teacher", "unigram", "n_targets", "unit"},
    "final_losses": {"ce", "mlm", "cos", "mse"},
    "recipe": {"teacher", "student", "corpus", "objective", "mixup", "training", "evaluation", "publish"},
}  # fmt: skip


def _distill(recipe: str, run, *overrides: str) -> int:
    return main(["distill", recipe, *overrides, "--output-dir", str(run)])


def _contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def run(tiny_recipe, tmp_path, monkeypatch):
    fake_codecarbon.uninstall(monkeypatch)
    folder = tmp_path / "run"
    assert _distill(tiny_recipe(), folder) == 0
    return folder


def test_a_run_leaves_a_student_its_recipe_and_the_facts(run, tiny_teacher):
    assert {path.name for path in run.iterdir()} == {
        "student",
        "recipe.yaml",
        "training.json",
        "run.json",
        "cache",
        "checkpoints",
    }
    student, info = AutoModelForMaskedLM.from_pretrained(run / "student", output_loading_info=True)
    assert student.config.model_type == "distilbert"
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    words = "he said that the nurse is a woman"
    tokenizers = [AutoTokenizer.from_pretrained(folder) for folder in (run / "student", tiny_teacher)]
    assert tokenizers[0](words)["input_ids"] == tokenizers[1](words)["input_ids"]
    facts = json.loads((run / "training.json").read_text(encoding="utf-8"))
    assert facts.keys() >= TRAINING_KEYS
    for section, keys in SUBKEYS.items():
        assert facts[section].keys() >= keys, section
    assert facts["student"]["parameters"] == student.num_parameters()
    assert (facts["steps"], facts["batch_size"], facts["seed"]) == (6, 8, 1)
    assert facts["supervision"]["mixed_positions"] > 20
    assert [entry["step"] for entry in facts["loss_curve"]] == [2, 4, 6]
    assert facts["loss_curve"][-1]["mse"] == facts["final_losses"]["mse"]
    assert facts["held_out_mlm_loss"]["n_targets"] > 0
    assert facts["corpus"]["sources"][0]["path"] == "corpus.txt"
    assert facts["corpus"]["sources"][0]["revision"] is facts["corpus"]["sources"][0]["licence"] is None
    assert facts["energy"] is None and facts["seconds"] > 0
    assert facts["code"]["version"] == facts["evenhand_version"]
    resolved = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    assert resolved["objective"]["temperature"] == 2.0  # a default, filled in
    assert load_recipe(run / "recipe.yaml").sha256 == facts["recipe_sha256"]


def test_the_same_recipe_in_a_finished_run_changes_nothing(run, tiny_recipe, capsys):
    before = _contents(run)
    capsys.readouterr()
    assert _distill(tiny_recipe(), run) == 0
    assert _contents(run) == before
    assert "held-out MLM loss" in capsys.readouterr().out


def test_another_recipe_in_the_same_directory_is_refused(run, tiny_recipe, capsys):
    before = _contents(run)
    assert _distill(tiny_recipe(), run, "objective.temperature=3") == 2
    assert "holds another run" in capsys.readouterr().err
    assert _contents(run) == before


def test_settings_that_do_not_decide_the_student_may_change(run, tiny_recipe):
    assert _distill(tiny_recipe(), run, "publish.licence=mit", "corpus.workers=2") == 0


def test_the_same_recipe_elsewhere_gives_the_same_student_and_facts(run, tiny_recipe, tmp_path):
    assert _distill(tiny_recipe(), tmp_path / "again") == 0
    first, again = contents(run), contents(tmp_path / "again")
    for name in ("training.json", "student/model.safetensors", "student/config.json"):
        assert again[name] == first[name], name


@pytest.mark.parametrize("lost", ["the last checkpoint too", "only the student"])
def test_an_interrupted_run_goes_on_to_the_same_end(run, tiny_recipe, lost):
    student, facts = run / "student" / "model.safetensors", run / "training.json"
    expected = student.read_bytes(), facts_without_costs(facts)
    shutil.rmtree(run / "student")
    facts.unlink()
    if lost == "the last checkpoint too":
        last = latest_complete_checkpoint(run / "checkpoints")
        assert last.name == "checkpoint-6"
        shutil.rmtree(last)
        (run / "checkpoints" / ".saving" / "checkpoint-6").mkdir(parents=True)  # a save cut short
    assert _distill(tiny_recipe(), run) == 0
    assert (student.read_bytes(), facts_without_costs(facts)) == expected


def test_time_and_energy_are_of_all_starts_and_change_no_student(run, tiny_recipe, monkeypatch):
    student, facts = run / "student" / "model.safetensors", run / "training.json"
    expected, first = student.read_bytes(), json.loads(facts.read_text(encoding="utf-8"))
    shutil.rmtree(run / "student")
    facts.unlink()
    shutil.rmtree(latest_complete_checkpoint(run / "checkpoints"))
    fake_codecarbon.install(monkeypatch, power=1e-6)
    assert _distill(tiny_recipe(), run) == 0
    second = json.loads(facts.read_text(encoding="utf-8"))
    assert student.read_bytes() == expected
    assert second["seconds"] > first["seconds"]
    energy = second["energy"]
    assert energy["tool"] == "codecarbon 3.3.2" and "it covers" in energy["note"]
    assert 0 < energy["kwh"] == pytest.approx(1e-6 * (second["seconds"] - first["seconds"]), rel=0.5)


def test_the_licence_of_the_teachers_card_stands_in_the_facts_though_its_head_was_trained_here(
    tiny_recipe, tiny_teacher, tmp_path
):
    encoder = tmp_path / "encoder"
    AutoModelForMaskedLM.from_pretrained(tiny_teacher).base_model.save_pretrained(encoder)
    AutoTokenizer.from_pretrained(tiny_teacher).save_pretrained(encoder)
    (encoder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n", encoding="utf-8")
    recipe = tiny_recipe(teacher={"path": str(encoder), "mlm_steps": 2, "mlm_batch_size": 8}, training={"max_steps": 2})
    assert _distill(recipe, tmp_path / "run") == 0
    shutil.rmtree(encoder)  # another run with the same teacher, elsewhere
    again = tiny_recipe(teacher={"path": str(tmp_path / "run" / "teacher"), "mlm_steps": 0}, training={"max_steps": 2})
    assert _distill(again, tmp_path / "again") == 0
    for run in ("run", "again"):
        teacher = json.loads((tmp_path / run / "training.json").read_text(encoding="utf-8"))["teacher"]
        assert (teacher["licence"]["licence"], teacher["licence"]["source"]) == ("cc-by-4.0", "the card of encoder")
        assert teacher["mlm_head"]["seconds"] > 0 and "origin" not in teacher["mlm_head"]


def test_overrides_replace_values_of_the_recipe(tiny_recipe, tmp_path):
    assert (
        _distill(tiny_recipe(), tmp_path / "run", "training.max_steps=3", "mixup.enabled=false", "student.layers=[1]")
        == 0
    )
    facts = json.loads((tmp_path / "run" / "training.json").read_text(encoding="utf-8"))
    assert facts["steps"] == facts["recipe"]["training"]["max_steps"] == 3
    assert facts["supervision"] is None
    assert facts["student"]["teacher_layers"] == [1]


def test_an_encoder_gets_a_head_first_and_the_run_says_so(tiny_recipe, tiny_teacher, tmp_path):
    encoder = tmp_path / "encoder"
    AutoModelForMaskedLM.from_pretrained(tiny_teacher).base_model.save_pretrained(encoder)
    AutoTokenizer.from_pretrained(tiny_teacher).save_pretrained(encoder)
    recipe = tiny_recipe(teacher={"path": str(encoder), "mlm_steps": 4, "mlm_batch_size": 8})
    run = tmp_path / "run"
    assert _distill(recipe, run) == 0
    facts = json.loads((run / "training.json").read_text(encoding="utf-8"))
    assert facts["teacher"]["mlm_head"]["steps"] == 4
    assert "had no masked-LM head" in facts["teacher"]["mlm_head"]["note"]
    trained, info = AutoModelForMaskedLM.from_pretrained(run / "teacher", output_loading_info=True)
    assert not info["missing_keys"]
    assert all(torch.isfinite(value).all() for value in trained.state_dict().values())


def test_overrides_may_follow_the_options_as_in_the_readme(tiny_recipe, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["distill", tiny_recipe(), "--output-dir", str(run), "training.max_steps=2", "training.seed=5"]) == 0
    training = json.loads((run / "training.json").read_text(encoding="utf-8"))
    assert (training["steps"], training["seed"]) == (2, 5)
    with pytest.raises(SystemExit) as stop:
        main(["distill", tiny_recipe(), "--output-dir", str(run), "--nonsense"])
    assert stop.value.code == 2


def test_a_changed_input_under_the_same_recipe_is_refused(tiny_recipe, tiny_corpus, tmp_path, capsys):
    corpus = tmp_path / "text.txt"
    corpus.write_text(tiny_corpus.read_text(encoding="utf-8"), encoding="utf-8")
    command = [
        "distill",
        tiny_recipe(corpus={"sources": [{"path": str(corpus)}]}),
        "--output-dir",
        str(tmp_path / "run"),
    ]
    assert main(command) == 0
    corpus.write_text("she went to the house and he read the book with a letter .\n" * 30, encoding="utf-8")
    capsys.readouterr()
    assert main(command) == 2
    assert "another content of: corpus" in capsys.readouterr().err


def test_head_and_student_train_in_the_recipes_precision(tiny_recipe, tiny_teacher, tmp_path):
    encoder = tmp_path / "encoder"
    AutoModelForMaskedLM.from_pretrained(tiny_teacher).base_model.save_pretrained(encoder)
    AutoTokenizer.from_pretrained(tiny_teacher).save_pretrained(encoder)
    recipe = tiny_recipe(
        teacher={"path": str(encoder), "mlm_steps": 2, "mlm_batch_size": 8}, training={"bf16": True, "max_steps": 2}
    )
    assert main(["distill", recipe, "--output-dir", str(tmp_path / "run")]) == 0
    assert latest_complete_checkpoint(tmp_path / "run" / "checkpoints") is not None
