"""The benchmark of a cohort runs, its two sides give one loss, and its ceiling is that of the shapes."""

import re
from types import SimpleNamespace

import pytest
from transformers import BertConfig

from benchmarks import cohort
from benchmarks.bert_base import Shape, full_batches

TINY = Shape(width=16, heads=2, teacher_layers=2, student_layers=1, vocabulary=300, batch=4, length=16)


@pytest.fixture(autouse=True)
def two_students(monkeypatch):
    monkeypatch.setattr(cohort, "STUDENTS", 2)


def test_it_reports_both_rows_with_their_ceilings():
    lines = list(cohort.run(TINY, repeats=1))
    assert lines[0].startswith("2 students, BERT 16 wide") and len(lines) == 3
    for line in lines[1:]:
        assert 1 < float(re.search(r"ceiling from the shapes (\d+\.\d+)x", line)[1]) < 2


def test_a_cohort_that_computes_another_loss_is_not_timed(monkeypatch):
    compute = cohort.CohortTrainer._loss_and_sums

    def another(self, *arguments):
        loss, sums = compute(self, *arguments)
        return loss * 1.001, sums

    monkeypatch.setattr(cohort.CohortTrainer, "_loss_and_sums", another)
    with pytest.raises(RuntimeError, match="the losses of plain arms, full blocks differ"):
        list(cohort.run(TINY, repeats=1))


def test_the_ceiling_of_four_students_of_12_to_6_layers_is_1_36():
    shape = Shape()
    sizes = {"hidden_size": shape.width, "intermediate_size": 4 * shape.width, "vocab_size": shape.vocabulary}
    teacher, student = (SimpleNamespace(config=BertConfig(num_hidden_layers=n, **sizes)) for n in (12, 6))
    step = cohort._flops(teacher, student, full_batches(shape, 1)[0], {})
    assert 4 * step.total / step.cohort(4) == pytest.approx(1.36, abs=0.005)
