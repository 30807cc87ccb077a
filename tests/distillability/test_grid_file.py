"""The file of a grid: what it expands to, what decides a model's key, and what is refused."""

import copy
from collections import Counter

import pytest
from tiny_grid import written_grid

from evenhand.launch.distillability.grid_directory import GridDirectory
from evenhand.launch.distillability.grid_file import load_grid
from evenhand.launch.distillability.grid_job import GridJob
from evenhand.launch.distillability.models import ALONE_SEED, all_models, layers_of, models_of

TASK = ("scales", "tiny", "tasks", "digits")


def at(data, *keys):
    for key in keys:
        data = data[key]
    return data


def test_a_cell_has_teachers_students_alone_and_every_pair(tmp_path):
    grid = load_grid(written_grid(tmp_path), "tiny")
    erm = models_of(grid, "digits", "erm", 0)
    # one of the remedies changes what the student is trained on, so it is given to students without a teacher too
    assert Counter(model.role for model in erm) == {"teacher": 2, "alone": 2 + 2, "distilled": 4 + 4 * 2 + 3}
    assert [model.name for model in erm if model.role == "alone"] == [
        "alone-small", "alone-large", "alone-small-augmentation", "alone-large-augmentation",
    ]  # fmt: skip
    assert [model.name for model in erm if model.remedy == "weights"] == [
        "distilled-small-to-small-plain-weights",
        "distilled-large-to-small-plain-weights",
        "distilled-large-to-large-plain-weights",
    ]
    poe = models_of(grid, "digits", "poe", 1)
    assert Counter((model.role, model.student_method) for model in poe) == {
        ("teacher", "plain"): 2, ("alone", "plain"): 2, ("distilled", "plain"): 4, ("distilled", "same"): 4,
    }  # fmt: skip
    assert len(list(all_models(grid))) == 2 * (len(erm) + len(poe) + len(poe) + 4)


def test_every_recipe_is_what_its_place_in_the_grid_says(tmp_path):
    grid = load_grid(written_grid(tmp_path), "tiny")
    models = {model.name: model for model in models_of(grid, "digits", "poe", 1)}
    teacher, alone = models["teacher-large"], models["alone-small"]
    plain, same = models["distilled-large-to-small-plain"], models["distilled-large-to-small-same"]
    assert (teacher.recipe.objective.alpha, alone.recipe.objective.alpha, plain.recipe.objective.alpha) == (0, 0, 0.5)
    assert [m.recipe.training["seed"] for m in (teacher, alone, plain, same)] == [1, *[1 + ALONE_SEED] * 3]
    assert [m.recipe.debiasing.method for m in (teacher, alone, plain, same)] == [*["product_of_experts"] * 2, "erm", "product_of_experts"]  # fmt: skip
    assert [bool(m.recipe.debiasing.bias_model) for m in (teacher, plain)] == [True, False]
    assert plain.teacher == same.teacher == teacher.model_key and alone.teacher is None
    assert (teacher.recipe.student.shape.layers, plain.recipe.student.shape.layers) == (2, 1)
    erm = {model.name: model for model in models_of(grid, "digits", "erm", 1)}
    assert erm["distilled-large-to-small-plain-iterative"].recipe.ladder == [erm["teacher-large"].recipe.student]
    assert erm["distilled-large-to-small-plain-weights"].recipe.student.layers == 1
    assert erm["distilled-small-to-small-plain-augmentation"].recipe.augmentation == {"name": "replant"}


def test_a_student_alone_with_a_remedy_differs_from_the_distilled_one_by_its_teacher_only(tmp_path):
    def change(data):
        # the objective is of the distillation: nothing of it reaches the student alone
        data["remedies"]["augmentation"]["changes"] += ["training.max_steps=4", "objective.temperature=3.0"]
        data["remedies"]["hotter"] = {"label": "h", "question": "?", "changes": ["objective.temperature=4.0"]}
        at(data, *TASK).update(remedied=["poe", "dedier"], remedies=["augmentation", "iterative", "hotter"])

    grid = load_grid(written_grid(tmp_path, change), "tiny")
    by_method = {method: models_of(grid, "digits", method, 1) for method in ("erm", "poe", "dedier")}
    # ERM is not remedied, but the plain students of the other methods' teachers are trained as it trains
    alone = {model.size: model for model in by_method["erm"] if model.role == "alone" and model.remedy != "none"}
    assert set(alone) == {"small", "large"} and {model.remedy for model in alone.values()} == {"augmentation"}
    assert not [m for name in ("poe", "dedier") for m in by_method[name] if m.role == "alone" and m.remedy != "none"]
    (g,) = (m for m in by_method["poe"] if m.name == "distilled-large-to-small-plain-augmentation")
    one, other = (model.recipe.to_dict() for model in (alone["small"], g))
    assert one["objective"]["alpha"] == 0.0 and one["training"]["max_steps"] == 4
    assert {section for section in one if one[section] != other[section]} == {"objective"}
    assert alone["small"].teacher is None


@pytest.mark.parametrize("student_methods", [["plain"], ["same"]])
def test_a_remedy_that_needs_a_teacher_is_tried_on_distilled_students_alone(tmp_path, student_methods):
    def change(data):
        dedier = ["debiasing.method=dedier", "debiasing.bias_model={}"]
        data["remedies"]["dd"] = {"label": "DeDiER", "question": "?", "changes": dedier}
        change = {"remedied": ["poe", "confidence"], "remedies": ["augmentation", "dd"]}
        at(data, *TASK).update(change, student_methods=student_methods)

    grid = load_grid(written_grid(tmp_path, change), "tiny")
    models = [m for method in ("erm", "poe", "confidence") for m in models_of(grid, "digits", method, 0)]
    with_it = [model for model in models if model.remedy == "dd"]
    assert {model.role for model in with_it} == {"distilled"} and len(with_it) == 2 * 4
    assert {model.recipe.debiasing.method for model in with_it} == {"dedier"}
    alone = {model.method for model in models if model.role == "alone" and model.remedy == "augmentation"}
    assert alone == ({"erm"} if student_methods == ["plain"] else {"poe", "confidence"})


def test_a_rung_of_a_size_without_settings_is_not_taken_for_the_student(tmp_path):
    def change(data):
        sizes = {"small": {"shape": {"layers": 1}}, "large": {}}
        at(data, *TASK).update(sizes=sizes, remedies=["iterative"])
        del at(data, *TASK, "recipe")["student"]

    models = models_of(load_grid(written_grid(tmp_path, change), "tiny"), "digits", "erm", 0)
    (one,) = (model for model in models if model.name == "distilled-large-to-small-plain-iterative")
    assert [rung.shape.layers for rung in one.recipe.ladder] == [2] and one.recipe.student.shape.layers == 1


def test_where_all_students_are_debiased_the_student_alone_with_a_remedy_is_too(tmp_path):
    change = {"remedied": ["poe"], "remedies": ["augmentation"], "student_methods": ["same"]}
    grid = load_grid(written_grid(tmp_path, lambda data: at(data, *TASK).update(change)), "tiny")
    with_remedy = {
        method: [m.name for m in models_of(grid, "digits", method, 0) if m.role == "alone" and m.remedy != "none"]
        for method in ("erm", "poe")
    }
    assert with_remedy == {"erm": [], "poe": ["alone-small-augmentation", "alone-large-augmentation"]}


def test_methods_that_need_a_teacher_begin_with_models_of_erm(tmp_path):
    grid = load_grid(written_grid(tmp_path), "tiny")
    erm = {model.name: model for model in models_of(grid, "digits", "erm", 0)}
    confidence = {model.name: model for model in models_of(grid, "digits", "confidence", 0)}
    assert confidence["teacher-large"].teacher == erm["teacher-large"].model_key
    assert confidence["alone-small"].teacher == erm["alone-small"].model_key
    assert confidence["teacher-large"].recipe.objective.alpha == 1.0
    dedier = models_of(grid, "digits", "dedier", 0)
    assert {model.role for model in dedier} == {"distilled"}
    assert {model.teacher for model in dedier} == {erm[f"teacher-{size}"].model_key for size in ("small", "large")}


def test_a_key_changes_with_what_decides_the_model_and_with_nothing_else(tmp_path):
    def keys(change=None):
        grid = load_grid(written_grid(tmp_path, change), "tiny")
        return {model.name: model.key for model in models_of(grid, "digits", "erm", 0)}

    before = keys()
    assert len(set(before.values())) == len(before)
    assert keys(lambda data: at(data, *TASK).update(label="other")) == before
    assert keys(lambda data: data["methods"]["poe"].update(label="other")) == before
    deeper = keys(lambda data: at(data, *TASK, "sizes", "large", "shape").update(layers=3))
    changed = {name for name in before if before[name] != deeper[name]}
    assert changed == {name for name in before if "large" in name}
    steps = keys(lambda data: at(data, *TASK, "recipe", "training").update(max_steps=5))
    assert not set(steps.values()) & set(before.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(kind="arms"), "kind must be distillability, not 'arms'"),
        (lambda data: data["methods"].pop("erm"), "methods.erm must be there, without debiasing"),
        (lambda data: at(data, *TASK).update(sise={}), r"Unknown recipe key scales\.tiny\.tasks\.digits\.sise"),
        (lambda data: at(data, *TASK).update(teachers=["huge"]), r"tasks\.digits\.teachers names huge, which is not among small, large"),
        (lambda data: at(data, *TASK).update(methods=["erm", "magic"]), r"methods names magic"),
        (lambda data: at(data, *TASK).update(remedied=["poe"], methods=["erm"]), "poe is not"),
        (lambda data: at(data, *TASK).update(student_methods=["odd"]), "student_methods are of plain, same"),
        (lambda data: at(data, *TASK, "recipe").pop("task"), r"recipe\.task\.data is missing"),
        (lambda data: at(data, "scales", "tiny").update(seeds=0), r"scales\.tiny\.seeds must be at least 1"),
        (lambda data: at(data, "scales", "tiny").update(tasks={}), "tasks is empty"),
        (lambda data: data["methods"].update({"A b": {"label": "x"}}), "'A b' is no name"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_is_refused_in_one_line(tmp_path, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_grid(written_grid(tmp_path, change), "tiny")
    assert str(caught.value).startswith("Study ") and "\n" not in str(caught.value)


WAYS_OF_DOING_NOTHING = [
    (lambda data: at(data, *TASK, "recipe").update(debiasing={"method": "jtt"}), r"tasks\.digits\.recipe\.debiasing .* methods\.NAME\.debiasing"),
    (lambda data: at(data, *TASK, "recipe").update(augmentation={"name": "replant"}), r"recipe\.augmentation .* remedies\.NAME\.changes"),
    (lambda data: at(data, *TASK, "recipe").update(teacher={"path": "x"}), r"recipe\.teacher .* each cell sets it itself"),
    (lambda data: at(data, *TASK, "recipe").update(ladder=[{}]), r"recipe\.ladder .* remedies\.NAME\.ladder"),
    (lambda data: at(data, *TASK, "recipe", "training").update(seed=3), r"recipe\.training\.seed .* each cell has its own"),
    (lambda data: at(data, *TASK, "recipe", "training").update(data_seed=3), r"recipe\.training\.data_seed .* each cell has its own"),
    (lambda data: at(data, *TASK, "recipe", "student").update(shape={"width": 16}), r"student\.shape\.width .* every size sets it"),
    (lambda data: at(data, *TASK, "recipe").update(student=None, training="x"), r"recipe\.training must hold keys and values, not 'x'"),
    (lambda data: at(data, *TASK, "recipe").update(task=None), r"recipe\.task\.data is missing"),
    (lambda data: at(data, *TASK, "sizes").update(small=None), r"tasks\.digits\.sizes\.small must hold keys and values, not None"),
    (lambda data: at(data, *TASK, "sizes", "small").update(shape=None), r"sizes\.small\.shape must hold keys and values, not None"),
    (lambda data: at(data, *TASK).update(methods=["erm"], method_settings={"poe": {}}), "method_settings names poe, .* the task's methods"),
    (lambda data: at(data, *TASK).update(method_settings={"poe": None}), r"method_settings\.poe must hold keys and values"),
    (lambda data: data["remedies"].update(idle={"label": "i", "question": "?"}), r"remedies\.idle changes nothing"),
    (lambda data: data["remedies"].update(none={"label": "i", "question": "?", "ladder": ["teacher"]}), r"remedies\.none: none is the name"),
    (lambda data: data["remedies"]["augmentation"].update(changes=["training.seed=1"]), r"remedies\.augmentation\.changes: training\.seed"),
    (lambda data: data["remedies"]["augmentation"].update(changes=["training.data_seed=1"]), r"augmentation\.changes: training\.data_seed"),
    (lambda data: data["remedies"]["weights"].update(changes=["student.family=bert"]), r"student\.family does nothing with from_teacher"),
    (lambda data: data["methods"]["dedier"].update(distils=False), r"methods\.dedier: dedier needs a teacher; say distils: true"),
    (lambda data: data["methods"]["confidence"].pop("self_distilled"), r"methods\.confidence: confidence_regularisation needs a teacher; .* self_distilled"),
    (lambda data: data["methods"]["dedier"].update(self_distilled={"alpha": 1.0}), "choose one of them"),
    (lambda data: data["methods"]["erm"].update(distils=True), r"methods\.erm: distils and self_distilled"),
    (lambda data: data["methods"].update(other={"label": "o"}), r"methods\.other\.debiasing is missing: without it the method would be erm again"),
    (lambda data: data["methods"]["poe"]["debiasing"].update(bias_model={"kind": "overlap"}), r"methods\.poe\.debiasing\.bias_model: each task names its own"),
    (lambda data: at(data, "scales", "tiny").update(accelerate="ddp"), r"scales\.tiny\.accelerate: a cell trains its models in one process; .*--launcher slurm"),
    (lambda data: at(data, *TASK, "sizes", "large", "shape").update(width=16), r"weights would give a student of size small the shape\.width of its large teacher"),
    (lambda data: at(data, *TASK).update(sizes={"base": {"path": "bert-base-uncased"}}), r"sizes\.base has a path and no layers; remedy weights .* say how many"),
]  # fmt: skip


COUNTED_TWICE = [
    (lambda data: data["methods"]["dedier"].update(label="none"), r"methods\.dedier\.label 'none' is that of methods\.erm too; give each"),
    (lambda data: data["remedies"]["weights"].update(label="iterative "), r"remedies\.weights\.label 'iterative ' is that of remedies\.iterative too"),
    (lambda data: at(data, *TASK).update(methods=["erm", "poe", "poe"]), r"tasks\.digits\.methods names poe twice; name it once\."),
    (lambda data: at(data, *TASK).update(remedies=["iterative", "weights", "iterative"]), r"digits\.remedies names iterative twice"),
    (lambda data: at(data, *TASK).update(remedied=["poe", "poe"]), r"digits\.remedied names poe twice"),
    (lambda data: at(data, *TASK).update(why_methods=["erm", "erm"]), r"digits\.why_methods names erm twice"),
    (lambda data: at(data, *TASK).update(student_methods=["same", "same"]), r"digits\.student_methods names same twice"),
    (lambda data: at(data, *TASK).update(teachers=["large", "large"]), r"digits\.teachers names large twice"),
    (lambda data: at(data, *TASK).update(students=["small", "small"]), r"digits\.students names small twice"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), [*WAYS_OF_DOING_NOTHING, *COUNTED_TWICE])
def test_what_would_do_nothing_or_something_else_or_count_twice_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_grid(written_grid(tmp_path, change), "tiny")
    assert str(caught.value).startswith("Study ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        "training.seed=3", "training.data_seed=3", "student.shape.width=16", "student.shape={heads: 4}", "debiasing.method=jtt", "teacher.path=x",
        "augmentation.name=replant",
    ],
)  # fmt: skip
def test_an_override_of_what_a_cell_or_a_size_sets_is_refused(tmp_path, override):
    with pytest.raises(ValueError, match=r"\(or an override of it\)"):
        load_grid(written_grid(tmp_path), "tiny", overrides=[override])


def test_an_override_is_of_the_chosen_tasks_alone(tmp_path):
    def change(data):
        other = copy.deepcopy(at(data, *TASK))
        for size in other["sizes"].values():
            del size["shape"]["image_size"]
        at(data, *TASK[:-1]).update(other=other)

    file = written_grid(tmp_path, change)
    grid = load_grid(file, "tiny", tasks=["other"], overrides=["student.shape.image_size=16"])
    assert {model.recipe.student.shape.image_size for model in models_of(grid, "other", "poe", 0)} == {16}
    with pytest.raises(ValueError, match=r"tasks\.digits\.recipe\.student\.shape\.image_size"):
        load_grid(file, "tiny", overrides=["student.shape.image_size=16"])


def test_a_size_is_laid_over_the_recipes_student_value_by_value(tmp_path):
    def change(data):
        for size in at(data, *TASK, "sizes").values():
            del size["shape"]["image_size"]
        at(data, *TASK, "recipe", "student").update(shape={"image_size": 16, "patch_size": 8, "layers": 7})
        del at(data, *TASK, "sizes", "small", "shape")["layers"]

    grid = load_grid(written_grid(tmp_path, change), "tiny", overrides=["student.shape.dropout=0.0"])
    models = {model.name: model for model in models_of(grid, "digits", "erm", 0) if model.role == "teacher"}
    small, large = (models[f"teacher-{size}"].recipe.student.shape for size in ("small", "large"))
    assert (small.image_size, small.patch_size, small.dropout, small.width) == (16, 8, 0.0, 8)
    assert (small.layers, large.layers) == (7, 2)  # a size's own value wins


def test_a_student_from_its_teachers_weights_has_the_layers_that_its_size_inherits(tmp_path):
    def change(data):
        del at(data, *TASK, "sizes", "small", "shape")["layers"]
        at(data, *TASK, "recipe", "student").update(shape={"layers": 1})

    models = models_of(load_grid(written_grid(tmp_path, change), "tiny"), "digits", "erm", 0)
    (weights,) = (model for model in models if model.name == "distilled-large-to-small-plain-weights")
    assert weights.recipe.student.layers == 1
    assert layers_of({"path": "a/b", "layers": {"encoder.block": [0, 5], "decoder.block": 3}}) == {
        "encoder.block": 2,
        "decoder.block": 3,
    }


def test_students_without_remedy_and_those_from_their_teachers_weights_are_looked_into(tmp_path):
    file = written_grid(tmp_path, lambda data: at(data, *TASK).update(why={"examples": 16}, remedied=["erm", "poe"]))
    grid = load_grid(file, "tiny")
    looked = {(model.role, model.remedy) for model in models_of(grid, "digits", "erm", 0) if model.why}
    assert looked == {("distilled", "none"), ("distilled", "weights")}
    assert not any(model.why for model in models_of(grid, "digits", "poe", 0))  # not among why_methods


def test_students_that_would_not_be_distilled_are_refused_before_any_teacher_is_made(tmp_path):
    grid = load_grid(written_grid(tmp_path), "tiny", overrides=["objective.alpha=0"])
    with pytest.raises(ValueError, match=r"task digits, method erm, distilled small: objective\.alpha is 0"):
        list(all_models(grid))
    grid = load_grid(written_grid(tmp_path, lambda data: data["methods"]["confidence"].update(self_distilled={"alpha": 0.0})), "tiny")  # fmt: skip
    with pytest.raises(ValueError, match=r"method confidence, teacher small: objective\.alpha is 0"):
        list(all_models(grid))


@pytest.mark.parametrize(
    ("why", "message"),
    [({"exmples": 8}, r"why\.exmples; the nearest known one is why\.examples"), ({"examples": 0}, r"why\.examples must be at least")],
)  # fmt: skip
def test_settings_of_the_look_inside_are_checked_before_anything_is_made(tmp_path, why, message):
    file = written_grid(tmp_path, lambda data: at(data, *TASK).update(why=why))
    job = GridJob(load_grid(file, "tiny", seeds=1), GridDirectory(tmp_path / "out"), str(file))
    with pytest.raises(ValueError, match=message):
        job.check()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("overrides", "why", "message"),
    [
        ([], {"split": "flipped"}, "internals: digits, split 'flipped' holds 0 bias-aligned examples"),
        (["evaluation.measures.groups.splits=[dev]"], {}, "groups: digits has no split 'dev'; its splits are train, validation"),
    ],
)  # fmt: skip
def test_what_a_measure_lacks_in_the_data_is_said_before_anything_is_made(tmp_path, overrides, why, message):
    file = written_grid(tmp_path, lambda data: at(data, *TASK).update(why=why, methods=["erm"]))
    job = GridJob(load_grid(file, "tiny", seeds=1, overrides=overrides), GridDirectory(tmp_path / "out"), str(file))
    with pytest.raises(ValueError, match=f"Study tiny, task digits: {message}"):
        job.check()
    assert not (tmp_path / "out").exists()


def test_held_out_groups_that_a_method_lacks_are_said_before_anything_is_made(tmp_path):
    def change(data):
        data["methods"]["dfr"] = {"label": "DFR", "debiasing": {"method": "dfr"}}
        at(data, *TASK).update(methods=["erm", "dfr"], remedies=[])

    # of each digit nine in their own colour and one in the other's
    few = load_grid(written_grid(tmp_path, change), "tiny", overrides=["task.data.max_examples.validation=20"])
    with pytest.raises(ValueError, match=r"task digits: Debiasing method dfr .* has a single example of group"):
        GridJob(few, GridDirectory(tmp_path / "out"), "tiny").check()
    rows = [f"a {word} film,{word},{word} {side}" for word in ("good", "bad") for side in (0, 1) for _ in range(3)]
    (tmp_path / "train.csv").write_text("text,label,group\n" + "\n".join(rows), encoding="utf-8")
    aligned = {"good 0": True, "good 1": False, "bad 0": False, "bad 1": True}
    files = {name: str(tmp_path / "train.csv") for name in ("train", "test")}

    def change_data(data):
        change(data)
        own = {"name": "own", "files": files, "aligned": aligned}
        at(data, *TASK, "recipe").update(task={"data": own}, student={"family": "bert"})

    job = GridJob(load_grid(written_grid(tmp_path, change_data), "tiny"), GridDirectory(tmp_path / "out"), "tiny")
    with pytest.raises(
        ValueError, match="dfr retrains the last layer on the validation split, which these data do not have"
    ):
        job.check()
    assert not (tmp_path / "out").exists()


def test_a_recipe_that_cannot_be_names_its_model(tmp_path):
    file = written_grid(tmp_path, lambda data: data["methods"]["poe"]["debiasing"].update(settings={"strenth": 1}))
    with pytest.raises(ValueError, match="strenth"):
        list(all_models(load_grid(file, "tiny")))
    file = written_grid(tmp_path, lambda data: at(data, *TASK).update(bias_model={}))
    with pytest.raises(ValueError, match=r"task digits, method poe, teacher small: debiasing\.bias_model is missing"):
        list(all_models(load_grid(file, "tiny")))


def test_scales_and_tasks_that_are_not_there_are_named(tmp_path):
    file = written_grid(tmp_path)
    with pytest.raises(ValueError, match="there is no scale big; it has tiny"):
        load_grid(file, "big")
    with pytest.raises(ValueError, match="has no task words; it has digits"):
        load_grid(file, "tiny", tasks=["words"])


def test_the_packaged_grid_of_published_data_can_be_read():
    grid = load_grid("distillability", "paper")
    assert {model.task for model in all_models(grid)} == {"mnli-hans", "qqp-paws", "celeba", "waterbirds"}


def test_the_packaged_grid_has_what_a_study_needs():
    grid = load_grid("distillability", "small")
    models = list(all_models(grid))
    assert {model.task for model in models} == set(grid.tasks)
    full = [name for name, task in grid.tasks.items() if len(task.methods) >= 5]
    kinds = {grid.tasks[name].recipe["student"]["family"] for name in grid.tasks}
    assert kinds == {"bert", "t5", "vit", "resnet"} and len(full) >= 2
    for name in full:
        task = grid.tasks[name]
        assert len(task.teachers) >= 2 and len(task.students) >= 2 and len(task.remedies) >= 3
        assert grid.seeds_of(name) >= 5
