"""What was planted in a corpus against what was measured on the models trained with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evenhand.evaluation.report_order import natural
from evenhand.model_cards.figures.canvas import canvas, legend_above, plain, save, series_style


def draw_planted_figure(
    planted: Mapping[str, float], measured: Mapping[str, Mapping[str, float]], path: str | Path
) -> Path:
    """What was planted in a corpus against what SEAT measured on models trained with it.

    Args:
        planted: association strength by test, any unit; the tests stand from left to right by rising strength.
        measured: by model (in the order of the legend), the measured d by test; a test may be missing.
        path: the PNG to write.

    Raises:
        ValueError: nothing planted, nothing measured, or a measured test that was not planted.
    """
    if not planted or not measured:
        raise ValueError("the planted figure needs at least one planted test and one measured model")
    unknown = sorted({test for values in measured.values() for test in values} - set(planted))
    if unknown:
        raise ValueError(
            f"measured test {unknown[0]!r} has no planted strength; planted are {', '.join(sorted(planted))}"
        )
    tests = sorted(planted, key=lambda test: (planted[test], natural(test)))
    figure, axes = canvas(max(6.0, 2.0 + 0.95 * len(tests)), 4.4)
    width = 0.16
    for index, (model, values) in enumerate(measured.items()):
        colour, marker = series_style(index)
        shift = (index - (len(measured) - 1) / 2) * width
        points = [(x + shift, values[test]) for x, test in enumerate(tests) if values.get(test) is not None]
        for x, d in points:
            axes.plot([x, x], [0, d], color=colour, linewidth=1.2, alpha=0.55)
        axes.plot(
            [x for x, _ in points], [d for _, d in points], marker, color=colour, markersize=7, label=plain(model)
        )
    axes.axhline(0, color="#444444", linewidth=1, linestyle=(0, (2, 2)), zorder=0)
    axes.set_xticks(range(len(tests)), [f"{plain(test)}\n{planted[test]:+.2f}" for test in tests])
    axes.set_xlim(-0.6, len(tests) - 0.4)
    axes.set_xlabel("test, and the strength planted in the corpus")
    axes.set_ylabel("SEAT effect size d, measured")
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    legend_above(axes, len(measured))
    return save(figure, path)
