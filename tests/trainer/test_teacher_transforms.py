"""Pair equalisation and the counterfactual teacher: one step against a dense float64 computation, and what each leaves alone.

Text, corruption and the places of the pair words are those of test_whole_objective, written down there by hand; the teacher's logits are
changed here by loops over positions and words.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from test_whole_objective import ALPHAS, FAMILIES, Text, dense_step, run_step, world  # noqa: F401  (a fixture)

from evenhand.trainer import CounterfactualTeacher, DistillationObjective, PairEqualisation, WordPairs
from evenhand.trainer.distillation_step import prepare_micro_batch, teacher_signals
from evenhand.trainer.masking import CorruptedBatch
from evenhand.trainer.mlm_parts import MlmParts

FORMS = ("{0}", " {0}", "{1}", " {1}")
"""A word as it is and capitalised, alone and after a space: one token each with the byte-level BPE, where it knows them."""

COMBINED = {
    "mean": lambda z, other: (z + other) / 2,
    "max": max,
    "expmean": lambda z, other: math.log((math.exp(z) + math.exp(other)) / 2),
    "swap": lambda z, other: other,
}


class Changed:
    """A teacher whose logits ``(batch, length, vocab_size)`` are changed after its forward."""

    def __init__(self, teacher, change):
        self.teacher, self.change = teacher, change

    def __call__(self, input_ids, attention_mask, output_hidden_states):
        seen = self.teacher(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        logits = self.change(input_ids, attention_mask, seen.logits.clone())
        return SimpleNamespace(logits=logits, hidden_states=seen.hidden_states)


def one_token_pairs(tokenizer, pairs, spaced: bool) -> set[tuple[int, int]]:
    """Ids of every form of a pair that is one token on both sides."""
    found = set()
    for pair in pairs:
        for form in FORMS if spaced else FORMS[::2]:
            ids = [tokenizer.encode(form.format(w, w[0].upper() + w[1:]), add_special_tokens=False) for w in pair]
            if [len(side) for side in ids] == [1, 1] and tokenizer.unk_token_id not in (ids[0][0], ids[1][0]):
                found.add((ids[0][0], ids[1][0]))
    return found


def equalised(pairs, on: str, heat: float):
    def change(_, __, logits):
        for row in logits.flatten(0, 1):
            p = [math.exp(z / heat) for z in row.tolist()]
            for one, other in pairs:
                mean = (row[one] + row[other]) / 2 if on == "logits" else heat * math.log((p[one] + p[other]) / 2)
                row[one] = row[other] = mean
        return logits

    return change


def combined(teacher, text: Text, combine: str):
    def change(ids, mask, logits):
        twin, rows = ids.clone(), {row for row, *_ in text.words["corrupted"]}
        for row, column, observed, other, _ in text.words["corrupted"]:
            if int(ids[row, column]) != observed:
                return logits  # dense_step asks for the twins too, and makes no use of them here
            twin[row, column] = other
        second = teacher(input_ids=twin, attention_mask=mask).logits
        for row in rows:
            for column in range(int(mask[row].sum())):
                both = zip(logits[row, column].tolist(), second[row, column].tolist(), strict=True)
                logits[row, column] = torch.tensor([COMBINED[combine](z, other) for z, other in both])
        return logits

    return change


def check(world, families, supervision, change, split=((0, 1), (2,)), **objective):  # noqa: F811
    """The trainer's loss, terms and gradients equal those of the dense step with a teacher whose logits are ``change``d."""
    tokenizer, text, student, teacher, make_trainer = world(families)
    aims = DistillationObjective(**ALPHAS | objective)
    trainer = make_trainer(aims, supervision(tokenizer))
    loss, sums, counts, gradients = run_step(trainer, text, [list(rows) for rows in split])
    student.zero_grad()
    torch.set_default_dtype(torch.float64)
    try:
        expected, terms = dense_step(student, Changed(teacher, change(tokenizer, text, teacher)), text, aims)
        plain, _ = dense_step(student, teacher, text, aims)
    finally:
        torch.set_default_dtype(torch.float32)
    expected.backward()
    assert float((plain - expected).detach().abs() / expected.detach()) > 1e-3  # or there would be nothing to see
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-6, atol=1e-7)
    soft = counts[1] if aims.ce_positions == "attended" else counts[0]
    denominators = torch.stack([soft, counts[0], counts[1], soft])
    torch.testing.assert_close(sums / denominators, terms, rtol=1e-6, atol=1e-7)
    for name, parameter in student.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("families", FAMILIES, ids="->".join)
@pytest.mark.parametrize(("on", "ce_positions"), [("logits", "attended"), ("probabilities", "masked")])
def test_pair_equalisation_equals_dense_computation(world, ten_pairs, families, on, ce_positions):  # noqa: F811
    def change(tokenizer, text, teacher):
        pairs = one_token_pairs(tokenizer, ten_pairs, spaced=families[0] == "roberta")
        assert len(pairs) >= 10
        return equalised(pairs, on, 2.0)

    check(
        world,
        families,
        lambda tokenizer: PairEqualisation(tokenizer, on=on, temperature=2.0, unequal_pairs="skip"),
        change,
        ce_positions=ce_positions,
    )


@pytest.mark.parametrize("families", FAMILIES, ids="->".join)
@pytest.mark.parametrize("combine", COMBINED)
def test_counterfactual_teacher_equals_dense_computation(world, families, combine):  # noqa: F811
    check(
        world,
        families,
        lambda tokenizer: CounterfactualTeacher(tokenizer, combine=combine),
        lambda tokenizer, text, teacher: combined(teacher, text, combine),
        ce_positions="masked" if combine in ("mean", "expmean") else "attended",
    )


# -- pair equalisation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heat", (0.5, 1.0, 3.0))
def test_equalised_probabilities_keep_their_sum_and_all_other_probabilities(wordpiece, ten_pairs, heat):
    equalise = PairEqualisation(wordpiece, on="probabilities", temperature=heat)
    logits = 3 * torch.randn(4, len(wordpiece), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    before = (logits / heat).softmax(-1)
    after = (equalise.teacher_logits(logits, 0, {"columns": equalise.columns}) / heat).softmax(-1)
    expected = before.clone()
    for pair in ten_pairs:
        ids = wordpiece.convert_tokens_to_ids([word.lower() for word in pair])
        expected[:, ids] = before[:, ids].mean(1, keepdim=True)
    torch.testing.assert_close(after, expected)


def test_equalisation_writes_into_no_tensor_it_is_given(wordpiece):
    for on in ("logits", "probabilities"):
        logits = torch.randn(3, len(wordpiece))
        before = logits.clone()
        changed = PairEqualisation(wordpiece, on=on).teacher_logits(logits, 0, {"columns": torch.tensor([5, 6])})
        assert torch.equal(logits, before) and not torch.equal(changed, before)


def test_equalisation_reports_its_choices_and_what_it_could_not_equalise(wordpiece):
    pairs = WordPairs((("he", "she"), ("grandfather", "grandmother"), ("man", "stepmother")))
    made = PairEqualisation(wordpiece, pairs, on="probabilities", temperature=3.0, unequal_pairs="skip")
    report = made.report()
    assert (report["name"], report["on"], report["temperature"]) == ("pair_equalisation", "probabilities", 3.0)
    assert report["pairs"]["matched"] == [["he", "she"]] and report["pairs"]["n_patterns"] == 1
    reasons = {entry["pair"][0]: entry["reason"] for entry in report["pairs"]["skipped"]}
    assert reasons == {"grandfather": "more than one token", "man": "1 and 2 tokens"}
    assert "temperature" not in PairEqualisation(wordpiece).report()


@pytest.mark.parametrize(
    ("pairs", "settings", "message"),
    [
        (None, {"on": "words"}, "equalisation.on must be one of logits, probabilities"),
        (None, {"on": "probabilities", "temperature": 0}, "temperature must be above 0"),
        (None, {"forms": "all"}, "equalisation.forms must be one of"),
        ((("he", "she"), ("grandfather", "grandmother")), {}, "grandfather/grandmother. .*equalisation.unequal_pairs"),
        ((("man", "stepmother"),), {}, "equalisation.unequal_pairs=skip"),
        ((("grandfather", "grandmother"),), {"unequal_pairs": "skip"}, "No word pair of given is one token"),
    ],
)
def test_what_cannot_be_equalised_is_refused_by_name(wordpiece, pairs, settings, message):
    with pytest.raises(ValueError, match=message):
        PairEqualisation(wordpiece, pairs and WordPairs(pairs), **settings)


# -- counterfactual teacher --------------------------------------------------------------------------------------------

LINES = ("he saw the galore and his mother .", "the old teacher was happy .", "mary was a girl .")


class Kept:
    """Changes nothing and makes the second token of each sentence a target."""

    def corrupt(self, input_ids, attention_mask, generator):
        labels = torch.full_like(input_ids, -100)
        labels[:, 2] = input_ids[:, 2]
        return CorruptedBatch(input_ids, labels)


def signals_of(tokenizer, teacher, supervision, lines=LINES, **objective):
    encoded = tokenizer(list(lines), padding=True, return_tensors="pt")
    batch = {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}
    aims = DistillationObjective(**objective)
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    inputs = prepare_micro_batch(batch, Kept(), aims, supervision, *generators)
    parts, calls = MlmParts(teacher), []
    encode = parts.encode
    parts.encode = lambda ids, *rest: calls.append(ids.tolist()) or encode(ids, *rest)
    return inputs, teacher_signals(parts, inputs, aims, supervision), calls


@pytest.fixture
def teacher(make_model):
    return make_model("bert", 2, seed=3).eval()


@pytest.mark.parametrize("combine", COMBINED)
def test_only_sentences_with_a_pair_word_are_run_again_and_changed(wordpiece, teacher, combine):
    inputs, signals, calls = signals_of(wordpiece, teacher, CounterfactualTeacher(wordpiece, combine=combine))
    swapped = wordpiece(["she saw the galore and her father .", "john was a boy ."], padding=True)["input_ids"]
    ids = inputs["input_ids"]
    assert calls == [ids.tolist(), [row + [0] * (ids.shape[1] - len(row)) for row in swapped]]
    of_row = inputs["rows"] // ids.shape[1]
    assert signals.changed_rows.index.tolist() == (of_row != 1).nonzero().flatten().tolist()
    counts = CounterfactualTeacher(wordpiece).counts(inputs["plan"])
    assert counts == {"combined_positions": int((of_row != 1).sum()), "sequences_with_pair_words": 2}


@pytest.mark.parametrize(
    ("lines", "objective"), [(LINES[1:2] * 2, {}), (LINES, {"alpha_ce": 0.0})], ids=["no pair word", "no logits"]
)
def test_without_anything_to_combine_there_is_no_second_forward(wordpiece, teacher, lines, objective):
    _, signals, calls = signals_of(wordpiece, teacher, CounterfactualTeacher(wordpiece), lines, **objective)
    assert len(calls) == 1 and signals.changed_rows is None


def test_hidden_targets_and_student_inputs_stay_those_of_the_sentence(wordpiece, teacher):
    transform = CounterfactualTeacher(wordpiece, combine="swap")
    inputs, signals, _ = signals_of(wordpiece, teacher, transform)
    hidden = teacher.bert(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
    torch.testing.assert_close(signals.hidden, hidden.flatten(0, 1)[inputs["attended"]], rtol=1e-5, atol=1e-5)
    assert not transform.changes_student_embeddings


def test_counterfactual_reports_its_choices(wordpiece):
    report = CounterfactualTeacher(wordpiece, combine="expmean").report()
    assert (report["name"], report["combine"], report["pairs"]["n_pairs"]) == ("counterfactual_teacher", "expmean", 10)


@pytest.mark.parametrize(
    ("pairs", "settings", "message"),
    [
        (None, {"combine": "min"}, "counterfactual.combine must be one of mean, max, expmean, swap"),
        (None, {"unequal_pairs": "drop"}, "counterfactual.unequal_pairs must be one of"),
        ((("man", "stepmother"),), {}, r"man/stepmother \(1 and 2 tokens\). .*counterfactual.unequal_pairs=skip"),
    ],
)
def test_what_cannot_be_combined_is_refused_by_name(wordpiece, pairs, settings, message):
    with pytest.raises(ValueError, match=message):
        CounterfactualTeacher(wordpiece, pairs and WordPairs(pairs), **settings)
