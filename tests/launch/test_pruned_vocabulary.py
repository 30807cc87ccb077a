"""A teacher's vocabulary cut down: what is kept, what a word becomes that lost its piece, and what is refused."""

import string

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast, PreTrainedTokenizerFast

from evenhand.launch.pruned_vocabulary import prune_vocabulary, pruned_card
from evenhand.trainer.mlm_head import train_mlm_head
from evenhand.trainer.teacher import LoadedTeacher, load_teacher

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARACTERS = [*string.ascii_lowercase, *string.digits, *string.punctuation]
CONTINUED = [f"##{c}" for c in string.ascii_lowercase + string.digits]
WORDS = ["the", "doctor", "nurse", "said", "zymurgy", "executive", "é"]


@pytest.fixture
def teacher():
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *CHARACTERS, *CONTINUED, *WORDS])}
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, max_position_embeddings=16
    )  # fmt: skip
    tokenizer = BertTokenizerFast(vocab=vocabulary, do_lower_case=True, model_max_length=16)
    return LoadedTeacher(BertForMaskedLM(config).eval(), tokenizer, True, "tiny")


def counts_of(teacher, **known):
    counts = torch.zeros(len(teacher.tokenizer), dtype=torch.long)
    for word, n in known.items():
        counts[teacher.tokenizer.convert_tokens_to_ids(word)] = n
    return counts


NEEDED = len(SPECIAL) + len(CHARACTERS) + len(CONTINUED)


def test_the_most_used_pieces_stay_with_their_vectors_and_others_are_spelled_out(teacher):
    before = teacher.model.get_input_embeddings().weight.detach().clone()
    ids = teacher.tokenizer("the doctor said", return_tensors="pt")
    hidden = teacher.model.base_model(**ids).last_hidden_state
    old = teacher.tokenizer.get_vocab()
    counts = counts_of(teacher, the=90, doctor=5, said=4, nurse=1)
    encoder, tokenizer, facts = prune_vocabulary(teacher, counts, NEEDED + 3)
    assert tokenizer.tokenize("the doctor said") == ["the", "doctor", "said"]
    assert tokenizer.tokenize("Nurse") == ["n", "##u", "##r", "##s", "##e"]
    rows = encoder.get_input_embeddings().weight
    assert len(rows) == len(tokenizer) == encoder.config.vocab_size == NEEDED + 3
    for piece, index in tokenizer.get_vocab().items():
        assert torch.equal(rows[index], before[old[piece]])
    # what was one piece before and is one now is encoded to the same vectors
    assert torch.allclose(
        encoder(**tokenizer("the doctor said", return_tensors="pt")).last_hidden_state, hidden, atol=1e-6
    )
    assert facts == {"vocabulary": NEEDED + 3, "of": NEEDED + len(WORDS), "coverage": pytest.approx(0.99)}


def test_words_of_a_measure_stay_however_rare_they_are(teacher):
    _, tokenizer, _ = prune_vocabulary(teacher, counts_of(teacher, the=9, said=8), NEEDED + 2, also=["The executive"])
    assert tokenizer.tokenize("the executive said") == ["the", "executive", "s", "##a", "##i", "##d"]


def test_the_encoder_comes_back_from_its_folder_as_a_teacher_without_a_head(teacher, tmp_path):
    encoder, tokenizer, facts = prune_vocabulary(teacher, counts_of(teacher, the=1), NEEDED + 1)
    encoder.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load_teacher(str(tmp_path))
    assert not loaded.has_mlm_head and loaded.model.config.vocab_size == NEEDED + 1
    assert "license: apache-2.0" in pruned_card("package:some/model", "apache-2.0", facts)
    assert "license" not in pruned_card("package:some/model", None, facts)


@pytest.mark.parametrize("size", [NEEDED - 1, NEEDED + len(WORDS)])
def test_a_size_that_cannot_be_is_refused(teacher, size):
    with pytest.raises(ValueError, match=f"vocabulary of {size} pieces is not possible: {NEEDED} must be kept"):
        prune_vocabulary(teacher, counts_of(teacher, the=1), size)


def test_another_kind_of_vocabulary_is_refused(teacher):
    from tokenizers import Tokenizer, models

    teacher.tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), unk_token="[UNK]")
    with pytest.raises(ValueError, match="Only a WordPiece vocabulary"):
        prune_vocabulary(teacher, torch.ones(10), 5)


def test_a_head_that_starts_from_frequencies_begins_at_the_loss_of_guessing_by_them(teacher, tmp_path):
    counts = counts_of(teacher, the=1000, doctor=200, said=100)
    ids = teacher.tokenizer("the doctor said the the the")["input_ids"]
    with torch.no_grad():
        for parameter in teacher.model.cls.predictions.transform.parameters():
            parameter.zero_()  # an untrained head that says nothing of its own
    model = train_mlm_head(
        teacher.model, teacher.tokenizer, [{"input_ids": ids}] * 8, counts, tmp_path, steps=1, batch_size=4, learning_rate=0.0,
        from_frequencies=True, use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    guessed = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0, 1].double(), -1).exp()
    expected = (counts.double() + 0.5) / (counts.double() + 0.5).sum()
    assert torch.allclose(guessed, expected, atol=1e-6)
