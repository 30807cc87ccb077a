"""``evenhand debias-teacher``: from a recipe to a debiased teacher, with its SEAT before and after."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from evenhand.evaluation import Seat
from evenhand.evaluation.evaluators import ready
from evenhand.evaluation.models import tokenizer_sha256
from evenhand.launch.circumstances import circumstances
from evenhand.launch.debias_section import DebiasSection
from evenhand.launch.debiased_facts import DEBIASED_FILE
from evenhand.launch.distill import corpus_of, disk_needs, input_hashes, opened_sources, prepare_teacher
from evenhand.launch.origins import corpus_origins
from evenhand.launch.process_group import join_processes
from evenhand.launch.recipe import EvaluationSection, Recipe
from evenhand.launch.run_directory import RunDirectory, require_disk, save_model_folder, write_json
from evenhand.launch.teacher_head import MLM_HEAD_FILE, checked_teacher, origin_of_teacher, read_head_facts
from evenhand.launch.training_facts import held_out_loss, machine_arguments, model_summary
from evenhand.trainer import load_teacher
from evenhand.trainer.context_debias_sentences import DebiasSentences, choose_sentences
from evenhand.trainer.context_debias_trainer import ContextDebiasTrainer, debias_arguments
from evenhand.trainer.context_debias_words import CompiledWords, DebiasWords
from evenhand.trainer.corpus import Corpus
from evenhand.trainer.expenditure import Expenditure
from evenhand.trainer.teacher import LoadedTeacher

DEBIASING_FILE = "debiasing.json"
SEAT_FILE = "seat_before_after.json"
ORIGINAL = "original"
"""Folder of a teacher that was given a masked-LM head before it was debiased."""
METHOD = "context-debias (Kaneko and Bollegala 2021), corrected form"


def debias_teacher(recipe: Recipe, output_dir: str | Path) -> RunDirectory:
    """Debias the recipe's teacher as its ``debias`` section says; an interrupted run goes on, a finished one is left alone.

    Of the recipe, the sections ``teacher``, ``corpus``, ``debias`` and ``evaluation`` (SEAT's headline) are read, and of ``training`` what is this
    machine's (``use_cpu``, ``fp16``, …). A teacher without a masked-LM head is given one first, as by ``evenhand distill``.

    Args:
        recipe: from :func:`evenhand.launch.recipe.load_recipe`.
        output_dir: where everything goes.

    Returns:
        The directory: ``teacher/`` (its ``.teacher``; a masked LM with its tokenizer, to be distilled in the ordinary way), ``debiasing.json``
        and ``seat_before_after.json`` (``before`` and ``after`` as `SeatResult.to_dict` gives them, ``comparison``, ``settings``).

    Raises:
        ValueError, FileNotFoundError: bad input, before any long work. RuntimeError: training failed; checkpoints are kept.
    """
    run = RunDirectory(output_dir)
    state = join_processes(recipe.training)
    if state.num_processes > 1:
        raise ValueError("evenhand debias-teacher runs in one process; start it without accelerate or torchrun.")
    if recipe.corpus.streaming:
        raise ValueError("A teacher is debiased on sentences chosen from the whole corpus; set corpus.streaming=false.")
    recipe = _relevant(recipe, run)
    words = _words(recipe.debias)
    (seat,) = ready([_seat(recipe.evaluation)])
    documents = opened_sources(recipe)
    teacher = checked_teacher(recipe)
    compiled = CompiledWords(words, teacher.tokenizer)
    require_disk(disk_needs(recipe, run, [teacher.model], teacher, documents))
    hashes = input_hashes(recipe, documents, teacher, None)
    decided = {name: value for name, value in asdict(recipe.debias).items() if not name.endswith("_words")}
    hashes |= {"word lists": words.sha256, "debias settings": _sha256(decided)}
    # what is this machine's decides nothing: a run may go on elsewhere
    run.claim(dataclasses.replace(recipe, training={}), hashes)
    if _finished(run) and _measured_so(run, seat):
        return run
    ran_with = circumstances()
    corpus = corpus_of(recipe, run, teacher.tokenizer)
    sentences = _sentences(recipe, run, corpus, compiled)
    if not teacher.has_mlm_head:
        teacher = load_teacher(prepare_teacher(recipe, RunDirectory(run.path / ORIGINAL)))
    before = seat.run(teacher.model, teacher.tokenizer).to_dict()
    if not _finished(run):
        background = ran_with | {"sources": corpus_origins(recipe.corpus.sources, documents)}
        _debias(recipe, run, teacher, corpus, sentences, compiled, background)
    after_model = load_teacher(str(run.teacher)).model
    after = seat.run(after_model, teacher.tokenizer)
    comparison = seat.compare(after, _Kept(before))
    facts = {"settings": _seat_settings(seat), "before": before, "after": after.to_dict(), "comparison": comparison}
    write_json(run.path / SEAT_FILE, facts | {"stereotype_words_of_the_tests": _words_of_tests(seat, words)})
    return run


@dataclasses.dataclass(frozen=True)
class _Kept:
    """A result in its JSON form."""

    data: dict

    def to_dict(self) -> dict:
        return self.data


def _relevant(recipe: Recipe, run: RunDirectory) -> Recipe:
    """The recipe without what does not decide the debiased teacher; one tokenised corpus for all that happens here."""
    corpus = recipe.corpus
    if corpus.cache_dir is None:
        corpus = dataclasses.replace(corpus, cache_dir=str(run.cache))
    return Recipe(
        teacher=recipe.teacher,
        corpus=corpus,
        debias=recipe.debias,
        evaluation=recipe.evaluation,
        training=machine_arguments(recipe),
    )


def _words(section: DebiasSection) -> DebiasWords:
    return DebiasWords.load(section.male_words, section.female_words, section.stereotype_words)


def _seat(section: EvaluationSection) -> Seat:
    """The headline of the recipe's evaluation: its first stimuli under its first pooling."""
    if not section.stimuli or not section.poolings:
        raise ValueError("evaluation.stimuli and evaluation.poolings need at least one entry each.")
    return Seat(
        section.poolings[0],
        section.stimuli[0],
        families=section.families,
        seed=section.seed,
        batch_size=section.batch_size,
        progress=True,
    )


def _seat_settings(seat: Seat) -> dict:
    return {**seat.settings(), "seed": seat.seed}


def _sha256(data: object) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _finished(run: RunDirectory) -> bool:
    return run.teacher.is_dir() and (run.path / DEBIASING_FILE).is_file()


def _measured_so(run: RunDirectory, seat: Seat) -> bool:
    """Whether SEAT was measured with these settings: a change of them measures the same teachers again."""
    file = run.path / SEAT_FILE
    return file.is_file() and json.loads(file.read_text(encoding="utf-8"))["settings"] == json.loads(
        json.dumps(_seat_settings(seat))
    )


def _sentences(recipe: Recipe, run: RunDirectory, corpus: Corpus, compiled: CompiledWords) -> DebiasSentences:
    section = recipe.debias
    try:
        return choose_sentences(
            corpus.train,
            compiled,
            max_sentences=section.max_sentences,
            dev_fraction=section.dev_fraction,
            seed=section.seed,
        )
    except ValueError:
        run.release()
        raise


def _debias(
    recipe: Recipe,
    run: RunDirectory,
    teacher: LoadedTeacher,
    corpus: Corpus,
    sentences: DebiasSentences,
    compiled: CompiledWords,
    background: dict,
) -> None:
    section, model, tokenizer = recipe.debias, teacher.model, teacher.tokenizer
    summary, (mlm_before, n_targets) = model_summary(model), held_out_loss(model, tokenizer, corpus, recipe)
    names = ("learning_rate", "batch_size", "micro_batch_size", "epochs", "seed")
    # the epoch's log is too little to be worth a logger's run of its own
    machine = machine_arguments(recipe) | {"report_to": []}
    arguments = debias_arguments(run.checkpoints, **{name: getattr(section, name) for name in names}, **machine)
    spent = Expenditure(run.checkpoints)
    trainer = ContextDebiasTrainer(
        model, arguments, sentences, tokenizer, alpha=section.alpha, beta=section.beta, layers=section.layers, callbacks=[spent]
    )  # fmt: skip
    with spent:
        trainer.train(resume_from_checkpoint=True)
    mlm_after, _ = held_out_loss(model, tokenizer, corpus, recipe)
    head = read_head_facts(teacher.path)
    facts = {
        "method": METHOD,
        "teacher": (head or {}).get("teacher", recipe.teacher.path),
        "origin": origin_of_teacher(recipe, head),
        "settings": asdict(section),
        "words_sha256": compiled.words.sha256,
        "sentences": sentences.report["train"],
        "chosen": _chosen(trainer),
        "held_out_mlm_loss": {
            "before": mlm_before,
            "after": mlm_after,
            "n_targets": n_targets,
            "unit": "nats per masked token",
        },
        "original_weights_sha256": summary["weights_sha256"],
    }
    extra = {DEBIASED_FILE: facts} | ({MLM_HEAD_FILE: head} if head else {})
    save_model_folder(run.teacher, model, tokenizer, extra=extra)
    sources = background.pop("sources")
    report = corpus.report | {
        "sources": [known | origin for known, origin in zip(corpus.report["sources"], sources, strict=True)]
    }
    write_json(
        run.path / DEBIASING_FILE,
        {
            "schema": "evenhand-debiasing",
            "schema_version": 1,
            "evenhand_version": metadata.version("evenhand"),
            **background,
            **spent.total(),
            **facts,
            "original": summary | {"tokenizer_sha256": tokenizer_sha256(tokenizer)},
            "debiased": model_summary(model),
            "words": compiled.report,
            "sentences": sentences.report,
            "corpus": report,
            "losses": _losses(trainer),
            "steps": trainer.state.global_step,
            "tokens_seen": trainer.total_counts()["tokens_seen"],
        },
    )


def _losses(trainer: ContextDebiasTrainer) -> list[dict]:
    """Per epoch the unweighted terms and their weighted sum: of training (means over its steps) and of the dev set; epoch 0 is the teacher as it was."""
    epochs: dict[int, dict] = {}
    for entry in trainer.state.log_history:
        of_epoch = epochs.setdefault(
            round(entry.get("epoch") or 0), {"step": entry["step"], "train": None, "dev": None}
        )
        if "eval_loss" in entry:
            of_epoch["dev"] = {name: entry[f"eval_{name}"] for name in ("loss", "projection", "drift")}
        elif "projection" in entry:
            terms = {name: entry[name] for name in ("projection", "drift")}
            loss = trainer.alpha * terms["projection"] + trainer.beta * terms["drift"]
            of_epoch["train"] = {"loss": loss, **terms}
    return [{"epoch": number, **losses} for number, losses in sorted(epochs.items())]


def _chosen(trainer: ContextDebiasTrainer) -> dict:
    """The epoch whose weights were kept."""
    step = trainer.state.best_global_step
    number = next(entry["epoch"] for entry in _losses(trainer) if entry["step"] == step and entry["epoch"])
    return {"epoch": number, "step": step, "dev_loss": trainer.state.best_metric}


def _words_of_tests(seat: Seat, words: DebiasWords) -> list[str]:
    """Stereotype words that the tests measure: on these the teacher was trained not to differ."""
    measured = {word.lower() for test in seat.loaded_stimuli.tests for of in test.sets.values() for word in of.words}
    return sorted(word for word in words.stereotypes if word.lower() in measured)
