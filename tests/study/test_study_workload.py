"""What a cell of a study computes, against the shapes by hand and other counts of the same."""

import dataclasses

import pytest
from transformers import BertConfig, BertForMaskedLM

from evenhand.launch.recipe import recipe_from_dict
from evenhand.launch.study.planning.ground import AssumedText, Ground, ground_of
from evenhand.launch.study.planning.workload import Workload, batch_size, steps_of
from evenhand.trainer.arithmetic import ModelShape, Tokens, step_flops

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *["he", "she", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"],
]
ALIKE = "a b c d he e f g h i j k l m n"
"""One line of the text: 15 words, 17 tokens, one word of a pair."""


@pytest.fixture(scope="module")
def ground():
    from transformers import BertTokenizerFast

    tokenizer = BertTokenizerFast(vocab={word: i for i, word in enumerate(WORDS)}, do_lower_case=True)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, attn_implementation="eager",
    )  # fmt: skip
    return Ground(BertForMaskedLM(config), tokenizer, [tokenizer(ALIKE)["input_ids"]] * 40, 40 * 17)


def recipe(**sections):
    own = {
        "teacher": {"path": "somewhere"},
        "corpus": {"sources": [{"path": "somewhere"}], "held_out": 0.0},
        "student": {"layers": 2},
        "training": {"max_steps": 5, "per_device_train_batch_size": 4, "mlm_probability": 0.001},
    }
    return recipe_from_dict(own | sections)


MIXUP = {"enabled": True, "unequal_pairs": "skip"}


def test_plain_arm_computes_what_its_shapes_say(ground):
    work = Workload(ground).cell({"plain": recipe()})
    teacher, student = (ModelShape(layers, 8, 16, len(WORDS)) for layers in (3, 2))
    step = step_flops(teacher, student, Tokens.of([17] * 4), head_rows=4 * 17)
    assert work.shared == pytest.approx(step.teacher / (4 * 17))
    assert work.arms["plain"].own == pytest.approx(step.student / (4 * 17))
    assert work.tokens == 5 * 4 * 17
    assert work.operations == pytest.approx(5 * step.total)


def test_arms_share_the_teacher_s_pass_and_every_different_twin_once(ground):
    plain, mixed, other = recipe(), recipe(mixup=MIXUP), recipe(mixup=MIXUP | {"alpha": 1.0})
    count = Workload(ground).cell
    alone = count({"plain": plain}).shared
    teacher = ModelShape(3, 8, 16, len(WORDS))
    # of every sentence there is a twin, and one position of each has teacher logits of both
    twin = teacher.body(Tokens.of([17])) / 17 + teacher.transform(1) / 17
    with_twin = count({"plain": plain, "mixed": mixed})
    assert with_twin.shared == pytest.approx(
        alone + twin, rel=0.06
    )  # some words are masked, some are made by the masks
    assert with_twin.arms["plain"].teacher == pytest.approx(alone)
    assert with_twin.arms["mixed"].teacher == pytest.approx(with_twin.shared)
    assert count({"mixed": mixed, "other": other}).shared == pytest.approx(with_twin.shared)
    hidden = recipe(objective={"alpha_ce": 0.0})
    assert count({"hidden": hidden}).shared == pytest.approx(teacher.body(Tokens.of([17])) / 17)
    assert count({"text": recipe(objective={"alpha_ce": 0.0, "alpha_cos": 0.0})}).shared == 0


def test_parameters_and_bytes_are_those_of_the_students(ground):
    from evenhand.trainer import make_student

    two, one = recipe(), recipe(student={"layers": 1, "family": "distilbert"})
    n = [make_student(ground.teacher, layers=2)[0], make_student(ground.teacher, layers=1, family="distilbert")[0]]
    expected = sum(student.num_parameters() for student in n)
    work = Workload(ground).cell({"two": two, "one": one})
    assert work.parameters == expected and work.student_bytes == 4 * expected
    # two checkpoints kept and one being written: value and two moments of each parameter
    assert work.checkpoint_bytes == 3 * 12 * expected


def test_kind_is_that_of_the_cost_and_not_of_the_seed_or_the_arm_s_name(ground):
    kind = Workload(ground).kind
    plain = recipe()
    seeded = dataclasses.replace(plain, training=plain.training | {"seed": 7, "max_steps": 99})
    assert kind({"one": plain}) == kind({"two": seeded})
    assert kind({"one": plain}) == kind({"one": recipe(objective={"temperature": 9.0})})
    others = [
        recipe(student={"layers": 1}), recipe(mixup=MIXUP), recipe(objective={"alpha_ce": 0.0}),
        recipe(training={"max_steps": 5, "per_device_train_batch_size": 2}),
    ]  # fmt: skip
    assert len({kind({"one": each}) for each in [plain, *others]}) == 5
    assert kind({"one": plain, "two": others[0]}) == kind({"two": plain, "one": others[0]}) != kind({"one": plain})


def test_steps_and_batches_by_hand():
    training = {"num_train_epochs": 3, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 50}
    paper = recipe(training=training)
    assert batch_size(paper, processes=4) == 1600
    assert steps_of(paper, 16_000, processes=4) == 30
    assert steps_of(paper, 16_001, processes=4) == 31
    assert steps_of(recipe(), None) == 5
    assert batch_size(recipe(training={"per_device_train_batch_size": 4, "effective_batch_size": 64}), 2) == 64
    with pytest.raises(ValueError, match="max_steps is needed"):
        steps_of(paper, None)


def test_impossible_arm_is_named(ground):
    with pytest.raises(ValueError, match=r"Arm deep: student\.layers must lie between 1 and the teacher's 3"):
        Workload(ground).cell({"plain": recipe(), "deep": recipe(student={"layers": 4})})


# -- the ground ------------------------------------------------------------------------------------------------------


def text_recipe(teacher, path, **corpus):
    section = {"sources": [{"path": str(path)}], "held_out": 0.1, "fraction": 0.5, "max_length": 32}
    return recipe(teacher={"path": str(teacher)}, corpus=section | corpus)


@pytest.fixture(scope="module")
def teacher(ground, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    ground.teacher.save_pretrained(folder)
    ground.tokenizer.save_pretrained(folder)
    return folder


def test_size_of_the_corpus_is_estimated_from_pieces_of_it(teacher, tmp_path, monkeypatch):
    monkeypatch.setattr("evenhand.launch.study.planning.text_sample.SAMPLE_BYTES", 1 << 17)
    path = tmp_path / "text.txt"
    path.write_text("".join(f"{ALIKE}\n" for _ in range(90_000)))  # 2.7 MB: far more than the sample
    found = ground_of(text_recipe(teacher, path))
    assert found.whole_tokens == pytest.approx(90_000 * 17, rel=0.01)
    assert len(found.sequences) < 9_000 and found.mean_length == 17 and found.notes == ()
    section = text_recipe(teacher, path).corpus
    assert found.sequences_of(section) == pytest.approx(90_000 * 0.5 * 0.9, rel=0.01)
    assert found.sequences_of(section, held_out=True) == pytest.approx(90_000 * 0.5 * 0.1, rel=0.01)
    # every line holds a word of a pair, so two-sided CDA doubles them
    doubled = dataclasses.replace(section, cda="two_sided")
    assert found.sequences_of(doubled) == pytest.approx(2 * 90_000 * 0.5 * 0.9, rel=0.01)


def test_size_of_a_corpus_of_chosen_lines_is_that_share_of_it(teacher, tmp_path):
    path = tmp_path / "text.txt"
    poor = " ".join("it" if word in ("he", "she") else word for word in ALIKE.split())
    path.write_text("".join(f"{line}\n" for line in [ALIKE, poor, poor, poor] * 900))  # every third is looked at
    found = ground_of(text_recipe(teacher, path))
    section = dataclasses.replace(text_recipe(teacher, path).corpus, pair_share=0.05)
    assert found.sequences_of(section) == pytest.approx(900 * 0.5 * 0.9, rel=0.01)
    assert found.sequences_of(section, held_out=True) == pytest.approx(3_600 * 0.5 * 0.1, rel=0.01)
    nothing = found.sequences_of(dataclasses.replace(section, pair_share=1.0))
    assert 0 < nothing < 4  # a plan divides by it


def test_text_that_is_not_here_has_the_assumed_lengths_and_says_so(teacher, tmp_path):
    assumed = AssumedText(mean_length=20.0, root_mean_square_length=24.0, n_bytes=1000.0, bytes_a_token=5.0)
    found = ground_of(text_recipe(teacher, tmp_path / "absent.txt", max_length=512), assumed=assumed)
    assert found.whole_tokens == 200
    assert found.mean_length == pytest.approx(20, rel=0.1)
    he, she = WORDS.index("he"), WORDS.index("she")
    share = sum(he in ids or she in ids for ids in found.sequences) / len(found.sequences)
    assert share == pytest.approx(assumed.with_pair, abs=0.05)
    assert "absent.txt does not exist" in found.notes[0] and "assumed" in found.notes[0]


def test_data_set_that_is_not_in_the_cache_is_not_fetched(teacher, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: pytest.fail("a plan fetched a corpus"))
    sources = [{"hub": "nobody/nothing"}]
    found = ground_of(text_recipe(teacher, "unused", sources=sources))
    assert "nobody/nothing is not here" in found.notes[0]


def test_published_sizes_stand_in_for_a_teacher_that_is_not_here(monkeypatch, tmp_path):
    from evenhand.launch.study.planning import ground as module

    small = BertConfig(vocab_size=60, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    monkeypatch.setitem(module.PUBLISHED, "bert-base-uncased", lambda: small)
    monkeypatch.setattr(module.HubModel, "missing", lambda self: "not in the cache")
    found = ground_of(text_recipe("bert-base-uncased", tmp_path / "absent.txt"))
    assert found.teacher.config.num_hidden_layers == 1 and len(found.tokenizer) == 60
    assert found.notes[0].startswith("Teacher bert-base-uncased is not here")


def test_smaller_vocabulary_that_is_not_made_yet_is_stood_in_for(tmp_path):
    import string

    from transformers import BertTokenizerFast

    from evenhand.evaluation.stimuli import builtin_stimuli
    from evenhand.launch.planted_tokenizer import build_tokenizer

    tokenizer = build_tokenizer([ALIKE, *string.ascii_letters], also=builtin_stimuli().distinct_sentences)
    extra = [f"word{i}" for i in range(300)]
    vocabulary = tokenizer.get_vocab() | {word: len(tokenizer) + i for i, word in enumerate(extra)}
    tokenizer = BertTokenizerFast(vocab=vocabulary, do_lower_case=True)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    BertForMaskedLM(config).save_pretrained(tmp_path / "teacher")
    tokenizer.save_pretrained(tmp_path / "teacher")
    (tmp_path / "text.txt").write_text(f"{ALIKE}\n" * 50)
    size = len(vocabulary) - 100
    found = ground_of(text_recipe(tmp_path / "teacher", tmp_path / "text.txt"), vocabulary=size)
    assert found.teacher.config.vocab_size == len(found.tokenizer) == size
    assert "is not chosen yet" in found.notes[0]
