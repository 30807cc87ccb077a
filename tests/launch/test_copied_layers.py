"""A student that was made of its teacher's layers is looked into beside those layers."""

import pytest

from evenhand.evaluation.internals import anatomy, map_layers
from evenhand.launch.task.copied_layers import copied_layers
from evenhand.launch.task.distill import distill_task
from evenhand.launch.task.evaluation import evaluate_task_run
from evenhand.launch.task.recipe import task_recipe_from_dict
from evenhand.trainer.classifiers import ClassifierShape, new_classifier, new_image_processor
from evenhand.trainer.task_student import make_task_student

TRAINING = {"max_steps": 1, "per_device_train_batch_size": 8, "use_cpu": True, "disable_tqdm": True, "report_to": "none", "save_strategy": "no"}  # fmt: skip
DATA = {"name": "digits", "strength": 0.6, "classes": [0, 1, 2], "max_examples": {"train": 60, "validation": 30}}
TINY = {"width": 8, "heads": 2, "image_size": 8, "patch_size": 4}


def run_of(folder, student, **changed):
    """A student of a ViT of four layers, hardly trained."""
    teacher = folder / "teacher"
    if not teacher.is_dir():
        new_classifier("vit", ("0", "1", "2"), ClassifierShape(**TINY, layers=4)).save_pretrained(teacher)
        new_image_processor(8).save_pretrained(teacher)
    return distill_task(task_recipe_from_dict(recipe_of(folder, student) | changed), folder / "run")


def recipe_of(folder, student):
    teacher = {"path": str(folder / "teacher")}
    return {
        "task": {"data": DATA}, "teacher": teacher, "student": student, "objective": {"alpha": 0.5}, "training": TRAINING
    }  # fmt: skip


def look(run, **settings):
    (entry,) = evaluate_task_run(run, {"examples": 8, "ablation_examples": 4, **settings}).measures["internals"]
    return entry


def test_copied_layers_stand_beside_those_that_they_were_copied_of(tmp_path):
    run = run_of(tmp_path, {"initialisation": "teacher", "layers": 2})
    entry = look(run)
    # evenly spaced, the first and the last: by relative depth layer 2 would stand beside layer 1
    assert entry["comparison"]["layer_map"] == [["layer 1", "layer 1"], ["layer 4", "layer 2"]]
    assert entry["copied_layers"] == {"encoder": [0, 3]} and entry["layer_map"] is None
    heads = entry["comparison"]["overlap"]["heads"]["aligned"]
    assert heads["shared"] == 4 and {name[:7] for name in heads["teacher"]} <= {"layer 1", "layer 4"}


@pytest.mark.parametrize(
    ("student", "changed", "settings", "mapped"),
    [
        ({"family": "vit", "shape": {**TINY, "layers": 2}}, {}, {}, "24"),
        # a map that is given is kept; its layers are no copies of each other
        ({"initialisation": "teacher", "layers": 2}, {}, {"layer_map": [1, 3]}, "24"),
        # of the model before, which is not what it is compared with
        (
            {"initialisation": "teacher", "layers": 2},
            {"ladder": [{"family": "vit", "shape": {**TINY, "layers": 4}}]},
            {},
            "24",
        ),
    ],
)
def test_heads_of_layers_that_are_no_copies_are_not_compared(tmp_path, student, changed, settings, mapped):
    entry = look(run_of(tmp_path, student, **changed), **settings)
    assert entry["comparison"]["layer_map"] == [[f"layer {mapped[0]}", "layer 1"], [f"layer {mapped[1]}", "layer 2"]]
    assert set(entry["comparison"]["overlap"]) == {"sublayers"}
    assert not any(score["key"].startswith("heads") for score in entry["model"]["scores"])


def test_layers_of_stacks_that_differ_are_named_in_the_recipe(tmp_path):
    shape = ClassifierShape(width=8, layers=3, image_size=8, stages=2)
    new_classifier("resnet", ("0", "1", "2"), shape).save_pretrained(tmp_path / "teacher")
    new_image_processor(8).save_pretrained(tmp_path / "teacher")
    layers = {"encoder.stages.0.layers": 1, "encoder.stages.1.layers": [0, 2]}
    entry = look(run_of(tmp_path, {"initialisation": "teacher", "layers": layers}))
    mapped = [("1.1", "1.1"), ("2.1", "2.1"), ("2.3", "2.2")]
    assert entry["comparison"]["layer_map"] == [[f"block {above}", f"block {below}"] for above, below in mapped]
    with pytest.raises(
        ValueError, match=r"student\.layers names encoder\.block; the teacher's stacks are encoder\.stages\.0\.layers, "
    ):
        distill_task(
            task_recipe_from_dict(recipe_of(tmp_path, {"initialisation": "teacher", "layers": {"encoder.block": 1}})),
            tmp_path / "other",
        )


@pytest.mark.parametrize(
    ("family", "layers", "expected"),
    [
        ("bert", 2, {"encoder": [0, 2]}),
        ("distilbert", [1], {"encoder": [1]}),
        ("t5", {"encoder.block": 2, "decoder.block": [2]}, {"encoder": [0, 2], "decoder": [2]}),
        ("resnet", {"encoder.stages.1.layers": [0, 2]}, {"stage 1": [0], "stage 2": [0, 2]}),
    ],
)
def test_stacks_are_named_as_the_look_inside_names_them(family, layers, expected):
    from evenhand.launch.planted_tokenizer import build_tokenizer

    shape = ClassifierShape(width=8, layers=3, heads=2, stages=2, max_positions=16)
    teacher = new_classifier(family, ("a", "b"), shape, build_tokenizer(["good film"]))
    student, plan = make_task_student(teacher, layers=layers)
    found = copied_layers({"student": plan.to_dict(), "ladder": []})
    assert found == expected
    pairs = map_layers(anatomy(teacher), anatomy(student), found)
    assert [above.number - 1 for above, _ in pairs] == [layer for own in expected.values() for layer in own]


@pytest.mark.parametrize(
    "training",
    [
        None,
        {"student": {"initialisation": "random", "teacher_layers": {}}},
        {"student": {"initialisation": "pre-trained", "teacher_layers": {"encoder.layer": [0, 3]}}},
        {"student": {"initialisation": "teacher", "teacher_layers": {"encoder.layer": [0, 0]}}},
    ],
)
def test_other_students_have_no_copied_layers(training):
    assert copied_layers(training) is None
