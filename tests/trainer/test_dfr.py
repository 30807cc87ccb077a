"""Deep feature reweighting: the new last layer against scikit-learn, balanced draws, and what it refuses."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from evenhand.trainer.debiasing import debiasing_method
from evenhand.trainer.debiasing.dfr import balanced
from evenhand.trainer.debiasing.training_facts import TrainingFacts


class Body(nn.Module):
    """A fixed body (its input times 3) with a last layer: what a representation is, is known."""

    def __init__(self, width: int, n_labels: int = 2, bias: bool = True) -> None:
        super().__init__()
        self.config = SimpleNamespace(num_labels=n_labels)
        self.body = nn.Linear(width, width, bias=False)
        self.classifier = nn.Linear(width, n_labels, bias=bias)
        with torch.no_grad():
            self.body.weight.copy_(3 * torch.eye(width))
            self.classifier.weight.copy_(torch.eye(n_labels, width).flip(0))

    def forward(self, x):
        return self.classifier(self.body(x))


def planted(sizes=(40, 40, 40, 40), seed: int = 0):
    """Feature 0 shows the label weakly, feature 1 the group's shortcut strongly; groups are label × shortcut."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(4), sizes)
    labels, shortcut = groups // 2, groups % 2
    features = generator.normal(size=(len(groups), 5)) + 5
    features[:, 0] += 2.5 * labels
    features[:, 1] += 6 * shortcut
    return features.astype(np.float32), labels, groups


def batches(features, labels, groups, size: int = 32):
    for start in range(0, len(labels), size):
        part = slice(start, start + size)
        yield {
            "student": {"x": torch.tensor(features[part])},
            "labels": torch.tensor(labels[part]),
            "group": torch.tensor(groups[part]),
        }


def test_on_balanced_groups_the_last_layer_is_scikit_learns_l1_regression_on_standardised_representations():
    features, labels, groups = planted()
    model = Body(5)
    body = model.body.weight.clone()
    facts = debiasing_method("dfr", strengths=[0.1], draws=2).after_training(model, batches(features, labels, groups))
    scaled = StandardScaler().fit_transform(features.astype(np.float64) * 3)
    reference = LogisticRegression(C=0.1, l1_ratio=1, solver="saga", tol=1e-9, max_iter=100_000).fit(scaled, labels)
    logits = model(torch.tensor(features)).detach().double().numpy()
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], reference.decision_function(scaled), atol=2e-3)
    assert torch.equal(model.body.weight, body)
    assert facts == {
        "strength": 0.1,
        "worst_group_accuracy_when_chosen": None,
        "examples_of_each_group": 40,
        "fitted_on": 160,
    }


def test_a_layer_that_leaned_on_the_shortcut_is_freed_of_it():
    features, labels, groups = planted((300, 30, 30, 300))
    model = Body(5)
    with torch.no_grad():  # feature 1, the shortcut, decides
        model.classifier.weight.zero_()
        model.classifier.weight[1, 1] = 1.0
        model.classifier.bias.copy_(torch.tensor([24.0, 0.0]))

    def worst() -> float:
        fresh, truth, group = planted((200, 200, 200, 200), seed=1)
        right = model(torch.tensor(fresh)).argmax(1).numpy() == truth
        return min(right[group == index].mean() for index in range(4))

    assert worst() < 0.05
    facts = debiasing_method("dfr").after_training(model, batches(features, labels, groups), seed=3)
    assert worst() > 0.8
    assert facts["examples_of_each_group"] == 30
    assert facts["strength"] in debiasing_method("dfr").strengths and facts["worst_group_accuracy_when_chosen"] > 0.5


def test_the_same_seed_gives_the_same_layer_and_a_layer_without_bias_gets_one():
    features, labels, groups = planted((60, 20, 20, 60))
    layers = []
    for seed in (1, 1, 2):
        model = Body(5, bias=False)
        debiasing_method("dfr", strengths=[0.3]).after_training(model, batches(features, labels, groups), seed=seed)
        layers.append(torch.cat([model.classifier.weight.detach().flatten(), model.classifier.bias.detach()]))
    assert torch.equal(layers[0], layers[1]) and not torch.equal(layers[0], layers[2])


def test_a_draw_has_as_many_of_every_group_as_the_smallest_has():
    groups = np.array([0] * 9 + [2] * 3 + [5] * 4)
    chosen = balanced(groups, np.random.default_rng(0))
    assert np.bincount(groups[chosen]).tolist() == [3, 0, 3, 0, 0, 3]
    assert len(set(chosen.tolist())) == 9


def test_evaluation_mode_is_used_and_the_models_mode_restored():
    features, labels, groups = planted()
    model, modes = Body(5).train(), []
    model.body.register_forward_hook(lambda *_: modes.append(model.training))
    debiasing_method("dfr", strengths=[0.1], draws=1).after_training(model, batches(features, labels, groups))
    assert model.training and not any(modes)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((40, 0, 0, 0), "at least two groups in the held-out part; it has one"),
        ((40, 1, 40, 40), "group number 1 has a single held-out example"),
        ((40, 40, 0, 0), "label number 1 has no held-out example"),
        ((0, 0, 0, 0), "no held-out examples"),
    ],
)
def test_held_out_parts_that_cannot_be_balanced_are_refused(sizes, said):
    with pytest.raises(ValueError, match=said):
        debiasing_method("dfr").after_training(Body(5), batches(*planted(sizes)))


def test_a_model_without_a_last_linear_layer_is_refused():
    model = Body(5)
    model.config.num_labels = 3
    with pytest.raises(ValueError, match="no last linear layer with 3 outputs"):
        debiasing_method("dfr").after_training(model, batches(*planted()))


NAMES = ("land on land", "land on water", "water on land", "water on water")


def facts_of(sizes, names=NAMES):
    """Facts of a part whose groups are label × place."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return TrainingFacts(2, groups // 2, groups, names)


@pytest.mark.parametrize(
    ("train", "held_out", "said"),
    [
        ((40, 5, 5, 40), (9, 0, 3, 9), "no example of group land on water, though the training data do"),
        ((40, 5, 5, 40), (9, 1, 3, 9), "a single example of group land on water"),
        ((40, 0, 0, 0), (40, 0, 0, 0), r"at least two groups there; it has one \(land on land\)"),
        ((40, 40, 0, 0), (40, 40, 0, 0), "no example of label water"),
        ((40, 5, 5, 40), (0, 0, 0, 0), "which these data do not have"),
        ((40, 5, 5, 40), None, "which these data do not have"),
    ],
)
def test_a_held_out_part_that_cannot_be_balanced_is_refused_by_name_before_the_training(train, held_out, said):
    given = None if held_out is None else facts_of(held_out)
    with pytest.raises(ValueError, match=said) as caught:
        debiasing_method("dfr").check_held_out(Body(5), facts_of(train), given, ("land", "water"))
    assert "\n" not in str(caught.value) and "or use another method" in str(caught.value)


def test_groups_that_the_training_data_do_not_have_either_may_be_missing():
    """They cannot occur; and groups are matched by name, whatever number a split gives them."""
    dfr = debiasing_method("dfr")
    dfr.check_held_out(Body(5), facts_of((40, 0, 5, 40)), facts_of((9, 0, 3, 9)), ("land", "water"))
    turned = TrainingFacts(2, np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1]), (NAMES[3], NAMES[0]))
    dfr.check_held_out(Body(5), facts_of((40, 0, 0, 40)), turned, ("land", "water"))
    with pytest.raises(ValueError, match="no example of group land on water"):
        dfr.check_held_out(Body(5), facts_of((40, 1, 0, 40)), turned, ("land", "water"))


def test_what_else_the_fit_needs_is_asked_before_the_training():
    ungrouped, model = TrainingFacts(2, np.array([0, 1])), Body(5)
    with pytest.raises(ValueError, match="no column group"):
        debiasing_method("dfr").check_held_out(model, facts_of((4, 4, 4, 4)), ungrouped, ("land", "water"))
    model.config.num_labels = 3
    with pytest.raises(ValueError, match="no last linear layer"):
        debiasing_method("dfr").check_held_out(model, facts_of((4,) * 4), facts_of((4,) * 4), ("land", "water"))
    many = tuple(f"g{number}" for number in range(8))
    with pytest.raises(ValueError, match="group g1, g2, g3, g4, g5 and 2 more, though"):
        debiasing_method("dfr").check_held_out(Body(5), facts_of((2,) * 8, many), facts_of((2,), many[:1]), ("a", "b"))
