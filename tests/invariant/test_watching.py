"""Measures while training: they leave the training alone, and they may choose the student."""

import random
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_distillation import losses_of, tiny_dataset, tiny_trainer
from transformers import EarlyStoppingCallback, TrainerCallback

from evenhand.trainer import DistillationArguments, EarlyStopping, Watch
from evenhand.trainer.checkpoints import latest_complete_checkpoint

WATCHED = {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2, "max_steps": 12}
CHOOSING = WATCHED | {"metric_for_best_model": "tradeoff", "load_best_model_at_end": True}
VALUES = {0: 0.1, 2: 5.0, 4: 3.0, 6: 4.0, 8: 3.5, 10: 3.2, 12: 6.0}
"""A bias whose lowest value after training's start is that of step 4; step 0 is lower but is no candidate."""
DATA = tiny_dataset(22)


class Scripted:
    """A measure whose values are given; the step is told by how often the student has changed."""

    def __init__(self, values=VALUES) -> None:
        self.values, self.trainer, self.calls = values, None, []

    def __call__(self, model, tokenizer) -> dict[str, float]:
        step = self.trainer.state.global_step
        self.calls.append(step)
        return {"d": self.values[step]}


class Abandon(TrainerCallback):
    """Leaves the run in the middle of a step, as a kill does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_pre_optimizer_step(self, args, state, control, **kwargs) -> None:
        if state.global_step == self.step - 1:
            raise KeyboardInterrupt


def watched(folder, measure=None, arguments=CHOOSING, tradeoff=None, callbacks=(), **parts):
    measure = measure or Scripted()
    trainer = tiny_trainer(
        folder, dropout=0.2, train_dataset=DATA, arguments=arguments,
        watch=Watch({"bias": measure}, {"bias_d": 1.0} if tradeoff is None else tradeoff), callbacks=list(callbacks), **parts,
    )  # fmt: skip
    measure.trainer = trainer
    return trainer


def weights(trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def assert_equal(one, other) -> None:
    assert one.keys() == other.keys()
    assert [name for name, value in one.items() if not torch.equal(value, other[name])] == []


def curve(trainer, name="eval_bias_d") -> list[tuple[int, float]]:
    return [(entry["step"], entry[name]) for entry in trainer.state.log_history if name in entry]


def disturbing(model, tokenizer) -> dict[str, float]:
    """A measure with no manners."""
    assert not any(module.training for module in model.modules())
    assert not torch.is_grad_enabled()
    torch.manual_seed(0), np.random.seed(0), random.seed(0)
    model(input_ids=torch.tensor([[2, 5, 6, 3]]))
    return {"d": torch.rand(()).item()}


def test_measuring_changes_nothing_of_the_training(tmp_path):
    """Bit by bit, and with modules that are in eval mode while their model trains."""
    runs = {}
    for name in ("plain", "watched"):
        parts = {"watch": Watch({"bias": disturbing}, {"bias_d": 1.0}), "eval_dataset": tiny_dataset(5, seed=5)}
        arguments = {"max_steps": 6} | ({"eval_strategy": "steps", "eval_steps": 2} if name == "watched" else {})
        trainer = tiny_trainer(
            tmp_path / name, dropout=0.2, train_dataset=DATA, arguments=arguments, **parts if name == "watched" else {}
        )
        random.seed(1), np.random.seed(1)
        trainer.train()
        runs[name] = weights(trainer), losses_of(trainer), random.random(), np.random.random(), torch.rand(()).item()
    assert_equal(runs["watched"][0], runs["plain"][0])
    assert runs["watched"][1:] == runs["plain"][1:]


def test_an_evaluation_leaves_modes_and_generators_as_they_were(tmp_path):
    trainer = watched(tmp_path, disturbing_with_trainer := Scripted({0: 1.0}), eval_dataset=tiny_dataset(5, seed=5))
    trainer.model.train()
    frozen = next(module for module in trainer.model.modules() if isinstance(module, torch.nn.Dropout))
    frozen.eval()
    before = torch.get_rng_state()
    metrics = trainer.evaluate()
    assert metrics.keys() >= {"eval_bias_d", "eval_tradeoff", "eval_loss", "eval_mlm"}
    assert trainer.model.training and not frozen.training
    assert torch.equal(torch.get_rng_state(), before)
    assert disturbing_with_trainer.calls == [0]


def test_the_curve_begins_before_training_and_ends_after_it(tmp_path):
    trainer = watched(
        tmp_path, Scripted(VALUES | {11: 7.0}), arguments=WATCHED | {"max_steps": 11, "save_strategy": "no"}
    )
    trainer.train()
    assert curve(trainer) == [(step, VALUES.get(step, 7.0)) for step in (0, 2, 4, 6, 8, 10, 11)]
    assert curve(trainer, "eval_tradeoff") == curve(trainer)


def test_a_measure_runs_in_the_precision_of_the_weights_under_mixed_precision(tmp_path):
    seen = []

    def logits(model, tokenizer):
        seen.append(model(input_ids=torch.tensor([[2, 5, 6, 3]])).logits)
        with torch.no_grad():
            seen.append(type(model).forward(model, input_ids=torch.tensor([[2, 5, 6, 3]])).logits)
        return {"d": 1.0}

    trainer = tiny_trainer(
        tmp_path, arguments={"max_steps": 1, "bf16": True, "eval_strategy": "steps", "eval_steps": 1}, watch=Watch({"bias": logits})
    )  # fmt: skip
    trainer.train()
    under_autocast = trainer.model(input_ids=torch.tensor([[2, 5, 6, 3]])).logits  # accelerate's forward is back
    assert torch.equal(seen[-2], seen[-1])
    assert not torch.equal(seen[-1], under_autocast)


# -- choosing ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """An uninterrupted run that keeps its best student, and the students of all its steps."""
    folder = tmp_path_factory.mktemp("chosen")
    every = watched(folder / "every", arguments=CHOOSING | {"save_total_limit": None})
    every.train()
    students = {step: load_file(folder / "every" / f"checkpoint-{step}" / "model.safetensors") for step in (4, 12)}
    trainer = watched(folder / "run")
    trainer.train()
    return {"folder": folder, "students": students, "weights": weights(trainer), "state": trainer.state}


def assert_kept(trainer, chosen) -> None:
    kept = {name: value for name, value in weights(trainer).items() if name in chosen["students"][4]}
    assert_equal(kept, chosen["students"][4])
    assert_equal(weights(trainer), chosen["weights"])


def test_the_student_is_the_one_with_the_lowest_tradeoff(chosen):
    last = chosen["students"][12]
    assert any(not torch.equal(chosen["weights"][name], value) for name, value in last.items())
    kept = {name: value for name, value in chosen["weights"].items() if name in last}
    assert_equal(kept, chosen["students"][4])
    assert (chosen["state"].best_global_step, chosen["state"].best_metric) == (4, 3.0)


def test_the_best_checkpoint_survives_rotation_and_is_named_by_its_final_place(chosen):
    folder = chosen["folder"] / "run"
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-12", "checkpoint-4"]
    assert chosen["state"].best_model_checkpoint == str(folder / "checkpoint-4")
    for step in (4, 12):
        text = (folder / f"checkpoint-{step}" / "trainer_state.json").read_text()
        assert ".saving" not in text and '"best_global_step": 4' in text


@pytest.mark.parametrize("step", [4, 9], ids=["before the best was saved", "after it"])
def test_a_killed_run_keeps_the_same_student(chosen, tmp_path, step):
    with pytest.raises(KeyboardInterrupt):
        watched(tmp_path / "begun", callbacks=[Abandon(step)]).train()
    shutil.move(tmp_path / "begun", tmp_path / "moved")  # another machine, another path
    resumed = watched(tmp_path / "moved")
    resumed.train(resume_from_checkpoint=True)
    assert_kept(resumed, chosen)
    assert curve(resumed) == list(VALUES.items())
    assert resumed.state.best_model_checkpoint == str(tmp_path / "moved" / "checkpoint-4")


def test_a_finished_run_that_is_resumed_gives_the_same_student(chosen, tmp_path):
    shutil.copytree(chosen["folder"] / "run", tmp_path / "run")
    measure = Scripted()
    resumed = watched(tmp_path / "run", measure)
    resumed.train(resume_from_checkpoint=True)
    assert_kept(resumed, chosen)
    assert measure.calls == []


def test_a_best_checkpoint_that_went_with_a_torn_one_is_chosen_anew(tmp_path):
    """At step 6 a better one replaced that of step 2; then checkpoint 6 is torn, and checkpoint 4 names the deleted one."""
    values = {0: 9.0, 2: 4.0, 4: 5.0, 6: 3.0, 8: 3.5}
    with pytest.raises(KeyboardInterrupt):
        watched(tmp_path, Scripted(values), callbacks=[Abandon(7)]).train()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-4", "checkpoint-6"]
    (tmp_path / "checkpoint-6" / "complete.json").unlink()
    assert latest_complete_checkpoint(tmp_path).name == "checkpoint-4"
    resumed = watched(tmp_path, Scripted(values), arguments=CHOOSING | {"max_steps": 8})
    resumed.train(resume_from_checkpoint=True)
    assert (resumed.state.best_global_step, resumed.state.best_metric) == (6, 3.0)
    saved = load_file(tmp_path / "checkpoint-6" / "model.safetensors")
    assert_equal({name: weights(resumed)[name] for name in saved}, saved)


# -- stopping ----------------------------------------------------------------------------------------------------------


def test_training_stops_when_patience_is_over_and_a_resumed_run_stops_there_too(chosen, tmp_path):
    """Best at step 4, three measurements that are no better: the end is step 10. The kill falls between the second and the third."""

    def run(name, *callbacks):
        return watched(tmp_path / name, callbacks=[EarlyStopping(3), *callbacks])

    whole = run("whole")
    whole.train()
    with pytest.raises(KeyboardInterrupt):
        run("left", Abandon(9)).train()
    resumed = run("left")
    resumed.train(resume_from_checkpoint=True)
    again = run("left")  # it has stopped; it stays so, though transformers forgets that
    again.train(resume_from_checkpoint=True)
    for trainer in (whole, resumed, again):
        assert (trainer.state.global_step, trainer.state.best_global_step) == (10, 4)
        assert_kept(trainer, chosen)
    assert curve(resumed) == curve(whole) == list(VALUES.items())[:-1]


def test_early_stopping_without_choosing_ends_with_the_last_student(tmp_path):
    arguments = WATCHED | {"metric_for_best_model": "eval_bias_d", "save_strategy": "no"}
    trainer = watched(
        tmp_path, arguments=arguments, callbacks=[EarlyStoppingCallback(1)]
    )  # transformers' own works as well
    trainer.train()
    assert trainer.state.global_step == 6


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_an_unknown_number_in_a_tradeoff_stops_the_run_before_its_first_step(tmp_path):
    trainer = watched(tmp_path, tradeoff={"seat_mean_abs": 1.0}, eval_dataset=tiny_dataset(5, seed=5))
    before = weights(trainer)
    with pytest.raises(
        ValueError, match=r"tradeoff names seat_mean_abs, which is not measured; known are ce, mlm, .*bias_d"
    ):
        trainer.train()
    assert_equal(weights(trainer), before)


def test_a_tradeoff_takes_names_with_and_without_prefix():
    metrics = {"mlm": 2.0, "bias_d": 3.0}
    assert Watch(tradeoff={"eval_mlm": 0.5, "bias_d": -1}).weighted(metrics) == -2.0


@pytest.mark.parametrize("tradeoff", [{"a": "much"}, {"a": float("nan")}, {"a": True}, {"a": 0.0}])
def test_a_weight_that_weighs_nothing_is_refused(tradeoff):
    with pytest.raises(ValueError, match="tradeoff"):
        Watch(tradeoff=tradeoff)


def test_a_number_that_is_not_finite_is_refused(tmp_path):
    with pytest.raises(ValueError, match="measure bias_d is nan"):
        watched(tmp_path, Scripted({0: float("nan")})).train()


def test_a_best_student_that_was_not_saved_cannot_be_asked_for(tmp_path):
    with pytest.raises(ValueError, match=r"save_steps .4. equal to eval_steps .2."):
        DistillationArguments(output_dir=str(tmp_path), use_cpu=True, **CHOOSING | {"save_steps": 4})


def test_lower_is_better_unless_said_otherwise(tmp_path):
    assert (
        DistillationArguments(output_dir=str(tmp_path), use_cpu=True, metric_for_best_model="mlm").greater_is_better
        is False
    )
