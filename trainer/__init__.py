"""What is trained, and how: the distillation trainer, its objective, supervision transforms, students and corpora."""

from evenhand.trainer.distillation_config import DistillationArguments
from evenhand.trainer.distillation_trainer import DistillationTrainer, NonFiniteLossError
from evenhand.trainer.masking import XlmMasking
from evenhand.trainer.mixup import GenderMixup
from evenhand.trainer.objective import DistillationObjective
from evenhand.trainer.student import make_student
from evenhand.trainer.supervision import SupervisionTransform
from evenhand.trainer.teacher import load_teacher
from evenhand.trainer.word_pairs import WordPairs

__all__ = [
    "DistillationArguments",
    "DistillationObjective",
    "DistillationTrainer",
    "GenderMixup",
    "NonFiniteLossError",
    "SupervisionTransform",
    "WordPairs",
    "XlmMasking",
    "load_teacher",
    "make_student",
]
