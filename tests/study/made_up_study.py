"""A small study file, and results of it made by hand from one measured model: every arm's numbers are known."""

import copy

import numpy as np

from evenhand.evaluation import EvaluationReport, Seat
from evenhand.launch.study.cells import has_glue
from evenhand.launch.study.results import StudyResults
from evenhand.launch.study.study_file import load_study

STUDY = """
title: "A study of <b>arms</b> | made up"
baseline: original
printed: printed.yaml
paper: {citation: "Nobody (2000): Nothing"}
arms:
  original: {label: "original", core: true}
  mlm-cos: {label: "mlm + cos", changes: [objective.alpha_ce=0], core: true}
  proposed: {label: "mixup (proposed)", changes: [mixup.enabled=true], core: true}
  mix-input: {label: "mixup: inputs", changes: [mixup.enabled=true, "mixup.mix=[student_inputs]"]}
  random-pairs: {label: "unrelated pairs", changes: [mixup.enabled=true, mixup.pairs=random]}
  original-521: {label: "original, 5/2/1", changes: [objective.alpha_ce=5, objective.alpha_mlm=2]}
  proposed-521: {label: "proposed, 5/2/1", changes: [objective.alpha_ce=5, objective.alpha_mlm=2, mixup.enabled=true]}
  hopeless: {label: "fails", changes: [objective.temperature=9]}
  later: {label: "to come", changes: [objective.temperature=7]}
  "depth-{value}": {label: "{value}-layer student", sweep: depths, changes: ["student.layers={value}"]}
sections:
  table1: {title: Terms, question: "Does L_ce amplify?", arms: [original, mlm-cos], notes: ["A *note*."]}
  table2: {title: Supervision, question: "Does it help?", arms: [original, mix-input, proposed, random-pairs, hopeless, later]}
  weights: {title: Weights, question: "At others?", arms: [original-521, proposed-521]}
  table3: {title: Quality, question: "At what cost?", kind: glue, arms: [original, proposed]}
  figure1: {title: Depth, question: "Deeper?", kind: sweep, x_label: layers, arms: ["depth-{value}"]}
scales:
  tiny:
    note: "Made up."
    seeds: {core: 4, other: 3}
    lists: {depths: [1, 2, 3, 4]}
    glue: {seeds: 3, arms: [original, proposed], settings: {}}
    recipe: &recipe
      student: {layers: 2}
      corpus: {sources: [{path: text.txt}]}
      objective: {alpha_ce: 1.0, alpha_mlm: 1.0, alpha_cos: 1.0}
  known:
    note: "Made up, with known associations."
    seeds: {core: 4, other: 3}
    lists: {depths: [1, 2, 3, 4]}
    planted: {associations: {career_family: 0.8}}
    without: {table3: "no tasks"}
    recipe: *recipe
"""
PRINTED = """
table1:
  original: {C6: 1.2, C6b: 0.6, C7: 0.9, C7b: 1.5, C8: 0.6, C8b: 1.2, mean: 1.0}
  mlm-cos: {C6: 1.2, C6b: 0.6, C7: 0.9, C7b: 0.3, C8: 0.6, C8b: 0.6, mean: 0.6}
table3:
  original: {SST-2: 90.4, RTE: 59.9, glue: 76.7}
  proposed: {SST-2: 90.7, RTE: 62.1, glue: 76.7}
figure1:
  "depth-{value}": {pearson_r: -0.82}
"""
PLANTED = {"C6": 0.8, "C6b": 0.8, "C7": -0.4, "C7b": -0.4, "C8": 0.0, "C8b": 0.0}
EFFECTS = {"mlm-cos": -0.3, "proposed": -0.25, "mix-input": 0.0, "random-pairs": -0.02, "proposed-521": -0.25}
"""By how much of itself an arm's association is smaller than the baseline's."""
COSTS = {"proposed": 0.05, "mlm-cos": 0.2}
"""Held-out loss that an arm has more, in nats."""


def measured_seat(seed=0):
    """SEAT of six tests on vectors with an association in them; slow, so make it once."""
    seat = Seat(families=["gender"])
    rows = {sentence: index for index, sentence in enumerate(seat.loaded_stimuli.distinct_sentences)}
    vectors = np.random.default_rng(seed).normal(size=(len(rows), 12))
    for test in seat.loaded_stimuli.tests:
        for role, sign in {"X": 1, "Y": -1, "A": 1, "B": -1}.items():
            for sentence in test.sets[role].sentences:
                vectors[rows[sentence], 0] += 0.5 * sign
    return {**seat.settings(), "model": seat.result_of(vectors).to_dict()}


def scaled(result, factor):
    """A result whose every association is ``factor`` times as large."""
    made = copy.deepcopy(result)
    for test in made["tests"].values():
        test["effect_size"] *= factor
        for of_set in test["without_word"].values():
            of_set.update({word: d * factor for word, d in of_set.items()})
        for of_set in test["associations"].values():
            of_set.update({word: [n, s * factor] for word, (n, s) in of_set.items()})
    mean = float(np.mean([abs(test["effect_size"]) for test in made["tests"].values()]))
    made["families"]["gender"]["mean_absolute_effect_size"] = made["mean_absolute_effect_size"] = mean
    return made


def factor_of(arm, value, seed):
    """The arm's association over the measured one; seeds share noise, and arms have a little of their own."""
    depth = -0.08 * value if arm.startswith("depth") else 0.0
    own = np.random.default_rng([seed, *arm.encode()]).normal()
    return 0.8 * (1 + EFFECTS.get(arm, 0.0) + depth + 0.03 * np.random.default_rng(seed).normal() + 0.005 * own)


def report(entry, arm, seed, factor, glue):
    model = {
        "role": "student", "name": f"{arm}-seed{seed}", "model_type": "distilbert", "layers": 2, "hidden_size": 8, "vocab_size": 900,
        "parameters": 10, "max_length": 16, "weights_sha256": f"{arm}{seed}", "tokenizer_sha256": "2" * 64,
    }  # fmt: skip
    noise = np.random.default_rng([seed, *arm.encode()])
    student = 3.0 + 0.1 * seed + COSTS.get(arm, 0.0) + 0.002 * noise.normal()
    final = entry["model"]["mean_absolute_effect_size"] * factor
    training = {
        "teacher": {"name": "some_teacher", "layers": 6, "hidden_size": 8}, "seed": seed, "steps": 30, "batch_size": 2, "tokens_seen": 400,
        "student": {"model_type": "distilbert", "layers": 2, "parameters": 10}, "epochs": 1.0, "recipe_sha256": "3" * 64,
        "corpus": {"sources": [{"path": "t.txt"}], "sequences": 5, "tokens": 50, "held_out_sequences": 2},
        "objective": {"weights": {"ce": 1.0, "mlm": 1.0, "cos": 1.0, "mse": 0.0}, "temperature": 2.0, "ce_positions": "attended"},
        "held_out_mlm_loss": {"student": student, "teacher": 2.5, "n_targets": 7},
        "watch": {
            "measures": {"seat": {"measure": "seat"}}, "teacher": {"seat_mean_abs": 0.9},
            "curve": [{"step": step, "seat_mean_abs": final * step / 30} for step in (0, 15, 30)],
        },
    }  # fmt: skip
    other = {"comparison": None, "not_applicable": {"model": None, "reference": None}}
    reference = scaled(entry["model"], 0.75)
    measures = {"seat": [{**entry, "model": scaled(entry["model"], factor), "reference": reference, **other}]}
    if glue:
        scores = [
            ("sst2", "SST-2, accuracy", 80.0 + seed),
            ("rte", "RTE, accuracy", 55.0 + EFFECTS.get(arm, 0) + 0.1 * seed),
        ]
        result = {"measure": "glue", "note": "not all examples were used", "scores": [
            {"key": key, "name": name, "value": value, "unit": "points", "n": 100, "confidence_interval": None, "confidence_level": 0.95,
             "interval_method": None, "ideal": None, "better": "higher", "note": None} for key, name, value in scores
        ]}  # fmt: skip
        measures["glue"] = [{"model": result, "reference": None, **other}]
    return EvaluationReport.from_dict({
        "schema": "evenhand-report", "schema_version": 2, "evenhand_version": "0.1.0", "measures": measures, "training": training,
        "environment": dict.fromkeys(("python", "torch", "transformers", "platform"), "x"), "model": model,
        "reference": copy.deepcopy(model) | {"role": "teacher", "weights_sha256": "t"},
    })  # fmt: skip


def made_up_study(folder, scale="tiny", only=None):
    (folder / "made_up.yaml").write_text(STUDY)
    (folder / "printed.yaml").write_text(PRINTED)
    return load_study(folder / "made_up.yaml", scale, only=only)


def made_up_results(study, entry):
    """Every student but those of ``later`` and one of ``hopeless``'s, whose others failed; depth-2 is the original itself."""
    reports = {
        name: {
            seed: report(entry, name, seed, factor_of(name, arm.value, seed), has_glue(study, arm, seed))
            for seed in range(arm.seeds)
        }
        for name, arm in study.arms.items()
        if name != "later"
    }
    if "depth-2" in study.arms:
        reports["depth-2"] = {seed: reports["original"][seed] for seed in range(study.arms["depth-2"].seeds)}
    failed = {("hopeless", seed): f"logs/hopeless-{seed}.log" for seed in (0, 2)}
    reports["hopeless"] = {1: reports["hopeless"][1]}
    planted = PLANTED if study.scale == "known" else None
    changes = (
        {"debiased": {"before": entry["model"], "after": scaled(entry["model"], 0.5)}} if study.scale == "tiny" else {}
    )
    return StudyResults(study, reports, failed, changes, planted, "evenhand study made_up")


def part(text, title):
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def seat(results, arm):
    return [report.measures["seat"][0]["model"] for report in results.reports[arm].values()]
