"""Gradients in float32 against the dense form: full logits, ``log_softmax``, ``F.kl_div``, ``F.cross_entropy``, the cosine.

tests/trainer/test_whole_objective.py compares the formulas in float64 and with matrices too small for oneDNN. Here both sides compute in
float32 with oneDNN's products, batches cut by length and a head in chunks, and the same dense form in float64 says how far each is off.
"""

import random
from functools import cache
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from tiny_distillation import OTHER_WORDS, PAIR_WORDS, SPECIAL, ContentMasking, ContentMixup, tiny_arguments
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

from evenhand.trainer import (
    DistillationObjective,
    DistillationTrainer,
    chunked_head,
    cpu_linear,
    length_pieces,
    make_student,
)
from evenhand.trainer.randomness import derive_seed

pytestmark = pytest.mark.skipif(not cpu_linear.available(), reason="this torch has no oneDNN linear")


@pytest.fixture(scope="module", autouse=True)
def on_a_cpu_with_avx512():
    """Where oneDNN's linear is what layers run in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu_linear, "preferred", cpu_linear.available)
        yield


WORDS = [*SPECIAL, *PAIR_WORDS, *OTHER_WORDS, *(f"word{i}" for i in range(330))]
CLOSE = 1e-6
"""Of a gradient's norm: float32 carries 6e-8 in each number."""

HEAD_ROWS = 50
WIDTH, LONGEST, MICRO_BATCHES = 96, 40, ((0, 7), (7, 12))
MIX = ("student_inputs", "teacher_logits", "teacher_hidden")
CASES = [*product((False, True), ("attended", "masked"))]
MALE_FIRST = {PAIR_WORDS[i]: (PAIR_WORDS[i], PAIR_WORDS[i + 1]) for i in range(0, len(PAIR_WORDS), 2)}
PAIR_OF = {WORDS.index(word): tuple(map(WORDS.index, pair)) for pair in MALE_FIRST.values() for word in pair}
"""Id of a word of a pair: ids of the pair, the male one first."""


def objective_of(ce_positions: str) -> DistillationObjective:
    return DistillationObjective(5.0, 2.0, 1.0, 0.02, 2.0, ce_positions)


@cache
def sentences() -> list[list[int]]:
    """From 8 to 40 tokens, about every fifth a word of a pair."""
    draw, rows = random.Random(5), []
    for n in torch.linspace(6, LONGEST - 2, MICRO_BATCHES[-1][1]).int().tolist():
        words = [WORDS.index(draw.choice(PAIR_WORDS)) if draw.random() < 0.2 else draw.randrange(5, len(WORDS))
                 for _ in range(n)]  # fmt: skip
        rows.append([SPECIAL.index("[CLS]"), *words, SPECIAL.index("[SEP]")])
    draw.shuffle(rows)
    return rows


def padded(rows: list[list[int]]) -> dict[str, torch.Tensor]:
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    lengths = torch.tensor([[len(row)] for row in rows])
    return {"input_ids": ids, "attention_mask": (torch.arange(width) < lengths).long()}


def models() -> tuple[torch.nn.Module, torch.nn.Module]:
    """A student of the other family and its teacher, the same at each call; no tensor is zero."""
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=WIDTH, num_hidden_layers=3, num_attention_heads=4, intermediate_size=2 * WIDTH,
        max_position_embeddings=LONGEST, initializer_range=0.1, hidden_dropout_prob=0, attention_probs_dropout_prob=0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        teacher = BertForMaskedLM(config)
        student = make_student(teacher, layers=2, family="distilbert", initialisation="random", seed=7)[0]
        with torch.no_grad():
            for parameter in [*teacher.parameters(), *student.parameters()]:
                parameter.add_(torch.randn_like(parameter) * 0.03)
    return student, teacher


def gradients_of(student: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.grad.double() for name, parameter in student.named_parameters()}


def ours(folder, mixed: bool, ce_positions: str) -> tuple[float, dict[str, torch.Tensor], dict]:
    """Loss, gradients and first prepared micro-batch of one optimiser step of the trainer."""
    tokenizer = BertTokenizerFast(vocab={word: i for i, word in enumerate(WORDS)}, model_max_length=LONGEST)
    student, teacher = models()
    supervision = ContentMixup(tokenizer, mix=MIX, unequal_pairs="skip") if mixed else None
    trainer = DistillationTrainer(
        student, teacher, tiny_arguments(folder, freeze_position_embeddings=False, head_chunk_size=HEAD_ROWS),
        objective=objective_of(ce_positions), supervision=supervision, processing_class=tokenizer, masking=ContentMasking(),
    )  # fmt: skip
    batches = iter([padded(sentences()[first:last]) for first, last in MICRO_BATCHES])
    prepared, counts = trainer.get_batch_samples(batches, len(MICRO_BATCHES), trainer.args.device)
    total = 0.0
    for inputs in prepared:
        loss = trainer.compute_loss(student, inputs, num_items_in_batch=counts)
        loss.backward()
        total += float(loss.detach())
    return total, gradients_of(student), prepared[0]


def dense(mixed: bool, ce_positions: str, dtype: torch.dtype) -> tuple[float, dict[str, torch.Tensor]]:
    """The same step from transformers' plain forwards over the whole batch, by autograd alone."""
    student, teacher = (model.to(dtype) for model in models())
    objective, batch = objective_of(ce_positions), padded(sentences())
    mask, original = batch["attention_mask"], batch["input_ids"]
    corrupted = ContentMasking().corrupt(original, mask, None)
    ids, labels = corrupted.input_ids, corrupted.labels
    table, twins, found = student.get_input_embeddings().weight, ids.clone(), []
    x = F.embedding(ids, table, padding_idx=0)
    for row, sentence in enumerate(sentences()) if mixed else ():
        for column in range(len(sentence)):
            seen = int(ids[row, column])
            if seen not in PAIR_OF:
                continue
            male, female = PAIR_OF[seen]
            lam = torch.tensor(random.Random(derive_seed(column, *sentence)).betavariate(0.4, 0.4)).to(dtype)
            x = x.index_put(
                (torch.tensor([row]), torch.tensor([column])), (lam * table[male] + (1 - lam) * table[female])[None]
            )
            twins[row, column] = female if seen == male else male
            found.append((row, column, lam if seen == male else 1 - lam))
    assert len(found) > 30 or not mixed

    output = student(inputs_embeds=x, attention_mask=mask, output_hidden_states=True)
    with torch.no_grad():
        seen = teacher(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        swapped = teacher(input_ids=twins, attention_mask=mask, output_hidden_states=True)
        t, hidden = seen.logits, seen.hidden_states[-1]
        for row, column, weight in found:
            t[row, column] = weight * t[row, column] + (1 - weight) * swapped.logits[row, column]
            hidden[row, column] = weight * hidden[row, column] + (1 - weight) * swapped.hidden_states[-1][row, column]

    attended, heat, s = mask.bool(), objective.temperature, output.logits
    soft = attended if ce_positions == "attended" else labels != -100
    log_s, log_t = ((z[soft] / heat).log_softmax(-1) for z in (s, t))
    ce = F.kl_div(log_s, log_t, log_target=True, reduction="batchmean") * heat**2
    mlm = F.cross_entropy(s.flatten(0, 1), labels.flatten(), ignore_index=-100)
    cos = (1 - F.cosine_similarity(output.hidden_states[-1][attended], hidden[attended], dim=-1)).mean()
    mse = (s[soft] - t[soft]).square().sum(-1).mean()
    loss = objective.alpha_ce * ce + objective.alpha_mlm * mlm + objective.alpha_cos * cos + objective.alpha_mse * mse
    loss.backward()
    return float(loss.detach()), gradients_of(student)


def norm(gradients) -> float:
    return float(torch.stack([gradient.norm() for gradient in gradients]).norm())


def distance(one: dict, other: dict) -> float:
    return norm([one[name] - other[name] for name in other])


@pytest.fixture(scope="module")
def pieces_pay():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(length_pieces._OVERHEAD_FLOPS, "cpu", 1e7)  # for these small models too
        yield


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{'mixup' if case[0] else 'none'}-{case[1]}")
def step(request, tmp_path_factory, pieces_pay):
    """The trainer's loss and gradients, how often it ran oneDNN's linear, and the dense form's in float32 and in float64."""
    calls = {"forward": 0, "backward": 0}

    def counted(name, function):
        def call(*arguments):
            calls[name] += 1
            return function(*arguments)

        return staticmethod(call)

    with pytest.MonkeyPatch.context() as patch:
        for name in calls:
            patch.setattr(cpu_linear._Linear, name, counted(name, getattr(cpu_linear._Linear, name)))
        mine = ours(tmp_path_factory.mktemp("run"), *request.param)
    dense32, exact = dense(*request.param, torch.float32), dense(*request.param, torch.float64)
    return {"ours": mine, "calls": calls, "dense": dense32, "exact": exact}


def test_the_loss_is_that_of_the_dense_form(step):
    assert step["ours"][0] == pytest.approx(step["exact"][0], rel=CLOSE)
    assert step["ours"][0] == pytest.approx(step["dense"][0], rel=CLOSE)


def test_gradients_equal_the_dense_forms_in_float32(step):
    """Each parameter's: the two differ by less than 1e-6 of its norm, or than twice of what float32 costs the dense form itself."""
    mine, its, exact = step["ours"][1], step["dense"][1], step["exact"][1]
    assert mine.keys() == its.keys() == exact.keys()
    largest = max(float(gradient.norm()) for gradient in exact.values())
    zeros = []
    for name, gradient in exact.items():
        size = float(gradient.norm())
        if size < 1e-12 * largest:  # the softmax of attention does not see it
            zeros.append(name)
            assert mine[name].norm() < CLOSE * largest, name
            continue
        bound = max(CLOSE * size, 2 * float((its[name] - gradient).norm()))
        assert (mine[name] - its[name]).norm() <= bound, name
        assert (mine[name] - gradient).norm() <= bound, name
    assert [name.split(".")[-2:] for name in zeros] == [["k_lin", "bias"]] * 2


def test_the_whole_gradient_is_as_near_to_float64s_as_the_dense_forms_is(step):
    mine, its, exact = step["ours"][1], step["dense"][1], step["exact"][1]
    size = norm(exact.values())
    assert distance(mine, its) <= CLOSE * size
    assert distance(mine, exact) <= max(CLOSE * size, 2 * distance(its, exact))


def test_the_comparison_is_not_an_easy_one(step):
    """oneDNN's linear ran forward and backward, batches were cut, the head took several chunks."""
    first = step["ours"][2]
    assert step["calls"]["forward"] > step["calls"]["backward"] >= 10
    assert len(first["pieces"]) > 2
    assert len(first["row_targets"]) > 10 and len(first["attended"]) > 2 * HEAD_ROWS


@pytest.mark.parametrize("where", ("a layer's product", "the head's product"))
def test_a_product_of_19_bits_would_be_seen(tmp_path, pieces_pay, monkeypatch, where):
    """As of a GPU's TF32: 10 bits after the point, three digits."""
    case = (True, "attended")

    def coarse(tensor):
        return (tensor.view(torch.int32) & ~0x1FFF).view(torch.float32)

    if where == "a layer's product":
        forward = cpu_linear._Linear.forward
        monkeypatch.setattr(
            cpu_linear._Linear, "forward", staticmethod(lambda ctx, rows, *rest: forward(ctx, coarse(rows), *rest))
        )
    else:
        whole = chunked_head.product
        monkeypatch.setattr(chunked_head, "product", lambda rows, *rest: whole(coarse(rows), *rest))
    exact = dense(*case, torch.float64)[1]
    assert distance(ours(tmp_path, *case)[1], exact) > 20 * CLOSE * norm(exact.values())
