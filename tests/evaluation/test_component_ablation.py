"""Taking components out: against edited weights, on components that are known to matter or not, and the overlap by counting."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from random_classifiers import IMAGE, TEXT, tiny_classifier, tiny_inputs
from scipy import stats

from evenhand.evaluation.internals.anatomy import anatomy
from evenhand.evaluation.internals.component_ablation import Ablation, LabelledBatch, ablate, components
from evenhand.evaluation.internals.component_overlap import importance_correlation, overlap, shared_components
from evenhand.evaluation.internals.layer_map import map_layers
from evenhand.evaluation.internals.mean_tables import Means

FAMILIES = (*TEXT, *IMAGE)


def batches(family, labels=2):
    """Two of the aligned examples and one of the conflicting ones."""
    found = []
    for index, group in enumerate(("aligned", "aligned", "conflicting")):
        inputs = tiny_inputs(family, count=5, seed=index)
        found.append(LabelledBatch(inputs, torch.arange(5) % labels, group))
    return found


def ablated(model, family, replacement="zero", **named):
    given = batches(family)
    with torch.no_grad():
        return ablate(model, anatomy(model), lambda: given, replacement=replacement, **named)


def fall(found, name, group="aligned"):
    """(fall of ln p, fall of accuracy) of the component of that name."""
    return found.falls[group].values[[one.name for one in found.components].index(name)]


def outcome(model, given):
    """(examples, 2) ln p(true class) and whether right."""
    with torch.no_grad():
        log_probs = torch.cat([model(**batch.inputs).logits.double().log_softmax(-1) for batch in given])
    labels = torch.cat([batch.labels for batch in given])
    right = (log_probs.argmax(1) == labels).double()
    return torch.stack([log_probs[torch.arange(len(labels)), labels], right], 1)


def by_hand(whole, changed, family, group):
    given = [batch for batch in batches(family) if batch.group == group]
    return outcome(whole, given) - outcome(changed, given)


def test_the_components_are_every_sublayer_and_head_or_block():
    names = [one.name for one in components(anatomy(tiny_classifier("bert", layers=1)))]
    assert names == ["layer 1 attention", "layer 1 attention head 1", "layer 1 attention head 2", "layer 1 mlp"]
    names = [one.name for one in components(anatomy(tiny_classifier("t5", layers=1))) if one.stack == "decoder"]
    kinds = ("attention", "cross-attention")
    assert names == [f"decoder 1 {kind}{head}" for kind in kinds for head in ("", " head 1", " head 2")] + [
        "decoder 1 mlp"
    ]
    assert [one.name for one in components(anatomy(tiny_classifier("resnet")))] == [
        "block 1.1",
        "block 2.1",
        "block 2.2",
    ]
    assert len(components(anatomy(tiny_classifier("vit")))) == 8


WEIGHTS = {  # of the output projection of layer 1's (T5: the decoder's) attention and MLP
    "bert": ("bert.encoder.layer.0.attention.output.dense", "bert.encoder.layer.0.output.dense", "layer 1"),
    "roberta": ("roberta.encoder.layer.0.attention.output.dense", "roberta.encoder.layer.0.output.dense", "layer 1"),
    "distilbert": (
        "distilbert.transformer.layer.0.attention.out_lin",
        "distilbert.transformer.layer.0.ffn.lin2",
        "layer 1",
    ),
    "t5": (
        "transformer.decoder.block.0.layer.0.SelfAttention.o",
        "transformer.decoder.block.0.layer.2.DenseReluDense.wo",
        "decoder 1",
    ),
    "vit": ("vit.layers.0.attention.o_proj", "vit.layers.0.mlp.fc2", "layer 1"),
}


@pytest.mark.parametrize("family", WEIGHTS)
def test_zero_is_what_a_model_with_those_weights_at_zero_does(family):
    model = tiny_classifier(family)
    found = ablated(model, family)
    attention, mlp, layer = WEIGHTS[family]
    edits = {f"{layer} attention head 2": (attention, slice(8, 16)), f"{layer} mlp": (mlp, slice(None))}
    for name, (module, columns) in edits.items():
        changed = tiny_classifier(family)
        projection = changed.get_submodule(module)
        with torch.no_grad():
            projection.weight[:, columns] = 0
            if columns == slice(None) and projection.bias is not None:
                projection.bias.zero_()
        for group in ("aligned", "conflicting"):
            falls = by_hand(model, changed, family, group)
            assert abs(float(falls[:, 0].mean())) > 1e-4
            np.testing.assert_allclose(fall(found, name, group), falls.mean(0), atol=1e-5)
            place = [one.name for one in found.components].index(name)
            np.testing.assert_allclose(found.falls[group].errors[place], stats.sem(falls.numpy(), axis=0), atol=1e-5)
    whole = outcome(model, batches(family)[:2])
    np.testing.assert_allclose(found.whole["aligned"].values, whole.mean(0), atol=1e-6)
    assert (found.whole["aligned"].examples, found.falls["conflicting"].examples) == (10, 5)


def test_zero_of_a_residual_block_leaves_its_shortcut():
    model, changed = tiny_classifier("resnet"), tiny_classifier("resnet")
    with torch.no_grad():
        last = changed.resnet.encoder.stages[1].layers[1].layer[-1].normalization
        last.weight.zero_()
        last.bias.zero_()
    np.testing.assert_allclose(
        fall(ablated(model, "resnet"), "block 2.2"), by_hand(model, changed, "resnet", "aligned").mean(0), atol=1e-6
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_component_that_is_the_same_for_all_examples_loses_nothing_under_the_mean(family):
    """Its output projection gives its bias alone; zeroing it would move the logits."""
    model = tiny_classifier(family)
    part = anatomy(model).layers[1].parts[0]
    projection = part.module if family != "resnet" else part.module[-1].normalization
    with torch.no_grad():
        projection.weight.zero_()
        if projection.bias is None:
            projection.bias = torch.nn.Parameter(torch.empty(projection.out_features))
        projection.bias.copy_(torch.linspace(-2, 2, len(projection.bias)))
    name = components(anatomy(model))[0].name
    assert abs(fall(ablated(model, family, "zero"), name)[0]) > 1e-3
    np.testing.assert_allclose(fall(ablated(model, family, "mean"), name), 0, atol=1e-6)


@pytest.mark.parametrize("family", ["bert", "resnet"])
def test_the_mean_is_over_attended_places_with_equal_weight_of_both_groups(family):
    """By hand, with the mean put in the place of the part's output."""
    model, given = tiny_classifier(family), batches(family)
    part = anatomy(model).layers[2].parts[0]
    outputs = {"aligned": [], "conflicting": []}
    for batch in given:
        handle = part.module.register_forward_hook(lambda module, args, output, batch=batch: outputs[batch.group].append(
            output.clone().permute(0, 2, 3, 1).flatten(0, 2) if output.dim() == 4 else output[batch.inputs["attention_mask"].bool()]
        ))  # fmt: skip
        with torch.no_grad():
            model(**batch.inputs)
        handle.remove()
    mean = torch.stack([torch.cat(outputs[group]).double().mean(0) for group in outputs]).mean(0).float()
    handle = part.module.register_forward_hook(
        lambda module, args, output: (mean[:, None, None] if output.dim() == 4 else mean).expand_as(output).clone()
    )
    changed = outcome(model, given[2:])
    handle.remove()
    expected = (outcome(model, given[2:]) - changed).mean(0)
    name = anatomy(model).layers[2].name + ("" if family == "resnet" else " attention")
    np.testing.assert_allclose(fall(ablated(model, family, "mean"), name, "conflicting"), expected, atol=1e-6)


@pytest.mark.parametrize("family", ["t5", "vit"])
def test_the_model_is_left_as_it_was(family):
    model, given = tiny_classifier(family), batches(family)
    before = outcome(model, given)
    ablated(model, family, "mean")
    assert torch.equal(outcome(model, given), before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_merged_labels_are_summed_before_the_true_class_is_looked_up():
    model, given = tiny_classifier("bert", labels=3), batches("bert")
    merged = torch.tensor([[1.0, 0], [0, 1], [0, 1]])
    with torch.no_grad():
        found = ablate(
            model, anatomy(model), lambda: given, log_probs=lambda logits: (logits.softmax(-1) @ merged).log()
        )
        probabilities = torch.cat([model(**batch.inputs).logits.softmax(-1) for batch in given[:2]])
    true = torch.where(
        torch.arange(5).repeat(2) % 2 == 0, probabilities[:, 0], probabilities[:, 1] + probabilities[:, 2]
    )
    assert found.whole["aligned"].values[0] == pytest.approx(float(true.log().mean()), abs=1e-6)


def test_what_cannot_be_used_is_one_line():
    model = tiny_classifier("bert")
    with pytest.raises(ValueError, match="replacement 'noise' is unknown; use one of mean, zero"):
        ablated(model, "bert", "noise")
    with pytest.raises(ValueError, match="no example"):
        ablate(model, anatomy(model), lambda: [], replacement="zero")
    with torch.no_grad():
        model.classifier.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="NaN or infinity"):
        ablated(model, "bert")


# the overlap


def with_falls(model, falls):
    """An ablation whose falls of ln p are the given ones, sublayers first in the model's order, heads 0."""
    found = components(anatomy(model))
    values, given = np.zeros((len(found), 2)), iter(falls)
    for place, one in enumerate(found):
        if one.head is None:
            values[place, 0] = next(given)
    return Ablation(found, {}, {"aligned": Means(values, values, values, 5)})


def test_the_overlap_is_that_of_mapped_sublayers_and_chance_is_counted_out():
    teacher, student = tiny_classifier("bert", layers=4), tiny_classifier("distilbert", layers=2)
    pairs = map_layers(anatomy(teacher), anatomy(student))  # layers 2 and 4
    # attention 1, mlp 1, attention 2, mlp 2, …: layers 1 and 3, the most important ones, have no counterpart
    above = with_falls(teacher, [9, 9, 0.3, 0.1, 9, 9, 0.2, 0.4])
    below = with_falls(student, [0.5, 0.6, 0.0, 0.7])
    found = overlap(above, below, pairs, "aligned", "sublayers", top_share=0.5)
    assert (found.shared, found.top, found.common) == (4, 2, 1)
    assert found.teacher == ("layer 4 mlp", "layer 2 attention") and found.student == ("layer 2 mlp", "layer 1 mlp")
    assert found.jaccard == pytest.approx(1 / 3) and found.common_by_chance == pytest.approx(1.0)
    draws = [len({3, 0} & set(draw)) for draw in combinations(range(4), 2)]
    assert found.p_value == pytest.approx(np.mean([common >= 1 for common in draws]))
    assert found.jaccard_by_chance == pytest.approx(np.mean([common / (4 - common) for common in draws]))


def test_equal_models_overlap_wholly():
    model = tiny_classifier("vit", layers=4)
    found = with_falls(model, [3, 1, 4, 1, 5, 9, 2, 6])
    same = overlap(found, found, map_layers(anatomy(model), anatomy(model)), "aligned", "sublayers", 0.25)
    assert (same.common, same.jaccard, same.teacher) == (2, 1.0, ("layer 3 mlp", "layer 4 mlp"))
    assert same.p_value == pytest.approx(1 / math.comb(8, 2))


def test_heads_are_compared_where_there_are_as_many():
    teacher, student = tiny_classifier("bert"), tiny_classifier("bert", heads=4)
    pairs = map_layers(anatomy(teacher), anatomy(student))
    above, below = with_falls(teacher, range(4)), with_falls(student, range(4))
    assert overlap(above, below, pairs, "aligned", "heads") is None
    assert len(shared_components(above, below, pairs, "sublayers")) == 4
    alike = map_layers(anatomy(teacher), anatomy(teacher))
    assert overlap(above, above, alike, "aligned", "heads").shared == 4


def test_models_of_other_parts_share_none():
    resnet, vit = tiny_classifier("resnet"), tiny_classifier("vit")
    pairs = map_layers(anatomy(resnet), anatomy(vit))
    assert overlap(with_falls(resnet, range(3)), with_falls(vit, range(4)), pairs, "aligned") is None


def test_a_share_or_unit_that_does_not_exist_is_refused():
    found = with_falls(tiny_classifier("vit"), range(4))
    with pytest.raises(ValueError, match="top_share must lie between 0 and 1, not 1"):
        overlap(found, found, (), "aligned", top_share=1)
    with pytest.raises(ValueError, match="unit 'neurons' is unknown; use one of sublayers, heads"):
        overlap(found, found, (), "aligned", "neurons")


# the whole order


def reported(*components):
    """``ablation`` of a report: (layer, kind, head, fall on aligned examples)."""
    return {
        "components": [
            {"layer": layer, "kind": kind, "head": head, "aligned": {"log_probability": {"value": fall}}}
            for layer, kind, head, fall in components
        ]
    }


def test_the_order_of_all_mapped_components_is_compared():
    teacher = reported(
        *(("layer 1", "attention", None, 9.0), ("layer 1", "mlp", None, 8.0)),
        *(("layer 2", "attention", None, 4.0), ("layer 2", "attention", 1, 0.1), ("layer 2", "attention", 2, 0.2)),
        *(("layer 2", "mlp", None, 3.0), ("layer 4", "attention", None, 2.0), ("layer 4", "mlp", None, 1.0)),
    )
    student = reported(
        *(("layer 1", "attention", None, 0.9), ("layer 1", "attention", 1, 0.5), ("layer 1", "attention", 2, 0.3)),
        *(("layer 1", "mlp", None, 0.1), ("layer 2", "attention", None, 0.5), ("layer 2", "mlp", None, 0.3)),
    )
    mapped = [["layer 2", "layer 1"], ["layer 4", "layer 2"]]
    # the teacher's ranks 4 3 2 1, the student's 4 1 3 2: 1 − 6·(0 + 4 + 1 + 1)/(4·15)
    assert importance_correlation(teacher, student, mapped, "aligned") == (pytest.approx(0.4), 4)
    assert importance_correlation(teacher, student, mapped, "aligned", "heads") == (pytest.approx(-1.0), 2)


def test_without_an_order_there_is_no_correlation():
    one = reported(("layer 1", "attention", None, 1.0), ("layer 1", "mlp", None, 2.0))
    level = reported(("layer 1", "attention", None, 0.5), ("layer 1", "mlp", None, 0.5))
    mapped = [["layer 1", "layer 1"]]
    assert importance_correlation(one, level, mapped, "aligned") == (None, 2)
    assert importance_correlation(one, reported(("layer 1", "block", None, 1.0)), mapped, "aligned") == (None, 0)
    heads = [reported(*(("layer 1", "attention", head, float(head)) for head in range(1, n + 1))) for n in (2, 4)]
    assert importance_correlation(*heads, mapped, "aligned", "heads") == (None, 0)
    with pytest.raises(ValueError, match="unit 'neurons' is unknown"):
        importance_correlation(one, one, mapped, "aligned", "neurons")
