"""What reaches the student: a heat map of differences, one row a method, one column a pair of teacher and student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from evenhand.model_cards.figures.canvas import canvas_grid, plain, save
from evenhand.model_cards.figures.sensitivity_figure import ink

_COLUMN, _ROW = 0.57, 0.27
_LEAST_REACH = 5.0
"""Points: the scale reaches as far at least, so that noise is not drawn in strong colours."""
_NOTHING = "#ececec"


@dataclass(frozen=True)
class TransferCell:
    """One difference.

    Args:
        difference: as it is printed; ``None`` where there is none.
        excludes_zero: whether its interval does.
        note: what stands in the cell of a difference that is not there, e.g. ``"failed"``.
        mark: stands behind the difference, e.g. of models that are near chance.
    """

    difference: float | None
    excludes_zero: bool = False
    note: str = "–"
    mark: str = ""


@dataclass(frozen=True)
class TransferMap:
    """Differences in one metric.

    Args:
        metric: what it is called.
        lower_is_better: which sign of a difference is the better one.
        rows: labels, from the top down.
        columns: labels of the pairs.
        panels: title -> cells by (row, column).
    """

    metric: str
    lower_is_better: bool
    rows: Sequence[str]
    columns: Sequence[str]
    panels: Mapping[str, Mapping[tuple[int, int], TransferCell]]

    @property
    def drawn(self) -> list[TransferCell]:
        """Cells with a difference."""
        return [cell for panel in self.panels.values() for cell in panel.values() if cell.difference is not None]


def draw_transfer_heat_figure(transfer: TransferMap, path: str | Path) -> Path:
    """One panel beside the other; purple is better, orange worse, the number is the difference, a frame marks an interval that leaves out 0.

    Args:
        transfer: what is drawn.
        path: the PNG to write; its directory is made if needed.

    Returns:
        ``path`` as a `Path`. The same differences give the same bytes on one machine.

    Raises:
        ValueError: there is no difference.
    """
    if not transfer.drawn:
        raise ValueError(f"the heat map of {transfer.metric} needs at least one difference")
    count = len(transfer.panels)
    longest = max(len(plain(label)) for label in transfer.rows)
    width = 0.9 + 0.058 * longest + _COLUMN * len(transfer.columns) * count
    figure, axes = canvas_grid(max(width, 5.0), 1.6 + _ROW * len(transfer.rows), 1, count)
    reach = max(_LEAST_REACH, *(abs(cell.difference) for cell in transfer.drawn))
    for one, (title, cells) in zip(axes, transfer.panels.items(), strict=True):
        image = _draw_panel(one, transfer, cells, reach)
        one.set_title(plain(title, 60), fontsize=9)
    axes[0].set_yticks(range(len(transfer.rows)), [plain(label) for label in transfer.rows], fontsize=8)
    better = "below 0 is better" if transfer.lower_is_better else "above 0 is better"
    figure.supxlabel(
        f"Δ {plain(transfer.metric, 60)}, points ({better})\npurple: better, orange: worse; framed: the interval leaves out 0",
        fontsize=8.5,
    )
    bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=30)
    bar.ax.tick_params(labelsize=7)
    return save(figure, path)


def _draw_panel(axes: Axes, transfer: TransferMap, cells: Mapping[tuple[int, int], TransferCell], reach: float):
    values = np.full((len(transfer.rows), len(transfer.columns)), np.nan)
    for place, cell in cells.items():
        values[place] = np.nan if cell.difference is None else cell.difference
    colours = "PuOr_r" if transfer.lower_is_better else "PuOr"
    image = axes.imshow(values, cmap=colours, vmin=-reach, vmax=reach, aspect="auto")
    axes.set_facecolor(_NOTHING)
    for (y, x), cell in cells.items():
        if cell.difference is None:
            axes.text(x, y, cell.note, ha="center", va="center", fontsize=6.5, color="#555555")
            continue
        weight = "bold" if cell.excludes_zero else "normal"
        colour = ink(image.cmap(image.norm(cell.difference)))
        # never −0.0
        text = f"{round(cell.difference, 1) + 0.0:+.1f}".replace("-", "−") + cell.mark
        axes.text(x, y, text, ha="center", va="center", fontsize=8, color=colour, fontweight=weight)
        if cell.excludes_zero:
            axes.add_patch(Rectangle((x - 0.45, y - 0.42), 0.9, 0.84, fill=False, edgecolor="#000000", linewidth=1.3))
    labels = [plain(label).replace(" → ", "\n→ ") for label in transfer.columns]
    axes.set_xticks(range(len(labels)), labels, fontsize=7.5)
    axes.tick_params(length=0)
    return image


TRANSFER_HEAT_CAPTION = (
    "Left: the distilled student less its teacher (distillability). Right: the distilled student less the same student trained alone (contribution). "
    "Means over paired seeds in points; framed and bold: the 95 % interval leaves out 0."
)


def transfer_heat_alt(transfer: TransferMap) -> str:
    """Alternative text: of each panel, how many intervals leave zero on which side."""
    sign = -1 if transfer.lower_is_better else 1
    parts = []
    for title, cells in transfer.panels.items():
        drawn = [cell for cell in cells.values() if cell.difference is not None]
        told = [sign * cell.difference for cell in drawn if cell.excludes_zero]
        better, worse = sum(gain > 0 for gain in told), sum(gain < 0 for gain in told)
        marked = sum(bool(cell.mark) for cell in drawn)
        parts.append(
            f"{title}: of {len(drawn)} differences {better} are better and {worse} worse by their intervals"
            f"{f', {marked} are marked' * bool(marked)}"
        )
    return f"Heat map of the change in {transfer.metric}, methods by pairs of teacher and student. {'; '.join(parts)}."
