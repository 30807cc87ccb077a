"""Pretended GPUs, for checks that only ask torch what there is."""

import torch


def pretend_gpus(monkeypatch, capability=(7, 0), count=1, architectures=("sm_70", "sm_80", "sm_90"), hip=None) -> None:
    """``count`` GPUs of ``capability``, under a torch build with kernels for ``architectures``."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index=0: capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: list(architectures))
    monkeypatch.setattr(torch.version, "hip", hip)
