"""To a GPU, the index tensors of a micro-batch are copied without waiting for each; tested with a stand-in, there being none."""

from types import SimpleNamespace

import torch
from tiny_distillation import tiny_trainer
from transformers import Trainer


def test_tensors_go_through_pinned_memory_without_waiting(tmp_path, monkeypatch):
    trainer, seen = tiny_trainer(tmp_path), []
    plan = {"rows": torch.arange(3), "pieces": [{"sequences": torch.arange(2), "length": 5}], "on_host": "kept"}

    def pin(tensor):
        seen.append(("pinned", len(tensor)))
        return SimpleNamespace(to=lambda device, non_blocking: seen.append((device.type, non_blocking)) or tensor)

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(type(trainer.args), "device", torch.device("cuda"))
    monkeypatch.setattr(
        Trainer,
        "_prepare_input",
        lambda self, data: (
            type(data)({key: self._prepare_input(value) for key, value in data.items()})
            if isinstance(data, dict)
            else [self._prepare_input(value) for value in data]
            if isinstance(data, list)
            else data
        ),
    )
    trainer._prepare_input(plan)
    assert seen == [("pinned", 3), ("cuda", True), ("pinned", 2), ("cuda", True)]
