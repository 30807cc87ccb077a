"""Entries of the other measures for the report that `conftest.py` makes by hand, and the facts that newer training records have."""

from evenhand.evaluation.scores import Difference, Score

TASKS = {"cola": ("CoLA", "Matthews correlation", 1043), "sst2": ("SST-2", "accuracy", 872)}
HARDWARE = {"device": "cpu", "name": "A Processor", "processor": "A Processor", "cpu_cores": 2, "threads": 2}


def complete(report):
    """`report` with a sensitivity grid, GLUE, CrowS-Pairs and speed, and with all facts of a training."""
    measures = report["measures"]
    measures |= {"glue": [glue_entry()], "crows_pairs": [pairs_entry()], "speed": [speed_entry()]}
    measures["seat_sensitivity"] = [grid_entry()]
    report["training"]["teacher"] |= {"revision": "a" * 40, "licence": stated("apache-2.0", "the card of org/teacher")}
    report["training"] |= {
        "code": {"version": "0.1.0", "commit": "b" * 40, "modified": True},
        "environment": {"python": "3.12.1", "torch": "2.13.0", "datasets": "5.2.0"},
        "hardware": {**HARDWARE, "processes": 2},
        "seconds": 3725.4,
        "planted": {"C6": 0.8, "C7": -0.4, "C8": 0.0},
        "energy": {"kwh": 0.0123, "tool": "codecarbon 3.0", "note": "of the machine"},
    }
    source = report["training"]["corpus"]["sources"][0]
    source |= {"path": "Salesforce/wikitext", "revision": "c" * 40, "licence": stated("cc-by-sa-3.0", "its own card")}
    return report


def stated(licence, source, **more):
    return {"licence": licence, "name": None, "link": None, "source": source, **more}


def scored_entry(measure, scores, others, changes, **more):
    return {
        "model": {"measure": measure, "scores": [score.to_dict() for score in scores], **more},
        "reference": {"measure": measure, "scores": [score.to_dict() for score in others], **more},
        "comparison": {"scores": changes},
        "not_applicable": {"model": None, "reference": None},
    }


def glue_entry(change=-3.0, half=1.0):
    """Two tasks; the student is `change` points from its teacher, give or take `half`."""
    scores, others, changes = [], [], []
    for key, (name, metric, n) in TASKS.items():
        text = f"{name}, {metric}"
        scores.append(Score(key, text, 60.0, "points", n, (57.0, 63.0), better="higher"))
        others.append(Score(key, text, 60.0 - change, "points", n, (57.0 - change, 63.0 - change), better="higher"))
        changes.append(
            Difference(key, text, change, "points", n, (change - half, change + half), better="higher", p_value=0.01)
        )
    entry = scored_entry("glue", scores, others, [one.to_dict() for one in changes])
    entry["model"] |= {
        "seeds": [0, 1],
        "epochs": 3,
        "data": {"source": "directory", "name": "glue_data", "sha256": {key: key[0] * 64 for key in TASKS}},
        "tasks": {key: task_record(name, metric) for key, (name, metric, _) in TASKS.items()},
        "averages": [
            {
                "name": "eight tasks without WNLI",
                "recipe": "mean of eight.",
                "value": None,
                "note": "no average; not run: RTE",
            }
        ],
        "mean_of_tasks_run": mean_record(60.0, 3.0),
    }
    entry["reference"]["mean_of_tasks_run"] = mean_record(60.0 - change, 3.0)
    whole = Difference(
        "mean", "mean", change, "points", 2, (change - half, change + half), better="higher", p_value=0.02
    )
    entry["comparison"] |= {
        "mean_of_tasks_run": whole.to_dict(),
        "tasks": {key: {"p_value_holm": 0.02} for key in TASKS},
    }
    return entry


def task_record(name, metric):
    value = {"mean": 41.5, "n": 77, "unit": "points", "confidence_interval": [38.0, 45.0], "note": None}
    return {"name": name, "main_metric": metric, "metrics": {metric: value, "f1": value}}


def mean_record(value, half):
    interval = [value - half, value + half]
    return {
        "name": "mean of the tasks run (not GLUE)",
        "value": value,
        "tasks": list(TASKS),
        "confidence_interval": interval,
    }


def pairs_entry(change=3.2, interval=(-1.1, 7.5)):
    """CrowS-Pairs on gender; `change` is of the distance from 50."""
    score = Score("gender", "CrowS-Pairs, gender", 58.5, "%", 262, (52.4, 64.4), ideal=50.0, better="nearer")
    other = Score("gender", "CrowS-Pairs, gender", 55.3, "%", 262, (49.2, 61.2), ideal=50.0, better="nearer")
    moved = Difference("gender", "CrowS-Pairs, gender", change, "points", 262, interval, better="nearer", p_value=0.16)
    data = {"source": "local", "name": "pairs.csv", "sha256": "9" * 64}
    return scored_entry("crows_pairs", [score], [other], [moved.to_dict()], data=data, seed=5)


def speed_entry():
    score = Score(
        "sentences_per_second", "sentences per second", 400.0, "sentences/s", 25, (390.0, 410.0), better="higher"
    )
    other = Score(
        "sentences_per_second", "sentences per second", 200.0, "sentences/s", 25, (195.0, 205.0), better="higher"
    )
    change = Difference(
        "sentences_per_second", "sentences per second", 200.0, "sentences/s", 25, (185.0, 215.0), better="higher"
    )
    ratio = {**change.to_dict(), "ratio": 2.0, "ratio_confidence_interval": [1.9, 2.1]}
    return scored_entry("speed", [score], [other], [ratio], hardware=HARDWARE)


def grid_entry(flipped=2):
    cells = [
        {
            "pooling": pooling,
            "layer": layer,
            "effect_sizes": {"sent-weat6": 0.1 * layer - 0.05},
            "mean_absolute_effect_size": 0.05,
        }
        for pooling in ("mean", "cls")
        for layer in (0, 1)
    ]
    grid = {
        "cells": cells,
        "poolings": ["mean", "cls"],
        "layers": [0, 1],
        "tests": {"sent-weat6": "C6"},
        "sign_flips": {"sent-weat6": {"cells": flipped, "of": 4}},
        "headline": {"pooling": "mean", "layer": 1},
        "n_sentences": 321,
        "stimuli": {"source": "builtin", "name": "builtin stimuli", "sha256": "5" * 64},
        "note": None,
        "measure": "seat_sensitivity",
        "scores": [],
    }
    return {"model": grid, "reference": grid, "comparison": None, "not_applicable": {"model": None, "reference": None}}
