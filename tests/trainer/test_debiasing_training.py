"""Debiasing methods inside the trainer: splits of a step, kill and resume, plain students; and the fits that methods ask for."""

import numpy as np
import pytest
import torch
from datasets import ClassLabel
from planted_classification import NAMES, new_classifier, pairs, tokenizer
from transformers import TrainerCallback

from evenhand.trainer import DistillationArguments, DistillationTrainer
from evenhand.trainer.bias_models import bias_model, with_bias_log_probs
from evenhand.trainer.classifier_fit import ClassifierFit, finish, labelled_batches, predicted_log_probs
from evenhand.trainer.debiasing import METHODS, debiasing_method
from evenhand.trainer.task_objective import TaskObjective


@pytest.fixture(scope="module")
def data():
    """32 examples with bias log-probabilities and some weights; twelve aligned and four conflicting of each label."""
    rows = pairs(200, 0.5, 0)
    of_group = [np.flatnonzero(np.array(rows["group"]) == group) for group in range(4)]
    rows = rows.select(np.concatenate([places[: 4 if group % 2 else 12] for group, places in enumerate(of_group)]))
    rows, _ = with_bias_log_probs(rows, bias_model("hypothesis_only", folds=2, strengths=[1]))
    return rows.add_column("example_weight", np.linspace(0.5, 1.5, 32).astype(np.float32))


class LastState(TrainerCallback):
    """Copies the submodule's state after each step, and ends the training after ``until`` of them."""

    def __init__(self, until: int) -> None:
        self.until, self.state = until, {}

    def on_step_end(self, args, state, control, model=None, **kwargs) -> None:
        if hasattr(model, "debiasing"):
            self.state = {name: value.clone() for name, value in model.debiasing.state_dict().items()}
        control.should_training_stop = state.global_step >= self.until


def train(name, data, folder, *, alpha=0.0, dropout=0.0, batch=8, accumulation=1, until=4, resume=None, **settings):
    """Four steps of eight examples; gives the student and the submodule's last state."""
    model, last = new_classifier(0, dropout), LastState(until)
    if name not in ("jtt", "erm"):
        data = data.remove_columns("example_weight")
    args = DistillationArguments(
        output_dir=str(folder), max_steps=4, per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation, seed=5,
        learning_rate=0.01, lr_scheduler_type="constant", save_strategy="steps" if resume or until < 4 else "no", save_steps=2,
        use_cpu=True, disable_tqdm=True, report_to="none",
    )  # fmt: skip
    trainer = DistillationTrainer(
        model,
        teacher=new_classifier(9) if alpha else None,
        args=args,
        objective=TaskObjective(alpha),
        debiasing=debiasing_method(name, **settings),
        train_dataset=data,
        processing_class=tokenizer(),
        callbacks=[last],
    )
    trainer.train(resume_from_checkpoint=resume)
    return model, last.state


def difference(one, other) -> float:
    both = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max((a - b).abs().max().item() for a, b in both)


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("group_dro", "dedier") else pytest.param(name, marks=pytest.mark.heavy)
        for name in METHODS
        if name not in ("erm", "dfr")
    ],
)
def test_a_method_changes_the_training_whatever_the_split_of_a_step_and_leaves_a_plain_student(name, data, tmp_path):
    alpha = 0.5 if METHODS[name].needs_teacher else 0.0
    whole, _ = train(name, data, tmp_path / "whole", alpha=alpha)
    split, _ = train(name, data, tmp_path / "split", alpha=alpha, batch=2, accumulation=4)
    erm, _ = train(
        "erm",
        data.remove_columns("example_weight").add_column("example_weight", [1.0] * 32),
        tmp_path / "erm",
        alpha=alpha,
    )
    assert difference(whole, split) < 1e-3 < 5e-3 < difference(whole, erm)
    assert whole.state_dict().keys() == new_classifier(0).state_dict().keys()


@pytest.mark.parametrize(
    ("name", "alpha"),
    [
        ("group_dro", 0.0),
        pytest.param("learned_mixin", 0.0, marks=pytest.mark.heavy),
        pytest.param("dedier", 0.5, marks=pytest.mark.heavy),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one_with_what_the_method_remembers(name, alpha, data, tmp_path):
    settings = {"step_size": 0.5} if name == "group_dro" else {}
    whole, state = train(name, data, tmp_path / "whole", alpha=alpha, dropout=0.1, **settings)
    _, halfway = train(name, data, tmp_path / "cut", alpha=alpha, dropout=0.1, until=2, **settings)
    resumed, again = train(name, data, tmp_path / "cut", alpha=alpha, dropout=0.1, resume=True, **settings)
    assert difference(whole, resumed) == 0
    assert state.keys() == again.keys() and all(torch.equal(state[key], again[key]) for key in state)
    assert any(not torch.equal(state[key], halfway[key]) for key in state)


def fit() -> ClassifierFit:
    training = {"per_device_train_batch_size": 8, "learning_rate": 0.01, "use_cpu": True, "disable_tqdm": True}
    return ClassifierFit(
        new_classifier, training | {"num_train_epochs": 1, "output_dir": "/nowhere", "seed": 77}, tokenizer()
    )


def test_a_fit_is_a_function_of_data_epochs_and_seed_and_leaves_the_random_state_alone(data):
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    first = fit()(data, 1.0, 4)(data)
    assert torch.equal(torch.rand(3), expected)
    np.testing.assert_allclose(np.exp(first).sum(1), 1)
    # None: as long as the debiased model, one epoch; columns that a method would read do not matter
    plain = data.select_columns(["text", "text_pair", "label"])
    assert np.array_equal(first, fit()(plain, None, 4)(plain))
    assert not np.allclose(first, fit()(data, 1.0, 5)(data))
    assert not np.allclose(first, fit()(data, 2.0, 4)(data))


def test_predictions_are_in_the_order_of_the_datas_labels(data):
    model, processor = new_classifier(0), tokenizer()
    turned = data.cast_column("label", ClassLabel(names=NAMES[::-1]))  # the same numbers mean the other labels
    expected = predicted_log_probs(model, data, processor)
    np.testing.assert_allclose(predicted_log_probs(model, turned, processor), expected[:, ::-1])
    batches = list(labelled_batches(turned, model, processor, batch_size=5))
    assert torch.equal(torch.cat([batch["labels"] for batch in batches]), 1 - torch.tensor(turned["label"]))
    logits = torch.cat([model.eval()(**batch["student"]).logits for batch in batches])
    np.testing.assert_allclose(torch.log_softmax(logits.detach().double(), -1).numpy(), expected, atol=1e-5)


def test_finish_retrains_the_last_layer_on_the_held_out_split_and_asks_for_one(data):
    model, method = new_classifier(0), debiasing_method("dfr", strengths=[0.1], draws=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    facts = finish(method, model, data, tokenizer())
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["classifier.weight", "classifier.bias"] and facts["fitted_on"] == 32
    for absent in (None, data.remove_columns("group")):
        with pytest.raises(ValueError, match="dfr needs a held-out split with the column group"):
            finish(method, model, absent, tokenizer())
    assert finish(debiasing_method("erm"), model, None, tokenizer()) == {}
