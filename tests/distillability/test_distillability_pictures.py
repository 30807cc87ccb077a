"""The pictures of the page: what they are given, and what they refuse."""

import matplotlib.figure
import numpy as np
import pytest
from made_up_grid import made_up_results, worst_group_of

from evenhand.evaluation.distillability import CONTRIBUTION, DISTILLABILITY
from evenhand.launch.distillability.models import ALONE, DISTILLED, NO_REMEDY
from evenhand.launch.distillability.page import pictures
from evenhand.launch.distillability.page.measured_grid import MeasuredGrid
from evenhand.model_cards.figures.three_models_figure import ThreeModels, draw_three_models_figure, three_models_alt
from evenhand.model_cards.figures.transfer_heat_figure import (
    TransferCell,
    TransferMap,
    draw_transfer_heat_figure,
    transfer_heat_alt,
)


@pytest.fixture
def drawn(monkeypatch):
    """Figures as they are saved."""
    kept = []
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda figure, path, **_: (kept.append(figure), open(path, "wb").close())
    )
    return kept


def texts(axes):
    return {(round(text.get_position()[1]), round(text.get_position()[0])): text for text in axes.texts}


def test_each_cell_prints_its_difference_and_is_framed_where_the_interval_leaves_out_zero(measured, drawn, tmp_path):
    page = measured.tasks["digits"]
    transfer = pictures._transfer_map(page.comparisons, page.task.worst_group)
    draw_transfer_heat_figure(transfer, tmp_path / "x.png")
    panels = drawn[0].axes[:2]
    for axes, kind in zip(panels, (DISTILLABILITY, CONTRIBUTION), strict=True):
        framed = {(round(one.get_y() + 0.42), round(one.get_x() + 0.45)) for one in axes.patches}
        for pair in page.task.pairs:
            effect = page.comparisons.get(kind, pair, page.task.worst_group).effect
            label = page.task.cell_name(pair).split(",")[0]
            rows = [index for index, row in enumerate(transfer.rows) if row.startswith(label)]
            place = (
                rows[pair.variant == "same" and len(rows) > 1],
                transfer.columns.index(f"{pair.teacher} → {pair.student}"),
            )
            text = texts(axes)[place]
            assert float(text.get_text().replace("−", "-")) == pytest.approx(effect.difference, abs=0.051)
            low, high = effect.confidence_interval
            assert (place in framed) == (text.get_fontweight() == "bold") == (low > 0 or high < 0)
    assert transfer.rows[:3] == ["none (ERM)", "product of experts, plain g", "product of experts, debiased g"]


def test_better_is_one_colour_whichever_side_of_zero_it_lies_on(drawn, tmp_path):
    colours = []
    for lower_is_better, difference in ((False, 5.0), (True, -5.0)):
        panel = {(0, 0): TransferCell(difference, True), (0, 1): TransferCell(-difference)}
        transfer = TransferMap("gap", lower_is_better, ["erm"], ["a → b", "b → b"], {"distillability": panel})
        draw_transfer_heat_figure(transfer, tmp_path / "x.png")
        image = drawn[-1].axes[0].images[0]
        colours.append(image.cmap(image.norm(difference)))
        assert "1 are better and 0 worse" in transfer_heat_alt(transfer)
    assert np.allclose(*colours)
    assert colours[0][2] > colours[0][0], "purple"


def test_models_that_are_missing_or_failed_are_written_into_their_cells(grid, drawn, tmp_path):
    lost = "distilled-large-to-small-plain"
    keep = made_up_results(
        grid, keep=lambda model: model.task == "digits" and model.method in ("erm", "poe"), failed=(lost,)
    )
    page = MeasuredGrid(keep).tasks["digits"]
    transfer = pictures._transfer_map(page.comparisons, page.task.worst_group)
    draw_transfer_heat_figure(transfer, tmp_path / "x.png")
    found = texts(drawn[0].axes[0])
    assert found[0, 2].get_text() == "failed" and found[1, 2].get_text() == "failed"
    assert found[3, 0].get_text() == "not run", "a method that has not begun"


def test_the_dot_plot_has_every_seed_of_the_three_models(measured):
    task = measured.tasks["digits"].task
    models = pictures._three_models(task, task.worst_group)
    panel = models.panels["large → small"]
    row = models.rows.index("product of experts")
    own = {
        how: [
            worst_group_of(model)
            for model in task.models.values()
            if (model.role, model.method, model.teacher_size, model.size, model.student_method, model.remedy)
            == (DISTILLED, "poe", "large", "small", how, NO_REMEDY)
        ]
        for how in ("plain", "same")
    }
    assert models.series == ["f_T", "f_S, plain", "g, plain student", "f_S, debiased", "g, student debiased too"]
    assert panel[row, 2] == pytest.approx(own["plain"]) and panel[row, 4] == pytest.approx(own["same"])
    # beside each the student alone that its contribution is measured against
    for method, column in (("erm", 1), ("poe", 3)):
        alone = [
            worst_group_of(model)
            for model in task.models.values()
            if (model.role, model.method, model.size, model.remedy) == (ALONE, method, "small", NO_REMEDY)
        ]
        assert panel[row, column] == pytest.approx(alone) and len(alone) == 4
    erm, dedier = (models.rows.index(label) for label in ("none (ERM)", "DeDiER"))
    assert panel[dedier, 1] == panel[row, 1] and panel[dedier, 0] == panel[erm, 0]
    assert {column for place, column in panel if place == dedier} == {0, 1, 4}
    assert {column for place, column in panel if place == erm} == {0, 1, 2}
    assert (
        f"f_T {min(np.mean(values) for panel in models.panels.values() for (_, one), values in panel.items() if one == 0):.1f} to"
        in three_models_alt(models)
    )


def test_kinds_of_models_that_no_row_has_are_not_in_the_legend(drawn, tmp_path):
    panels = {"a → b": {(0, 0): [50.0], (0, 1): [], (0, 2): [60.0]}}
    draw_three_models_figure(ThreeModels("gap", ["erm"], ["f_T", "f_S", "g"], panels), tmp_path / "x.png")
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["f_T", "g"]


def test_nothing_to_draw_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the heat map of gap needs at least one difference"):
        draw_transfer_heat_figure(
            TransferMap("gap", True, ["erm"], ["a → b"], {"x": {(0, 0): TransferCell(None)}}), tmp_path / "x.png"
        )
    with pytest.raises(ValueError, match="the picture of gap needs at least one number"):
        draw_three_models_figure(ThreeModels("gap", ["erm"], ["f_T"], {"a → b": {(0, 0): []}}), tmp_path / "x.png")
    with pytest.raises(ValueError, match="tells 5 kinds of models apart, not 6"):
        draw_three_models_figure(
            ThreeModels("gap", ["erm"], list("abcdef"), {"a → b": {(0, 0): [1.0]}}), tmp_path / "x.png"
        )
    assert not list(tmp_path.iterdir())
