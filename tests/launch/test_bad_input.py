"""Bad input ends the command with one line that says what to do, before anything is half written."""

import json
import re
import shutil

import pytest
from tiny_text import write_text
from transformers import AutoModelForMaskedLM, AutoTokenizer

from evenhand.launch.command import main
from evenhand.launch.run_directory import require_disk

_PROGRESS_BAR = re.compile(r"\d.* \[.*/s\]")


def _refused(capsys, *argv: str, code: int = 2) -> str:
    """Runs the command, which must fail with ``code`` and one line on stderr beside progress bars; returns the line."""
    capsys.readouterr()
    assert main([str(argument) for argument in argv]) == code
    shown = capsys.readouterr()
    lines = [line for line in shown.err.splitlines() if line.strip() and not _PROGRESS_BAR.search(line)]
    assert len(lines) == 1, shown.err
    assert lines[0].startswith(f"evenhand {argv[0]}: ")
    return lines[0]


@pytest.fixture
def refused(capsys, tmp_path):
    """Distils into a directory that must not exist afterwards; returns the line."""

    def check(recipe, *overrides: str, code: int = 2) -> str:
        run = tmp_path / "run"
        line = _refused(capsys, "distill", recipe, *overrides, "--output-dir", run, code=code)
        assert not run.exists()
        return line

    return check


# -- the recipe ----------------------------------------------------------------------------------------------------


def test_a_recipe_that_is_missing_is_named_and_packaged_ones_listed(refused):
    line = refused("nowhere/recipe.yaml")
    assert "nowhere/recipe.yaml does not exist" in line and "minilm_cpu" in line


@pytest.mark.parametrize(
    ("text", "named"), [("teacher: [", "not valid YAML"), ("- a\n- b\n", "must hold keys and values")]
)
def test_a_recipe_that_is_no_recipe_is_refused(refused, tmp_path, text, named):
    path = tmp_path / "broken.yaml"
    path.write_text(text, encoding="utf-8")
    assert named in refused(path)


@pytest.mark.parametrize(
    ("sections", "wrong", "nearest"),
    [
        ({"teachr": {"path": "x"}}, "teachr", "teacher"),
        ({"teacher": {"mlm_step": 3}}, "teacher.mlm_step", "teacher.mlm_steps"),
        ({"corpus": {"sources": [{"path": "x", "wieght": 2}]}}, "corpus.sources[0].wieght", "corpus.sources[0].weight"),
        ({"training": {"learning_rat": 1}}, "training.learning_rat", "training.learning_rate"),
        ({"training": {"output_dir": "x"}}, "training.output_dir", "training."),
        ({"objective": {"temprature": 1}}, "objective.temprature", "objective.temperature"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(refused, tiny_recipe, sections, wrong, nearest):
    line = refused(tiny_recipe(**sections))
    assert f"Unknown recipe key {wrong};" in line
    assert f"is {nearest}" in line


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("objective.temperature=0", "objective.temperature must be above 0"),
        ("objective.alpha_ce=-1", "objective.alpha_ce must be a number ≥ 0"),
        ("objective.ce_positions=all", "objective.ce_positions must be one of attended, masked"),
        ("objective.temperature=warm", "objective.temperature must be a number"),
        ("mixup.alpha=0", "mixup.alpha must be above 0"),
        ("mixup.mix=[everything]", "mixup.mix must name some of"),
        ("mixup.pairs=nowhere.txt", "nowhere.txt does not exist"),
        ("mixup.unequal_pairs=drop", "mixup.unequal_pairs must be one of"),
        ("student.layers=5", "student.layers must lie between 1 and the teacher's 2"),
        ("student.family=gpt", "student.family must be one of"),
        ("corpus.fraction=0", "corpus.fraction must be above 0"),
        ("corpus.max_length=5", "corpus.max_length must be at least 12"),
        ("corpus.sources=[]", "corpus.sources is empty"),
        ("training.max_steps=three", "training.max_steps must be a whole number"),
        ("training.save_strategy=sometimes", "training: "),
        ("training.mlm_probability=0", "mlm_probability must be above 0"),
        ("training.mlm_smoothing=-1", "mlm_smoothing must be 0"),
        ("training.train_sampling_strategy=sequential", "train_sampling_strategy must be one of"),
        ("training.teacher_dtype=float8", "teacher_dtype must be one of"),
        ("teacher.path=", "teacher.path"),
        ("temperature=2", "'temperature=2' is not of the form section.key=value"),
        ("objective.temperature", "'objective.temperature' is not of the form"),
        ("objective..temperature=2", "is not of the form"),
        ("objective.temperature=[", "the value is not valid YAML"),
    ],
)
def test_a_wrong_value_or_override_is_named(refused, tiny_recipe, override, named):
    assert named in refused(tiny_recipe(), override)


# -- the teacher ---------------------------------------------------------------------------------------------------


def test_a_teacher_that_does_not_exist_is_named(refused, tiny_recipe):
    assert "Model folder /nowhere/teacher does not exist" in refused(tiny_recipe(), "teacher.path=/nowhere/teacher")
    line = refused(tiny_recipe(), "teacher.path=package:no_such_package/model")
    assert "no_such_package is not installed" in line


@pytest.fixture
def broken_teacher(tiny_teacher, tmp_path):
    folder = tmp_path / "broken_teacher"
    shutil.copytree(tiny_teacher, folder)
    return folder


def test_a_teacher_without_a_tokenizer_is_refused(refused, tiny_recipe, broken_teacher):
    for path in broken_teacher.glob("*token*"):
        path.unlink()
    (broken_teacher / "vocab.txt").unlink(missing_ok=True)
    assert "has no tokenizer beside it" in refused(tiny_recipe(), f"teacher.path={broken_teacher}")


def test_a_teacher_without_weights_is_refused(refused, tiny_recipe, broken_teacher):
    (broken_teacher / "model.safetensors").unlink()
    assert f"Teacher {broken_teacher} could not be loaded" in refused(tiny_recipe(), f"teacher.path={broken_teacher}")


def test_a_teacher_with_cut_weights_is_refused(refused, tiny_recipe, broken_teacher):
    weights = broken_teacher / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert str(broken_teacher) in refused(tiny_recipe(), f"teacher.path={broken_teacher}")


def test_a_teacher_whose_weights_are_of_another_model_is_refused(refused, tiny_recipe, broken_teacher):
    config = json.loads((broken_teacher / "config.json").read_text(encoding="utf-8"))
    (broken_teacher / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 4}), encoding="utf-8")
    assert "do not fit its config" in refused(tiny_recipe(), f"teacher.path={broken_teacher}")


def test_an_encoder_is_refused_unless_a_head_is_to_be_trained(refused, tiny_recipe, tiny_teacher, tmp_path):
    encoder = tmp_path / "encoder"
    AutoModelForMaskedLM.from_pretrained(tiny_teacher).base_model.save_pretrained(encoder)
    AutoTokenizer.from_pretrained(tiny_teacher).save_pretrained(encoder)
    line = refused(tiny_recipe(), f"teacher.path={encoder}")
    assert "no masked-LM head" in line and "teacher.mlm_steps" in line


# -- the corpus ----------------------------------------------------------------------------------------------------


def test_a_corpus_path_that_does_not_exist_is_named(refused, tiny_recipe, tmp_path):
    recipe = tiny_recipe(corpus={"sources": [{"path": str(tmp_path / "nowhere.txt")}]})
    assert f"Corpus path {tmp_path}/nowhere.txt does not exist" in refused(recipe)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("empty.txt", b"", "is empty"),
        ("broken.zip", b"PK no archive", "not a readable zip file"),
        ("broken.jsonl", b'{"text": "a', "could not be read"),
        ("other.jsonl", b'{"words": "a"}\n', "no column 'text'"),
    ],
)
def test_a_corpus_file_that_cannot_be_used_is_refused(refused, tiny_recipe, tmp_path, name, content, named):
    path = tmp_path / name
    path.write_bytes(content)
    line = refused(tiny_recipe(corpus={"sources": [{"path": str(path)}]}))
    assert named in line and name.removesuffix(".zip") in line


def _nothing_made(run) -> None:
    """A corpus is judged after its tokens were counted: the cache stays, but no model and no facts, whole or in part."""
    assert {path.name for path in run.iterdir()} <= {"run.json", "recipe.yaml", "cache"}
    assert not [path for path in run.rglob("*") if path.name.startswith(".")]


def test_a_corpus_without_a_pair_word_is_refused_with_the_mixup_on(capsys, tiny_recipe, tmp_path):
    corpus = write_text(tmp_path / "neutral.txt", 30, pair_words=False)
    recipe, run = tiny_recipe(corpus={"sources": [{"path": str(corpus)}]}), tmp_path / "run"
    line = _refused(capsys, "distill", recipe, "--output-dir", run)
    assert "holds no word of the pairs" in line and "mixup.enabled=false" in line
    _nothing_made(run)
    assert (
        main(["distill", recipe, "mixup.enabled=false", "--output-dir", str(run)]) == 0
    )  # the directory is free again


def test_a_corpus_of_short_lines_says_how_many_were_dropped(capsys, tiny_recipe, tmp_path):
    corpus = tmp_path / "short.txt"
    corpus.write_text("he said\nshe said\n", encoding="utf-8")
    run = tmp_path / "run"
    line = _refused(
        capsys, "distill", tiny_recipe(corpus={"sources": [{"path": str(corpus)}], "held_out": 0}), "--output-dir", run
    )
    assert "2 sequences dropped with 11 tokens or fewer" in line
    _nothing_made(run)


def test_a_corpus_that_does_not_fill_one_step_is_refused(capsys, tiny_recipe, tmp_path):
    run = tmp_path / "run"
    line = _refused(capsys, "distill", tiny_recipe(), "training.gradient_accumulation_steps=100", "--output-dir", run)
    assert "sequences for training, fewer than the 400 of one optimiser step" in line
    _nothing_made(run)


# -- the output directory ------------------------------------------------------------------------------------------


def test_a_directory_with_foreign_files_is_left_alone(capsys, tiny_recipe, tmp_path):
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter1.tex").write_text("precious", encoding="utf-8")
    line = _refused(capsys, "distill", tiny_recipe(), "--output-dir", foreign)
    assert "is not empty and holds no run" in line
    assert [path.name for path in foreign.iterdir()] == ["chapter1.tex"]


def test_an_output_directory_that_is_a_file_is_refused(capsys, tiny_recipe, tmp_path):
    file = tmp_path / "file"
    file.write_text("precious", encoding="utf-8")
    assert "is a file" in _refused(capsys, "distill", tiny_recipe(), "--output-dir", file)
    assert file.read_text(encoding="utf-8") == "precious"


def test_a_disk_too_small_for_the_checkpoints_is_seen_before_the_start(refused, tiny_recipe, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    line = refused(tiny_recipe())
    assert "GiB free" in line and "checkpoints and student (" in line and "the tokenised corpus (" in line


def test_what_goes_to_one_disk_is_added_up(tmp_path, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**30))
    checkpoints, cache = (tmp_path / "run", 2**29), (tmp_path / "not" / "there" / "yet", 2**29)
    require_disk({"checkpoints": checkpoints, "tokens": cache})
    with pytest.raises(
        ValueError, match=r"1\.00 GiB free, but checkpoints \(0\.50 GiB\) and tokens \(0\.60 GiB\) need more"
    ):
        require_disk({"checkpoints": checkpoints, "tokens": (cache[0], int(0.6 * 2**30))})


def test_a_failure_while_training_is_one_line_and_code_1(capsys, tiny_recipe, tmp_path):
    run = tmp_path / "run"
    wild = ["training.learning_rate=1e30", "training.max_grad_norm=1e30", "training.warmup_steps=0"]
    line = _refused(capsys, "distill", tiny_recipe(), *wild, "--output-dir", run, code=1)
    assert "is not finite at step" in line
    assert not (run / "student").exists() and not (run / "training.json").exists()


def test_debug_shows_the_error_itself(tiny_recipe, tmp_path):
    with pytest.raises(FileNotFoundError):
        main(["distill", "nowhere.yaml", "--debug", "--output-dir", str(tmp_path / "run")])


# -- evaluation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("sent-weat6.jsonl", '{"targ1": ', "not one JSON object"),
        ("sent-weat6.jsonl", '{"targ1": {"category": "A", "examples": []}}', "targ1.examples"),
        ("other.jsonl", "{}", "holds none of sent-bias's files"),
    ],
)
def test_a_sent_bias_file_that_cannot_be_read_is_named(capsys, tiny_teacher, tmp_path, name, content, named):
    stimuli, output = tmp_path / "stimuli", tmp_path / "output"
    stimuli.mkdir()
    (stimuli / name).write_text(content, encoding="utf-8")
    line = _refused(capsys, "evaluate", tiny_teacher, f"stimuli=[{stimuli}]", "--output-dir", output)
    assert named in line and str(stimuli) in line
    assert not output.exists()


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("poolngs=[mean]", "Unknown recipe key evaluation.poolngs; the nearest known one is evaluation.poolings"),
        ("poolings=[median]", "median"),
        ("stimuli=[/nowhere]", "/nowhere is not a directory"),
        ("batch_size=many", "evaluation.batch_size must be a whole number"),
    ],
)
def test_wrong_evaluation_settings_are_named(capsys, tiny_teacher, argument, named):
    assert named in _refused(capsys, "evaluate", tiny_teacher, argument)


def test_a_model_to_evaluate_that_does_not_exist_is_named(capsys):
    assert "/nowhere/model does not exist" in _refused(capsys, "evaluate", "/nowhere/model")
