"""Nothing in a micro-step reads a value from the device: on a GPU each such read waits until all queued work is done."""

import pytest
import torch
from tiny_cohort import tiny_cohort
from tiny_distillation import tiny_dataset, tiny_tokenizer, tiny_trainer
from torch.utils._python_dispatch import TorchDispatchMode

from evenhand.trainer import GenderMixup

aten = torch.ops.aten
READS = {aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default}
"""Operators whose result, or its size, depends on values: ``item``, ``bool``, ``nonzero``, ``torch.equal``."""

INDEXING = {aten.index, aten.index_put, aten.index_put_}
"""They count the ones of a boolean index."""


class NoReads(TorchDispatchMode):
    """Raises where the CPU would have to wait for the device; ``called`` proves that it was asked at all."""

    def __init__(self) -> None:
        super().__init__()
        self.called = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.called += 1
        by_mask = func.overloadpacket in INDEXING and any(i is not None and i.dtype == torch.bool for i in args[1])
        assert func not in READS and not by_mask, f"{func} waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "probe", (lambda t: t.sum().item(), lambda t: bool(t.all()), lambda t: t[t > 0], torch.nonzero)
)
def test_the_guard_sees_reads(probe):
    with pytest.raises(AssertionError, match="waits for the device"), NoReads():
        probe(torch.ones(3))


@pytest.mark.parametrize("view", ("twin", "vocabulary"))
@pytest.mark.parametrize("longest", (20, 3), ids=("padded", "one length"))
def test_a_training_micro_step_reads_nothing_from_the_device(tmp_path, view, longest):
    mixup = GenderMixup(tiny_tokenizer(), second_view=view, unequal_pairs="skip")
    trainer = tiny_trainer(
        tmp_path, supervision=mixup, train_dataset=tiny_dataset(8, longest=longest), arguments={"max_steps": 2}
    )
    assert_no_reads(trainer)


def test_so_it_is_in_a_cohort(tmp_path):
    """Twins, other positions, the vocabulary view, arms without logits."""
    trainer = tiny_cohort(tmp_path, arguments={"max_steps": 2})
    assert_no_reads(trainer)


def assert_no_reads(trainer) -> None:
    """Two steps of two micro-batches, watched."""
    plain, guards = trainer.training_step, []

    def guarded(*arguments):
        guards.append(NoReads())
        with guards[-1]:
            return plain(*arguments)

    trainer.training_step = guarded
    trainer.train()
    assert len(guards) == 4 and all(guard.called > 50 for guard in guards)
