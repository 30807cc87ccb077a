"""A made-up study whose reports tell, in SEAT and in twin distances, what a test wants them to tell."""

import copy
from functools import lru_cache

import numpy as np

from evenhand.evaluation import EvaluationReport, Seat
from evenhand.evaluation.stimuli import GENDER_TESTS
from evenhand.launch.recipe import recipe_from_dict
from evenhand.launch.study.results import StudyResults
from evenhand.launch.study.study_file import Scale, Section, Study, StudyArm

INPUTS, LOGITS, HIDDEN = "student_inputs", "teacher_logits", "teacher_hidden"
PROPOSED = {"mixup": {"enabled": True, "mix": [INPUTS, LOGITS]}}
ARMS = {
    "plain": {},
    "hidden": {"mixup": {"enabled": True, "mix": [HIDDEN]}},
    "proposed": PROPOSED,
    "all": {"mixup": {"enabled": True, "mix": [HIDDEN, LOGITS, INPUTS]}},
}
ROW = {"C6": 1.2, "C6b": 0.4, "C7": -0.7, "C7b": 1.5, "C8": 0.6, "C8b": 1.4}


def make_study(arms=ARMS, teachers=None, printed=None):
    """Arms from changes of a recipe, all exploratory; the first is the baseline."""
    made = {}
    for name, changes_ in arms.items():
        recipe = recipe_from_dict({"teacher": {"path": "t"}, "corpus": {"sources": [{"path": "c"}]}, **changes_})
        made[name] = StudyArm(name, f"the {name} arm", recipe, (teachers or {}).get(name, "original"), 3)
    section = Section("table2", "t", "q", arms=tuple(made), printed=printed or {})
    return Study("s", "S", "tiny", next(iter(made)), made, (section,), Scale("a note", {}))


@lru_cache
def _seat():
    """SEAT on random vectors; tests set its effect sizes."""
    evaluator = Seat(families=["gender"])
    n = len(evaluator.loaded_stimuli.distinct_sentences)
    return evaluator.result_of(np.random.default_rng(0).standard_normal((n, 12))).to_dict()


def report(numerator=0.03, denominator=0.03, word=0.3, other=0.02, cosine=0.5, loss=4.0, names=1.0, twins=True):
    """A report of a student with these parts of every d; those of tests on names have ``names`` times the numerator."""
    result, tests = copy.deepcopy(_seat()), {}
    for name in GENDER_TESTS:
        top = numerator * (names if name in ("sent-weat6", "sent-weat7b", "sent-weat8b") else 1.0)
        test = result["tests"][name]
        factor = top / denominator / test["effect_size"]
        test["effect_size"] = top / denominator
        for of_set in test["without_word"].values():
            for missing in of_set:
                of_set[missing] *= factor
        parts = {"means": {"X": 0.04 + top, "Y": 0.04}, "numerator": top, "denominator": denominator}
        tests[name] = {"label": test["label"], **parts, "effect_size": top / denominator}
    mean = float(np.mean([abs(tests[name]["effect_size"]) for name in GENDER_TESTS]))
    result["families"]["gender"]["mean_absolute_effect_size"] = mean
    result["anisotropy"]["mean_cosine"] = cosine
    values = {"word_cosine_distance": word, "other_cosine_distance": other, "pooled_cosine_distance": 0.1}
    scores = [{"key": key, "value": value} for key, value in (values | {"word_share": 0.5}).items()]
    sides = {"model": {"scores": scores, "tests": tests}, "reference": {"scores": scores, "tests": tests}}
    measures = {"seat": [{"pooling": "mean", "model": result, "reference": result}]}
    if twins:
        measures["twin_distance"] = [{"pooling": "mean", **sides}]
    return EvaluationReport(
        {
            "model": {"weights_sha256": "m"},
            "reference": {"weights_sha256": "r"},
            "measures": measures,
            "training": {"held_out_mlm_loss": {"student": loss, "teacher": 3.0}},
        }
    )


BASE = {"numerator": 0.03, "denominator": 0.03, "word": 0.3, "other": 0.02, "cosine": 0.5, "loss": 4.0, "names": 1.0}


def results_of(with_output, without, n=8, noise=0.01, apart=0.001, printed=None, arms=("hidden", "plain")):
    """Seeds whose numbers vary by the factor `noise` together and by `apart` in each arm on its own."""
    draw = np.random.default_rng(1)
    seeds = {arm: {} for arm in arms}
    for seed in range(n):
        common = np.exp(noise * draw.standard_normal(len(BASE)))
        for arm, numbers in zip(arms, (with_output, without), strict=True):
            own = common * np.exp(apart * draw.standard_normal(len(BASE)))
            values = zip((BASE | numbers).items(), own, strict=True)
            seeds[arm][seed] = report(**{key: float(value * factor) for (key, value), factor in values})
    return StudyResults(make_study(printed=printed), seeds)
