"""A run with a tiny student, really measured against a tiny teacher in every way that verification tells apart, and the data for it."""

import random

from evenhand.evaluation import Seat, evaluate_model
from evenhand.evaluation.models import load_model, model_facts
from evenhand.evaluation.sensitivity import SeatSensitivity

TESTS = ("sent-weat6", "sent-weat8b")


def make_small_run(folder, data, stimuli, save_model, training):
    """Student, teacher and report.json in ``folder``; what was measured on in ``data``.

    Args:
        folder, data: new directories.
        stimuli: directory of sent-bias files.
        save_model: function (folder, seed).
        training: function from ``folder`` to a training record.
    """
    # imported where it is needed, as GLUE brings Trainer
    from evenhand.evaluation import Glue
    from evenhand.evaluation.crows_pairs import CrowsPairs
    from evenhand.evaluation.pseudo_perplexity import PseudoPerplexity
    from evenhand.evaluation.speed import Speed

    save_model(folder / "student", 1)
    save_model(folder / "teacher", 0)
    write_data(data)
    evaluators = [
        Seat(tests=TESTS),
        SeatSensitivity(tests=TESTS[:1], poolings=["mean", "cls"]),
        Seat(pooling="cls", stimuli=stimuli),
        CrowsPairs(data=data / "pairs.csv"),
        PseudoPerplexity(data=data / "text.txt", max_sentences=6, min_words=3),
        Glue(data=data / "glue", tasks=["sst2"], epochs=1, batch_size=8),
        Speed(batch_size=4, seconds=0.05),
    ]
    evaluate_model(folder / "student", folder / "teacher", evaluators, training(folder)).save(folder / "report.json")
    return folder


def write_data(data):
    """Sentence pairs, text and a GLUE task, of words that the tiny tokenizer knows."""
    (data / "glue" / "SST-2").mkdir(parents=True)
    pairs = [
        (f"This is {one} {word}.", f"This is {other} {word}.")
        for one, other in (("her", "his"), ("she", "he"), ("woman", "man"))
        for word in ("science", "family", "office", "poetry")
    ]
    rows = [f'{i},"{more}","{less}",stereo,gender,[],a,[]' for i, (more, less) in enumerate(pairs)]
    header = ",sent_more,sent_less,stereo_antistereo,bias_type,annotations,anon_writer,anon_annotators"
    (data / "pairs.csv").write_text("\n".join([header, *rows]) + "\n")
    words, draw = ("science", "family", "office", "poetry", "man", "woman", "math", "art", "children"), random.Random(0)
    sentences = [" ".join(draw.choices(words, k=6)) for _ in range(36)]
    (data / "text.txt").write_text("\n".join(sentences[:12]) + "\n")
    for name, chosen in (("train", sentences[12:28]), ("dev", sentences[28:])):
        lines = [f"{text} \t{int('math' in text)}" for text in chosen]
        (data / "glue" / "SST-2" / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *lines]) + "\n")


def training_of(run, record):
    """``record``, of the models that are in a run."""
    for role in ("student", "teacher"):
        facts = model_facts(*load_model(run / role), role, role)
        record[role] |= {key: facts[key] for key in facts.keys() & record[role].keys()}
    return record


def remembered(run, known):
    """``run(evaluator, (model, tokenizer))``, or what it gave before for these settings, weights, tokenizer and configuration."""

    def run_once(evaluator, loaded):
        model, tokenizer = loaded
        facts = model_facts(model, tokenizer, "", "")
        key = (repr(evaluator), facts["weights_sha256"], facts["tokenizer_sha256"], model.config.to_json_string())
        if key not in known:
            known[key] = run(evaluator, loaded)
        return known[key]

    return run_once
