"""The teachers that a study has still to make, and what each takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import datasets

from evenhand.launch.arms_file import changed
from evenhand.launch.recipe import Recipe, recipe_from_dict
from evenhand.launch.study.directory import StudyDirectory
from evenhand.launch.study.planning.times import StudyTimes
from evenhand.launch.study.study_file import ORIGINAL, Study
from evenhand.launch.study.teachers import base_recipe
from evenhand.trainer.arithmetic import BACKWARD, Tokens
from evenhand.trainer.context_debias_sentences import choose_sentences
from evenhand.trainer.context_debias_words import CompiledWords, DebiasWords

WIDEST_SAMPLE = 1 << 30


@dataclass(frozen=True)
class TeacherPlan:
    """One teacher that is not there yet.

    Args:
        name: ``original``, or another of the scale.
        seed: whose teacher it is; None where all seeds have one.
        tokens: that it is trained on; 0 where nothing is trained.
        seconds: None where that is not known.
        parameters: of the model.
        note: what the numbers leave out, or why there are none; empty where nothing is to be said.
    """

    name: str
    seed: int | None
    tokens: float
    seconds: float | None
    parameters: int
    note: str = ""


def teacher_plans(
    study: Study, directory: StudyDirectory, missing: Iterable[tuple[str, int]], times: StudyTimes
) -> list[TeacherPlan]:
    """What the missing students need, and the original teacher that the others are made from.

    Args:
        missing: (arm, seed) of students without a report.
    """
    planted = study.settings.planted is not None
    wanted: dict[tuple[str, int | None], int] = {}
    for arm, seed in missing:
        for name in (ORIGINAL, study.arms[arm].teacher):
            if directory.teacher_path(study, name, seed) is None:
                wanted.setdefault((name, seed if planted else None), seed)
    order = sorted(wanted, key=lambda key: (key[1] or 0, key[0] != ORIGINAL, key[0]))
    costs = {name: _cost(study, name, times) for name in dict.fromkeys(name for name, _ in order)}
    return [dataclasses.replace(costs[name], seed=seed) for name, seed in order]


def _cost(study: Study, name: str, times: StudyTimes) -> TeacherPlan:
    if name != ORIGINAL:
        return _debiased(study, name, times)
    settings, recipe = study.settings, base_recipe(study)
    if settings.planted is not None:
        size = settings.planted.teacher
        return _trained(name, recipe, size.steps, size.batch_size, {"mlm_probability": size.mlm_probability}, times)
    section = recipe.teacher
    return _trained(name, recipe, section.mlm_steps, section.mlm_batch_size, section.mlm_training, times)


def _trained(name: str, recipe: Recipe, steps: int, batch: int, training: dict, times: StudyTimes) -> TeacherPlan:
    """A teacher, or the head of one, trained on masked tokens."""
    parameters = times.ground.teacher.num_parameters()
    if steps < 1:
        return TeacherPlan(name, None, 0.0, 0.0, parameters)
    tokens = steps * batch * times.ground.mean_length
    return TeacherPlan(
        name, None, tokens, times.teacher(_on(recipe, batch, training)).seconds(tokens, steps), parameters
    )


def _on(recipe: Recipe, batch: int, training: dict) -> Recipe:
    """A recipe with the micro-batches of a teacher's training."""
    here = {key: recipe.training[key] for key in ("use_cpu", "fp16", "bf16") if key in recipe.training}
    return dataclasses.replace(
        recipe, training=here | training | {"per_device_train_batch_size": batch, "max_steps": 1}
    )


def _debiased(study: Study, name: str, times: StudyTimes) -> TeacherPlan:
    """Context-debias: of each sentence a forward and backward of the teacher's body, and a forward of the teacher as it was. The rate is that
    of the teacher's own training, by operations; how many sentences there are is estimated from the sample."""
    base, ground, teacher = base_recipe(study), times.ground, times.workload.teacher
    section = recipe_from_dict(changed(base.to_dict(), study.settings.teachers[name])).debias
    words = DebiasWords.load(section.male_words, section.female_words, section.stereotype_words)
    parameters = ground.teacher.num_parameters()
    sample = datasets.Dataset.from_dict({"input_ids": [list(map(int, ids)) for ids in ground.sequences]})
    try:
        compiled = CompiledWords(words, ground.tokenizer)
        chosen = choose_sentences(
            sample, compiled, max_sentences=WIDEST_SAMPLE, dev_fraction=section.dev_fraction, seed=0
        )
    except ValueError:
        note = "not counted: a sample of the text holds too few sentences with its words"
        return TeacherPlan(name, None, 0.0, None, parameters, note)
    share = min(chosen.report["found"].values()) / len(sample)
    kinds = len(chosen.report["found"])
    each = min(section.max_sentences, share * (ground.sequences_of(base.corpus) or len(sample)))
    sentences = section.epochs * kinds * each * (1 - section.dev_fraction)
    lengths = Tokens.of(map(len, chosen.train))
    tokens = sentences * lengths.count / len(chosen.train)
    operations = (1 + BACKWARD + 1) * sentences / len(chosen.train) * teacher.body(lengths)
    steps = sentences / section.batch_size
    recipe = _on(base, section.micro_batch_size or section.batch_size, {})
    rate = times.teacher(recipe)
    of_training = times.teacher_operations(recipe)
    seconds = rate.per_token / of_training * operations + rate.per_step * steps
    return TeacherPlan(
        name, None, tokens, seconds, parameters, "by operations, from the rate of the teacher's own training"
    )
