"""The doctor names each gap and what to do about it."""

import torch

from evenhand.launch import doctor


def findings():
    return {finding.subject: finding for finding in doctor.examine()}


def test_it_reports_every_subject_and_exits_zero(capsys, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(doctor, "hub_answers", lambda timeout=0: False)
    assert doctor.doctor() == 0
    printed = capsys.readouterr().out
    for subject in ("torch build", "CPU", "precision", "DeepSpeed", "memory", "disk", "Hub"):
        assert subject in printed
    assert "cannot be reached" in printed


def test_offline_mode_is_named_without_touching_the_network(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(doctor, "hub_answers", lambda timeout=0: 1 / 0)
    assert "offline" in findings()["Hub"].found


def test_a_volta_card_under_a_build_without_its_kernels_gets_the_build_tag(monkeypatch):
    class Properties:
        name, total_memory = "Tesla V100", 16 * 2**30

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: Properties)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index=0: (7, 0))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_80", "sm_90"])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = findings()
    assert "cu126" in found["GPU 0"].advice and "sm_70" in found["GPU 0"].advice
    assert "fp16" in found["precision"].advice
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_70", "sm_80"])
    assert findings()["GPU 0"].advice == ""


def test_a_full_disk_is_a_gap(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 2**20})())
    assert "free space" in findings()["disk"].advice
