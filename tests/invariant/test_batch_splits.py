"""The same effective batch gives the same training, however it is cut into micro-batches."""

import pytest
from tiny_distillation import ContentMasking, largest_difference, split_run, tiny_dataset

from evenhand.trainer import DistillationTrainer

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return split_run(tmp_path_factory.mktemp("whole"), 8, 1)


@pytest.mark.parametrize(("batch_size", "accumulation"), [(1, 8), (2, 4)])
def test_first_gradients_and_ten_losses_do_not_depend_on_the_split(whole, tmp_path, batch_size, accumulation):
    split = split_run(tmp_path, batch_size, accumulation)
    assert largest_difference(whole, split) < TOLERANCE
    assert split["counts"] == whole["counts"]


def test_all_four_terms_and_the_mixup_take_part(whole):
    first = whole["losses"][0]
    assert all(first[name] > 0.05 for name in ("ce", "mlm", "cos", "mse"))
    assert whole["counts"]["mixed_positions"] > 50
    assert whole["losses"][0]["loss"] > whole["losses"][-1]["loss"]


def test_token_counts_differ_between_micro_batches():
    data = tiny_dataset(40)
    lengths = [len(row["input_ids"]) for row in data]
    assert max(lengths) > 3 * min(lengths)


class _MeanPerMicroBatch(DistillationTrainer):
    """The common fault: each micro-batch divided by its own counts, then averaged."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss = super().compute_loss(model, inputs, return_outputs, inputs["counts"])
        return loss / self.args.gradient_accumulation_steps


class _SumOverMicroBatches(DistillationTrainer):
    """The other one: accumulation multiplies the gradient (transformers#47688)."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        return super().compute_loss(model, inputs, return_outputs, inputs["counts"])


class _OneCountForAllTerms(DistillationTrainer):
    """Every term divided by the number of MLM targets."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch[0].repeat(2))


@pytest.mark.parametrize("fault", [_MeanPerMicroBatch, _SumOverMicroBatches, _OneCountForAllTerms])
def test_a_wrong_normalisation_would_be_seen(whole, tmp_path, fault):
    assert largest_difference(whole, split_run(tmp_path, 2, 4, trainer_class=fault)) > 100 * TOLERANCE


def test_a_split_with_micro_batches_without_targets_is_the_same_too(tmp_path):
    masking = ContentMasking(spared=lambda length: length % 2 == 0)
    runs = [split_run(tmp_path / str(size), size, 8 // size, masking=masking) for size in (8, 1)]
    assert largest_difference(*runs) < TOLERANCE


@pytest.mark.parametrize("chunk", [1, 7])
def test_rows_of_the_head_at_once_do_not_matter(whole, tmp_path, chunk):
    class Chunked(DistillationTrainer):
        def __init__(self, student, teacher, args, **parts):
            args.head_chunk_size = chunk
            super().__init__(student, teacher, args, **parts)

    assert largest_difference(whole, split_run(tmp_path, 8, 1, trainer_class=Chunked)) < TOLERANCE
