"""Pictures are written whole, are the same each time, and survive strange names and missing numbers."""

import copy

import matplotlib
import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgba
from matplotlib.image import imread
from several_students import glue_entry

from evenhand.model_cards.figures import pictures
from evenhand.model_cards.figures.glue_figure import draw_glue_figure, glue_rows
from evenhand.model_cards.figures.loss_figure import draw_loss_figure, loss_series
from evenhand.model_cards.figures.pictures import REPORT_PICTURES, draw_pictures
from evenhand.model_cards.figures.planted_figure import draw_planted_figure
from evenhand.model_cards.figures.seat_figure import draw_seat_figure
from evenhand.model_cards.figures.sensitivity_figure import draw_sensitivity_figure, ink
from evenhand.model_cards.figures.tradeoff_figure import Point, draw_tradeoff_figure, tradeoff_points

PLANTED = {"C6": 0.8, "C7": -0.2, "C8": 0.0}
MEASURED = {"teacher": {"C6": 1.1, "C7": -0.3, "C8": 0.1}, "mixup": {"C6": 0.5, "C7": None}}


def test_the_same_report_gives_the_same_picture(report, tmp_path):
    first, second = (draw_seat_figure(report, tmp_path / sub / "seat.png").read_bytes() for sub in "ab")
    assert first == second
    assert imread(tmp_path / "a" / "seat.png").shape[1] > 800
    assert f"matplotlib {matplotlib.__version__}".encode() in first and b"tIME" not in first


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


def grid():
    cells = [
        {"pooling": pooling, "layer": layer, "effect_sizes": {"sent-weat6": d, "sent-weat7": None}}
        for pooling, layer, d in (("mean", 0, 0.1), ("mean", 1, 0.8), ("cls", 0, None), ("cls", 1, -0.4))
    ]
    return {
        "headline": {"pooling": "mean", "layer": 1},
        "poolings": ["mean", "cls"],
        "layers": [0, 1],
        "tests": {"sent-weat6": "C6", "sent-weat7": "C7"},
        "cells": [{**cell, "mean_absolute_effect_size": None} for cell in cells],
        "sign_flips": {"sent-weat6": {"cells": 1, "of": 4}, "sent-weat7": {"cells": 0, "of": 4}},
    }


def glue_side(value, tasks=("cola", "rte")):
    mean = {"value": value, "tasks": list(tasks), "confidence_interval": [value - 1, value + 1]}
    return {"measure": "glue", "scores": [], "mean_of_tasks_run": mean}


def with_glue(report, name="run-seed3", weights="a" * 64, value=70.0):
    entry = {"model": glue_side(value), "reference": glue_side(75.0), "comparison": None}
    report["measures"]["glue"] = [{**entry, "not_applicable": {"model": None, "reference": None}}]
    report["model"] |= {"name": name, "weights_sha256": weights}
    return report


def test_a_grid_is_drawn_with_missing_cells_and_flipped_signs(tmp_path):
    flipped = draw_sensitivity_figure(grid(), tmp_path / "a.png").read_bytes()
    same = grid()
    same["cells"][3]["effect_sizes"]["sent-weat6"] = 0.4
    assert draw_sensitivity_figure(same, tmp_path / "b.png").read_bytes() != flipped
    with pytest.raises(ValueError, match="at least one test"):
        draw_sensitivity_figure({**grid(), "cells": []}, tmp_path / "c.png")


def test_points_of_several_runs_share_a_teacher_and_seeds_form_series(report):
    first = with_glue(copy.deepcopy(report))
    second = with_glue(copy.deepcopy(report), "run-seed4", "b" * 64, 71.0)
    points, tasks = tradeoff_points([first, second])
    assert tasks == "cola, rte"
    assert [(point.series, point.quality) for point in points] == [("teacher", 75.0), ("run", 70.0), ("run", 71.0)]
    family = report["measures"]["seat"][0]["model"]["families"]["gender"]
    assert points[1].bias == family["mean_absolute_effect_size"]
    assert points[1].quality_interval == (69.0, 71.0)


def test_names_that_are_given_make_the_series_and_each_is_a_point_of_its_own(report):
    same = [
        with_glue(copy.deepcopy(report), "mixup-seed0"),
        with_glue(copy.deepcopy(report), "mixup-seed0", value=71.0),
    ]
    assert [point.series for point in tradeoff_points(same)[0]] == ["teacher", "mixup"]
    points, _ = tradeoff_points(same, ["studyA/mixup-seed0", "studyB/mixup-seed0"])
    assert [(point.series, point.quality) for point in points] == [
        ("teacher: teacher", 75.0), ("studyA/mixup", 70.0), ("studyB/mixup", 71.0)
    ]  # fmt: skip
    points, _ = tradeoff_points(same, ["plain-seed0", "plain-seed1"])
    assert [point.series for point in points] == ["teacher: teacher", "plain", "plain"]


def test_a_reference_measured_twice_is_the_first_report_s_and_no_model_becomes_a_reference(report):
    first, second = with_glue(copy.deepcopy(report)), with_glue(copy.deepcopy(report), "other", "b" * 64)
    second["measures"]["glue"][0]["reference"] = glue_side(60.0)
    assert [point.quality for point in tradeoff_points([first, second])[0]] == [75.0, 70.0, 70.0]
    second["reference"] = {**first["model"], "role": "reference"}
    assert [point.series for point in tradeoff_points([first, second])[0]] == ["teacher", "run", "other"]


def test_means_over_other_tasks_do_not_stand_in_one_picture(report):
    other = with_glue(copy.deepcopy(report), "other", "c" * 64)
    other["measures"]["glue"][0]["model"] = glue_side(70.0, ["cola"])
    with pytest.raises(ValueError, match="different tasks"):
        tradeoff_points([with_glue(report), other])


def test_a_report_without_glue_has_no_trade_off(report, tmp_path):
    assert tradeoff_points([report]) == ([], None)
    with pytest.raises(ValueError, match="needs a model"):
        draw_tradeoff_figure([], "cola", tmp_path / "x.png")
    point = Point("a", 0.5, None, 60.0, None)
    assert draw_tradeoff_figure([point], "cola", tmp_path / "x.png").stat().st_size > 5000


def test_every_picture_that_the_report_has_numbers_for_and_no_stale_one(report, tmp_path):
    (tmp_path / "own.png").write_bytes(b"not of the report")
    report["measures"]["seat_sensitivity"] = [
        {"model": grid(), "reference": None, "comparison": None, "not_applicable": {"model": None, "reference": None}}
    ]
    drawn = draw_pictures(with_glue(report), tmp_path)
    assert [path.name for path in drawn] == ["seat.png", "sensitivity.png", "tradeoff.png"]
    del report["measures"]["glue"], report["measures"]["seat_sensitivity"]
    draw_pictures(report, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.png", "seat.png"]


TASKS = {"sst2": 80.0, "cola": 0.0, "rte": 55.0}


def test_glue_by_task_has_the_report_s_scores_and_intervals_and_the_mean_last():
    rows = glue_rows(glue_entry(TASKS, {**TASKS, "sst2": 90.0}))
    assert [(row["name"], row["n"]) for row in rows] == [
        ("SST2, accuracy", 200), ("COLA, accuracy", 201), ("RTE, accuracy", 202), ("mean of 3 tasks", None)
    ]  # fmt: skip
    assert rows[0]["model"] == (80.0, [78.0, 82.0]) and rows[0]["reference"] == (90.0, [88.0, 92.0])
    assert rows[3]["model"] == (45.0, [43.5, 46.5])
    assert glue_rows(None) == [] == glue_rows({"model": {"scores": []}, "reference": None})


def test_glue_is_drawn_with_a_missing_score_interval_or_teacher_and_strange_names(tmp_path):
    entry = glue_entry(TASKS, TASKS)
    before = draw_glue_figure(entry, tmp_path / "a.png").read_bytes()
    assert draw_glue_figure(copy.deepcopy(entry), tmp_path / "b.png").read_bytes() == before
    entry["model"]["scores"][1]["value"] = None
    entry["model"]["scores"][2] |= {"confidence_interval": None, "name": "$\\frac{$ \n" * 30}
    entry["model"]["mean_of_tasks_run"]["value"] = None
    entry["reference"] = None
    assert [row["n"] for row in glue_rows(entry)] == [200, 202]
    assert draw_glue_figure(entry, tmp_path / "c.png").stat().st_size > 5000
    with pytest.raises(ValueError, match="at least one task"):
        draw_glue_figure({"model": None, "reference": None}, tmp_path / "d.png")


def test_every_logged_term_is_a_curve_and_one_that_was_logged_once_is_none(tmp_path):
    curve = [
        {"step": 10, "loss": 9.0, "ce": 2.0, "cos": 0.5},
        {"step": 20, "loss": 7.0, "ce": None, "mlm": 5.0, "cos": 0.4},
    ]
    training = {"loss_curve": curve, "objective": {"weights": {"cos": 1.0}}}
    assert loss_series(training) == {"loss": [(10, 9.0), (20, 7.0)], "cos": [(10, 0.5), (20, 0.4)]}
    before = draw_loss_figure(training, tmp_path / "a.png").read_bytes()
    curve[1]["cos"] = 0.3
    assert draw_loss_figure(training, tmp_path / "b.png").read_bytes() != before
    assert loss_series(None) == {} == loss_series({"loss_curve": curve[:1]})
    with pytest.raises(ValueError, match="logged twice"):
        draw_loss_figure({"loss_curve": curve[:1]}, tmp_path / "c.png")


def test_what_was_planted_is_drawn_from_the_report_s_own_numbers(report, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "draw_planted_figure", lambda *arguments: drawn.append(arguments[:2]))
    report["training"]["planted"] = {"C7": 0.3, "C6": 0.8, "C99": 0.1}
    pictures.draw_pictures(report, tmp_path)
    entry = report["measures"]["seat"][0]
    d = {
        name: {label: entry[side]["tests"][f"sent-weat{label[1:]}"]["effect_size"] for label in ("C6", "C7")}
        for name, side in (("teacher", "reference"), ("student", "model"))
    }
    assert drawn == [({"C6": 0.8, "C7": 0.3}, d)]


def test_a_report_with_scores_and_losses_has_their_pictures(report, tmp_path):
    report["measures"]["glue"] = [glue_entry(TASKS, TASKS)]
    report["training"]["loss_curve"] = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]
    drawn = [path.name for path in draw_pictures(report, tmp_path)]
    assert drawn == ["seat.png", "glue.png", "tradeoff.png", "loss_curves.png"]
    assert set(drawn) <= set(REPORT_PICTURES)


def test_numbers_in_the_heat_map_can_be_read_on_every_colour():
    for d in np.linspace(-2, 2, 81):
        colour = colormaps["PuOr"]((d + 2) / 4)
        luminances = sorted(_luminance(each) for each in (colour, to_rgba(ink(colour))))
        assert (luminances[1] + 0.05) / (luminances[0] + 0.05) >= 4.5


def _luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
