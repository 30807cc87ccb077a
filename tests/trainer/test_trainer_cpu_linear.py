"""Linear layers through oneDNN: values and gradients of float64, and only where the kernel suits."""

import pytest
import torch
from tiny_distillation import losses_of, tiny_trainer
from torch import nn

from evenhand.trainer import cpu_linear
from evenhand.trainer.cpu_linear import fast_cpu_linear, product

CPU = torch.device("cpu")
PREFERRED = cpu_linear.preferred
needs_onednn = pytest.mark.skipif(not cpu_linear.available(), reason="this build of torch has no oneDNN")


@pytest.fixture(autouse=True)
def on_a_cpu_with_avx512(monkeypatch):
    """Where oneDNN's linear is what layers run in."""
    monkeypatch.setattr(cpu_linear, "preferred", cpu_linear.available)


@pytest.fixture
def calls(monkeypatch):
    """How often the oneDNN function was entered."""
    seen = []
    apply = cpu_linear._Linear.apply
    monkeypatch.setattr(cpu_linear._Linear, "apply", lambda *arguments: seen.append(1) or apply(*arguments))
    return seen


def gradients(layer, rows, inside: bool) -> list[torch.Tensor]:
    rows = rows.detach().clone().requires_grad_()
    layer.zero_grad()
    with fast_cpu_linear(CPU) if inside else torch.enable_grad():
        output = layer(rows)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    (output * weights).sum().backward()
    return [output.detach(), rows.grad, *(p.grad.clone() for p in layer.parameters())]


@needs_onednn
@pytest.mark.parametrize("bias", (True, False))
@pytest.mark.parametrize("shape", ((70, 64), (5, 14, 64)))
def test_values_and_gradients_equal_those_of_float64(calls, bias, shape):
    torch.manual_seed(0)
    layer, rows = nn.Linear(64, 100, bias=bias), torch.randn(*shape)
    found = gradients(layer, rows, inside=True)
    assert len(calls) == 1
    expected = gradients(layer.double(), rows.double(), inside=False)
    for mine, exact in zip(found, expected, strict=True):
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine.double(), exact, rtol=1e-5, atol=1e-5 * float(exact.abs().max()))


@pytest.mark.parametrize(
    "rows",
    (torch.randn(2, 64), torch.randn(70, 64, dtype=torch.float64), torch.randn(70, 64).bfloat16(), torch.randn(0, 64)),
)
def test_small_or_other_tensors_take_the_usual_way(calls, rows):
    layer = nn.Linear(64, 100, dtype=rows.dtype)
    with fast_cpu_linear(CPU):
        inside = layer(rows)
    assert not calls and torch.equal(inside, layer(rows))
    assert torch.equal(product(rows, layer.weight, layer.bias), layer(rows))


def test_autocast_and_other_devices_take_the_usual_way(calls):
    layer, rows = nn.Linear(64, 100), torch.randn(70, 64)
    with fast_cpu_linear(CPU), torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(rows).dtype == torch.bfloat16
    with fast_cpu_linear(torch.device("cuda")):
        layer(rows)
    assert not calls


@needs_onednn
@pytest.mark.parametrize(("capability", "entered"), [("AVX512", 1), ("AVX2", 0), ("DEFAULT", 0)])
def test_only_a_cpu_with_avx512_leaves_torchs_own_linear(calls, monkeypatch, capability, entered):
    monkeypatch.setattr(cpu_linear, "preferred", PREFERRED)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    with fast_cpu_linear(CPU):
        nn.Linear(64, 100)(torch.randn(70, 64))
    assert len(calls) == entered


@needs_onednn
def test_layers_that_run_again_in_the_backward_pass_take_the_usual_way(calls):
    """The second run is outside of the context and must save what the first one saved."""
    layer, rows = nn.Linear(64, 100), torch.randn(70, 64, requires_grad=True)
    with fast_cpu_linear(CPU, recomputed=True):
        torch.utils.checkpoint.checkpoint(layer, rows, use_reentrant=False).sum().backward()
    assert not calls and rows.grad is not None


@needs_onednn
def test_a_student_with_activation_checkpointing_trains(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu_linear, "SMALLEST", 1)
    plain = tiny_trainer(tmp_path / "plain", arguments={"max_steps": 2})
    saving = tiny_trainer(tmp_path / "saving", arguments={"max_steps": 2, "activation_checkpointing": True})
    for trainer in (plain, saving):
        trainer.train()
    for one, other in zip(losses_of(plain), losses_of(saving), strict=True):
        assert other == pytest.approx(one, rel=1e-4)


@needs_onednn
def test_frozen_weights_get_no_gradient_and_shared_ones_get_both():
    torch.manual_seed(0)
    layer, rows = nn.Linear(64, 64, bias=False), torch.randn(70, 64)
    with fast_cpu_linear(CPU):
        layer(layer(rows)).sum().backward()
    twice = layer.weight.grad.clone()
    layer.zero_grad()
    layer(layer(rows)).sum().backward()
    torch.testing.assert_close(twice, layer.weight.grad, rtol=1e-4, atol=1e-4)
    layer.weight.requires_grad_(False)
    leaf = rows.clone().requires_grad_()
    with fast_cpu_linear(CPU):
        layer(leaf).sum().backward()
    assert leaf.grad is not None
