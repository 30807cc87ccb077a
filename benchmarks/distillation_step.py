"""One optimiser step's forward and backward: evenhand's against a plain dense one, same models, batches and threads.

Baseline: full logits at every position of the padded batch for student and teacher, dense KL, a second whole teacher forward for
the mixup's twin sentences. Its loss must equal ours, so both do the same mathematics.
"""

from __future__ import annotations

import statistics
import time
from functools import partial

import torch
import torch.nn.functional as F
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

from evenhand.trainer import DistillationObjective, GenderMixup, SupervisionTransform, XlmMasking, make_student
from evenhand.trainer.distillation_step import prepare_micro_batch, student_loss, teacher_signals
from evenhand.trainer.masking import IGNORED
from evenhand.trainer.mlm_parts import MlmParts

VOCABULARY, WIDTH, LAYERS = 30_522, 256, 4
BATCH, REPEATS = 16, 5
OBJECTIVE = DistillationObjective()


def tokenizer() -> BertTokenizerFast:
    """A vocabulary of BERT's size in which the ten pairs are words."""
    pairs = "man woman boy girl he she father mother son daughter guy gal male female his her himself herself john mary"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pairs.split()]
    words += [f"word{i}" for i in range(VOCABULARY - len(words))]
    return BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}, do_lower_case=True)


def batches(number: int) -> list[dict]:
    """Sequences of natural length (12 to 128, mean about 35 tokens); one token in fifty is a pair's word."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(number):
        lengths = (torch.empty(BATCH).log_normal_(3.4, 0.55, generator=generator)).long().clamp(12, 128)
        ids = torch.randint(25, VOCABULARY, (BATCH, int(lengths.max())), generator=generator)
        pair_words = torch.rand(ids.shape, generator=generator) < 0.02
        ids[pair_words] = torch.randint(5, 25, (int(pair_words.sum()),), generator=generator)
        mask = (torch.arange(ids.shape[1]) < lengths.unsqueeze(1)).long()
        found.append({"input_ids": ids * mask, "attention_mask": mask})
    return found


def dense_step(student, teacher, inputs: dict, mixup: GenderMixup | None) -> torch.Tensor:
    """The same objective with nothing selected and nothing chunked."""
    ids, mask, plan = inputs["input_ids"], inputs["attention_mask"], inputs["plan"]
    embeddings = student.get_input_embeddings()(ids)
    with torch.no_grad():
        signals = teacher(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        target = signals.logits.clone()
        if mixup is not None and len(plan["positions"]):
            twin_ids = ids.flatten().index_copy(0, plan["positions"], plan["twin_ids"]).view_as(ids)
            twin = teacher(input_ids=twin_ids, attention_mask=mask).logits.flatten(0, 1)[plan["positions"]]
            weight = plan["observed_weight"].unsqueeze(1)
            flat = target.flatten(0, 1)
            flat[plan["positions"]] = weight * flat[plan["positions"]] + (1 - weight) * twin
    if mixup is not None:
        embeddings = mixup.student_embeddings(embeddings, student.get_input_embeddings().weight, plan)
    output = student(inputs_embeds=embeddings, attention_mask=mask, output_hidden_states=True)
    real, labels = mask.bool(), inputs["labels"]
    kl = F.kl_div((output.logits / 2).log_softmax(-1), (target / 2).log_softmax(-1), reduction="none", log_target=True)
    cosine = F.cosine_similarity(output.hidden_states[-1], signals.hidden_states[-1], dim=-1)
    ce = 4 * kl.sum(-1)[real].mean()
    mlm = F.cross_entropy(output.logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
    return 5 * ce + 2 * mlm + (1 - cosine)[real].mean()


def our_step(student: MlmParts, teacher: MlmParts, inputs: dict, supervision: SupervisionTransform) -> torch.Tensor:
    """evenhand's path."""
    signals = teacher_signals(teacher, inputs, OBJECTIVE, supervision)
    denominators = OBJECTIVE.denominators(inputs["counts"])
    return student_loss(student, teacher, signals, inputs, OBJECTIVE, supervision, denominators, 256)[0]


def run() -> list[str]:
    """Measure; returns the lines of the report."""
    tok = tokenizer()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=4, intermediate_size=4 * WIDTH
    )  # fmt: skip
    teacher = BertForMaskedLM(config).eval().requires_grad_(False)
    student, _ = make_student(teacher, layers=LAYERS // 2)
    student.eval()  # no dropout: both paths must give one loss
    masking = XlmMasking(torch.ones(VOCABULARY), tok.mask_token_id, tok.all_special_ids)
    lines = [
        f"BERT {WIDTH} wide, {LAYERS} → {LAYERS // 2} layers, {VOCABULARY:,} words, batch {BATCH}, fp32, {torch.get_num_threads()} threads"
    ]
    for title, mixup in (("plain", None), ("mixup", GenderMixup(tok))):
        supervision = mixup or SupervisionTransform()
        ratios, worst, tokens, ours = [], 0.0, 0, 0.0
        for number, batch in enumerate(batches(REPEATS + 1)):
            generators = [torch.Generator().manual_seed(number) for _ in range(2)]
            inputs = prepare_micro_batch(batch, masking, OBJECTIVE, supervision, *generators)
            inputs["labels"] = masking.corrupt(**batch, generator=torch.Generator().manual_seed(number)).labels
            seconds, losses = [], []
            for step in (
                partial(our_step, MlmParts(student), MlmParts(teacher), inputs, supervision),
                partial(dense_step, student, teacher, inputs, mixup),
            ):
                student.zero_grad()
                start = time.perf_counter()
                loss = step()
                loss.backward()
                seconds.append(time.perf_counter() - start)
                losses.append(loss.item())
            worst = max(worst, abs(losses[0] - losses[1]) / losses[1])
            if number:  # the first is warm-up
                ratios.append(seconds[1] / seconds[0])
                tokens, ours = tokens + int(batch["attention_mask"].sum()), ours + seconds[0]
        lines.append(
            f"{title}: {tokens / ours:,.0f} tokens/s; dense baseline takes {statistics.median(ratios):.2f}x the time "
            f"(median of {len(ratios)}, {min(ratios):.2f} to {max(ratios):.2f}); largest relative difference of the loss {worst:.1e}"
        )
        if worst > 1e-5:
            raise RuntimeError(f"The two paths disagree: relative difference {worst:.1e} of the loss in {title}.")
    return lines
