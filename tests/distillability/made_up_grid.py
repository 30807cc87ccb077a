"""A small study of distillability, and results of it made by hand: the numbers of every model are known."""

from __future__ import annotations

import copy

import numpy as np

from evenhand.evaluation import EvaluationReport
from evenhand.evaluation.groups_result import GroupsResult, split_outcome
from evenhand.launch.distillability.grid_file import load_grid
from evenhand.launch.distillability.models import ALONE, DISTILLED, TEACHER, all_models
from evenhand.launch.distillability.results import GridResults

GRID = """
kind: distillability
title: "Does <b>debiasing</b> survive | made up"
paper: {citation: "Nobody (2025): Nothing."}
methods:
  erm: {label: none (ERM)}
  poe: {label: product of experts, debiasing: {method: product_of_experts}}
  dro: {label: "Group|DRO", debiasing: {method: group_dro}}
  dedier: {label: DeDiER, debiasing: {method: dedier}, distils: true}
remedies:
  augment: {label: augmentation, question: "Without the colour?", changes: [augmentation.name=replant]}
  iterative: {label: iterative distillation, question: "In two steps?", ladder: [teacher]}
  weights: {label: teacher's weights, question: "A copy?", from_teacher: true}
scales:
  tiny:
    note: Made up.
    seeds: 4
    tasks:
      digits:
        label: coloured digits
        question: Does the colour decide?
        sizes: {small: {shape: {layers: 1}}, large: {shape: {layers: 3}}}
        remedies: [augment, iterative, weights]
        remedied: [erm, poe]
        why: {examples: 64}
        bias_model: {kind: mean_colours}
        recipe: {task: {data: {name: digits}}, student: {family: vit}}
      pairs:
        label: sentence pairs
        question: Does overlap decide?
        sizes: {only: {shape: {layers: 2}}}
        methods: [erm, dro]
        seeds: 3
        recipe: {task: {data: {name: lexical_overlap}}, student: {family: bert}}
"""
GROUPS = {"right colour": True, "wrong colour": False, "grey": None}
SPLITS = {"test": False, "flipped": True}
"""Name -> shifted. ``pairs`` has aligned and conflicting examples in its shifted split alone."""

# how much more robust (points of the worst group) than ERM
DEBIASED = {TEACHER: {"poe": 20.0, "dro": 0.0}, ALONE: {"poe": 12.0, "dro": 0.0}}
LOST = 8.0
"""By distillation into a plain student, of what the teacher has."""
OF_REMEDY = {"augment": 6.0, "iterative": 5.0, "weights": 0.0}
"""Points of the worst group; those of the augmentation a student has without a teacher too."""
NOISE = 0.4


def made_up_grid(folder, text=GRID, **options):
    file = folder / "made_up.yaml"
    file.write_text(text, encoding="utf-8")
    return load_grid(file, "tiny", **options)


def worst_group_of(model):
    """Worst-group accuracy of a model in percent, by hand."""
    base = 50.0 + (5.0 if model.size == "large" else 0.0) + noise(model)
    debiased = "erm" if model.method == "dedier" else model.method
    if model.role != DISTILLED:
        return base + DEBIASED[model.role].get(debiased, 0.0) + OF_REMEDY.get(model.remedy, 0.0)
    if model.student_method == "same":
        return base + DEBIASED[ALONE].get(debiased, 0.0) + (3.0 if model.method == "dedier" else 0.0)
    kept = max(0.0, DEBIASED[TEACHER].get(debiased, 0.0) - LOST)
    return base + kept + OF_REMEDY.get(model.remedy, 0.0)


def noise(model):
    """Seeds share much; every model has a little of its own."""
    name = f"{model.method} {model.name}"
    own = np.random.default_rng([model.seed, *name.encode()]).normal()
    return 2.0 * np.random.default_rng(model.seed).normal() + NOISE * own


def gap_of(model):
    """Spurious gap: what the worst group lacks to 90 %."""
    return 90.0 - worst_group_of(model)


def template(task):
    """One real result on random predictions; its numbers are replaced."""
    generator = np.random.default_rng(0)
    labels, groups = generator.integers(0, 2, 60), np.arange(60) % 3
    aligned = {"test": {"digits": GROUPS, "pairs": dict.fromkeys(GROUPS)}[task], "flipped": GROUPS}
    outcomes = {
        name: split_outcome(
            labels, generator.integers(0, 2, 60), groups, label_names=("no", "yes"), group_names=tuple(GROUPS), aligned=aligned[name],
            shift=shift, merged={}, sha256=name,
        )
        for name, shift in SPLITS.items()
    }  # fmt: skip
    data = {
        "source": "local",
        "name": task,
        "sha256": {name: name for name in SPLITS},
        "settings": {"strength": 0.9, "path": None},
    }
    settings = {"data": data, "kind": "image", "split_names": list(SPLITS), "max_length": None}
    return settings, GroupsResult(settings, outcomes).to_dict()


def numbers_of(model):
    """Metric's key -> value."""
    worst, gap = worst_group_of(model), gap_of(model)
    numbers = {}
    for split, drop in (("test", 0.0), ("flipped", 10.0)):
        numbers |= {
            f"{split}_accuracy": 85.0 + 0.1 * worst - drop,
            f"{split}_macro_f1": 84.0 + 0.1 * worst - drop,
            f"{split}_worst_group": worst,
            f"{split}_spurious_gap": gap,
        }
    return numbers | {"test_minus_flipped": numbers["test_accuracy"] - numbers["flipped_accuracy"] + 0.01 * gap}


def report_of(model, settings, made):
    result, numbers = copy.deepcopy(made), numbers_of(model)
    for score in result["scores"]:
        score["value"] = numbers[score["key"]] if score["value"] is not None else None
    for split in result["splits"].values():
        for group in split["groups"]:
            side = {True: 90.0, False: worst_group_of(model), None: 70.0 + noise(model)}
            group["accuracy"] = side[GROUPS[group["group"]]]
    facts = {
        "role": "student", "name": model.name, "model_type": "vit", "layers": 3 if model.size == "large" else 1, "hidden_size": 8, "vocab_size": None,
        "parameters": 1234, "max_length": None, "weights_sha256": model.key, "tokenizer_sha256": None, "kind": "image",
    }  # fmt: skip
    nothing = {"reference": None, "comparison": None, "not_applicable": {"model": None, "reference": None}}
    measures = {"groups": [{**settings, "model": result, **nothing}]}
    if model.why:
        measures["internals"] = [internals_entry(model)]
    return EvaluationReport.from_dict({
        "schema": "evenhand-report", "schema_version": 2, "evenhand_version": "0.1.0", "measures": measures, "training": None,
        "environment": dict.fromkeys(("python", "torch", "transformers", "platform"), "x"), "model": facts, "reference": None,
    })  # fmt: skip


def divergence(depth, side, model):
    """1 − CKA by hand: it grows with depth, and is larger on conflicting examples."""
    own = 0.01 * np.random.default_rng([model.seed, 7]).normal()
    own += 0.01 * (model.seed - 1.5) * (depth == "late")
    return (
        {"early": 0.1, "middle": 0.3, "late": 0.4, "all": 0.27}[depth] + (0.1 if side == "conflicting" else 0.0) + own
    )


def internals_entry(model):
    """An entry of the measure as far as the page reads it; layers of the smaller model stand for the last of the larger."""
    names = {"small": ["embeddings", "layer 1"], "large": ["embeddings", "layer 1", "layer 2", "layer 3"]}
    teacher, student = names[model.teacher_size], names[model.size]

    def cell(value):
        return {"value": value, "confidence_interval": None}

    def by_depth(sign):
        def sides(depth):
            found = {side: cell(sign(divergence(depth, side, model))) for side in ("aligned", "conflicting")}
            return found | {"difference": cell(found["aligned"]["value"] - found["conflicting"]["value"])}

        return {depth: sides(depth) for depth in ("all", "early", "middle", "late")}

    def tables(value, rows, columns):
        nested = [[value - 0.1 * abs(i - j) for j in range(columns)] for i in range(rows)]
        nothing = [[None] * columns for _ in range(rows)]
        return {"values": nested, "low": nothing, "high": nothing}

    shape = len(teacher), len(student)
    sides = {"aligned": 0.9, "conflicting": 0.8 + 0.01 * model.seed, "difference": 0.1 - 0.01 * model.seed}
    similarity = {
        "teacher_layers": teacher, "student_layers": student, **{side: tables(value, *shape) for side, value in sides.items()},
        "by_depth": by_depth(lambda distance: 1 - distance), "pooling": "mean",
    }  # fmt: skip
    maps = {
        "teacher_layers": teacher[1:], "student_layers": student[1:], "by_depth": by_depth(lambda distance: distance / 2),
        **{side: tables(value / 2, shape[0] - 1, shape[1] - 1) for side, value in sides.items()},
        "best_matched_heads": [{"teacher_layer": teacher[-1], "student_layer": student[-1], "aligned": 0.2, "conflicting": 0.3}],
    }  # fmt: skip
    common = {
        "top": 2, "shared": 8, "common": 1 + model.seed % 2, "jaccard": 0.5, "jaccard_by_chance": 0.14, "p_value": 0.5, "teacher": [], "student": [],
    }  # fmt: skip
    compared = {
        "scores": [], "note": None, "similarity": similarity, "layer_map": [[teacher[-1], student[-1]]], "attention": {"kinds": {"encoder": maps}},
        "no_attention": None, "overlap": {unit: {side: dict(common) for side in ("aligned", "conflicting")} for unit in ("sublayers", "heads")},
    }  # fmt: skip
    about = {
        "data": {"source": "local", "name": "digits", "sha256": {}}, "split": "test", "examples_of_a_side": 48, "labels_matched": True,
        "ablation_examples": 128,
    }  # fmt: skip
    return {
        **about,
        "model": None,
        "reference": None,
        "comparison": compared,
        "not_applicable": dict.fromkeys(("model", "reference")),
    }


def made_up_results(grid, keep=lambda model: True, failed=()):
    """Reports of every model that is kept; ``failed``: names of models that failed in every seed."""
    templates = {name: template(name) for name in grid.tasks}
    reports, failures = {}, {}
    for model in all_models(grid):
        if model.name in failed:
            failures[model.key] = {
                "reason": "the disk is full",
                "log": f"{model.task}-{model.method}-seed{model.seed}.log",
            }
        elif keep(model):
            reports[model.key] = report_of(model, *templates[model.task])
    return GridResults(grid, reports, failures, "evenhand study made_up")
