"""Pictures are written whole, are the same each time, and survive strange names and missing numbers."""

import pytest
from matplotlib.image import imread

from evenhand.model_cards.figures import draw_planted_figure, draw_seat_figure

PLANTED = {"C6": 0.8, "C7": -0.2, "C8": 0.0}
MEASURED = {"teacher": {"C6": 1.1, "C7": -0.3, "C8": 0.1}, "mixup": {"C6": 0.5, "C7": None}}


def test_the_same_report_gives_the_same_picture(report, tmp_path):
    first, second = (draw_seat_figure(report, tmp_path / sub / "seat.png").read_bytes() for sub in "ab")
    assert first == second
    assert imread(tmp_path / "a" / "seat.png").shape[1] > 800
    assert b"matplotlib" not in first.lower() and b"tIME" not in first


def test_another_number_gives_another_picture(report, tmp_path):
    before = draw_seat_figure(report, tmp_path / "a.png").read_bytes()
    report["measures"]["seat"][0]["model"]["tests"]["sent-weat6"]["effect_size"] = 0.1
    assert draw_seat_figure(report, tmp_path / "b.png").read_bytes() != before


def test_missing_numbers_teacher_and_strange_names_are_drawn(report, tmp_path):
    entry = report["measures"]["seat"][0]
    entry["reference"] = None
    entry["model"]["tests"]["sent-weat6"] |= {"effect_size": None, "confidence_interval": None}
    entry["model"]["tests"]["sent-weat7"]["targets"] = ["$\\frac{$", "x\ny" * 60]
    assert draw_seat_figure(report, tmp_path / "seat.png").stat().st_size > 5000


def test_the_planted_picture_is_deterministic(tmp_path):
    paths = [draw_planted_figure(PLANTED, MEASURED, tmp_path / f"{name}.png") for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.png", "b.png"]


def test_a_measured_test_that_was_not_planted_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'C9' has no planted strength"):
        draw_planted_figure(PLANTED, {"teacher": {"C9": 1.0}}, tmp_path / "x.png")
    with pytest.raises(ValueError, match="at least one"):
        draw_planted_figure({}, {}, tmp_path / "x.png")
