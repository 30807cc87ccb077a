"""What the trainer promises beside the loss: the teacher's place, the logs, the evaluation, the arguments."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tiny_distillation import (
    ALL_TERMS,
    VOCABULARY,
    ContentMasking,
    losses_of,
    tiny_arguments,
    tiny_dataset,
    tiny_teacher,
    tiny_tokenizer,
    tiny_trainer,
)
from transformers import AutoModelForMaskedLM, BertTokenizerFast, DistilBertForMaskedLM, HfArgumentParser, Trainer

from evenhand.trainer import DistillationArguments, DistillationObjective, DistillationTrainer, make_student

TERMS = ("ce", "mlm", "cos", "mse")


def _dense_sums(student, teacher, dataset, temperature: float) -> tuple[dict[str, float], int, int]:
    """The four sums over a data set, one sentence at a time, from the models' own full forwards."""
    sums, n_targets, n_attended = dict.fromkeys(TERMS, 0.0), 0, 0
    masking = ContentMasking()
    student, teacher = (copy.deepcopy(model).double().eval() for model in (student, teacher))
    for row in dataset:
        ids = torch.tensor([row["input_ids"]])
        batch = masking.corrupt(ids, torch.ones_like(ids), None)
        outputs = [model(input_ids=batch.input_ids, output_hidden_states=True) for model in (student, teacher)]
        s, t = (output.logits[0] for output in outputs)
        p, q = (t / temperature).softmax(-1), (s / temperature).softmax(-1)
        chosen = batch.labels[0] != -100
        hidden = [output.hidden_states[-1][0] for output in outputs]
        sums["ce"] += float((p * (p.log() - q.log())).sum()) * temperature**2
        sums["mlm"] -= float(s.log_softmax(-1)[chosen, batch.labels[0][chosen]].sum())
        sums["cos"] += float((1 - F.cosine_similarity(*hidden)).sum())
        sums["mse"] += float(((s - t) ** 2).sum())
        n_targets, n_attended = n_targets + int(chosen.sum()), n_attended + ids.shape[1]
    return sums, n_targets, n_attended


@torch.no_grad()
def _dense_means(trainer, dataset) -> dict[str, float]:
    sums, n_targets, n_attended = _dense_sums(trainer.model, tiny_teacher(), dataset, trainer.objective.temperature)
    return {name: sums[name] / (n_targets if name == "mlm" else n_attended) for name in TERMS} | {"targets": n_targets}


def test_evaluation_equals_a_dense_computation_sentence_by_sentence(tmp_path):
    held_out = tiny_dataset(11, seed=5)
    trainer = tiny_trainer(tmp_path, masking=ContentMasking(), eval_dataset=held_out)
    expected = _dense_means(trainer, held_out)
    metrics = trainer.evaluate()
    for name in TERMS:
        assert metrics[f"eval_{name}"] == pytest.approx(expected[name], rel=1e-5)
    assert metrics["eval_mlm_targets"] == expected["targets"]
    weighted = sum(ALL_TERMS.weights[name] * expected[name] for name in TERMS)
    assert metrics["eval_loss"] == pytest.approx(weighted, rel=1e-5)
    assert all(value is None or isinstance(value, (int, float)) for value in metrics.values())


def test_evaluation_draws_the_same_masks_every_time_and_leaves_the_training_mode(tmp_path):
    trainer = tiny_trainer(tmp_path, dropout=0.2, eval_dataset=tiny_dataset(7, seed=5))
    trainer.model.train()
    assert trainer.evaluate() == trainer.evaluate()
    assert trainer.model.training


def test_evaluation_between_steps_does_not_change_the_training(tmp_path):
    runs = []
    for strategy in ("no", "steps"):
        trainer = tiny_trainer(
            tmp_path / strategy,
            dropout=0.2,
            eval_dataset=tiny_dataset(7, seed=5),
            arguments={"max_steps": 4, "eval_strategy": strategy, "eval_steps": 1},
        )
        trainer.train()
        runs.append((losses_of(trainer), trainer.total_counts()))
    assert runs[0] == runs[1]


def test_terms_are_logged_unweighted_and_their_weighted_sum_is_the_loss(tmp_path):
    objective = DistillationObjective(alpha_ce=3.0, alpha_mlm=0.5, alpha_cos=7.0, alpha_mse=0.01)
    data = tiny_dataset(8)
    trainer = tiny_trainer(
        tmp_path, masking=ContentMasking(), objective=objective, train_dataset=data, supervision=None,
        arguments={"max_steps": 1, "per_device_train_batch_size": 4},
    )  # fmt: skip
    expected = _dense_means(trainer, data)
    trainer.train()
    (first,) = losses_of(trainer)
    for name in TERMS:
        assert first[name] == pytest.approx(expected[name], rel=1e-5)
    assert first["loss"] == pytest.approx(sum(objective.weights[name] * first[name] for name in TERMS), rel=1e-5)


def test_a_term_that_is_off_is_not_logged(tmp_path):
    objective = DistillationObjective(alpha_ce=1.0, alpha_mlm=0.0, alpha_cos=0.0)
    trainer = tiny_trainer(tmp_path, objective=objective, arguments={"max_steps": 1})
    trainer.train()
    logged = trainer.state.log_history[0]
    assert [name for name in TERMS if name in logged] == ["ce"]


def test_the_teacher_is_frozen_and_outside_of_the_student(tmp_path):
    tokenizer, teacher = tiny_tokenizer(), tiny_teacher(dropout=0.3).train()
    student, _ = make_student(teacher, layers=1, family="distilbert")
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    args = tiny_arguments(tmp_path, max_steps=3, save_strategy="steps", save_steps=3)
    trainer = DistillationTrainer(student, teacher, args, train_dataset=tiny_dataset(12), processing_class=tokenizer)
    trainer.train()
    assert not teacher.training
    assert not any(p.requires_grad or p.grad is not None for p in teacher.parameters())
    assert all(torch.equal(value, teacher.state_dict()[name]) for name, value in before.items())
    theirs = {id(p) for p in teacher.parameters()}
    optimised = [p for group in trainer.optimizer.param_groups for p in group["params"]]
    assert optimised and not theirs & {id(p) for p in optimised}
    assert not theirs & {id(p) for p in trainer.model_wrapped.parameters()}
    checkpoint = tmp_path / "checkpoint-3"
    assert all(name.startswith(("distilbert.", "vocab_")) for name in load_file(checkpoint / "model.safetensors"))
    loaded, info = DistilBertForMaskedLM.from_pretrained(checkpoint, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in student.state_dict().items())


def test_a_checkpoint_is_a_plain_student(tmp_path):
    tiny_trainer(tmp_path, arguments={"max_steps": 2, "save_strategy": "steps", "save_steps": 2}).train()
    assert type(AutoModelForMaskedLM.from_pretrained(tmp_path / "checkpoint-2")) is DistilBertForMaskedLM


OBJECTIVES = {
    "all terms": ALL_TERMS,
    "masked positions": DistillationObjective(alpha_mse=0.02, ce_positions="masked"),
    "mlm alone": DistillationObjective(alpha_ce=0.0, alpha_mlm=1.0, alpha_cos=0.0),
    "cos alone": DistillationObjective(alpha_ce=0.0, alpha_mlm=0.0, alpha_cos=1.0),
}


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
@pytest.mark.parametrize("lacks", ["target", "pair word"])
def test_a_micro_batch_that_lacks_something_gives_every_parameter_a_finite_gradient(tmp_path, objective, lacks):
    masking = ContentMasking(spared=lambda length: lacks == "target")
    words = (["the"], ["tree"]) if lacks == "pair word" else (["he"], ["tree"])
    trainer = tiny_trainer(tmp_path, objective=objective, masking=masking)
    batch = trainer.data_collator(tiny_dataset(3, words=words))
    inputs = trainer._prepare_batch(batch, 0, 0)
    assert bool(inputs["counts"][0]) == (lacks != "target")
    loss = trainer.compute_loss(trainer.model, inputs, num_items_in_batch=inputs["counts"])
    loss.backward()
    loss = loss.detach()
    assert math.isfinite(float(loss))
    if objective is OBJECTIVES["mlm alone"] and lacks == "target":
        assert float(loss) == 0
    trainable = [name for name, p in trainer.model.named_parameters() if p.requires_grad]
    without = [
        name
        for name in trainable
        if (p := trainer.model.get_parameter(name)).grad is None or not p.grad.isfinite().all()
    ]
    assert trainable and without == []


def test_position_embeddings_are_frozen_by_default_and_trained_on_request(tmp_path):
    for freeze in (True, False):
        trainer = tiny_trainer(tmp_path, arguments={"freeze_position_embeddings": freeze, "max_steps": 2})
        positions = trainer.model.distilbert.embeddings.position_embeddings.weight
        before = positions.detach().clone()
        trainer.train()
        assert torch.equal(before, positions) == freeze


def test_more_than_one_gpu_in_a_process_is_refused_with_the_launch_command(tmp_path, monkeypatch):
    monkeypatch.setattr(DistillationArguments, "n_gpu", property(lambda self: 2))
    with pytest.raises(ValueError, match=r"2 GPUs .*accelerate launch"):
        tiny_arguments(tmp_path)


def test_a_transformers_that_ignores_the_loss_scale_flag_is_refused(tmp_path, monkeypatch):
    monkeypatch.delattr(Trainer, "loss_is_scaled_for_ga")
    with pytest.raises(ValueError, match="transformers>="):
        tiny_arguments(tmp_path)


def test_help_of_the_arguments_prints(capsys):
    with pytest.raises(SystemExit) as stopped:
        HfArgumentParser(DistillationArguments).parse_args_into_dataclasses(["--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"--{name}" in shown for name in ("mlm_probability", "teacher_dtype", "head_chunk_size"))


@pytest.mark.parametrize("setting", [{"teacher_dtype": "float8"}, {"head_chunk_size": 0}])
def test_arguments_out_of_range_are_named(tmp_path, setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        tiny_arguments(tmp_path, **setting)


def test_unequal_widths_are_refused_unless_the_cosine_is_off(tmp_path):
    tokenizer, teacher = tiny_tokenizer(), tiny_teacher(hidden_size=32)
    student, _ = make_student(tiny_teacher(), layers=1)
    parts = {"train_dataset": tiny_dataset(4), "processing_class": tokenizer}
    with pytest.raises(ValueError, match=r"16 and the teacher's 32.*alpha_cos=0") as raised:
        DistillationTrainer(student, teacher, tiny_arguments(tmp_path), **parts)
    assert "\n" not in str(raised.value)
    objective = DistillationObjective(alpha_cos=0.0)
    trainer = DistillationTrainer(student, teacher, tiny_arguments(tmp_path, max_steps=1), objective=objective, **parts)
    trainer.train()
    assert math.isfinite(trainer.state.log_history[0]["ce"])


def test_two_vocabularies_are_refused_by_the_first_differing_token(tmp_path):
    swapped = [*VOCABULARY[:20], VOCABULARY[21], VOCABULARY[20], *VOCABULARY[22:]]
    other = BertTokenizerFast(vocab={token: i for i, token in enumerate(swapped)})
    with pytest.raises(ValueError, match=f"token 20 is '{VOCABULARY[20]}'"):
        tiny_trainer(tmp_path, teacher_processing_class=other)


def test_a_missing_teacher_tokenizer_or_data_set_is_named(tmp_path):
    student, _ = make_student(tiny_teacher(), layers=1)
    args, tokenizer = tiny_arguments(tmp_path), tiny_tokenizer()
    with pytest.raises(ValueError, match="no teacher was given"):
        DistillationTrainer(student, None, args, processing_class=tokenizer)
    with pytest.raises(ValueError, match="processing_class"):
        DistillationTrainer(student, tiny_teacher(), args)
    trainer = DistillationTrainer(student, tiny_teacher(), args, processing_class=tokenizer)
    with pytest.raises(ValueError, match="train_dataset"):
        trainer.train()
    with pytest.raises(ValueError, match="eval_dataset"):
        trainer.evaluate()
