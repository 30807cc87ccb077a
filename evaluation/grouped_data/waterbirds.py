"""Waterbirds: land and water birds before land and water."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evenhand.evaluation.grouped_data.grouped import GroupedData
from evenhand.evaluation.grouped_data.photographs import LabelledPhotographs, check_photograph_settings
from evenhand.evaluation.measure_data import find_file, read_table

HUB_NAME = "grodino/waterbirds"
HUB_REVISION = "e9856c710d0da2e4029d116cdd9d5fce7cc2bc80"
_BIRDS = LabelledPhotographs(
    "waterbirds",
    labels=("landbird", "waterbird"),
    attributes=("land", "water"),
    own=(0, 1),
    licence="made of CUB-200-2011 and Places: for non-commercial research",
)


def load_waterbirds(
    path: str | Path = "hub",
    *,
    repository: str = HUB_NAME,
    revision: str = HUB_REVISION,
    max_examples: int | Mapping[str, int] | None = None,
    check_images: str = "headers",
    convert_images: bool = False,
) -> GroupedData:
    """Waterbirds (Sagawa et al. 2020). In train a bird's background is its own in 95 % of the images, in validation and test
    in half of the images of each class.

    Args:
        path: ``"hub"``, or the directory with ``metadata.csv`` (img_filename, y, split, place) and the images.
        repository, revision: of a copy on the Hub with the columns image, label, place and the splits train, validation, test.
        max_examples: at most so many in each split, or by split; every group in its share.
        check_images: of local files: ``"headers"`` or ``"pixels"``, as :meth:`LabelledPhotographs.from_files`.
        convert_images: take local images of any mode, and convert them to RGB.

    Raises:
        FileNotFoundError: data that are not there.
        ValueError: a file, an image or a setting that cannot be used; a split without one of the groups.
    """
    check_photograph_settings(max_examples, check_images, convert_images)
    if path == "hub":
        return _BIRDS.from_hub(
            repository,
            revision,
            ("image", "label", "place"),
            ("train", "validation", "test"),
            max_examples=max_examples,
        )
    file = find_file(path, ("metadata.csv", "waterbird_complete95_forest2water2/metadata.csv"), "Waterbirds")
    table = []
    for number, row in enumerate(read_table(file, ("img_filename", "y", "split", "place"), delimiter=","), start=2):
        for name, allowed in (("y", "01"), ("place", "01"), ("split", "012")):
            if row[name] not in tuple(allowed):
                raise ValueError(f"{file}, line {number}: {name} is {row[name]!r}, not one of {', '.join(allowed)}")
        table.append((row["img_filename"], int(row["y"]), int(row["place"]), int(row["split"])))
    return _BIRDS.from_files(
        file.parent, table, [file], max_examples=max_examples, check_images=check_images, convert_images=convert_images
    )
