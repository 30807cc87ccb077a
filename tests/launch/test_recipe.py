"""Recipes: typed, checked, with overrides; wrong keys name the nearest right one."""

import pytest
import yaml

from evenhand.launch.recipe import load_recipe, recipe_from_dict

MINIMAL = {"teacher": {"path": "some/teacher"}, "corpus": {"sources": [{"path": "text.txt"}]}}


def write(tmp_path, data):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def test_defaults_are_the_published_settings(tmp_path):
    recipe = load_recipe(write(tmp_path, MINIMAL))
    assert recipe.objective.weights == {"ce": 5.0, "mlm": 2.0, "cos": 1.0, "mse": 0.0}
    assert recipe.objective.temperature == 2.0 and recipe.objective.ce_positions == "attended"
    assert not recipe.mixup.enabled and recipe.mixup.alpha == 0.4


def test_overrides_replace_values_and_are_typed(tmp_path):
    recipe = load_recipe(
        write(tmp_path, MINIMAL),
        ["mixup.enabled=true", "training.learning_rate=1e-4", "student.layers=[0, 2]", "objective.alpha_cos=0"],
    )
    assert recipe.mixup.enabled is True
    assert recipe.training["learning_rate"] == 1e-4  # YAML reads 1e-4 as text
    assert recipe.student.layers == [0, 2] and recipe.objective.alpha_cos == 0.0


def test_a_saved_recipe_reads_back_equal(tmp_path):
    recipe = load_recipe(write(tmp_path, MINIMAL), ["training.seed=3", "corpus.fraction=0.3"])
    recipe.save(tmp_path / "resolved.yaml")
    assert load_recipe(tmp_path / "resolved.yaml") == recipe


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("objective.temprature=1", "objective.temperature"),
        ("mixup.alfa=1", "mixup.alpha"),
        ("training.learning_rte=1", "training.learning_rate"),
        ("teachr.path=x", "teacher"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(tmp_path, override, expected):
    with pytest.raises(ValueError, match=expected):
        load_recipe(write(tmp_path, MINIMAL), [override])


def test_an_unknown_key_inside_a_source_is_an_error():
    data = {**MINIMAL, "corpus": {"sources": [{"path": "a.txt", "wieght": 2}]}}
    with pytest.raises(ValueError, match="weight"):
        recipe_from_dict(data)


@pytest.mark.parametrize(
    "override",
    ["objective.temperature=0", "objective.temperature=-1", "objective.alpha_ce=-1", "corpus.fraction=0", "corpus.held_out=1",
     "training.learning_rate=fast", "mixup.enabled=perhaps", "student.layers=2.5", "corpus.streaming=true", "mixup",
     "teacher.mlm_train=tail", "objective.ce_positions=all"],
)  # fmt: skip
def test_bad_values_are_refused_before_any_work(tmp_path, override):
    with pytest.raises(ValueError):
        load_recipe(write(tmp_path, MINIMAL), [override])


def test_the_hash_ignores_what_does_not_decide_the_student(tmp_path):
    path = write(tmp_path, MINIMAL)
    plain = load_recipe(path).sha256
    assert load_recipe(path, ["evaluation.seed=4", "publish.author=me", "corpus.workers=3"]).sha256 == plain
    assert load_recipe(path, ["training.seed=4"]).sha256 != plain


def test_what_is_declared_for_publishing_and_how_much_worse_is_let_through(tmp_path):
    path = write(tmp_path, MINIMAL)
    plain = load_recipe(path)
    assert plain.publish.data_licences == {}
    assert plain.to_dict()["publish"]["gate"] == {"mean_margin": 0.0, "test_margin": 0.0, "alpha": 0.05}
    declared = load_recipe(path, ["publish.gate.mean_margin=5e-2", "publish.data_licences={text.txt: cc-by-4.0}"])
    assert declared.publish.gate.mean_margin == 0.05 and declared.publish.gate.alpha == 0.05
    assert declared.publish.data_licences == {"text.txt": "cc-by-4.0"}
    assert declared.sha256 == plain.sha256


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("publish.gate.mean_margin=-0.1", "publish.gate.mean_margin"),
        ("publish.gate.test_margin=.nan", "publish.gate.test_margin"),
        ("publish.gate.alpha=1", "publish.gate.alpha"),
        ("publish.gate.mean_margn=1", "mean_margin"),
        ("publish.data_licences={brown.zip: [mit]}", "brown.zip"),
        ("publish.data_licences=[mit]", "publish.data_licences"),
    ],
)
def test_wrong_settings_for_publishing_are_refused_by_name(tmp_path, override, expected):
    with pytest.raises(ValueError, match=expected):
        load_recipe(write(tmp_path, MINIMAL), [override])


def test_packaged_recipes_load_by_name():
    for name in ("minilm_cpu", "planted"):
        assert load_recipe(name).student.family == "distilbert"


def test_a_missing_recipe_lists_the_packaged_ones():
    with pytest.raises(FileNotFoundError, match="minilm_cpu"):
        load_recipe("no_such_recipe")
