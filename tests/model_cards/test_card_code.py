"""The code in a card runs as it stands, in the folder that is published."""

import re

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from evenhand.evaluation.encoder import encode


@pytest.fixture(scope="module")
def ran(staged_once, module_directory):
    """The variables that each block of Python in the card leaves."""
    module_directory.chdir(staged_once)
    blocks = re.findall(r"```python\n(.*?)```", (staged_once / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    variables = []
    for block in blocks:
        variables.append({})
        # the card names the repository on the Hub; here is the folder that would lie there
        exec(block.replace("someone/tiny-student", "."), variables[-1])
    return variables


@pytest.fixture(scope="module")
def module_directory():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_the_card_has_code_for_predictions_fine_tuning_and_vectors(ran):
    assert len(ran) == 3
    assert len(ran[0]["fill"]("He is a [MASK].")) == 5


def test_fine_tuning_changes_the_weights(ran, staged_once):
    before = AutoModelForMaskedLM.from_pretrained(staged_once).distilbert.embeddings.word_embeddings.weight
    after = ran[1]["model"].distilbert.embeddings.word_embeddings.weight
    assert torch.isfinite(ran[1]["loss"]) and not torch.equal(before, after)


def test_the_vectors_are_those_that_seat_measures_with_mean_pooling(ran, staged_once):
    tokenizer, model = AutoTokenizer.from_pretrained(staged_once), AutoModelForMaskedLM.from_pretrained(staged_once)
    theirs = encode(model, tokenizer, ["She is a nurse.", "He is a nurse."], pooling="mean")
    assert np.allclose(ran[2]["vectors"].numpy(), theirs, atol=1e-5)
