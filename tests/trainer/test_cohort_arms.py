"""What a cohort refuses, each in one line before any work, and what it takes."""

from dataclasses import replace

import pytest
from tiny_cohort import tiny_arm, tiny_cohort, tiny_student
from tiny_distillation import tiny_teacher, tiny_tokenizer
from transformers import BertConfig, BertForMaskedLM

from evenhand.trainer import Arm, CohortTrainer, DistillationObjective
from evenhand.trainer.best_checkpoint import EarlyStopping
from evenhand.trainer.cohort import check_arm_names


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "at least one arm"),
        (("a/b",), "'a/b' cannot name a folder"),
        (("..",), "cannot name a folder"),
        ((".hidden",), "cannot name a folder"),
        (("",), "'' cannot name a folder"),
        ((3,), "3 is no text; write it in quotes"),
        (("x" * 101,), "cannot name a folder"),
        (("Plain", "plain"), "Plain and plain would share a folder"),
    ],
)
def test_names_that_cannot_be_folders_are_refused(names, message):
    with pytest.raises(ValueError, match=message) as raised:
        check_arm_names(dict.fromkeys(names))
    assert "\n" not in str(raised.value)


def test_good_names_pass():
    check_arm_names(dict.fromkeys(("plain", "mixup-0.4", "6_layers", "A.b")))


def test_one_model_in_two_arms_is_refused(tmp_path):
    arm = tiny_arm("plain")
    with pytest.raises(ValueError, match="Arms one and two have one student"):
        tiny_cohort(tmp_path, arms={"one": arm, "two": replace(arm)})


def test_a_student_of_another_vocabulary_or_width_is_refused_by_its_arm(tmp_path):
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    other = BertForMaskedLM(BertConfig(vocab_size=30, **small))
    with pytest.raises(ValueError, match="Arm odd: Student and teacher have logits of different size"):
        tiny_cohort(tmp_path, arms={"plain": tiny_arm("plain"), "odd": Arm(other)})
    wide = BertForMaskedLM(BertConfig(vocab_size=len(tiny_tokenizer()), **small | {"hidden_size": 8}))
    with pytest.raises(ValueError, match=r"Arm odd: L_cos needs hidden states of one width, but the student's is 8"):
        tiny_cohort(tmp_path, arms={"plain": tiny_arm("plain"), "odd": Arm(wide)})
    tiny_cohort(tmp_path, arms={"plain": tiny_arm("plain"), "odd": Arm(wide, DistillationObjective(alpha_cos=0.0))})


def test_an_arm_with_teacher_terms_needs_a_teacher(tmp_path, arguments):
    parts = {"processing_class": tiny_tokenizer()}
    with pytest.raises(ValueError, match="Arm plain: The objective has teacher terms"):
        CohortTrainer({"mlm": tiny_arm("mlm"), "plain": tiny_arm("plain")}, None, arguments(), **parts)
    CohortTrainer({"mlm": tiny_arm("mlm")}, None, arguments(), **parts)
    with pytest.raises(ValueError, match="CohortTrainer needs processing_class"):
        CohortTrainer({"mlm": tiny_arm("mlm")}, tiny_teacher(), arguments())


def test_choosing_a_student_by_its_measures_is_refused(tmp_path):
    best = {
        "load_best_model_at_end": True,
        "save_strategy": "steps",
        "eval_strategy": "steps",
        "save_steps": 2,
        "eval_steps": 2,
    }
    for arguments in (best, {"metric_for_best_model": "mlm"}):
        with pytest.raises(ValueError, match="A cohort keeps the last student of every arm"):
            tiny_cohort(tmp_path, ("plain",), arguments=arguments)
    with pytest.raises(ValueError, match="early stopping would end them together"):
        tiny_cohort(tmp_path, ("plain",), callbacks=[EarlyStopping(2)])


def test_every_student_keeps_its_own_weight_decay_grouping(tmp_path):
    arms = {name: Arm(tiny_student(1, family)) for name, family in (("bias", "distilbert"), ("norm", "same"))}
    trainer = tiny_cohort(tmp_path, arms=arms)
    decayed = {id(p) for p in trainer.create_optimizer().param_groups[0]["params"]}
    for arm in arms.values():
        for name, p in arm.student.named_parameters():
            plain = "bias" in name or "norm" in name.lower()
            assert (id(p) in decayed) == (p.requires_grad and not plain), name
