"""Shortcuts in images: the colour of what is drawn, or a coloured patch in a corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from datasets import Dataset, Image

from evenhand.evaluation.grouped_data.columns import with_columns
from evenhand.evaluation.grouped_data.image_files import checked_rgb, png_bytes
from evenhand.evaluation.grouped_data.subsets import check_names, check_numbers

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (255, 50, 50),
    "green": (40, 255, 40),
    "blue": (70, 120, 255),
    "yellow": (255, 255, 0),
    "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
    "orange": (255, 150, 0),
    "violet": (150, 60, 255),
    "white": (255, 255, 255),
    "rose": (255, 150, 190),
}
"""Name → RGB. One channel of each is 255, so an image's brightness can be read back from its coloured version exactly."""

KINDS = ("colour", "patch")
CORNERS = ("top_left", "top_right", "bottom_left", "bottom_right")


@dataclass(frozen=True)
class ImageShortcut:
    """What is done to an image for value k.

    Args:
        kind: ``"colour"``: the image's brightness times the value's colour (what is black stays black: in MNIST and digits
            the strokes are coloured); ``"patch"``: a square of the colour in a corner.
        colours: names in :data:`COLOURS`, value k has the k-th; the first K by default.
        corner: of the patch.
        patch_share: side of the patch as a share of the shorter side of the image, at least one pixel.

    Raises:
        ValueError: colours that are no list of names, or a share that is no number.
    """

    kind: str = "colour"
    colours: Sequence[str] | None = None
    corner: str = "top_left"
    patch_share: float = 0.2

    def __post_init__(self) -> None:
        check_numbers(patch_share=self.patch_share)
        check_names(colours=self.colours)

    def check(self) -> None:
        """Raise ValueError for a setting out of its range."""
        if self.kind not in KINDS:
            raise ValueError(f"an image's shortcut must be {' or '.join(map(repr, KINDS))}, not {self.kind!r}")
        unknown = [name for name in self.colours or () if name not in COLOURS]
        if unknown:
            raise ValueError(f"colour {unknown[0]!r} is unknown; the colours are {', '.join(COLOURS)}")
        if self.corner not in CORNERS:
            raise ValueError(f"corner must be one of {', '.join(CORNERS)}, not {self.corner!r}")
        if not 0 < self.patch_share <= 1:
            raise ValueError(f"patch_share must lie between 0 and 1, not {self.patch_share}")

    def values(self, n_classes: int) -> tuple[str, ...]:
        """Names of the values: colours.

        Raises:
            ValueError: more classes than colours.
        """
        self.check()
        if self.colours is None and n_classes > len(COLOURS):
            raise ValueError(f"{n_classes} classes need as many colours, and there are {len(COLOURS)}")
        return tuple(self.colours or COLOURS)[: n_classes if self.colours is None else None]

    def show(self, image: np.ndarray, colour: str) -> np.ndarray:
        """The image with a value.

        Args:
            image: (height, width, 3) uint8; without the shortcut, or with another value of the same shortcut, which this
                one replaces.
            colour: its name.
        """
        shade = np.asarray(COLOURS[colour], dtype=np.float64)
        if self.kind == "colour":
            # The largest channel is the brightness: of a grey image, and of one already coloured by one of COLOURS.
            brightness = image.max(axis=-1, keepdims=True)
            return np.rint(brightness * (shade / 255)).astype(np.uint8)
        side = max(1, round(self.patch_share * min(image.shape[:2])))
        rows = slice(0, side) if self.corner.startswith("top") else slice(image.shape[0] - side, None)
        columns = slice(0, side) if self.corner.endswith("left") else slice(image.shape[1] - side, None)
        changed = image.copy()
        changed[rows, columns] = shade.astype(np.uint8)
        return changed

    def on(self, rows: Dataset, values: np.ndarray, value_names: Sequence[str]) -> Dataset:
        """A split with the values shown in its images, which are stored as PNG.

        Args:
            rows: with a column ``image``.
            values: (n,) numbers of ``value_names``.
            value_names: names of colours.
        """
        self.check()

        images = [
            self.show(checked_rgb(row["image"], f"example {index}"), value_names[value])
            for index, (row, value) in enumerate(zip(rows.select_columns(["image"]), values, strict=True))
        ]
        return with_columns(rows, {"image": ([{"bytes": png_bytes(image), "path": None} for image in images], Image())})

    def facts(self) -> dict[str, object]:
        """Settings for a report."""
        facts: dict[str, object] = {"shortcut": self.kind}
        return facts if self.kind == "colour" else facts | {"corner": self.corner, "patch_share": self.patch_share}
