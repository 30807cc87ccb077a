"""Teachers: loading with one-line errors, and the checks that student and teacher fit."""

import json
import shutil
import types

import pytest
import torch
from transformers import BertModel, BertTokenizer, DistilBertConfig, DistilBertForMaskedLM

from evenhand.trainer import DistillationObjective, DistillationTrainer, load_teacher
from evenhand.trainer.teacher import check_same_vocabulary, check_widths, place_teacher, resolve_model_path


@pytest.fixture
def folder(make_model, wordpiece, tmp_path):
    make_model("bert", 2).save_pretrained(tmp_path / "teacher")
    wordpiece.save_pretrained(tmp_path / "teacher")
    return tmp_path / "teacher"


def test_teacher_with_a_head_is_loaded_as_it_is(folder, make_model):
    loaded = load_teacher(str(folder))
    assert loaded.has_mlm_head
    expected = make_model("bert", 2).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.model.state_dict().items())
    assert loaded.tokenizer.tokenize("he saw") == ["he", "saw"]


def test_encoder_without_a_head_gets_a_seeded_one_and_says_so(folder, make_model):
    encoder = make_model("bert", 2)
    body = BertModel(encoder.config)
    body.load_state_dict(encoder.bert.state_dict(), strict=False)
    shutil.rmtree(folder / "model.safetensors", ignore_errors=True)
    body.save_pretrained(folder)
    loaded, again, other = load_teacher(str(folder)), load_teacher(str(folder)), load_teacher(str(folder), seed=1)
    assert not loaded.has_mlm_head
    for name, tensor in encoder.bert.state_dict().items():
        assert torch.equal(loaded.model.bert.state_dict()[name], tensor), name
    head = "cls.predictions.transform.dense.weight"
    assert torch.equal(loaded.model.state_dict()[head], again.model.state_dict()[head])
    assert not torch.equal(loaded.model.state_dict()[head], other.model.state_dict()[head])


def test_body_that_does_not_fit_its_config_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(ValueError, match=r"do not fit its config; missing bert\.encoder\.layer\.2") as error:
        load_teacher(str(folder))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ("/nowhere/teacher", "./nowhere", "~/nowhere-at-all"))
def test_missing_folder_is_named(path):
    with pytest.raises(FileNotFoundError, match=r"does not exist") as error:
        load_teacher(path)
    assert path in str(error.value)


def test_folder_without_tokenizer_is_refused(folder):
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError, match="no tokenizer beside it") as error:
        load_teacher(str(folder))
    assert "\n" not in str(error.value)


def test_folder_without_weights_or_config_is_refused_in_one_line(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="could not be loaded") as error:
        load_teacher(str(folder))
    assert "\n" not in str(error.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises((FileNotFoundError, ValueError), match="empty") as error:
        load_teacher(str(tmp_path / "empty"))
    assert "\n" not in str(error.value)


def test_package_paths_are_resolved_and_missing_packages_named():
    assert resolve_model_path("package:evenhand.trainer/models").endswith("/models")
    with pytest.raises(FileNotFoundError, match="package no_such_package is not installed"):
        resolve_model_path("package:no_such_package/model")
    assert resolve_model_path("org/name") == "org/name"


# -- fitting together --------------------------------------------------------------------------------------------------


def other_tokenizer(wordpiece, change):
    tokens = wordpiece.convert_ids_to_tokens(list(range(len(wordpiece))))
    change(tokens)
    return BertTokenizer(vocab={token: i for i, token in enumerate(tokens)})


def test_vocabularies_of_other_content_are_refused_by_the_first_differing_token(wordpiece):
    def swap(tokens):
        tokens[11], tokens[20] = tokens[20], tokens[11]

    ours, theirs = wordpiece.convert_ids_to_tokens([11, 20])
    with pytest.raises(ValueError, match=f"token 11 is '{ours}' for the student and '{theirs}' for the teacher"):
        check_same_vocabulary(wordpiece, other_tokenizer(wordpiece, swap))


def test_vocabularies_of_other_size_are_refused_by_the_first_extra_token(wordpiece):
    size = len(wordpiece)
    longer = other_tokenizer(wordpiece, lambda tokens: tokens.append("extra"))
    message = rf"\({size} and {size + 1} tokens\): token {size} is None for the student and 'extra' for the teacher"
    with pytest.raises(ValueError, match=message):
        check_same_vocabulary(wordpiece, longer)
    with pytest.raises(ValueError, match=f"token {size} is 'extra' for the student"):
        check_same_vocabulary(longer, wordpiece)


def test_equal_vocabularies_pass(wordpiece):
    check_same_vocabulary(wordpiece, other_tokenizer(wordpiece, lambda tokens: None))


def test_widths_must_be_equal_only_for_the_cosine_term(make_model, wordpiece):
    teacher = make_model("bert")
    narrow = DistilBertForMaskedLM(
        DistilBertConfig(vocab_size=len(wordpiece), dim=8, n_heads=2, n_layers=1, hidden_dim=8)
    )
    with pytest.raises(ValueError, match=r"student's is 8 and the teacher's 16.*alpha_cos=0"):
        check_widths(narrow, teacher, 1.0)
    check_widths(narrow, teacher, 0.0)


def test_logits_of_different_size_are_refused(make_model, wordpiece):
    longer = make_model("bert", vocab_size=len(wordpiece) + 2)
    with pytest.raises(ValueError, match="logits of different size"):
        check_widths(make_model("bert"), longer, 0.0)


def test_trainer_checks_at_the_door(make_model, wordpiece, arguments):
    student, teacher = make_model("bert", 1), make_model("bert", 2)
    with pytest.raises(ValueError, match="processing_class"):
        DistillationTrainer(student, teacher, arguments())
    with pytest.raises(ValueError, match="no teacher was given"):
        DistillationTrainer(student, None, arguments(), processing_class=wordpiece)
    longer = other_tokenizer(wordpiece, lambda tokens: tokens.append("extra"))
    with pytest.raises(ValueError, match="do not share one vocabulary"):
        DistillationTrainer(student, teacher, arguments(), processing_class=wordpiece, teacher_processing_class=longer)
    aims = DistillationObjective(alpha_ce=0, alpha_cos=0)
    assert DistillationTrainer(student, None, arguments(), objective=aims, processing_class=wordpiece)


@pytest.mark.parametrize(("dtype", "expected"), (("auto", torch.float32), ("bfloat16", torch.bfloat16)))
def test_placed_teacher_is_frozen_and_in_eval_mode(make_model, dtype, expected):
    teacher = place_teacher(make_model("bert").train(), torch.device("cpu"), dtype)
    assert not teacher.training and not any(parameter.requires_grad for parameter in teacher.parameters())
    assert teacher.get_input_embeddings().weight.dtype == expected


@pytest.mark.parametrize(("capability", "expected"), (((7, 0), torch.float16), ((8, 0), torch.bfloat16)))
def test_half_precision_follows_the_device(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    placed = {}
    module = types.SimpleNamespace(to=lambda **where: placed.update(where) or torch.nn.Linear(1, 1))
    place_teacher(module, torch.device("cuda"), "auto")
    assert placed["dtype"] == expected
