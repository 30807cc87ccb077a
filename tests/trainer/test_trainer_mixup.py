"""Gender mixup: which side λ multiplies, what costs a second teacher forward, and what is reported."""

import pytest
import torch

from evenhand.trainer import DistillationObjective, GenderMixup
from evenhand.trainer.distillation_step import prepare_micro_batch, teacher_signals
from evenhand.trainer.masking import CorruptedBatch
from evenhand.trainer.mlm_parts import MlmParts

LINES = ("he saw the galore and his mother .", "the old teacher was happy .", "mary was a girl .")
WORDS = {(0, 1): ("he", "she", True), (0, 7): ("his", "her", True), (0, 8): ("mother", "father", False),
         (2, 1): ("mary", "john", False), (2, 4): ("girl", "boy", False)}  # fmt: skip
"""(row, column) to observed word, twin, and whether the observed one is male; ``galore`` holds none."""


class Chosen:
    """Masks nothing, and makes given columns of each row targets."""

    def __init__(self, *targets):
        self.targets = targets

    def corrupt(self, input_ids, attention_mask, generator):
        labels = torch.full_like(input_ids, -100)
        for row, column in self.targets:
            labels[row, column] = input_ids[row, column]
        return CorruptedBatch(input_ids, labels)


def batch_of(tokenizer, lines=LINES):
    encoded = tokenizer(list(lines), padding=True, return_tensors="pt")
    return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}


def prepared(tokenizer, supervision, lines=LINES, targets=((0, 2),), **objective):
    aims = DistillationObjective(**objective)
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    return aims, prepare_micro_batch(batch_of(tokenizer, lines), Chosen(*targets), aims, supervision, *generators)


def constant(supervision, lam):
    supervision.draw_lambda = lambda found, batch, generator: torch.full((len(found.positions),), float(lam))
    return supervision


def ids_with(tokenizer, male: bool):
    """The batch with every word of a pair on one side."""
    ids = batch_of(tokenizer)["input_ids"].clone()
    for place, (observed, twin, is_male) in WORDS.items():
        ids[place] = tokenizer.convert_tokens_to_ids(observed if is_male == male else twin)
    return ids


@pytest.fixture
def teacher(make_model):
    return make_model("bert", 2, seed=3).eval()


class CountedParts(MlmParts):
    """Records the ids of every forward."""

    def __init__(self, model):
        super().__init__(model)
        self.seen = []

    def encode(self, input_ids, attention_mask, pieces=None):
        self.seen.append(input_ids)
        return super().encode(input_ids, attention_mask, pieces)


# -- λ is the weight of the male side ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lam", (1.0, 0.0))
def test_student_sees_the_male_side_at_one_and_the_female_side_at_zero(wordpiece, lam):
    supervision = constant(GenderMixup(wordpiece), lam)
    _, inputs = prepared(wordpiece, supervision)
    table = torch.randn(len(wordpiece), 6, generator=torch.Generator().manual_seed(0))
    mixed = supervision.student_embeddings(table[inputs["input_ids"]], table, inputs["plan"])
    torch.testing.assert_close(mixed, table[ids_with(wordpiece, male=lam == 1.0)])


@pytest.mark.parametrize("lam", (1.0, 0.0, 0.3))
def test_teacher_logits_are_of_the_observed_or_the_twin_sentence(wordpiece, teacher, lam):
    supervision = constant(GenderMixup(wordpiece), lam)
    aims, inputs = prepared(wordpiece, supervision)
    signals = teacher_signals(MlmParts(teacher), inputs, aims, supervision)
    logits = teacher.cls.predictions.decoder(signals.head_rows)

    batch = batch_of(wordpiece)
    swapped = batch["input_ids"].clone()
    for place, (_, twin, _) in WORDS.items():
        swapped[place] = wordpiece.convert_tokens_to_ids(twin)
    with torch.no_grad():
        observed = teacher(**batch).logits
        other = teacher(input_ids=swapped, attention_mask=batch["attention_mask"]).logits
    expected = observed.clone()
    for place, (_, _, male) in WORDS.items():
        weight = lam if male else 1 - lam
        expected[place] = weight * observed[place] + (1 - weight) * other[place]
    torch.testing.assert_close(logits, expected[batch["attention_mask"].bool()], rtol=1e-4, atol=1e-4)


def test_vocabulary_view_moves_only_the_two_words_entries(wordpiece):
    supervision = constant(GenderMixup(wordpiece, second_view="vocabulary"), 0.25)
    _, inputs = prepared(wordpiece, supervision)
    logits = torch.randn(len(inputs["rows"]), len(wordpiece), generator=torch.Generator().manual_seed(0))
    expected = logits.clone()
    rows = inputs["rows"].tolist()
    for (row, column), (observed, twin, male) in WORDS.items():
        at = rows.index(row * inputs["input_ids"].shape[1] + column)
        one, two = wordpiece.convert_tokens_to_ids([observed, twin])
        weight = 0.25 if male else 0.75
        expected[at, one] = weight * logits[at, one] + (1 - weight) * logits[at, two]
        expected[at, two] = weight * logits[at, two] + (1 - weight) * logits[at, one]
    mixed = torch.cat(
        [supervision.teacher_logits(logits[i : i + 4], i, inputs["plan"]) for i in range(0, len(logits), 4)]
    )
    torch.testing.assert_close(mixed, expected)


def test_gradient_reaches_both_word_rows(wordpiece):
    supervision = constant(GenderMixup(wordpiece), 0.25)
    _, inputs = prepared(wordpiece, supervision, lines=("he was old .",), targets=((0, 2),))
    table = torch.randn(len(wordpiece), 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mixed = supervision.student_embeddings(table[inputs["input_ids"]], table, inputs["plan"])
    mixed[0, 1].sum().backward()
    he, she = wordpiece.convert_tokens_to_ids(["he", "she"])
    expected = torch.zeros_like(table)
    expected[he], expected[she] = 0.25, 0.75
    torch.testing.assert_close(table.grad, expected)


def test_inputs_stay_as_they_are_unless_asked_for(wordpiece):
    supervision = constant(GenderMixup(wordpiece, mix=["teacher_logits"]), 0.25)
    _, inputs = prepared(wordpiece, supervision)
    table = torch.randn(len(wordpiece), 6)
    embeddings = table[inputs["input_ids"]]
    assert torch.equal(supervision.student_embeddings(embeddings, table, inputs["plan"]), embeddings)


# -- the second forward ------------------------------------------------------------------------------------------------


def forwards(tokenizer, teacher, supervision, **options):
    aims, inputs = prepared(tokenizer, supervision, **options)
    parts = CountedParts(teacher)
    teacher_signals(parts, inputs, aims, supervision)
    return parts.seen, inputs


def test_only_sequences_with_a_word_of_a_pair_enter_the_twin_forward(wordpiece, teacher):
    seen, inputs = forwards(wordpiece, teacher, GenderMixup(wordpiece))
    assert len(seen) == 2 and torch.equal(seen[0], inputs["input_ids"])
    swapped = inputs["input_ids"].clone()
    for place, (_, twin, _) in WORDS.items():
        swapped[place] = wordpiece.convert_tokens_to_ids(twin)
    assert torch.equal(seen[1], swapped[[0, 2]])


def test_batch_without_a_word_of_a_pair_costs_one_forward(wordpiece, teacher):
    lines = ("the old teacher was happy .", "the galore was in town .")
    seen, inputs = forwards(wordpiece, teacher, GenderMixup(wordpiece), lines=lines)
    assert len(seen) == 1
    supervision = GenderMixup(wordpiece)
    assert supervision.counts(inputs["plan"]) == {"mixed_positions": 0, "sequences_with_pair_words": 0}


def test_masked_positions_cost_a_twin_only_where_a_target_is_a_word_of_a_pair(wordpiece, teacher):
    supervision = GenderMixup(wordpiece)
    seen, _ = forwards(wordpiece, teacher, supervision, targets=((0, 2), (1, 2)), ce_positions="masked")
    assert len(seen) == 1
    seen, _ = forwards(wordpiece, teacher, supervision, targets=((0, 2), (2, 4)), ce_positions="masked")
    assert [len(ids) for ids in seen] == [3, 1]


@pytest.mark.parametrize("options", ({"second_view": "vocabulary"}, {"mix": ["student_inputs"]}))
def test_choices_that_need_no_twin_cost_one_forward(wordpiece, teacher, options):
    seen, _ = forwards(wordpiece, teacher, GenderMixup(wordpiece, **options))
    assert len(seen) == 1


# -- which words -------------------------------------------------------------------------------------------------------


class MaskFirstWord(Chosen):
    def corrupt(self, input_ids, attention_mask, generator):
        ids, labels = input_ids.clone(), torch.full_like(input_ids, -100)
        ids[:, 1], labels[:, 1] = 4, input_ids[:, 1]
        return CorruptedBatch(ids, labels)


@pytest.mark.parametrize(("words", "expected"), (("corrupted", [4]), ("original", [1, 4])))
def test_masked_word_counts_only_by_the_original_text(wordpiece, words, expected):
    supervision = GenderMixup(wordpiece, words=words)
    generators = [torch.Generator(), torch.Generator()]
    batch = batch_of(wordpiece, ["he saw the girl"])
    inputs = prepare_micro_batch(batch, MaskFirstWord(), DistillationObjective(), supervision, *generators)
    assert inputs["plan"]["positions"].tolist() == expected
    # the input of a masked word is [MASK] on both sides
    table = torch.randn(len(wordpiece), 6)
    mixed = supervision.student_embeddings(table[inputs["input_ids"]], table, inputs["plan"])
    assert torch.equal(mixed[0, 1], table[4])
    assert inputs["plan"]["twin_input_ids"][0, 1] == 4


# -- the door and the report -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"mix": []}, "mixup.mix"),
        ({"mix": ["inputs"]}, "inputs"),
        ({"second_view": "mirror"}, "mixup.second_view"),
        ({"granularity": "token"}, "mixup.granularity"),
        ({"words": "both"}, "mixup.words"),
        ({"alpha": 0.0}, "mixup.alpha"),
        ({"alpha": float("nan")}, "mixup.alpha"),
        ({"second_view": "vocabulary", "mix": ["teacher_hidden"]}, "teacher_hidden"),
    ),
)
def test_impossible_choices_are_refused_in_one_line(wordpiece, options, message):
    with pytest.raises(ValueError, match=message) as error:
        GenderMixup(wordpiece, **options)
    assert "\n" not in str(error.value)


def test_report_names_every_choice(wordpiece):
    report = GenderMixup(wordpiece, mix=["teacher_logits"], alpha=0.7, granularity="batch", words="original").report()
    assert {key: report[key] for key in ("name", "mix", "second_view", "alpha", "granularity", "words", "forms")} == {
        "name": "gender_mixup",
        "mix": ["teacher_logits"],
        "second_view": "twin",
        "alpha": 0.7,
        "granularity": "batch",
        "words": "original",
        "forms": "variants",
    }
    assert report["pairs"]["n_pairs"] == 10


def test_counts_are_positions_and_sequences(wordpiece):
    supervision = GenderMixup(wordpiece)
    _, inputs = prepared(wordpiece, supervision)
    assert inputs["supervision_counts"] == {"mixed_positions": 5, "sequences_with_pair_words": 2}


def test_corpus_is_searched_for_whole_words(wordpiece):
    supervision = GenderMixup(wordpiece)
    for line, holds in (("the old galore .", False), ("the town .", False), ("the gal .", True)):
        dataset = [{"input_ids": wordpiece(line)["input_ids"]}]
        counts = torch.bincount(torch.tensor(dataset[0]["input_ids"]), minlength=len(wordpiece))
        assert supervision.finds_words(dataset, counts) is holds
