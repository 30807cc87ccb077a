"""The evaluator of group metrics on tiny classifiers, and reports of it."""

import json

import numpy as np
import pytest
import torch
from tiny_classifiers import (
    IMAGE_KINDS,
    LABELS,
    TEXT_KINDS,
    drawn_pictures,
    image_rows,
    save_classifier,
    text_rows,
    toy_data,
    toy_texts,
)

from evenhand.evaluation import evaluate_model
from evenhand.evaluation.classifiers import load_classifier
from evenhand.evaluation.evaluator import NotApplicable
from evenhand.evaluation.group_intervals import (
    accuracy_difference_interval,
    difference_of_shares,
    drop_difference_p_value,
)
from evenhand.evaluation.grouped_data import GroupedData
from evenhand.evaluation.grouped_data.split_hash import split_sha256
from evenhand.evaluation.groups import Groups
from evenhand.evaluation.groups_comparison import compare_groups
from evenhand.evaluation.groups_result import GroupsResult
from evenhand.evaluation.report import EvaluationReport
from evenhand.evaluation.report_table import report_table
from evenhand.evaluation.seat import Seat

SIDES = {"aligned": True, "conflicting": False}


def one_by_one(model, processor, rows):
    """Predictions without batches: every example alone."""
    found = []
    with torch.no_grad():
        for row in rows:
            if "image" in row:
                inputs = processor([np.asarray(row["image"])], return_tensors="pt", input_data_format="channels_last")
            else:
                inputs = processor(row["text"], return_tensors="pt")
                inputs.pop("token_type_ids", None) if type(model).__name__.startswith(("Distil", "T5")) else None
            found.append(int(model(**inputs).logits.argmax()))
    return np.array(found)


@pytest.mark.parametrize("kind", [*TEXT_KINDS, *IMAGE_KINDS])
def test_every_family_is_classified_in_batches_as_one_example_at_a_time(kind, tmp_path):
    model, processor = load_classifier(save_classifier(tmp_path, kind, scale=8.0))
    data = toy_data("image" if kind in IMAGE_KINDS else "text")
    result = Groups(data, batch_size=5).run(model, processor)
    found = result.splits["flipped"].metrics
    expected = one_by_one(model, processor, data.splits["flipped"])
    assert 0 < expected.sum() < len(expected), "the random classifier must not be constant, or nothing is tested"
    assert found.predictions.tolist() == expected.tolist()
    assert found.labels.tolist() == list(data.splits["flipped"]["label"])
    assert found.groups.tolist() == list(data.splits["flipped"]["group"])


def test_batch_size_changes_nothing_and_the_model_is_left_as_it_was(tmp_path):
    model, tokenizer = load_classifier(save_classifier(tmp_path, scale=8.0))
    model.train()
    results = [Groups(toy_data(), batch_size=size).run(model, tokenizer).to_dict() for size in (1, 7, 64)]
    assert results[0] == results[1] == results[2]
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())


def test_labels_are_matched_by_name_whatever_their_order_and_case(tmp_path):
    model, tokenizer = load_classifier(save_classifier(tmp_path, labels=("Positive", "NEGATIVE"), scale=8.0))
    texts, labels, groups = toy_texts(30)
    data = GroupedData("toy", "text", {"test": text_rows(texts, labels, groups)}, SIDES)
    found = Groups(data).run(model, tokenizer).splits["test"].metrics
    # the model's label 0 is the data's label 1
    assert found.predictions.tolist() == (1 - one_by_one(model, tokenizer, data.splits["test"])).tolist()


def test_merged_labels_are_compared_by_the_sum_of_their_probabilities(tmp_path):
    names = ("entailment", "neutral", "contradiction")
    model, tokenizer = load_classifier(save_classifier(tmp_path, labels=names, scale=8.0))
    texts, labels, groups = toy_texts(40)
    with torch.no_grad():  # entailment about as likely as both others together, so that the two rules differ
        model.classifier.weight *= 0.3
        alone = torch.stack(
            [model(**tokenizer(*pair, return_tensors="pt")).logits[0] for pair in zip(texts, texts[::-1], strict=True)]
        )
        model.classifier.bias[0] -= (alone[:, 0] - alone[:, 1:].logsumexp(1)).median()
    rows = text_rows(texts, labels, groups, ("non-entailment", "entailment"), pairs=texts[::-1])
    inside = text_rows(texts, labels, groups, names, pairs=texts[::-1])
    merged = {"neutral": "non-entailment", "contradiction": "non-entailment"}
    data = GroupedData("nli", "text", {"test": inside, "hans": rows}, SIDES, ("hans",), {"hans": merged})
    result = Groups(data).run(model, tokenizer)
    expected, by_largest = [], []
    with torch.no_grad():
        for row in rows:
            inputs = tokenizer(row["text"], row["text_pair"], return_tensors="pt")
            p = model(**inputs).logits.double().softmax(-1)[0]
            expected.append(int(p[0] > p[1] + p[2]))
            by_largest.append(int(p.argmax() == 0))
    assert expected != by_largest and 0 < sum(expected) < 40, "the two rules must differ here, or nothing is tested"
    assert result.splits["hans"].metrics.predictions.tolist() == expected
    written = result.to_dict()["splits"]["hans"]
    assert written["merged_labels"] == merged and "summed" in written["merging"]


def test_the_entry_of_a_report_holds_splits_scores_and_predictions(tmp_path):
    student = save_classifier(tmp_path / "student", scale=8.0)
    teacher = save_classifier(tmp_path / "teacher", seed=1, scale=8.0)
    report = evaluate_model(student, teacher, [Groups(toy_data(n=40))])
    assert list(report.measures) == ["groups"]
    entry = report.measures["groups"][0]
    assert entry["data"]["name"] == "toy" and set(entry["data"]["sha256"]) == {"test", "flipped"}
    assert entry["data"]["licence"] == "cc0-1.0" and entry["data"]["facts"] == {"shortcut": {"strength": 0.9}}
    keys = [score["key"] for score in entry["model"]["scores"]]
    metrics = ("accuracy", "macro_f1", "worst_group", "spurious_gap")
    assert keys == [f"{split}_{name}" for split in ("test", "flipped") for name in metrics] + ["test_minus_flipped"]
    assert [change["key"] for change in entry["comparison"]["scores"]] == keys
    assert report.model["labels"] == list(LABELS) and report.model["kind"] == "text"
    # the file reads again, and what it holds is enough to compare two reports
    again = EvaluationReport.load(report.save(tmp_path / "report.json")).measures["groups"][0]
    results = [GroupsResult.from_dict(again[side]) for side in ("model", "reference")]
    assert [result.to_dict() for result in results] == [again["model"], again["reference"]]
    assert Groups(toy_data(n=40)).compare(*results) == json.loads(json.dumps(entry["comparison"]))
    table = report_table(report)
    conflicting = entry["model"]["splits"]["flipped"]["groups"][1]
    assert "spurious gap, flipped" in table and "groups of toy" in table
    line = next(line for line in table.splitlines() if line.split()[:2] == ["flipped", "conflicting"])
    assert line.split()[2:4] == ["conflicting", str(conflicting["n"])] and f"{conflicting['accuracy']:.1f}" in line


def test_scores_are_those_of_the_predictions_by_hand(tmp_path):
    model, tokenizer = load_classifier(save_classifier(tmp_path, scale=8.0))
    result = Groups(toy_data(n=40)).run(model, tokenizer)
    found = {score.key: score.value for score in result.scores}
    accuracy = {}
    for name, split in result.splits.items():
        metrics = split.metrics
        right = metrics.labels == metrics.predictions
        sides = [right[metrics.groups == group].mean() for group in (0, 1)]
        accuracy[name] = right.mean()
        assert found[f"{name}_accuracy"] == pytest.approx(100 * right.mean())
        assert found[f"{name}_worst_group"] == pytest.approx(100 * min(sides))
        assert found[f"{name}_spurious_gap"] == pytest.approx(100 * (sides[0] - sides[1]))
    assert found["test_minus_flipped"] == pytest.approx(100 * (accuracy["test"] - accuracy["flipped"]))


def with_the_same_examples():
    """The toy texts as ``test`` and, said to be the same ones, as ``flipped`` and ``turned`` with other words at their end."""
    texts, labels, groups = toy_texts(40)
    splits = {
        name: text_rows([f"{text} {end}" for text, end in zip(texts, ends, strict=True)], labels, groups)
        for name, ends in (("test", ["red"] * 40), ("flipped", ["bad", "plot"] * 20), ("turned", ["blue"] * 40))
    }
    return GroupedData("toy", "text", splits, SIDES, ("flipped", "turned"), same_examples={"flipped": "test"})


def test_a_drop_to_a_split_of_the_same_examples_is_paired_and_any_other_is_not(tmp_path):
    data = with_the_same_examples()
    one, other = (
        Groups(data).run(*load_classifier(save_classifier(tmp_path / str(seed), seed=seed, scale=8.0)))
        for seed in (0, 1)
    )
    scores = {score.key: score for score in one.scores}
    rights = {name: split.metrics.right for name, split in one.splits.items()}
    paired, unpaired = scores["test_minus_flipped"], scores["test_minus_turned"]
    assert (paired.n, unpaired.n) == (40, 80)
    assert paired.interval_method.startswith("paired outcomes of the same examples")
    assert unpaired.interval_method.startswith("Newcombe")
    assert unpaired.confidence_interval == difference_of_shares(rights["test"], rights["turned"], 0.95)
    # that of the mean of the examples' changes, whatever the draws' seed
    low, high = accuracy_difference_interval(rights["test"], rights["flipped"], 99, 0.95)
    assert paired.confidence_interval == pytest.approx((low, high), abs=1.5)
    changes = {change["key"]: change for change in compare_groups(one, other)["scores"]}
    sides = [[r.splits[name].metrics.right for name in ("test", "flipped")] for r in (one, other)]
    change = changes["test_minus_flipped"]
    assert change["interval_method"].startswith("paired outcomes of both models on the same examples")
    assert change["p_value"] == pytest.approx(drop_difference_p_value(*sides, 99), abs=0.01)
    assert changes["test_minus_turned"]["interval_method"].startswith("paired outcomes by group")


def test_reports_of_before_do_not_say_what_is_the_same_and_are_read_all_the_same(tmp_path):
    data = with_the_same_examples()
    result = Groups(data).run(*load_classifier(save_classifier(tmp_path, scale=8.0)))
    written = result.to_dict()
    assert GroupsResult.from_dict(written).to_dict() == written
    for split in written["splits"].values():
        del split["same_examples_as"]
    before = GroupsResult.from_dict(written)
    score = next(score for score in before.scores if score.key == "test_minus_flipped")
    assert score.n == 80 and score.interval_method.startswith("Newcombe")
    for pair in ((before, result), (result, before)):  # the data are the same, so one saying it is enough
        changes = {change["key"]: change for change in compare_groups(*pair)["scores"]}
        assert changes["test_minus_flipped"]["interval_method"].startswith("paired outcomes of both models")


def test_an_image_classifier_has_facts_without_a_vocabulary(tmp_path):
    report = evaluate_model(save_classifier(tmp_path, "resnet"), None, [Groups(toy_data("image"))])
    facts = EvaluationReport.load(report.save(tmp_path / "report.json")).model
    assert facts["vocab_size"] is facts["max_length"] is facts["tokenizer_sha256"] is None
    assert facts["kind"] == "image" and len(facts["image_processor_sha256"]) == 64
    assert (facts["layers"], facts["hidden_size"]) == (3, 16)  # depths 1 and 2, last stage 16 wide
    assert (facts["depths"], facts["hidden_sizes"]) == ([1, 2], [8, 16])


def test_seat_beside_groups_measures_the_body_of_the_classifier(tmp_path):
    from tiny_encoders import tiny_tokenizer

    folder = save_classifier(tmp_path / "student", scale=2.0, tokenizer=tiny_tokenizer())
    alone = evaluate_model(folder, None, [Seat(tests=["C6"], families=["gender"])]).measures["seat"][0]["model"]
    report = evaluate_model(folder, None, [Seat(tests=["C6"], families=["gender"]), Groups(toy_data())])
    assert report.measures["seat"][0]["model"]["tests"] == alone["tests"]


def test_a_measure_of_text_does_not_apply_to_an_image_classifier(tmp_path):
    folder = save_classifier(tmp_path, "vit")
    report = evaluate_model(folder, None, [Groups(toy_data("image")), "speed"])
    assert "takes images" in report.measures["speed"][0]["not_applicable"]["model"]
    with pytest.raises(ValueError, match=r"SEAT cannot be measured, and a report needs it: .* takes images"):
        evaluate_model(folder, None, [Seat(), Groups(toy_data("image"))])


def test_text_data_do_not_apply_to_an_image_classifier(tmp_path):
    model, processor = load_classifier(save_classifier(tmp_path, "vit"))
    with pytest.raises(NotApplicable, match="the examples are texts, ViTForImageClassification takes image"):
        Groups(toy_data()).run(model, processor)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("good", "bad"), "labels (good, bad) are not those of the data (negative, positive)"),
        (("LABEL_0", "LABEL_1"), "labels have no names (LABEL_0, LABEL_1); set config.id2label"),
        (("negative", "neutral", "positive"), "labels (negative, neutral, positive) are not those of the data"),
    ],
)
def test_labels_that_cannot_be_matched_are_refused_in_one_line(labels, message, tmp_path):
    model, tokenizer = load_classifier(save_classifier(tmp_path, labels=labels))
    with pytest.raises(ValueError) as error:
        Groups(toy_data()).run(model, tokenizer)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_an_image_of_another_mode_is_refused_by_its_place(tmp_path):
    model, processor = load_classifier(save_classifier(tmp_path, "vit"))
    pictures = [*drawn_pictures(3), *drawn_pictures(1, mode="L")]
    rows = image_rows(pictures, [0, 1, 0, 1], [0, 1, 0, 1])
    data = GroupedData("toy", "image", {"test": rows}, SIDES)
    with pytest.raises(ValueError, match=r"test, image 3: has mode L, the model takes RGB; convert the images$"):
        Groups(data, batch_size=2).run(model, processor)


def test_a_broken_image_is_refused_by_its_place(tmp_path):
    model, processor = load_classifier(save_classifier(tmp_path, "vit"))
    rows = image_rows([*drawn_pictures(2), {"bytes": b"no picture", "path": None}], [0, 1, 0], [0, 1, 0])
    with pytest.raises(ValueError, match="test, image 2: cannot be decoded"):
        from evenhand.evaluation.class_predictions import class_predictions

        class_predictions(model, processor, rows, np.eye(2), what="test", batch_size=2)


def test_damage_inside_an_image_is_named_where_the_examples_are_hashed(tmp_path):
    path = tmp_path / "a.png"
    drawn_pictures(1, size=64)[0].save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + content[-12:])
    rows = image_rows([{"bytes": None, "path": str(path)}], [0], [0])
    with pytest.raises(ValueError, match=r"a\.png: is a broken image"):
        split_sha256(rows)


def test_a_t5_whose_texts_do_not_end_is_refused_in_one_line(tmp_path):
    model, tokenizer = load_classifier(save_classifier(tmp_path, "t5"))
    model.config.eos_token_id = 1
    with pytest.raises(ValueError, match=r"test: T5ForSequenceClassification refuses the inputs: .*<eos>"):
        Groups(toy_data()).run(model, tokenizer)


def test_nan_weights_are_refused(tmp_path):
    model, tokenizer = load_classifier(save_classifier(tmp_path))
    model.classifier.bias.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="the classifier gives NaN or infinity"):
        Groups(toy_data()).run(model, tokenizer)


def test_splits_are_the_test_and_the_shifted_ones_unless_named():
    texts, labels, groups = toy_texts()
    rows = text_rows(texts, labels, groups)
    names = ("train", "validation", "test", "flipped")
    data = GroupedData("toy", "text", dict.fromkeys(names, rows), SIDES, ("flipped",))
    assert Groups(data).split_names == ("test", "flipped")
    assert Groups(data, splits=["validation"]).split_names == ("validation",)
    with pytest.raises(ValueError, match="toy has no split 'tset'; its splits are train, validation, test, flipped"):
        Groups(data, splits=["tset"]).settings()
    with pytest.raises(ValueError, match=r"has no test split; name one, splits: \[train\]"):
        Groups(GroupedData("toy", "text", {"train": rows}, SIDES)).settings()


def test_wrong_settings_are_refused_before_anything_is_loaded():
    with pytest.raises(ValueError, match="data must hold the name of data with groups"):
        Groups({"nmae": "digits"})
    with pytest.raises(ValueError, match="splits must be a list of names"):
        Groups(toy_data(), splits="test")
    with pytest.raises(ValueError, match='evaluator "groups" needs data'):
        evaluate_model("nowhere", None, ["groups"])
    with pytest.raises(ValueError, match="there are no data with groups named 'digts'; did you mean 'digits'"):
        Groups({"name": "digts"}).settings()


def test_other_examples_are_not_compared(tmp_path):
    model, tokenizer = load_classifier(save_classifier(tmp_path, scale=8.0))
    one, other = (Groups(toy_data(n=n)).run(model, tokenizer) for n in (24, 25))
    with pytest.raises(ValueError, match="of different examples and cannot be compared"):
        Groups(toy_data()).compare(one, other)
    texts, labels, groups = toy_texts(24)
    changed = GroupedData("toy", "text", {"test": text_rows(texts[::-1], labels, groups)}, SIDES)
    with pytest.raises(ValueError, match="of different examples"):  # the labels agree, the texts do not
        Groups(changed).compare(Groups(changed).run(model, tokenizer), one)


def test_the_hash_tells_texts_labels_groups_and_pixels_apart():
    texts, labels, groups = toy_texts()
    plain = split_sha256(text_rows(texts, labels, groups))
    assert plain == split_sha256(text_rows(texts, labels, groups))
    others = [
        text_rows(texts[::-1], labels, groups),
        text_rows(texts, 1 - labels, groups),
        text_rows(texts, labels, 1 - groups),
        text_rows(texts, labels, groups, ("no", "yes")),
    ]
    pictures = drawn_pictures(24)
    changed = [picture.copy() for picture in pictures]
    changed[7].putpixel((0, 0), (1, 2, 3))
    others += [image_rows(pictures, labels, groups), image_rows(changed, labels, groups)]
    assert len({plain, *map(split_sha256, others)}) == 7
