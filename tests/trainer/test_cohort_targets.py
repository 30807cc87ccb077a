"""The teacher's logits that arms share, the few rows that one arm changes in them, and the tensors that are moved once."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from evenhand.trainer.changed_rows import ChangedLogits, ChangedRows
from evenhand.trainer.cohort_batch import Moved, _pooled
from evenhand.trainer.cohort_targets import ArmLoss
from evenhand.trainer.head_losses import HeadLoss, TeacherTargets

ROWS, WORDS, WIDTH, TEMPERATURE = 11, 13, 4, 2.0
INDEX = [1, 2, 5, 9, 10]


@pytest.fixture
def numbers():
    generator = torch.Generator().manual_seed(0)
    size = {"weight": (WORDS, WIDTH), "rows": (ROWS, WIDTH), "own": (ROWS, WIDTH), "student": (ROWS, WORDS)}
    found = {name: torch.randn(shape, generator=generator) for name, shape in size.items()}
    kept = torch.ones(ROWS, 1).index_fill(0, torch.tensor(INDEX), 0.0)
    found["own"] = kept * found["rows"] + (1 - kept) * found["own"]
    return found


def _changed(numbers: dict, at_once: int, calls=None) -> ChangedLogits:
    index = torch.tensor(INDEX)

    def decode(rows):
        if calls is not None:
            calls.append(len(rows))
        return F.linear(rows, numbers["weight"])

    return ChangedLogits(ChangedRows(index, index.numpy()), numbers["own"], decode, at_once)


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
@pytest.mark.parametrize("chunk", [1, 3, 4, ROWS])
def test_logits_of_changed_rows_come_by_chunk_and_are_computed_once(numbers, at_once, chunk):
    expected, calls = F.linear(numbers["own"], numbers["weight"]), []
    changed, seen = _changed(numbers, at_once, calls), []
    for start in range(0, ROWS, chunk):
        found = changed.within(start, min(start + chunk, ROWS))
        if found is not None:
            here, logits = found
            torch.testing.assert_close(logits, expected[here + start])
            seen += (here + start).tolist()
    assert seen == INDEX
    # a chunk that needs two blocks leaves the second to the next chunk
    assert sum(calls) == len(INDEX) and max(calls) <= at_once


def _loss(targets: TeacherTargets, squared_error: bool = True) -> HeadLoss:
    return HeadLoss(targets, None, TEMPERATURE, squared_error)


@pytest.mark.parametrize("chunk", [4, ROWS])
@pytest.mark.parametrize("hook", [None, lambda logits, start: logits, lambda logits, start: logits.flip(1)])
def test_an_arm_sees_its_own_rows_and_the_others_the_common_ones(numbers, chunk, hook):
    common = TeacherTargets(lambda start, stop: F.linear(numbers["rows"][start:stop], numbers["weight"]))
    own = F.linear(numbers["own"], numbers["weight"])
    expected = {"own": own if hook is None else hook(own, 0), "plain": F.linear(numbers["rows"], numbers["weight"])}
    arms = {"own": ArmLoss(_loss(common), _changed(numbers, 2), hook), "plain": _loss(common)}
    ones = torch.ones(3)
    for start in range(0, ROWS, chunk):
        stop = min(start + chunk, ROWS)
        for name in ("own", "plain", "own"):
            dense = TeacherTargets(lambda first, last, name=name: expected[name][first:last].clone())
            logits = [numbers["student"][start:stop].clone() for _ in range(2)]
            sums = [
                loss(grad, start, stop, ones) for loss, grad in zip((arms[name], _loss(dense)), logits, strict=True)
            ]
            torch.testing.assert_close(*sums)
            torch.testing.assert_close(*logits)  # overwritten with their gradients


def test_the_common_rows_come_back_after_an_error(numbers):
    common = TeacherTargets(lambda start, stop: F.linear(numbers["rows"][start:stop], numbers["weight"]))
    before = common.log_probabilities(0, ROWS, TEMPERATURE).clone()

    def fail(logits, start):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ArmLoss(_loss(common), _changed(numbers, 9), fail)(numbers["student"], 0, ROWS, torch.ones(3))
    assert torch.equal(common.log_probabilities(0, ROWS, TEMPERATURE), before)


def test_equal_tensors_become_one_and_unequal_ones_stay_two():
    one, pool = torch.arange(6), {}
    arms = [
        {"a": one, "b": [{"c": one.clone()}], "d": one.view(2, 3), "e": one.int(), "n": np.arange(2), "f": 1},
        {"a": one.clone(), "b": [{"c": one + 1}], "d": one.view(2, 3).clone(), "e": one.float(), "n": None, "f": True},
    ]
    first, second = (_pooled(arm, pool) for arm in arms)
    assert first["a"] is second["a"] is first["b"][0]["c"] and first["d"] is second["d"]
    assert second["b"][0]["c"] is not first["a"] and torch.equal(second["b"][0]["c"], one + 1)
    assert first["d"] is not first["a"] and first["e"].dtype == torch.int32 and second["e"].dtype == torch.float32
    assert first["n"] is arms[0]["n"] and (first["f"], second["f"]) == (1, True)


def test_what_is_one_tensor_is_moved_once():
    moves = []
    moved = Moved(lambda tensor: moves.append(tensor) or tensor.clone())
    one, equal = torch.zeros(2), torch.zeros(2)
    assert moved(one) is moved(one) and moved(equal) is not moved(one)
    assert len(moves) == 2
