"""Predictions of the models that debiasing methods train beside the student, kept on the disk: a run that goes on, and the other runs of a
study that read the same ones, need not train them again."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from datasets import Dataset

from evenhand.evaluation.grouped_data.split_hash import split_sha256
from evenhand.launch.run_directory import write_json
from evenhand.trainer.debiasing.method import Fit, Predictor

_VALUES, _FACTS = "values.npy", "facts.json"


class KeptPredictions:
    """A folder of arrays, each under a hash of all that decides it.

    Args:
        folder: made when something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _entry(self, decisive: object) -> Path:
        told = json.dumps(decisive, sort_keys=True, default=str)
        return self.folder / hashlib.sha256(told.encode()).hexdigest()[:16]

    def find(self, decisive: object) -> tuple[np.ndarray, dict] | None:
        """The array and its facts, None where they are not kept."""
        entry = self._entry(decisive)
        if not (entry / _FACTS).is_file():
            return None
        return np.load(entry / _VALUES), json.loads((entry / _FACTS).read_text(encoding="utf-8"))

    def keep(self, decisive: object, values: np.ndarray, facts: dict) -> None:
        """Keep ``values`` and ``facts`` (plain values); another process may be keeping the same."""
        entry = self._entry(decisive)
        entry.mkdir(parents=True, exist_ok=True)
        temporary = entry / f".{os.getpid()}.npy"
        np.save(temporary, values)
        temporary.replace(entry / _VALUES)
        write_json(entry / _FACTS, facts)  # last: it says that the other is whole

    def fit(self, fit: Fit, decisive: object) -> Fit:
        """``fit``, which trains only for predictions that are not kept.

        Every process of a run has to call it and its predictors; the first one alone looks at the folder.

        Args:
            fit: see :data:`~evenhand.trainer.debiasing.method.Fit`.
            decisive: what decides its models beside data, epochs and seed, as plain values: the model and the training arguments.
        """

        def of_data(data: Dataset, epochs: float | None, seed: int) -> Predictor:
            trained: list[Predictor] = []

            def predict(given: Dataset) -> np.ndarray:
                trained_on = split_sha256(data)
                # the same object is not read twice: hashing images decodes them
                key = [decisive, trained_on, epochs, seed, trained_on if given is data else split_sha256(given)]
                state = PartialState()
                found = self.find(key) if state.is_main_process else None
                values = broadcast_object_list([found and found[0]])[0]
                if values is None:
                    if not trained:
                        trained.append(fit(data, epochs, seed))
                    values = trained[0](given)
                    if state.is_main_process:
                        self.keep(key, values, {"n": len(values)})
                return values

            return predict

        return of_data
