"""A study file: sweeps, scales and sections filled in, and every mistake named before anything starts."""

import copy

import pytest
import yaml

from evenhand.launch.study.study_file import load_study

BASE = {
    "title": "A study",
    "baseline": "original",
    "arms": {
        "original": {"label": "original", "core": True},
        "proposed": {"label": "proposed", "core": True, "changes": ["mixup.enabled=true"]},
        "debiased-teacher": {"label": "debiased", "teacher": "debiased"},
        "depth-{value}": {"label": "{value} layers", "sweep": "depths", "changes": ["student.layers={value}"]},
    },
    "sections": {
        "table2": {"title": "T", "question": "Q?", "arms": ["original", "debiased-teacher", "proposed"]},
        "figure1": {"title": "F", "question": "Q?", "kind": "sweep", "x_label": "layers", "arms": ["depth-{value}"]},
    },
    "scales": {
        "planted": {
            "note": "small",
            "seeds": {"core": 4, "other": 2},
            "lists": {"depths": [2, 1]},
            "planted": {"associations": {"math_arts": 0.5}, "n_documents": 1000},
            "teachers": {"debiased": {}},
            "recipe": {"student": {"family": "distilbert", "layers": 2}, "training": {"max_steps": 5}},
        }
    },
}


@pytest.fixture
def written(tmp_path):
    """``written(change)``: the path of the study file after ``change`` has edited its values."""

    def write(change=lambda data: None):
        data = copy.deepcopy(BASE)
        change(data)
        path = tmp_path / "my_study.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        return path

    return write


def test_sweeps_changes_seeds_and_sections_are_filled_in(written):
    study = load_study(written(), "planted")
    assert (study.name, study.scale, study.baseline) == ("my_study", "planted", "original")
    assert {name: (arm.seeds, arm.core, arm.value) for name, arm in study.arms.items()} == {
        "original": (4, True, None),
        "debiased-teacher": (2, False, None),
        "proposed": (4, True, None),
        "depth-2": (2, False, 2),
        "depth-1": (2, False, 1),
    }
    assert study.arms["proposed"].recipe.mixup.enabled and not study.arms["original"].recipe.mixup.enabled
    assert study.arms["depth-1"].recipe.student.layers == 1 and study.arms["depth-1"].label == "1 layers"
    assert study.arms["debiased-teacher"].teacher == "debiased"
    assert [section.arms for section in study.sections] == [
        ("original", "debiased-teacher", "proposed"),
        ("depth-2", "depth-1"),
    ]


def test_only_some_sections_bring_their_arms_and_the_baseline(written):
    study = load_study(written(), "planted", only=["figure1"], seeds=1, overrides=["training.max_steps=7"])
    assert list(study.arms) == ["original", "depth-2", "depth-1"]
    assert {arm.seeds for arm in study.arms.values()} == {1}
    assert {arm.recipe.training["max_steps"] for arm in study.arms.values()} == {7}


def test_changes_of_one_scale_come_after_the_arms_own(written):
    def change(data):
        data["scales"]["planted"]["changes"] = {"depth-{value}": ["student.layers=2"]}

    assert load_study(written(change), "planted").arms["depth-1"].recipe.student.layers == 2


def edited(*keys, value=None, remove=False):
    def change(data):
        for key in keys[:-1]:
            data = data[key]
        if remove:
            del data[keys[-1]]
        else:
            data[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edited("arm", value={}), "Unknown recipe key arm; the nearest known one is arms"),
        (edited("arms", "proposed", "changes", value=["mixup.enable=true"]), "arm proposed: Unknown recipe key mixup.enable; the nearest known one is mixup.enabled"),
        (edited("arms", "proposed", "changes", value=["mixup.alpha=much"]), "arm proposed: mixup.alpha must be a number, not 'much'"),
        (edited("arms", "proposed", "changes", value=["objective.alpha_ce=0", "objective.alpha_mlm=0", "objective.alpha_cos=0"]), "arm proposed: objective: every alpha is 0"),
        (edited("arms", "proposed", "colour", value="red"), "Unknown recipe key arms.proposed.colour"),
        (edited("arms", "depth-{value}", "sweep", value="deep"), "the scale has no list deep"),
        (edited("arms", "depth", value={"label": "d", "sweep": "depths"}), "the arm depth comes twice; its name needs {value}"),
        (edited("arms", "a/b", value={"label": "d"}), "a/b"),
        (edited("arms", "cohort", value={"label": "d"}), "No arm can be called cohort"),
        (edited("sections", "table2", "arms", value=["original", "propsed"]), "sections.table2 names the arm propsed"),
        (edited("sections", "table2", "also_against", value={"proposed": "orginal"}), "sections.table2.also_against names orginal, which is not among the section's arms"),
        (edited("sections", "table2", "also_against", value={"proposed": "proposed"}), "sections.table2.also_against compares proposed with itself"),
        (edited("sections", "table2", "kind", value="tables"), "sections.table2.kind must be one of arms, sweep, glue"),
        (edited("baseline", value="plain"), "baseline plain is no arm"),
        (edited("printed", value="nowhere.yaml"), "printed: there is no file nowhere.yaml"),
        (edited("scales", "planted", "cohort_size", value=0), "cohort_size must be at least 1"),
        (edited("scales", "planted", "seeds", value={"core": 0}), "seeds.core and seeds.other must be at least 1"),
        (edited("scales", "planted", "changes", value={"depth": []}), "speaks of depth, which is neither an arm nor a section"),
        (edited("scales", "planted", "without", value={"table9": "no"}), "speaks of table9"),
        (edited("scales", "planted", "recipe", "training", "seed", value=1), "training.seed is the study's own"),
        (edited("title", remove=True), "title is missing"),
        (edited("arms", "debiased-teacher", "teacher", value="debaised"), "arms.debiased-teacher: no scale has a teacher debaised; there are original, debiased"),
        (edited("scales", "planted", "without", value={"original": "no"}), "without names the baseline original"),
        (edited("scales", "planted", "without", value={"figure1": None}), "without.figure1 must be the reason, in words"),
        (edited("arms", "proposed", "changes", value=["teacher.path=x"]), "arm proposed: its change teacher.path=x would be ignored"),
        (edited("arms", "proposed", "changes", value=["training.seed=3"]), "arm proposed: its change training.seed=3 would be ignored"),
        (edited("arms", "proposed", "changes", value=["corpus.sources=[]"]), "arm proposed: its change corpus.sources=[] would be ignored: each seed has its own"),
        (edited("scales", "planted", "lists", value={"depths": 3}), "scales.planted: lists.depths must be a list, not 3"),
        (edited("scales", "planted", "lists", value={"depths": None}), "scales.planted: lists.depths must be a list, not None"),
        (edited("scales", "planted", "lists", value={"depths": [{"changes": []}]}), "lists.depths[0].value is missing"),
        (edited("scales", "planted", "lists", value={"depths": [[1, 2]]}), "a value of a sweep must be a number or text"),
        (edited("scales", "planted", "changes", value={"proposed": None}), "scales.planted: changes.proposed must be a list"),
        (edited("scales", "planted", "recipe", "training", value=3), "recipe.training must hold keys and values"),
        (edited("scales", "planted", "teachers", value={"debiased": {"debias": {"epoch": 1}}}), "teachers.debiased: Unknown recipe key debias.epoch"),
        (edited("scales", "planted", "teachers", value={"debiased": {}, "original": {}}), "teachers.original"),
        (edited("scales", "planted", "planted", "associations", value={"math_art": 0.5}), "planted: Unknown association 'math_art'"),
        (edited("scales", "planted", "planted", "associations", value={"math_arts": 0.8, "science_arts": -0.8}), "planted: math_arts 0.8 and science_arts -0.8 cannot hold at once"),
        (edited("scales", "planted", "accelerate", value="dpp"), "accelerate: Accelerate config dpp does not exist"),
        (edited("scales", "planted", "glue", value={"settings": {}, "arms": ["propsed"]}), "glue.arms names the arm propsed"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_one_line_that_names_its_place(written, change, message):
    with pytest.raises(ValueError) as error:
        load_study(written(change), "planted")
    text = str(error.value)
    assert message in text and "\n" not in text and "my_study.yaml" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": "paper"}, "there is no scale paper; it has planted"),
        ({"only": ["table9"]}, "there is no section table9; it has table2, figure1"),
        ({"seeds": 0}, "--seeds must be at least 1, not 0"),
        ({"overrides": ["training.steps=3"]}, "Unknown recipe key training.steps"),
    ],
)
def test_what_the_command_asks_wrongly_is_one_line(written, arguments, message):
    with pytest.raises(ValueError) as error:
        load_study(written(), **{"scale": "planted"} | arguments)
    assert message in str(error.value)


def test_a_section_that_the_scale_does_not_have_is_left_out_and_refused_with_its_reason(written):
    change = edited("scales", "planted", "without", value={"figure1": "too deep"})
    assert [section.name for section in load_study(written(change), "planted").sections] == ["table2"]
    with pytest.raises(ValueError, match="section figure1 is not for this scale: too deep"):
        load_study(written(change), "planted", only=["figure1"])


def test_an_arm_whose_teacher_the_scale_lacks_must_be_left_out_with_its_reason(written):
    def other_scale(data):
        data["scales"]["bare"] = {**data["scales"]["planted"], "teachers": {}}

    with pytest.raises(ValueError, match=r"arms\.debiased-teacher: this scale has no teacher debiased; .*without"):
        load_study(written(other_scale), "bare")

    def with_reason(data):
        other_scale(data)
        data["scales"]["bare"]["without"] = {"debiased-teacher": "too dear", "depth-1": "too flat"}

    study = load_study(written(with_reason), "bare")
    assert list(study.arms) == ["original", "proposed", "depth-2"] and set(study.all_arms) == set(study.arms)
    assert [dict(section.left_out) for section in study.sections] == [
        {"debiased": "too dear"},
        {"1 layers": "too flat"},
    ]


def test_a_section_of_which_every_arm_is_left_out_is_left_out(written):
    change = edited("scales", "planted", "without", value={"depth-{value}": "too flat"})
    assert [section.name for section in load_study(written(change), "planted").sections] == ["table2"]
    with pytest.raises(ValueError, match="figure1 is not for this scale, which has none of its arms: too flat"):
        load_study(written(change), "planted", only=["figure1"])


def test_a_value_of_a_sweep_can_have_changes_of_its_own_after_the_arms(written):
    def change(data):
        data["arms"]["depth-{value}"]["changes"].append("training.max_steps=4")
        data["scales"]["planted"]["lists"]["depths"] = [{"value": 2, "changes": ["training.max_steps=3"]}, 1]

    arms = load_study(written(change), "planted").arms
    found = {name: (arms[name].value, arms[name].recipe.training["max_steps"]) for name in ("depth-2", "depth-1")}
    assert found == {"depth-2": (2, 3), "depth-1": (1, 4)}
    assert arms["depth-2"].recipe.student.layers == 2


def test_a_key_that_comes_twice_is_one_line(written):
    path = written()
    path.write_text(path.read_text() + "title: another\n")
    with pytest.raises(ValueError, match=r"my_study\.yaml is not valid YAML: 'title' comes twice"):
        load_study(path, "planted")


@pytest.mark.parametrize("scale", ["small", "planted"])
def test_smaller_fractions_of_the_corpus_are_seen_as_often_as_the_whole(scale):
    arms = load_study("ahn2022", scale).arms
    for kind in ("fraction", "proposed-fraction"):
        steps = [arms[f"{kind}-{part}"].recipe.training["max_steps"] for part in (0.1, 0.3, 1)]
        assert steps[:2] == [pytest.approx(0.1 * steps[2]), pytest.approx(0.3 * steps[2])]
    assert arms["longer-proposed"].recipe.training["max_steps"] == 3 * arms["proposed"].recipe.training["max_steps"]


def test_a_file_that_is_not_there_names_the_packaged_studies(tmp_path):
    with pytest.raises(FileNotFoundError, match="packaged studies: ahn2022"):
        load_study("ahn2023", "paper")


@pytest.mark.parametrize("scale", ["paper", "small", "planted"])
def test_the_packaged_study_has_all_arms_of_the_paper_at_every_scale(scale):
    study = load_study("ahn2022", scale)
    table2 = next(section for section in study.sections if section.name == "table2")
    assert set(table2.printed) <= set(table2.arms) and table2.printed["proposed"]["mean"] == 0.738
    core = {name for name, arm in study.arms.items() if arm.core}
    assert core == {"original", "proposed", "mlm-cos", "mix-logits", "mix-input"}
    weights = {
        name: study.arms[name].recipe.objective.weights
        for name in ("original", "mlm-ce", "mlm-cos", "no-mlm", "original-521")
    }
    assert weights == {
        "original": {"ce": 1, "mlm": 1, "cos": 1, "mse": 0},
        "mlm-ce": {"ce": 1, "mlm": 1, "cos": 0, "mse": 0},
        "mlm-cos": {"ce": 0, "mlm": 1, "cos": 1, "mse": 0},
        "no-mlm": {"ce": 1, "mlm": 0, "cos": 1, "mse": 0},
        "original-521": {"ce": 5, "mlm": 2, "cos": 1, "mse": 0},
    }  # fmt: skip
    mixed = {
        name: set(arm.recipe.mixup.mix)
        for name, arm in study.arms.items()
        if name.startswith("mix-") or name == "proposed"
    }
    inputs, logits, output = "student_inputs", "teacher_logits", "teacher_hidden"
    assert mixed == {
        "mix-output": {output},
        "mix-input": {inputs},
        "mix-logits": {logits},
        "mix-logits-output": {logits, output},
        "mix-logits-output-input": {logits, output, inputs},
        "proposed": {logits, inputs},
    }
