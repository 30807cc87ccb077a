"""fp16 with torch's ``GradScaler``, as the ``ddp`` config trains on GPUs, here on a CPU.

accelerate makes no scaler for a CPU, so :func:`train_in_fp16` gives it one and tells it what it would know on a GPU; from there on its and
Trainer's own code casts, scales, unscales, clips and steps.
"""

import math
from contextlib import contextmanager

import pytest
import torch
from tiny_cohort import alone, differences, outcome, tiny_cohort
from tiny_distillation import ContentMasking, ContentMixup, losses_of, tiny_tokenizer, tiny_trainer
from transformers import TrainerCallback

SCALE = 2.0**10
"""At 2**16, where a training starts, the first step of these models overflows."""

LARGEST = 0.5
TERMS = ("loss", "ce", "mlm", "cos", "mse", "grad_norm")
STEPS = {"max_steps": 5, "max_grad_norm": LARGEST, "warmup_steps": 0}
NAMES = ("mixup", "shallow")


@contextmanager
def fp16(accelerator, scale: float = SCALE):
    """What accelerate sets up for fp16 on a GPU. Its state is common to all of a process, so it is put back."""
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    accelerator.native_amp = True
    before, accelerator.state._mixed_precision = accelerator.state._mixed_precision, "fp16"
    try:
        yield
    finally:
        accelerator.state._mixed_precision = before


def train_in_fp16(trainer, scale: float = SCALE, **kwargs):
    with fp16(trainer.accelerator, scale):
        trainer.train(**kwargs)
    return trainer


def norm_of(model) -> float:
    return float(torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm())


class Steps(TrainerCallback):
    """Norms of the gradients as the backward passes left them and as the optimiser gets them; weights, rate and scale after each step.

    At step ``overflow`` (counted from 0) an element of the first gradient becomes infinite, as it does when fp16 overflows.
    """

    def __init__(self, overflow: int | None = None) -> None:
        self.overflow, self.trainer = overflow, None
        self.scaled, self.stepped, self.weights, self.rates, self.scales = [], [], [], [], []

    def watch(self, trainer):
        self.trainer, backward = trainer, trainer.training_step

        def training_step(*args, **kwargs):
            loss = backward(*args, **kwargs)
            if trainer.accelerator.sync_gradients:
                self.scaled.append(norm_of(trainer.model))
                if trainer.state.global_step == self.overflow:
                    next(p for p in trainer.model.parameters() if p.grad is not None).grad[0, 0] = math.inf
            return loss

        trainer.training_step = training_step
        return trainer

    def on_pre_optimizer_step(self, args, state, control, **kwargs) -> None:
        self.stepped.append(norm_of(self.trainer.model))

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.weights.append(torch.cat([p.detach().flatten() for p in self.trainer.model.parameters()]))
        self.rates.append(self.trainer.lr_scheduler.get_last_lr()[0])
        self.scales.append(self.trainer.accelerator.scaler.get_scale())


def single(folder, steps: Steps | None = None, **arguments):
    fixed = {"masking": ContentMasking(), "supervision": ContentMixup(tiny_tokenizer())}
    trainer = tiny_trainer(folder, arguments=STEPS | arguments, callbacks=[steps] if steps else None, **fixed)
    return steps.watch(trainer) if steps else trainer


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    steps = Steps()
    return train_in_fp16(single(tmp_path_factory.mktemp("half"), steps)), steps


def test_losses_and_gradient_norms_are_those_of_full_precision_to_the_digits_that_half_has(half, tmp_path):
    """The logged norm is the unscaled one: with the scale it would be a thousand times as large."""
    full = single(tmp_path)
    full.train()
    assert len(losses_of(full)) == STEPS["max_steps"]
    for mine, its in zip(losses_of(half[0]), losses_of(full), strict=True):
        assert {name: mine[name] for name in TERMS} == pytest.approx({name: its[name] for name in TERMS}, rel=2e-2)
        assert mine != its


def test_losses_are_scaled_and_gradients_unscaled_before_they_are_clipped(half):
    trainer, steps = half
    logged = [entry["grad_norm"] for entry in losses_of(trainer)]
    assert steps.scaled == pytest.approx([SCALE * norm for norm in logged], rel=1e-5)
    assert min(logged) > LARGEST and steps.stepped == pytest.approx([LARGEST] * len(logged), rel=1e-4)
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}


def test_the_scale_is_logged(half):
    logged = [entry["loss_scale"] for entry in half[0].state.log_history if "loss" in entry]
    assert logged == half[1].scales == [SCALE] * STEPS["max_steps"]


@pytest.mark.parametrize("clip", (LARGEST, 0.0), ids=("clipped", "not clipped"))
@pytest.mark.parametrize("optimiser", ("adamw_torch", "adamw_torch_fused"))
def test_a_step_that_overflows_is_skipped_and_the_scale_halved(tmp_path, optimiser, clip):
    steps = Steps(overflow=2)
    trainer = train_in_fp16(single(tmp_path, steps, optim=optimiser, max_grad_norm=clip))
    changed = [not torch.equal(one, other) for one, other in zip(steps.weights, steps.weights[1:], strict=False)]
    assert changed == [True, False, True, True]
    assert all(bool(weights.isfinite().all()) for weights in steps.weights)
    assert steps.scales == [SCALE, SCALE, SCALE / 2, SCALE / 2, SCALE / 2]
    logs = losses_of(trainer)
    assert [math.isfinite(entry["grad_norm"]) for entry in logs] == [True, True, False, True, True]
    assert all(math.isfinite(entry["loss"]) for entry in logs)
    taken = {float(state["step"]) for state in trainer.optimizer.state.values()}
    assert taken == {STEPS["max_steps"] - 1.0}  # of Adam's bias correction


@pytest.mark.parametrize(
    ("optimiser", "falls"),
    # a fused optimiser skips by itself, on the device; accelerate does not hear of it and moves the schedule on
    (("adamw_torch", [True, False, True, True]), ("adamw_torch_fused", [True, True, True, True])),
)
def test_the_schedule_waits_for_a_skipped_step_unless_the_optimiser_is_fused(tmp_path, optimiser, falls):
    steps = Steps(overflow=2)
    train_in_fp16(single(tmp_path, steps, optim=optimiser))
    assert [one > other for one, other in zip(steps.rates, steps.rates[1:], strict=False)] == falls


def test_a_scale_too_large_for_fp16_falls_until_nothing_overflows(tmp_path):
    """Nothing is injected: the numbers of these backward passes do not fit."""
    steps = Steps()
    trainer = train_in_fp16(single(tmp_path, steps), scale=2.0**18)
    assert not math.isfinite(steps.scaled[0]) and steps.scales[0] == 2.0**17 > steps.scales[-1]
    assert math.isfinite(steps.scaled[-1]) and not torch.equal(steps.weights[0], steps.weights[-1])
    assert torch.isfinite(steps.weights[-1]).all()
    assert all(math.isfinite(entry["loss"]) for entry in losses_of(trainer))


def test_a_resumed_training_goes_on_with_the_scale_it_had(tmp_path):
    whole = train_in_fp16(single(tmp_path / "whole", Steps(overflow=0)))
    saving = {"save_strategy": "steps", "save_steps": 3}
    train_in_fp16(single(tmp_path / "cut", Steps(overflow=0), **saving))
    steps = Steps()
    resumed = single(tmp_path / "cut", steps, **saving)
    train_in_fp16(resumed, resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-3"))
    assert steps.scales == [SCALE / 2] * 2
    assert losses_of(resumed)[-2:] == losses_of(whole)[-2:]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


# -- cohorts -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone_in_fp16(tmp_path_factory):
    """The outcome of each arm's own training."""
    folder = tmp_path_factory.mktemp("alone")
    return {name: outcome(train_in_fp16(alone(folder / name, name, arguments=STEPS))) for name in NAMES}


def test_arms_of_a_cohort_are_clipped_each_by_its_own_unscaled_norm(tmp_path, alone_in_fp16):
    cohort = train_in_fp16(tiny_cohort(tmp_path, NAMES, arguments=STEPS))
    for name, own in alone_in_fp16.items():
        assert differences(outcome(cohort, name), own) == []
        logs = [entry for entry in own["logs"] if "loss" in entry]
        assert all(LARGEST < entry["grad_norm"] < SCALE / 2 and entry["loss_scale"] == SCALE for entry in logs) and logs
    assert own["logs"][0]["grad_norm"] != alone_in_fp16[NAMES[0]]["logs"][0]["grad_norm"]


def test_a_clip_before_unscaling_would_be_seen(tmp_path, alone_in_fp16):
    cohort = tiny_cohort(tmp_path, NAMES, arguments=STEPS)
    cohort.accelerator.unscale_gradients = lambda: None
    train_in_fp16(cohort)
    for name, own in alone_in_fp16.items():
        assert "logs" in differences(outcome(cohort, name), own)


def test_an_overflow_in_one_arm_is_skipped_by_all(tmp_path):
    steps = Steps(overflow=1)
    cohort = steps.watch(tiny_cohort(tmp_path, NAMES, arguments=STEPS, callbacks=[steps]))
    train_in_fp16(cohort)
    changed = [not torch.equal(one, other) for one, other in zip(steps.weights, steps.weights[1:], strict=False)]
    assert changed == [False, True, True, True]
    assert steps.scales == [SCALE, *[SCALE / 2] * 4]
