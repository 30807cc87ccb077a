"""The evaluator of what differs inside two classifiers: against numbers taken one example at a time, and in reports."""

import numpy as np
import pytest
import torch
from random_classifiers import tiny_classifier
from scipy.spatial.distance import jensenshannon
from tiny_classifiers import (
    IMAGE_KINDS,
    LABELS,
    image_processor,
    save_classifier,
    text_rows,
    text_tokenizer,
    toy_data,
    toy_texts,
)
from transformers import ViTConfig, ViTForImageClassification

from evenhand.evaluation import evaluate_model
from evenhand.evaluation.classifiers import load_classifier
from evenhand.evaluation.evaluator import NotApplicable
from evenhand.evaluation.grouped_data import GroupedData
from evenhand.evaluation.internals import Internals
from evenhand.evaluation.internals.internals_result import UNMATCHED
from evenhand.evaluation.internals.matched_examples import choose_examples
from evenhand.evaluation.report import EvaluationReport
from evenhand.evaluation.report_table import report_table

ALIGNED = {"aligned": True, "conflicting": False, "neither": None}


def named(model, labels=LABELS):
    model.config.id2label = dict(enumerate(labels))
    return model


def evaluator(data=None, **settings):
    """Small minibatches, so that there are several, and no ablation unless it is asked for."""
    return Internals(
        toy_data(n=60) if data is None else data,
        **{"split": "test", "minibatch": 8, "ablation_examples": 0, **settings},
    )


def plain_hsic(first, second):
    """HSIC₁ of two layers by the formula of Song et al. (2012), equation 5."""
    k, l = (np.array(x) @ np.array(x).T for x in (first, second))  # noqa: E741
    n, one = len(k), np.ones(len(k))
    k, l = k * (1 - np.eye(n)), l * (1 - np.eye(n))  # noqa: E741
    total = np.trace(k @ l) + one @ k @ one * (one @ l @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ l @ one)
    return total / (n * (n - 3))


def test_the_matrices_are_those_of_examples_taken_one_at_a_time():
    tokenizer, look = text_tokenizer("bert"), evaluator()
    teacher, student = (
        named(tiny_classifier("bert", layers=3)),
        named(tiny_classifier("distilbert", layers=2, width=12)),
    )
    result, _ = look.run_pair(student, text_tokenizer("distilbert"), teacher, tokenizer)
    found = result.compare()
    rows = look.data.splits["test"]
    for side in ("aligned", "conflicting"):
        batches = [numbers for of, numbers in look.chosen.minibatches(8, several=True) if of == side]
        states, divergence = [], []
        for numbers in batches:
            states.append([[], []])
            for number in numbers:
                inputs = tokenizer(rows[int(number)]["text"], return_tensors="pt")
                inputs.pop("token_type_ids")
                outputs = []
                for place, model in enumerate((teacher, student)):
                    model.set_attn_implementation("eager")
                    with torch.no_grad():
                        outputs.append(model(**inputs, output_hidden_states=True, output_attentions=True))
                    model.set_attn_implementation("sdpa")
                    states[-1][place].append([state[0].double().mean(0).numpy() for state in outputs[-1].hidden_states])
                maps = [output.attentions[1][0].mean(0).numpy() for output in outputs]
                divergence.append(np.mean([jensenshannon(p, q, base=2) ** 2 for p, q in zip(*maps, strict=True)]))
        for row, column in ((0, 0), (1, 2), (3, 1)):
            layers = [
                [[vectors[layer] for vectors in batch[place]] for batch in states]
                for place, layer in ((0, row), (1, column))
            ]
            sums = [
                sum(plain_hsic(x, y) for x, y in zip(layers[one], layers[other], strict=True))
                for one, other in ((0, 1), (0, 0), (1, 1))
            ]
            expected = sums[0] / np.sqrt(sums[1] * sums[2])
            assert found["similarity"][side]["values"][row][column] == pytest.approx(expected, abs=2e-4)
        assert found["attention"]["kinds"]["encoder"][side]["values"][1][1] == pytest.approx(
            np.mean(divergence), abs=2e-4
        )
    table = found["similarity"]
    assert (
        table["teacher_layers"] == ["embeddings", "layer 1", "layer 2", "layer 3"] and len(table["student_layers"]) == 3
    )
    np.testing.assert_allclose(
        np.array(table["difference"]["values"]), np.array(table["aligned"]["values"]) - np.array(table["conflicting"]["values"]), atol=2e-4
    )  # fmt: skip
    assert found["layer_map"] == [["layer 2", "layer 1"], ["layer 3", "layer 2"]]


def test_a_model_beside_itself_is_all_alike():
    model, tokenizer = named(tiny_classifier("bert", layers=3)), text_tokenizer("bert")
    result, _ = evaluator(ablation_examples=8, copied_layers=[0, 1, 2]).run_pair(model, tokenizer, model, tokenizer)
    found, scores = result.compare(), {score["key"]: score["value"] for score in result.to_dict()["scores"]}
    for side in ("aligned", "conflicting"):
        assert np.diag(found["similarity"][side]["values"]) == pytest.approx(np.ones(4))
        assert np.diag(found["attention"]["kinds"]["encoder"][side]["values"]) == pytest.approx(np.zeros(3), abs=1e-4)
        for pair in found["attention"]["kinds"]["encoder"]["best_matched_heads"]:
            assert pair["heads"] == [[1, 1], [2, 2]] and pair[side] == pytest.approx(0, abs=1e-4)
        for unit in ("sublayers", "heads"):
            assert found["overlap"][unit][side]["jaccard"] == 1.0 == scores[f"{unit}_overlap_{side}"]
        assert scores[f"cka_{side}"] == pytest.approx(1.0) and scores[f"encoder_attention_{side}"] == pytest.approx(
            0, abs=1e-4
        )
    assert scores["cka_difference"] == pytest.approx(0, abs=1e-6)


def test_headline_scores_are_means_over_the_mapped_layers():
    tokenizer, look = text_tokenizer("bert"), evaluator(layer_map=[0, 3])
    teacher, student = named(tiny_classifier("bert", layers=4)), named(tiny_classifier("bert", layers=2, seed=1))
    result, _ = look.run_pair(student, tokenizer, teacher, tokenizer)
    found, scores = result.compare(), {score["key"]: score for score in result.to_dict()["scores"]}
    for side in ("aligned", "conflicting", "difference"):
        cka = np.array(found["similarity"][side]["values"])
        assert scores[f"cka_{side}"]["value"] == pytest.approx((cka[1, 1] + cka[4, 2]) / 2, abs=2e-4)
        attention = np.array(found["attention"]["kinds"]["encoder"][side]["values"])
        assert scores[f"encoder_attention_{side}"]["value"] == pytest.approx(
            (attention[0, 0] + attention[3, 1]) / 2, abs=2e-4
        )
        for key, score in scores.items():
            low, high = score["confidence_interval"]
            assert low < score["value"] < high, key
        late = found["similarity"]["by_depth"]["late"][side]["value"]
        assert late == pytest.approx(cka[4, 2], abs=2e-4)
    assert found["similarity"]["by_depth"]["early"]["aligned"] is None  # two layers are a middle and a late one


def test_what_is_taken_out_is_counted_on_the_chosen_examples():
    model, tokenizer = named(tiny_classifier("bert", layers=1)), text_tokenizer("bert")
    look = evaluator(ablation_examples=12, replacement="zero")
    found = look.run(model, tokenizer).to_dict()["ablation"]
    assert found["examples"] == {"aligned": 12, "conflicting": 12} and len(found["components"]) == 4
    rows, whole, without = look.data.splits["test"], [], []
    edited = named(tiny_classifier("bert", layers=1))
    with torch.no_grad():
        edited.bert.encoder.layer[0].output.dense.weight.zero_()
        edited.bert.encoder.layer[0].output.dense.bias.zero_()
        for number in look.chosen.rows["conflicting"][:12]:
            inputs = tokenizer(rows[int(number)]["text"], return_tensors="pt")
            for of, kept in ((model, whole), (edited, without)):
                kept.append(float(of(**inputs).logits.double().log_softmax(-1)[0, rows[int(number)]["label"]]))
    assert found["whole"]["conflicting"]["log_probability"]["value"] == pytest.approx(np.mean(whole), abs=2e-4)
    fall = next(one for one in found["components"] if one["name"] == "layer 1 mlp")["conflicting"]["log_probability"]
    assert fall["value"] == pytest.approx(np.mean(whole) - np.mean(without), abs=2e-4)
    assert fall["confidence_interval"][0] < fall["value"] < fall["confidence_interval"][1]


@pytest.mark.parametrize("kind", ["bert", "t5", "vit", "resnet"])
def test_every_family_is_looked_into_from_folders_into_a_report(kind, tmp_path):
    student, teacher = (save_classifier(tmp_path / name, kind, seed=seed, scale=8.0) for seed, name in enumerate("ab"))
    data = toy_data("image" if kind in IMAGE_KINDS else "text", n=44)
    copied = {"stage 1": [0], "stage 2": [0, 1]} if kind == "resnet" else [0]
    report = evaluate_model(student, teacher, [evaluator(data, ablation_examples=8, copied_layers=copied)])
    report = EvaluationReport.load(report.save(tmp_path / "report.json"))
    (entry,) = report.measures["internals"]
    compared = entry["comparison"]
    assert entry["data"]["name"] == "toy" and entry["examples_of_a_side"] >= 8 and entry["labels_matched"]
    assert (compared["attention"] is None) == (kind == "resnet") == bool(compared["no_attention"])
    if kind == "resnet":
        assert compared["no_attention"] == "no attention maps: ResNetForImageClassification has none"
    elif kind == "t5":
        assert set(compared["attention"]["kinds"]) == {"encoder", "decoder", "cross"}
    assert set(compared["overlap"]) == ({"sublayers"} if kind == "resnet" else {"sublayers", "heads"})
    assert len(entry["model"]["ablation"]["components"]) == {"t5": 11, "resnet": 3}.get(kind, 4)
    assert "CKA with the teacher, aligned − conflicting" in report_table(report)


def test_models_of_different_families_share_what_they_can():
    t5, bert = named(tiny_classifier("t5")), named(tiny_classifier("bert", heads=4))
    t5.config.eos_token_id = 3
    result, _ = evaluator(ablation_examples=8).run_pair(bert, text_tokenizer("bert"), t5, text_tokenizer("t5"))
    found = result.compare()
    assert found["layer_map"] == [["encoder 1", "layer 1"], ["encoder 2", "layer 2"]]
    assert list(found["attention"]["kinds"]) == ["encoder"] and set(found["overlap"]) == {"sublayers"}
    vit, resnet = named(tiny_classifier("vit")), named(tiny_classifier("resnet"))
    result, _ = evaluator(toy_data("image", n=44), ablation_examples=8).run_pair(
        vit, image_processor(), resnet, image_processor()
    )
    found = result.compare()
    assert found["layer_map"] == [["block 2.1", "layer 1"], ["block 2.2", "layer 2"]] and found["overlap"] == {}
    assert np.array(found["similarity"]["aligned"]["values"]).shape == (4, 3)


def test_tokenizers_that_cut_otherwise_leave_attention_out_and_say_so():
    model, tokenizer = named(tiny_classifier("bert")), text_tokenizer("bert")
    other = text_tokenizer("distilbert")
    other.add_tokens(["good film"])
    result, _ = evaluator().run_pair(model, tokenizer, model, other)
    assert result.compare()["attention"] is None and "different tokens" in result.compare()["no_attention"]
    assert not any(score["key"].startswith("encoder_attention") for score in result.to_dict()["scores"])


def test_models_are_left_as_they_were_and_see_no_more_than_a_minibatch():
    tokenizer, largest = text_tokenizer("bert"), []
    teacher, student = named(tiny_classifier("bert")), named(tiny_classifier("bert", seed=1))
    for model in (teacher, student):
        model.train()
        model.bert.embeddings.register_forward_hook(lambda module, args, output: largest.append(len(output)))
    states = [{name: tensor.clone() for name, tensor in model.state_dict().items()} for model in (teacher, student)]
    evaluator(ablation_examples=8, minibatch=6).run_pair(student, tokenizer, teacher, tokenizer)
    assert max(largest) <= 6
    for model, before in zip((teacher, student), states, strict=True):
        assert model.training and model.config._attn_implementation == "sdpa"
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


# which examples


def rows_of(labels, groups, label_names=LABELS):
    return text_rows(["a film"] * len(labels), labels, groups, label_names, tuple(ALIGNED))


def test_both_sides_have_each_label_as_often():
    labels = [0] * 30 + [1] * 10 + [0] * 8 + [1] * 40 + [0, 1] * 5
    rows = rows_of(labels, [0] * 40 + [1] * 48 + [2] * 10)
    for at_most, expected in ((512, (8, 10)), (12, (6, 6))):
        found = choose_examples("toy", "test", rows, ALIGNED, at_most, seed=0)
        assert found.matched and found.count == sum(expected)
        assert found.labels == {
            name: {"aligned": n, "conflicting": n} for name, n in zip(LABELS, expected, strict=True)
        }
        for side, group in (("aligned", 0), ("conflicting", 1)):
            assert len(set(found.rows[side])) == found.count
            assert set(np.array(rows["group"][:])[found.rows[side]]) == {group}
    again = choose_examples("toy", "test", rows, ALIGNED, 12, seed=1).rows["aligned"]
    assert sorted(again) != sorted(found.rows["aligned"])


def test_sides_without_a_common_label_are_not_matched_and_the_result_says_so():
    rows = rows_of([1] * 20 + [0] * 30, [0] * 20 + [1] * 30)
    found = choose_examples("hans", "test", rows, ALIGNED, 16, seed=0)
    assert not found.matched and found.count == 16 and found.labels["positive"] == {"aligned": 16, "conflicting": 0}
    texts, _, _ = toy_texts(50)
    rows = text_rows(texts, [1] * 20 + [0] * 30, [0] * 20 + [1] * 30)
    model = named(tiny_classifier("bert"))
    look = evaluator(GroupedData("hans", "text", {"test": rows}, {"aligned": True, "conflicting": False}))
    result, _ = look.run_pair(model, text_tokenizer("bert"), model, text_tokenizer("bert"))
    assert result.to_dict()["note"] == UNMATCHED


@pytest.mark.parametrize(("count", "size"), [(16, 8), (17, 8), (9, 8), (11, 4), (10, 7)])
def test_minibatches_are_of_nearly_equal_sizes_of_four_at_least(count, size):
    found = choose_examples("toy", "test", rows_of([0] * 40, [0] * 20 + [1] * 20), ALIGNED, count, seed=0)
    for side in ("aligned", "conflicting"):
        pieces = [rows for of, rows in found.minibatches(size) if of == side]
        lengths = [len(piece) for piece in pieces]
        assert sorted(np.concatenate(pieces)) == sorted(found.rows[side])
        assert min(lengths) >= 4 and max(lengths) - min(lengths) <= 1


def test_few_examples_are_cut_into_more_minibatches_for_an_interval_but_not_too_small_ones():
    found = choose_examples("toy", "test", rows_of([0] * 160, [0] * 80 + [1] * 80), ALIGNED, 80, seed=0)
    for count, size, expected in ((80, 32, [10] * 8), (20, 32, [10, 10]), (12, 32, [12]), (80, 4, [4] * 20)):
        pieces = [len(rows) for of, rows in found.minibatches(size, count, several=True) if of == "aligned"]
        assert pieces == expected


def test_the_split_with_the_most_examples_on_its_smaller_side_is_the_default():
    texts, labels, _ = toy_texts(60)
    groups = {"train": [0, 1] * 30, "test": [0] * 50 + [1] * 10, "flipped": [1] * 60, "neutral": [0] * 20 + [1] * 40}
    splits = {split: text_rows(texts, labels, of) for split, of in groups.items()}
    data = GroupedData("toy", "text", splits, {"aligned": True, "conflicting": False}, ("flipped", "neutral"))
    settings = evaluator(data, split=None).settings()
    assert settings["split"] == "neutral" and set(settings["data"]["sha256"]) == {"neutral"}
    assert evaluator(data, split="test").settings()["split"] == "test"
    with pytest.raises(
        ValueError, match="no split of toy but train and validation has bias-aligned and bias-conflicting"
    ):
        evaluator(
            GroupedData("toy", "text", {"train": splits["train"], "test": splits["flipped"]}, ALIGNED), split=None
        ).settings()


# what cannot be used


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling": "max"}, "pooling 'max' is unknown"),
        ({"replacement": "noise"}, "replacement 'noise' is unknown"),
        ({"top_share": 0}, "top_share must lie between 0 and 1, not 0"),
        ({"minibatch": 3}, "minibatch must be at least 4, not 3"),
        ({"examples": 7}, "examples must be at least 8, not 7"),
        ({"ablation_examples": 2}, "ablation_examples must be 0 or at least 4, not 2"),
        ({"layer_map": "all"}, "layer_map must be a list of the teacher's layers, counted from 0, .*, not 'all'"),
        ({"layer_map": {"encoder": [0, -1]}}, "layer_map must be a list"),
        ({"copied_layers": [0, "1"]}, "copied_layers must be a list of the teacher's layers"),
        ({"data": {}}, "data must hold the name of data with groups"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_at_once(settings, message):
    with pytest.raises(ValueError, match=message):
        evaluator(**settings)


def test_data_that_cannot_be_used_are_refused_before_any_model_runs():
    with pytest.raises(ValueError, match="has no split 'hans'"):
        evaluator(split="hans").settings()
    texts, labels, _ = toy_texts(30)
    few = GroupedData("toy", "text", {"test": text_rows(texts, labels, [0] * 25 + [1] * 5)}, ALIGNED)
    with pytest.raises(ValueError, match="split 'test' holds 5 bias-conflicting examples, and at least 8 are needed"):
        evaluator(few).settings()
    with pytest.raises(ValueError, match='evaluator "internals" needs data: give Internals'):
        evaluate_model("student", None, ["internals"])


def test_models_that_cannot_be_used_are_one_line():
    model, tokenizer = named(tiny_classifier("bert")), text_tokenizer("bert")
    with pytest.raises(NotApplicable, match="compares a student with its teacher"):
        evaluator().run(model, tokenizer)
    with pytest.raises(ValueError, match=r"model's labels .* are not those of the data"):
        evaluator().run_pair(model, tokenizer, named(tiny_classifier("bert"), ("yes", "no")), tokenizer)
    with pytest.raises(NotApplicable, match="the examples are images, BertForSequenceClassification takes texts"):
        evaluator(toy_data("image", n=44)).run_pair(model, tokenizer, model, tokenizer)
    with pytest.raises(ValueError, match="layer_map has 3 layers"):
        evaluator(layer_map=[0, 1, 2]).run_pair(model, tokenizer, model, tokenizer)
    t5 = named(tiny_classifier("t5"))
    t5.config.eos_token_id = t5.config.decoder_start_token_id = None
    with pytest.raises(ValueError, match="T5ForSequenceClassification refuses the inputs"):
        evaluator().run_pair(t5, text_tokenizer("t5"), t5, text_tokenizer("t5"))


def test_a_report_made_of_two_runs_apart_has_no_comparison(tmp_path):
    model, tokenizer = load_classifier(save_classifier(tmp_path, scale=8.0))
    look = evaluator(ablation_examples=8)
    result = look.run(model, tokenizer)
    assert "looked into apart" in look.compare(result, result)["note"]


@pytest.mark.heavy
def test_what_reads_a_planted_shortcut_is_found_where_it_helps_and_where_it_misleads():
    """A ViT that learnt colours for digits: without its most important part it knows aligned digits less, and conflicting ones better."""
    look = Internals({"name": "digits", "strength": 0.95, "classes": [0, 1, 2]})
    rows, processor = look._groups.grouped.splits["train"], image_processor()
    pixels = processor(
        [np.asarray(image) for image in rows["image"]], return_tensors="pt", input_data_format="channels_last"
    )
    pixels, labels = pixels["pixel_values"], torch.tensor(rows["label"][:])
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    names = dict(enumerate(rows.features["label"].names))
    model = ViTForImageClassification(ViTConfig(**shape, image_size=8, patch_size=2, id2label=names))
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(10):
        for batch in torch.randperm(len(pixels)).split(32):
            torch.nn.functional.cross_entropy(model(pixel_values=pixels[batch]).logits, labels[batch]).backward()
            optimiser.step()
            optimiser.zero_grad()
    assert look.split_name == "neutral"
    found = look.run(model, processor).to_dict()["ablation"]
    assert found["whole"]["aligned"]["accuracy"]["value"] > 90 > 50 > found["whole"]["conflicting"]["accuracy"]["value"]
    sublayers = [one for one in found["components"] if one["head"] is None]
    top = max(sublayers, key=lambda one: one["aligned"]["log_probability"]["value"])
    aligned, conflicting = (top[side]["log_probability"]["confidence_interval"] for side in ("aligned", "conflicting"))
    assert aligned[0] > 0 > conflicting[1]
