"""The shape of report.json, and a check of it whose errors are one line each."""

import math
from collections.abc import Mapping

from evenhand.evaluation.verdict import VERDICTS


class Optional:
    """``null`` or a value of the given shape."""

    def __init__(self, shape):
        self.shape = shape


class Added:
    """A value of the given shape, which reports of earlier evenhands lack."""

    def __init__(self, shape):
        self.shape = shape


class MapOf:
    """An object with any keys, whose values all have the given shape."""

    def __init__(self, shape):
        self.shape = shape


class Exactly:
    """One of a few values."""

    def __init__(self, *values):
        self.values = values


_MODEL = {
    "role": str,
    "name": str,
    "model_type": str,
    "layers": int,
    "hidden_size": int,
    # a classifier of images has no vocabulary, no tokens and no tokenizer; its image processor's hash stands beside
    "vocab_size": Optional(int),
    "parameters": int,
    "max_length": Optional(int),
    "weights_sha256": str,
    "tokenizer_sha256": Optional(str),
    "image_processor_sha256": Added(Optional(str)),
    # of a classifier alone: "text" or "image", the names of its labels, and of a network of stages their sizes
    "kind": Added(Exactly("text", "image")),
    "labels": Added([str]),
    "hidden_sizes": Added([int]),
    "depths": Added([int]),
}
_STIMULI = {"source": str, "name": str, "sha256": str}
_COUNTS = {"X": int, "Y": int, "A": int, "B": int}
_SEAT_TEST = {
    "label": str,
    "family": str,
    "targets": [str],
    "attributes": [str],
    "n_sentences": _COUNTS,
    "n_words": _COUNTS,
    "effect_size": Optional(float),
    "confidence_interval": Optional([float]),
    "interval_method": str,
    "p_value": Optional(float),
    "p_value_method": Optional(Exactly("exact", "monte_carlo")),
    "p_value_permutations": Optional(int),
    "p_value_legacy": Optional(float),
    "p_value_legacy_method": Optional(Exactly("exact", "sampled")),
    "p_value_legacy_permutations": Optional(int),
    "p_value_holm": Optional(float),
    "effect_size_word_balanced": Optional(float),
    "p_value_word_balanced": Optional(float),
    "sign_disagreement": Optional(bool),
    "standard_error": Optional(float),
    "associations": Optional({"X": MapOf(list), "Y": MapOf(list)}),
    "without_word": Optional({side: MapOf(Optional(float)) for side in "XYAB"}),
    "word_correlation": Optional(float),
    "detectable_effect_size": Optional(float),
    "note": Optional(str),
}
_SEAT_FAMILY = {
    "tests": [str],
    "mean_absolute_effect_size": Optional(float),
    "confidence_interval": Optional([float]),
    "interval_method": str,
    "noise_floor": Optional({"expected": float, "quantile_95": float, "p_value": float, "permutations": int}),
    "detectable_effect_size": Optional(float),
}
_SEAT_RESULT = {
    "measure": Exactly("seat"),
    "pooling": str,
    "stimuli": _STIMULI,
    "seed": int,
    "confidence_level": float,
    "n_distinct_sentences": int,
    "tests": MapOf(_SEAT_TEST),
    "mean_absolute_effect_size": Optional(float),
    "mean_absolute_effect_size_tests": [str],
    "families": MapOf(_SEAT_FAMILY),
    "anisotropy": {"mean_cosine": float, "threshold": float, "warning": Optional(str)},
    "random_labels": Optional({"relabellings": int, "rejected": float, "excluded_zero": Optional(float)}),
    "note": Optional(str),
}
_INTERVAL = {"confidence_interval": Optional([float]), "interval_method": str}
_VERDICT = {"verdict": Optional(Exactly(*VERDICTS)), "worst_case": Optional(float)}
_SEAT_DIFFERENCE = {
    "difference": Optional(float),
    **_INTERVAL,
    "p_value": Optional(float),
    "p_value_holm": Optional(float),
    "difference_absolute": Optional(float),
    "confidence_interval_absolute": Optional([float]),
    **_VERDICT,
}
_SEAT_COMPARISON = {
    "tests": MapOf(_SEAT_DIFFERENCE),
    "families": MapOf({"difference": Optional(float), **_INTERVAL, **_VERDICT}),
}
_NOT_APPLICABLE = {"model": Optional(str), "reference": Optional(str)}
_SEAT_ENTRY = {
    "pooling": str,
    "stimuli": _STIMULI,
    "model": _SEAT_RESULT,
    "reference": Optional(_SEAT_RESULT),
    "comparison": Optional(_SEAT_COMPARISON),
    "not_applicable": _NOT_APPLICABLE,
}
_SCORE = {
    "key": str,
    "name": str,
    "value": Optional(float),
    "unit": str,
    "n": int,
    "confidence_interval": Optional([float]),
    "confidence_level": float,
    "interval_method": Optional(str),
    "ideal": Optional(float),
    "better": Optional(str),
    "note": Optional(str),
}
_DIFFERENCE = {
    **{key: _SCORE[key] for key in ("key", "name", "unit", "n", "confidence_interval", "confidence_level", "better")},
    "difference": Optional(float),
    "p_value": Optional(float),
    "p_value_method": Optional(str),
    **_VERDICT,
}
_RESULT = {"measure": str, "scores": [_SCORE]}
_SCORED_ENTRY = {
    "model": Optional(_RESULT),
    "reference": Optional(_RESULT),
    "comparison": Optional({"scores": [_DIFFERENCE]}),
    "not_applicable": _NOT_APPLICABLE,
}
_SPEED_ENTRY = {
    **_SCORED_ENTRY,
    "model": Optional({**_RESULT, "hardware": dict}),
    "reference": Optional({**_RESULT, "hardware": dict}),
    "comparison": Optional(
        {"scores": [{**_DIFFERENCE, "ratio": Optional(float), "ratio_confidence_interval": Optional([float])}]}
    ),
}
_GROUP = {
    "group": str,
    "aligned": Optional(bool),
    "n": int,
    "right": int,
    "accuracy": Optional(float),
    "confidence_interval": Optional([float]),
    "note": Optional(str),
}
_SPLIT = {
    "shift": bool,
    "n": int,
    "n_aligned": int,
    "n_conflicting": int,
    "sha256": str,
    "same_examples_as": Added(Optional(str)),
    "labels": [str],
    "merged_labels": Optional(MapOf(str)),
    "worst_group": str,
    "groups": [_GROUP],
    "predictions": {"labels": str, "predicted": str, "groups": str},
}
_GROUP_DIFFERENCE = {
    **{key: _GROUP[key] for key in ("group", "aligned", "n", "confidence_interval", "note")},
    "difference": float,
    "p_value": Optional(float),
    "p_value_holm": Optional(float),
    **_VERDICT,
}
_GROUPS = {**_RESULT, "measure": Exactly("groups"), "splits": MapOf(_SPLIT)}
_GROUPS_ENTRY = {
    "data": {"source": str, "name": str, "sha256": MapOf(str)},
    "kind": Exactly("text", "image"),
    "split_names": [str],
    "model": Optional(_GROUPS),
    "reference": Optional(_GROUPS),
    "comparison": Optional({"scores": [_DIFFERENCE], "splits": MapOf({"groups": [_GROUP_DIFFERENCE]})}),
    "not_applicable": _NOT_APPLICABLE,
}
_TABLE = {name: [[Optional(float)]] for name in ("values", "low", "high")}
_SIDES = ("aligned", "conflicting")
_LAYER_TABLES = {
    "teacher_layers": [str],
    "student_layers": [str],
    **dict.fromkeys((*_SIDES, "difference"), _TABLE),
    "by_depth": MapOf(dict),
}
_MEASURED = {"value": Optional(float), "confidence_interval": Optional([float])}
_OUTCOMES = {side: {"log_probability": _MEASURED, "accuracy": _MEASURED} for side in _SIDES}
_ABLATION = {
    "replacement": str,
    "examples": dict.fromkeys(_SIDES, int),
    "whole": _OUTCOMES,
    "components": [{"name": str, "layer": str, "kind": str, "head": Optional(int), **_OUTCOMES}],
}
_OVERLAP = {
    **dict.fromkeys(("shared", "top", "common"), int),
    **dict.fromkeys(("jaccard", "p_value"), float),
    "teacher": [str],
    "student": [str],
}
_INTERNALS = {**_RESULT, "measure": Exactly("internals"), "layers": [str], "ablation": Optional(_ABLATION)}
_INTERNALS_ENTRY = {
    "data": {"source": str, "name": str, "sha256": MapOf(str)},
    "split": str,
    "model": Optional(_INTERNALS),
    "reference": Optional(_INTERNALS),
    "comparison": Optional(
        {
            "scores": [_DIFFERENCE],
            # two models that were looked into apart have no more than a note
            "layer_map": Added([[str]]),
            "similarity": Added({**_LAYER_TABLES, "pooling": str}),
            "attention": Added(Optional({"kinds": MapOf({**_LAYER_TABLES, "best_matched_heads": [dict]})})),
            "no_attention": Added(Optional(str)),
            "overlap": Added(MapOf(dict.fromkeys(_SIDES, _OVERLAP))),
        }
    ),
    "not_applicable": _NOT_APPLICABLE,
}
_PARTS = {
    "label": str,
    "mean_cosines": {"XA": float, "XB": float, "YA": float, "YB": float},
    "means": {"X": float, "Y": float},
    "numerator": float,
    "denominator": float,
    "effect_size": Optional(float),
}
_TWINS = {
    **_RESULT,
    "pooling": str,
    "n_twins": int,
    "word_pairs": MapOf({"n_twins": int, "word": float, "other": float, "pooled": float}),
    "tests": MapOf(_PARTS),
}
_CELL = {"pooling": str, "layer": int, "effect_sizes": MapOf(Optional(float))}
_GRID = {
    "cells": [{**_CELL, "mean_absolute_effect_size": Optional(float)}],
    "poolings": [str],
    "layers": [int],
    "tests": MapOf(str),
    "sign_flips": MapOf({"cells": int, "of": int}),
}

# Shapes of the entries of a measure; one not named here is only checked to be JSON with finite numbers.
MEASURES = {
    "seat": [_SEAT_ENTRY],
    "speed": [_SPEED_ENTRY],
    "groups": [_GROUPS_ENTRY],
    "internals": [_INTERNALS_ENTRY],
    "twin_distance": [{**_SCORED_ENTRY, "model": Optional(_TWINS), "reference": Optional(_TWINS)}],
    "seat_sensitivity": [{**_SCORED_ENTRY, "model": Optional(_GRID), "reference": Optional(_GRID)}],
    **{
        name: [_SCORED_ENTRY]
        for name in (
            *("glue", "crows_pairs", "aul", "stereoset", "pronoun_gap"),
            *("pseudo_perplexity", "counterfactual_consistency"),
        )
    },
}

REPORT = {
    "evenhand_version": str,
    "environment": {"python": str, "torch": str, "transformers": str, "platform": str},
    "code": Added(Optional({"commit": Optional(str), "modified": Optional(bool)})),
    "model": _MODEL,
    "reference": Optional(_MODEL),
    "measures": MapOf([dict]),
    "training": Optional(dict),
}


def check_shape(value, shape, where: str) -> None:
    """Compare ``value`` with ``shape``; keys beyond the shape's are let through, so that later minor additions read.

    Raises:
        ValueError: the first difference, naming where it is.
    """
    if isinstance(shape, Added):
        check_shape(value, shape.shape, where)
    elif isinstance(shape, Optional):
        if value is not None:
            check_shape(value, shape.shape, where)
    elif isinstance(shape, Exactly):
        if value not in shape.values:
            raise ValueError(f"{where} is {value!r}, expected {' or '.join(map(repr, shape.values))}")
    elif isinstance(shape, MapOf):
        _check_type(value, dict, where)
        for key, item in value.items():
            check_shape(item, shape.shape, f"{where}.{key}")
    elif isinstance(shape, list):
        _check_type(value, list, where)
        for index, item in enumerate(value):
            check_shape(item, shape[0], f"{where}[{index}]")
    elif isinstance(shape, dict):
        _check_type(value, dict, where)
        for key, inner in shape.items():
            if key not in value and isinstance(inner, Added):
                continue
            if key not in value:
                raise ValueError(f"{where}.{key} is missing")
            check_shape(value[key], inner, f"{where}.{key}")
    else:
        _check_type(value, shape, where)


def _check_type(value, kind: type, where: str) -> None:
    if type(value) is not kind:
        raise ValueError(f"{where} is a {type(value).__name__}, expected {kind.__name__}")


def check_json(value, where: str) -> None:
    """Refuse what JSON cannot say exactly: NaN, infinity, keys that are not strings, numpy numbers, tuples.

    Raises:
        ValueError: the first such value, naming where it is.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            if type(key) is not str:
                raise ValueError(f"{where} has the key {key!r}, which is not a string")
            check_json(item, f"{where}.{key}")
    elif type(value) is list:
        for index, item in enumerate(value):
            check_json(item, f"{where}[{index}]")
    elif type(value) is float:
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}; a report holds finite numbers, or null with a note")
    elif value is not None and type(value) not in (str, int, bool):
        raise ValueError(f"{where} is a {type(value).__name__}, which JSON does not have")
