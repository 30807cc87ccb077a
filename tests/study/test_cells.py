"""Which students are trained together, and which changes of a study touch which of them."""

import dataclasses

import pytest

from evenhand.launch.study.cells import (
    cell_name,
    evaluation_of,
    group_arms,
    make_cell,
    report_key,
    student_key,
    teacher_key,
    wanted_students,
)
from evenhand.launch.study.study_file import load_study


@pytest.fixture(scope="module")
def study():
    return load_study("ahn2022", "planted")


@pytest.fixture(scope="module")
def small():
    return load_study("ahn2022", "small")


def with_arm(study, name, **changes):
    return dataclasses.replace(study, arms={**study.arms, name: dataclasses.replace(study.arms[name], **changes)})


def keys(study):
    return {student: report_key(study, study.arms[student[0]], student[1]) for student in wanted_students(study)}


def test_arms_of_equal_recipes_are_one_student(study):
    same = ["original", "depth-2", "temperature-2", "fraction-1"]
    assert len({student_key(study, study.arms[name], 0) for name in same}) == 1
    assert (
        len({student_key(study, study.arms[name], 0) for name in ("proposed", "alpha-0.4", "proposed-fraction-1")}) == 1
    )
    trained = [(seed, arm) for seed, arms in group_arms(study, wanted_students(study)) for arm in arms]
    students = {student_key(study, study.arms[arm], seed) for seed, arm in trained}
    assert (
        len(trained) == len(students) == len({student_key(study, study.arms[a], s) for a, s in wanted_students(study)})
    )


def test_what_is_trained_together_can_be_trained_together_and_core_arms_come_first(study):
    groups = group_arms(study, wanted_students(study))
    core = [all(study.arms[arm].core for arm in arms) for _, arms in groups]
    assert core == sorted(core, reverse=True) and sum(core) == 10
    assert max(len(arms) for _, arms in groups) <= study.settings.cohort_size
    for _, arms in groups:
        assert len({study.arms[arm].teacher for arm in arms}) == 1
        assert len({str(study.arms[arm].recipe.corpus) for arm in arms}) == 1
        assert len({study.arms[arm].recipe.training["max_steps"] for arm in arms}) == 1


def test_a_change_of_one_arm_touches_that_arm_alone(study):
    recipe = study.arms["proposed"].recipe
    changed = with_arm(
        study, "proposed", recipe=dataclasses.replace(recipe, mixup=dataclasses.replace(recipe.mixup, alpha=0.5))
    )
    before, after = keys(study), keys(changed)
    assert {arm for (arm, seed) in before if before[arm, seed] != after[arm, seed]} == {"proposed"}


def test_a_change_of_how_it_is_measured_keeps_the_students(study):
    recipe = study.arms["proposed"].recipe
    other = dataclasses.replace(recipe, evaluation=dataclasses.replace(recipe.evaluation, poolings=["cls"]))
    changed = with_arm(study, "proposed", recipe=other)
    assert student_key(changed, changed.arms["proposed"], 0) == student_key(study, study.arms["proposed"], 0)
    assert report_key(changed, changed.arms["proposed"], 0) != report_key(study, study.arms["proposed"], 0)


def test_another_label_section_or_number_of_seeds_touches_nothing(study):
    changed = with_arm(study, "proposed", label="another", seeds=2)
    assert keys(changed).items() <= keys(study).items()
    some = load_study("ahn2022", "planted", only=["table2"], seeds=3)
    assert keys(some).items() <= keys(study).items()


def test_a_teacher_of_its_own_for_each_seed_only_where_it_is_planted(study, small):
    assert teacher_key(study, "original", 0) != teacher_key(study, "original", 1)
    assert teacher_key(small, "original", 0) == teacher_key(small, "original", 1)
    assert teacher_key(small, "original", 0) != teacher_key(small, "debiased", 0)


def test_a_change_of_the_teacher_touches_every_student(small):
    settings = dataclasses.replace(small.settings, vocabulary=9000)
    changed = dataclasses.replace(small, settings=settings)
    assert not set(keys(small).values()) & set(keys(changed).values())


def with_settings(study, **changes):
    return dataclasses.replace(study, settings=dataclasses.replace(study.settings, **changes))


def test_defaults_written_out_and_places_of_this_machine_leave_teachers_as_they_are(study, small):
    recipe = small.settings.recipe
    corpus = recipe["corpus"] | {"workers": 3, "cache_dir": "/somewhere", "fraction": 1.0}
    teachers = {"debiased": {"debias": small.settings.teachers["debiased"]["debias"] | {"alpha": 0.2}}}
    written_out = with_settings(small, recipe=recipe | {"corpus": corpus}, teachers=teachers)
    for name in ("original", "debiased"):
        assert teacher_key(written_out, name, 0) == teacher_key(small, name, 0)
    shorter = with_settings(small, recipe=recipe | {"corpus": corpus | {"max_length": 64}})
    assert teacher_key(shorter, "original", 0) != teacher_key(small, "original", 0)
    more = with_settings(small, teachers={"debiased": {"debias": {"epochs": 4, "max_sentences": 3000}}})
    assert teacher_key(more, "debiased", 0) != teacher_key(small, "debiased", 0)
    assert teacher_key(more, "original", 0) == teacher_key(small, "original", 0)


def test_a_planted_teacher_is_decided_by_what_is_planted_not_by_the_recipe(study):
    shorter = with_settings(study, recipe=study.settings.recipe | {"corpus": {"max_length": 32}})
    assert teacher_key(shorter, "original", 1) == teacher_key(study, "original", 1)
    planted = study.settings.planted
    zero = dataclasses.replace(planted, associations={"career_family": 0.8, "math_arts": 0.4})
    assert teacher_key(with_settings(study, planted=zero), "original", 1) == teacher_key(study, "original", 1)
    stronger = dataclasses.replace(planted, associations={"career_family": 0.9, "math_arts": 0.4})
    assert teacher_key(with_settings(study, planted=stronger), "original", 1) != teacher_key(study, "original", 1)


def test_which_students_are_one_does_not_depend_on_the_part_that_is_run():
    some = load_study("ahn2022", "small", only=["alpha"])
    assert "proposed" not in some.arms and "glue" in evaluation_of(some, some.arms["alpha-0.4"], 0)["measures"]


def test_a_student_that_is_a_core_arms_is_trained_with_its_watch(tmp_path):
    some = load_study("ahn2022", "planted", only=["alpha"])
    groups = group_arms(some, [(name, 0) for name in some.arms])
    assert sorted(map(sorted, (arms for _, arms in groups))) == [
        ["alpha-0.1", "alpha-1", "alpha-4"],
        ["alpha-0.4", "original"],
    ]
    for arms, every in ((["alpha-0.4"], 100), (["alpha-0.1"], 0), (["alpha-0.1", "alpha-0.4"], 100)):
        cell = make_cell(some, 0, arms, {"original": "/t"}, tmp_path / "corpus.txt", tmp_path)
        assert {recipe.watch.every_steps for recipe in cell.recipes.values()} == {every}


def test_glue_is_measured_where_the_scale_says_and_alike_for_equal_recipes(small):
    def glue(arm, seed):
        return "glue" in evaluation_of(small, small.arms[arm], seed)["measures"]

    assert glue("original", 0) and glue("depth-3", 2) and not glue("original", 3) and not glue("no-mlm", 0)


def test_a_cell_has_complete_recipes_and_a_name_that_does_not_depend_on_the_order(study, tmp_path):
    paths = {"original": "/teachers/one"}
    cell = make_cell(study, 3, ["original", "proposed"], paths, tmp_path / "corpus.txt", tmp_path / "cache")
    assert cell.name == cell_name(study, 3, ["proposed", "original"]) != cell_name(study, 4, ["original", "proposed"])
    recipe = cell.recipes["proposed"]
    assert recipe.training["seed"] == 3 and recipe.teacher.path == "/teachers/one" and recipe.teacher.mlm_steps == 0
    assert recipe.corpus.sources[0].path == str(tmp_path / "corpus.txt") and recipe.corpus.cache_dir == str(
        tmp_path / "cache"
    )
    assert cell.keys["proposed"] == report_key(study, study.arms["proposed"], 3)
