"""One optimiser step's loss and gradients against a plain dense float64 computation: all logits, explicit sums, no hooks.

The corruption and λ are fixed by the test, and where the words of pairs stand is written down by hand, so nothing of the
reference comes from the code under test.
"""

from itertools import combinations

import pytest
import torch
import torch.nn.functional as F

from evenhand.trainer import DistillationObjective, DistillationTrainer, GenderMixup
from evenhand.trainer.masking import CorruptedBatch

SENTENCES = (
    "he saw the galore and his mother .",
    "the old teacher was happy .",
    "Mary was a girl with the son of John in town .",
)
KEEP, MASK = "keep", "mask"
TARGETS = (
    {"he": KEEP, "saw": "she", "galore": MASK, "mother": MASK},
    {"old": MASK, "was": "with"},
    {"girl": "town", "a": MASK, "son": KEEP},
)
"""What becomes of each target: kept, masked (of ``galore`` its last piece), or replaced by another word."""

AFTER = (("he", "saw", "his"), (), ("Mary", "son", "John"))
"""Words at which the corrupted text holds a word of a pair: ``saw`` was replaced by ``she``; ``gal`` of ``galore`` is none."""

BEFORE = (("he", "his", "mother"), (), ("Mary", "girl", "son", "John"))
"""Words at which the original text holds one."""

FAMILIES = (("bert", "bert"), ("bert", "distilbert"), ("roberta", "roberta"))
ALPHAS = {"alpha_ce": 5.0, "alpha_mlm": 2.0, "alpha_cos": 1.0, "alpha_mse": 0.3, "temperature": 2.0}
MIXABLE = ("student_inputs", "teacher_logits", "teacher_hidden")
TWIN_SUBSETS = [subset for n in (1, 2, 3) for subset in combinations(MIXABLE, n)]
VOCABULARY_SUBSETS = [("student_inputs",), ("teacher_logits",), ("student_inputs", "teacher_logits")]


class Text:
    """The three sentences, their corruption and their pair words under one tokenizer, all by hand."""

    def __init__(self, tokenizer, pairs, spaced: bool) -> None:
        self.tokenizer = tokenizer
        twin_of = {a: (b, True) for a, b in pairs} | {b: (a, False) for a, b in pairs}
        self.original, self.corrupted, self.targets = [], [], []
        self.words = {"corrupted": [], "original": []}  # (row, column, observed id, twin id, is male)
        for row, (sentence, fates) in enumerate(zip(SENTENCES, TARGETS, strict=True)):
            ids = [tokenizer.cls_token_id]
            corrupted, targets = list(ids), []
            for number, word in enumerate(sentence.split()):
                space = " " if spaced and number else ""
                pieces = self.encode(space + word)
                fate = fates.get(word)
                new = list(pieces)
                if fate == MASK:
                    new[-1] = tokenizer.mask_token_id
                elif fate not in (None, KEEP):
                    new = self.encode(space + fate)
                    assert len(new) == len(pieces) == 1
                targets += [len(ids) + len(pieces) - 1] if fate else []
                for which, here, ids_here in (("corrupted", AFTER, new), ("original", BEFORE, pieces)):
                    if word in here[row]:
                        seen = fate if which == "corrupted" and fate not in (None, KEEP) else word
                        twin, male = twin_of[seen]
                        twin_ids = self.encode(space + twin)
                        assert len(twin_ids) == len(ids_here) == 1
                        self.words[which].append((row, len(ids), ids_here[0], twin_ids[0], male))
                ids += pieces
                corrupted += new
            self.original.append([*ids, tokenizer.sep_token_id])
            self.corrupted.append([*corrupted, tokenizer.sep_token_id])
            self.targets.append(targets)
        torch.manual_seed(7)
        self.lam = torch.rand(len(SENTENCES), 32)

    def encode(self, word: str) -> list[int]:
        return self.tokenizer.encode(word, add_special_tokens=False)

    def padded(self, rows: list[list[int]]) -> torch.Tensor:
        width = max(map(len, rows))
        return torch.tensor([row + [self.tokenizer.pad_token_id] * (width - len(row)) for row in rows])

    def row_of(self, ids: torch.Tensor) -> int:
        return next(i for i, row in enumerate(self.original) if row == ids.tolist()[: len(row)])

    # what the trainer is given in place of its own draws

    def corrupt(self, input_ids, attention_mask, generator) -> CorruptedBatch:
        corrupted, labels = input_ids.clone(), torch.full_like(input_ids, -100)
        for place, ids in enumerate(input_ids):
            row = self.row_of(ids)
            corrupted[place, : len(self.corrupted[row])] = torch.tensor(self.corrupted[row])
            labels[place, self.targets[row]] = ids[self.targets[row]]
        return CorruptedBatch(corrupted, labels)

    def draw_lambda(self, found, batch, generator) -> torch.Tensor:
        length = batch.input_ids.shape[1]
        rows = [self.row_of(batch.original_ids[p // length]) for p in found.positions.tolist()]
        return self.lam[rows, found.positions % length]


def dense_step(student, teacher, text: Text, objective, mix=(), view="twin", words="corrupted"):
    """The four unweighted sums / counts and the loss of the whole step, by plain dense autograd in float64."""
    ids, original = text.padded(text.corrupted), text.padded(text.original)
    mask = torch.stack([torch.arange(ids.shape[1]) < len(row) for row in text.original]).long()
    is_target = torch.zeros_like(mask)
    for row, columns in enumerate(text.targets):
        is_target[row, columns] = 1
    found = text.words[words]

    # student, from embeddings
    embedding = student.get_input_embeddings()
    table = embedding.weight
    x = F.embedding(ids, table, padding_idx=embedding.padding_idx)
    twin_ids = ids.clone()
    for row, column, observed, twin, male in found:
        if int(ids[row, column]) != observed:
            continue  # masked or replaced: both sides of the input are the same
        lam = text.lam[row, column].double()
        one, other = (observed, twin) if male else (twin, observed)
        twin_ids[row, column] = twin
        if "student_inputs" in mix:
            x = x.clone()
            x[row, column] = lam * table[one] + (1 - lam) * table[other]
    extra = {}
    if (
        student.config.model_type == "roberta"
    ):  # positions count from padding_idx + 1; from embeddings it cannot see padding
        extra["position_ids"] = torch.where(ids != 1, (ids != 1).cumsum(1) + 1, 1)
    output = student(inputs_embeds=x, attention_mask=mask, output_hidden_states=True, **extra)
    s, hidden_s = output.logits, output.hidden_states[-1]

    # teacher, whole sentences
    with torch.no_grad():
        seen = teacher(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        t, hidden_t = seen.logits.clone(), seen.hidden_states[-1].clone()
        swapped = teacher(input_ids=twin_ids, attention_mask=mask, output_hidden_states=True)
        for row, column, observed, twin, male in found:
            lam = text.lam[row, column].double()
            weight = lam if male else 1 - lam
            if "teacher_logits" in mix:
                if view == "twin":
                    other = swapped.logits[row, column]
                else:
                    other = seen.logits[row, column].clone()
                    other[[observed, twin]] = other[[twin, observed]]
                t[row, column] = weight * seen.logits[row, column] + (1 - weight) * other
            if "teacher_hidden" in mix:
                mixed = weight * hidden_t[row, column] + (1 - weight) * swapped.hidden_states[-1][row, column]
                hidden_t[row, column] = mixed

    soft = mask if objective.ce_positions == "attended" else is_target
    n_targets, n_attended, n_soft = is_target.sum(), mask.sum(), soft.sum()
    heat = objective.temperature
    p = (t / heat).softmax(-1)
    kl = (p * (p.log() - (s / heat).softmax(-1).log())).sum(-1)
    ce = (kl * soft).sum() * heat**2 / n_soft
    picked = s.softmax(-1).log().gather(-1, original.unsqueeze(-1)).squeeze(-1)
    mlm = -(picked * is_target).sum() / n_targets
    cosine = (hidden_s * hidden_t).sum(-1) / (hidden_s.norm(dim=-1) * hidden_t.norm(dim=-1))
    cos = ((1 - cosine) * mask).sum() / n_attended
    mse = (((s - t) ** 2).sum(-1) * soft).sum() / n_soft
    loss = objective.alpha_ce * ce + objective.alpha_mlm * mlm + objective.alpha_cos * cos + objective.alpha_mse * mse
    return loss, torch.stack([ce, mlm, cos, mse]).detach()


@pytest.fixture
def world(make_model, wordpiece, byte_bpe, ten_pairs, arguments):
    """``world(families)``: tokenizer, text, student, teacher and a function that makes the trainer."""

    def make(families):
        bpe = families[0] == "roberta"
        tokenizer = byte_bpe if bpe else wordpiece
        text = Text(tokenizer, ten_pairs, spaced=bpe)
        teacher, student = make_model(families[0], 3, seed=1), make_model(families[1], 2, seed=2)

        def trainer(objective, supervision=None, **changes):
            if supervision is not None:
                supervision.draw_lambda = text.draw_lambda
            made = DistillationTrainer(
                student,
                teacher,
                arguments(head_chunk_size=3, **changes),
                objective=objective,
                supervision=supervision,
                processing_class=tokenizer,
                masking=text,
            )
            student.double()
            teacher.double()
            return made

        return tokenizer, text, student, teacher, trainer

    return make


def run_step(trainer, text: Text, split: list[list[int]]):
    """The trainer's own loss, terms and gradients, the three sentences split into micro-batches."""
    batches = []
    for rows in split:
        ids = text.padded([text.original[row] for row in rows])
        lengths = torch.tensor([len(text.original[row]) for row in rows])
        mask = (torch.arange(ids.shape[1]) < lengths.unsqueeze(1)).long()
        batches.append({"input_ids": ids, "attention_mask": mask})
    prepared, counts = trainer.get_batch_samples(iter(batches), len(batches), trainer.args.device)
    trainer.model.zero_grad()
    total, sums = 0.0, 0.0
    for inputs in prepared:
        loss, outputs = trainer.compute_loss(trainer.model, inputs, return_outputs=True, num_items_in_batch=counts)
        loss.backward()
        total, sums = total + loss.detach(), sums + outputs["sums"]
    gradients = {
        name: None if parameter.grad is None else parameter.grad.clone()
        for name, parameter in trainer.model.named_parameters()
    }
    return total, sums, counts, gradients


def check(world, families, objective, split, view="twin", words="corrupted", mix=(), untouched=None, **changes):
    tokenizer, text, student, teacher, make_trainer = world(families)
    if untouched is not None:  # a sentence without targets
        text.targets[untouched], text.corrupted[untouched] = [], text.original[untouched]
    supervision = GenderMixup(tokenizer, mix=mix, second_view=view, words=words) if mix else None
    trainer = make_trainer(objective, supervision, **changes)
    loss, sums, counts, gradients = run_step(trainer, text, split)

    student.zero_grad()
    expected, terms = dense_step(student, teacher, text, objective, mix, view, words)
    expected.backward()
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-6, atol=1e-7)
    targets, attended = sum(map(len, text.targets)), sum(map(len, text.original))
    assert counts.tolist() == [targets, attended]
    soft = attended if objective.ce_positions == "attended" else targets
    means = sums / torch.tensor([soft, targets, attended, soft])
    on = [alpha > 0 for alpha in objective.weights.values()]
    torch.testing.assert_close(means[on], terms[on], rtol=1e-6, atol=1e-7)
    for name, parameter in student.named_parameters():
        if not parameter.requires_grad:
            assert gradients[name] is None, name
            continue
        torch.testing.assert_close(
            gradients[name], parameter.grad, rtol=1e-5, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}"
        )
    return gradients


@pytest.mark.parametrize("families", FAMILIES, ids="->".join)
@pytest.mark.parametrize("ce_positions", ("attended", "masked"))
@pytest.mark.parametrize("split", ([[0, 1, 2]], [[0, 2], [1]]), ids=("whole", "split"))
def test_plain_step_equals_dense_computation(world, families, ce_positions, split):
    gradients = check(world, families, DistillationObjective(**ALPHAS, ce_positions=ce_positions), split)
    frozen = [name for name, gradient in gradients.items() if gradient is None]
    assert len(frozen) == 1 and "position_embeddings" in frozen[0]


def test_trainable_positions_get_the_dense_gradient(world):
    objective = DistillationObjective(**ALPHAS)
    gradients = check(world, FAMILIES[0], objective, [[0, 1, 2]], freeze_position_embeddings=False)
    assert gradients["bert.embeddings.position_embeddings.weight"].abs().sum() > 0


@pytest.mark.parametrize("ce_positions", ("attended", "masked"))
def test_micro_batch_without_targets_adds_only_what_the_dense_step_adds(world, ce_positions):
    objective = DistillationObjective(**ALPHAS, ce_positions=ce_positions)
    check(world, FAMILIES[0], objective, [[0, 2], [1]], mix=MIXABLE, untouched=1)


@pytest.mark.parametrize("families", FAMILIES, ids="->".join)
@pytest.mark.parametrize("ce_positions", ("attended", "masked"))
@pytest.mark.parametrize("mix", TWIN_SUBSETS, ids="+".join)
def test_mixup_with_twin_sentence_equals_dense_computation(world, families, ce_positions, mix):
    check(world, families, DistillationObjective(**ALPHAS, ce_positions=ce_positions), [[0, 1], [2]], mix=mix)


@pytest.mark.parametrize("families", FAMILIES, ids="->".join)
@pytest.mark.parametrize("ce_positions", ("attended", "masked"))
@pytest.mark.parametrize("mix", VOCABULARY_SUBSETS, ids="+".join)
def test_mixup_with_vocabulary_view_equals_dense_computation(world, families, ce_positions, mix):
    objective = DistillationObjective(**ALPHAS, ce_positions=ce_positions)
    check(world, families, objective, [[0, 1], [2]], mix=mix, view="vocabulary")


@pytest.mark.parametrize("families", FAMILIES, ids="->".join)
@pytest.mark.parametrize("ce_positions", ("attended", "masked"))
@pytest.mark.parametrize(("view", "mix"), (("twin", MIXABLE), ("vocabulary", MIXABLE[:2])))
def test_mixup_at_words_of_the_original_text_equals_dense_computation(world, families, ce_positions, view, mix):
    objective = DistillationObjective(**ALPHAS, ce_positions=ce_positions)
    check(world, families, objective, [[0, 2], [1]], mix=mix, view=view, words="original")


@pytest.mark.parametrize("term", ("ce", "mlm", "cos", "mse"))
def test_each_term_alone_equals_dense_computation(world, term):
    alphas = {f"alpha_{name}": 1.5 * (name == term) for name in ("ce", "mlm", "cos", "mse")}
    mix = MIXABLE if term != "mlm" else ("student_inputs",)
    check(world, FAMILIES[1], DistillationObjective(**alphas, temperature=3.0), [[0, 1], [2]], mix=mix)
