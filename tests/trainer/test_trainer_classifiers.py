"""Classifiers loaded, begun on a body, or made new; students made from them, tensor by tensor."""

import json

import pytest
import torch
from tiny_classification import FAMILIES, IMAGE_FAMILIES, LABELS, SIZE, TEXT_FAMILIES, tiny_classifier, tiny_processor
from tiny_distillation import tiny_teacher, tiny_tokenizer
from transformers import BertModel

from evenhand.trainer import ClassifierShape, load_classifier, make_task_student, new_classifier
from evenhand.trainer.classifiers import new_image_processor

SMALL = ClassifierShape(width=16, layers=1, heads=2, stages=2, image_size=16, patch_size=8, max_positions=32)


def inputs_of(family: str) -> dict:
    draw = torch.Generator().manual_seed(0)
    if family in IMAGE_FAMILIES:
        return {"pixel_values": torch.randn(3, 3, SIZE, SIZE, generator=draw)}
    ids = torch.randint(5, 50, (3, 9), generator=draw)
    ids[:, -1] = tiny_tokenizer().sep_token_id
    return {"input_ids": ids}


def logits(model, family: str) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(**inputs_of(family)).logits


def saved(folder, model, family: str) -> str:
    model.save_pretrained(folder)
    tiny_processor(family).save_pretrained(folder)
    return str(folder)


# -- loading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "t5", "vit", "resnet"])
def test_a_saved_classifier_is_loaded_with_its_head_labels_and_processor(tmp_path, family):
    model = tiny_classifier(family)
    loaded = load_classifier(saved(tmp_path, model, family))
    assert torch.equal(logits(loaded.model, family), logits(model, family)) and loaded.has_head
    assert tuple(loaded.model.config.id2label.values()) == LABELS
    assert loaded.kind == ("image" if family in IMAGE_FAMILIES else "text")
    if family == "vit":
        assert loaded.processor.size["height"] == SIZE
    else:
        assert type(loaded.processor) is type(tiny_processor(family)) or family == "t5"


def test_a_new_t5_begins_with_embeddings_that_adamw_can_move():
    model = new_classifier("t5", LABELS, ClassifierShape(width=64, layers=1), tiny_tokenizer(), seed=1)
    assert model.transformer.shared.weight.std().item() == pytest.approx(0.05, rel=0.1)


def test_a_new_head_begins_on_the_body_of_a_checkpoint_whatever_head_it_had(tmp_path):
    masked = tiny_teacher()
    masked.save_pretrained(tmp_path / "masked")
    tiny_tokenizer().save_pretrained(tmp_path / "masked")
    classifier = saved(tmp_path / "classifier", tiny_classifier("bert"), "bert")
    for path in (str(tmp_path / "masked"), classifier):
        first, second, other = (load_classifier(path, ["no", "yes", "so"], seed=seed) for seed in (0, 0, 1))
        body = BertModel.from_pretrained(path, add_pooling_layer=False)
        assert all(torch.equal(v, first.model.bert.state_dict()[n]) for n, v in body.state_dict().items())
        assert torch.equal(first.model.classifier.weight, second.model.classifier.weight)
        assert not torch.equal(first.model.classifier.weight, other.model.classifier.weight)
        assert not first.has_head and first.model.config.label2id == {"no": 0, "yes": 1, "so": 2}
    assert not torch.equal(first.model.classifier.weight, tiny_classifier("bert").classifier.weight)


def test_what_is_no_classifier_is_refused_in_one_line(tmp_path):
    tiny_teacher().save_pretrained(tmp_path / "masked")
    tiny_tokenizer().save_pretrained(tmp_path / "masked")
    unnamed = tiny_classifier("bert", labels=("LABEL_0", "LABEL_1"))
    cut = tmp_path / "cut"
    saved(cut, tiny_classifier("bert"), "bert")
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:1000])
    tiny_classifier("vit").save_pretrained(tmp_path / "bare")
    other = tmp_path / "other"
    saved(other, tiny_classifier("bert"), "bert")
    config = json.loads((other / "config.json").read_text()) | {"hidden_size": 32}
    (other / "config.json").write_text(json.dumps(config))
    for path, kind, message in (
        (tmp_path / "gone", FileNotFoundError, "does not exist"),
        (tmp_path / "masked", ValueError, "has no head .classifier.bias is missing.; give the labels"),
        (saved(tmp_path / "unnamed", unnamed, "bert"), ValueError, "has labels without names"),
        (cut, FileNotFoundError, "could not be loaded"),
        (tmp_path / "bare", FileNotFoundError, "no image processor beside it"),
        (other, ValueError, "do not fit its config"),
    ):
        with pytest.raises(kind, match=message) as error:
            load_classifier(str(path))
        assert "\n" not in str(error.value)


# -- new ones -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_new_classifier_has_the_sizes_asked_for_and_weights_of_its_seed(family):
    tokenizer = tiny_tokenizer() if family in TEXT_FAMILIES else None
    first, second, other = (new_classifier(family, LABELS, SMALL, tokenizer, seed) for seed in (0, 0, 1))
    assert torch.equal(logits(first, family), logits(second, family))
    assert not torch.equal(logits(first, family), logits(other, family))
    config = first.config
    assert tuple(config.id2label.values()) == LABELS and config.model_type == family
    if family == "resnet":
        assert (config.hidden_sizes, config.depths) == ([8, 16], [1, 1])
    else:
        assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (16, 1, 2)


def test_a_new_image_processor_cuts_nothing_off():
    from PIL import Image

    image = Image.new("RGB", (8, 8))
    image.putpixel((0, 0), (255, 255, 255))
    pixels = new_image_processor(8)(images=[image], return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 8, 8) and pixels[0, :, 0, 0].tolist() == [1.0] * 3 and float(pixels.min()) == -1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gpt2", LABELS), "family must be one of bert, distilbert"),
        (("bert", LABELS), "needs a tokenizer"),
        (("vit", ["one"]), "has 1 label"),
        (("vit", ["a", "A"]), "one where case does not count"),
    ],
)
def test_a_new_classifier_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        new_classifier(*arguments)


@pytest.mark.parametrize(
    "sizes", [{"heads": 3}, {"layers": 0}, {"patch_size": 5}, {"width": 6, "heads": 2}, {"dropout": 1.0}]
)
def test_sizes_that_do_not_fit_are_named(sizes):
    with pytest.raises(ValueError, match=r"shape\."):
        ClassifierShape(**sizes)


# -- students -----------------------------------------------------------------------------------------------------

STACKS = {
    "bert": ["bert.encoder.layer"], "roberta": ["roberta.encoder.layer"], "distilbert": ["distilbert.transformer.layer"],
    "t5": ["transformer.encoder.block", "transformer.decoder.block"], "vit": ["vit.layers"],
    "resnet": ["resnet.encoder.stages.0.layers", "resnet.encoder.stages.1.layers"],
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_of_all_layers_is_its_teacher(family):
    teacher = tiny_classifier(family, layers=3)
    full = {"encoder.stages.0.layers": 1, "encoder.stages.1.layers": 3} if family == "resnet" else 3
    student, plan = make_task_student(teacher, layers=full)
    assert torch.equal(logits(student, family), logits(teacher, family)) and plan.copied_head


@pytest.mark.parametrize("family", FAMILIES)
def test_every_tensor_of_a_smaller_student_comes_from_the_layer_it_must(family):
    teacher = tiny_classifier(family, layers=3)
    chosen = {"encoder.stages.0.layers": [0], "encoder.stages.1.layers": [0, 2]} if family == "resnet" else [1, 2]
    student, plan = make_task_student(teacher, layers=chosen)
    numbers = {stack: [0, 2] if family == "resnet" else [1, 2] for stack in STACKS[family]}
    source = teacher.state_dict()
    for name, value in student.state_dict().items():
        origin = name
        for stack, own in numbers.items():
            if name.startswith(stack + ".") and "relative_attention_bias" not in name:
                number, rest = name[len(stack) + 1 :].split(".", 1)
                origin = f"{stack}.{own[int(number)]}.{rest}"
        assert torch.equal(value, source[origin]), name
    assert logits(student, family).shape == (3, 3)
    assert json.loads(json.dumps(plan.to_dict()))["teacher_layers"] and plan.family == family


def test_by_default_half_of_the_layers_evenly_spaced():
    student, plan = make_task_student(tiny_classifier("bert", layers=4))
    assert plan.teacher_layers == {"encoder.layer": (0, 3)} and student.config.num_hidden_layers == 2
    student, plan = make_task_student(tiny_classifier("t5", layers=4), layers={"encoder.block": 3, "decoder.block": 1})
    assert (student.config.num_layers, student.config.num_decoder_layers) == (3, 1)
    assert plan.teacher_layers == {"encoder.block": (0, 2, 3), "decoder.block": (0,)}


def test_a_distilbert_student_has_a_bert_teachers_layers_and_a_head_of_its_own():
    teacher = tiny_classifier("bert", layers=3)
    student, plan = make_task_student(teacher, layers=[0, 2], family="distilbert")
    assert torch.equal(
        student.distilbert.transformer.layer[1].attention.q_lin.weight,
        teacher.bert.encoder.layer[2].attention.self.query.weight,
    )
    assert torch.equal(
        student.distilbert.embeddings.word_embeddings.weight, teacher.bert.embeddings.word_embeddings.weight
    )
    assert not plan.copied_head and tuple(student.config.id2label.values()) == LABELS
    folded, _ = make_task_student(teacher, layers=[0, 2], family="distilbert", token_type="folded")
    moved = (
        folded.distilbert.embeddings.position_embeddings.weight
        - student.distilbert.embeddings.position_embeddings.weight
    )
    assert torch.allclose(moved, teacher.bert.embeddings.token_type_embeddings.weight[0].expand_as(moved), atol=1e-6)


@pytest.mark.parametrize("family", ["bert", "roberta", "resnet"])
def test_the_head_is_reordered_with_the_labels_and_random_for_other_labels(family):
    teacher = tiny_classifier(family)
    full = {"encoder.stages.0.layers": 1, "encoder.stages.1.layers": 2} if family == "resnet" else 2
    order = [2, 0, 1]
    student, plan = make_task_student(teacher, layers=full, labels=[LABELS[i].upper() for i in order])
    assert torch.allclose(logits(student, family), logits(teacher, family)[:, order]) and plan.copied_head
    other, plan = make_task_student(teacher, layers=full, labels=["a", "b"])
    assert not plan.copied_head and logits(other, family).shape == (3, 2)
    body = teacher.base_model.state_dict()
    assert all(torch.equal(value, body[name]) for name, value in other.base_model.state_dict().items())


def test_random_students_have_the_teachers_sizes_or_their_own():
    teacher = tiny_classifier("bert", layers=4)
    first, plan = make_task_student(teacher, initialisation="random", layers=2, seed=1)
    second, _ = make_task_student(teacher, initialisation="random", layers=2, seed=1)
    assert first.config.num_hidden_layers == 2 and plan.teacher_layers == {} and not plan.copied_head
    assert torch.equal(first.classifier.weight, second.classifier.weight)
    assert not torch.equal(first.bert.embeddings.word_embeddings.weight, teacher.bert.embeddings.word_embeddings.weight)
    shaped, plan = make_task_student(
        teacher, initialisation="random", family="t5", shape=SMALL, tokenizer=tiny_tokenizer()
    )
    assert shaped.config.model_type == plan.family == "t5" and tuple(shaped.config.id2label.values()) == LABELS


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        ("bert", {"family": "t5"}, "A bert teacher's layers cannot become those of a t5 student"),
        ("bert", {"layers": 5}, "must lie between 1 and the teacher's 2"),
        ("bert", {"layers": [0, 2]}, "must list teacher layers between 0 and 1"),
        ("bert", {"initialisation": "copied"}, "student.initialisation must be one of teacher, random"),
        ("bert", {"token_type": "kept"}, "student.token_type must be one of dropped, folded"),
        ("bert", {"shape": SMALL}, "has random weights; set student.initialisation=random"),
        ("t5", {"layers": {"encoder": 1}}, "names encoder; the teacher's stacks are encoder.block, decoder.block"),
        ("resnet", {"layers": {"encoder.stages.1.layers": [1]}}, "must begin with block 0"),
        ("resnet", {"layers": {"encoder.stages.1.layers": [0, 0]}}, "can only be the first"),
    ],
)
def test_a_student_that_cannot_be_made_is_refused_in_one_line(family, settings, message):
    with pytest.raises(ValueError, match=message) as error:
        make_task_student(tiny_classifier(family), **settings)
    assert "\n" not in str(error.value)


def test_self_distillation_from_a_checkpoint_of_the_same_architecture(tmp_path):
    """A trained student teaches a student like itself: rounds of it need nothing but the folder."""
    from tiny_classification import task_trainer

    first = task_trainer(tmp_path / "first", arguments={"max_steps": 2})
    first.train()
    first.save_model(str(tmp_path / "round"))
    teacher = load_classifier(str(tmp_path / "round"))
    student, _ = make_task_student(teacher.model, layers=1)
    second = task_trainer(
        tmp_path / "second",
        model=student,
        teacher=teacher.model,
        processing_class=teacher.processor,
        arguments={"max_steps": 1},
    )
    second.train()
    assert second.state.log_history[0]["kd"] == pytest.approx(0, abs=1e-6)  # it began as its teacher
