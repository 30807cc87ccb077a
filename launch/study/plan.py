"""What a study will train and measure, and what that takes, before anything starts: ``evenhand study … --plan``."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evenhand.launch.accelerate_plan import GPU_CONFIGS
from evenhand.launch.cohort_directory import SHARED
from evenhand.launch.recipe import EvaluationSection, Recipe, build_section, recipe_from_dict
from evenhand.launch.study.calibration import precision_here
from evenhand.launch.study.cells import Cell, evaluation_of, student_key, wanted_students
from evenhand.launch.study.directory import StudyDirectory
from evenhand.launch.study.ground import Ground, ground_of
from evenhand.launch.study.plan_disk import DiskPlan, disk_plan
from evenhand.launch.study.plan_teachers import TeacherPlan, teacher_plans
from evenhand.launch.study.rates import CellSeconds, Finished, RatesFile
from evenhand.launch.study.study_file import ORIGINAL, Study
from evenhand.launch.study.times import StudyTimes, machine_here
from evenhand.launch.study.workload import CellWork, Workload
from evenhand.trainer.checkpoints import completion_facts, latest_complete_checkpoint
from evenhand.trainer.device_support import device_type, visible_gpus
