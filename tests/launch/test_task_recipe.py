"""Recipes of task distillation: what they resolve to, and what is refused before any work."""

import pytest

from evenhand.launch.evaluate import evaluation_section
from evenhand.launch.recipe import any_recipe_from_dict, load_any_recipe, load_recipe, recipe_from_dict
from evenhand.launch.task.recipe import TaskRecipe, check_teacher, task_section

BASE = {"task": {"data": {"name": "digits"}}, "student": {"family": "vit"}}


def recipe(**sections) -> TaskRecipe:
    return any_recipe_from_dict(BASE | sections)


def test_a_section_task_makes_it_a_recipe_of_a_task(tmp_path):
    file = tmp_path / "task.yaml"
    file.write_text("task: {data: {name: digits}}\nstudent: {family: vit}\n")
    found = load_any_recipe(file, ["objective.alpha=0.25", "training.max_steps=7"])
    assert isinstance(found, TaskRecipe)
    assert (found.objective.alpha, found.training["max_steps"]) == (0.25, 7)
    with pytest.raises(ValueError, match="recipe of a task"):
        load_recipe(file)
    with pytest.raises(ValueError, match="recipe of a task"):
        recipe_from_dict(BASE)


def test_what_is_saved_is_read_back_as_the_same_recipe(tmp_path):
    made = recipe(
        student={
            "initialisation": "teacher",
            "layers": {"encoder.stages.0.layers": 2, "encoder.stages.1.layers": [0, 3]},
        },
        ladder=[{"family": "vit", "shape": {"layers": 3}}],
        augmentation={"name": "replant", "share": 0.5},
    )
    made.save(tmp_path / "recipe.yaml")
    assert load_any_recipe(tmp_path / "recipe.yaml") == made


def test_an_empty_rung_of_the_ladder_is_the_student_again():
    three = {"family": "vit", "shape": {"layers": 3}}
    made = recipe(student=three, ladder=[{}, {"family": "vit", "shape": {"layers": 5}}, None])
    assert [rung.family for rung in made.ladder] == ["vit"] * 3
    assert [rung.shape.layers for rung in made.ladder] == [3, 5, 3]
    assert recipe(student={"initialisation": "teacher", "layers": 4}, ladder=[{}]).ladder[0].layers == 4


def test_the_hash_is_of_what_decides_the_student():
    assert recipe(evaluation={"measures": {"internals": {}}}).sha256 == recipe().sha256
    assert recipe(publish={"licence": "mit"}).sha256 == recipe().sha256
    assert recipe(objective={"alpha": 0.4}).sha256 != recipe().sha256


def test_the_tasks_own_data_are_measured_on():
    section = task_section(
        recipe(training={"max_length": 20}, evaluation={"measures": {"internals": {"examples": 32}}})
    )
    assert section.measures["groups"] == {"data": {"name": "digits"}, "max_length": 20}
    assert section.measures["internals"] == {"data": {"name": "digits"}, "max_length": 20, "examples": 32}
    assert "internals" not in task_section(recipe()).measures
    assert task_section(recipe(), {"examples": 16}).measures["internals"]["examples"] == 16


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"task": {"data": {}}}, r"task\.data\.name is missing; use one of digits, mnist"),
        ({"task": {"dat": {}}}, r"Unknown recipe key task\.dat; the nearest known one is task\.data"),
        ({"objective": {"alpha": 1.5}}, r"objective\.alpha must lie between 0 and 1, not 1\.5"),
        ({"objective": {"alpha_ce": 1.0}}, r"Unknown recipe key objective\.alpha_ce"),
        ({"student": {"shape": {"width": 10, "heads": 4}}}, r"shape\.heads \(4\) must divide shape\.width \(10\)"),
        ({"student": {"initialisation": "teachers"}}, r"student\.initialisation must be own or teacher"),
        ({"student": {"layers": 2}}, r"needs student\.path or student\.initialisation=teacher"),
        ({"student": {"path": "a/b", "initialisation": "teacher"}}, "choose one of them"),
        ({"student": {"path": "a/b", "layers": {}}}, r"student\.layers names no stack"),
        ({"student": {"path": "a/b", "layers": {"encoder.block": "two"}}}, r"student\.layers must hold names of stacks, .* not 'encoder\.block': 'two'"),
        ({"student": {"path": "a/b", "layers": {"encoder.block": [0, True]}}}, r"student\.layers must hold names of stacks"),
        ({"student": {"path": "a/b", "layers": {0: [1]}}}, r"student\.layers must hold names of stacks, .* not 0: \[1\]"),
        ({"student": {"layers": {"encoder.block": 1}}}, r"needs student\.path or student\.initialisation=teacher"),
        ({"debiasing": {"method": "product_of_expert"}}, "product_of_experts"),
        ({"debiasing": {"method": "product_of_experts"}}, r"debiasing\.bias_model is missing, which product_of_experts needs"),
        ({"debiasing": {"bias_model": {"kind": "mean_colours"}}}, "erm has no use for one"),
        ({"debiasing": {"method": "reweighting", "bias_model": {"kind": "colors"}}}, "colours"),
        ({"augmentation": {"name": "replants"}}, "did you mean 'replant'"),
        ({"augmentation": {"share": 0.5}}, r"augmentation\.name is missing"),
        ({"teacher": {"average": "votes"}}, r"teacher\.average must be one of probabilities, logits"),
        ({"evaluation": {"measures": {"group": {}}}}, r"evaluation\.measures\.group is no measure; use one of .*groups"),
        ({"training": {"max_step": 3}}, r"Unknown recipe key training\.max_step"),
        ({"student": {"initialisation": "teacher"}, "ladder": [{}]}, r"ladder: an empty entry is of the student's own size, .* student\.layers"),
    ],
)  # fmt: skip
def test_a_recipe_that_cannot_be_is_refused_in_one_line(sections, message):
    with pytest.raises(ValueError, match=message) as caught:
        recipe(**sections)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({}, r"teacher\.path is missing, which objective\.alpha above 0 needs"),
        ({"objective": {"alpha": 0.0}, "student": {"initialisation": "teacher"}}, "which student.initialisation=teacher needs"),
        ({"objective": {"alpha": 0.0}, "teacher": {"path": "a/b"}}, r"objective\.alpha is 0 .* leave it out"),
        ({"objective": {"alpha": 0.0}, "ladder": [{}]}, r"objective\.alpha must be above 0"),
    ],
)  # fmt: skip
def test_a_teacher_is_there_exactly_where_one_is_used(sections, message):
    with pytest.raises(ValueError, match=message):
        check_teacher(recipe(**sections))


def test_a_measure_that_is_added_reads_the_tasks_own_data(tmp_path):
    made = recipe(task={"data": {"name": "digits", "strength": 0.7}}, training={"max_length": 48})
    made.save(tmp_path / "recipe.yaml")
    section = evaluation_section(str(tmp_path), ["measures.internals.examples=16"])
    assert section.measures["internals"] == {
        "data": {"name": "digits", "strength": 0.7},
        "max_length": 48,
        "examples": 16,
    }
    assert section.measures["groups"]["data"] == {"name": "digits", "strength": 0.7}
    changed = evaluation_section(str(tmp_path), ["measures.groups.data.strength=0.5"])
    assert changed.measures["groups"]["data"] == {"name": "digits", "strength": 0.5}
    other = evaluation_section(str(tmp_path), ["measures.groups.data.name=mnist"])
    assert other.measures["groups"]["data"] == {"name": "mnist"}
