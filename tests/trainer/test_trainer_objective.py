"""Values that an objective and training arguments accept, and what they give."""

import pytest
import torch

from evenhand.trainer import DistillationObjective


@pytest.mark.parametrize(
    ("values", "message"),
    (
        ({"alpha_ce": -1.0}, "objective.alpha_ce"),
        ({"alpha_mse": float("inf")}, "objective.alpha_mse"),
        ({"alpha_cos": float("nan")}, "objective.alpha_cos"),
        ({"alpha_ce": 0, "alpha_mlm": 0, "alpha_cos": 0}, "nothing to train"),
        ({"temperature": 0.0}, "objective.temperature"),
        ({"temperature": -2.0}, "objective.temperature"),
        ({"ce_positions": "all"}, "attended, masked"),
    ),
)
def test_impossible_objectives_are_refused_in_one_line(values, message):
    with pytest.raises(ValueError, match=message) as error:
        DistillationObjective(**values)
    assert "\n" not in str(error.value)


def test_defaults_are_those_of_distilbert():
    objective = DistillationObjective()
    assert objective.weights == {"ce": 5.0, "mlm": 2.0, "cos": 1.0, "mse": 0.0}
    assert (objective.temperature, objective.ce_positions) == (2.0, "attended")


@pytest.mark.parametrize(("positions", "soft"), (("attended", 90.0), ("masked", 14.0)))
def test_soft_terms_are_divided_by_their_positions_and_never_by_zero(positions, soft):
    objective = DistillationObjective(ce_positions=positions)
    assert objective.denominators(torch.tensor([14, 90])).tolist() == [soft, 14.0, 90.0, soft]
    assert objective.denominators(torch.tensor([0, 0])).tolist() == [1.0] * 4


def test_needs_follow_from_the_weights():
    plain = DistillationObjective(alpha_ce=0, alpha_cos=0)
    assert not plain.needs_teacher and not plain.compares_logits
    cosine = DistillationObjective(alpha_ce=0)
    assert cosine.needs_teacher and not cosine.compares_logits
    assert DistillationObjective(alpha_ce=0, alpha_mse=1).compares_logits


@pytest.mark.parametrize(
    ("values", "message"), (({"teacher_dtype": "half"}, "teacher_dtype"), ({"head_chunk_size": 0}, "head_chunk_size"))
)
def test_impossible_training_arguments_are_refused(arguments, values, message):
    with pytest.raises(ValueError, match=message):
        arguments(**values)


def test_training_arguments_default_to_the_released_recipe(arguments):
    args = arguments()
    assert (args.learning_rate, args.adam_beta1, args.adam_beta2, args.adam_epsilon) == (5e-4, 0.9, 0.98, 1e-6)
    assert (args.weight_decay, args.warmup_steps, args.max_grad_norm) == (0.0, 0.05, 5.0)
    assert args.lr_scheduler_type == "linear" and args.get_warmup_steps(1000) == 50
    assert (args.mlm_probability, args.mlm_smoothing, args.freeze_position_embeddings) == (0.15, 0.7, True)
