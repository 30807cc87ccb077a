"""Checkpoints of a cohort hold plain students; a cohort that was killed goes on to the same end; a broken arm is named."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cohort_killed import ARGUMENTS, KILLED_AT, NAMES
from tiny_cohort import differences, outcome, tiny_arm, tiny_cohort
from tiny_distillation import tiny_tokenizer
from transformers import AutoModelForMaskedLM, AutoTokenizer

from evenhand.trainer import GenderMixup, NonFiniteLossError
from evenhand.trainer.checkpoints import latest_complete_checkpoint


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    trainer = tiny_cohort(tmp_path_factory.mktemp("whole"), NAMES, arguments=ARGUMENTS)
    trainer.train()
    return trainer


def test_a_killed_cohort_resumes_to_the_same_end_bit_by_bit(whole, tmp_path):
    killed = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("cohort_killed.py")), str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert latest_complete_checkpoint(tmp_path).name == "checkpoint-6" and KILLED_AT > 6
    again = tiny_cohort(tmp_path, NAMES, arguments=ARGUMENTS)
    again.train(resume_from_checkpoint=True)
    assert {name: differences(outcome(again, name), outcome(whole, name)) for name in NAMES} == {
        name: [] for name in NAMES
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_holds_each_student_as_a_plain_folder(whole, name):
    folder = latest_complete_checkpoint(whole.args.output_dir) / "students" / name
    student, info = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    trained = whole.arms[name].student
    assert type(student) is type(trained)
    assert student.get_output_embeddings().weight is student.get_input_embeddings().weight
    assert all(torch.equal(value, student.state_dict()[key]) for key, value in trained.state_dict().items())
    assert len(AutoTokenizer.from_pretrained(folder)) == student.config.vocab_size


def test_a_checkpoint_holds_no_teacher_and_no_student_twice(whole):
    checkpoint = latest_complete_checkpoint(whole.args.output_dir)
    assert sorted(path.name for path in (checkpoint / "students").iterdir()) == sorted(NAMES)
    assert not list(checkpoint.glob("*.safetensors")) and not list(checkpoint.glob("training_args*"))
    moments = torch.load(checkpoint / "optimizer.pt")["state"]
    assert len(moments) == sum(p.requires_grad for name in NAMES for p in whole.arms[name].student.parameters())


def test_a_checkpoint_of_other_arms_is_refused(whole):
    other = tiny_cohort(whole.args.output_dir, ("mixup", "cos"), arguments=ARGUMENTS)
    with pytest.raises(
        ValueError, match=r"holds the students masked, mixup, shallow, not those of the arms cos, mixup;"
    ):
        other.train(resume_from_checkpoint=True)


class _Poisoned(GenderMixup):
    def teacher_signals(self, *arguments):
        signals = super().teacher_signals(*arguments)
        signals.hidden = signals.hidden * float("nan")
        return signals


def test_a_term_that_is_not_finite_names_itself_and_its_arm(tmp_path):
    poisoned = replace(tiny_arm("mixup"), supervision=_Poisoned(tiny_tokenizer()))
    trainer = tiny_cohort(tmp_path, arms={"good": tiny_arm("plain"), "bad": poisoned})
    with pytest.raises(NonFiniteLossError, match=r"^Loss term cos of arm bad is not finite at step 1;"):
        trainer.train()


class _Overwriting(GenderMixup):
    def __init__(self, method: str) -> None:
        super().__init__(tiny_tokenizer())
        self.method = method

    def teacher_signals(self, signals, *arguments):
        if self.method == "teacher_signals":
            signals.hidden[0] = 0.0
        return signals

    def teacher_logits(self, logits, start, plan):
        if self.method == "teacher_logits":
            logits[0] = 0.0
        return logits


@pytest.mark.parametrize("method", ["teacher_signals", "teacher_logits"])
def test_a_transform_that_writes_into_what_all_arms_share_is_named(tmp_path, method):
    arms = {"good": tiny_arm("plain"), "bad": replace(tiny_arm("mixup"), supervision=_Overwriting(method))}
    with pytest.raises(RuntimeError, match=rf"_Overwriting\.{method} wrote into a tensor that all arms"):
        tiny_cohort(tmp_path, arms=arms).train()
