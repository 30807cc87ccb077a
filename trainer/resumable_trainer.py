"""A Trainer whose checkpoints are complete or absent, and whose resumed runs equal uninterrupted ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import rotate_checkpoints

from evenhand.trainer.batches import EpochSampler
from evenhand.trainer.checkpoints import (
    SAVING,
    completion_facts,
    discard_unfinished,
    latest_complete_checkpoint,
    publish_checkpoint,
)
from evenhand.trainer.log_window import LogWindow


class ResumableTrainer(Trainer):
    """Saves under a temporary name and renames; keeps what ``Trainer`` forgets on a resume (counts, sums since the last log).

    A subclass fills ``_window`` and ``_counts`` while it trains, sets ``_train_sampler`` (None for a stream), and says in
    :meth:`check_finite` when a student is broken.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._window = LogWindow(self.args.device)
        self._counts: dict[str, int] = {"tokens_seen": 0}
        self._counts_before_resume: dict[str, int] = {}
        self._unlogged_before_resume: dict = {}
        self._saving_into: Path | None = None
        self._train_sampler: EpochSampler | None = None
        self.add_callback(_ExactResume(self))

    def check_finite(self) -> None:
        """Raise if what was trained since the last log is not finite."""

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs):
        """As ``Trainer.train``; ``resume_from_checkpoint=True`` takes the newest *complete* checkpoint, if there is one."""
        if resume_from_checkpoint is True:
            newest = latest_complete_checkpoint(self.args.output_dir)
            resume_from_checkpoint = str(newest) if newest else None
        self._window.clear()
        self._counts, self._counts_before_resume, self._unlogged_before_resume = {"tokens_seen": 0}, {}, {}
        if resume_from_checkpoint:
            facts = completion_facts(resume_from_checkpoint)
            self._counts_before_resume = facts.get("counts", {})
            self._unlogged_before_resume = facts.get("unlogged", {})
        result = super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)
        if self._window.steps:  # steps since the last log: nobody has looked at them yet
            self.check_finite()
        return result

    def total_counts(self) -> dict[str, int]:
        """Tokens seen and what the supervision transform counted, over all processes and before a resume."""
        # both: a finished run that is resumed counts nothing new
        names = sorted({*self._counts, *self._counts_before_resume})
        mine = torch.tensor([self._counts.get(name, 0) for name in names], device=self.args.device)
        totals = self.accelerator.reduce(mine, "sum").tolist()
        return {name: n + self._counts_before_resume.get(name, 0) for name, n in zip(names, totals, strict=True)}

    def _unlogged(self) -> dict:
        """The log window and ``Trainer``'s own loss sum, which it forgets on a resume: the next log would leave out steps."""
        mine = torch.cat([self._window.sums, self._tr_loss.reshape(1)])
        of_processes = self.accelerator.gather(mine[None]).tolist()
        return self._window.state() | {"of_processes": of_processes, "last_logged": self._globalstep_last_logged}

    def _restore_unlogged(self) -> None:
        facts, self._unlogged_before_resume = self._unlogged_before_resume, {}
        if len(facts.get("of_processes", [])) != self.args.world_size:
            return
        mine = torch.tensor(facts["of_processes"][self.args.process_index], device=self.args.device)
        self._window.restore(facts, mine[:-1])
        self._tr_loss += mine[-1]
        self._globalstep_last_logged = facts["last_logged"]

    def _get_output_dir(self, trial) -> str:
        return str(self._saving_into) if self._saving_into else super()._get_output_dir(trial)

    def _save_checkpoint(self, model: nn.Module, trial) -> None:
        """Write under ``.saving/``, then rename: a kill or a full disk leaves no torn checkpoint."""
        if self._window.steps:
            self.check_finite()  # a broken student must not replace a good checkpoint
        run_dir = Path(super()._get_output_dir(trial))
        name = f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            discard_unfinished(run_dir)
        self.accelerator.wait_for_everyone()
        facts = {"step": self.state.global_step, "processes": self.args.world_size, "counts": self.total_counts()}
        facts["unlogged"] = self._unlogged()
        self._saving_into = run_dir / SAVING
        try:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                publish_checkpoint(run_dir, name, facts)
        # torch and safetensors each name a full disk their own way
        except (OSError, RuntimeError, SafetensorError) as error:
            shutil.rmtree(self._saving_into, ignore_errors=True)
            if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in ("writ", "inline_container")):
                raise  # out of memory or a lost process: not the disk's fault
            raise RuntimeError(
                f"Checkpoint {name} could not be written ({' '.join(str(error).split())}); free {_free_gib(run_dir)} GiB. The last "
                f"complete checkpoint is {latest_complete_checkpoint(run_dir) or 'none'}; free disk space and run again to resume."
            ) from error
        finally:
            self._saving_into = None
        if self.args.should_save:
            rotate_checkpoints(
                output_dir=str(run_dir),
                save_total_limit=self.args.save_total_limit,
                best_model_checkpoint=self.state.best_model_checkpoint,
                use_mtime=False,
            )
        self.accelerator.wait_for_everyone()


class _ExactResume(TrainerCallback):
    """Sets the sampler's epoch at each epoch's start, the first after a resume included, and restores what was not logged yet.

    A run resumed when all its steps are done, but not its epoch, stops here: ``Trainer`` would train one step more.
    """

    def __init__(self, trainer: ResumableTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.trainer._restore_unlogged()

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        if self.trainer._train_sampler is not None:
            self.trainer._train_sampler.set_epoch(int(state.epoch or 0))
        if state.global_step >= state.max_steps:
            control.should_training_stop = True


def _free_gib(path: Path) -> str:
    return f"{shutil.disk_usage(path).free / 2**30:.1f}"
