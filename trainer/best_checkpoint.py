"""Which checkpoint holds the best student, and when to stop looking for a better one; both follow from the log alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
from transformers import EarlyStoppingCallback, TrainerState, TrainingArguments

from evenhand.trainer.checkpoints import COMPLETE


def metric_curve(state: TrainerState, metric: str) -> list[tuple[int, float]]:
    """(optimiser step, value) at every evaluation of ``metric`` (with or without ``eval_``) but that of the untrained student."""
    name = metric if metric.startswith("eval_") else f"eval_{metric}"
    return [(entry["step"], entry[name]) for entry in state.log_history if name in entry and entry["step"] > 0]


def choose_again(state: TrainerState, args: TrainingArguments) -> None:
    """After a resume, set what ``state`` says of the best checkpoint to the best of those that are there, whole.

    ``Trainer`` takes the path from the file: it is wrong after the run directory has moved, and after a torn checkpoint was skipped it
    may name one that has been deleted.
    """
    state.best_global_step = state.best_metric = state.best_model_checkpoint = None
    better = np.greater if args.greater_is_better else np.less
    for step, value in metric_curve(state, args.metric_for_best_model):
        path = Path(args.output_dir) / f"checkpoint-{step}"
        if (path / COMPLETE).is_file() and (state.best_metric is None or better(value, state.best_metric)):
            state.best_global_step, state.best_metric, state.best_model_checkpoint = step, value, str(path)


class EarlyStopping(EarlyStoppingCallback):
    """transformers' early stopping, except that a resumed run stops where an uninterrupted one does: evaluations without a better metric are
    counted again from the log, and a run that had stopped stays stopped.

    Args:
        early_stopping_patience: so many evaluations in a row without a better metric end the training.
        early_stopping_threshold: a gain must be larger than this to count. Default 0.
    """

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        super().on_train_begin(args, state, control, **kwargs)
        self.early_stopping_patience_counter = 0
        better, best = np.greater if args.greater_is_better else np.less, None
        for _, value in metric_curve(state, args.metric_for_best_model):
            self.check_metric_value(args, SimpleNamespace(best_metric=best), control, value)
            best = value if best is None or better(value, best) else best

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True
