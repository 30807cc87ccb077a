"""A student made from its teacher: which layers are copied, and into which family (Sanh et al. 2019, section 2)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import nn
from transformers import AutoModelForMaskedLM, DistilBertConfig, DistilBertForMaskedLM, PreTrainedModel

from evenhand.trainer.mlm_parts import position_embeddings
from evenhand.trainer.randomness import derive_seed

FAMILIES = ("same", "distilbert")


@dataclass(frozen=True)
class StudentPlan:
    """How a student was made, for the report."""

    family: str
    initialisation: str
    teacher_layers: tuple[int, ...]
    copied_head_transform: bool
    token_type: str

    def to_dict(self) -> dict:
        """Plain values."""
        return asdict(self) | {"teacher_layers": list(self.teacher_layers)}


def evenly_spaced_layers(n_teacher: int, n_student: int) -> tuple[int, ...]:
    """Teacher layers copied to student layers 0, 1, …; first and last are kept.

    12 → 6 gives 0, 2, 4, 7, 9, 11, the choice of DistilBERT's training code; else positions i·(n_teacher−1)/(n_student−1), rounded
    half up. One layer: the first.

    Raises:
        ValueError: a number of student layers outside 1 … n_teacher.
    """
    if not 1 <= n_student <= n_teacher:
        raise ValueError(f"student.layers must lie between 1 and the teacher's {n_teacher}, not {n_student}.")
    if n_student == 1:
        return (0,)
    return tuple(int(i * (n_teacher - 1) / (n_student - 1) + 0.5) for i in range(n_student))


def make_student(
    teacher: PreTrainedModel,
    *,
    layers: int | Sequence[int] | None = None,
    family: str = "same",
    initialisation: str = "teacher",
    copy_head_transform: bool = True,
    token_type: str = "dropped",
    initializer_range: float | None = None,
    seed: int = 0,
) -> tuple[PreTrainedModel, StudentPlan]:
    """Make a masked-LM student from a masked-LM teacher.

    Embeddings, LayerNorms, the chosen layers and the decoder's bias are copied; the decoder stays tied to the embeddings.

    Args:
        teacher: BERT, RoBERTa (or a model whose body is one of these), or DistilBERT, with an MLM head.
        layers: a number (evenly spaced, first and last kept) or an explicit list of teacher layers. Default: half of the teacher's.
        family: ``same`` (default): the teacher's own architecture with fewer layers; ``distilbert``: from a BERT teacher.
        initialisation: ``teacher`` (default) or ``random``.
        copy_head_transform: also copy the dense layer and LayerNorm of the MLM head. Default True.
        token_type: for ``distilbert``, the teacher's token-type-0 embedding is ``dropped`` (as in DistilBERT's script, default) or
            ``folded`` into the position embeddings, which keeps the teacher's input exactly.
        initializer_range: standard deviation of random weights; default the teacher's.
        seed: of random weights.

    Returns:
        The student in fp32 on the CPU, and the plan.

    Raises:
        ValueError: an impossible layer choice, an unknown option, a teacher of a family that cannot become the student's.
    """
    for name, value, allowed in (
        ("family", family, FAMILIES),
        ("initialisation", initialisation, ("teacher", "random")),
        ("token_type", token_type, ("dropped", "folded")),
    ):
        if value not in allowed:
            raise ValueError(f"student.{name} must be one of {', '.join(allowed)}, not {value!r}.")
    if family == "distilbert" and teacher.config.model_type not in ("bert", "distilbert"):
        raise ValueError(
            f"A DistilBERT student needs a BERT teacher, not {teacher.config.model_type}; set student.family=same."
        )
    _layer_stack(teacher)
    chosen = _chosen_layers(layers, teacher.config.num_hidden_layers)
    to_distilbert = family == "distilbert" and teacher.config.model_type == "bert"
    config = _distilbert_config(teacher.config) if to_distilbert else copy.deepcopy(teacher.config)
    config.num_hidden_layers = len(chosen)
    if initializer_range is not None:
        config.initializer_range = initializer_range
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "student"))
        student = DistilBertForMaskedLM(config) if to_distilbert else AutoModelForMaskedLM.from_config(config)
    student = student.float()
    if initialisation == "teacher":
        copy_weights = _copy_bert_to_distilbert if to_distilbert else _copy_same_family
        copy_weights(teacher, student, chosen, copy_head_transform)
        if to_distilbert and token_type == "folded":
            type_zero = teacher.base_model.embeddings.token_type_embeddings.weight[0]
            position_embeddings(student).weight.data += type_zero.detach().to(torch.float32)
    plan = StudentPlan(
        config.model_type,
        initialisation,
        chosen if initialisation == "teacher" else (),
        copy_head_transform and initialisation == "teacher",
        token_type if to_distilbert and initialisation == "teacher" else "kept",
    )
    return student, plan


def freeze_position_embeddings(model: nn.Module) -> bool:
    """Stop training the table of positions, as in DistilBERT's recipe; False where the model has none."""
    table = position_embeddings(model)
    if table is None:
        return False
    table.weight.requires_grad_(False)
    return True


def _chosen_layers(layers: int | Sequence[int] | None, n_teacher: int) -> tuple[int, ...]:
    if layers is None:
        layers = max(1, n_teacher // 2)
    if isinstance(layers, int):
        return evenly_spaced_layers(n_teacher, layers)
    chosen = tuple(layers)
    if not chosen or not all(isinstance(i, int) and 0 <= i < n_teacher for i in chosen):
        raise ValueError(f"student.layers must list teacher layers between 0 and {n_teacher - 1}, not {list(chosen)}.")
    return chosen


def _distilbert_config(config) -> DistilBertConfig:
    return DistilBertConfig(
        vocab_size=config.vocab_size,
        max_position_embeddings=config.max_position_embeddings,
        sinusoidal_pos_embds=False,
        n_heads=config.num_attention_heads,
        dim=config.hidden_size,
        hidden_dim=config.intermediate_size,
        dropout=config.hidden_dropout_prob,
        attention_dropout=config.attention_probs_dropout_prob,
        activation=config.hidden_act,
        initializer_range=config.initializer_range,
        pad_token_id=config.pad_token_id,
        tie_word_embeddings=True,
    )


def _layer_stack(model: PreTrainedModel) -> nn.ModuleList:
    body = model.base_model
    for holder in ("encoder", "transformer"):
        stack = getattr(getattr(body, holder, None), "layer", None)
        if isinstance(stack, nn.ModuleList):
            return stack
    raise ValueError(
        f"Layers of a {model.config.model_type} teacher cannot be copied (known: BERT, RoBERTa, DistilBERT and models built like "
        "them); make the student yourself and pass it to DistillationTrainer."
    )


def _copy_same_family(teacher: PreTrainedModel, student: PreTrainedModel, chosen: Sequence[int], head: bool) -> None:
    stacks = {id(layer): None for layer in _layer_stack(teacher)}
    prefix = next(name for name, module in teacher.named_modules() if id(module) in stacks).rsplit(".", 1)[0] + "."
    source = teacher.state_dict()
    transform = (
        "cls.predictions.transform.",
        "lm_head.dense.",
        "lm_head.layer_norm.",
        "vocab_transform.",
        "vocab_layer_norm.",
    )
    kept = {}
    for name in student.state_dict():
        if name.startswith(prefix):
            number, rest = name[len(prefix) :].split(".", 1)
            kept[name] = source[f"{prefix}{chosen[int(number)]}.{rest}"]
        elif head or not name.startswith(transform):
            kept[name] = source[name]
    student.load_state_dict(kept, strict=False)


_BERT_TO_DISTILBERT_LAYER = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}


def _copy_bert_to_distilbert(
    teacher: PreTrainedModel, student: DistilBertForMaskedLM, chosen: Sequence[int], head: bool
) -> None:
    pairs = [
        (getattr(teacher.bert.embeddings, name), getattr(student.distilbert.embeddings, name))
        for name in ("word_embeddings", "position_embeddings", "LayerNorm")
    ]
    for target, number in zip(student.distilbert.transformer.layer, chosen, strict=True):
        layer = teacher.bert.encoder.layer[number]
        pairs += [(layer.get_submodule(a), target.get_submodule(b)) for a, b in _BERT_TO_DISTILBERT_LAYER.items()]
    predictions = teacher.cls.predictions
    if head:
        pairs += [
            (predictions.transform.dense, student.vocab_transform),
            (predictions.transform.LayerNorm, student.vocab_layer_norm),
        ]
    for source, target in pairs:
        target.load_state_dict(source.state_dict())
    student.vocab_projector.bias.data.copy_(predictions.bias.data)
