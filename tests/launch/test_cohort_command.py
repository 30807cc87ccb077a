"""``evenhand distill RECIPE --arms ARMS.yaml``: every arm's run directory is that of its own ``evenhand distill``."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from run_contents import contents, facts_without_costs
from transformers import AutoModelForMaskedLM, AutoTokenizer

from evenhand.launch import cohort_directory
from evenhand.launch.arms_file import load_arms
from evenhand.launch.cohort_directory import CohortDirectory, check_common
from evenhand.launch.command import main
from evenhand.launch.recipe import load_recipe
from evenhand.launch.run_directory import RUN_FILE
from evenhand.trainer.checkpoints import latest_complete_checkpoint

ARMS = {
    "plain": {"mixup": {"enabled": False}},
    "mixup": None,
    "deep": ["student.layers=2", "objective.alpha_mse=0", "evaluation.seed=3", "publish.licence=mit"],
}
OVERRIDES = {
    "plain": ["mixup.enabled=false"],
    "mixup": [],
    "deep": ARMS["deep"],
}
"""The same as words of a command."""


@pytest.fixture
def arms_file(tmp_path):
    def write(content: object = ARMS) -> str:
        path = tmp_path / "arms.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
        return str(path)

    return write


def _contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _training(run) -> dict:
    return facts_without_costs(run / "training.json")


def test_every_arm_has_the_run_directory_of_its_own_training(tiny_recipe, arms_file, tmp_path, capsys):
    recipe = tiny_recipe(training={"max_grad_norm": 0.5}, watch={"every_steps": 3})
    together = tmp_path / "together"
    assert main(["distill", recipe, "--arms", arms_file(), "--output-dir", str(together)]) == 0
    assert capsys.readouterr().out.count("held-out MLM loss") == len(ARMS)
    assert {path.name for path in together.iterdir()} == {*ARMS, "cohort"}
    shas = {name: load_recipe(recipe, overrides).sha256 for name, overrides in OVERRIDES.items()}
    for name, overrides in OVERRIDES.items():
        single = tmp_path / name
        assert main(["distill", recipe, *overrides, "--output-dir", str(single)]) == 0
        facts = _training(together / name)
        assert facts.pop("cohort") == {"arm": name, "arms": shas}
        assert facts == _training(single)
        expected, found = _contents(single), _contents(together / name)
        own = {key for key in expected if not key.startswith(("cache/", "checkpoints/")) and key != "training.json"}
        assert {key: found.get(key) for key in own} == {key: expected[key] for key in own}
        assert set(found) == own | {"training.json"}
    before = _contents(together)
    assert main(["distill", recipe, "--arms", arms_file(), "--output-dir", str(together)]) == 0
    assert _contents(together) == before  # a finished cohort is left alone


def test_an_interrupted_cohort_goes_on_to_the_same_end_and_no_other_starts_there(
    tiny_recipe, arms_file, tmp_path, capsys
):
    folder, arms = tmp_path / "cohort", {name: ARMS[name] for name in ("plain", "deep")}
    command = ["distill", tiny_recipe(), "--arms", arms_file(arms), "--output-dir", str(folder)]
    assert main(command) == 0
    expected = {name: contents(folder / name) for name in arms}
    for name in arms:
        shutil.rmtree(folder / name / "student")
        (folder / name / "training.json").unlink()
    last = latest_complete_checkpoint(folder / "cohort" / "checkpoints")
    shutil.rmtree(last)
    (folder / "cohort" / "checkpoints" / ".saving" / last.name).mkdir(parents=True)  # a save cut short
    for changes, message in (
        (arms | {"mixup": None}, "holds a cohort of the arms deep, plain, not deep, mixup, plain"),
        (arms | {"plain": ["student.layers=2"]}, "plain holds another run (its recipe differs)"),
    ):
        arms_file(changes)
        assert main(command) == 2
        assert message in capsys.readouterr().err
    assert main(["distill", tiny_recipe(), "--output-dir", str(folder)]) == 2
    assert "holds no run" in capsys.readouterr().err
    arms_file(arms)
    assert main(command) == 0
    assert {name: contents(folder / name) for name in arms} == expected


def test_a_teacher_without_a_head_gets_one_for_all_arms(tiny_recipe, tiny_teacher, arms_file, tmp_path):
    encoder = tmp_path / "encoder"
    AutoModelForMaskedLM.from_pretrained(tiny_teacher).base_model.save_pretrained(encoder)
    AutoTokenizer.from_pretrained(tiny_teacher).save_pretrained(encoder)
    recipe = tiny_recipe(teacher={"path": str(encoder), "mlm_steps": 2, "mlm_batch_size": 8}, training={"max_steps": 2})
    together, single = tmp_path / "together", tmp_path / "single"
    assert main(["distill", recipe, "--arms", arms_file(), "--output-dir", str(together)]) == 0
    assert main(["distill", recipe, "--output-dir", str(single)]) == 0
    heads = [contents(run / "teacher") for run in (together / "plain", together / "mixup", single)]
    assert heads[0] == heads[1] == heads[2] != {}
    assert _training(together / "mixup")["teacher"] == _training(single)["teacher"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "A cohort needs at least one arm"),
        ("plain:\nplain: [student.layers=2]\n", "'plain' comes twice"),
        ("a: [\n", "is not valid YAML"),
        ("- plain\n", "must map names of arms to their changes, not be a list"),
        ({"a/b": None}, "'a/b' cannot name a folder"),
        ({6: None}, "6 is no text; write it in quotes"),
        ({"cohort": None}, "No arm can be called cohort"),
        ({"a": None, "A": None}, "would share a folder where case does not count"),
        ({"a": "student.layers=2"}, "Arm a: its changes must be a list of section.key=value, or sections"),
        ({"a": ["student.layers"]}, "Arm a: Override 'student.layers' is not of the form"),
        ({"a": {"student": {"depth": 2}}}, "Arm a: Unknown recipe key student.depth"),
        (
            {"a": None, "b": ["training.seed=2", "corpus.max_length=24"]},
            "a and b differ in corpus.max_length, training.seed;",
        ),
        ({"a": None, "deep": ["student.layers=9"]}, "Arm deep: student.layers must lie between 1 and the teacher's 2"),
        ({"a": ["mixup.mix=[nothing]"]}, "Arm a: mixup.mix must name some of"),
    ],
)
def test_bad_arms_are_one_line_and_leave_nothing(tiny_recipe, arms_file, tmp_path, capsys, content, message):
    folder = tmp_path / "cohort"
    assert main(["distill", tiny_recipe(), "--arms", arms_file(content), "--output-dir", str(folder)]) == 2
    error = capsys.readouterr().err
    assert message in error.strip().splitlines()[-1]  # the bar of a model that is loaded may stand before it
    assert "Traceback" not in error
    assert not folder.exists()


def test_what_a_cohort_cannot_do_is_refused_before_anything_is_written(tiny_recipe, arms_file, tmp_path, capsys):
    folder = tmp_path / "cohort"
    command = ["distill", tiny_recipe(), "--output-dir", str(folder), "--arms"]
    chosen = ["watch.every_steps=2", "watch.tradeoff={mlm: 1.0}", "watch.patience=1"]
    assert main([*command, arms_file(), *chosen]) == 2
    assert "watch.keep_best and watch.patience choose" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "absent.yaml")]) == 2
    assert "absent.yaml does not exist" in capsys.readouterr().err
    assert not folder.exists()
    (folder / "plain").mkdir(parents=True)
    assert main([*command, arms_file()]) == 2
    assert "plain is there already and is no arm of this cohort" in capsys.readouterr().err


def test_arms_that_cannot_train_on_the_corpus_leave_no_claim(tiny_recipe, arms_file, tmp_path, capsys):
    text = tmp_path / "plain.txt"
    text.write_text("the old dog saw a big red house by the river and the tree\n" * 40, encoding="utf-8")
    recipe = tiny_recipe(corpus={"sources": [{"path": str(text)}]})
    folder = tmp_path / "cohort"
    assert main(["distill", recipe, "--arms", arms_file(), "--output-dir", str(folder)]) == 2
    assert "no word of the pairs" in capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} == {"cohort"}
    assert {path.name for path in (folder / "cohort").iterdir()} == {"cache"}


@pytest.mark.parametrize("main_process", [True, False])
def test_one_process_gives_up_the_claim_and_the_others_wait_for_it(tmp_path, monkeypatch, main_process):
    folder, waited = CohortDirectory(tmp_path, ["one", "two"]), []
    claimed = [folder.path, *(run.path for run in folder.arms.values())]
    for path in claimed:
        path.mkdir()
        (path / RUN_FILE).touch()
    state = SimpleNamespace(
        is_main_process=main_process, wait_for_everyone=lambda: waited.append([path.exists() for path in claimed])
    )
    monkeypatch.setattr(cohort_directory, "PartialState", lambda: state)
    folder.release()
    assert waited == [[True, not main_process, not main_process]]
    assert (folder.path / RUN_FILE).exists() != main_process


def test_the_arms_of_the_guide_fit_its_recipe(tmp_path):
    guide = (Path(__file__).parents[2] / "docs" / "cohort.md").read_text(encoding="utf-8")
    arms = tmp_path / "arms.yaml"
    arms.write_text(re.search(r"```yaml\n(.*?)```", guide, re.DOTALL)[1], encoding="utf-8")
    assert "evenhand distill minilm_cpu --arms arms.yaml" in guide
    recipes = load_arms("minilm_cpu", arms)
    check_common(recipes)
    assert [recipes[name].mixup.enabled for name in ("plain", "mixup", "mixup-shallow")] == [False, True, True]
    assert (recipes["mixup-shallow"].student.layers, recipes["no-cosine"].objective.alpha_cos) == (2, 0)
