"""Arms that cannot be trained are found before anything is."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict

import torch
from transformers import AutoModelForMaskedLM, BertConfig, BertForMaskedLM, PreTrainedModel

from evenhand.launch.study.planning.ground import teacher_sizes
from evenhand.launch.study.study_file import Study
from evenhand.launch.study.teachers import base_recipe
from evenhand.trainer import load_teacher, make_student
from evenhand.trainer.teacher import check_widths

_FEW_WORDS = 50


def check_arms(study: Study, planned: bool = False) -> None:
    """Make every arm's student once, of a teacher with the shape of the real one.

    Args:
        planned: nothing will be trained, so a teacher whose sizes are known need not be here.

    Raises:
        ValueError: an arm whose student cannot be made; all of them are named in one line. FileNotFoundError: the teacher is not there.
    """
    with torch.device("meta") if planned else nullcontext():
        problems = _problems(study, _like_the_teacher(study, planned))
    if problems:
        raise ValueError(f"Study {study.name}: {len(problems)} arms are not possible: {' | '.join(problems)}")


def _problems(study: Study, teacher: PreTrainedModel) -> list[str]:
    problems = []
    for arm in study.arms.values():
        try:
            student, _ = make_student(teacher, seed=0, **asdict(arm.recipe.student))
            check_widths(student, teacher, arm.recipe.objective.alpha_cos)
        except ValueError as error:
            problems.append(f"{arm.name}: {error}")
    return problems


def _like_the_teacher(study: Study, planned: bool) -> PreTrainedModel:
    planted = study.settings.planted
    if planted is None and planned:
        return AutoModelForMaskedLM.from_config(teacher_sizes(base_recipe(study))[0])
    if planted is None:
        section = base_recipe(study).teacher
        return load_teacher(section.path, section.revision).model
    size = planted.teacher
    return BertForMaskedLM(
        BertConfig(
            vocab_size=_FEW_WORDS,
            hidden_size=size.hidden_size,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            intermediate_size=4 * size.hidden_size,
            max_position_embeddings=128,
        )
    )
