"""Every picture shows its report's numbers: read from the drawn figure by series, row and end of whisker."""

import importlib

import pytest
from full_report import grid_entry
from matplotlib.colors import to_hex
from several_students import glue_entry, student_report
from test_watch_figure import chosen, record

from evenhand.model_cards.figures.canvas import STYLES, series_style
from evenhand.model_cards.figures.tradeoff_figure import tradeoff_points

LOOKS = [(colour.lower(), marker) for colour, marker in STYLES]


@pytest.fixture
def drawn(monkeypatch):
    """``drawn("seat", report)``: the pairs of axes of the figure that `draw_seat_figure` would have saved."""

    def draw(name, *arguments):
        module, kept = importlib.import_module(f"evenhand.model_cards.figures.{name}_figure"), []
        monkeypatch.setattr(module, "save", lambda figure, path: kept.append(figure))
        getattr(module, f"draw_{name}_figure")(*arguments, "picture.png")
        return kept[0].axes

    return draw


def is_labelled(line):
    return not line.get_label().startswith("_")


def ends(line):
    return list(zip(*map(list, line.get_data()), strict=True))


def series(axes):
    """The points of every series by its label in the legend."""
    return {line.get_label(): ends(line) for line in axes.lines if is_labelled(line)}


def looks(axes):
    """Colour and marker of every series by its label."""
    return {line.get_label(): (to_hex(line.get_color()), line.get_marker()) for line in axes.lines if is_labelled(line)}


def whiskers(axes, label):
    """The lines without marker or label in the colour of a series, each as its two ends."""
    lines = [line for line in axes.lines if not is_labelled(line) and line.get_marker() == "None"]
    return sorted(ends(line) for line in lines if to_hex(line.get_color()) == looks(axes)[label][0])


def row_at(axes, height):
    """The label of the row that is nearest to a height."""
    rows = zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
    return min(rows, key=lambda row: abs(row[0] - height))[1].get_text()


def by_row(axes, label):
    """Of a dot-and-whisker plot: the value and the interval of a series by the first word of its row."""
    of_height = {y: [low, high] for (low, y), (high, _) in whiskers(axes, label)}
    return {row_at(axes, y).split()[0]: (x, of_height.get(y)) for x, y in series(axes)[label]}


def test_the_forest_plot_has_d_and_interval_of_each_model_in_the_row_of_its_test(report, drawn):
    entry = report["measures"]["seat"][0]
    entry["model"]["tests"]["sent-weat7"]["confidence_interval"] = None
    (axes,) = drawn("seat", report)
    for label, side in (("teacher", "reference"), ("student", "model")):
        tests = entry[side]["tests"].values()
        assert by_row(axes, label) == {
            test["label"]: (test["effect_size"], test["confidence_interval"]) for test in tests
        }
    assert looks(axes) == {"teacher": LOOKS[0], "student": LOOKS[1]}
    heights = {label: [y for _, y in points] for label, points in series(axes).items()}
    assert all(above > below for above, below in zip(heights["teacher"], heights["student"], strict=True))
    low, high = axes.get_xlim()
    assert all(low < x < high for points in series(axes).values() for x, _ in points)


def test_glue_has_the_scores_of_each_model_in_the_row_of_their_task(drawn):
    entry = glue_entry({"sst2": 80.0, "cola": 3.0, "rte": 55.0}, {"sst2": 90.0, "cola": 40.0, "rte": 61.0})
    (axes,) = drawn("glue", entry)
    for label, side in (("teacher", "reference"), ("student", "model")):
        scores = {score["name"].split()[0]: score for score in entry[side]["scores"]}
        expected = {name: (score["value"], score["confidence_interval"]) for name, score in scores.items()}
        mean = entry[side]["mean_of_tasks_run"]
        assert by_row(axes, label) == expected | {"mean": (mean["value"], mean["confidence_interval"])}
    assert looks(axes) == {"teacher": LOOKS[0], "student": LOOKS[1]}
    assert row_at(axes, 3) == "SST2, accuracy\nn = 200" and row_at(axes, 0) == "mean of 3 tasks"


def test_the_trade_off_has_quality_to_the_right_and_association_upwards(report, drawn):
    made = student_report(report, 1)
    (axes,) = drawn("tradeoff", *tradeoff_points([made]))
    assert "score" in axes.get_xlabel() and "2 of GLUE" in axes.get_xlabel() and "|d|" in axes.get_ylabel()
    for label, side in (("teacher", "reference"), ("run", "model")):
        mean = made["measures"]["glue"][0][side]["mean_of_tasks_run"]
        family = made["measures"]["seat"][0][side]["families"]["gender"]
        x, y = mean["value"], family["mean_absolute_effect_size"]
        assert series(axes)[label] == [(x, y)]
        across = [(end, y) for end in mean["confidence_interval"]]
        assert whiskers(axes, label) == sorted([across, [(x, end) for end in family["confidence_interval"]]])
    assert looks(axes) == {"teacher": LOOKS[0], "run": LOOKS[1]}


def test_seeds_of_one_name_are_one_series_with_its_n_and_other_names_their_own(report, drawn):
    made = [student_report(report, number, shift=number / 100) for number in (1, 2, 3)]
    made[2]["model"]["name"] = "plain-seed1"
    (axes,) = drawn("tradeoff", *tradeoff_points(made))
    assert {label: [x for x, _ in points] for label, points in series(axes).items()} == {
        "teacher": [75.0], "run (n = 2)": [68.0, 68.5], "plain": [69.0]
    }  # fmt: skip


def test_no_two_of_many_series_look_alike():
    assert len({series_style(index) for index in range(36)}) == 36
    assert [series_style(index) for index in range(6)] == STYLES


def test_each_cell_of_the_grid_has_its_number_and_flipped_signs_are_framed(drawn):
    grid = grid_entry()["model"]
    grid["cells"][2]["effect_sizes"] = {"sent-weat6": None}  # cls, layer 0; the headline is mean, layer 1: +.05
    axes = drawn("sensitivity", grid)[0]
    columns = [label.get_text() for label in axes.get_xticklabels()]
    numbers = {
        (row_at(axes, text.get_position()[1]), columns[int(text.get_position()[0])]): text.get_text()
        for text in axes.texts
    }
    assert numbers == {
        ("C6  mean", "0"): "-0.05", ("C6  mean", "1"): "+0.05", ("C6  cls", "0"): "–", ("C6  cls", "1"): "+0.05"
    }  # fmt: skip
    colours = axes.images[0].get_array()
    assert colours[0].tolist() == [-0.05, 0.05] and axes.images[0].get_clim() == (-2, 2)
    (frame,) = axes.patches
    assert (round(frame.get_x() + frame.get_width() / 2), round(frame.get_y() + frame.get_height() / 2)) == (0, 0)


def test_each_term_of_the_loss_has_its_own_curve_and_weight(drawn):
    curve = [{"step": step, "loss": 9.0 - step, "ce": 2.0 + step, "cos": 0.5 / step} for step in (1, 2, 4)]
    panels = drawn("loss", {"loss_curve": curve, "objective": {"weights": {"ce": 5.0, "cos": 0.0}}})
    shown = {axes.get_title(loc="left").split(":")[0]: ends(axes.lines[0]) for axes in panels}
    assert shown == {term: [(entry["step"], entry[term]) for entry in curve] for term in ("loss", "ce", "cos")}
    assert [axes.get_title(loc="left").rpartition(", ")[2] for axes in panels[1:]] == ["weight 5", "weight 0"]


def test_bias_over_training_has_each_number_its_teacher_and_the_kept_step(drawn):
    watch = record(**chosen())
    panels = {axes.get_title(loc="left"): axes for axes in drawn("watch", watch)}
    mean = panels["SEAT, mean |d|"]
    for label, key in (("seat", "seat_mean_abs"), ("seat_cls", "seat_cls_mean_abs")):
        assert series(mean)[label] == [(entry["step"], entry[key]) for entry in watch["curve"]]
    dotted = [line for line in mean.lines if set(line.get_ydata()) == {0.7}]
    assert [to_hex(line.get_color()) for line in dotted] == [looks(mean)["seat"][0]]
    assert [x for x, _ in series(mean)["kept student, step 10"]] == [10, 10]
    loss = panels["held-out masked-LM loss (nats)"]
    assert series(loss)["mlm"] == [(entry["step"], entry["mlm"]) for entry in watch["curve"]]


def test_what_was_planted_stands_under_what_was_measured(drawn):
    planted = {"C6": 0.8, "C7": -0.2, "C8": 0.0}
    measured = {"teacher": {"C6": 1.1, "C7": -0.3, "C8": 0.1}, "mixup": {"C6": 0.5, "C7": None}}
    (axes,) = drawn("planted", planted, measured)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["C7\n-0.20", "C8\n+0.00", "C6\n+0.80"]
    order = ["C7", "C8", "C6"]
    shown = {label: {order[round(x)]: y for x, y in points} for label, points in series(axes).items()}
    assert shown == {"teacher": measured["teacher"], "mixup": {"C6": 0.5}}
    stems = {tuple(line) for line in whiskers(axes, "mixup")}
    assert {end for _, end in stems} == set(series(axes)["mixup"]) and {start[1] for start, _ in stems} == {0}
