"""``evenhand demo``: plant a known bias, train a teacher on it, distil with and without mixup, measure, write the cards."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from evenhand.evaluation import EvaluationReport
from evenhand.evaluation.stimuli import builtin_stimuli
from evenhand.launch.distill import distill
from evenhand.launch.evaluate import evaluate_run
from evenhand.launch.paired_runs import ARMS
from evenhand.launch.planted_corpus import PlantedCorpus
from evenhand.launch.planted_tokenizer import build_tokenizer
from evenhand.launch.publish import publish_run
from evenhand.launch.recipe import Recipe, load_recipe
from evenhand.launch.run_card import write_card
from evenhand.launch.run_directory import RunDirectory, save_model_folder, write_json
from evenhand.model_cards import verify
from evenhand.model_cards.figures.planted_figure import draw_planted_figure
from evenhand.trainer.corpus import CorpusSettings, prepare_corpus
from evenhand.trainer.corpus_sources import CorpusSource
from evenhand.trainer.mlm_head import train_mlm_head
from evenhand.trainer.randomness import derive_seed

ASSOCIATIONS = {"career_family": 0.8, "math_arts": 0.4, "science_arts": 0.0}
"""What the demo plants: strong, moderate and none."""
ACCEPTED = "Made by the demo, whose students stay on this machine and are there to be compared."
"""Why a student is published even where one seed's is reliably worse than the teacher; in the card only then."""


@dataclass(frozen=True)
class PlantedTeacher:
    """Size and training of the small BERT teacher of a planted corpus."""

    layers: int = 2
    hidden_size: int = 128
    heads: int = 4
    steps: int = 2000
    batch_size: int = 32
    learning_rate: float = 2e-3
    # a wider start and more masks than usual: otherwise the small model stays on its first plateau for many more steps
    initializer_range: float = 0.05
    mlm_probability: float = 0.25


@dataclass(frozen=True)
class DemoSize:
    """How large a demo is; ``overrides`` are ``section.key=value`` for its recipe, ``planted.yaml``."""

    n_documents: int = 40_000
    teacher: PlantedTeacher = PlantedTeacher()
    overrides: tuple[str, ...] = ()


def planted_config(settings: PlantedTeacher, tokenizer: PreTrainedTokenizerBase) -> BertConfig:
    """Sizes and start of a planted corpus's teacher; ``tokenizer`` is that of :func:`build_tokenizer`."""
    return BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.hidden_size,
        max_position_embeddings=128,
        initializer_range=settings.initializer_range,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
    )


def train_planted_teacher(
    corpus_file: Path, tokenizer: PreTrainedTokenizerBase, settings: PlantedTeacher, work_dir: Path, seed: int
) -> PreTrainedModel:
    """A BERT trained from scratch with masked language modelling on a text file, one document a line.

    Args:
        corpus_file: the planted corpus.
        tokenizer: of :func:`build_tokenizer`.
        settings: size and training.
        work_dir: where the tokenised corpus and checkpoints go; an interrupted training goes on from there.
        seed: of weights, data order, masks and dropout.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "planted teacher"))
        model = BertForMaskedLM(planted_config(settings, tokenizer))
    # the students' settings: what is held out from them is then held out from their teacher too
    held_out_like_students = CorpusSettings(**load_recipe("planted").corpus.choices())
    corpus = prepare_corpus(
        [CorpusSource(path=str(corpus_file))], tokenizer, held_out_like_students, work_dir / "cache"
    )
    return train_mlm_head(
        model,
        tokenizer,
        corpus.train,
        corpus.token_counts,
        work_dir / "checkpoints",
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        seed=seed,
        mlm_probability=settings.mlm_probability,
        max_grad_norm=1.0,
        weight_decay=0.01,
        logging_steps=500,
    )


def demo(output_dir: str | Path, seed: int = 0, size: DemoSize | None = None) -> int:
    """Run the whole path on a planted corpus; every step is skipped if an earlier call has finished it.

    Args:
        output_dir: everything goes there; ``published/plain`` and ``published/mixup`` are what would go to the Hub.
        seed: of the corpus, the teacher and both students. The same seed gives the same numbers on one machine.
        size: default :class:`DemoSize`.

    Returns:
        0, or 1 if a published folder does not verify.

    Raises:
        ValueError: ``output_dir`` holds a demo of another seed, or something else.
    """
    folder, size = Path(output_dir), size or DemoSize()
    _claim(folder, seed)
    _say(1, "planting a corpus with known associations")
    planted = _plant(folder, seed, size.n_documents)
    _say(2, "training a small teacher on it")
    _make_teacher(folder, seed, size.teacher)
    reports = {}
    for number, (arm, enabled) in enumerate(ARMS.items(), 3):
        _say(number, f"distilling and measuring the {arm} student")
        recipe = _recipe(folder, enabled, seed, size.overrides)
        reports[arm] = _run_arm(folder, arm, recipe, _strengths(planted))
    _say(5, "writing cards, publishing to local folders, verifying them")
    measured = _measured(reports)
    plot = draw_planted_figure(_strengths(planted), measured, folder / "planted.png")
    ok = True
    for arm in ARMS:
        write_card(folder / arm)
        published = publish_run(folder / arm, folder / "published" / arm, accept_amplification=ACCEPTED)
        ok &= verify(published.folder).ok
    print(_table(planted, measured, reports))
    print(f"\nCards: {', '.join(str(folder / 'published' / arm / 'README.md') for arm in ARMS)}")
    print(f"Plot:  {plot}")
    print("Both published folders verify." if ok else "A published folder does not verify.")
    print("One seed shows the path, not an effect: see docs/results/ for comparisons over seeds.")
    return 0 if ok else 1


def _say(number: int, what: str) -> None:
    print(f"[{number}/5] {what} …", flush=True)


def _claim(folder: Path, seed: int) -> None:
    marker = folder / "demo.json"
    if marker.is_file():
        held = json.loads(marker.read_text(encoding="utf-8"))["seed"]
        if held != seed:
            raise ValueError(f"{folder} holds the demo of seed {held}; choose another --output-dir or delete it.")
    elif folder.exists() and (folder.is_file() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty and holds no demo; choose another --output-dir.")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(marker, {"seed": seed, "associations": ASSOCIATIONS})


def _plant(folder: Path, seed: int, n_documents: int) -> dict:
    corpus_file, facts_file = folder / "planted" / "corpus.txt", folder / "planted" / "planted.json"
    if not facts_file.is_file():
        corpus = PlantedCorpus(ASSOCIATIONS, n_documents, seed=seed)
        corpus.write(corpus_file, "all")
        sentences = builtin_stimuli().of_families(["gender"]).distinct_sentences
        save_model_folder(folder / "planted" / "tokenizer", build_tokenizer(corpus.documents("all"), also=sentences))
        write_json(facts_file, corpus.planted())
    return json.loads(facts_file.read_text(encoding="utf-8"))


def _make_teacher(folder: Path, seed: int, settings: PlantedTeacher) -> None:
    teacher = folder / "teacher"
    if not teacher.is_dir():
        tokenizer = AutoTokenizer.from_pretrained(folder / "planted" / "tokenizer")
        corpus_file = folder / "planted" / "corpus.txt"
        model = train_planted_teacher(corpus_file, tokenizer, settings, folder / "teacher_training", seed)
        save_model_folder(teacher, model, tokenizer)


def _recipe(folder: Path, enabled: bool, seed: int, overrides: tuple[str, ...]) -> Recipe:
    recipe = load_recipe("planted", overrides)
    source = CorpusSource(path=str(folder / "planted" / "corpus.txt"))
    return dataclasses.replace(
        recipe,
        teacher=dataclasses.replace(recipe.teacher, path=str((folder / "teacher").absolute())),
        corpus=dataclasses.replace(
            recipe.corpus, sources=[source], cache_dir=str(folder / "teacher_training" / "cache")
        ),
        mixup=dataclasses.replace(recipe.mixup, enabled=enabled),
        training=recipe.training | {"seed": seed},
    )


def _run_arm(folder: Path, arm: str, recipe: Recipe, strengths: dict[str, float]) -> EvaluationReport:
    run = RunDirectory(folder / arm)
    if not run.report_file.is_file():
        distill(recipe, run.path)
        # In the training record, so that the report has them and the card their table beside the picture.
        write_json(run.training_file, run.training() | {"planted": strengths})
        evaluate_run(run)
    return EvaluationReport.load(run.report_file)


def _strengths(planted: dict) -> dict[str, float]:
    return {entry["label"]: entry["strength"] for entry in planted["associations"].values()}


def _measured(reports: dict[str, EvaluationReport]) -> dict[str, dict[str, float]]:
    """d per test label: the teacher's, and each student's."""
    headline = {arm: report.measures["seat"][0] for arm, report in reports.items()}
    results = {"teacher": next(iter(headline.values()))["reference"]}
    results |= {f"{arm} student": entry["model"] for arm, entry in headline.items()}
    return {
        name: {test["label"]: test["effect_size"] for test in result["tests"].values()}
        for name, result in results.items()
    }


def _table(planted: dict, measured: dict, reports: dict[str, EvaluationReport]) -> str:
    """Planted strength beside measured d, and the masked-LM loss that each student pays."""
    strengths = _strengths(planted)
    labels = sorted(strengths, key=lambda label: (-strengths[label], label))
    header = ["test", "planted", *measured]
    rows = [
        [label, f"{strengths[label]:+.2f}", *(f"{values[label]:+.2f}" for values in measured.values())]
        for label in labels
    ]
    mean = [f"{sum(abs(values[label]) for label in labels) / len(labels):.2f}" for values in measured.values()]
    losses = [report.training["held_out_mlm_loss"] for report in reports.values()]
    rows.append(["mean |d|", "", *mean])
    rows.append(["MLM loss", "", f"{losses[0]['teacher']:.2f}", *(f"{loss['student']:.2f}" for loss in losses)])
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    return "\n".join(
        ["", "Planted association strength, and SEAT effect size d (built-in stimuli, mean pooling):", *lines]
    )
