"""A tiny run that was really measured, and a report made by hand. The report is as the evaluation writes it; its numbers are the published ones of Ahn et al. 2022, table 2."""

import importlib
import json
import shutil

import pytest
from small_run import make_small_run, remembered, training_of
from tiny_encoders import tiny_model, tiny_tokenizer

from evenhand.evaluation import Seat, evaluate_model
from evenhand.evaluation.verdict import verdict
from evenhand.model_cards import CardFacts, stage
from evenhand.model_cards.figures.planted_figure import draw_planted_figure
from evenhand.model_cards.verification import entry_rows

FACTS = CardFacts(licence="apache-2.0", author="Someone", repo_id="someone/tiny-student", base_model="someone/teacher")
LABELS = ["6", "6b", "7", "7b", "8", "8b"]
TEACHER = [1.236, 0.499, 0.907, 1.428, 0.534, 1.347]
STUDENT = [1.176, 0.062, 0.447, 1.218, 0.310, 1.211]
TARGETS = {"6": ["male names", "female names"], "6b": ["male terms", "female terms"], "7": ["math", "arts"]}


def seat_test(number, d):
    return {
        "label": f"C{number}",
        "family": "gender",
        "targets": TARGETS.get(number, ["science", "arts"]),
        "attributes": ["career", "family"] if number.startswith("6") else ["male terms", "female terms"],
        "n_sentences": {"X": 64, "Y": 64, "A": 101, "B": 112},
        "n_words": {"X": 8, "Y": 8, "A": 8, "B": 8},
        "effect_size": d,
        "confidence_interval": [d - 0.4, d + 0.3],
        "interval_method": "jackknife over words, atanh(d/2), Student t",
        "p_value": 0.0123,
        "p_value_method": "exact",
        "p_value_permutations": 12870,
        "p_value_legacy": 0.00001,
        "p_value_legacy_method": "sampled",
        "p_value_legacy_permutations": 99999,
        "p_value_holm": 0.0738,
        "effect_size_word_balanced": d,
        "p_value_word_balanced": 0.0123,
        "sign_disagreement": False,
        "standard_error": 0.2,
        "associations": {"X": {"x": [8, 0.5 * d]}, "Y": {"y": [8, -0.5 * d]}},
        "without_word": {side: {"word": d} for side in "XYAB"},
        "word_correlation": 0.8,
        "detectable_effect_size": 1.31,
        "note": None,
    }


def seat_family(sizes, names):
    return {
        "tests": names,
        "mean_absolute_effect_size": sum(map(abs, sizes)) / len(sizes),
        "confidence_interval": [0.5, 0.9],
        "interval_method": "jackknife over words",
        "noise_floor": {"expected": 0.377, "quantile_95": 0.612, "p_value": 0.013, "permutations": 10_000},
        "detectable_effect_size": 1.31,
    }


def seat_change(d):
    interval = {"confidence_interval": [d - 0.21, d + 0.21], "interval_method": "paired jackknife over words"}
    return {
        "difference": d,
        **interval,
        "confidence_level": 0.95,
        "p_value": 0.0456,
        "p_value_method": "exact",
        "p_value_flips": 65536,
        "p_value_holm": 0.2736,
        "difference_absolute": d,
        "confidence_interval_absolute": [d - 0.2, d + 0.2],
        **verdict([d - 0.2, d + 0.2], "lower"),
        "note": None,
    }


def seat_comparison(model, reference):
    tests = {
        name: seat_change(test["effect_size"] - reference["tests"][name]["effect_size"])
        for name, test in model["tests"].items()
    }
    change = model["mean_absolute_effect_size"] - reference["mean_absolute_effect_size"]
    interval = [change - 0.1, change + 0.1]
    gender = {"difference": change, "confidence_interval": interval, "interval_method": "paired jackknife over words"}
    return {"tests": tests, "families": {"gender": {**gender, "n_words": 60, **verdict(interval, "lower")}}}


def seat_result(sizes, stimuli, pooling="mean"):
    tests = {f"sent-weat{n}": seat_test(n, d) for n, d in zip(LABELS, sizes, strict=True)}
    control = {**seat_test("1", 1.02), "family": "control", "targets": ["flowers", "insects"], "p_value_holm": None}
    return {
        "measure": "seat",
        "pooling": pooling,
        "stimuli": stimuli,
        "seed": 0,
        "confidence_level": 0.95,
        "n_distinct_sentences": 1234,
        "tests": {**tests, "sent-weat1": control},
        "mean_absolute_effect_size": sum(map(abs, sizes)) / len(sizes),
        "mean_absolute_effect_size_tests": list(tests),
        "families": {"gender": seat_family(sizes, list(tests)), "control": seat_family([1.02], ["sent-weat1"])},
        "anisotropy": {"mean_cosine": 0.31, "threshold": 0.9, "warning": None},
        "random_labels": {"relabellings": 200, "seed": 0, "rejected": 0.045, "excluded_zero": 0.05, "note": None},
        "note": None,
    }


def seat_entry(pooling="mean", source="builtin"):
    stimuli = {"source": source, "name": f"{source} stimuli", "sha256": "5" * 64}
    model, reference = seat_result(STUDENT, stimuli, pooling), seat_result(TEACHER, stimuli, pooling)
    return {
        "pooling": pooling,
        "stimuli": stimuli,
        "model": model,
        "reference": reference,
        "comparison": seat_comparison(model, reference),
        "not_applicable": {"model": None, "reference": None},
    }


def model_record(role, layers):
    return {
        "role": role,
        "name": role,
        "model_type": "distilbert" if role == "student" else "bert",
        "layers": layers,
        "hidden_size": 384,
        "vocab_size": 30522,
        "parameters": 17_000_000 + layers,
        "max_length": 512,
        "weights_sha256": role[0] * 64,
        "tokenizer_sha256": "7" * 64,
    }


def training_record():
    return {
        "schema": "evenhand-training",
        "schema_version": 1,
        "evenhand_version": "0.1.0",
        "recipe": {"corpus": {"sources": [{"path": "/home/somebody/text/wiki.txt", "weight": 1.0}]}},
        "recipe_sha256": "8" * 64,
        "seed": 3,
        "teacher": {
            **model_record("teacher", 6),
            "mlm_head": {"steps": 400, "seed": 0, "held_out_mlm_loss": 3.21, "note": "The teacher had no head."},
        },
        "student": {
            "model_type": "distilbert",
            "layers": 3,
            "teacher_layers": [0, 2, 5],
            "parameters": 17_000_003,
            "initialisation": "teacher",
            "weights_sha256": "s" * 64,
        },
        "corpus": {
            "sources": [{"path": "/home/somebody/text/wiki.txt", "weight": 1.0, "sha256": "c" * 64}],
            "fraction": 0.3,
            "documents": 500,
            "sequences": 900,
            "tokens": 123456,
            "dropped_short": 4,
            "dropped_unknown": 1,
            "cut": 7,
            "held_out_sequences": 20,
            "content_sha256": "d" * 64,
        },
        "objective": {
            "weights": {"ce": 5.0, "mlm": 2.0, "cos": 1.0, "mse": 0.0},
            "temperature": 2.0,
            "ce_positions": "attended",
            "mlm_probability": 0.15,
            "mlm_smoothing": 0.7,
        },
        "supervision": {
            "name": "gender_mixup",
            "mix": ["student_inputs", "teacher_logits"],
            "second_view": "twin",
            "alpha": 0.4,
            "granularity": "occurrence",
            "pairs": {
                "source": "builtin",
                "n_pairs": 10,
                "sha256": "e" * 64,
                "matched": [["he", "she"], ["man", "woman"]],
                "multi_token": [],
                "skipped": [{"pair": ["gal", "guy"], "reason": "2 and 1 tokens"}],
            },
            "mixed_positions": 4321,
            "sequences_with_pair_words": 210,
        },
        "steps": 100,
        "epochs": 1.5,
        "batch_size": 32,
        "tokens_seen": 99999,
        "final_losses": {"ce": 1.5, "mlm": 4.2, "cos": 0.3, "mse": 12.0},
        "held_out_mlm_loss": {"student": 4.4, "teacher": 3.2, "n_targets": 800, "unit": "nats per masked token"},
        "loss_curve": [{"step": 10, "loss": 9.0, "ce": 2.0, "mlm": 5.0, "cos": 0.5}],
    }


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def report():
    """A complete report.json as a dict: two SEAT measures, a teacher, a training record with one machine path."""
    return {
        "schema": "evenhand-report",
        "schema_version": 2,
        "evenhand_version": "0.1.0",
        "environment": {"python": "3.11.2", "torch": "2.13.0", "transformers": "5.23.0", "platform": "Linux"},
        "model": model_record("student", 3),
        "reference": model_record("teacher", 6),
        "measures": {"seat": [seat_entry(), seat_entry("cls", "sent-bias")]},
        "training": training_record(),
    }


@pytest.fixture(scope="session")
def measured_run(tmp_path_factory):
    """A run directory with a tiny student, really measured against a tiny teacher: built-in and imported stimuli."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    tokenizer = tiny_tokenizer()
    for name, role in (("student", 1), ("teacher", 0)):
        tiny_model(tokenizer, seed=role).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    stimuli = folder.parent / "sent-bias-files"
    write_sent_bias(stimuli)
    (folder / "student" / "training_args.bin").write_bytes(b"a pickle")
    (folder / "student" / "optimizer.pt").write_bytes(b"another")
    (folder / "student" / "trainer.log").write_text("step 1")
    evaluators = [Seat(), Seat(pooling="cls", stimuli=stimuli)]
    report = evaluate_model(folder / "student", folder / "teacher", evaluators, training_of(folder, training_record()))
    report.save(folder / "report.json")
    draw_planted_figure({"C6": 0.5, "C7": 0.1}, {"teacher": {"C6": 0.9, "C7": 0.2}}, folder / "figures" / "own.png")
    return folder


@pytest.fixture
def run(measured_run, tmp_path):
    """A copy of `measured_run` that a test may change."""
    return shutil.copytree(measured_run, tmp_path / "run")


@pytest.fixture
def stimuli_folder(measured_run):
    return measured_run.parent / "sent-bias-files"


@pytest.fixture(scope="session")
def staged_once(measured_run, tmp_path_factory):
    return stage(measured_run, tmp_path_factory.mktemp("staged") / "student", FACTS)


@pytest.fixture
def staged(staged_once, tmp_path):
    """A staged folder that a test may tamper with."""
    return shutil.copytree(staged_once, tmp_path / "staged")


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """A run directory measured with few tests and in many ways; `../data` and `../sent-bias-files` are what it was measured on."""
    root = tmp_path_factory.mktemp("small")
    tokenizer = tiny_tokenizer()

    def save_model(folder, seed):
        tiny_model(tokenizer, seed).save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    write_sent_bias(root / "sent-bias-files")
    return make_small_run(
        root / "run",
        root / "data",
        root / "sent-bias-files",
        save_model,
        lambda run: training_of(run, training_record()),
    )


@pytest.fixture(scope="session")
def small_once(small_run):
    """`small_run`, staged; not to be changed."""
    return stage(small_run, small_run.parent / "staged", FACTS)


@pytest.fixture
def small(small_once, tmp_path):
    """A staged folder that a test may tamper with; verifying it takes about a second."""
    return shutil.copytree(small_once, tmp_path / "small")


@pytest.fixture(scope="session")
def known_results():
    return {}


@pytest.fixture
def same_runs_once(known_results, monkeypatch):
    """While verifying, what an evaluator with the same settings finds on the same model is computed once in all tests."""
    monkeypatch.setattr(entry_rows, "_run", remembered(entry_rows._run, known_results))


def write_sent_bias(folder):
    """One imported test, in sent-bias's format, of the built-in words."""
    folder.mkdir()
    sets = {
        "targ1": ("MaleTerms", ["man", "boy", "brother", "son"]),
        "targ2": ("FemaleTerms", ["woman", "girl", "sister", "daughter"]),
        "attr1": ("Career", ["salary", "office", "business", "career"]),
        "attr2": ("Family", ["home", "parents", "children", "family"]),
    }
    content = {
        role: {"category": category, "examples": [text for w in words for text in (f"This is {w}.", f"That is {w}.")]}
        for role, (category, words) in sets.items()
    }
    (folder / "sent-weat6b.jsonl").write_text(json.dumps(content))


@pytest.fixture
def drawn(monkeypatch):
    """``drawn(draw, *arguments)``: the pairs of axes of the figure that ``draw`` would have saved."""

    def draw(function, *arguments, **named):
        kept = []
        monkeypatch.setattr(
            importlib.import_module(function.__module__), "save", lambda figure, path: kept.append(figure)
        )
        function(*arguments, path="picture.png", **named)
        return kept[0].axes

    return draw
