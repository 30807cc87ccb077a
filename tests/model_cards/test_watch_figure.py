"""A watched training in picture, table and card."""

import json

import pytest

from evenhand.model_cards import stage
from evenhand.model_cards.card import build_card
from evenhand.model_cards.facts import CardFacts
from evenhand.model_cards.figures.pictures import draw_pictures
from evenhand.model_cards.figures.watch_figure import draw_watch_figure
from evenhand.model_cards.figures.watch_panels import MAX_ROWS, watch_panels, watch_table

FACTS = CardFacts(licence="apache-2.0")


def record(steps=(0, 10, 20), **changes) -> dict:
    curve = [
        {
            "step": step, "mlm": 9.0 - step / 10, "tradeoff": 5.0 - step / 20, "seat_mean_abs": 0.1 + step / 100, "seat_d_C6": -step / 50,
            "seat_cls_mean_abs": 0.3, "seat_cls_d_C6": 0.25, "crows_stereotype_score_gender": 55.0, "crows_stereotype_score_gender_from_ideal": 5.0,
        }
        for step in steps
    ]  # fmt: skip
    measures = {"seat": {"measure": "seat"}, "seat_cls": {"measure": "seat"}, "crows": {"measure": "crows_pairs"}}
    watch = {
        "every_steps": 10,
        "measures": measures,
        "tradeoff": None,
        "curve": curve,
        "teacher": {"seat_mean_abs": 0.7},
        "chosen": None,
    }
    return watch | changes


def chosen(**changes) -> dict:
    made = {
        "metric": "tradeoff", "lower_is_better": True, "step": 10, "value": 4.5, "measurements": 2, "kept_best": True, "patience": None,
        "stopped_early": False,
    }  # fmt: skip
    return {"tradeoff": {"seat_mean_abs": 1.0, "mlm": 0.5}, "chosen": made | changes}


def test_numbers_of_one_unit_share_a_panel_and_no_measure_takes_anothers():
    shown = {panel.title: {one.key: one.label for one in panel.series} for panel in watch_panels(record())}
    assert shown == {
        "SEAT, mean |d|": {"seat_mean_abs": "seat", "seat_cls_mean_abs": "seat_cls"},
        "seat: d by test": {"seat_d_C6": "C6"},
        "seat_cls: d by test": {"seat_cls_d_C6": "C6"},
        "crows": {"crows_stereotype_score_gender": "stereotype score gender"},
        "held-out masked-LM loss (nats)": {"mlm": "mlm"},
        "trade-off, lower is better": {"tradeoff": "tradeoff"},
    }


def test_a_number_that_was_not_always_defined_has_the_points_that_there_are():
    watch = record()
    watch["curve"][1]["seat_mean_abs"] = None
    del watch["curve"][2]["seat_d_C6"]
    series = {one.key: one for panel in watch_panels(watch) for one in panel.series}
    assert (series["seat_mean_abs"].steps, series["seat_mean_abs"].teacher) == ((0, 20), 0.7)
    assert series["seat_d_C6"].steps == (0, 10)


@pytest.mark.parametrize("watch", [None, record(steps=(0,)), record(measures={})])
def test_without_a_curve_of_a_measure_there_is_no_picture(watch, tmp_path):
    assert watch_panels(watch) == [] and watch_table(watch) is None
    if watch:
        with pytest.raises(ValueError, match="taken twice"):
            draw_watch_figure(watch, tmp_path / "x.png")


def test_the_same_record_gives_the_same_picture_and_another_number_another(tmp_path):
    one, other = (draw_watch_figure(record(), tmp_path / f"{name}.png").read_bytes() for name in "ab")
    assert one == other
    for name, watch in {"number": record(steps=(0, 10, 21)), "choice": record(**chosen())}.items():
        assert draw_watch_figure(watch, tmp_path / f"{name}.png").read_bytes() != one, name


def test_the_table_holds_the_pictures_numbers_and_of_a_long_curve_every_so_many():
    watch = record(steps=range(0, 1010, 10), **chosen(step=170))
    table = watch_table(watch)
    assert table["of"] == 101 and len(table["rows"]) <= MAX_ROWS + 2
    assert [step for step, _, _ in table["rows"]][:3] == [0, 30, 60] and table["rows"][-1][0] == 1000
    assert [step for step, _, is_chosen in table["rows"] if is_chosen] == [170]
    drawn = {
        one.key: dict(zip(one.steps, one.values, strict=True)) for panel in watch_panels(watch) for one in panel.series
    }
    assert table["columns"] == list(drawn)
    for step, values, _ in table["rows"]:
        assert values == [drawn[key][step] for key in table["columns"]]


def test_the_picture_comes_and_goes_with_the_record(report, tmp_path):
    report["training"]["watch"] = record()
    assert "bias_over_training.png" in {path.name for path in draw_pictures(report, tmp_path)}
    del report["training"]["watch"]
    draw_pictures(report, tmp_path)
    assert not (tmp_path / "bias_over_training.png").exists()


def test_the_card_says_how_the_student_was_chosen(report):
    report["training"]["watch"] = record(**chosen(stopped_early=True, patience=3))
    card = build_card(report, FACTS, ["figures/bias_over_training.png"])
    assert (
        "of 2 students measured while training, this is the one of step 10, whose 1 × seat_mean_abs + 0.5 × mlm was the lowest (4.500); "
        "training stopped early, after 3 measurements in a row that were no better."
    ) in card.replace("\\_", "_")
    assert "may flatter this student" in card
    assert "| 10 (this student) | 0.200 |" in card and "| teacher | 0.700 |" in card
    assert "](figures/bias_over_training.png)" in card and "Line charts of bias measures" in card


def test_a_training_that_ended_early_says_so_too(report):
    report["training"]["watch"] = record(
        **chosen(kept_best=False, step=20, patience=2, stopped_early=True, metric="mlm", value=7.0)
    )
    card = build_card(report, FACTS)
    assert "training ended at step 20, where mlm was 7.000; training stopped early, after 2 measurements" in card


def test_a_curve_alone_claims_no_choice(report):
    plain = build_card(report, FACTS)
    report["training"]["watch"] = record()
    card = build_card(report, FACTS)
    assert "Chosen by what was measured" not in card and "Measured while training" in card
    assert "Measured while training" not in plain


def test_a_staged_folder_holds_the_picture(run, tmp_path):
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    report["training"]["watch"] = record(**chosen())
    (run / "report.json").write_text(json.dumps(report), encoding="utf-8")
    staged = stage(run, tmp_path / "published", FACTS)
    assert (staged / "figures" / "bias_over_training.png").is_file()
    assert "Chosen by what was measured" in (staged / "README.md").read_text(encoding="utf-8")
