"""Recipes: one YAML file becomes typed settings, checked before any work starts."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from evenhand.launch.debias_section import DebiasSection
from evenhand.launch.publish_section import PublishSection
from evenhand.launch.recipe_reading import apply_override, build_section, read_packaged_yaml, training_fields
from evenhand.launch.supervision_sections import CounterfactualSection, EqualisationSection
from evenhand.launch.task.recipe import TASK, TaskRecipe, decisive_task_sections, task_recipe_from_dict
from evenhand.launch.watch_section import WatchSection
from evenhand.model_cards.whole_files import write_text
from evenhand.trainer import DistillationObjective
from evenhand.trainer.corpus import CorpusSettings
from evenhand.trainer.corpus_sources import CorpusSource


@dataclass(frozen=True)
class TeacherSection:
    """``path``: folder, Hub id or ``package:NAME/FOLDER``. ``mlm_steps``: train a masked-LM head first, for that many steps, if the
    teacher has none; ``mlm_train`` says what is trained: ``all`` (default) or the ``head`` alone, which keeps the encoder as published but
    gives a poor language model where the encoder was tuned for something else. ``mlm_batch_size``: sequences of one step over all processes.
    ``mlm_from_frequencies``: the head's bias starts at the log frequencies of the corpus's pieces, which saves it hundreds of steps.
    ``mlm_training``: further fields of :class:`DistillationArguments` for these steps alone, e.g. ``{mlm_probability: 0.3, max_grad_norm: 1}``."""

    path: str = ""
    revision: str | None = None
    mlm_steps: int = 0
    mlm_train: str = "all"
    mlm_learning_rate: float = 5e-4
    mlm_batch_size: int = 32
    mlm_seed: int = 0
    mlm_from_frequencies: bool = False
    mlm_training: dict = field(default_factory=dict)


@dataclass(frozen=True)
class StudentSection:
    """Arguments of :func:`evenhand.trainer.make_student`; ``layers`` is a number or a list of teacher layers."""

    layers: int | list[int] | None = None
    family: str = "same"
    initialisation: str = "teacher"
    copy_head_transform: bool = True
    token_type: str = "dropped"
    initializer_range: float | None = None


@dataclass(frozen=True)
class CorpusSection(CorpusSettings):
    """:class:`CorpusSettings` and where the text comes from. ``cache_dir`` defaults to ``cache`` in the run directory; name a shared one
    to tokenise once for several runs. ``streaming`` reads while training; then ``training.max_steps`` must be set."""

    sources: list[CorpusSource] = field(default_factory=list)
    streaming: bool = False
    workers: int | None = None
    cache_dir: str | None = None


@dataclass(frozen=True)
class MixupSection:
    """Arguments of :class:`evenhand.trainer.GenderMixup`; ``enabled: false`` (default) is plain distillation. ``pairs``: ``builtin``,
    ``gendered_words`` (a long list), a file, or ``random`` (``random:1``, ``random:2`` … for other draws): the control of :mod:`evenhand.trainer.random_pairs`."""

    enabled: bool = False
    pairs: str = "builtin"
    mix: list[str] = field(default_factory=lambda: ["student_inputs", "teacher_logits"])
    second_view: str = "twin"
    alpha: float = 0.4
    granularity: str = "occurrence"
    words: str = "corrupted"
    forms: str = "variants"
    unequal_pairs: str = "refuse"


@dataclass(frozen=True)
class EvaluationSection:
    """SEAT with each of ``stimuli`` (``builtin``, a directory of sent-bias files, or a YAML file of word lists) and each of ``poolings``; the
    first pair is the headline. ``families``: of the built-in tests, by default the gender ones and the controls. ``sensitivity``: the grid of
    poolings and layers for the headline's stimuli. ``speed``: sentences per second of student and reference
    (its settings, where they are not the default ones, are a measure's).
    ``measures``: further measures by name, each with the settings of its evaluator, e.g.
    ``{glue: {data: glue_data, seeds: [0, 1]}, crows_pairs: {data: hub}}``."""

    stimuli: list[str] = field(default_factory=lambda: ["builtin"])
    poolings: list[str] = field(default_factory=lambda: ["mean", "cls"])
    families: list[str] | None = None
    seed: int = 0
    batch_size: int = 64
    sensitivity: bool = True
    speed: bool = True
    measures: dict[str, dict] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run. ``training`` holds fields of :class:`DistillationArguments` by their own names."""

    teacher: TeacherSection = field(default_factory=TeacherSection)
    student: StudentSection = field(default_factory=StudentSection)
    corpus: CorpusSection = field(default_factory=CorpusSection)
    objective: DistillationObjective = field(default_factory=DistillationObjective)
    mixup: MixupSection = field(default_factory=MixupSection)
    equalisation: EqualisationSection = field(default_factory=EqualisationSection)
    counterfactual: CounterfactualSection = field(default_factory=CounterfactualSection)
    training: dict = field(default_factory=dict)
    watch: WatchSection = field(default_factory=WatchSection)
    debias: DebiasSection = field(default_factory=DebiasSection)
    evaluation: EvaluationSection = field(default_factory=EvaluationSection)
    publish: PublishSection = field(default_factory=PublishSection)

    def to_dict(self) -> dict:
        """Plain values, every default filled in; without what was added to recipes later where it is not used (:data:`LATER_SECTIONS`,
        ``corpus.cda``, ``corpus.pair_share``, two keys of ``teacher``), so that an earlier recipe, and the hash of it, are what they were."""
        data = dataclasses.asdict(self)
        for name, section in LATER_SECTIONS.items():
            if getattr(self, name) == section():
                del data[name]
        for name in ("mlm_from_frequencies", "mlm_training"):
            if not data["teacher"][name]:
                del data["teacher"][name]
        if not self.corpus.cda_pairs_used:
            del data["corpus"]["cda"], data["corpus"]["cda_pairs"]
        if not self.corpus.pair_share:
            del data["corpus"]["pair_share"], data["corpus"]["pair_share_pairs"]
        return data

    @property
    def sha256(self) -> str:
        """Hash of what decides the student, :func:`decisive_sections`."""
        return hashlib.sha256(json.dumps(decisive_sections(self.to_dict()), sort_keys=True).encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the resolved recipe as YAML."""
        write_text(path, yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True))


LATER_SECTIONS = {
    "watch": WatchSection,
    "equalisation": EqualisationSection,
    "counterfactual": CounterfactualSection,
    "debias": DebiasSection,
}
"""Sections that a resolved recipe holds only where they are not as they are by default."""

TRANSFORMS = ("mixup", "equalisation", "counterfactual")
"""Sections of which one at most is enabled: each says what the teacher's word is."""


def decisive_sections(recipe: dict) -> dict:
    """What of :meth:`Recipe.to_dict` decides the student: all but the evaluation, publish and debias sections, places on this machine, and a
    ``watch`` section that chooses nothing by what it measures."""
    if TASK in recipe:
        return decisive_task_sections(recipe)
    data = {name: section for name, section in recipe.items() if name not in ("evaluation", "publish", "debias")}
    data["corpus"] = {key: value for key, value in recipe["corpus"].items() if key not in ("cache_dir", "workers")}
    watch = data.get("watch")
    if watch and not watch["keep_best"] and watch["patience"] is None:
        del data["watch"]
    for name in ("equalisation", "counterfactual"):
        if name in data and not data[name]["enabled"]:
            del data[name]
    return data


def load_recipe(path: str | Path, overrides: typing.Sequence[str] = ()) -> Recipe:
    """Read a recipe, apply ``section.key=value`` overrides, check every key and type.

    Paths in it that start with ``./`` or ``../`` are relative to the working directory.

    Raises:
        FileNotFoundError: no such file. ValueError: not YAML, an unknown key (the nearest known one is named), a wrong type or value.
    """
    data = read_packaged_yaml(path, "recipes", "Recipe")
    for override in overrides:
        apply_override(data, override)
    return recipe_from_dict(data)


def load_any_recipe(path: str | Path, overrides: typing.Sequence[str] = ()) -> Recipe | TaskRecipe:
    """As :func:`load_recipe`; one with a section ``task`` is a :class:`~evenhand.launch.task.recipe.TaskRecipe`."""
    data = read_packaged_yaml(path, "recipes", "Recipe")
    for override in overrides:
        apply_override(data, override)
    return any_recipe_from_dict(data)


def any_recipe_from_dict(data: dict) -> Recipe | TaskRecipe:
    """A checked recipe of either kind from nested plain values."""
    return task_recipe_from_dict(data) if TASK in data else recipe_from_dict(data)


def recipe_from_dict(data: dict) -> Recipe:
    """A checked recipe from nested plain values; see :func:`load_recipe` for the errors."""
    if TASK in data:
        raise ValueError(
            "It is the recipe of a task (it has a section task), and this command wants one of masked text, with a corpus."
        )
    recipe = build_section(Recipe, data, "")
    training = training_fields(recipe.training, "training.")
    mlm_training = training_fields(recipe.teacher.mlm_training, "teacher.mlm_training.")
    recipe = dataclasses.replace(
        recipe, training=training, teacher=dataclasses.replace(recipe.teacher, mlm_training=mlm_training)
    )
    if not recipe.teacher.path:
        raise ValueError("teacher.path is missing; name a folder, a model on the Hub, or package:NAME/FOLDER.")
    if not recipe.corpus.sources:
        raise ValueError("corpus.sources is empty; name at least one file, directory or data set.")
    if recipe.corpus.streaming and training.get("max_steps", -1) < 1:
        raise ValueError("corpus.streaming=true has no known size, so training.max_steps must be set.")
    if recipe.teacher.mlm_train not in ("head", "all"):
        raise ValueError(f"teacher.mlm_train must be head or all, not {recipe.teacher.mlm_train!r}.")
    enabled = [name for name in TRANSFORMS if getattr(recipe, name).enabled]
    if len(enabled) > 1:
        raise ValueError(
            f"{' and '.join(enabled)} are both enabled, but one transform of the supervision at most can be; set "
            f"{enabled[-1]}.enabled=false."
        )
    return recipe
