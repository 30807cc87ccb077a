"""A staged folder is looked at whole: every text in it, the head of its weights, and what stands in it beside."""

import dataclasses
import json
import re
import shutil

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import load_file, save_file

from evenhand.model_cards import stage
from evenhand.model_cards.facts import CardFacts
from evenhand.model_cards.hand_written import block
from evenhand.model_cards.lint import lint_staged
from evenhand.model_cards.lint.leaks import leaks, text_of

FACTS = CardFacts(
    licence="apache-2.0", notes={"limits": "Ask us."}, accepted_amplification="Only a test of the linter."
)


@pytest.fixture(scope="module")
def sound(measured_run, tmp_path_factory):
    return stage(measured_run, tmp_path_factory.mktemp("sound") / "student", FACTS)


@pytest.fixture
def folder(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "student")


def change(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return 1 + text.count("\n", 0, text.index(old))


def test_a_staged_folder_has_no_problems(folder):
    assert lint_staged(folder) == []


def test_hand_written_text_that_only_the_staged_card_has_is_refused(folder):
    change(folder / "README.md", "Ask us.", "Ask nobody.")
    [problem] = lint_staged(folder)
    assert "the hand-written block 'limits' is not that of card_facts.json" in problem


@pytest.mark.parametrize(
    ("secret", "kind"),
    [
        ("hf_" + "a1B2" * 8, "a Hugging Face token"),
        ("ghp_" + "a1B2" * 9, "a GitHub token"),
        ("AKIA" + "A1B2" * 4, "an AWS key"),
        ("sk-proj-" + "a1B2" * 8, "an API key"),
        ("glpat-" + "a1B2" * 5, "a GitLab token"),
        ("xoxb-1234567890-abc", "a Slack token"),
        ("-----BEGIN RSA PRIVATE KEY-----", "a private key"),
        ("https://me:secret1@example.org/x", "a password in an address"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijkl", "a JSON web token"),
    ],
)
def test_a_secret_is_named_by_its_kind_and_line_and_never_repeated(secret, kind):
    [problem] = leaks("README.md", f"first\n\nthe word {secret}\n")
    assert (problem.line, problem.text) == (3, f"holds {kind}; remove it")


@pytest.mark.parametrize("name", ["hub_token", "api_key", "HF_HUB_TOKEN", "password"])
def test_the_value_of_a_secret_setting_is_a_secret_and_its_absence_is_not(name):
    assert [problem.line for problem in leaks("report.json", f'{{\n"{name}": "correcthorse"}}')] == [2]
    assert not list(
        leaks("report.json", f'{{"{name}": null, "x_{name}": "<HUB_TOKEN>", "bos_token": "[CLS]", "{name}s": 3}}')
    )


@pytest.mark.parametrize(
    "line",
    [
        "WANDB_API_KEY=abcdef0123456789abcdef0123456789abcdef01",
        "**export WANDB_API_KEY=abcdef01…**",
        "my_token: a1b2c3d4e5f6",
        "CLIENT_SECRET = 9f8e7d6c5b",
        "x-api-key: a1b2c3d4e5",
        "`password=correcthorse`",
        "The password: hunter22",
    ],
)
def test_the_value_of_a_secret_setting_needs_no_quotes(line):
    assert [(problem.line, problem.text) for problem in leaks("README.md", f"first\n{line}")] == [
        (2, "holds the value of a secret setting; remove it")
    ]


@pytest.mark.parametrize(
    "line",
    [
        *("HF_TOKEN=$HF_TOKEN", 'HF_TOKEN=os.environ["A1B2C3D4"]', "api_key=read_key1()", "nats_per_token: 7.5e-05"),
        *('{"mask_token": "mask12345"}', "No secret: it is public", "The password is asked for", "tokenizer: a1b2c3d4"),
    ],
)
def test_where_a_secret_is_looked_up_or_spoken_of_there_is_none(line):
    assert not list(leaks("README.md", line))


@pytest.mark.parametrize("before", [*"*_+-@!#“‘—–…", "**", "is at ", ""])
@pytest.mark.parametrize("path", ["/home/alice/secret-project/runs", "~/runs/1", "../runs/1", "C:\\Users\\me"])
def test_a_machine_path_is_found_behind_any_sign(before, path):
    [problem] = leaks("README.md", f"{before}{path}{before.strip()}")
    assert f"machine path {path[:6]!r}"[:-1] in problem.text


@pytest.mark.parametrize("path", ["/home/me/runs/1", "~/runs/1", "../runs/1", "C:\\\\Users\\\\me", "file:///home/me/x"])
def test_a_machine_path_is_named_with_its_line(path):
    assert [problem.line for problem in leaks("config.json", f'{{\n"a": "org/model", "b": "see {path}"\n}}')] == [2]


@pytest.mark.parametrize(
    "text",
    [
        *("and/or", "org/model", "https://example.org/a/b", "1/2", "[x](./report.json)", "data/wiki.txt"),
        *("https://example.org/#/a/b", "*he*/*she*/*they*", "5%/6%/7%", "see.../a/b"),
    ],
)
def test_what_only_looks_like_a_path_is_none(text):
    assert not list(leaks("README.md", f"a {text} b"))


def test_secrets_are_found_in_every_text_and_paths_where_no_vocabulary_stands(folder):
    line = change(folder / "config.json", '"model_type"', '"note": "made in /home/me/runs", "model_type"')
    token = change(folder / "tokenizer.json", '"[UNK]"', '"hf_' + "a1B2" * 8 + '"')
    change(folder / "tokenizer.json", '"[MASK]"', '"/home/me/runs"')
    problems = lint_staged(folder)
    assert f"config.json:{line}: holds the machine path '/home/me/runs'; cut it to its last part" in problems
    assert f"tokenizer.json:{token}: holds a Hugging Face token; remove it" in problems
    assert not any("tokenizer.json" in problem and "path" in problem for problem in problems)


def test_the_head_of_the_weights_is_a_text(folder):
    path = folder / "model.safetensors"
    save_file(load_file(path), path, metadata={"format": "pt", "from": "copied from /home/me/runs/1/model"})
    assert [
        line
        for line in lint_staged(folder)
        if line.startswith("model.safetensors:") and "/home/me/runs/1/model" in line
    ]


def test_the_notes_in_a_picture_are_a_text(folder):
    path, token = folder / "figures" / "seat.png", "hf_" + "a1B2" * 8
    with Image.open(path) as image:
        notes, exif = PngInfo(), Image.Exif()
        notes.add_text("Software", image.info["Software"])
        notes.add_text("Comment", f"uploaded with {token}", zip=True)
        notes.add_itxt("Source", "drawn in /home/me/runs")
        exif[0x010E] = "see /home/me/camera"
        image.save(path, pnginfo=notes, exif=exif)
    problems = [line for line in lint_staged(folder) if line.startswith("figures/seat.png:")]
    assert len(problems) == 3 and not any(token in problem for problem in problems)
    for found in ("a Hugging Face token", "'/home/me/runs'", "/home/me/camera"):
        assert any(found in problem for problem in problems), problems


def test_files_that_are_no_text_are_left_alone(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0 hf_" + b"a" * 34)
    (tmp_path / "model.safetensors").write_bytes(b"short")
    (tmp_path / "latin.txt").write_bytes("grün".encode("latin-1"))
    (tmp_path / "notes").write_text("plain")
    assert [text_of(path) for path in sorted(tmp_path.iterdir())] == [None, None, None, "plain"]


def test_a_stranger_among_the_files_and_a_missing_one_are_named(folder):
    (folder / "training_args.bin").write_bytes(b"x")
    (folder / "card_facts.json").unlink()
    problems = lint_staged(folder)
    assert "training_args.bin: staging never writes such a file; remove it" in problems
    assert "card_facts.json: missing; stage the folder again" in problems


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("report.json", "{"),
        ("report.json", '{"schema": "another"}'),
        ("card_facts.json", "["),
        ("card_facts.json", '{"schema": "another"}'),
    ],
)
def test_a_report_or_facts_that_cannot_be_read_is_a_problem_in_one_line(folder, name, text):
    (folder / name).write_text(text)
    problems = lint_staged(folder)
    assert any(name in problem for problem in problems) and all("\n" not in problem for problem in problems)


def test_a_report_with_nan_is_a_problem(folder):
    report = json.loads((folder / "report.json").read_text())
    report["measures"]["seat"][0]["model"]["tests"]["sent-weat6"]["effect_size"] = float("nan")
    (folder / "report.json").write_text(json.dumps(report))
    assert any("finite" in problem for problem in lint_staged(folder))


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="evenhand publish"):
        lint_staged(tmp_path / "none")


def test_true_notes_with_interval_and_n_pass_and_wrong_ones_do_not(measured_run, tmp_path):
    report = json.loads((measured_run / "report.json").read_text())
    test = report["measures"]["seat"][0]["model"]["tests"]["sent-weat6"]
    low, high = test["confidence_interval"]
    d = test["effect_size"]
    true = f"C6 is {d:+.3f} [{low:+.2f}, {high:+.2f}] with 16 words."
    folder = stage(measured_run, tmp_path / "a", dataclasses.replace(FACTS, notes={"limits": true}))
    assert lint_staged(folder) == [] and block("limits", true) in (folder / "README.md").read_text()
    wrong = true.replace(f"{d:+.3f}", f"{d + 0.01:+.3f}")
    [problem] = lint_staged(stage(measured_run, tmp_path / "a", dataclasses.replace(FACTS, notes={"limits": wrong})))
    assert re.match(
        rf"README\.md:\d+: {re.escape(f'{d + 0.01:+.3f}')} in the hand-written text is not in the report", problem
    )
